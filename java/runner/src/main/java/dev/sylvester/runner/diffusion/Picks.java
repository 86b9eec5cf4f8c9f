package dev.sylvester.runner.diffusion;

/** What a rule chose in a step. */
public final class Picks {
  private final int[] commits;
  private final int[] remasks;
  private final double[] scores;
  private final int[] order;
  private int commitCount;
  private int remaskCount;

  Picks(int length) {
    commits = new int[length];
    remasks = new int[length];
    scores = new double[length];
    order = new int[length];
  }

  void clear() {
    commitCount = 0;
    remaskCount = 0;
  }

  /** Commits the token that this row of the predictions proposes. */
  public void commit(int row) {
    commits[commitCount++] = row;
  }

  /** Makes a committed position unknown again. */
  public void remask(int position) {
    remasks[remaskCount++] = position;
  }

  /** Number of committed rows so far. */
  public int commits() {
    return commitCount;
  }

  int remasks() {
    return remaskCount;
  }

  int remaskAt(int index) {
    return remasks[index];
  }

  int commitAt(int index) {
    return commits[index];
  }

  /** A number for each candidate row, to be ordered by. */
  @FunctionalInterface
  public interface Scoring {
    /** The higher, the sooner. */
    double of(int row);
  }

  /**
   * Candidate rows, the highest score first, equal ones in their order.
   *
   * @return rows; overwritten by the next call
   */
  public int[] ordered(int candidates, Scoring scoring) {
    for (int row = 0; row < candidates; row++) {
      double score = scoring.of(row);
      int at = row;
      while (at > 0 && scores[order[at - 1]] < score) {
        order[at] = order[at - 1];
        at--;
      }
      order[at] = row;
      scores[row] = score;
    }
    return order;
  }
}
