package dev.sylvester.runner.spec;

import dev.sylvester.kernels.spec.Draft;
import dev.sylvester.kernels.spec.DraftSource;
import dev.sylvester.kernels.spec.Text;
import dev.sylvester.runner.layers.Evaluator;

/** A smaller model drafts. It reads the same text with a cache of its own. */
public final class ModelDraft implements DraftSource {
  private final Evaluator evaluator;
  private final Vocabularies vocabularies;
  private final Text seen = new Text();

  /**
   * The evaluator stays the caller's, who gives it nothing to read.
   *
   * @param evaluator of the smaller model
   * @param vocabularies its tokens and the target's
   */
  public ModelDraft(Evaluator evaluator, Vocabularies vocabularies) {
    this.evaluator = evaluator;
    this.vocabularies = vocabularies;
  }

  @Override
  public String name() {
    return "model";
  }

  @Override
  public void prepare(Text text) {
    int length = text.length() - 1;
    follow(text, Math.min(seen.commonPrefix(text), length), length);
  }

  @Override
  public void propose(Text text, Draft draft) {
    int length = text.length();
    // The last token is read in any case: its logits are wanted.
    int common = Math.min(seen.commonPrefix(text), length - 1);
    if (!draft.wanted() || !follow(text, common, length)) {
      return;
    }
    int token;
    do {
      vocabularies.spread(evaluator.logits(), draft.logits());
      draft.hidden(evaluator.hidden());
      token = draft.draw();
    } while (draft.wanted() && read(token));
  }

  /** Reads a text from {@code common} to {@code length}; false when it cannot. */
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

  private boolean read(int token) {
    int own = vocabularies.draftToken(token);
    if (own < 0 || evaluator.position() == evaluator.context()) {
      return false;
    }
    evaluator.append(own);
    seen.append(token);
    return true;
  }
}
