package dev.sylvester.runner.diffusion;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Made-up logits: a function of a seed, of the whole canvas and of the row. Some canvases have
 * equal rows, and logits of a coarse grid.
 */
class Oracle implements Denoiser {
  private final long seed;
  private final int vocabSize;
  private final boolean shifted;
  private final boolean ties;
  private final Arena arena = Arena.ofAuto();
  private MemorySegment rows = MemorySegment.NULL;
  private int[][] canvases = new int[0][];

  /** What passes have read, span after span: canvas, from, to. */
  final List<int[]> spans = new ArrayList<>();

  Oracle(long seed, int vocabSize, boolean shifted, boolean ties) {
    this.seed = seed;
    this.vocabSize = vocabSize;
    this.shifted = shifted;
    this.ties = ties;
  }

  /** Whether logits are of a coarse grid. */
  boolean ties() {
    return ties;
  }

  /** Row of a canvas. */
  float[] row(int[] tokens, int position) {
    long hash = seed;
    for (int token : tokens) {
      hash = (hash ^ token) * 0x9E3779B97F4A7C15L + 1;
    }
    SplittableRandom random = new SplittableRandom(hash + (ties ? position % 3 : position) * 31L);
    float[] row = new float[vocabSize];
    for (int v = 0; v < vocabSize; v++) {
      double u = random.nextDouble() + random.nextDouble() + random.nextDouble() - 1.5;
      row[v] = ties ? Math.round(u * 12) / 2f : (float) (u * 6);
    }
    return row;
  }

  /** Row of one of its canvases. */
  float[] row(int canvas, int[] tokens, int position) {
    return row(tokens, position);
  }

  @Override
  public int vocabSize() {
    return vocabSize;
  }

  @Override
  public boolean shifted() {
    return shifted;
  }

  @Override
  public void reserve(int count, int length, int tail) {
    canvases = new int[count][];
    rows = arena.allocate((long) count * length * vocabSize * Float.BYTES, 8);
  }

  @Override
  public void copy(int from, int to) {
    canvases[to] = canvases[from];
  }

  @Override
  public void read(Pass pass) {
    for (int i = 0; i < pass.count(); i++) {
      canvases[pass.canvas(i)] = pass.tokens(i).clone();
      spans.add(new int[] {pass.canvas(i), pass.from(i), pass.to(i)});
    }
  }

  @Override
  public MemorySegment logits(int[] of, int[] positions, int count) {
    for (int i = 0; i < count; i++) {
      MemorySegment.copy(
          row(of[i], canvases[of[i]], positions[i]),
          0,
          rows,
          ValueLayout.JAVA_FLOAT,
          (long) i * vocabSize * Float.BYTES,
          vocabSize);
    }
    return rows;
  }
}
