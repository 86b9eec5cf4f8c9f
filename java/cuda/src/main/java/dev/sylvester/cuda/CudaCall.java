package dev.sylvester.cuda;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import dev.sylvester.kernels.internal.Extents;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntSupplier;
import java.util.function.ToIntFunction;

/**
 * A call of a C function: checks where memory lies and where it ends, which the function cannot
 * know, and keeps it open until the call is closed.
 */
final class CudaCall implements AutoCloseable {
  /** For the call's structures. */
  final Arena scratch = Arena.ofConfined();

  private final String function;
  private final CudaDevice device;
  private final List<DeviceMemory> held = new ArrayList<>();

  CudaCall(String function, CudaDevice device) {
    this.function = function;
    this.device = device;
  }

  /** The first so many bytes of memory. */
  MemorySegment memory(String name, DeviceMemory memory, long bytes) {
    MemorySegment segment = Args.present(function, name, memory).hold();
    held.add(memory);
    onDevice(name, memory.device());
    if (segment.byteSize() < bytes) {
      throw new SylvesterException(
          Status.BAD_SHAPE,
          function + ": " + name + " has " + segment.byteSize() + " bytes, needed are " + bytes);
    }
    return segment;
  }

  /** The same, or NULL for an argument that may be missing. */
  MemorySegment optional(String name, DeviceMemory memory, long bytes) {
    return memory == null ? MemorySegment.NULL : memory(name, memory, bytes);
  }

  /** Rows of cols elements. */
  MemorySegment rows(
      String name, DeviceMemory memory, long rows, long cols, long stride, long elementBytes) {
    return memory(name, memory, Extents.bytes(function, name, rows, cols, stride, elementBytes));
  }

  /** Rows of cols floats. */
  MemorySegment rows(String name, DeviceMemory memory, long rows, long cols, long stride) {
    return rows(name, memory, rows, cols, stride, Float.BYTES);
  }

  /** Memory of any size, or NULL; the function knows how much it needs. */
  MemorySegment workspace(DeviceMemory workspace) {
    return optional("workspace", workspace, 0);
  }

  /** What C takes for a stream. */
  MemorySegment stream(CudaStream stream) {
    if (stream == null) {
      return MemorySegment.NULL;
    }
    onDevice("stream", stream.device());
    return stream.handle();
  }

  /** The value is in low..high. */
  void range(String name, long value, long low, long high) {
    Args.range(function, name, value, low, high);
  }

  /** An object of this package lies where the call computes. */
  void onDevice(String name, CudaDevice other) {
    if (other.index() != device.index()) {
      throw new SylvesterException(
          Status.BAD_VALUE,
          function + ": " + name + " is on device " + other.index() + ", not " + device.index());
    }
  }

  /** Calls the function. */
  void run(IntSupplier call) {
    device.use();
    Args.check(call.getAsInt());
  }

  /** The number that a function stores. */
  static long number(ToIntFunction<MemorySegment> call) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment result = arena.allocate(JAVA_LONG);
      Args.check(call.applyAsInt(result));
      return result.get(JAVA_LONG, 0);
    }
  }

  @Override
  public void close() {
    held.forEach(DeviceMemory::release);
    scratch.close();
  }
}
