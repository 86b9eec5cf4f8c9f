package dev.sylvester.runner.diffusion;

/** Where the next tokens are committed, and how many. Has no state of its own. */
public interface Schedule {

  /**
   * What a step is about.
   *
   * @param from first position of the active window
   * @param to end of the window; positions before {@code from} that are still unknown belong to it
   *     too
   * @param quota how many positions a rule with fixed numbers commits
   * @param rate the share of unknown positions that {@link Origin} commits on average
   */
  record Stage(int from, int to, int quota, double rate) {}

  /**
   * Steps it plans; rules that decide the number themselves ({@link CommitRule#adaptive}) take
   * others.
   *
   * @throws IllegalArgumentException when it does not fit the canvas
   */
  int steps(Canvas canvas);

  /** The stage of the current step; null when nothing is left to do. */
  Stage stage(Decoding decoding);
}
