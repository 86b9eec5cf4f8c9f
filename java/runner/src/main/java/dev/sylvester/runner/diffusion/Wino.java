package dev.sylvester.runner.diffusion;

/**
 * Commits generously, and takes back what the model doubts once it has seen more (after WINO, arXiv
 * 2507.18578, without its second copy of the block: a committed token is judged by its own row).
 * The most confident candidate is always committed, and no position is taken back twice.
 *
 * @param draft confidence that a candidate needs
 * @param verify probability below which a committed token is taken back
 */
public record Wino(double draft, double verify) implements CommitRule {
  /** Checks the values. */
  public Wino {
    if (!(draft >= 0 && draft <= 1 && verify >= 0 && verify <= 1)) {
      throw new IllegalArgumentException(
          "draft and verify are %s and %s, must be 0..1".formatted(draft, verify));
    }
  }

  @Override
  public boolean revises() {
    return true;
  }

  @Override
  public void select(Predictions predictions, Decoding decoding, Picks picks) {
    new Threshold(draft).select(predictions, decoding, picks);
    for (int row = predictions.candidates(); row < predictions.count(); row++) {
      int position = predictions.position(row);
      if (decoding.inWindow(position)
          && decoding.revisable(position)
          && predictions.probability(row, decoding.token(position)) < verify) {
        picks.remask(position);
      }
    }
  }
}
