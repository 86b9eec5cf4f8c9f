package dev.sylvester.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** Memory of the processor and of the device with the same bytes, until this is closed. */
final class DeviceCopies implements AutoCloseable {
  static final CudaDevice DEVICE = CudaDevice.of(0);

  /** A device that there is not. */
  static final CudaDevice OTHER = new CudaDevice(1, "another", true, 9, 0, 1, 1);

  final Arena arena = Arena.ofConfined();
  private final List<DeviceMemory> memories = new ArrayList<>();

  DeviceMemory allocate(long bytes) {
    DeviceMemory memory = DeviceMemory.allocate(DEVICE, Math.max(1, bytes));
    memories.add(memory);
    return memory;
  }

  /** What a call without a workspace gets, or one of just this size. */
  DeviceMemory workspace(long bytes) {
    return bytes == 0 ? null : allocate(bytes);
  }

  DeviceMemory of(MemorySegment host) {
    DeviceMemory memory = allocate(host.byteSize());
    memory.copyFrom(host, null);
    return memory;
  }

  /** Native memory of the processor with these bytes. */
  MemorySegment host(byte[] bytes) {
    return arena.allocate(bytes.length, Long.BYTES).copyFrom(MemorySegment.ofArray(bytes));
  }

  /** A stream of the device that there is not. */
  static CudaStream otherStream() {
    return CudaStream.foreign(OTHER, MemorySegment.NULL);
  }

  @Override
  public void close() {
    memories.forEach(DeviceMemory::close);
    arena.close();
  }
}
