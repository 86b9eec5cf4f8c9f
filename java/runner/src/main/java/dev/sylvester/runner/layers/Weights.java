package dev.sylvester.runner.layers;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KvGeometry;
import dev.sylvester.kernels.Rope;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.ModelConfig;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * A model's weights, packed for the kernels. Only the embedding rows stay in the mapped file.
 *
 * @param config the model's configuration
 * @param embedding vocabulary x hidden size, as in the file
 * @param embeddingType its element type
 * @param layers from first to last
 * @param norm of the last layer's output
 * @param head hidden size to vocabulary
 * @param rope rotary positions
 * @param adapters beside them
 */
public record Weights(
    ModelConfig config,
    MemorySegment embedding,
    DType embeddingType,
    List<Layer> layers,
    MemorySegment norm,
    Projection head,
    Rope rope,
    AdapterSet adapters) {

  /**
   * One decoder layer.
   *
   * @param attentionNorm before attention
   * @param queryKeyValue hidden size to queries, keys and values, side by side
   * @param queryNorm of each query head, or null
   * @param keyNorm of each key head, or null
   * @param output query heads to hidden size
   * @param feedForwardNorm before the feed-forward layer
   * @param gateUp hidden size to gate and up, side by side
   * @param down intermediate size to hidden size
   */
  record Layer(
      MemorySegment attentionNorm,
      Projection queryKeyValue,
      MemorySegment queryNorm,
      MemorySegment keyNorm,
      Projection output,
      MemorySegment feedForwardNorm,
      Projection gateUp,
      Projection down) {}

  /**
   * Packs all weights of a model.
   *
   * @param context tokens a session will hold; some kinds of rotary scaling depend on it
   * @param arena owns the packed form
   */
  public static Weights load(ModelFile file, int context, Arena arena, ThreadPool pool) {
    return new Loader(file, arena, pool).load(context);
  }

  /** The same with adapters that texts have unless they are given others. */
  public Weights withAdapters(AdapterSet set) {
    return new Weights(config, embedding, embeddingType, layers, norm, head, rope, set);
  }

  /** All projections, each at its index. */
  List<Projection> projections() {
    return Stream.concat(
            layers.stream().flatMap(l -> Stream.of(l.queryKeyValue, l.output, l.gateUp, l.down)),
            Stream.of(head))
        .toList();
  }

  /** What packed caches must know of its attention. */
  public KvGeometry kvGeometry() {
    KvGeometry geometry =
        KvGeometry.of(config.layers(), config.heads(), config.kvHeads(), config.headDim())
            .withRope(rope, config.rope().interleaved());
    return config.slidingWindows().stream().allMatch(window -> window == 0)
        ? geometry
        : geometry.withWindows(config.slidingWindows().stream().map(Integer::longValue).toList());
  }

  /** Rotates heads by the positions in {@code s.ropeTable}. */
  void rotate(MemorySegment heads, int count, Scratch s, int rows, ThreadPool pool) {
    rope.rotate(
        heads,
        s.queryKeyValueStride,
        rows,
        count,
        config.headDim(),
        config.rope().interleaved(),
        s.ropeTable,
        pool);
  }

  private static final class Loader {
    private final ModelFile file;
    private final Arena arena;
    private final ThreadPool pool;
    private int projections;

    Loader(ModelFile file, Arena arena, ThreadPool pool) {
      this.file = file;
      this.arena = arena;
      this.pool = pool;
    }

    Weights load(int context) {
      ModelConfig c = file.config();
      Tensor embedding = file.require("model.embed_tokens.weight", c.vocabSize(), c.hiddenSize());
      List<Layer> layers = new ArrayList<>();
      for (int i = 0; i < c.layers(); i++) {
        layers.add(layer("model.layers." + i + "."));
      }
      String head = c.tiedEmbeddings() ? "model.embed_tokens" : "lm_head";
      return new Weights(
          c,
          embedding.data(),
          embedding.dtype(),
          List.copyOf(layers),
          vector("model.norm.weight", c.hiddenSize()),
          projection(c.hiddenSize(), new Projection.Part(head, c.vocabSize(), false)),
          RopeFrequencies.of(c.rope(), context, arena),
          AdapterSet.NONE);
    }

    private Layer layer(String prefix) {
      ModelConfig c = file.config();
      String attention = prefix + "self_attn.";
      String mlp = prefix + "mlp.";
      long queries = (long) c.heads() * c.headDim();
      long keys = (long) c.kvHeads() * c.headDim();
      return new Layer(
          vector(prefix + "input_layernorm.weight", c.hiddenSize()),
          projection(
              c.hiddenSize(),
              new Projection.Part(attention + "q_proj", queries, c.attentionBias()),
              new Projection.Part(attention + "k_proj", keys, c.attentionBias()),
              new Projection.Part(attention + "v_proj", keys, c.attentionBias())),
          c.qkNorm() ? vector(attention + "q_norm.weight", c.headDim()) : null,
          c.qkNorm() ? vector(attention + "k_norm.weight", c.headDim()) : null,
          projection(
              queries, new Projection.Part(attention + "o_proj", c.hiddenSize(), c.outputBias())),
          vector(prefix + "post_attention_layernorm.weight", c.hiddenSize()),
          projection(
              c.hiddenSize(),
              new Projection.Part(mlp + "gate_proj", c.intermediateSize(), c.mlpBias()),
              new Projection.Part(mlp + "up_proj", c.intermediateSize(), c.mlpBias())),
          projection(
              c.intermediateSize(),
              new Projection.Part(mlp + "down_proj", c.hiddenSize(), c.mlpBias())));
    }

    private MemorySegment vector(String name, long size) {
      return Vector.load(file, name, size, arena);
    }

    private Projection projection(long cols, Projection.Part... parts) {
      return Projection.load(file, projections++, List.of(parts), cols, arena, pool);
    }
  }
}
