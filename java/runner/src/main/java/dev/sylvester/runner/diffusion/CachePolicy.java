package dev.sylvester.runner.diffusion;

import java.util.Locale;

/**
 * Which positions a pass computes anew; keys and values of the others are those of an earlier pass.
 * Only {@link #NONE} is exact: a bidirectional model's keys and values change with every token.
 */
public enum CachePolicy {
  /** Everything, always. */
  NONE,
  /** After a window's first pass only the window and what is behind it (Fast-dLLM). */
  PREFIX,
  /** After a window's first pass only the window (Fast-dLLM). */
  DUAL;

  /** First position that is computed. */
  int from(Schedule.Stage stage, boolean firstPass, boolean shifted) {
    // A shifted model predicts the window's first position in the row before it.
    return firstPass || this == NONE ? 0 : Math.max(0, stage.from() - (shifted ? 1 : 0));
  }

  /** The end of what is computed. */
  int to(Schedule.Stage stage, boolean firstPass, int length) {
    return firstPass || this != DUAL ? length : stage.to();
  }

  /** Lower case, as on the command line. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
