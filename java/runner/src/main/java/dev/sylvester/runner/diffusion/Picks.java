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

  /**
   * Commits the token that this row of the predictions proposes; behind the candidates it replaces
   * a committed one.
   */
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

  /** Gives a candidate row the number that it is ordered by; the higher, the sooner. */
  public void score(int row, double score) {
    scores[row] = score;
  }

  /**
   * Candidate rows, the highest score first, equal ones in their order.
   *
   * @param candidates rows 0 and on that have been given a score
   * @return rows; overwritten by the next call
   */
  public int[] ordered(int candidates) {
    for (int row = 0; row < candidates; row++) {
      int at = row;
      while (at > 0 && scores[order[at - 1]] < scores[row]) {
        order[at] = order[at - 1];
        at--;
      }
      order[at] = row;
    }
    return order;
  }

  /** Candidates, the most confident first. */
  int[] byConfidence(Predictions predictions) {
    for (int row = 0; row < predictions.candidates(); row++) {
      score(row, predictions.confidence(row));
    }
    return ordered(predictions.candidates());
  }
}
