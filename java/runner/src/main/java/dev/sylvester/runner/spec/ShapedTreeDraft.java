package dev.sylvester.runner.spec;

import dev.sylvester.kernels.spec.Draft;
import dev.sylvester.kernels.spec.TreeShape;
import dev.sylvester.runner.layers.Evaluator;

/** Trees of one shape, whose nodes come in its order. */
public final class ShapedTreeDraft extends TreeDraft {
  private final int[] children;

  private ShapedTreeDraft(
      Evaluator evaluator, Vocabularies vocabularies, int[] children, int levels, int width) {
    super(evaluator, vocabularies, levels, width, children.length, children.length);
    this.children = children;
  }

  /**
   * A source; the evaluator stays the caller's, who gives it nothing to read.
   *
   * @throws IllegalArgumentException when a node has more children than there are tokens
   */
  public static ShapedTreeDraft of(
      Evaluator evaluator, Vocabularies vocabularies, TreeShape shape) {
    int[] children = new int[shape.candidates() + 1];
    int levels = 0;
    int width = 0;
    for (int node = 1; node < children.length; node++) {
      width = Math.max(width, ++children[shape.parent(node)]);
      levels = Math.max(levels, shape.depth(node));
    }
    if (width > vocabularies.commonSize()) {
      throw new IllegalArgumentException(
          "a node of the tree has %d children, the models share %d tokens"
              .formatted(width, vocabularies.commonSize()));
    }
    return new ShapedTreeDraft(evaluator, vocabularies, children, levels, width);
  }

  @Override
  int children(int node) {
    return children[node];
  }

  @Override
  void put(Draft draft) {
    for (int node = 1; node < count() && draft.room() > 0; node++) {
      put(node, draft);
    }
  }
}
