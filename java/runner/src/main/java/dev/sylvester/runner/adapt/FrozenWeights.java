package dev.sylvester.runner.adapt;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.ModelConfig;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.security.MessageDigest;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The weights that training leaves as they are, in floats and transformers' order: those of a file,
 * less the terms that an adapter starts from.
 */
final class FrozenWeights {
  private final ModelFile file;
  private final LinearLayers linear;
  private final Map<String, LinearLayers.Layer> layers = new LinkedHashMap<>();
  private final Map<String, KronFactors> taken;
  private final MessageDigest digest;

  /**
   * Of a file.
   *
   * @param taken what is subtracted from layers, by name
   * @param digest told about every weight of the linear layers
   */
  FrozenWeights(ModelFile file, Map<String, KronFactors> taken, MessageDigest digest) {
    this.file = file;
    this.linear = LinearLayers.of(file);
    linear.layers().forEach(layer -> layers.put(layer.name(), layer));
    this.taken = taken;
    this.digest = digest;
  }

  /** A layer with its adapter, if it has one. */
  AdaptedLinear linear(String name, TrainedModules trained, Arena arena, ThreadPool pool) {
    LinearLayers.Layer layer = layers.get(name);
    try (Arena scratch = Arena.ofShared()) {
      MemorySegment w = linear.read(layer, scratch);
      digest.update(w.asByteBuffer());
      KronFactors initial = taken.get(name);
      if (initial != null) {
        initial.writeDelta(-1, true, DType.F32, w, layer.in(), pool);
      }
      MemorySegment bias = linear.readBias(layer, arena);
      return AdaptedLinear.of(w, layer.out(), layer.in(), bias, trained.of(name), arena, pool);
    }
  }

  /** Hidden size to vocabulary. */
  AdaptedLinear head(Arena arena, ThreadPool pool) {
    ModelConfig c = file.config();
    String name = c.tiedEmbeddings() ? "model.embed_tokens.weight" : "lm_head.weight";
    try (Arena scratch = Arena.ofShared()) {
      MemorySegment w = floats(file.require(name, c.vocabSize(), c.hiddenSize()), scratch);
      return AdaptedLinear.of(w, c.vocabSize(), c.hiddenSize(), null, null, arena, pool);
    }
  }

  /** A norm's weights. */
  MemorySegment vector(String name, long size, Arena arena) {
    return floats(file.require(name, size), arena);
  }

  private static MemorySegment floats(Tensor tensor, Arena arena) {
    MemorySegment values = arena.allocate(tensor.elements() * Float.BYTES, 64);
    tensor.dtype().toFloat(tensor.data(), tensor.elements(), values);
    return values;
  }
}
