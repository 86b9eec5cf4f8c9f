package dev.sylvester.runner;

import dev.sylvester.kernels.spec.DraftSource;
import dev.sylvester.kernels.spec.TreeShape;
import dev.sylvester.runner.spec.GrowingTreeDraft;
import dev.sylvester.runner.spec.LayerSkipDraft;
import dev.sylvester.runner.spec.ModelDraft;
import dev.sylvester.runner.spec.ShapedTreeDraft;
import dev.sylvester.runner.spec.Vocabularies;

/** Models as sources of candidates for a {@link Speculator}. */
public final class Drafts {
  private Drafts() {}

  /**
   * A smaller model drafts.
   *
   * @param session of the smaller model with any cache, left to the source until that is closed
   * @param target whose texts are continued
   * @throws IllegalArgumentException when the smaller model lacks a token of the target, or has no
   *     next token
   */
  public static DraftSource model(Session session, Model target) {
    return new ModelDraft(session.evaluator(), vocabularies(session, target));
  }

  /**
   * A smaller model drafts trees of one shape.
   *
   * @param session as for {@link #model}
   * @param target whose texts are continued
   */
  public static DraftSource tree(Session session, Model target, TreeShape shape) {
    return ShapedTreeDraft.of(session.evaluator(), vocabularies(session, target), shape);
  }

  /**
   * A smaller model drafts trees of its most probable candidates.
   *
   * @param session as for {@link #model}
   * @param target whose texts are continued
   * @param candidates of a tree, 1..255
   */
  public static DraftSource growingTree(Session session, Model target, int candidates) {
    if (candidates < 1 || candidates > 255) {
      throw new IllegalArgumentException("candidates is %d, must be 1..255".formatted(candidates));
    }
    return new GrowingTreeDraft(session.evaluator(), vocabularies(session, target), candidates);
  }

  private static Vocabularies vocabularies(Session session, Model target) {
    if (session.model().config().bidirectional()) {
      throw new IllegalArgumentException(
          "%s is bidirectional: it does not predict a next token"
              .formatted(session.model().path()));
    }
    return Vocabularies.of(target, session.model());
  }

  /**
   * The first layers of the target itself draft, and the target goes on from there.
   *
   * @param target the session whose text is continued
   * @param layers at least 1, fewer than the model has
   * @throws IllegalArgumentException when there are not so many
   */
  public static DraftSource layerSkip(Session target, int layers) {
    int all = target.model().config().layers();
    if (layers < 1 || layers >= all) {
      throw new IllegalArgumentException(
          "layers is %d, must be 1..%d: %s has %d"
              .formatted(layers, all - 1, target.model().path(), all));
    }
    return new LayerSkipDraft(target.evaluator(), layers);
  }
}
