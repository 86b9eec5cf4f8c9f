package dev.sylvester.runner.diffusion;

/**
 * Which positions a pass computes anew; keys and values of the others are those of an earlier pass.
 * Only {@link #NONE} is exact: a bidirectional model's keys and values change with every token.
 */
public interface CachePolicy {
  /** Everything, always. */
  CachePolicy NONE = WindowCache.NONE;

  /** After a window's first pass only the window and what is behind it (Fast-dLLM). */
  CachePolicy PREFIX = WindowCache.PREFIX;

  /** After a window's first pass only the window (Fast-dLLM). */
  CachePolicy DUAL = WindowCache.DUAL;

  /**
   * Whether all that it leaves out is before all that it computes, so that it goes together with a
   * {@link Denoiser#suffixesOnly} model.
   */
  default boolean suffixes() {
    return false;
  }

  /**
   * Marks what a pass computes. What predicts the positions that a step asks for is computed
   * anyway.
   *
   * @param decoding the canvas, and the window in {@link Decoding#stage}
   * @param pass its number in this window, from 0 on
   * @param computed a place for each position, all false
   */
  void mark(Decoding decoding, int pass, boolean[] computed);
}
