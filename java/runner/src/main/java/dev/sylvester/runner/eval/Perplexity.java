package dev.sylvester.runner.eval;

import dev.sylvester.kernels.LogitsStats;
import dev.sylvester.runner.Session;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Mean negative log-likelihood of a text: cut into windows that do not overlap, each from an empty
 * cache, averaged over all positions of a window but its first. A short last window is dropped.
 */
public final class Perplexity {
  private Perplexity() {}

  /**
   * The result.
   *
   * @param nll mean negative log-likelihood, in nats
   * @param tokens positions it is the mean of
   */
  public record Result(double nll, long tokens) {
    /** {@code exp(nll)}. */
    public double perplexity() {
      return Math.exp(nll);
    }
  }

  /** Also wants to see the logits of every position that predicts a token of the window. */
  @FunctionalInterface
  interface Watcher {
    void row(int position, MemorySegment logits, double logSumExp);
  }

  /** Of all windows of a text. */
  public static Result of(Session session, int[] tokens, int window) {
    double sum = 0;
    List<int[]> windows = windows(tokens, window);
    for (int[] text : windows) {
      sum += sum(session, text, (position, logits, logSumExp) -> {});
    }
    long positions = (long) windows.size() * (window - 1);
    return new Result(sum / positions, positions);
  }

  /**
   * The windows of a text.
   *
   * @throws IllegalArgumentException when there is none
   */
  static List<int[]> windows(int[] tokens, int window) {
    if (window < 2) {
      throw new IllegalArgumentException("context is %d, must be at least 2".formatted(window));
    }
    if (tokens.length < window) {
      throw new IllegalArgumentException(
          "the text has %,d tokens, fewer than one window of %,d".formatted(tokens.length, window));
    }
    List<int[]> windows = new ArrayList<>();
    for (int from = 0; from + window <= tokens.length; from += window) {
      windows.add(Arrays.copyOfRange(tokens, from, from + window));
    }
    return windows;
  }

  /** Negative log-likelihood of a window, from an empty cache. */
  static double sum(Session session, int[] window, Watcher watcher) {
    int vocab = session.model().config().vocabSize();
    double[] sum = {0};
    session.reset();
    try (Arena arena = Arena.ofConfined()) {
      LogitsStats stats = LogitsStats.allocate(1, arena);
      session.append(
          window,
          (first, rows, logits) -> {
            for (int row = 0; row < rows && first + row + 1 < window.length; row++) {
              long bytes = (long) vocab * Float.BYTES;
              MemorySegment values = logits.asSlice(row * bytes, bytes);
              stats.compute(values, vocab, 1, vocab, null);
              float chosen = values.getAtIndex(ValueLayout.JAVA_FLOAT, window[first + row + 1]);
              sum[0] += stats.logSumExp(0) - chosen;
              watcher.row(first + row, values, stats.logSumExp(0));
            }
          });
    }
    return sum[0];
  }
}
