package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_dlm_rule;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Selects rows from their {@link LogitsStats}: which masked positions a step of masked diffusion
 * decides. Candidates are ordered by a score, equal ones by their index; the first is always
 * selected, but for k = 0. See {@code sylvester/dlm.h}. Memory belongs to an arena; not for two
 * threads at once.
 */
public final class RowSelector {
  /** What a fixed number of rows is chosen by. */
  public enum Score {
    /** Probability of the token. */
    CONFIDENCE(SylvesterFfi.SYL_DLM_CONFIDENCE()),
    /** Probability of the best token less that of the second. */
    MARGIN(SylvesterFfi.SYL_DLM_MARGIN()),
    /** Minus the entropy. */
    NEGATIVE_ENTROPY(SylvesterFfi.SYL_DLM_NEGATIVE_ENTROPY());

    private final int id;

    Score(int id) {
      this.id = id;
    }
  }

  private final MemorySegment rule;
  private final MemorySegment selectedCount;

  private RowSelector(int kind, double bound, Arena arena) {
    rule = arena.allocate(syl_dlm_rule.layout());
    selectedCount = arena.allocate(JAVA_LONG);
    syl_dlm_rule.struct_size(rule, (int) syl_dlm_rule.sizeof());
    syl_dlm_rule.kind(rule, kind);
    syl_dlm_rule.bound(rule, bound);
  }

  /**
   * The k rows with the highest score; {@link #k} changes the number.
   *
   * @param score what counts
   * @param k at least 0
   * @param arena owns the memory
   * @return the selector
   */
  public static RowSelector fixedK(Score score, long k, Arena arena) {
    RowSelector selector = new RowSelector(SylvesterFfi.SYL_DLM_FIXED_K(), 0, arena);
    syl_dlm_rule.score(selector.rule, Args.present("RowSelector.fixedK", "score", score).id);
    return selector.k(k);
  }

  /**
   * Rows whose confidence reaches a threshold (Fast-dLLM, arXiv 2505.22618).
   *
   * @param threshold 0..1
   * @param arena owns the memory
   * @return the selector
   */
  public static RowSelector threshold(double threshold, Arena arena) {
    return new RowSelector(SylvesterFfi.SYL_DLM_THRESHOLD(), threshold, arena);
  }

  /**
   * The n most confident rows while {@code (n + 1) (1 - confidence) <= factor} (Fast-dLLM).
   *
   * @param factor more than 0
   * @param lastToo the last candidate goes along where only it fails, as in the release
   * @param arena owns the memory
   * @return the selector
   */
  public static RowSelector factor(double factor, boolean lastToo, Arena arena) {
    RowSelector selector = new RowSelector(SylvesterFfi.SYL_DLM_FACTOR(), factor, arena);
    syl_dlm_rule.last_too(selector.rule, lastToo ? 1 : 0);
    return selector;
  }

  /**
   * Rows in the order of their entropy, while the sum of those before stays within a bound
   * (EB-Sampler, arXiv 2505.24857).
   *
   * @param bound at least 0
   * @param arena owns the memory
   * @return the selector
   */
  public static RowSelector entropyBound(double bound, Arena arena) {
    return new RowSelector(SylvesterFfi.SYL_DLM_ENTROPY_BOUND(), bound, arena);
  }

  /**
   * How many rows {@link #fixedK} selects from now on.
   *
   * @param value at least 0
   * @return this
   */
  public RowSelector k(long value) {
    syl_dlm_rule.k(rule, value);
    return this;
  }

  /**
   * The C structure {@code syl_dlm_rule}, for those who call the C functions themselves.
   *
   * @return the structure, which {@link #k} changes
   */
  public MemorySegment toNative() {
    return rule;
  }

  /**
   * Selects among the first rows of statistics.
   *
   * @param stats statistics of at least count rows
   * @param masked a byte a row, not 0 for candidates; null: all are
   * @param count number of rows
   * @param selected gets int32 indices, the most certain first; room for count
   * @return how many were selected
   */
  public int select(LogitsStats stats, MemorySegment masked, long count, MemorySegment selected) {
    String function = "RowSelector.select";
    Args.range(function, "count", count, 0, Args.present(function, "stats", stats).capacity());
    Args.output(function, "selected", selected, count * Integer.BYTES);
    SylvesterException.check(
        SylvesterFfi.syl_dlm_select(
            rule,
            stats.toNative(),
            Args.optional(function, "masked", masked, count),
            count,
            selected,
            selectedCount));
    return (int) selectedCount.get(JAVA_LONG, 0);
  }
}
