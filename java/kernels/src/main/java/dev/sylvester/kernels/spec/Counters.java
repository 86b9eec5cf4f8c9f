package dev.sylvester.kernels.spec;

import java.util.Arrays;

/** Sums of {@link SpecStats}. */
final class Counters {
  private static final int BINS = 10;

  private final long[] proposedAt;
  private final long[] acceptedAt;
  private final long[] lengths;
  private final long[] triedByRank;
  private final long[] acceptedByRank;
  private final double[] predicted = new double[BINS];
  private final long[] outcomes = new long[BINS];
  private final long[] hits = new long[BINS];
  private long rounds;
  private long drafted;
  private long accepted;
  private long emitted;
  private long invalid;
  private long draftNanos;
  private long targetNanos;
  private long verifyNanos;

  Counters(int nodes) {
    proposedAt = new long[nodes];
    acceptedAt = new long[nodes];
    lengths = new long[nodes + 1];
    triedByRank = new long[nodes];
    acceptedByRank = new long[nodes];
  }

  /** Counts a round; depth is that of the deepest candidate. */
  void round(int candidates, int depth, int acceptedCandidates, int tokens) {
    rounds++;
    drafted += candidates;
    accepted += acceptedCandidates;
    emitted += tokens;
    lengths[candidates]++;
    for (int i = 0; i < depth; i++) {
      proposedAt[i]++;
    }
    for (int i = 0; i < acceptedCandidates; i++) {
      acceptedAt[i]++;
    }
  }

  /** Counts a node that became text: its children, and which of them did; none: their number. */
  void children(int count, int acceptedRank) {
    for (int rank = 0; rank < count; rank++) {
      triedByRank[rank]++;
    }
    if (acceptedRank < count) {
      acceptedByRank[acceptedRank]++;
    }
  }

  void times(long draft, long target, long verify) {
    draftNanos += draft;
    targetNanos += target;
    verifyNanos += verify;
  }

  /** Tokens that did not become text after all. */
  void cut(int tokens) {
    emitted -= tokens;
  }

  /** Counts what a candidate was predicted and what became of it. */
  void prediction(float probability, boolean wasAccepted) {
    if (Float.isNaN(probability)) {
      invalid++;
      return;
    }
    int bin = Math.min((int) (probability * BINS), BINS - 1);
    predicted[bin] += probability;
    outcomes[bin]++;
    hits[bin] += wasAccepted ? 1 : 0;
  }

  SpecStats stats(double plainNanos) {
    return new SpecStats(
        rounds,
        drafted,
        accepted,
        emitted,
        trimmed(proposedAt),
        trimmed(acceptedAt),
        trimmed(lengths),
        trimmed(triedByRank),
        Arrays.copyOf(acceptedByRank, trimmed(triedByRank).length),
        lengths[0],
        invalid,
        calibrationError(),
        draftNanos,
        targetNanos,
        verifyNanos,
        plainNanos);
  }

  private double calibrationError() {
    double error = 0;
    long all = 0;
    for (int bin = 0; bin < BINS; bin++) {
      error += Math.abs(predicted[bin] - hits[bin]);
      all += outcomes[bin];
    }
    return error / all;
  }

  private static long[] trimmed(long[] values) {
    int length = values.length;
    while (length > 0 && values[length - 1] == 0) {
      length--;
    }
    return Arrays.copyOf(values, length);
  }
}
