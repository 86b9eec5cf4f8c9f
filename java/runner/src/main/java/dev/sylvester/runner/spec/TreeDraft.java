package dev.sylvester.runner.spec;

import dev.sylvester.kernels.spec.Draft;
import dev.sylvester.kernels.spec.DraftSource;
import dev.sylvester.kernels.spec.Text;
import dev.sylvester.runner.layers.Evaluator;
import java.lang.foreign.MemorySegment;

/**
 * A smaller model drafts trees of its most probable tokens. Nodes that get children are read level
 * by level, all that were read so far in one pass: their keys and values are not kept.
 */
abstract sealed class TreeDraft implements DraftSource permits ShapedTreeDraft, GrowingTreeDraft {
  private final DraftText own;
  private final int levels;
  private final Candidates candidates;
  private final int[] token;
  private final int[] parent;
  private final double[] probability; // product from the text on
  private final int[] row; // of the passes, -1: not read
  private final int[] draftNode;
  private final int[] readTokens;
  private final int[] readParents;
  private int count;
  private int readCount;

  /**
   * The evaluator stays the caller's, who gives it nothing to read.
   *
   * @param levels most candidates one behind the other
   * @param width most children of a node
   * @param nodes most nodes that are looked at, node 0, the text so far, included
   * @param reads most nodes that are read
   */
  TreeDraft(
      Evaluator evaluator, Vocabularies vocabularies, int levels, int width, int nodes, int reads) {
    this.own = new DraftText(evaluator, vocabularies);
    this.levels = levels;
    this.candidates = new Candidates(own.vocabulary(), width);
    token = new int[nodes];
    parent = new int[nodes];
    probability = new double[nodes];
    row = new int[nodes];
    draftNode = new int[nodes];
    readTokens = new int[reads];
    readParents = new int[reads];
  }

  @Override
  public final String name() {
    return "tree";
  }

  @Override
  public final void prepare(Text text) {
    own.read(text, text.length() - 1);
  }

  @Override
  public final void propose(Text text, Draft draft) {
    if (draft.room() == 0 || !own.read(text, text.length() - 1)) {
      return;
    }
    count = 0;
    readCount = 0;
    add(text.last(), 0, 1);
    int room = own.evaluator.context() - own.evaluator.position();
    int deepest = Math.min(Math.min(levels, draft.maxDepth()), room);
    int first = 0;
    for (int level = 0; level < deepest && first < count; level++) {
      int end = count;
      beginLevel(first, end, draft.room());
      readLevel(first, end);
      first = end;
    }
    put(draft);
  }

  /** Called before children of nodes {@code first <= i < end} are wanted. */
  void beginLevel(int first, int end, int room) {}

  /** How many children a node of this level gets. */
  abstract int children(int node);

  /** Gives the draft what it may have, parents before children. */
  abstract void put(Draft draft);

  final int count() {
    return count;
  }

  final double probability(int node) {
    return probability[node];
  }

  private void add(int newToken, int newParent, double newProbability) {
    token[count] = newToken;
    parent[count] = newParent;
    probability[count] = newProbability;
    draftNode[count] = 0;
    row[count++] = -1;
  }

  private void readLevel(int first, int end) {
    int before = readCount;
    int most = Math.min(readTokens.length, own.evaluator.trialRows());
    for (int node = first; node < end && readCount < most; node++) {
      int id = own.own(token[node]);
      if (id >= 0 && children(node) > 0) {
        row[node] = readCount;
        readTokens[readCount] = id;
        readParents[readCount++] = row[parent[node]];
      }
    }
    if (readCount == before) {
      return;
    }
    MemorySegment logits = own.evaluator.readTree(readTokens, readParents, readCount);
    long bytes = own.evaluator.rowBytes();
    for (int node = first; node < end; node++) {
      if (row[node] >= 0) {
        own.spread(logits.asSlice(row[node] * bytes, bytes), candidates.row());
        candidates.find(children(node));
        for (int rank = 0; rank < candidates.count(); rank++) {
          add(candidates.token(rank), node, probability[node] * candidates.probability(rank));
        }
      }
    }
  }

  final void put(int node, Draft draft) {
    double confidence = probability[node] / probability[parent[node]];
    draftNode[node] = draft.add(draftNode[parent[node]], token[node], confidence);
  }

  @Override
  public final void close() {
    candidates.close();
  }
}
