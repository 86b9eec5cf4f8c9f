package dev.sylvester.runner.eval;

import dev.sylvester.runner.Session;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * How far the predictions of sessions are from those of a reference: the mean Kullback-Leibler
 * divergence {@code sum p (log p - log q)} in nats, p the reference's. Holds the reference's logits
 * of a window.
 */
public final class Divergence implements AutoCloseable {
  /** Less than this counts for nothing in a sum of a vocabulary's terms. */
  private static final double LEAST_LOG = -40;

  /**
   * Sums over a window's positions but the first.
   *
   * @param nll negative log-likelihood
   * @param divergence from the reference
   * @param tokens number of positions
   */
  public record Sums(double nll, double divergence, long tokens) {
    /** Of nothing. */
    public static final Sums NONE = new Sums(0, 0, 0);

    /** With those of another window. */
    public Sums plus(Sums other) {
      return new Sums(nll + other.nll, divergence + other.divergence, tokens + other.tokens);
    }

    /** Mean over the positions. */
    public double meanNll() {
      return nll / tokens;
    }

    /** Mean over the positions. */
    public double meanDivergence() {
      return divergence / tokens;
    }
  }

  private final int vocab;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment reference;
  private final double[] logSumExp;
  private int[] window;

  /**
   * Room for windows.
   *
   * @param vocab size of the vocabulary
   * @param most longest window
   */
  public Divergence(int vocab, int most) {
    this.vocab = vocab;
    this.logSumExp = new double[most];
    this.reference = arena.allocate((long) most * vocab * Float.BYTES, Float.BYTES);
  }

  /** Has the reference read a window. */
  public Sums reference(Session session, int[] tokens) {
    window = tokens;
    double nll =
        Perplexity.sum(
            session,
            tokens,
            (position, logits, sum) -> {
              logSumExp[position] = sum;
              MemorySegment.copy(
                  logits, 0, reference, (long) position * vocab * Float.BYTES, logits.byteSize());
            });
    return new Sums(nll, 0, tokens.length - 1L);
  }

  /** Has another session read the same window. */
  public Sums of(Session session) {
    double[] sum = {0};
    double nll =
        Perplexity.sum(
            session, window, (position, logits, ofRow) -> sum[0] += row(position, logits, ofRow));
    return new Sums(nll, sum[0], window.length - 1L);
  }

  private double row(int position, MemorySegment logits, double ofRow) {
    long first = (long) position * vocab;
    double sum = 0;
    for (int i = 0; i < vocab; i++) {
      double p = reference.getAtIndex(ValueLayout.JAVA_FLOAT, first + i) - logSumExp[position];
      if (p > LEAST_LOG) {
        double q = logits.getAtIndex(ValueLayout.JAVA_FLOAT, i) - ofRow;
        sum += Math.exp(p) * (p - q);
      }
    }
    return sum;
  }

  @Override
  public void close() {
    arena.close();
  }
}
