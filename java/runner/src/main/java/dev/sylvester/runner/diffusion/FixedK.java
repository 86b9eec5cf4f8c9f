package dev.sylvester.runner.diffusion;

import java.util.Objects;

/**
 * As many positions as the schedule says, those with the highest score.
 *
 * @param score what counts
 * @param temperature randomness of the choice of positions, 0: none; Dream's {@code alg_temp}
 */
public record FixedK(Score score, double temperature) implements CommitRule {
  /** A number for each candidate. */
  public enum Score {
    /**
     * Probability of the proposed token: LLaDA's low_confidence remasking, Dream's maskgit_plus.
     */
    CONFIDENCE,
    /** Probability of the best token less that of the second: Dream's topk_margin. */
    MARGIN,
    /** Minus the entropy: Dream's entropy. */
    NEGATIVE_ENTROPY,
    /** A random number: LLaDA's random remasking. */
    RANDOM
  }

  /** Checks the values. */
  public FixedK {
    Objects.requireNonNull(score, "score");
    if (!(temperature >= 0 && temperature < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException(
          "position temperature is %s, must be 0 or more".formatted(temperature));
    }
  }

  /** Without randomness. */
  public FixedK(Score score) {
    this(score, 0);
  }

  @Override
  public boolean adaptive() {
    return false;
  }

  @Override
  public boolean idle(Schedule.Stage stage) {
    return stage.quota() == 0;
  }

  @Override
  public void select(Predictions predictions, Decoding decoding, Picks picks) {
    for (int row = 0; row < predictions.candidates(); row++) {
      picks.score(row, score(predictions, decoding, row));
    }
    int[] order = picks.ordered(predictions.candidates());
    // After a constraint there can be fewer than the schedule thinks.
    int count = Math.min(decoding.stage().quota(), predictions.candidates());
    for (int i = 0; i < count; i++) {
      picks.commit(order[i]);
    }
  }

  private double score(Predictions predictions, Decoding decoding, int row) {
    int position = predictions.position(row);
    double value =
        switch (score) {
          case CONFIDENCE -> predictions.confidence(row);
          case MARGIN -> predictions.margin(row);
          case NEGATIVE_ENTROPY -> -predictions.entropy(row);
          case RANDOM -> decoding.uniform(position);
        };
    // The k largest of these are a draw without replacement from softmax(value / temperature).
    return temperature == 0
        ? value
        : value / temperature - Math.log(-Math.log(decoding.uniform(position)));
  }
}
