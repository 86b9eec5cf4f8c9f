package dev.sylvester.runner.layers;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.KronAdapter;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.KronShape;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.AdapterFolder;
import dev.sylvester.runner.format.LayerChange;
import dev.sylvester.runner.format.ModelConfig;
import dev.sylvester.runner.format.ModelFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** An adapter, packed for the layers of one model. Immutable. */
public final class PackedAdapter {
  /**
   * What it adds to a layer of a projection.
   *
   * @param projection its index
   * @param part which of the projection's layers
   * @param adapter the delta
   * @param scale factor on it
   * @param gains of the layer's own outputs, or null
   */
  record Change(int projection, int part, KronAdapter adapter, float scale, float[] gains) {}

  private final AdapterFolder folder;
  private final List<Change> changes;
  private final EmbeddingChange embedding;

  private PackedAdapter(AdapterFolder folder, List<Change> changes, EmbeddingChange embedding) {
    this.folder = folder;
    this.changes = changes;
    this.embedding = embedding;
  }

  /**
   * Finds each module its layer.
   *
   * @param folder may be read into an arena that is closed afterwards
   * @param arena owns the packed form
   * @throws IllegalArgumentException that names the module which does not fit
   */
  public static PackedAdapter pack(
      AdapterFolder folder, ModelFile file, Weights weights, Arena arena, ThreadPool pool) {
    List<Change> changes = new ArrayList<>();
    Set<String> missing = new HashSet<>(folder.modules().keySet());
    for (Projection projection : weights.projections()) {
      for (int part = 0; part < projection.parts().size(); part++) {
        String name = projection.parts().get(part).name();
        // A head that has the embedding's weights is a layer of its own to adapters.
        String layer = name.equals(AdapterFolder.EMBEDDING) ? "lm_head" : name;
        if (!missing.remove(layer)) {
          continue;
        }
        long out = projection.parts().get(part).rows();
        long in = projection.cols();
        folder.requireFit(layer, out, in);
        try (Arena scratch = Arena.ofShared()) {
          MemorySegment own =
              folder.modules().get(layer).relative() ? file.floats(name, out, in, scratch) : null;
          LayerChange change = LayerChange.of(folder, layer, own, scratch, pool);
          change = inOrder(folder, layer, change, file.config(), scratch);
          changes.add(
              new Change(
                  projection.index(),
                  part,
                  KronAdapter.pack(change.factors(), arena),
                  change.scale(),
                  change.gains()));
        }
      }
    }
    EmbeddingChange embedding = embedding(folder, weights.config(), arena);
    if (embedding != null) {
      missing.remove(AdapterFolder.EMBEDDING);
    }
    for (String module : folder.modules().keySet()) {
      if (missing.contains(module)) {
        throw folder.lacksLayer(module);
      }
    }
    return new PackedAdapter(folder, List.copyOf(changes), embedding);
  }

  private static EmbeddingChange embedding(AdapterFolder folder, ModelConfig config, Arena arena) {
    AdapterFolder.Module module = folder.modules().get(AdapterFolder.EMBEDDING);
    if (module == null || !module.embedding()) {
      return null;
    }
    folder.requireFit(AdapterFolder.EMBEDDING, config.vocabSize(), config.hiddenSize());
    return EmbeddingChange.of(module.factors(), module.scale(), arena);
  }

  List<Change> changes() {
    return changes;
  }

  /** Size of the packed form. */
  public long bytes() {
    return changes.stream().mapToLong(change -> change.adapter.bytes()).sum()
        + (embedding == null ? 0 : embedding.bytes());
  }

  /**
   * What a scale makes of a change's own.
   *
   * @throws IllegalArgumentException when that is not finite
   */
  float scaled(Change change, float scale, Weights weights) {
    String layer = weights.projections().get(change.projection).parts().get(change.part).name();
    return requireFinite(layer, change.scale * scale);
  }

  /** What it adds to rows of the embedding, scaled; null: nothing. */
  EmbeddingChange embedding(float scale) {
    if (embedding != null) {
      requireFinite(AdapterFolder.EMBEDDING, embedding.scale() * scale);
    }
    return embedding == null ? null : embedding.scaled(scale);
  }

  private float requireFinite(String layer, float scale) {
    if (!Float.isFinite(scale)) {
      throw folder.error(layer, "scaled by %s".formatted(scale));
    }
    return scale;
  }

  /** With rows as the model's file has them. */
  private static LayerChange inOrder(
      AdapterFolder folder, String layer, LayerChange change, ModelConfig config, Arena scratch) {
    if (!config.reordersRows(layer)) {
      return change;
    }
    KronFactors factors = change.factors();
    KronShape shape = factors.shape();
    if (shape.n() != 1 || shape.p() != 1) {
      throw folder.error(
          layer,
          "a Kronecker product, whose rows cannot be reordered as the model's file has them; use"
              + " the model's safetensors");
    }
    MemorySegment u = scratch.allocate(factors.u().byteSize(), 64);
    float[] gains = change.gains() == null ? null : new float[change.gains().length];
    for (long to = 0; to < factors.terms() * shape.m(); to++) {
      long from = config.rowInTransformers(to);
      u.setAtIndex(JAVA_FLOAT, to, factors.u().getAtIndex(JAVA_FLOAT, from));
      if (gains != null && to < gains.length) {
        gains[(int) to] = change.gains()[(int) from];
      }
    }
    return new LayerChange(
        KronFactors.of(factors.type(), factors.terms(), shape, u, factors.v()),
        change.scale(),
        gains);
  }
}
