package dev.sylvester.runner.adapt;

import static dev.sylvester.runner.adapt.AdaptedModel.floats;

import dev.sylvester.kernels.Nn;
import dev.sylvester.kernels.Rope;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.kernels.Workspace;
import dev.sylvester.runner.format.ModelConfig;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** One decoder layer of an {@link AdaptedModel}. */
final class AdaptedLayer {
  private final int width;
  private final int inner;
  private final int heads;
  private final int kvHeads;
  private final int dim;
  private final float eps;
  private final MemorySegment attentionNorm;
  private final AdaptedLinear query;
  private final AdaptedLinear key;
  private final AdaptedLinear value;
  private final MemorySegment queryNorm;
  private final MemorySegment keyNorm;
  private final CausalAttention attention;
  private final AdaptedLinear output;
  private final MemorySegment feedForwardNorm;
  private final AdaptedLinear gate;
  private final AdaptedLinear up;
  private final AdaptedLinear down;
  private final Rope rope;
  private final Workspace workspace;
  private final ThreadPool pool;

  /**
   * What the way back needs. Queries and keys are rotated; where they have norms, rawQueries and
   * rawKeys are those before them.
   */
  record Activations(
      MemorySegment input,
      MemorySegment attentionNormed,
      MemorySegment rawQueries,
      MemorySegment rawKeys,
      MemorySegment queries,
      MemorySegment keys,
      MemorySegment values,
      MemorySegment attention,
      MemorySegment middle,
      MemorySegment feedForwardNormed,
      MemorySegment gate,
      MemorySegment up,
      MemorySegment activated,
      MemorySegment output) {}

  AdaptedLayer(
      ModelConfig c,
      int index,
      FrozenWeights weights,
      TrainedModules trained,
      Rope rope,
      Arena arena,
      Workspace workspace,
      ThreadPool pool) {
    width = c.hiddenSize();
    inner = c.intermediateSize();
    heads = c.heads();
    kvHeads = c.kvHeads();
    dim = c.headDim();
    eps = (float) c.rmsNormEps();
    this.rope = rope;
    this.workspace = workspace;
    this.pool = pool;
    String prefix = "model.layers." + index + ".";
    String self = prefix + "self_attn.";
    String mlp = prefix + "mlp.";
    attentionNorm = weights.vector(prefix + "input_layernorm.weight", width, arena);
    query = weights.linear(self + "q_proj", trained, arena, pool);
    key = weights.linear(self + "k_proj", trained, arena, pool);
    value = weights.linear(self + "v_proj", trained, arena, pool);
    queryNorm = c.qkNorm() ? weights.vector(self + "q_norm.weight", dim, arena) : null;
    keyNorm = c.qkNorm() ? weights.vector(self + "k_norm.weight", dim, arena) : null;
    attention = new CausalAttention(heads, kvHeads, dim, c.slidingWindows().get(index));
    output = weights.linear(self + "o_proj", trained, arena, pool);
    feedForwardNorm = weights.vector(prefix + "post_attention_layernorm.weight", width, arena);
    gate = weights.linear(mlp + "gate_proj", trained, arena, pool);
    up = weights.linear(mlp + "up_proj", trained, arena, pool);
    down = weights.linear(mlp + "down_proj", trained, arena, pool);
  }

  /** Takes the factors as they are now. */
  void pack(Arena arena) {
    List.of(query, key, value, output, gate, up, down).forEach(linear -> linear.pack(arena));
  }

  Activations forward(MemorySegment input, AdaptedModel.Texts texts, Arena arena) {
    int rows = texts.rows();
    MemorySegment attentionNormed = normed(input, attentionNorm, rows, arena);
    MemorySegment rawQueries = multiplied(query, attentionNormed, rows, heads * dim, arena);
    MemorySegment rawKeys = multiplied(key, attentionNormed, rows, kvHeads * dim, arena);
    MemorySegment values = multiplied(value, attentionNormed, rows, kvHeads * dim, arena);
    MemorySegment queries = rawQueries;
    MemorySegment keys = rawKeys;
    if (queryNorm != null) {
      queries = normedHeads(rawQueries, queryNorm, rows, heads, arena);
      keys = normedHeads(rawKeys, keyNorm, rows, kvHeads, arena);
    }
    rotate(queries, heads, rows, texts.table());
    rotate(keys, kvHeads, rows, texts.table());
    MemorySegment attended = floats(arena, rows, heads * dim);
    for (int i = 0; i < texts.count(); i++) {
      attention.forward(queries, keys, values, attended, texts.first()[i], texts.tokens(i));
    }
    MemorySegment middle = floats(arena, rows, width).copyFrom(input);
    output.forward(attended, rows, true, middle, workspace, pool);
    MemorySegment feedForwardNormed = normed(middle, feedForwardNorm, rows, arena);
    MemorySegment gates = multiplied(gate, feedForwardNormed, rows, inner, arena);
    MemorySegment ups = multiplied(up, feedForwardNormed, rows, inner, arena);
    MemorySegment activated = floats(arena, rows, inner);
    Nn.swiGlu(gates, inner, ups, inner, rows, inner, activated, inner, pool);
    MemorySegment result = floats(arena, rows, width).copyFrom(middle);
    down.forward(activated, rows, true, result, workspace, pool);
    return new Activations(
        input,
        attentionNormed,
        rawQueries,
        rawKeys,
        queries,
        keys,
        values,
        attended,
        middle,
        feedForwardNormed,
        gates,
        ups,
        activated,
        result);
  }

  /** Turns g, the gradient of the output, into that of the input. */
  void backward(Activations a, AdaptedModel.Texts texts, MemorySegment g) {
    int rows = texts.rows();
    try (Arena arena = Arena.ofShared()) {
      feedForwardBackward(a, g, rows, arena);
      attentionBackward(a, texts, g, rows, arena);
    }
  }

  private void feedForwardBackward(Activations a, MemorySegment g, int rows, Arena arena) {
    MemorySegment dActivated = floats(arena, rows, inner);
    down.backward(a.activated, g, rows, false, dActivated, workspace, pool);
    MemorySegment dGate = floats(arena, rows, inner);
    MemorySegment dUp = floats(arena, rows, inner);
    Gradients.swiGlu(a.gate, a.up, dActivated, (long) rows * inner, dGate, dUp);
    MemorySegment dNormed = floats(arena, rows, width);
    gate.backward(a.feedForwardNormed, dGate, rows, false, dNormed, workspace, pool);
    up.backward(a.feedForwardNormed, dUp, rows, true, dNormed, workspace, pool);
    Gradients.addRmsNorm(a.middle, feedForwardNorm, eps, rows, width, dNormed, g);
  }

  private void attentionBackward(
      Activations a, AdaptedModel.Texts texts, MemorySegment g, int rows, Arena arena) {
    MemorySegment dAttention = floats(arena, rows, heads * dim);
    output.backward(a.attention, g, rows, false, dAttention, workspace, pool);
    MemorySegment dQueries = floats(arena, rows, heads * dim);
    MemorySegment dKeys = floats(arena, rows, kvHeads * dim);
    MemorySegment dValues = floats(arena, rows, kvHeads * dim);
    for (int i = 0; i < texts.count(); i++) {
      attention.backward(
          a.queries,
          a.keys,
          a.values,
          dAttention,
          dQueries,
          dKeys,
          dValues,
          texts.first()[i],
          texts.tokens(i));
    }
    rotate(dQueries, heads, rows, texts.inverse());
    rotate(dKeys, kvHeads, rows, texts.inverse());
    if (queryNorm != null) {
      dQueries = beforeNorm(a.rawQueries, queryNorm, rows * heads, dQueries, arena);
      dKeys = beforeNorm(a.rawKeys, keyNorm, rows * kvHeads, dKeys, arena);
    }
    MemorySegment dNormed = floats(arena, rows, width);
    query.backward(a.attentionNormed, dQueries, rows, false, dNormed, workspace, pool);
    key.backward(a.attentionNormed, dKeys, rows, true, dNormed, workspace, pool);
    value.backward(a.attentionNormed, dValues, rows, true, dNormed, workspace, pool);
    Gradients.addRmsNorm(a.input, attentionNorm, eps, rows, width, dNormed, g);
  }

  private MemorySegment normed(MemorySegment x, MemorySegment weight, int rows, Arena arena) {
    MemorySegment y = floats(arena, rows, width);
    Nn.rmsNorm(x, width, weight, eps, rows, width, y, width, pool);
    return y;
  }

  private MemorySegment normedHeads(
      MemorySegment x, MemorySegment weight, int rows, int count, Arena arena) {
    MemorySegment y = floats(arena, rows, count * dim);
    Nn.rmsNorm(x, dim, weight, eps, (long) rows * count, dim, y, dim, pool);
    return y;
  }

  private MemorySegment beforeNorm(
      MemorySegment x, MemorySegment weight, int rows, MemorySegment g, Arena arena) {
    MemorySegment dx = floats(arena, rows, dim);
    Gradients.addRmsNorm(x, weight, eps, rows, dim, g, dx);
    return dx;
  }

  private MemorySegment multiplied(
      AdaptedLinear linear, MemorySegment x, int rows, int out, Arena arena) {
    MemorySegment y = floats(arena, rows, out);
    linear.forward(x, rows, false, y, workspace, pool);
    return y;
  }

  private void rotate(MemorySegment x, int count, int rows, MemorySegment table) {
    // In transformers' order, whatever the file's is.
    rope.rotate(x, (long) count * dim, rows, count, dim, false, table, pool);
  }
}
