package dev.sylvester.runner.layers;

/**
 * Rows of a pass as chains of tokens. A chain stands behind its first position; what the chains
 * before it have there and later is forgotten in a layer before the chain is read.
 */
final class Branches {
  final int[] row;
  final int[] first;
  final int[] rows;
  int count;

  Branches(int most) {
    row = new int[most];
    first = new int[most];
    rows = new int[most];
  }

  /** One chain of rows 0 and on. */
  Branches chain(int position, int length) {
    count = 0;
    add(0, position, length);
    return this;
  }

  void add(int fromRow, int position, int length) {
    row[count] = fromRow;
    first[count] = position;
    rows[count++] = length;
  }
}
