package dev.sylvester.kernels.spec;

/**
 * Proposes candidates. What it knows of a text is its own: it compares the text with what it has
 * seen (see {@link Text#commonPrefix}), so that nothing has to be told what was accepted.
 */
public interface DraftSource extends AutoCloseable {
  /**
   * The name in reports, such as {@code ngram}.
   *
   * @return the name
   */
  String name();

  /**
   * Told that a text begins, which may be read in advance: the first proposal costs no more than
   * others then.
   *
   * @param text the text so far
   */
  default void prepare(Text text) {}

  /**
   * Proposes candidates that may come after the text. A chain:
   *
   * {@snippet :
   * while (draft.wanted()) {
   *   model.read(token, draft.logits()); // logits after the last candidate
   *   draft.hidden(model.hidden()); // for a rule that has an acceptance head
   *   token = draft.draw();
   * }
   * }
   *
   * @param text the text so far, end included that the target has not read yet
   * @param draft takes the candidates; may be left empty
   */
  void propose(Text text, Draft draft);

  /**
   * What came of the candidates proposed last; for statistics only.
   *
   * @param drafted number of candidates
   * @param accepted how many of them were accepted
   * @param nanos of the whole round
   */
  default void judged(int drafted, int accepted, long nanos) {}

  /** Frees what the source holds. */
  @Override
  default void close() {}
}
