package dev.sylvester.kernels.spec;

/**
 * How often candidates of a source were accepted, by what the source thought of them, which turns
 * confidences into probabilities; and what a candidate costs. Old outcomes count less and less.
 */
final class SourceMeans {
  private static final int BUCKETS = 20;
  private static final double PRIOR = 4; // outcomes that a bucket borrows from all of them
  private static final double FIRST_MEAN = 0.7;
  private static final double MEMORY = 500; // outcomes of a bucket
  private static final double KEEP = 0.97; // of a draft's weight after the next one

  private final double[] seen = new double[BUCKETS];
  private final double[] accepted = new double[BUCKETS];
  private double candidates;
  private double nanos;
  private double allSeen;
  private double allAccepted;

  /** Probability that a candidate is accepted whose predecessors are. */
  float estimate(double confidence) {
    double mean = mean();
    if (Double.isNaN(confidence)) {
      return (float) mean;
    }
    int bucket = bucket(confidence);
    return (float) ((accepted[bucket] + PRIOR * mean) / (seen[bucket] + PRIOR));
  }

  /** The mean over all candidates that verification came to. */
  double mean() {
    return (allAccepted + PRIOR * FIRST_MEAN) / (allSeen + PRIOR);
  }

  /** Counts a candidate that verification came to. */
  void add(double confidence, boolean wasAccepted) {
    if (allSeen >= MEMORY) {
      allSeen /= 2;
      allAccepted /= 2;
    }
    allSeen++;
    allAccepted += wasAccepted ? 1 : 0;
    if (Double.isNaN(confidence)) {
      return;
    }
    int bucket = bucket(confidence);
    if (seen[bucket] >= MEMORY) {
      seen[bucket] /= 2;
      accepted[bucket] /= 2;
    }
    seen[bucket]++;
    accepted[bucket] += wasAccepted ? 1 : 0;
  }

  /** Counts the drafting of some candidates, each after another one. */
  void addDraft(int count, double draftNanos) {
    candidates = KEEP * candidates + count;
    nanos = KEEP * nanos + draftNanos;
  }

  /** Time of a candidate in the draft; 0 before the first. */
  double nanosPerCandidate() {
    return candidates == 0 ? 0 : nanos / candidates;
  }

  private static int bucket(double confidence) {
    return Math.clamp((int) (confidence * BUCKETS), 0, BUCKETS - 1);
  }
}
