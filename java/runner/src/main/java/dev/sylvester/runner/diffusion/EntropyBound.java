package dev.sylvester.runner.diffusion;

/**
 * The candidates with the lowest entropies, as long as those before them add up to at most a bound
 * (EB-Sampler, arXiv 2505.24857).
 *
 * @param bound in nats, 0 or more
 */
public record EntropyBound(double bound) implements CommitRule {
  /** Checks the value. */
  public EntropyBound {
    if (!(bound >= 0 && bound < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException("entropy bound is %s, must be 0 or more".formatted(bound));
    }
  }

  @Override
  public void select(Predictions predictions, Decoding decoding, Picks picks) {
    for (int row = 0; row < predictions.candidates(); row++) {
      picks.score(row, -predictions.entropy(row));
    }
    int[] order = picks.ordered(predictions.candidates());
    double before = 0;
    for (int i = 0; i < predictions.candidates() && (i == 0 || before <= bound); i++) {
      picks.commit(order[i]);
      before += predictions.entropy(order[i]);
    }
  }
}
