package dev.sylvester.runner.eval;

import dev.sylvester.runner.Generation;

/**
 * How problems went.
 *
 * @param right number of those whose result is exactly theirs
 * @param problems number of all
 * @param steps decode steps
 * @param seconds time of these
 */
public record Score(int right, int problems, int steps, double seconds) {
  /** Of no problems. */
  public static final Score NONE = new Score(0, 0, 0, 0);

  /** With one more. */
  public Score plus(boolean solved, Generation generation) {
    return new Score(
        right + (solved ? 1 : 0),
        problems + 1,
        steps + generation.decodeSteps(),
        seconds + generation.decodeSeconds());
  }

  /** Share that is right, 0..1. */
  public double accuracy() {
    return problems == 0 ? 0 : (double) right / problems;
  }

  /** Decode speed. */
  public double tokensPerSecond() {
    return seconds == 0 ? 0 : steps / seconds;
  }
}
