package dev.sylvester.cuda;

import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;

/** What {@link CudaPresets} does once JavaCPP is known to be there; loaded no sooner. */
final class PresetViews {
  private PresetViews() {}

  /** A pointer to an address. */
  private static final class Address extends Pointer {
    Address(MemorySegment target) {
      address = target.address();
    }
  }

  static Pointer pointer(DeviceMemory memory) {
    return new Pointer(new Address(memory.segment())).capacity(memory.byteSize());
  }

  static FloatPointer floats(DeviceMemory memory) {
    return new FloatPointer(new Address(memory.segment()))
        .capacity(memory.byteSize() / Float.BYTES);
  }

  static DeviceMemory memory(Pointer pointer, CudaDevice device) {
    long elements = pointer.limit() - pointer.position();
    if (pointer.isNull() || elements <= 0) {
      throw new SylvesterException(
          Status.BAD_VALUE, "CudaPresets.memory: pointer is " + pointer + ", without elements");
    }
    long bytes = Math.multiplyExact(elements, pointer.sizeof());
    return DeviceMemory.foreign(device, segment(pointer, bytes));
  }

  static CUstream_st stream(CudaStream stream) {
    return new CUstream_st(new Address(CudaStream.handle(stream)));
  }

  static CudaStream stream(CUstream_st stream, CudaDevice device) {
    return CudaStream.foreign(device, segment(stream, 0));
  }

  /** The address behind a pointer, which stays reachable as long as the segment is. */
  @SuppressWarnings("restricted")
  private static MemorySegment segment(Pointer pointer, long bytes) {
    long address = pointer.address() + pointer.position() * pointer.sizeof();
    return MemorySegment.ofAddress(address)
        .reinterpret(bytes, Arena.ofAuto(), _ -> Reference.reachabilityFence(pointer));
  }
}
