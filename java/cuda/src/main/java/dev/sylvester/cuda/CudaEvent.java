package dev.sylvester.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.cuda.ffi.CudaFfi;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A mark in a stream: to wait for what was enqueued before it, and to take the time. */
public final class CudaEvent implements AutoCloseable {
  private final CudaDevice device;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment handle;

  private CudaEvent(CudaDevice device) {
    this.device = device;
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment out = scratch.allocate(ADDRESS);
      device.use();
      Args.check(CudaFfi.syl_cuda_event_new(out));
      handle = own(out.get(ADDRESS, 0));
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  @SuppressWarnings("restricted")
  private MemorySegment own(MemorySegment event) {
    return event.reinterpret(arena, CudaFfi::syl_cuda_event_free);
  }

  /**
   * A new event.
   *
   * @param device of the streams that it will mark
   * @return the event
   */
  public static CudaEvent of(CudaDevice device) {
    return new CudaEvent(Args.present("CudaEvent.of", "device", device));
  }

  private MemorySegment handle() {
    return Args.open("CudaEvent", handle);
  }

  /**
   * Marks the end of what the stream holds now; an earlier mark is forgotten.
   *
   * @param stream of the same device; null for the default stream
   */
  public void record(CudaStream stream) {
    MemorySegment event = handle();
    MemorySegment queue = CudaStream.handle(stream);
    device.use();
    Args.check(CudaFfi.syl_cuda_event_record(event, queue));
  }

  /** Waits until the mark is reached. Returns at once if there is none. */
  public void await() {
    MemorySegment event = handle();
    device.use();
    Args.check(CudaFfi.syl_cuda_event_wait(event));
  }

  /**
   * Time between two marks that have been reached.
   *
   * @param start the earlier mark
   * @return milliseconds, in steps of about half a microsecond
   */
  public float millisecondsSince(CudaEvent start) {
    MemorySegment from = Args.present("CudaEvent.millisecondsSince", "start", start).handle();
    MemorySegment to = handle();
    device.use();
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment milliseconds = scratch.allocate(JAVA_FLOAT);
      Args.check(CudaFfi.syl_cuda_event_elapsed(from, to, milliseconds));
      return milliseconds.get(JAVA_FLOAT, 0);
    }
  }

  /**
   * Gives the event back. A second call does nothing.
   *
   * @throws IllegalStateException if a call on another thread is using it
   */
  @Override
  public void close() {
    Args.close(arena);
  }
}
