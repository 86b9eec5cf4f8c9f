package dev.sylvester.runner.diffusion;

/**
 * A threshold for unknown positions and another one for committed tokens, which the model may
 * replace (LLaDA2.1, as SGLang decodes it). In each step all candidates whose confidence exceeds
 * {@code threshold} are committed, or the most confident one; and committed tokens of the window
 * take the proposed one where its probability exceeds {@code edit}. A full window gets further
 * passes until nothing changes. Given tokens are never replaced, and none becomes unknown again.
 *
 * @param threshold confidence that a candidate exceeds
 * @param edit probability that another token exceeds to replace a committed one
 * @param editPasses most passes over a full window; SGLang's default is 16
 */
public record JointThreshold(double threshold, double edit, int editPasses) implements CommitRule {
  /** Checks the values. */
  public JointThreshold {
    if (!(threshold >= 0 && threshold <= 1 && edit >= 0 && edit <= 1)) {
      throw new IllegalArgumentException(
          "threshold and edit are %s and %s, must be 0..1".formatted(threshold, edit));
    }
    if (editPasses < 0) {
      throw new IllegalArgumentException(
          "edit passes is %d, must not be negative".formatted(editPasses));
    }
  }

  @Override
  public boolean revises() {
    return true;
  }

  @Override
  public void select(Predictions predictions, Decoding decoding, Picks picks) {
    int best = 0;
    for (int row = 0; row < predictions.candidates(); row++) {
      if (predictions.confidence(row) > predictions.confidence(best)) {
        best = row;
      }
      if (predictions.confidence(row) > threshold) {
        picks.commit(row);
      }
    }
    if (picks.commits() == 0 && predictions.candidates() > 0) {
      picks.commit(best);
    }
    for (int row = predictions.candidates(); row < predictions.count(); row++) {
      int position = predictions.position(row);
      int token = predictions.token(row);
      if (decoding.inWindow(position)
          && decoding.revisable(position)
          && token != decoding.token(position)
          && token != decoding.canvas().maskId()
          && predictions.confidence(row) > edit) {
        picks.commit(row);
      }
    }
  }
}
