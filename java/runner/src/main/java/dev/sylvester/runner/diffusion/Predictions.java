package dev.sylvester.runner.diffusion;

import java.util.Arrays;

/**
 * What the model says about some positions, a row for each: first the candidates in ascending
 * order, then others that somebody wanted to see.
 */
public final class Predictions {
  private final int[] positions;
  private final int[] rows;
  private int count;
  private int candidates;
  private RowStats stats;

  Predictions(int length) {
    positions = new int[length];
    rows = new int[length];
    Arrays.fill(rows, -1);
  }

  void clear() {
    for (int i = 0; i < count; i++) {
      rows[positions[i]] = -1;
    }
    count = 0;
    candidates = 0;
  }

  /** Adds a row for a position; for {@link StopRule#watch}, nothing when it has one already. */
  public void add(int position) {
    if (rows[position] < 0) {
      rows[position] = count;
      positions[count++] = position;
    }
  }

  void endOfCandidates() {
    candidates = count;
  }

  void set(RowStats stats) {
    this.stats = stats;
  }

  /** Whether it has the same rows as another one. */
  boolean asksAs(Predictions other) {
    return Arrays.equals(positions, 0, count, other.positions, 0, other.count);
  }

  /** Number of rows. */
  public int count() {
    return count;
  }

  /** Number of candidates, the first rows. */
  public int candidates() {
    return candidates;
  }

  /** The position of a row. */
  public int position(int row) {
    return positions[row];
  }

  /** The row of a position, or -1. */
  public int row(int position) {
    return rows[position];
  }

  /** The token that is proposed for a row: the most probable one, or one drawn at a temperature. */
  public int token(int row) {
    return stats.token(row);
  }

  /** The most probable token. */
  public int argmax(int row) {
    return stats.argmax(row);
  }

  /** Probability of the proposed token. */
  public double confidence(int row) {
    return stats.probability(row);
  }

  /** Probability of the best token less that of the second. */
  public double margin(int row) {
    return stats.margin(row);
  }

  /** Entropy in nats. */
  public double entropy(int row) {
    return stats.entropy(row);
  }

  /** Logit of the best token less that of the second. */
  public double gap(int row) {
    return stats.gap(row);
  }

  /** Probability of any token, for rules with {@link CommitRule#readsProbabilities}. */
  public double probability(int row, int token) {
    return stats.probability(row, token);
  }
}
