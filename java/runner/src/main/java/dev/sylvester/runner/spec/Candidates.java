package dev.sylvester.runner.spec;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.LogitsStats;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** The most probable tokens of a row of logits, the most probable first. */
final class Candidates implements AutoCloseable {
  private final Arena arena = Arena.ofShared();
  private final int vocabulary;
  private final MemorySegment row;
  private final LogitsStats stats;
  private final int[] tokens;
  private final float[] logits;
  private int count;

  /**
   * For rows of so many tokens.
   *
   * @param most tokens that are wanted
   */
  Candidates(int vocabulary, int most) {
    this.vocabulary = vocabulary;
    this.row = arena.allocate((long) vocabulary * Float.BYTES, 64);
    this.stats = LogitsStats.allocate(1, arena);
    this.tokens = new int[most + 1];
    this.logits = new float[most + 1];
  }

  /** Where a row of logits goes before {@link #find}. */
  MemorySegment row() {
    return row;
  }

  /** Finds so many; fewer when others are impossible. */
  void find(int wanted) {
    count = 0;
    for (int token = 0; token < vocabulary; token++) {
      float logit = row.getAtIndex(JAVA_FLOAT, token);
      if (logit > Float.NEGATIVE_INFINITY && (count < wanted || logit > logits[count - 1])) {
        int at = count;
        for (; at > 0 && logit > logits[at - 1]; at--) {
          logits[at] = logits[at - 1];
          tokens[at] = tokens[at - 1];
        }
        logits[at] = logit;
        tokens[at] = token;
        count = Math.min(count + 1, wanted);
      }
    }
    stats.compute(row, vocabulary, 1, vocabulary, null);
  }

  int count() {
    return count;
  }

  int token(int rank) {
    return tokens[rank];
  }

  double probability(int rank) {
    return Math.exp(logits[rank] - stats.logSumExp(0));
  }

  @Override
  public void close() {
    arena.close();
  }
}
