package dev.sylvester.runner.adapt;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronDecomposition;
import dev.sylvester.kernels.KronShape;
import dev.sylvester.kernels.RankRule;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.hub.Progress;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * How much of a model's linear layers, or of what fine-tuning changed in them, sums of few terms
 * hold: Kronecker products against the SVD at equal parameters. Energy is the sum of squares.
 *
 * @param layers from first to last
 */
public record Spectrum(List<Layer> layers) {
  /** The largest share of a layer's parameters that terms are computed for. */
  public static final double MOST = 0.2;

  private static final long SEED = 1;

  /** What the terms are. */
  public enum Kind {
    /** Kronecker products. */
    KRONECKER,
    /** Outer products of vectors: LoRA. */
    SVD,
    /** Kronecker products of the same numbers in random order: what there is without structure. */
    SHUFFLED
  }

  /**
   * One layer.
   *
   * @param layer its name and size
   * @param shape of its Kronecker products
   * @param energy of its weights
   * @param sigma singular values of each kind, descending, up to {@link #MOST}
   */
  public record Layer(
      LinearLayers.Layer layer, KronShape shape, double energy, Map<Kind, double[]> sigma) {
    /** The share of the energy in the best terms that take this share of the parameters. */
    public double energy(Kind kind, double share) {
      long terms = (long) (share * layer.parameters()) / parametersOfTerm(kind);
      return first(kind, terms) / energy;
    }

    private double first(Kind kind, long terms) {
      double sum = 0;
      double[] values = sigma.get(kind);
      for (int k = 0; k < Math.min(terms, values.length); k++) {
        sum += values[k] * values[k];
      }
      return sum;
    }

    private long parametersOfTerm(Kind kind) {
      return kind == Kind.SVD
          ? layer.out() + layer.in()
          : shape.m() * shape.n() + shape.p() * shape.q();
    }
  }

  /**
   * Decomposes all layers.
   *
   * @param blocks sizes of the Kronecker products
   * @param progress told about layers
   * @throws IllegalArgumentException when the blocks do not divide a layer, or all is zero
   */
  public static Spectrum of(
      LinearLayers weights, Blocks blocks, ThreadPool pool, Progress progress) {
    List<KronShape> shapes = weights.layers().stream().map(blocks::shape).toList();
    List<Layer> layers = new ArrayList<>();
    for (LinearLayers.Layer layer : weights.layers()) {
      KronShape shape = shapes.get(layers.size());
      try (Arena arena = Arena.ofShared()) {
        layers.add(decompose(layer, shape, weights.read(layer, arena), pool));
      }
      progress.update(layers.size(), shapes.size());
    }
    if (layers.stream().allMatch(layer -> layer.energy == 0)) {
      throw new IllegalArgumentException("all weights are zero: there is nothing to decompose");
    }
    return new Spectrum(List.copyOf(layers));
  }

  private static Layer decompose(
      LinearLayers.Layer layer, KronShape shape, MemorySegment w, ThreadPool pool) {
    Map<Kind, double[]> sigma = new EnumMap<>(Kind.class);
    KronDecomposition kronecker = terms(layer, shape, w, pool);
    sigma.put(Kind.KRONECKER, kronecker.sigma());
    sigma.put(Kind.SVD, terms(layer, KronShape.lora(layer.out(), layer.in()), w, pool).sigma());
    shuffle(w, layer.parameters());
    sigma.put(Kind.SHUFFLED, terms(layer, shape, w, pool).sigma());
    return new Layer(layer, shape, kronecker.energy(), sigma);
  }

  private static KronDecomposition terms(
      LinearLayers.Layer layer, KronShape shape, MemorySegment w, ThreadPool pool) {
    long left = shape.m() * shape.n();
    long right = shape.p() * shape.q();
    long affordable = Math.max(1, (long) (MOST * layer.parameters()) / (left + right));
    int terms = (int) Math.min(affordable, Math.min(left, right));
    return KronDecomposition.of(
        shape, DType.F32, w, layer.in(), terms, KronDecomposition.Method.AUTO, 0, pool);
  }

  private static void shuffle(MemorySegment w, long count) {
    SplittableRandom random = new SplittableRandom(SEED);
    for (long i = count - 1; i > 0; i--) {
      long other = random.nextLong(i + 1);
      float value = w.getAtIndex(JAVA_FLOAT, i);
      w.setAtIndex(JAVA_FLOAT, i, w.getAtIndex(JAVA_FLOAT, other));
      w.setAtIndex(JAVA_FLOAT, other, value);
    }
  }

  /** The share of all layers' energy in the best terms of all that take this share together. */
  public double energy(Kind kind, double share) {
    long parameters = layers.stream().mapToLong(layer -> layer.layer.parameters()).sum();
    List<RankRule.Layer> choices =
        layers.stream()
            .map(l -> new RankRule.Layer(l.sigma.get(kind), l.parametersOfTerm(kind)))
            .toList();
    long[] ranks = RankRule.budget(choices, (long) (share * parameters));
    double held = 0;
    double all = 0;
    for (int i = 0; i < ranks.length; i++) {
      held += layers.get(i).first(kind, ranks[i]);
      all += layers.get(i).energy;
    }
    return held / all;
  }
}
