package dev.sylvester.kernels.spec;

/**
 * What a pass of the target costs by its number of rows: a straight line through the passes so far,
 * of which older ones count less.
 */
final class PassCosts {
  private static final double KEEP = 0.97; // of a pass's weight after the next one
  private static final double SPREAD = 0.1; // variance of rows that gives a slope
  private static final double OUTLIER = 3;

  private double weight;
  private double rows;
  private double rowSquares;
  private double nanos;
  private double products;

  /** Counts a pass. */
  void add(int rowCount, double passNanos) {
    double r = rowCount - 1;
    // A pass that the system interrupted says nothing about the model.
    double t = weight > 3 ? Math.min(passNanos, OUTLIER * of(rowCount)) : passNanos;
    weight = KEEP * weight + 1;
    rows = KEEP * rows + r;
    rowSquares = KEEP * rowSquares + r * r;
    nanos = KEEP * nanos + t;
    products = KEEP * products + r * t;
  }

  /** Whether passes of one row are unknown: those so far had all as many. */
  boolean unknown() {
    return weight == 0 || variance() < SPREAD && rows / weight > 0.5;
  }

  boolean empty() {
    return weight == 0;
  }

  /** A pass of one row; NaN before the first. */
  double first() {
    return of(1);
  }

  /** Each further row. */
  double further() {
    if (weight == 0 || variance() < SPREAD) {
      return 0;
    }
    double covariance = products / weight - rows / weight * (nanos / weight);
    // Neither a row nor the pass has a negative price.
    double most = rows == 0 ? Double.POSITIVE_INFINITY : nanos / rows;
    return Math.clamp(covariance / variance(), 0, most);
  }

  private double of(int rowCount) {
    return nanos / weight + further() * (rowCount - 1 - rows / weight);
  }

  private double variance() {
    double mean = rows / weight;
    return rowSquares / weight - mean * mean;
  }
}
