package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_logits_stats;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * Statistics of logits rows: one read of each row. A reusable buffer whose memory belongs to an
 * arena.
 */
public final class LogitsStats {
  private static final long SIZE = syl_logits_stats.sizeof();

  private final MemorySegment stats;
  private final long capacity;

  private LogitsStats(MemorySegment stats, long capacity) {
    this.stats = stats;
    this.capacity = capacity;
  }

  /**
   * A buffer for up to so many rows.
   *
   * @param rows at least 1
   * @param arena owns the memory
   * @return the buffer
   */
  public static LogitsStats allocate(long rows, Arena arena) {
    Args.range("LogitsStats.allocate", "rows", rows, 1, Integer.MAX_VALUE);
    return new LogitsStats(arena.allocate(syl_logits_stats.layout(), rows), rows);
  }

  /**
   * Statistics of one row on the Java heap. For comfort: it copies and allocates.
   *
   * @param logits the row
   * @return the statistics, as row 0
   */
  public static LogitsStats of(float[] logits) {
    LogitsStats stats = allocate(1, Arena.ofAuto());
    try (Arena arena = Arena.ofConfined()) {
      stats.compute(arena.allocateFrom(JAVA_FLOAT, logits), logits.length, 1, logits.length, null);
    }
    return stats;
  }

  /**
   * Reads rows of logits.
   *
   * @param logits rows of cols floats
   * @param stride from row to row, at least cols
   * @param rows number of rows, at most the buffer's
   * @param cols number of columns
   * @param pool threads, or null
   */
  public void compute(MemorySegment logits, long stride, long rows, long cols, ThreadPool pool) {
    String function = "LogitsStats.compute";
    Args.range(function, "rows", rows, 0, capacity);
    Args.input(function, "logits", logits, Args.floats(function, "logits", rows, cols, stride));
    SylvesterException.check(
        SylvesterFfi.syl_logits_stats_f32(
            logits, stride, rows, cols, stats, ThreadPool.handle(pool)));
  }

  /**
   * Smallest index of the largest logit; NaN never wins; -1 when every logit is NaN.
   *
   * @param row which row
   * @return the index
   */
  public int argmax(long row) {
    return stats.get(
        syl_logits_stats.argmax$layout(), offset(row, syl_logits_stats.argmax$offset()));
  }

  /**
   * The largest logit.
   *
   * @param row which row
   * @return the logit
   */
  public float max(long row) {
    return stats.get(syl_logits_stats.max$layout(), offset(row, syl_logits_stats.max$offset()));
  }

  /**
   * {@code log sum_i exp(logit_i)}.
   *
   * @param row which row
   * @return the logarithm
   */
  public double logSumExp(long row) {
    return stats.get(
        syl_logits_stats.log_sum_exp$layout(), offset(row, syl_logits_stats.log_sum_exp$offset()));
  }

  private long offset(long row, long field) {
    return Objects.checkIndex(row, capacity) * SIZE + field;
  }
}
