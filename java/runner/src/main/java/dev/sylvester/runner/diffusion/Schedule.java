package dev.sylvester.runner.diffusion;

/** Where the next tokens are committed, and how many. Has no state of its own. */
public interface Schedule {

  /** What a step is about. A decoding has one, which is written anew for each step. */
  final class Stage {
    private int from;
    private int to;
    private int quota;
    private double rate;

    Stage() {}

    /**
     * Writes it.
     *
     * @param from first position of the active window
     * @param to end of the window; positions before {@code from} that are still unknown belong to
     *     it too
     * @param quota how many positions a rule with fixed numbers commits
     * @param rate the share of unknown positions that {@link Origin} commits on average
     */
    public void set(int from, int to, int quota, double rate) {
      this.from = from;
      this.to = to;
      this.quota = quota;
      this.rate = rate;
    }

    /** First position of the active window. */
    public int from() {
      return from;
    }

    /** End of the window. */
    public int to() {
      return to;
    }

    /** How many positions a rule with fixed numbers commits. */
    public int quota() {
      return quota;
    }

    /** The share of unknown positions that {@link Origin} commits on average. */
    public double rate() {
      return rate;
    }
  }

  /**
   * Steps it plans; rules that decide the number themselves ({@link CommitRule#adaptive}) take
   * others.
   *
   * @throws IllegalArgumentException when it does not fit the canvas
   */
  int steps(Canvas canvas);

  /**
   * Writes the stage of the current step.
   *
   * @return false when nothing is left to do
   */
  boolean plan(Decoding decoding, Stage stage);
}
