package dev.sylvester.runner.spec;

import dev.sylvester.kernels.spec.Draft;
import dev.sylvester.runner.layers.Evaluator;
import java.util.Arrays;

/**
 * Trees that grow where the product of the draft's probabilities is largest, as EAGLE-2's (arXiv
 * 2406.16858): of each level the most probable nodes get children, and the most probable of all
 * nodes become candidates.
 */
public final class GrowingTreeDraft extends TreeDraft {
  private static final int WIDTH = 8; // nodes of a level that get children, and how many each
  private static final int LEVELS = 16;

  private final int most;
  private double least;

  /**
   * A source; the evaluator stays the caller's, who gives it nothing to read.
   *
   * @param most candidates of a tree
   */
  public GrowingTreeDraft(Evaluator evaluator, Vocabularies vocabularies, int most) {
    super(evaluator, vocabularies, LEVELS, WIDTH, 1 + LEVELS * WIDTH * WIDTH, 1 + LEVELS * WIDTH);
    this.most = most;
  }

  @Override
  void beginLevel(int first, int end, int room) {
    // A node that is no candidate itself has none below it.
    least = Math.max(greatest(first, end, WIDTH), greatest(1, count(), Math.min(most, room)));
  }

  @Override
  int children(int node) {
    return probability(node) >= least ? WIDTH : 0;
  }

  /** The probability of the {@code rank}-th most probable of some nodes; 0 when they are fewer. */
  private double greatest(int from, int to, int rank) {
    if (to - from < rank) {
      return 0;
    }
    double[] sorted = new double[to - from];
    Arrays.setAll(sorted, i -> probability(from + i));
    Arrays.sort(sorted);
    return sorted[sorted.length - rank];
  }

  /** A node is not more probable than its parent, and stands behind it. */
  @Override
  void put(Draft draft) {
    Integer[] order = new Integer[count() - 1];
    Arrays.setAll(order, i -> i + 1);
    Arrays.sort(order, (a, b) -> Double.compare(probability(b), probability(a)));
    int candidates = Math.min(order.length, most);
    for (int i = 0; i < candidates && draft.room() > 0; i++) {
      put(order[i], draft);
    }
  }
}
