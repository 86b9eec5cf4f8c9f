package dev.sylvester.runner.spec;

import dev.sylvester.kernels.spec.Draft;
import dev.sylvester.kernels.spec.DraftSource;
import dev.sylvester.kernels.spec.Text;
import dev.sylvester.runner.layers.Evaluator;

/**
 * The target's own first layers draft, with its last norm and head. They share its keys and values,
 * and the target goes on from their hidden states (LayerSkip, arXiv 2404.16710).
 */
public final class LayerSkipDraft implements DraftSource {
  private final Evaluator target;
  private final int layers;

  /**
   * The evaluator stays the caller's.
   *
   * @param target whose text is continued
   * @param layers that draft
   */
  public LayerSkipDraft(Evaluator target, int layers) {
    this.target = target;
    this.layers = layers;
  }

  @Override
  public String name() {
    return "skip:" + layers;
  }

  @Override
  public void propose(Text text, Draft draft) {
    int token = text.last();
    while (draft.wanted()) {
      draft.logits().copyFrom(target.readAhead(token, layers));
      draft.hidden(target.hidden());
      token = draft.draw();
    }
  }
}
