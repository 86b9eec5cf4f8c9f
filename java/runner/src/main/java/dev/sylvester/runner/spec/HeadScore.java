package dev.sylvester.runner.spec;

/**
 * How well predictions fit the probabilities of acceptance.
 *
 * @param rows number of predictions
 * @param meanLabel mean probability of acceptance
 * @param divergence mean binary KL(label || prediction) in nats; SpecDec++'s measure
 * @param constantDivergence the same of the best constant prediction, the mean label
 * @param calibrationError ECE: mean difference between prediction and label over 15 equal bins
 */
public record HeadScore(
    long rows,
    double meanLabel,
    double divergence,
    double constantDivergence,
    double calibrationError) {
  private static final int BINS = 15;

  // Beyond this a float says nothing: 1 - p has no more digits.
  private static final double LEAST = 1e-7;

  /** Scores predictions; as many labels. */
  static HeadScore of(float[] predictions, float[] labels) {
    int rows = labels.length;
    double mean = 0;
    for (float label : labels) {
      mean += label / rows;
    }
    double divergence = 0;
    double constant = 0;
    double[] excess = new double[BINS];
    for (int i = 0; i < rows; i++) {
      divergence += divergence(labels[i], predictions[i]) / rows;
      constant += divergence(labels[i], mean) / rows;
      excess[Math.min((int) (predictions[i] * BINS), BINS - 1)] += predictions[i] - labels[i];
    }
    double error = 0;
    for (double sum : excess) {
      error += Math.abs(sum) / rows;
    }
    return new HeadScore(rows, mean, divergence, constant, error);
  }

  private static double divergence(double label, double prediction) {
    double p = Math.clamp(prediction, LEAST, 1 - LEAST);
    return term(label, p) + term(1 - label, 1 - p);
  }

  private static double term(double a, double p) {
    return a == 0 ? 0 : a * Math.log(a / p);
  }
}
