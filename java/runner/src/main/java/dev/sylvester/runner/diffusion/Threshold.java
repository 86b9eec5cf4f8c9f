package dev.sylvester.runner.diffusion;

/**
 * The most confident candidate, and all whose confidence reaches a threshold (Fast-dLLM, arXiv
 * 2505.22618).
 *
 * @param threshold of the probability of the proposed token
 */
public record Threshold(double threshold) implements CommitRule {
  /** Checks the value. */
  public Threshold {
    if (!(threshold >= 0 && threshold <= 1)) {
      throw new IllegalArgumentException("threshold is %s, must be 0..1".formatted(threshold));
    }
  }

  @Override
  public void select(Predictions predictions, Decoding decoding, Picks picks) {
    int[] order = picks.byConfidence(predictions);
    for (int i = 0; i < predictions.candidates(); i++) {
      if (i > 0 && predictions.confidence(order[i]) < threshold) {
        break;
      }
      picks.commit(order[i]);
    }
  }
}
