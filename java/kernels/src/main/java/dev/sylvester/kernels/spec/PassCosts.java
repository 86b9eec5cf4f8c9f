package dev.sylvester.kernels.spec;

/**
 * What a pass of the target costs by its number of rows, which is no straight line: kernels take
 * rows in blocks. Passes so far are a mean for each number of rows, which forgets the first ones,
 * with cold caches, soon; what lies between is interpolated.
 */
final class PassCosts {
  private static final int MEMORY = 16; // passes of a mean
  private static final double OUTLIER = 3;

  private final double[] means; // by rows
  private final int[] seen;
  private final double[] costs; // the means, with what lies between them
  private int most;
  private double slope; // beyond the most

  /** Passes of at most so many rows. */
  PassCosts(int rows) {
    means = new double[rows + 1];
    seen = new int[rows + 1];
    costs = new double[rows + 1];
  }

  /** Counts a pass. */
  void add(int rows, double nanos) {
    // A pass that the system interrupted says nothing about the model.
    double highest = seen[rows] > 0 ? OUTLIER * means[rows] : bound(rows);
    seen[rows]++;
    means[rows] += (Math.min(nanos, highest) - means[rows]) / Math.min(seen[rows], MEMORY);
    most = Math.max(most, rows);
    interpolate();
  }

  /**
   * The least that passes of fewer rows allow: as many of those as it takes, one after the other.
   */
  private double bound(int rows) {
    double least = Double.POSITIVE_INFINITY;
    for (int fewer = 1; fewer < Math.min(rows, most + 1); fewer++) {
      if (seen[fewer] > 0) {
        least = Math.min(least, means[fewer] * ((rows + fewer - 1) / fewer));
      }
    }
    return least;
  }

  private void interpolate() {
    int above = most;
    costs[most] = means[most];
    slope = 0;
    for (int rows = most - 1; rows >= 1; rows--) {
      if (seen[rows] == 0) {
        costs[rows] = costs[above];
        continue;
      }
      // A pass of more rows could stand for it.
      costs[rows] = Math.min(means[rows], costs[above]);
      double step = (costs[above] - costs[rows]) / (above - rows);
      if (above == most) {
        slope = step;
      }
      for (int between = rows + 1; between < above; between++) {
        costs[between] = costs[rows] + step * (between - rows);
      }
      above = rows;
    }
  }

  /** How many passes of one row there were. */
  int ones() {
    return seen[1];
  }

  /** A pass of so many rows; NaN before the first. */
  double of(int rows) {
    if (most == 0) {
      return Double.NaN;
    }
    return rows <= most ? costs[rows] : costs[most] + slope * (rows - most);
  }
}
