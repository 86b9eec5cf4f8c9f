package dev.sylvester.runner.spec;

import dev.sylvester.kernels.spec.Draft;
import dev.sylvester.kernels.spec.DraftSource;
import dev.sylvester.kernels.spec.Text;
import dev.sylvester.runner.layers.Evaluator;

/** A smaller model drafts chains. */
public final class ModelDraft implements DraftSource {
  private final DraftText own;

  /**
   * The evaluator stays the caller's, who gives it nothing to read.
   *
   * @param evaluator of the smaller model
   * @param vocabularies its tokens and the target's
   */
  public ModelDraft(Evaluator evaluator, Vocabularies vocabularies) {
    this.own = new DraftText(evaluator, vocabularies);
  }

  @Override
  public String name() {
    return "model";
  }

  @Override
  public void prepare(Text text) {
    own.read(text, text.length() - 1);
  }

  @Override
  public void propose(Text text, Draft draft) {
    if (!draft.wanted() || !own.readAgain(text, text.length())) {
      return;
    }
    int token;
    do {
      own.copyLogits(draft.logits());
      draft.hidden(own.evaluator.hidden());
      token = draft.draw();
    } while (draft.wanted() && own.read(token));
  }
}
