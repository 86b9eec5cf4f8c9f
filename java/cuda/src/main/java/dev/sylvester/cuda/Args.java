package dev.sylvester.cuda;

import dev.sylvester.cuda.ffi.CudaFfi;
import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Checks of arguments and results. */
final class Args {
  private Args() {}

  /** Returns if {@code code} is SYL_OK; otherwise throws with the calling thread's last error. */
  static void check(int code) {
    if (code != 0) {
      throw new SylvesterException(Status.of(code), CudaFfi.syl_cuda_last_error().getString(0));
    }
  }

  static <T> T present(String function, String name, T value) {
    if (value == null) {
      throw new SylvesterException(Status.NULL_ARGUMENT, function + ": " + name + " is null");
    }
    return value;
  }

  /** The value is in low..high. */
  static void range(String function, String name, long value, long low, long high) {
    if (value < low || value > high) {
      throw new SylvesterException(
          Status.BAD_VALUE,
          function + ": " + name + " is " + value + ", must be " + low + ".." + high);
    }
  }

  /** The object was not closed. */
  static MemorySegment open(String type, MemorySegment handle) {
    if (!handle.scope().isAlive()) {
      throw new IllegalStateException(type + " is closed");
    }
    return handle;
  }

  /** Frees what an arena owns; a second call does nothing. */
  static void close(Arena arena) {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
