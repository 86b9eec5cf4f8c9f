package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * Memory that ends at a page which may not be touched: one byte read or written beyond it ends the
 * process, and a byte written before it is found by {@link #check}.
 */
@SuppressWarnings("restricted")
public final class GuardedMemory {
  private static final int PAGE = 4096;
  private static final int READ_WRITE = 3;
  private static final int PRIVATE_ANONYMOUS = 0x22;
  private static final int MARGIN = 64;
  private static final byte MARK = 0x5a;

  private final MemorySegment memory;
  private MemorySegment margin;

  public GuardedMemory(int pages) {
    long size = (long) pages * PAGE;
    MemorySegment whole =
        (MemorySegment)
            call(
                function(
                    "mmap",
                    FunctionDescriptor.of(
                        ADDRESS, ADDRESS, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG)),
                MemorySegment.NULL,
                size + PAGE,
                READ_WRITE,
                PRIVATE_ANONYMOUS,
                -1,
                0L);
    if (whole.address() == -1) {
      throw new IllegalStateException("mmap refused " + size + " bytes");
    }
    int result =
        (int)
            call(
                function("mprotect", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT)),
                MemorySegment.ofAddress(whole.address() + size),
                (long) PAGE,
                0);
    if (result != 0) {
      throw new IllegalStateException("mprotect failed");
    }
    memory = whole.reinterpret(size);
  }

  public long maxBytes() {
    return memory.byteSize() - MARGIN;
  }

  /** The last bytes before the guard; marks what lies before them. */
  public MemorySegment last(long bytes) {
    margin = memory.asSlice(memory.byteSize() - bytes - MARGIN, MARGIN).fill(MARK);
    return memory.asSlice(memory.byteSize() - bytes);
  }

  /** Fails if something was written just before the segment handed out last. */
  public void check() {
    for (int i = 0; margin != null && i < MARGIN; i++) {
      if (margin.get(JAVA_BYTE, i) != MARK) {
        throw new AssertionError((MARGIN - i) + " bytes before the segment were overwritten");
      }
    }
  }

  private static MethodHandle function(String name, FunctionDescriptor descriptor) {
    Linker linker = Linker.nativeLinker();
    return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), descriptor);
  }

  private static Object call(MethodHandle function, Object... arguments) {
    try {
      return function.invokeWithArguments(arguments);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }
}
