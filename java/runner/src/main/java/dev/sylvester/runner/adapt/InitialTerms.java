package dev.sylvester.runner.adapt;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronDecomposition;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.KronShape;
import dev.sylvester.kernels.RankRule;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.hub.Progress;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/** What an adapter starts from: the principal terms of the weights, or LoRA's random ones. */
final class InitialTerms {
  // Where each layer's spectrum says its rank: the share of the energy of its first terms.
  private static final double SHARE = 0.9;
  private static final int MOST_TERMS = 64;

  private final LinearLayers weights;
  private final TrainingOptions options;
  private final Arena arena;
  private final ThreadPool pool;
  private final Progress progress;

  private InitialTerms(
      LinearLayers weights,
      TrainingOptions options,
      Arena arena,
      ThreadPool pool,
      Progress progress) {
    this.weights = weights;
    this.options = options;
    this.arena = arena;
    this.pool = pool;
    this.progress = progress;
  }

  /**
   * Factors by layer.
   *
   * @param arena owns them
   * @throws IllegalArgumentException when a rank or the budget does not fit the model
   */
  static Map<String, KronFactors> of(
      ModelFile model, TrainingOptions options, Arena arena, ThreadPool pool, Progress progress) {
    return new InitialTerms(LinearLayers.of(model), options, arena, pool, progress).make();
  }

  private Map<String, KronFactors> make() {
    if (options.method() == TrainingOptions.Method.SOKA && options.budget() > 0) {
      return PrincipalTerms.of(
              weights, options.blocks()::shape, options.budget(), arena, pool, progress)
          .modules();
    }
    int rank = options.budget() > 0 ? rankOfBudget() : options.rank();
    SplittableRandom random = new SplittableRandom(options.seed());
    Map<String, KronFactors> modules = new LinkedHashMap<>();
    for (LinearLayers.Layer layer : weights.layers()) {
      modules.put(
          layer.name(),
          options.method() == TrainingOptions.Method.LORA
              ? random(layer, rank, random)
              : principal(layer, rank));
      progress.update(modules.size(), weights.layers().size());
    }
    return modules;
  }

  /** The largest rank that all layers can have. */
  private int rankOfBudget() {
    List<LinearLayers.Layer> layers = weights.layers();
    long one = layers.stream().mapToLong(layer -> layer.out() + layer.in()).sum();
    long most = layers.stream().mapToLong(l -> Math.min(l.out(), l.in())).min().orElse(0);
    if (options.budget() < one) {
      throw new IllegalArgumentException(
          "a budget of %d parameters holds no rank for all layers: one takes %d"
              .formatted(options.budget(), one));
    }
    return (int) Math.min(most, options.budget() / one);
  }

  private KronFactors random(LinearLayers.Layer layer, int rank, SplittableRandom random) {
    KronShape shape = PrincipalTerms.lora(layer);
    requireRank(layer, shape, rank);
    MemorySegment u = arena.allocate(rank * layer.out() * Float.BYTES, 64);
    MemorySegment v = arena.allocate(rank * layer.in() * Float.BYTES, 64);
    // As PEFT does: Kaiming's uniform distribution with a = sqrt(5).
    double bound = 1 / Math.sqrt(layer.in());
    for (long i = 0; i < rank * layer.in(); i++) {
      v.setAtIndex(JAVA_FLOAT, i, (float) random.nextDouble(-bound, bound));
    }
    return KronFactors.of(DType.F32, rank, shape, u, v);
  }

  /** Of this rank, or of 0: that which the spectrum suggests. */
  private KronFactors principal(LinearLayers.Layer layer, int rank) {
    KronShape shape =
        options.method() == TrainingOptions.Method.SOKA
            ? options.blocks().shape(layer)
            : PrincipalTerms.lora(layer);
    long all = Math.min(shape.m() * shape.n(), shape.p() * shape.q());
    requireRank(layer, shape, rank);
    int terms = rank == 0 ? (int) Math.min(all, MOST_TERMS) : rank;
    try (Arena scratch = Arena.ofShared()) {
      KronDecomposition found =
          KronDecomposition.of(
              shape,
              DType.F32,
              weights.read(layer, scratch),
              layer.in(),
              terms,
              KronDecomposition.Method.AUTO,
              0,
              pool);
      int kept =
          rank == 0
              ? RankRule.fewer(SHARE, RankRule.Elbow.CHORD).rank(found.sigma(), found.energy())
              : rank;
      return found.factors(kept, arena);
    }
  }

  private static void requireRank(LinearLayers.Layer layer, KronShape shape, int rank) {
    long most = Math.min(shape.m() * shape.n(), shape.p() * shape.q());
    if (rank > most) {
      throw new IllegalArgumentException(
          "rank is %d, %s has at most %d".formatted(rank, layer.name(), most));
    }
  }
}
