package dev.sylvester.runner.diffusion;

/** How sure predictions must be, as a function of progress. */
@FunctionalInterface
public interface GapThreshold {
  /**
   * The threshold.
   *
   * @param progress 0 in the first step, below 1 in the last
   * @return distance of the two best logits
   */
  double at(double progress);

  /**
   * Prophet's three stages, which begin at 0, 0.33 and 0.67. {@code (8.0, 5.0, 3.5)} is the paper's
   * choice for GSM8K, {@code (7.5, 5.0, 2.5)} for short answers.
   */
  static GapThreshold staged(double high, double middle, double low) {
    requireNumbers(high, middle, low);
    return progress -> progress < 0.33 ? high : progress < 0.67 ? middle : low;
  }

  /** {@code start - slope progress}; the paper's ablation has 8.0 and 4.5. */
  static GapThreshold linear(double start, double slope) {
    requireNumbers(start, slope);
    return progress -> start - slope * progress;
  }

  /** Half a cosine wave from high down to low. */
  static GapThreshold cosine(double high, double low) {
    requireNumbers(high, low);
    return progress -> low + (high - low) * (1 + Math.cos(Math.PI * progress)) / 2;
  }

  private static void requireNumbers(double... values) {
    for (double value : values) {
      if (!Double.isFinite(value)) {
        throw new IllegalArgumentException(
            "a threshold of the gap is %s, must be finite".formatted(value));
      }
    }
  }
}
