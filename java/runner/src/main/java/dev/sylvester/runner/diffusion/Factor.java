package dev.sylvester.runner.diffusion;

/**
 * The n most confident candidates as long as {@code (n + 1) (1 - confidence) <= factor} for the
 * last of them, and always one (Fast-dLLM, arXiv 2505.22618).
 *
 * @param factor above 0
 * @param lastToo as the released code: when only the last of all candidates fails, it is committed
 *     too
 */
public record Factor(double factor, boolean lastToo) implements CommitRule {
  /** Checks the value. */
  public Factor {
    if (!(factor > 0 && factor < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException("factor is %s, must be above 0".formatted(factor));
    }
  }

  /** As the paper says. */
  public Factor(double factor) {
    this(factor, false);
  }

  @Override
  public void select(Predictions predictions, Decoding decoding, Picks picks) {
    int candidates = predictions.candidates();
    int[] order = picks.byConfidence(predictions);
    int count = 1;
    while (count < candidates && predictions.confidence(order[count]) >= 1 - factor / (count + 2)) {
      count++;
    }
    if (lastToo && count == candidates - 1) {
      count++;
    }
    for (int i = 0; i < Math.min(count, candidates); i++) {
      picks.commit(order[i]);
    }
  }
}
