package dev.sylvester.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;

import dev.sylvester.cuda.ffi.CudaFfi;
import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Memory of a device. Java cannot read it: {@link #copyTo} brings it over. Copies from and to host
 * memory have ended when the call returns, so that the host's memory may go away at once; all else
 * is only enqueued. Thread-safe.
 */
public final class DeviceMemory implements AutoCloseable {
  /** Arrays travel by a native buffer of at most this size. */
  private static final long STAGING_BYTES = 1 << 20;

  private final CudaDevice device;
  private final Arena arena; // null: somebody else's, or part of another memory
  private final MemorySegment memory; // only for its address, size and life
  private final AtomicInteger holds; // of it and its parts; -1: it is being closed

  private DeviceMemory(CudaDevice device, long bytes) {
    this.device = device;
    holds = new AtomicInteger();
    arena = Arena.ofShared();
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment out = scratch.allocate(ADDRESS);
      device.use();
      Args.check(CudaFfi.syl_cuda_malloc(bytes, out));
      memory = own(out.get(ADDRESS, 0), bytes);
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  private DeviceMemory(CudaDevice device, MemorySegment memory, AtomicInteger holds) {
    this.device = device;
    this.arena = null;
    this.memory = memory;
    this.holds = holds;
  }

  @SuppressWarnings("restricted")
  private MemorySegment own(MemorySegment block, long bytes) {
    return block.reinterpret(bytes, arena, CudaFfi::syl_cuda_free);
  }

  /**
   * New memory, aligned to 256 bytes. What it holds is not defined.
   *
   * @param device where
   * @param bytes at least 1
   * @return the memory
   * @throws SylvesterException (OUT_OF_MEMORY) if the device does not have as much
   */
  public static DeviceMemory allocate(CudaDevice device, long bytes) {
    return new DeviceMemory(Args.present("DeviceMemory.allocate", "device", device), bytes);
  }

  /**
   * New memory with the floats of an array.
   *
   * @param device where
   * @param values at least one
   * @return the memory
   */
  public static DeviceMemory of(CudaDevice device, float... values) {
    Args.present("DeviceMemory.of", "values", values);
    DeviceMemory memory = allocate(device, (long) values.length * Float.BYTES);
    try {
      memory.copyFrom(values, null);
      return memory;
    } catch (RuntimeException | Error e) {
      memory.close();
      throw e;
    }
  }

  /** Another owner's memory. */
  static DeviceMemory foreign(CudaDevice device, MemorySegment memory) {
    return new DeviceMemory(device, memory, new AtomicInteger());
  }

  /**
   * Part of this memory. It ends with the whole; closing it does nothing.
   *
   * @param offset where it starts, in bytes
   * @param bytes its size
   * @return the part
   * @throws SylvesterException (BAD_SHAPE) if it is not inside
   */
  public DeviceMemory slice(long offset, long bytes) {
    MemorySegment whole = memory();
    if (offset < 0 || bytes < 0 || offset > whole.byteSize() - bytes) {
      throw new SylvesterException(
          Status.BAD_SHAPE,
          "DeviceMemory.slice: offset is "
              + offset
              + ", bytes is "
              + bytes
              + ", the memory has "
              + whole.byteSize());
    }
    return new DeviceMemory(device, whole.asSlice(offset, bytes), holds);
  }

  /**
   * Where it lies.
   *
   * @return the device
   */
  public CudaDevice device() {
    return device;
  }

  /**
   * Size.
   *
   * @return bytes
   */
  public long byteSize() {
    return memory.byteSize();
  }

  /**
   * The device pointer, for other libraries.
   *
   * @return its address, without accessible bytes, alive as long as the memory is open
   * @throws IllegalStateException if the memory is closed
   */
  public MemorySegment segment() {
    return memory().asSlice(0, 0);
  }

  /** What the C functions take. */
  MemorySegment memory() {
    return Args.open("DeviceMemory", memory);
  }

  /**
   * The same, and it stays open until {@link #release}. A native call does so for its arguments,
   * but not for what a structure points to.
   */
  MemorySegment hold() {
    MemorySegment segment = memory();
    if (holds.getAndUpdate(n -> n < 0 ? n : n + 1) < 0) {
      throw new IllegalStateException("DeviceMemory is closed");
    }
    return segment;
  }

  void release() {
    holds.decrementAndGet();
  }

  // ---- Copies ----

  /**
   * Copies all of the host's memory to the start of this one, after what the stream holds, and
   * waits for it.
   *
   * @param host native memory or an array, at most as large as this memory
   * @param stream null for the default stream
   * @throws SylvesterException (BAD_SHAPE) if the host's memory is larger
   */
  public void copyFrom(MemorySegment host, CudaStream stream) {
    checkHost("DeviceMemory.copyFrom", host);
    if (host.isNative()) {
      copyAndWait(memory(), host, host.byteSize(), stream);
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment staging = staging(host, arena);
      for (long at = 0; at < host.byteSize(); at += STAGING_BYTES) {
        long bytes = Math.min(STAGING_BYTES, host.byteSize() - at);
        MemorySegment.copy(host, at, staging, 0, bytes);
        copyAndWait(memory().asSlice(at), staging, bytes, stream);
      }
    }
  }

  /**
   * Copies an array to the start of this memory, after what the stream holds, and waits for it.
   *
   * @param host the array
   * @param stream null for the default stream
   * @throws SylvesterException (BAD_SHAPE) if the array is larger
   */
  public void copyFrom(float[] host, CudaStream stream) {
    Args.present("DeviceMemory.copyFrom", "host", host);
    copyFrom(MemorySegment.ofArray(host), stream);
  }

  /**
   * Enqueues a copy of all of another memory to the start of this one.
   *
   * @param other at most as large as this memory; must not overlap it
   * @param stream null for the default stream
   * @throws SylvesterException (BAD_SHAPE) if the other memory is larger
   */
  public void copyFrom(DeviceMemory other, CudaStream stream) {
    MemorySegment from = Args.present("DeviceMemory.copyFrom", "other", other).memory();
    checkSize("DeviceMemory.copyFrom", "other", from.byteSize());
    MemorySegment to = memory();
    if (from.asOverlappingSlice(to).isPresent()) {
      throw new SylvesterException(
          Status.OVERLAP, "DeviceMemory.copyFrom: other overlaps this memory");
    }
    enqueueCopy(to, from, from.byteSize(), stream);
  }

  /**
   * Fills the host's memory from the start of this one, after what the stream holds, and waits for
   * it.
   *
   * @param host native memory or an array, at most as large as this memory
   * @param stream null for the default stream
   * @throws SylvesterException (BAD_SHAPE) if the host's memory is larger
   */
  public void copyTo(MemorySegment host, CudaStream stream) {
    checkHost("DeviceMemory.copyTo", host);
    if (host.isReadOnly()) {
      throw new SylvesterException(
          Status.BAD_VALUE, "DeviceMemory.copyTo: host is read-only memory");
    }
    if (host.isNative()) {
      copyAndWait(host, memory(), host.byteSize(), stream);
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment staging = staging(host, arena);
      for (long at = 0; at < host.byteSize(); at += STAGING_BYTES) {
        long bytes = Math.min(STAGING_BYTES, host.byteSize() - at);
        copyAndWait(staging, memory().asSlice(at), bytes, stream);
        MemorySegment.copy(staging, 0, host, at, bytes);
      }
    }
  }

  /**
   * Fills an array from the start of this memory, after what the stream holds, and waits for it.
   *
   * @param host the array
   * @param stream null for the default stream
   * @throws SylvesterException (BAD_SHAPE) if the array is larger
   */
  public void copyTo(float[] host, CudaStream stream) {
    Args.present("DeviceMemory.copyTo", "host", host);
    copyTo(MemorySegment.ofArray(host), stream);
  }

  /**
   * Enqueues that every byte gets a value.
   *
   * @param value of every byte
   * @param stream null for the default stream
   */
  public void fill(byte value, CudaStream stream) {
    MemorySegment to = memory();
    MemorySegment queue = CudaStream.handle(stream);
    if (to.byteSize() > 0) {
      device.use();
      Args.check(CudaFfi.syl_cuda_fill(to, Byte.toUnsignedInt(value), to.byteSize(), queue));
    }
  }

  private void checkHost(String function, MemorySegment host) {
    Args.present(function, "host", host);
    checkSize(function, "host", host.byteSize());
  }

  private void checkSize(String function, String name, long bytes) {
    if (bytes > memory().byteSize()) {
      throw new SylvesterException(
          Status.BAD_SHAPE,
          function + ": " + name + " has " + bytes + " bytes, the memory " + byteSize());
    }
  }

  private static MemorySegment staging(MemorySegment host, Arena arena) {
    return arena.allocate(Math.min(STAGING_BYTES, host.byteSize()));
  }

  // Host memory may be freed, or moved to another owner, as soon as Java code goes on.
  private void copyAndWait(MemorySegment to, MemorySegment from, long bytes, CudaStream stream) {
    if (bytes > 0) {
      enqueueCopy(to, from, bytes, stream);
      Args.check(CudaFfi.syl_cuda_stream_wait(CudaStream.handle(stream)));
    }
  }

  private void enqueueCopy(MemorySegment to, MemorySegment from, long bytes, CudaStream stream) {
    MemorySegment queue = CudaStream.handle(stream);
    if (bytes > 0) {
      device.use();
      Args.check(CudaFfi.syl_cuda_copy(to, from, bytes, queue));
    }
  }

  /**
   * Frees the memory; the device first ends the work that was enqueued. A second call does nothing,
   * nor does any on a slice or on memory of another owner.
   *
   * @throws IllegalStateException if a call on another thread is using it
   */
  @Override
  public void close() {
    if (arena == null || !arena.scope().isAlive()) {
      return;
    }
    if (!holds.compareAndSet(0, -1)) {
      throw new IllegalStateException("DeviceMemory is in use by another call");
    }
    try {
      Args.close(arena);
    } catch (IllegalStateException e) {
      holds.set(0); // an argument of a native call, so it stays open
      throw e;
    }
  }
}
