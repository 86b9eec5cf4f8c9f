package dev.sylvester.runner.diffusion;

import java.lang.foreign.MemorySegment;

/** Statistics of rows of logits. */
interface RowStats {
  /**
   * Reads rows.
   *
   * @param logits a row of floats for each prediction
   * @param unconditional the same for guidance, or null
   * @throws IllegalStateException when one is not finite
   */
  void compute(MemorySegment logits, MemorySegment unconditional, Predictions of, Decoding at);

  /**
   * The same of rows that the denoiser does not have to store.
   *
   * @param rows of the predictions, and the unconditional ones behind them
   * @return false: not possible, and nothing was done
   */
  default boolean compute(
      Denoiser denoiser, int[] canvases, int[] rows, Predictions of, Decoding at) {
    return false;
  }

  int argmax(int r);

  int token(int r);

  /** Of the token. */
  double probability(int r);

  double probability(int r, int token);

  double gap(int r);

  double margin(int r);

  double entropy(int r);

  static IllegalStateException notFinite(int position, Decoding at) {
    return new IllegalStateException(
        "the logits of position %d are not finite in step %d".formatted(position, at.step()));
  }
}
