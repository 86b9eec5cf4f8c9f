package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_kron_rank_rule;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** How many terms of a decomposition to keep. Immutable. */
public final class RankRule {
  /** Where singular values, counted from 1, bend; of equals the first one. */
  public enum Elbow {
    /** Farthest below the line from the first to the last. */
    CHORD,
    /** Largest quotient of a value and the next. */
    RATIO,
    /** Largest second difference. */
    CURVATURE
  }

  private final int by;
  private final Elbow elbow;
  private final double share;
  private final int least;
  private final int most;

  private RankRule(int by, Elbow elbow, double share, int least, int most) {
    this.by = by;
    this.elbow = elbow;
    this.share = share;
    this.least = least;
    this.most = most;
  }

  /**
   * The fewest terms that hold a share of the energy, the sum of squares.
   *
   * @param share in (0, 1]
   * @return the rule
   */
  public static RankRule energy(double share) {
    return new RankRule(
        SylvesterFfi.SYL_KRON_BY_ENERGY(), Elbow.CHORD, share, 1, Integer.MAX_VALUE);
  }

  /**
   * The terms up to an elbow, with it.
   *
   * @param elbow which kind
   * @return the rule
   */
  public static RankRule elbow(Elbow elbow) {
    Args.present("RankRule.elbow", "elbow", elbow);
    return new RankRule(SylvesterFfi.SYL_KRON_BY_ELBOW(), elbow, 1, 1, Integer.MAX_VALUE);
  }

  /**
   * The fewer terms of a share of the energy and an elbow.
   *
   * @param share in (0, 1]
   * @param elbow which kind
   * @return the rule
   */
  public static RankRule fewer(double share, Elbow elbow) {
    Args.present("RankRule.fewer", "elbow", elbow);
    return new RankRule(SylvesterFfi.SYL_KRON_BY_MIN(), elbow, share, 1, Integer.MAX_VALUE);
  }

  /**
   * The more terms of a share of the energy and an elbow.
   *
   * @param share in (0, 1]
   * @param elbow which kind
   * @return the rule
   */
  public static RankRule more(double share, Elbow elbow) {
    Args.present("RankRule.more", "elbow", elbow);
    return new RankRule(SylvesterFfi.SYL_KRON_BY_MAX(), elbow, share, 1, Integer.MAX_VALUE);
  }

  /**
   * The same rule within bounds.
   *
   * @param fewest terms, at least 1
   * @param highest number of terms, at least fewest
   * @return the rule
   */
  public RankRule within(int fewest, int highest) {
    return new RankRule(by, elbow, share, fewest, highest);
  }

  /**
   * The rank for some singular values.
   *
   * @param sigma descending, at least one
   * @param energy sum of squares of the whole matrix; 0: that of sigma
   * @return 1..number of sigma
   */
  public int rank(double[] sigma, double energy) {
    Args.present("RankRule.rank", "sigma", sigma);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment rule = arena.allocate(syl_kron_rank_rule.layout());
      syl_kron_rank_rule.struct_size(rule, (int) syl_kron_rank_rule.sizeof());
      syl_kron_rank_rule.by(rule, by);
      syl_kron_rank_rule.elbow(rule, elbow.ordinal());
      syl_kron_rank_rule.least(rule, least);
      syl_kron_rank_rule.most(rule, most);
      syl_kron_rank_rule.share(rule, share);
      MemorySegment rank = arena.allocate(JAVA_LONG);
      SylvesterException.check(
          SylvesterFfi.syl_kron_rank(
              rule, arena.allocateFrom(JAVA_DOUBLE, sigma), sigma.length, energy, rank));
      return (int) rank.get(JAVA_LONG, 0);
    }
  }

  /**
   * A layer that competes for parameters.
   *
   * @param sigma its singular values, descending; may be empty
   * @param parameters of one term
   */
  public record Layer(double[] sigma, long parameters) {}

  /**
   * Ranks of several layers: terms are taken in descending order of energy per parameter, until the
   * next of no layer fits.
   *
   * @param layers at least one
   * @param budget parameters of all layers together
   * @return a rank for each layer, possibly 0
   */
  public static long[] budget(List<Layer> layers, long budget) {
    int count = Args.present("RankRule.budget", "layers", layers).size();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment begin = arena.allocate(JAVA_LONG, count + 1);
      MemorySegment parameters = arena.allocate(JAVA_LONG, count + 1);
      long total = layers.stream().mapToLong(layer -> layer.sigma.length).sum();
      MemorySegment sigma = arena.allocate(JAVA_DOUBLE, total + 1);
      long at = 0;
      for (int i = 0; i < count; i++) {
        Layer layer = layers.get(i);
        MemorySegment.copy(
            layer.sigma, 0, sigma, JAVA_DOUBLE, at * Double.BYTES, layer.sigma.length);
        at += layer.sigma.length;
        begin.setAtIndex(JAVA_LONG, i + 1, at);
        parameters.setAtIndex(JAVA_LONG, i, layer.parameters);
      }
      MemorySegment ranks = arena.allocate(JAVA_LONG, count);
      SylvesterException.check(
          SylvesterFfi.syl_kron_rank_budget(count, begin, sigma, parameters, budget, ranks));
      return ranks.toArray(JAVA_LONG);
    }
  }
}
