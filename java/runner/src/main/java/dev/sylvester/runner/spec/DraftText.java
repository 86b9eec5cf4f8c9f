package dev.sylvester.runner.spec;

import dev.sylvester.kernels.spec.Text;
import dev.sylvester.runner.layers.Evaluator;
import java.lang.foreign.MemorySegment;

/** A target's text as the smaller model that drafts reads it, in its own cache and tokens. */
final class DraftText {
  final Evaluator evaluator;
  private final Vocabularies vocabularies;
  private final Text seen = new Text();

  DraftText(Evaluator evaluator, Vocabularies vocabularies) {
    this.evaluator = evaluator;
    this.vocabularies = vocabularies;
  }

  int vocabulary() {
    return vocabularies.targetSize();
  }

  /**
   * Has read the first tokens of a text and no others; the last of them now.
   *
   * @return false when they do not fit the context, or one of them is unknown
   */
  boolean readAgain(Text text, int length) {
    return follow(text, Math.min(seen.commonPrefix(text), length - 1), length);
  }

  /** The same, but what is known is not read again. */
  boolean read(Text text, int length) {
    return follow(text, Math.min(seen.commonPrefix(text), length), length);
  }

  private boolean follow(Text text, int common, int length) {
    seen.truncate(common);
    evaluator.truncate(common);
    if (length > evaluator.context()) {
      return false;
    }
    int[] missing = new int[length - common];
    for (int i = 0; i < missing.length; i++) {
      missing[i] = vocabularies.draftToken(text.get(common + i));
      if (missing[i] < 0) {
        return false;
      }
    }
    if (missing.length > 0) {
      evaluator.append(missing, 0, missing.length);
      seen.follow(text, common);
      seen.truncate(length);
    }
    return true;
  }

  /** Reads one more token; false when it cannot. */
  boolean read(int token) {
    int own = vocabularies.draftToken(token);
    if (own < 0 || evaluator.position() == evaluator.context()) {
      return false;
    }
    evaluator.append(own);
    seen.append(token);
    return true;
  }

  /** The model's id of a token; -1: it has none. */
  int own(int token) {
    return vocabularies.draftToken(token);
  }

  /** Copies the logits of the token read last, as the target's tokens. */
  void copyLogits(MemorySegment row) {
    vocabularies.spread(evaluator.logits(), row);
  }

  /** Turns logits of this model into those of the target's tokens. */
  void spread(MemorySegment logits, MemorySegment row) {
    vocabularies.spread(logits, row);
  }
}
