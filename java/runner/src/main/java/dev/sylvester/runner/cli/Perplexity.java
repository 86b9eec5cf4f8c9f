package dev.sylvester.runner.cli;

import dev.sylvester.kernels.LogitsStats;
import dev.sylvester.runner.Session;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Mean negative log-likelihood of a text: cut into windows that do not overlap, each from an empty
 * cache, averaged over all positions of a window but its first. A short last window is dropped.
 */
final class Perplexity {
  private Perplexity() {}

  /**
   * The result.
   *
   * @param nll mean negative log-likelihood, in nats
   * @param tokens positions it is the mean of
   */
  record Result(double nll, long tokens) {
    double perplexity() {
      return Math.exp(nll);
    }
  }

  static Result of(Session session, int[] tokens, int window) {
    if (window < 2) {
      throw new IllegalArgumentException("context is %d, must be at least 2".formatted(window));
    }
    if (tokens.length < window) {
      throw new IllegalArgumentException(
          "the text has %,d tokens, fewer than one window of %,d".formatted(tokens.length, window));
    }
    int vocab = session.model().config().vocabSize();
    double sum = 0;
    int windows = tokens.length / window;
    for (int i = 0; i < windows; i++) {
      session.reset();
      sum += sum(session, Arrays.copyOfRange(tokens, i * window, (i + 1) * window), vocab);
    }
    long positions = (long) windows * (window - 1);
    return new Result(sum / positions, positions);
  }

  private static double sum(Session session, int[] window, int vocab) {
    double[] sum = {0};
    try (Arena arena = Arena.ofConfined()) {
      LogitsStats stats = LogitsStats.allocate(1, arena);
      session.append(
          window,
          (first, rows, logits) -> {
            for (int row = 0; row < rows && first + row + 1 < window.length; row++) {
              long begin = (long) row * vocab * Float.BYTES;
              stats.compute(logits.asSlice(begin), vocab, 1, vocab, null);
              float chosen =
                  logits.getAtIndex(
                      ValueLayout.JAVA_FLOAT, (long) row * vocab + window[first + row + 1]);
              sum[0] += stats.logSumExp(0) - chosen;
            }
          });
    }
    return sum[0];
  }
}
