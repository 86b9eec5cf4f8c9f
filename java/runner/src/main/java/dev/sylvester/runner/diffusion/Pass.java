package dev.sylvester.runner.diffusion;

import java.util.Arrays;

/** What one forward pass reads: spans of canvases. */
public final class Pass {
  private int[] canvases = new int[4];
  private int[][] tokens = new int[4][];
  private int[] from = new int[4];
  private int[] to = new int[4];
  private int count;
  private int rows;

  /** Nothing yet. */
  public Pass() {}

  /** Nothing again. */
  public void clear() {
    count = 0;
    rows = 0;
  }

  /** The same as another one, whose tokens are not copied. */
  public void set(Pass other) {
    clear();
    for (int i = 0; i < other.count; i++) {
      add(other.canvases[i], other.tokens[i], other.from[i], other.to[i]);
    }
  }

  /**
   * Adds a span; spans of one canvas do not overlap.
   *
   * @param canvas which of the denoiser's canvases
   * @param text all tokens of the canvas; not copied
   * @param first position of the span
   * @param end of the span
   */
  public void add(int canvas, int[] text, int first, int end) {
    if (count == canvases.length) {
      canvases = Arrays.copyOf(canvases, 2 * count);
      tokens = Arrays.copyOf(tokens, 2 * count);
      from = Arrays.copyOf(from, 2 * count);
      to = Arrays.copyOf(to, 2 * count);
    }
    canvases[count] = canvas;
    tokens[count] = text;
    from[count] = first;
    to[count++] = end;
    rows += end - first;
  }

  /** Number of spans. */
  public int count() {
    return count;
  }

  /** Positions of all spans. */
  public int rows() {
    return rows;
  }

  /** Positions of a span. */
  public int rows(int span) {
    return to[span] - from[span];
  }

  /** The canvas of a span. */
  public int canvas(int span) {
    return canvases[span];
  }

  /** All tokens of a span's canvas. */
  public int[] tokens(int span) {
    return tokens[span];
  }

  /** First position of a span. */
  public int from(int span) {
    return from[span];
  }

  /** End of a span. */
  public int to(int span) {
    return to[span];
  }
}
