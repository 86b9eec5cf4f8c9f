package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_logits_stats;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * Statistics of logits rows, from one read of each row: what commit and stop rules of masked
 * diffusion ask for, and perplexity. A reusable buffer whose memory belongs to an arena. Logits are
 * called z here. See {@code sylvester/logits.h} for accuracy and the draw.
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
   * Reads listed rows of logits.
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
   * @param pool threads, or null
   * @throws SylvesterException (BAD_DATA) names the first row without a finite largest logit or
   *     with a NaN; the results have been written, tail is NaN for such rows
   */
  public void compute(
      LogitsOptions options,
      MemorySegment logits,
      MemorySegment unconditional,
      long stride,
      long rows,
      long cols,
      MemorySegment list,
      MemorySegment streams,
      long count,
      ThreadPool pool) {
    String function = "LogitsStats.compute";
    Args.present(function, "options", options);
    Args.range(function, "count", count, 0, capacity);
    long elementBytes = options.type() == DType.F32 ? Float.BYTES : Short.BYTES;
    long bytes = Args.extent(function, "logits", rows, cols, stride, elementBytes);
    Args.input(function, "logits", logits, bytes);
    SylvesterException.check(
        SylvesterFfi.syl_logits_stats_of(
            options.struct,
            logits,
            Args.optional(function, "unconditional", unconditional, bytes),
            stride,
            rows,
            cols,
            Args.optional(function, "list", list, count * Integer.BYTES),
            Args.optional(function, "streams", streams, count * Long.BYTES),
            count,
            stats,
            ThreadPool.handle(pool)));
  }

  /**
   * Reads logits that are never stored: those of {@link Matrix#multiply}, with the bits that {@link
   * #compute(LogitsOptions, MemorySegment, MemorySegment, long, long, long, MemorySegment,
   * MemorySegment, long, ThreadPool)} finds in them.
   *
   * @param options how; for floats, without filters
   * @param head its rows are the tokens
   * @param x m rows of as many floats as head has columns
   * @param unconditional as many, or null: no guidance
   * @param xStride from row to row, at least the columns of head
   * @param m number of rows, at most the buffer's
   * @param streams int64 numbers that name the random numbers of the draws; null: the rows' numbers
   * @param workspace scratch memory
   * @param pool threads, or null
   * @throws SylvesterException as for rows of logits
   */
  public void compute(
      LogitsOptions options,
      Matrix head,
      MemorySegment x,
      MemorySegment unconditional,
      long xStride,
      long m,
      MemorySegment streams,
      Workspace workspace,
      ThreadPool pool) {
    String function = "LogitsStats.compute";
    Args.present(function, "options", options);
    Args.present(function, "head", head);
    Args.range(function, "m", m, 0, capacity);
    long bytes = Args.floats(function, "x", m, head.cols(), xStride);
    Args.input(function, "x", x, bytes);
    MemorySegment other = Args.optional(function, "unconditional", unconditional, bytes);
    MemorySegment named = Args.optional(function, "streams", streams, m * Long.BYTES);
    Args.present(function, "workspace", workspace).begin();
    try {
      SylvesterException.check(
          SylvesterFfi.syl_logits_stats_product_workspace(
              options.struct,
              head.type().id(),
              head.rows(),
              head.cols(),
              m,
              unconditional == null ? 0 : 1,
              pool == null ? 1 : pool.threads(),
              workspace.results));
      MemorySegment scratch = workspace.sized();
      SylvesterException.check(
          SylvesterFfi.syl_logits_stats_product_f32(
              options.struct,
              head.type().id(),
              head.packed(),
              head.rows(),
              head.cols(),
              x,
              other,
              xStride,
              m,
              named,
              stats,
              scratch,
              scratch.byteSize(),
              ThreadPool.handle(pool)));
    } finally {
      workspace.end();
    }
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
   * Largest logit of another index; equal to {@link #max} in a tie.
   *
   * @param row which row
   * @return the logit; -inf when there is none
   */
  public float second(long row) {
    return stats.get(
        syl_logits_stats.second$layout(), offset(row, syl_logits_stats.second$offset()));
  }

  /**
   * Difference of the two largest logits, which Prophet (arXiv 2508.19982) stops by.
   *
   * @param row which row
   * @return max - second
   */
  public float gap(long row) {
    return max(row) - second(row);
  }

  /**
   * The token that was drawn; the argmax where nothing is drawn.
   *
   * @param row which row
   * @return the token
   */
  public int token(long row) {
    return stats.get(syl_logits_stats.token$layout(), offset(row, syl_logits_stats.token$offset()));
  }

  /**
   * {@code log sum_i exp(z_i / T)}.
   *
   * @param row which row
   * @return the logarithm
   */
  public double logSumExp(long row) {
    return number(row, syl_logits_stats.log_sum_exp$offset());
  }

  /**
   * {@code sum exp((z_i - max) / T)} without the argmax: {@code p = 1 / (1 + tail)} is the argmax's
   * probability, and {@code 1 - p = tail / (1 + tail)} keeps its digits where p is near 1.
   *
   * @param row which row
   * @return the sum; NaN when the row has no probabilities
   */
  public double tail(long row) {
    return number(row, syl_logits_stats.tail$offset());
  }

  /**
   * Entropy of the probabilities.
   *
   * @param row which row
   * @return {@code -sum_i p_i log p_i}, in nats
   */
  public double entropy(long row) {
    return number(row, syl_logits_stats.entropy$offset());
  }

  /**
   * Difference of the two largest probabilities.
   *
   * @param row which row
   * @return {@code p(argmax) (1 - exp((second - max) / T))}
   */
  public double margin(long row) {
    return number(row, syl_logits_stats.margin$offset());
  }

  /**
   * Probability of the {@link #token}.
   *
   * @param row which row
   * @return p(token)
   */
  public double probability(long row) {
    return number(row, syl_logits_stats.probability$offset());
  }

  /**
   * The C structures {@code syl_logits_stats}, for those who call the C functions themselves.
   *
   * @return one for each row
   */
  public MemorySegment toNative() {
    return stats;
  }

  private double number(long row, long field) {
    return stats.get(syl_logits_stats.tail$layout(), offset(row, field));
  }

  private long offset(long row, long field) {
    return Objects.checkIndex(row, capacity) * SIZE + field;
  }
}
