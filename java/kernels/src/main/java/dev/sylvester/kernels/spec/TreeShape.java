package dev.sylvester.kernels.spec;

import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import java.util.Arrays;
import java.util.Objects;

/**
 * The shape of a tree of candidates that is the same in every round. Nodes are numbered level by
 * level, from node 0, the text so far; siblings follow each other, the most likely first.
 */
public final class TreeShape {
  private final int[] parents;
  private final int[] ranks;
  private final int[] depths;

  private TreeShape(int[] parents) {
    this.parents = parents;
    ranks = new int[parents.length];
    depths = new int[parents.length];
    int[] children = new int[parents.length];
    for (int node = 1; node < parents.length; node++) {
      ranks[node] = children[parents[node]]++;
      depths[node] = depths[parents[node]] + 1;
    }
  }

  /**
   * A chain.
   *
   * @param candidates 0..255
   * @return the shape
   */
  public static TreeShape chain(int candidates) {
    range("chain: candidates", candidates, 0, 255);
    int[] parents = new int[candidates + 1];
    Arrays.setAll(parents, node -> Math.max(node - 1, 0));
    return new TreeShape(parents);
  }

  /**
   * A tree whose nodes of a level have equally many children.
   *
   * @param children of node 0, of each of its children, and so on; at least 1 each, and at most 255
   *     candidates in all
   * @return the shape
   */
  public static TreeShape levels(int... children) {
    long level = 1;
    long nodes = 1;
    for (int count : children) {
      range("levels: children", count, 1, 255);
      level *= count;
      nodes += level;
      check(nodes <= 256, "levels: " + Arrays.toString(children) + " are more than 255 candidates");
    }
    int[] parents = new int[(int) nodes];
    int parent = 0;
    int next = 1;
    for (int count : children) {
      for (int end = next; parent < end; parent++) {
        Arrays.fill(parents, next, next + count, parent);
        next += count;
      }
    }
    return new TreeShape(parents);
  }

  /**
   * The shape of which most candidates are accepted on average, when a node's most likely child,
   * its second and so on are accepted with given probabilities wherever the node is (Sequoia, arXiv
   * 2402.12374).
   *
   * @param acceptance by rank: probability that a node's child is accepted when the node is, as
   *     {@link SpecStats#acceptanceByRank} counts it
   * @param candidates most candidates, 0..255
   * @param depth most candidates one behind the other, at least 1
   * @return the shape
   */
  public static TreeShape best(double[] acceptance, int candidates, int depth) {
    range("best: candidates", candidates, 0, 255);
    range("best: depth", depth, 1, Integer.MAX_VALUE);
    for (double a : acceptance) {
      check(a >= 0 && a <= 1, "best: acceptance is " + Arrays.toString(acceptance));
    }
    return new TreePlan(acceptance, candidates, Math.min(depth, candidates)).shape();
  }

  /** Numbers nodes level by level; siblings are in order. */
  static TreeShape ofParents(int[] parents) {
    int[] nodes = new int[parents.length]; // by new number
    int[] sorted = new int[parents.length];
    int next = 1;
    for (int number = 0; number < parents.length; number++) {
      for (int node = 1; node < parents.length; node++) {
        if (parents[node] == nodes[number]) {
          nodes[next] = node;
          sorted[next++] = number;
        }
      }
    }
    return new TreeShape(sorted);
  }

  private static void range(String name, int value, int low, int high) {
    check(value >= low && value <= high, name + " is " + value + ", must be " + low + ".." + high);
  }

  private static void check(boolean good, String problem) {
    if (!good) {
      throw new SylvesterException(Status.BAD_VALUE, "TreeShape." + problem);
    }
  }

  /**
   * Number of candidates; they are nodes 1 .. candidates.
   *
   * @return the number
   */
  public int candidates() {
    return parents.length - 1;
  }

  /**
   * A candidate's parent.
   *
   * @param node 1 .. candidates
   * @return a smaller number
   */
  public int parent(int node) {
    return parents[checked(node)];
  }

  /**
   * How many siblings are more likely than a candidate.
   *
   * @param node 1 .. candidates
   * @return the number
   */
  public int rank(int node) {
    return ranks[checked(node)];
  }

  /**
   * A candidate's distance from node 0.
   *
   * @param node 1 .. candidates
   * @return the distance
   */
  public int depth(int node) {
    return depths[checked(node)];
  }

  private int checked(int node) {
    Objects.checkIndex(node - 1, candidates());
    return node;
  }

  /**
   * How many candidates are accepted on average.
   *
   * @param acceptance by rank, as in {@link #best}; 0 for ranks that it has not
   * @return the number
   */
  public double expectedAccepted(double[] acceptance) {
    double[] reach = new double[parents.length];
    reach[0] = 1;
    double sum = 0;
    for (int node = 1; node < parents.length; node++) {
      double a = ranks[node] < acceptance.length ? acceptance[ranks[node]] : 0;
      reach[node] = reach[parents[node]] * a;
      sum += reach[node];
    }
    return sum;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof TreeShape shape && Arrays.equals(parents, shape.parents);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(parents);
  }

  /** The parents of all nodes but node 0. */
  @Override
  public String toString() {
    return "TreeShape" + Arrays.toString(Arrays.copyOfRange(parents, 1, parents.length));
  }
}
