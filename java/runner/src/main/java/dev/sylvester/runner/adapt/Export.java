package dev.sylvester.runner.adapt;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronDecomposition;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.KronShape;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.AdapterFolder;
import dev.sylvester.runner.format.LayerChange;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.hub.Progress;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Map;

/** Adapters in the forms that PEFT reads beside the model as it is. */
public final class Export {
  // Of the largest singular value of a change in floats: what rounding leaves is below.
  private static final double ROUNDING = 1e-6;

  /**
   * A LoRA in place of an adapter.
   *
   * @param modules what each layer gets
   * @param errors of each layer: the norm of what is lost over that of the whole change
   * @param error the same of all layers together
   */
  public record Lora(Map<String, LayerChange> modules, Map<String, Double> errors, double error) {}

  private Export() {}

  /**
   * The changes that an adapter makes.
   *
   * @param base the model; null where none of the modules depends on its weights
   * @param arena owns the factors that are made
   * @throws IllegalArgumentException that names the module which needs a model, or does not fit it
   */
  public static Map<String, LayerChange> changes(
      AdapterFolder adapter, ModelFile base, Arena arena, ThreadPool pool) {
    Map<String, LayerChange> changes = new LinkedHashMap<>();
    for (String name : adapter.modules().keySet()) {
      requireLinear(adapter, name);
      try (Arena scratch = Arena.ofShared()) {
        MemorySegment weights = weights(adapter, name, base, scratch);
        changes.put(name, LayerChange.of(adapter, name, weights, arena, pool));
      }
    }
    return changes;
  }

  private static void requireLinear(AdapterFolder adapter, String name) {
    if (adapter.modules().get(name).embedding()) {
      throw adapter.error(name, "the embedding, of which no adapter is written");
    }
  }

  private static MemorySegment weights(
      AdapterFolder adapter, String name, ModelFile base, Arena arena) {
    if (!adapter.modules().get(name).relative()) {
      return null;
    }
    if (base == null) {
      throw adapter.error(name, "DoRA or PiSSA, which needs the model that it was made for");
    }
    KronShape shape = adapter.modules().get(name).factors().shape();
    return base.floats(name, shape.out(), shape.in(), arena);
  }

  /**
   * What PiSSA's training changed: of the same scale, with twice the terms.
   *
   * @param initial the adapter as it was before training
   * @param arena owns the factors
   * @throws IllegalArgumentException that names the module in which they do not match
   */
  public static Map<String, LayerChange> difference(
      AdapterFolder trained, AdapterFolder initial, Arena arena) {
    Map<String, LayerChange> changes = new LinkedHashMap<>();
    trained
        .modules()
        .forEach(
            (name, module) -> {
              requireLinear(trained, name);
              AdapterFolder.Module before = initial.modules().get(name);
              if (before == null
                  || !before.factors().shape().equals(module.factors().shape())
                  || before.scale() != module.scale()
                  || module.magnitude() != null) {
                throw trained.error(name, "not what training made of %s".formatted(initial.path()));
              }
              KronFactors factors =
                  LayerChange.difference(module.factors(), before.factors(), arena);
              changes.put(name, new LayerChange(factors, module.scale(), null));
            });
    return changes;
  }

  /**
   * The nearest LoRA in the Frobenius norm. What is one already, of few enough terms, stays as it
   * is; of all else the change is made, one layer at a time, and decomposed.
   *
   * @param rank terms of a layer at most
   * @param base the model; null where no change has gains
   * @param arena owns the factors that are made
   * @param progress told about layers
   */
  public static Lora lora(
      Map<String, LayerChange> changes,
      int rank,
      ModelFile base,
      Arena arena,
      ThreadPool pool,
      Progress progress) {
    Map<String, LayerChange> modules = new LinkedHashMap<>();
    Map<String, Double> errors = new LinkedHashMap<>();
    double lost = 0;
    double all = 0;
    for (Map.Entry<String, LayerChange> entry : changes.entrySet()) {
      LayerChange change = entry.getValue();
      KronShape shape = change.factors().shape();
      double energy;
      double missed = 0;
      try (Arena scratch = Arena.ofShared()) {
        MemorySegment delta = delta(entry.getKey(), change, base, scratch, pool);
        if (change.isLora() && change.factors().terms() <= rank) {
          modules.put(entry.getKey(), change);
          energy = energy(delta);
        } else {
          int terms = (int) Math.min(rank, Math.min(shape.out(), shape.in()));
          KronDecomposition svd = svd(delta, shape, terms, pool);
          modules.put(entry.getKey(), LayerChange.of(svd.factors(worthwhile(svd.sigma()), arena)));
          energy = svd.energy();
          missed = Math.max(0, energy - energy(svd.sigma()));
        }
      }
      errors.put(entry.getKey(), relative(missed, energy));
      lost += missed;
      all += energy;
      progress.update(modules.size(), changes.size());
    }
    return new Lora(modules, errors, relative(lost, all));
  }

  private static MemorySegment delta(
      String name, LayerChange change, ModelFile base, Arena arena, ThreadPool pool) {
    KronShape shape = change.factors().shape();
    MemorySegment weights =
        change.gains() == null ? null : base.floats(name, shape.out(), shape.in(), arena);
    MemorySegment delta = arena.allocate(shape.out() * shape.in() * Float.BYTES, 64);
    change.addTo(1, weights, delta, pool);
    return delta;
  }

  private static KronDecomposition svd(
      MemorySegment delta, KronShape shape, int terms, ThreadPool pool) {
    return KronDecomposition.of(
        KronShape.lora(shape.out(), shape.in()),
        DType.F32,
        delta,
        shape.in(),
        terms,
        KronDecomposition.Method.AUTO,
        0,
        pool);
  }

  private static double relative(double missed, double energy) {
    return energy == 0 ? 0 : Math.sqrt(missed / energy);
  }

  private static double energy(MemorySegment delta) {
    double sum = 0;
    for (long i = 0; i < delta.byteSize() / Float.BYTES; i++) {
      double value = delta.getAtIndex(JAVA_FLOAT, i);
      sum += value * value;
    }
    return sum;
  }

  private static double energy(double[] sigma) {
    double sum = 0;
    for (double value : sigma) {
      sum += value * value;
    }
    return sum;
  }

  /** At least one, since PEFT has no layer without. */
  private static int worthwhile(double[] sigma) {
    int count = 1;
    while (count < sigma.length && sigma[count] > ROUNDING * sigma[0]) {
      count++;
    }
    return count;
  }
}
