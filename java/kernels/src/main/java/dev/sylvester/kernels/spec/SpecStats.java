package dev.sylvester.kernels.spec;

import java.util.Arrays;

/**
 * What speculation did.
 *
 * @param rounds passes of the target
 * @param drafted candidates
 * @param accepted candidates that became text
 * @param emitted tokens that became text
 * @param proposedAt by depth: rounds that had a candidate there; index 0 is depth 1
 * @param acceptedAt by depth: rounds whose candidate there became text
 * @param lengthHistogram by number of candidates, from 0 on: rounds
 * @param triedByRank by number of siblings before it: candidates whose parent became text
 * @param acceptedByRank by number of siblings before it: candidates that became text
 * @param zeroRounds rounds without a candidate
 * @param invalidPredictions predictions of a head that were NaN
 * @param ece expected calibration error of predicted acceptance, ten bins; NaN before the first
 * @param draftNanos time in the draft
 * @param targetNanos time in the target
 * @param verifyNanos time in verification
 * @param plainNanos time of the target for one row; NaN before one was measured
 */
public record SpecStats(
    long rounds,
    long drafted,
    long accepted,
    long emitted,
    long[] proposedAt,
    long[] acceptedAt,
    long[] lengthHistogram,
    long[] triedByRank,
    long[] acceptedByRank,
    long zeroRounds,
    long invalidPredictions,
    double ece,
    long draftNanos,
    long targetNanos,
    long verifyNanos,
    double plainNanos) {

  /**
   * Tokens a pass of the target gives.
   *
   * @return emitted / rounds
   */
  public double tokensPerPass() {
    return (double) emitted / rounds;
  }

  /**
   * Share of candidates that became text.
   *
   * @return accepted / drafted
   */
  public double acceptanceRate() {
    return (double) accepted / drafted;
  }

  /**
   * How often a node's most likely child, its second and so on became text when the node did; what
   * {@link TreeShape#best} wants.
   *
   * @return a share by rank
   */
  public double[] acceptanceByRank() {
    double[] shares = new double[triedByRank.length];
    Arrays.setAll(shares, rank -> (double) acceptedByRank[rank] / triedByRank[rank]);
    return shares;
  }

  /**
   * Candidates thrown away for each token.
   *
   * @return (drafted - accepted) / emitted
   */
  public double discardRate() {
    return (double) (drafted - accepted) / emitted;
  }

  /**
   * Passes of the target for each token.
   *
   * @return rounds / emitted
   */
  public double verifyRate() {
    return (double) rounds / emitted;
  }

  /**
   * Tokens in the time measured over those of plain decoding, which needs a pass of one row for
   * each.
   *
   * @return the ratio; NaN before a pass of one row was measured
   */
  public double speedupEstimate() {
    return emitted * plainNanos / (draftNanos + targetNanos + verifyNanos);
  }
}
