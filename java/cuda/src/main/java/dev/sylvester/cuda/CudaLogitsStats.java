package dev.sylvester.cuda;

import dev.sylvester.cuda.ffi.CudaFfi;
import dev.sylvester.kernels.LogitsOptions;
import dev.sylvester.kernels.LogitsStats;
import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import dev.sylvester.kernels.ffi.syl_logits_stats;
import java.lang.foreign.MemorySegment;

/**
 * Statistics of rows of logits, on a device: the twin of {@link LogitsStats}, with the same results
 * to the bit. A reusable buffer in device memory, which {@link CudaRowSelector} reads there and
 * {@link #copyTo} brings over. Not for two threads at once.
 */
public final class CudaLogitsStats implements AutoCloseable {
  private final DeviceMemory stats;
  private final long capacity;
  private Computation last; // null: none yet

  /** What {@link #await} looks into. */
  private record Computation(DeviceMemory workspace, DeviceMemory list, CudaStream stream) {}

  private CudaLogitsStats(DeviceMemory stats, long capacity) {
    this.stats = stats;
    this.capacity = capacity;
  }

  /**
   * A buffer for up to so many rows.
   *
   * @param rows at least 1
   * @param device where
   * @return the buffer
   */
  public static CudaLogitsStats allocate(long rows, CudaDevice device) {
    Args.range("CudaLogitsStats.allocate", "rows", rows, 1, Integer.MAX_VALUE);
    long bytes = rows * syl_logits_stats.sizeof();
    return new CudaLogitsStats(DeviceMemory.allocate(device, bytes), rows);
  }

  /**
   * Size of the workspace of {@link #compute}.
   *
   * @param options how; the number of banned and of ignored tokens counts, and whether there is a
   *     draw
   * @param cols number of columns
   * @param count how many rows are read
   * @return bytes
   */
  public long workspaceBytes(LogitsOptions options, long cols, long count) {
    String function = "CudaLogitsStats.workspaceBytes";
    MemorySegment struct = Args.present(function, "options", options).toNative();
    return CudaCall.number(
        bytes -> CudaFfi.syl_cuda_logits_stats_workspace(struct, cols, count, bytes));
  }

  /**
   * Enqueues the statistics of listed rows. What is wrong with the list or with a row tells {@link
   * #await}.
   *
   * @param options how
   * @param logits rows of cols elements of the options' type
   * @param unconditional as many, or null: no guidance
   * @param stride from row to row, at least cols
   * @param rows number of rows there are
   * @param cols number of columns
   * @param list int32 numbers of the rows to read, 0..rows-1 in any order; null: all, count is rows
   * @param streams int64 numbers that name the random numbers of the draws; null: the rows' numbers
   * @param count how many rows are read, at most the buffer's
   * @param workspace of {@link #workspaceBytes} bytes; nobody else's until {@link #await}
   * @param stream null for the default stream
   */
  public void compute(
      LogitsOptions options,
      DeviceMemory logits,
      DeviceMemory unconditional,
      long stride,
      long rows,
      long cols,
      DeviceMemory list,
      DeviceMemory streams,
      long count,
      DeviceMemory workspace,
      CudaStream stream) {
    String function = "CudaLogitsStats.compute";
    MemorySegment struct = Args.present(function, "options", options).toNative();
    Args.range(function, "count", count, 0, capacity);
    long element = options.type().blockBytes();
    try (CudaCall call = new CudaCall(function, stats.device())) {
      MemorySegment from = call.rows("logits", logits, rows, cols, stride, element);
      MemorySegment without =
          unconditional == null
              ? MemorySegment.NULL
              : call.rows("unconditional", unconditional, rows, cols, stride, element);
      MemorySegment which = call.optional("list", list, count * Integer.BYTES);
      MemorySegment names = call.optional("streams", streams, count * Long.BYTES);
      MemorySegment to = call.memory("the buffer", stats, 0);
      MemorySegment scratch = call.workspace(workspace);
      MemorySegment queue = call.stream(stream);
      call.run(
          () ->
              CudaFfi.syl_cuda_logits_stats_of(
                  struct,
                  from,
                  without,
                  stride,
                  rows,
                  cols,
                  which,
                  names,
                  count,
                  to,
                  scratch,
                  scratch.byteSize(),
                  queue));
      last = new Computation(workspace, list, stream);
    }
  }

  /**
   * Waits for the last {@link #compute}.
   *
   * @throws SylvesterException (BAD_VALUE) names the first number in the list that is no row;
   *     (BAD_DATA) the first row without a finite largest logit or with a NaN: the results have
   *     been written, tail is NaN for such rows; (BAD_VALUE) if nothing was computed
   */
  public void await() {
    String function = "CudaLogitsStats.await";
    if (last == null) {
      throw new SylvesterException(Status.BAD_VALUE, function + ": nothing was computed");
    }
    try (CudaCall call = new CudaCall(function, stats.device())) {
      call.memory("the buffer", stats, 0);
      call.optional("list", last.list, 0);
      MemorySegment scratch = call.workspace(last.workspace);
      MemorySegment queue = call.stream(last.stream);
      call.run(() -> CudaFfi.syl_cuda_logits_stats_wait(scratch, queue));
    }
  }

  /**
   * Copies the first results to the processor, after what the stream holds, and waits for that.
   *
   * @param host gets them
   * @param count how many, at most what either buffer holds
   * @param stream null for the default stream
   */
  public void copyTo(LogitsStats host, long count, CudaStream stream) {
    String function = "CudaLogitsStats.copyTo";
    MemorySegment to = Args.present(function, "host", host).toNative();
    Args.range(function, "count", count, 0, Math.min(capacity, host.capacity()));
    stats.copyTo(to.asSlice(0, count * syl_logits_stats.sizeof()), stream);
  }

  /**
   * How many rows the buffer holds.
   *
   * @return the number
   */
  public long capacity() {
    return capacity;
  }

  /**
   * The C structures {@code syl_logits_stats}, for other libraries.
   *
   * @return memory that ends with the buffer
   */
  public DeviceMemory memory() {
    return stats;
  }

  /**
   * Frees the buffer; the device first ends the work that was enqueued. A second call does nothing.
   *
   * @throws IllegalStateException if a call on another thread is using it
   */
  @Override
  public void close() {
    stats.close();
  }
}
