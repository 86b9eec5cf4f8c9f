package dev.sylvester.kernels.spec;

/**
 * Prompt lookup: proposes what followed the latest earlier occurrence of the longest suffix of the
 * text.
 */
public final class NgramDraft implements DraftSource {
  /**
   * A source.
   *
   * @param least shortest suffix that counts, at least 1
   * @param most longest suffix that is told from shorter ones
   * @param factor most candidates for each token of the suffix
   */
  public NgramDraft(int least, int most, double factor) {}

  @Override
  public String name() {
    return "ngram";
  }

  @Override
  public void propose(Text text, Draft draft) {
    throw new UnsupportedOperationException();
  }
}
