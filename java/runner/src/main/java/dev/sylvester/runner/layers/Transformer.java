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

  /**
   * Runs tokens {@code first .. first + rows - 1} through all layers and appends them to the cache.
   * Reads {@code s.ids}; leaves the hidden states in {@code s.hidden}.
   */
  void forward(TextCache cache, Scratch s, int first, int rows) {
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
    for (int i = 0; i < rows; i++) {
      s.positions.setAtIndex(ValueLayout.JAVA_INT, i, first + i);
    }
    weights.rope().table(s.positions, rows, s.ropeTable);
    for (int i = 0; i < s.layers.length; i++) {
      attention(i, cache, s, first, rows);
      feedForward(weights.layers().get(i), s.layers[i], s, rows);
    }
  }

  private void attention(int index, TextCache cache, Scratch s, int first, int rows) {
    Weights.Layer layer = weights.layers().get(index);
    Scratch.LayerOutputs outputs = s.layers[index];
    long width = config.hiddenSize();
    long stride = s.queryKeyValueStride;
    Nn.rmsNorm(s.hidden, width, layer.attentionNorm(), eps, rows, width, s.normed, width, pool);
    layer
        .queryKeyValue()
        .multiply(s.normed, width, rows, false, outputs.queryKeyValue(), stride, s.workspace, pool);
    if (layer.queryNorm() != null) {
      normHeads(s.queries, layer.queryNorm(), config.heads(), rows, stride);
      normHeads(s.keys, layer.keyNorm(), config.kvHeads(), rows, stride);
    }
    weights.rotate(s.queries, config.heads(), s, rows, pool);
    if (!cache.preRope()) {
      weights.rotate(s.keys, config.kvHeads(), s, rows, pool);
    }
    cache.attend(index, s, first, rows);
    layer
        .output()
        .multiply(
            s.attention,
            s.attentionStride,
            rows,
            true,
            outputs.hiddenOfAttention(),
            width,
            s.workspace,
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
    layer
        .gateUp()
        .multiply(s.normed, width, rows, false, outputs.gateUp(), stride, s.workspace, pool);
    long inner = config.intermediateSize();
    Nn.swiGlu(s.gate, stride, s.up, stride, rows, inner, s.activated, inner, pool);
    layer
        .down()
        .multiply(
            s.activated,
            inner,
            rows,
            true,
            outputs.hiddenOfFeedForward(),
            width,
            s.workspace,
            pool);
  }

  /** Logits of hidden states; logits: rows of the vocabulary's size. */
  void head(Scratch s, MemorySegment hidden, int rows, MemorySegment[] logits) {
    long width = config.hiddenSize();
    Nn.rmsNorm(hidden, width, weights.norm(), eps, rows, width, s.normed, width, pool);
    weights
        .head()
        .multiply(s.normed, width, rows, false, logits, config.vocabSize(), s.workspace, pool);
  }
}
