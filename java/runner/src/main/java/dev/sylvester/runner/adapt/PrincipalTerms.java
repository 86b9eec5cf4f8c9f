package dev.sylvester.runner.adapt;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronDecomposition;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.KronShape;
import dev.sylvester.kernels.RankRule;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.hub.Progress;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.DoubleStream;

/**
 * An adapter of a given size that is nearest to a change of weights: of the terms of all layers
 * those that hold most energy for their parameters.
 *
 * @param modules factors of the layers that got any terms, by name
 * @param parameters of all factors
 * @param energy share of the change's energy that they hold
 */
public record PrincipalTerms(Map<String, KronFactors> modules, long parameters, double energy) {
  // Of weights in floats, against the largest singular value of their change.
  private static final double ROUNDING = 1e-6;

  /**
   * Decomposes a change.
   *
   * @param change its layers
   * @param shape factors of a layer, as {@link Blocks#shape}; {@link #lora} for LoRA
   * @param budget parameters of the adapter at most
   * @param arena owns the factors
   * @param progress told about layers, each of which is seen twice
   * @throws IllegalArgumentException when all is zero, or no term fits the budget
   */
  public static PrincipalTerms of(
      LinearLayers change,
      Function<LinearLayers.Layer, KronShape> shape,
      long budget,
      Arena arena,
      ThreadPool pool,
      Progress progress) {
    List<LinearLayers.Layer> layers = change.layers();
    List<KronShape> shapes = layers.stream().map(shape).toList();
    List<RankRule.Layer> choices = new ArrayList<>();
    double all = 0;
    for (int i = 0; i < layers.size(); i++) {
      KronShape s = shapes.get(i);
      long most = Math.min(budget / parameters(s), Math.min(s.m() * s.n(), s.p() * s.q()));
      // One term more than none tells the energy.
      KronDecomposition terms = decompose(change, layers.get(i), s, Math.max(1, most), pool);
      choices.add(new RankRule.Layer(worthwhile(terms.sigma(), most), parameters(s)));
      all += terms.energy();
      progress.update(i + 1L, 2L * layers.size());
    }
    if (all == 0) {
      throw new IllegalArgumentException("all weights are zero: there is nothing to decompose");
    }
    long[] ranks = RankRule.budget(choices, budget);
    Map<String, KronFactors> modules = new LinkedHashMap<>();
    long parameters = 0;
    double held = 0;
    for (int i = 0; i < ranks.length; i++) {
      if (ranks[i] > 0) {
        KronDecomposition terms = decompose(change, layers.get(i), shapes.get(i), ranks[i], pool);
        modules.put(layers.get(i).name(), terms.factors((int) ranks[i], arena));
        parameters += ranks[i] * choices.get(i).parameters();
        for (double value : terms.sigma()) {
          held += value * value;
        }
      }
      progress.update((long) layers.size() + i + 1, 2L * layers.size());
    }
    if (modules.isEmpty()) {
      throw new IllegalArgumentException(
          "a budget of %d parameters holds no term: one takes %d or more"
              .formatted(
                  budget, shapes.stream().mapToLong(PrincipalTerms::parameters).min().orElse(0)));
    }
    return new PrincipalTerms(modules, parameters, held / all);
  }

  /** The first of at most so many that are more than what rounding leaves. */
  private static double[] worthwhile(double[] sigma, long most) {
    double least = ROUNDING * sigma[0];
    return DoubleStream.of(sigma).limit(most).takeWhile(value -> value > least).toArray();
  }

  /** The factors of a LoRA of a layer. */
  public static KronShape lora(LinearLayers.Layer layer) {
    return KronShape.lora(layer.out(), layer.in());
  }

  private static long parameters(KronShape shape) {
    return shape.m() * shape.n() + shape.p() * shape.q();
  }

  private static KronDecomposition decompose(
      LinearLayers change, LinearLayers.Layer layer, KronShape shape, long terms, ThreadPool pool) {
    try (Arena scratch = Arena.ofShared()) {
      return KronDecomposition.of(
          shape,
          DType.F32,
          change.read(layer, scratch),
          layer.in(),
          (int) terms,
          KronDecomposition.Method.AUTO,
          0,
          pool);
    }
  }
}
