package dev.sylvester.kernels.spec;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/** A target whose logits are a table's, by the two tokens before; arrays only. */
final class TableModel implements TargetModel {
  private final Table table;
  private final int context;
  private final boolean trees;
  private final MemorySegment rows;
  private int[] read = new int[16];
  private int position;
  private int[] tree = {};
  int passes;
  int mostRows;
  int maxRows = 256;

  TableModel(Table table, int context, boolean trees) {
    this.table = table;
    this.context = context;
    this.trees = trees;
    rows = Arena.ofAuto().allocate(JAVA_FLOAT, 256L * table.vocabulary());
  }

  @Override
  public int vocabulary() {
    return table.vocabulary();
  }

  @Override
  public int context() {
    return context;
  }

  @Override
  public int position() {
    return position;
  }

  @Override
  public int maxRows() {
    return maxRows;
  }

  /** Reads a prompt but for its last token. */
  void prompt(Text text) {
    position = 0;
    for (int i = 0; i + 1 < text.length(); i++) {
      push(text.get(i));
    }
  }

  @Override
  public MemorySegment read(int[] tokens, int[] parents, int count) {
    if (tree.length > 0) {
      throw new IllegalStateException("read before keep");
    }
    if (count < 1 || count > maxRows) {
      throw new IllegalArgumentException(count + " rows");
    }
    passes++;
    mostRows = Math.max(mostRows, count);
    if (parents == null) {
      for (int i = 0; i < count; i++) {
        push(tokens[i]);
        table.row(i == 0 ? before(position - 1) : tokens[i - 1], tokens[i], rows, i);
      }
      return rows;
    }
    if (!trees) {
      throw new UnsupportedOperationException("trees");
    }
    for (int i = 0; i < count; i++) {
      if (i > 0 && (parents[i] < 0 || parents[i] >= i)) {
        throw new IllegalArgumentException("parent of " + i + " is " + parents[i]);
      }
      int before = i == 0 ? before(position) : tokens[parents[i]];
      table.row(before, tokens[i], rows, i);
    }
    tree = Arrays.copyOf(tokens, count);
    return rows;
  }

  private int before(int end) {
    return end > 0 ? read[end - 1] : 0;
  }

  private void push(int token) {
    if (position >= context) {
      throw new IllegalStateException("the context is full");
    }
    if (position == read.length) {
      read = Arrays.copyOf(read, 2 * position);
    }
    read[position++] = token;
  }

  @Override
  public void truncate(int length) {
    if (length < 0 || length > position) {
      throw new IllegalArgumentException("truncate to " + length + " of " + position);
    }
    position = length;
  }

  @Override
  public void keep(int[] path, int count) {
    if (count > 0 && path[0] != 0) {
      throw new IllegalArgumentException("path begins with " + path[0]);
    }
    for (int i = 0; i < count; i++) {
      push(tree[path[i]]);
    }
    tree = new int[0];
  }
}
