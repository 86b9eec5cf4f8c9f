package dev.sylvester.runner.layers;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KvCalibration;
import dev.sylvester.kernels.KvMemory;
import dev.sylvester.kernels.KvOptions;
import dev.sylvester.kernels.ThreadPool;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Floats, with a calibration that gets to see what a packed cache would. */
final class CalibratingTextCache implements TextCache {
  private final Weights weights;
  private final ThreadPool pool;
  private final KvCalibration calibration;
  private final KvOptions options;
  private final FloatTextCache floats;

  CalibratingTextCache(
      Weights weights, int context, ThreadPool pool, KvCalibration calibration, KvOptions options) {
    this.weights = weights;
    this.pool = pool;
    this.calibration = calibration;
    this.options = options;
    this.floats = new FloatTextCache(weights.config(), context, DType.F16, pool);
  }

  @Override
  public int length() {
    return floats.length();
  }

  @Override
  public boolean preRope() {
    return options.preRope();
  }

  @Override
  public void attend(int layer, Scratch s, int row, int first, int rows) {
    // The first tokens, unlike all others, are never packed.
    int skipped = Math.clamp(options.firstTokens() - (long) first, 0, rows);
    if (skipped < rows) {
      long stride = s.queryKeyValueStride;
      long offset = skipped * stride * Float.BYTES;
      calibration.add(
          layer, s.keys.asSlice(offset), stride, s.values.asSlice(offset), stride, rows - skipped);
      if (options.balance()) {
        calibration.addQueries(layer, s.queries.asSlice(offset), stride, rows - skipped);
      }
    }
    if (options.preRope()) {
      weights.rotate(s.keys, weights.config().kvHeads(), s, rows, pool);
    }
    floats.attend(layer, s, row, first, rows);
  }

  @Override
  public void truncate(int tokens) {
    floats.truncate(tokens);
  }

  @Override
  public TextCache fork() {
    throw new UnsupportedOperationException("a text that calibrates is not forked");
  }

  @Override
  public KvMemory memory() {
    return floats.memory();
  }

  @Override
  public MemorySegment save(Arena arena) {
    return floats.save(arena);
  }

  @Override
  public void close() {
    floats.close();
  }
}
