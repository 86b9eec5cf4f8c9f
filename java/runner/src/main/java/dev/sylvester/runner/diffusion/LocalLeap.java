package dev.sylvester.runner.diffusion;

/**
 * Confident candidates are anchors; those near an anchor need less confidence (LocalLeap, arXiv
 * 2510.07081). Without an anchor the most confident candidate alone.
 *
 * @param anchor confidence of an anchor; the paper's is 0.9
 * @param relaxed confidence near one; the paper's is 0.75
 * @param radius how far that is, in positions; the paper's is 4
 */
public record LocalLeap(double anchor, double relaxed, int radius) implements CommitRule {
  /** Checks the values. */
  public LocalLeap {
    if (!(relaxed >= 0 && relaxed <= anchor && anchor <= 1)) {
      throw new IllegalArgumentException(
          "anchor and relaxed are %s and %s, must be 0 <= relaxed <= anchor <= 1"
              .formatted(anchor, relaxed));
    }
    if (radius < 0) {
      throw new IllegalArgumentException("radius is %d, must not be negative".formatted(radius));
    }
  }

  @Override
  public void select(Predictions predictions, Decoding decoding, Picks picks) {
    int best = 0;
    for (int row = 0; row < predictions.candidates(); row++) {
      double confidence = predictions.confidence(row);
      if (confidence > predictions.confidence(best)) {
        best = row;
      }
      if (confidence >= anchor || confidence >= relaxed && nearAnchor(predictions, row)) {
        picks.commit(row);
      }
    }
    if (picks.commits() == 0) {
      picks.commit(best);
    }
  }

  private boolean nearAnchor(Predictions predictions, int row) {
    int position = predictions.position(row);
    // Candidates are in ascending order.
    for (int i = row - 1; i >= 0 && position - predictions.position(i) <= radius; i--) {
      if (predictions.confidence(i) >= anchor) {
        return true;
      }
    }
    for (int i = row + 1;
        i < predictions.candidates() && predictions.position(i) - position <= radius;
        i++) {
      if (predictions.confidence(i) >= anchor) {
        return true;
      }
    }
    return false;
  }
}
