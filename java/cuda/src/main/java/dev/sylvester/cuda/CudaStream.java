package dev.sylvester.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;

import dev.sylvester.cuda.ffi.CudaFfi;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A queue of work on a device: what is enqueued runs in this order, and beside the work of other
 * streams. Where a method takes a stream, {@code null} is the device's default stream. Thread-safe.
 */
public final class CudaStream implements AutoCloseable {
  private final CudaDevice device;
  private final Arena arena; // null: somebody else's
  private final MemorySegment handle;

  private CudaStream(CudaDevice device) {
    this.device = device;
    arena = Arena.ofShared();
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment out = scratch.allocate(ADDRESS);
      device.use();
      Args.check(CudaFfi.syl_cuda_stream_new(out));
      handle = own(out.get(ADDRESS, 0));
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  private CudaStream(CudaDevice device, MemorySegment handle) {
    this.device = device;
    this.arena = null;
    this.handle = handle;
  }

  @SuppressWarnings("restricted")
  private MemorySegment own(MemorySegment stream) {
    return stream.reinterpret(arena, CudaFfi::syl_cuda_stream_free);
  }

  /**
   * A new stream.
   *
   * @param device where it runs
   * @return the stream
   */
  public static CudaStream of(CudaDevice device) {
    return new CudaStream(Args.present("CudaStream.of", "device", device));
  }

  /** Another owner's stream. */
  static CudaStream foreign(CudaDevice device, MemorySegment handle) {
    return new CudaStream(device, handle);
  }

  /** What the C functions take; NULL for the default stream. */
  static MemorySegment handle(CudaStream stream) {
    return stream == null ? MemorySegment.NULL : stream.handle();
  }

  /**
   * Where it runs.
   *
   * @return the device
   */
  public CudaDevice device() {
    return device;
  }

  /**
   * The {@code cudaStream_t}, for other libraries.
   *
   * @return its address, without accessible bytes, alive as long as the stream is open
   * @throws IllegalStateException if the stream is closed
   */
  public MemorySegment handle() {
    return Args.open("CudaStream", handle);
  }

  /**
   * Waits until all work enqueued so far is done.
   *
   * @throws dev.sylvester.kernels.SylvesterException (INTERNAL) also if such work failed
   */
  public void await() {
    MemorySegment stream = handle();
    device.use();
    Args.check(CudaFfi.syl_cuda_stream_wait(stream));
  }

  /**
   * Gives the stream back; work enqueued before is still done. A second call does nothing, nor does
   * any on a stream of another owner.
   *
   * @throws IllegalStateException if a call on another thread is using it
   */
  @Override
  public void close() {
    if (arena != null) {
      Args.close(arena);
    }
  }
}
