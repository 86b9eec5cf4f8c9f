package dev.sylvester.runner.diffusion;

/** Which positions become certain in a step. Ties go to the lower position. */
public interface CommitRule {
  /**
   * Chooses.
   *
   * @param predictions of the candidates, the unknown positions of the window
   * @param decoding the canvas and how far it is
   * @param picks takes the choice
   */
  void select(Predictions predictions, Decoding decoding, Picks picks);

  /**
   * Whether it decides itself how many positions it commits: then a window lasts until it is full.
   */
  default boolean adaptive() {
    return true;
  }

  /** Whether it commits nothing in this stage whatever the predictions are: saves a pass. */
  default boolean idle(Schedule.Stage stage) {
    return false;
  }

  /**
   * Whether it asks for {@link Predictions#probability} of tokens that are not proposed: they are
   * not known beside filters.
   */
  default boolean readsProbabilities() {
    return revises();
  }

  /** Whether it also wants to see what the model says about tokens of the window it committed. */
  default boolean revises() {
    return false;
  }

  /**
   * Most passes over a window that is full, for rules that replace committed tokens. They end
   * sooner when one changes nothing.
   */
  default int editPasses() {
    return 0;
  }
}
