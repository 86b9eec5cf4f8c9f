package dev.sylvester.cuda;

import dev.sylvester.cuda.ffi.CudaFfi;
import dev.sylvester.kernels.RowSelector;
import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import java.lang.foreign.MemorySegment;

/**
 * Selects rows from their {@link CudaLogitsStats} on the device: the twin of {@link RowSelector},
 * whose rule it takes, with the same rows in the same order. A step of masked diffusion is {@link
 * CudaLogitsStats#compute} and {@link #select} on one stream. Time grows with the number that is
 * selected. Not for two threads at once.
 */
public final class CudaRowSelector implements AutoCloseable {
  private final RowSelector rule;
  private final DeviceMemory selectedCount;
  private CudaStream last;
  private boolean selected;

  private CudaRowSelector(RowSelector rule, DeviceMemory selectedCount) {
    this.rule = rule;
    this.selectedCount = selectedCount;
  }

  /**
   * A selector.
   *
   * @param rule which rows; {@link RowSelector#k} changes it for later calls
   * @param device where
   * @return the selector
   */
  public static CudaRowSelector of(RowSelector rule, CudaDevice device) {
    Args.present("CudaRowSelector.of", "rule", rule);
    return new CudaRowSelector(rule, DeviceMemory.allocate(device, Long.BYTES));
  }

  /**
   * Enqueues a selection among the first rows of statistics.
   *
   * @param stats statistics of at least count rows
   * @param masked a byte a row, not 0 for candidates; null: all are
   * @param count number of rows
   * @param selected gets int32 indices, the most certain first; room for count. What lies beyond
   *     the selected ones stays as it was
   * @param stream null for the default stream
   */
  public void select(
      CudaLogitsStats stats,
      DeviceMemory masked,
      long count,
      DeviceMemory selected,
      CudaStream stream) {
    String function = "CudaRowSelector.select";
    Args.range(function, "count", count, 0, Args.present(function, "stats", stats).capacity());
    try (CudaCall call = new CudaCall(function, selectedCount.device())) {
      MemorySegment from = call.memory("stats", stats.memory(), 0);
      MemorySegment candidates = call.optional("masked", masked, count);
      MemorySegment to = call.memory("selected", selected, count * Integer.BYTES);
      MemorySegment number = call.memory("the selector", selectedCount, Long.BYTES);
      MemorySegment queue = call.stream(stream);
      MemorySegment struct = rule.toNative();
      call.run(
          () -> CudaFfi.syl_cuda_dlm_select(struct, from, candidates, count, to, number, queue));
      last = stream;
      this.selected = true;
    }
  }

  /**
   * Waits for the last {@link #select}.
   *
   * @return how many rows were selected
   * @throws SylvesterException (BAD_DATA) names the first candidate whose score is NaN; (BAD_VALUE)
   *     if nothing was selected
   */
  public int await() {
    String function = "CudaRowSelector.await";
    if (!selected) {
      throw new SylvesterException(Status.BAD_VALUE, function + ": nothing was selected");
    }
    try (CudaCall call = new CudaCall(function, selectedCount.device())) {
      MemorySegment number = call.memory("the selector", selectedCount, Long.BYTES);
      MemorySegment queue = call.stream(last);
      selectedCount.device().use();
      return (int) CudaCall.number(count -> CudaFfi.syl_cuda_dlm_select_wait(number, count, queue));
    }
  }

  /**
   * Frees the selector's memory; the device first ends the work that was enqueued. A second call
   * does nothing.
   *
   * @throws IllegalStateException if a call on another thread is using it
   */
  @Override
  public void close() {
    selectedCount.close();
  }
}
