package dev.sylvester.runner.layers;

import dev.sylvester.kernels.KvMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A packed cache beside one of floats, whose attention goes on: each layer's error by itself, for
 * the same queries.
 */
final class MeasuringTextCache implements TextCache {
  private final TextCache floats;
  private final TextCache packed;
  private final double[] errors;

  /**
   * Owns both caches.
   *
   * @param errors to each layer's the squared error of attention is added, relative to the squares
   *     of what floats give
   */
  MeasuringTextCache(TextCache floats, TextCache packed, double[] errors) {
    this.floats = floats;
    this.packed = packed;
    this.errors = errors;
  }

  @Override
  public int length() {
    return floats.length();
  }

  @Override
  public boolean choosesSinks() {
    return packed.choosesSinks();
  }

  @Override
  public void attend(int layer, Scratch s, int row, int first, int rows) {
    packed.attend(layer, s, row, first, rows);
    float[] got =
        s.attention.asSlice(0, rows * s.attentionStride * 4L).toArray(ValueLayout.JAVA_FLOAT);
    floats.attend(layer, s, row, first, rows);
    double error = 0;
    double norm = 0;
    for (int i = 0; i < got.length; i++) {
      float want = s.attention.getAtIndex(ValueLayout.JAVA_FLOAT, i);
      error += Math.pow(got[i] - want, 2);
      norm += (double) want * want;
    }
    errors[layer] += norm == 0 ? 0 : error / norm;
  }

  @Override
  public void truncate(int tokens) {
    floats.truncate(tokens);
    packed.truncate(tokens);
  }

  @Override
  public TextCache fork() {
    throw new UnsupportedOperationException("a text that measures is not forked");
  }

  @Override
  public KvMemory memory() {
    return packed.memory();
  }

  @Override
  public MemorySegment save(Arena arena) {
    return packed.save(arena);
  }

  @Override
  public void close() {
    floats.close();
    packed.close();
  }
}
