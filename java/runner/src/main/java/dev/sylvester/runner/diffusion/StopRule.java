package dev.sylvester.runner.diffusion;

/**
 * When the rest is known: then every unknown position takes its most probable token at once. Asked
 * before a step's commits.
 */
public interface StopRule {
  /** Never: the schedule runs to its end. */
  StopRule NEVER =
      new StopRule() {
        @Override
        public String name() {
          return "none";
        }
      };

  /** What a result calls it. */
  String name();

  /**
   * Refuses a canvas.
   *
   * @throws IllegalArgumentException when it does not suit
   */
  default void check(Canvas canvas) {}

  /** Whether what is committed is enough; asked before a pass, which is saved. */
  default boolean isDone(Decoding decoding) {
    return false;
  }

  /** Adds the positions whose predictions it wants to see. */
  default void watch(Decoding decoding, Predictions wanted) {}

  /** Whether the predictions are sure enough. */
  default boolean isSure(Predictions predictions, Decoding decoding) {
    return false;
  }
}
