package dev.sylvester.kernels.spec;

import java.util.Arrays;

/**
 * The best tree by dynamic programming: children of one node from a rank on, with so many nodes
 * below it, no deeper than so much.
 */
final class TreePlan {
  private final double[] acceptance;
  private final int candidates;
  private final int depth;
  private final double[][][] value; // accepted nodes, by depth, rank, number of nodes
  private final int[][][] share; // of that number: the subtree of the child with that rank

  TreePlan(double[] acceptance, int candidates, int depth) {
    this.acceptance = acceptance;
    this.candidates = candidates;
    this.depth = depth;
    value = new double[depth + 1][acceptance.length + 1][candidates + 1];
    share = new int[depth + 1][acceptance.length][candidates + 1];
    for (int d = 1; d <= depth; d++) {
      for (int rank = acceptance.length - 1; rank >= 0; rank--) {
        for (int nodes = 1; nodes <= candidates; nodes++) {
          divide(d, rank, nodes);
        }
      }
    }
  }

  private void divide(int d, int rank, int nodes) {
    for (int own = 1; own <= nodes; own++) {
      double sum =
          acceptance[rank] * (1 + value[d - 1][0][own - 1]) + value[d][rank + 1][nodes - own];
      if (sum > value[d][rank][nodes]) {
        value[d][rank][nodes] = sum;
        share[d][rank][nodes] = own;
      }
    }
  }

  TreeShape shape() {
    int[] parents = new int[candidates + 1];
    int count = append(parents, 1, 0, depth, candidates);
    return TreeShape.ofParents(Arrays.copyOf(parents, count));
  }

  /** Appends the nodes below one; returns the number of all. */
  private int append(int[] parents, int count, int parent, int d, int nodes) {
    int next = count;
    int left = nodes;
    for (int rank = 0; rank < acceptance.length && left > 0; rank++) {
      int own = share[d][rank][left];
      if (own == 0) {
        break;
      }
      parents[next] = parent;
      next = append(parents, next + 1, next, d - 1, own - 1);
      left -= own;
    }
    return next;
  }
}
