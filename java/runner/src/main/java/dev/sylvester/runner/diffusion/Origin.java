package dev.sylvester.runner.diffusion;

/** Every candidate by itself with the schedule's rate as probability: Dream's origin. */
public record Origin() implements CommitRule {
  @Override
  public boolean adaptive() {
    return false;
  }

  @Override
  public void select(Predictions predictions, Decoding decoding, Picks picks) {
    for (int row = 0; row < predictions.candidates(); row++) {
      if (decoding.uniform(predictions.position(row)) < decoding.stage().rate()) {
        picks.commit(row);
      }
    }
  }
}
