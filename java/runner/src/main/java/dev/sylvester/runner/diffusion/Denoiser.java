package dev.sylvester.runner.diffusion;

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
   */
  void reserve(int canvases, int length);

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

  @Override
  default void close() {}
}
