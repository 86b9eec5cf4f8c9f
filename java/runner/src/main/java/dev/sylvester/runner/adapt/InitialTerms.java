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
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/** What an adapter starts from: the principal terms of the weights, or LoRA's random ones. */
final class InitialTerms {
  // Of a layer's energy, and of its terms, where the spectra say the ranks.
  private static final double SHARE = 0.9;
  private static final int MOST_TERMS = 64;
  private static final int HALVINGS = 40;

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
    List<LinearLayers.Layer> layers = weights.layers();
    int[] ranks = options.budget() > 0 ? ranksOfBudget() : new int[layers.size()];
    SplittableRandom random = new SplittableRandom(options.seed());
    Map<String, KronFactors> modules = new LinkedHashMap<>();
    for (int i = 0; i < ranks.length; i++) {
      LinearLayers.Layer layer = layers.get(i);
      int rank = options.budget() > 0 ? ranks[i] : options.rank();
      modules.put(
          layer.name(),
          options.method() == TrainingOptions.Method.LORA
              ? random(layer, rank, random)
              : principal(layer, rank));
      progress.update(modules.size(), ranks.length);
    }
    return modules;
  }

  /** As many terms as fit, at least one of each layer. */
  private int[] ranksOfBudget() {
    List<LinearLayers.Layer> layers = weights.layers();
    long one = layers.stream().mapToLong(layer -> parameters(shape(layer))).sum();
    if (options.budget() < one) {
      throw new IllegalArgumentException(
          "a budget of %d parameters holds no term of all layers: one of each takes %d"
              .formatted(options.budget(), one));
    }
    if (options.method() == TrainingOptions.Method.SOKA) {
      return ranksOfShare(layers);
    }
    long most = layers.stream().mapToLong(layer -> all(shape(layer))).min().orElse(0);
    int[] ranks = new int[layers.size()];
    Arrays.fill(ranks, (int) Math.min(most, options.budget() / one));
    return ranks;
  }

  /** Every layer keeps the same share of its energy, the largest one that fits. */
  private int[] ranksOfShare(List<LinearLayers.Layer> layers) {
    List<KronDecomposition> spectra =
        layers.stream()
            .map(
                layer -> {
                  long affordable = options.budget() / parameters(shape(layer));
                  return decompose(layer, Math.min(MOST_TERMS, affordable));
                })
            .toList();
    int[] ranks = new int[layers.size()];
    Arrays.fill(ranks, 1);
    double low = 0;
    double high = 1;
    for (int i = 0; i < HALVINGS; i++) {
      double share = (low + high) / 2;
      RankRule rule = RankRule.energy(share);
      int[] tried =
          spectra.stream().mapToInt(found -> rule.rank(found.sigma(), found.energy())).toArray();
      long parameters = 0;
      for (int l = 0; l < tried.length; l++) {
        parameters += tried[l] * parameters(shape(layers.get(l)));
      }
      if (parameters <= options.budget()) {
        low = share;
        ranks = tried;
      } else {
        high = share;
      }
    }
    return ranks;
  }

  private KronFactors random(LinearLayers.Layer layer, int rank, SplittableRandom random) {
    requireRank(layer, rank);
    MemorySegment u = arena.allocate(rank * layer.out() * Float.BYTES, 64);
    MemorySegment v = arena.allocate(rank * layer.in() * Float.BYTES, 64);
    // As PEFT does: Kaiming's uniform distribution with a = sqrt(5).
    double bound = 1 / Math.sqrt(layer.in());
    for (long i = 0; i < rank * layer.in(); i++) {
      v.setAtIndex(JAVA_FLOAT, i, (float) random.nextDouble(-bound, bound));
    }
    return KronFactors.of(DType.F32, rank, shape(layer), u, v);
  }

  /** Of this rank, or of 0: that which the spectrum suggests. */
  private KronFactors principal(LinearLayers.Layer layer, int rank) {
    requireRank(layer, rank);
    KronDecomposition found = decompose(layer, rank == 0 ? MOST_TERMS : rank);
    int kept =
        rank == 0
            ? RankRule.fewer(SHARE, RankRule.Elbow.CHORD).rank(found.sigma(), found.energy())
            : rank;
    return found.factors(kept, arena);
  }

  /** The first terms, as many as there are. */
  private KronDecomposition decompose(LinearLayers.Layer layer, long terms) {
    KronShape shape = shape(layer);
    try (Arena scratch = Arena.ofShared()) {
      return KronDecomposition.of(
          shape,
          DType.F32,
          weights.read(layer, scratch),
          layer.in(),
          (int) Math.min(terms, all(shape)),
          KronDecomposition.Method.AUTO,
          0,
          pool);
    }
  }

  private KronShape shape(LinearLayers.Layer layer) {
    return options.method() == TrainingOptions.Method.SOKA
        ? options.blocks().shape(layer)
        : PrincipalTerms.lora(layer);
  }

  private static long parameters(KronShape shape) {
    return shape.m() * shape.n() + shape.p() * shape.q();
  }

  /** Terms that any matrix is the sum of. */
  private static long all(KronShape shape) {
    return Math.min(shape.m() * shape.n(), shape.p() * shape.q());
  }

  private void requireRank(LinearLayers.Layer layer, int rank) {
    long most = all(shape(layer));
    if (rank > most) {
      throw new IllegalArgumentException(
          "rank is %d, %s has at most %d".formatted(rank, layer.name(), most));
    }
  }
}
