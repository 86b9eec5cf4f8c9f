package dev.sylvester.runner.diffusion;

import dev.sylvester.kernels.LogitsOptions;
import dev.sylvester.kernels.LogitsStats;
import java.lang.foreign.MemorySegment;

/**
 * Predicts tokens of canvases whose unknown positions hold the mask token. Keeps what it computed
 * of each canvas, so that a pass can leave positions out.
 */
public interface Denoiser extends AutoCloseable {
  /** Tokens of the vocabulary: columns of a row of logits. */
  int vocabSize();

  /** Whether a position is predicted by the row before it (Dream), not by its own (LLaDA). */
  boolean shifted();

  /**
   * Makes room; what was computed before may be forgotten.
   *
   * @param canvases how many there are at once
   * @param length most tokens of one
   * @param tail most positions of a pass that does not compute a whole canvas, from its first one
   *     to the canvas's end
   */
  void reserve(int canvases, int length, int tail);

  /**
   * Whether a pass has to compute everything behind the first position that it computes, as where
   * keys and values of the others are packed.
   */
  default boolean suffixesOnly() {
    return false;
  }

  /**
   * What passes computed of a canvas becomes that of another one; they go their own ways from then
   * on.
   */
  void copy(int from, int to);

  /** One forward pass. */
  void read(Pass pass);

  /**
   * Logits of rows that the last pass computed.
   *
   * @param canvases canvas of each row
   * @param rows their positions
   * @param count how many
   * @return count x vocabSize floats, perhaps with others behind them; overwritten by the next call
   */
  MemorySegment logits(int[] canvases, int[] rows, int count);

  /**
   * Statistics of rows that the last pass computed, where they can be had without storing logits:
   * the same bits.
   *
   * @param canvases canvas of each row
   * @param rows their positions; with guidance those of the unconditional canvases behind the
   *     others
   * @param count results
   * @param guided whether there are unconditional rows, as many
   * @param options of the statistics
   * @param streams a number for each result that names its random numbers
   * @param stats takes the results
   * @return false: nothing was done, {@link #logits} has to be asked
   * @throws dev.sylvester.kernels.SylvesterException when the logits of a row are not finite
   */
  default boolean statistics(
      int[] canvases,
      int[] rows,
      int count,
      boolean guided,
      LogitsOptions options,
      MemorySegment streams,
      LogitsStats stats) {
    return false;
  }

  @Override
  default void close() {}
}
