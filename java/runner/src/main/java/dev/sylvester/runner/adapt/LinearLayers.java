package dev.sylvester.runner.adapt;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.runner.format.ModelConfig;
import dev.sylvester.runner.format.ModelFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * The linear layers of a model's decoder as matrices of floats, or what a fine-tuned model adds to
 * its base. Rows are in transformers' order, whatever a file's own is. Valid while the models are
 * open.
 */
public final class LinearLayers {
  private static final List<String> PARTS =
      List.of(
          "self_attn.q_proj",
          "self_attn.k_proj",
          "self_attn.v_proj",
          "self_attn.o_proj",
          "mlp.gate_proj",
          "mlp.up_proj",
          "mlp.down_proj");

  private final ModelFile model;
  private final ModelFile base;
  private final List<Layer> layers;

  /**
   * A linear layer.
   *
   * @param name as transformers calls it, for example {@code model.layers.0.self_attn.q_proj}
   * @param out rows
   * @param in columns
   */
  public record Layer(String name, long out, long in) {
    /** Elements of its weights. */
    public long parameters() {
      return out * in;
    }
  }

  private LinearLayers(ModelFile model, ModelFile base) {
    this.model = model;
    this.base = base;
    this.layers = layers(model);
  }

  /** The weights of a model. */
  public static LinearLayers of(ModelFile model) {
    return new LinearLayers(model, null);
  }

  /**
   * What a model adds to another of the same shape.
   *
   * @throws dev.sylvester.runner.format.ModelFormatException that names the tensor which the base
   *     lacks or has in another shape
   */
  public static LinearLayers difference(ModelFile model, ModelFile base) {
    LinearLayers difference = new LinearLayers(model, base);
    for (Layer layer : difference.layers) {
      base.require(tensor(layer), layer.out, layer.in);
    }
    return difference;
  }

  private static List<Layer> layers(ModelFile model) {
    ModelConfig c = model.config();
    long queries = (long) c.heads() * c.headDim();
    long keys = (long) c.kvHeads() * c.headDim();
    long hidden = c.hiddenSize();
    long inner = c.intermediateSize();
    long[][] sizes = {
      {queries, hidden},
      {keys, hidden},
      {keys, hidden},
      {hidden, queries},
      {inner, hidden},
      {inner, hidden},
      {hidden, inner}
    };
    List<Layer> layers = new ArrayList<>();
    for (int i = 0; i < c.layers(); i++) {
      for (int part = 0; part < sizes.length; part++) {
        Layer layer =
            new Layer("model.layers." + i + "." + PARTS.get(part), sizes[part][0], sizes[part][1]);
        model.require(tensor(layer), layer.out, layer.in);
        layers.add(layer);
      }
    }
    return List.copyOf(layers);
  }

  /** From first to last. */
  public List<Layer> layers() {
    return layers;
  }

  /** Out rows of in floats. */
  public MemorySegment read(Layer layer, Arena arena) {
    MemorySegment weights = model.floats(layer.name, layer.out, layer.in, arena);
    if (base != null) {
      try (Arena scratch = Arena.ofShared()) {
        MemorySegment before = base.floats(layer.name, layer.out, layer.in, scratch);
        for (long i = 0; i < layer.parameters(); i++) {
          float change = weights.getAtIndex(JAVA_FLOAT, i) - before.getAtIndex(JAVA_FLOAT, i);
          weights.setAtIndex(JAVA_FLOAT, i, change);
        }
      }
    }
    return weights;
  }

  /** The model's out floats that are added to the outputs of a layer, or null. */
  MemorySegment readBias(Layer layer, Arena arena) {
    return model.biasFloats(layer.name, layer.out, arena);
  }

  private static String tensor(Layer layer) {
    return layer.name + ".weight";
  }
}
