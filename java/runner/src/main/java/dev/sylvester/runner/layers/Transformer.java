package dev.sylvester.runner.layers;

import dev.sylvester.kernels.Nn;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.ModelConfig;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The forward pass: token ids to hidden states to logits. Stateless but for the weights. */
final class Transformer {
  private final Weights weights;
  private final ModelConfig config;
  private final ThreadPool pool;
  private final float eps;

  Transformer(Weights weights, ThreadPool pool) {
    this.weights = weights;
    this.config = weights.config();
    this.pool = pool;
    this.eps = (float) config.rmsNormEps();
  }

  /** Hidden states that enter the first layer, of {@code s.ids}. */
  void embed(Scratch s, int rows) {
    long width = config.hiddenSize();
    Nn.embed(
        weights.embeddingType(),
        weights.embedding(),
        config.vocabSize(),
        width,
        s.ids,
        rows,
        s.hidden,
        width);
    for (int row = 0; row < rows; row++) {
      int token = s.ids.getAtIndex(ValueLayout.JAVA_INT, row);
      s.adaptersOf(row).addToEmbedding(s.hidden, row, token);
    }
  }

  /** Gives rows the positions from {@code first} on. */
  void place(Scratch s, int first, int rows) {
    for (int i = 0; i < rows; i++) {
      s.positions.setAtIndex(ValueLayout.JAVA_INT, i, first + i);
    }
    rotaryTable(s, rows);
  }

  /** Gives the rows of a tree behind a text of so many tokens their positions. */
  void place(Scratch s, TokenTree tree, int position) {
    for (int row = 0; row < tree.count(); row++) {
      s.positions.setAtIndex(ValueLayout.JAVA_INT, row, position + tree.depthOfRow(row));
    }
    rotaryTable(s, tree.count());
  }

  /** After the rows' positions are set. */
  void rotaryTable(Scratch s, int rows) {
    weights.rope().table(s.positions, rows, s.ropeTable);
  }

  /**
   * Takes the hidden states through layers {@code from <= i < to} and appends the rows to the
   * cache.
   *
   * @param tree gets to keep keys and values, or null
   */
  void layers(
      Attention cache, Scratch s, Branches branches, TokenTree tree, int from, int to, int rows) {
    for (int i = from; i < to; i++) {
      attention(i, cache, s, branches, tree, rows);
      feedForward(weights.layers().get(i), s.layers[i], s, rows);
    }
  }

  /** The same through all layers, for rows that lie side by side as one chain. */
  void layers(Attention cache, Scratch s, int rows) {
    layers(cache, s, new Branches(1).chain(0, rows), null, 0, config.layers(), rows);
  }

  private void attention(
      int index, Attention cache, Scratch s, Branches branches, TokenTree tree, int rows) {
    Weights.Layer layer = weights.layers().get(index);
    Scratch.LayerOutputs outputs = s.layers[index];
    long width = config.hiddenSize();
    long stride = s.queryKeyValueStride;
    Nn.rmsNorm(s.hidden, width, layer.attentionNorm(), eps, rows, width, s.normed, width, pool);
    layer
        .queryKeyValue()
        .multiply(s.normed, width, rows, false, outputs.queryKeyValue(), stride, s, pool);
    if (layer.queryNorm() != null) {
      normHeads(s.queries, layer.queryNorm(), config.heads(), rows, stride);
      normHeads(s.keys, layer.keyNorm(), config.kvHeads(), rows, stride);
    }
    weights.rotate(s.queries, config.heads(), s, rows, pool);
    if (!cache.preRope()) {
      weights.rotate(s.keys, config.kvHeads(), s, rows, pool);
    }
    if (tree != null) {
      tree.store(index, s);
    }
    for (int i = 0; i < branches.count; i++) {
      if (i > 0) {
        cache.cut(index, branches.first[i]);
      }
      cache.attend(index, s, branches.row[i], branches.first[i], branches.rows[i]);
    }
    layer
        .output()
        .multiply(
            s.attention,
            s.attentionStride,
            rows,
            true,
            outputs.hiddenOfAttention(),
            width,
            s,
            pool);
  }

  /** RMSNorm of every head; one call for one row, where heads lie back to back. */
  private void normHeads(MemorySegment x, MemorySegment weight, int heads, int rows, long stride) {
    int dim = config.headDim();
    if (rows == 1) {
      Nn.rmsNorm(x, dim, weight, eps, heads, dim, x, dim, pool);
      return;
    }
    for (int head = 0; head < heads; head++) {
      MemorySegment column = x.asSlice((long) head * dim * Float.BYTES);
      Nn.rmsNorm(column, stride, weight, eps, rows, dim, column, stride, pool);
    }
  }

  private void feedForward(Weights.Layer layer, Scratch.LayerOutputs outputs, Scratch s, int rows) {
    long width = config.hiddenSize();
    long stride = s.gateUpStride;
    Nn.rmsNorm(s.hidden, width, layer.feedForwardNorm(), eps, rows, width, s.normed, width, pool);
    layer.gateUp().multiply(s.normed, width, rows, false, outputs.gateUp(), stride, s, pool);
    long inner = config.intermediateSize();
    Nn.swiGlu(s.gate, stride, s.up, stride, rows, inner, s.activated, inner, pool);
    layer
        .down()
        .multiply(s.activated, inner, rows, true, outputs.hiddenOfFeedForward(), width, s, pool);
  }

  /** Logits of hidden states; logits: rows of the vocabulary's size. Fills {@code s.normed}. */
  void head(Scratch s, MemorySegment hidden, int rows, Projection.Outputs logits) {
    norm(hidden, rows, s.normed);
    project(s, rows, logits);
  }

  /** The last norm, perhaps in place. */
  void norm(MemorySegment hidden, int rows, MemorySegment normed) {
    long width = config.hiddenSize();
    Nn.rmsNorm(hidden, width, weights.norm(), eps, rows, width, normed, width, pool);
  }

  /** The same for a tree: rows of logits are its nodes in their own order. */
  void head(Scratch s, TokenTree tree, Projection.Outputs logits) {
    long width = config.hiddenSize();
    for (int row = 0; row < tree.count(); row++) {
      MemorySegment from = s.hiddenRows.from(row);
      MemorySegment to = s.normedRows.from(tree.nodeOfRow(row));
      Nn.rmsNorm(from, width, weights.norm(), eps, 1, width, to, width, null);
    }
    project(s, tree.count(), logits);
  }

  private void project(Scratch s, int rows, Projection.Outputs logits) {
    long width = config.hiddenSize();
    weights.head().multiply(s.normed, width, rows, false, logits, config.vocabSize(), s, pool);
  }
}
