package dev.sylvester.kernels.spec;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.MemorySegment;

/** Fills a tree of a given shape from a table: siblings are drawn, or the most likely ones. */
record TreeTableDraft(Table table, TreeShape shape, boolean drawn) implements DraftSource {
  @Override
  public String name() {
    return "tree";
  }

  @Override
  public void propose(Text text, Draft draft) {
    int before = text.length() > 1 ? text.get(text.length() - 2) : 0;
    int[] nodes = new int[shape.candidates() + 1]; // of the draft; -1: there was no room
    int readParent = -1;
    for (int node = 1; node <= shape.candidates(); node++) {
      int parent = nodes[shape.parent(node)];
      nodes[node] = -1;
      if (parent < 0 || draft.room() == 0 || draft.depth(parent) >= draft.maxDepth()) {
        continue;
      }
      MemorySegment row = draft.logits(parent);
      if (parent != readParent) {
        int last = draft.token(parent);
        table.row(parent == 0 ? before : draft.token(draft.parent(parent)), last, row, 0);
        readParent = parent;
      }
      nodes[node] =
          drawn ? draft.draw(parent) : draft.add(parent, ranked(row, shape.rank(node)), 0.5);
    }
  }

  private int ranked(MemorySegment row, int rank) {
    for (int token = 0; token < table.vocabulary(); token++) {
      int larger = 0;
      for (int other = 0; other < table.vocabulary(); other++) {
        float difference = at(row, other) - at(row, token);
        larger += difference > 0 || difference == 0 && other < token ? 1 : 0;
      }
      if (larger == rank) {
        return token;
      }
    }
    throw new IllegalArgumentException("rank " + rank);
  }

  private static float at(MemorySegment row, int token) {
    return row.getAtIndex(JAVA_FLOAT, token);
  }
}
