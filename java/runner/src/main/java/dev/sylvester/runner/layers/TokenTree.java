package dev.sylvester.runner.layers;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A tree of tokens behind a text: the order in which a pass reads its nodes, and their keys and
 * values in every layer, from which a path of it can be kept. Rows of a pass are nodes in
 * depth-first order, so that chains of children lie side by side.
 */
final class TokenTree {
  private final int keyValueCols;
  private final MemorySegment[] keysAndValues; // of each layer, a row for each row of the pass
  private final int[] node;
  private final int[] rowOfNode;
  private final int[] depth;
  private final int[] firstChild;
  private final int[] nextSibling;
  private final Branches branches;
  private int count;

  /**
   * An empty tree.
   *
   * @param most nodes
   * @param keyValueCols floats of keys and values of a token in one layer
   */
  TokenTree(int layers, int most, int keyValueCols, Arena arena) {
    this.keyValueCols = keyValueCols;
    keysAndValues = new MemorySegment[layers];
    for (int i = 0; i < layers; i++) {
      keysAndValues[i] = arena.allocate((long) most * keyValueCols * Float.BYTES, 64);
    }
    node = new int[most];
    rowOfNode = new int[most];
    depth = new int[most];
    firstChild = new int[most];
    nextSibling = new int[most];
    branches = new Branches(most);
  }

  /**
   * Takes another tree, behind a text of so many tokens.
   *
   * @param parents of all nodes but the first, each before its children
   */
  void set(int[] parents, int nodes, int position) {
    if (nodes < 1 || nodes > node.length || parents.length < nodes) {
      throw new IllegalArgumentException(
          "the tree has %d nodes, must have 1..%d".formatted(nodes, node.length));
    }
    for (int i = nodes - 1; i >= 0; i--) {
      if (i > 0 && (parents[i] < 0 || parents[i] >= i)) {
        throw new IllegalArgumentException(
            "the parent of node %d is %d, must be 0..%d".formatted(i, parents[i], i - 1));
      }
      firstChild[i] = -1;
    }
    for (int i = nodes - 1; i > 0; i--) {
      nextSibling[i] = firstChild[parents[i]];
      firstChild[parents[i]] = i;
    }
    nextSibling[0] = -1;
    branches.count = 0;
    count = 0;
    int start = 0;
    for (int at = 0; at >= 0; ) {
      node[count] = at;
      rowOfNode[at] = count;
      depth[count] = at == 0 ? 0 : depth[rowOfNode[parents[at]]] + 1;
      count++;
      int next = firstChild[at];
      if (next < 0) {
        branches.add(start, position + depth[start], count - start);
        start = count;
        while (at > 0 && nextSibling[at] < 0) {
          at = parents[at];
        }
        next = nextSibling[at];
      }
      at = next;
    }
  }

  int count() {
    return count;
  }

  /** Nodes of the longest path. */
  int height() {
    int deepest = 0;
    for (int row = 0; row < count; row++) {
      deepest = Math.max(deepest, depth[row]);
    }
    return deepest + 1;
  }

  Branches branches() {
    return branches;
  }

  int nodeOfRow(int row) {
    return node[row];
  }

  int depthOfRow(int row) {
    return depth[row];
  }

  /** Keeps keys and values of a layer as its cache will get them. */
  void store(int layer, Scratch s) {
    long bytes = (long) keyValueCols * Float.BYTES;
    for (int row = 0; row < count; row++) {
      MemorySegment.copy(
          s.keys,
          row * s.queryKeyValueStride * Float.BYTES,
          keysAndValues[layer],
          row * bytes,
          bytes);
    }
  }

  /** Puts keys and values of some nodes of a layer back, one after the other. */
  void load(int layer, int[] path, int length, Scratch s) {
    long bytes = (long) keyValueCols * Float.BYTES;
    for (int i = 0; i < length; i++) {
      MemorySegment.copy(
          keysAndValues[layer],
          rowOfNode[path[i]] * bytes,
          s.keys,
          i * s.queryKeyValueStride * Float.BYTES,
          bytes);
    }
  }
}
