package dev.sylvester.runner.layers;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.KronAdapter;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.KronShape;
import dev.sylvester.runner.format.AdapterFolder;
import dev.sylvester.runner.format.ModelConfig;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** Adapters on their way to the layers of a model: each of their modules must find its own. */
public final class LayerAdapters {
  /**
   * An adapter that was read.
   *
   * @param folder its modules
   * @param scale factor on all of them
   */
  public record Scaled(AdapterFolder folder, float scale) {}

  /** What a linear layer adds to its outputs: {@code scale delta x}. */
  record Delta(KronAdapter adapter, float scale) {}

  private final List<Scaled> adapters;
  private final ModelConfig config;
  private final Arena arena;
  private final Set<String> layers = new HashSet<>();

  LayerAdapters(List<Scaled> adapters, ModelConfig config, Arena arena) {
    this.adapters = adapters;
    this.config = config;
    this.arena = arena;
  }

  /** What all adapters have for a layer. */
  List<Delta> of(String layer, long out, long in) {
    layers.add(layer);
    List<Delta> deltas = new ArrayList<>();
    for (Scaled adapter : adapters) {
      AdapterFolder.Module module = adapter.folder().modules().get(layer);
      if (module == null) {
        continue;
      }
      adapter.folder().requireFit(layer, out, in);
      float scale = module.scale() * adapter.scale();
      if (!Float.isFinite(scale)) {
        throw adapter.folder().error(layer, "scaled by %s".formatted(scale));
      }
      try (Arena scratch = Arena.ofConfined()) {
        KronFactors factors = inOrder(adapter, layer, module.factors(), scratch);
        deltas.add(new Delta(KronAdapter.pack(factors, arena), scale));
      }
    }
    return List.copyOf(deltas);
  }

  /** Every module belongs to a layer that was asked for. */
  void requireAllUsed() {
    for (Scaled adapter : adapters) {
      for (String module : adapter.folder().modules().keySet()) {
        if (!layers.contains(module)) {
          throw adapter.folder().lacksLayer(module);
        }
      }
    }
  }

  /** With rows as the model's file has them. */
  private KronFactors inOrder(Scaled adapter, String layer, KronFactors factors, Arena scratch) {
    if (!config.reordersRows(layer)) {
      return factors;
    }
    KronShape shape = factors.shape();
    if (shape.n() != 1 || shape.p() != 1) {
      throw adapter
          .folder()
          .error(
              layer,
              "a Kronecker product, whose rows cannot be reordered as the model's file has them; use"
                  + " the model's safetensors");
    }
    MemorySegment u = scratch.allocate(factors.u().byteSize(), 64);
    long elements = factors.terms() * shape.m();
    for (long to = 0; to < elements; to++) {
      long from = config.rowInTransformers(to);
      u.setAtIndex(JAVA_FLOAT, to, factors.u().getAtIndex(JAVA_FLOAT, from));
    }
    return KronFactors.of(factors.type(), factors.terms(), shape, u, factors.v());
  }
}
