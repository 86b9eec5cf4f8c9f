package dev.sylvester.runner.spec;

import dev.sylvester.runner.Model;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/** The tokens of a target and of a model that drafts for it. Thread-safe. */
public final class Vocabularies {
  private final int[] draftIds; // by the target's, -1: none
  private final int same; // ids that are the same from 0 on

  private Vocabularies(int[] draftIds) {
    this.draftIds = draftIds;
    int first = 0;
    while (first < draftIds.length && draftIds[first] == first) {
      first++;
    }
    this.same = first;
  }

  /**
   * Finds each token of the target in the draft's vocabulary.
   *
   * @throws IllegalArgumentException when the draft lacks one: it could not read the text then
   */
  public static Vocabularies of(Model target, Model draft) {
    int[] ids = target.tokenizer().idsIn(draft.tokenizer());
    int[] draftIds = new int[target.config().vocabSize()];
    for (int id = 0; id < draftIds.length; id++) {
      // A row of logits behind the tokenizer's last token is padding.
      int other = id < ids.length ? ids[id] : id;
      if (other < 0) {
        throw new IllegalArgumentException(
            "%s cannot draft for %s: it lacks its token %d, '%s'"
                .formatted(
                    draft.path(),
                    target.path(),
                    id,
                    target.tokenizer().decode(new int[] {id}, false)));
      }
      draftIds[id] = other < draft.config().vocabSize() ? other : -1;
    }
    return new Vocabularies(draftIds);
  }

  /** Tokens that both models have. */
  int commonSize() {
    return (int) Arrays.stream(draftIds).filter(id -> id >= 0).count();
  }

  /** Tokens of the target. */
  int targetSize() {
    return draftIds.length;
  }

  /** The draft's id of one of the target's tokens; -1: it has none. */
  int draftToken(int token) {
    return draftIds[token];
  }

  /** Turns the draft's logits into a row of the target's tokens. */
  void spread(MemorySegment logits, MemorySegment row) {
    MemorySegment.copy(logits, 0, row, 0, (long) same * Float.BYTES);
    for (int id = same; id < draftIds.length; id++) {
      float value =
          draftIds[id] < 0
              ? Float.NEGATIVE_INFINITY
              : logits.getAtIndex(ValueLayout.JAVA_FLOAT, draftIds[id]);
      row.setAtIndex(ValueLayout.JAVA_FLOAT, id, value);
    }
  }
}
