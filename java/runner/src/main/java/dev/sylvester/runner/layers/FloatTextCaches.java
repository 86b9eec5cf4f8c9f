package dev.sylvester.runner.layers;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KvCalibration;
import dev.sylvester.kernels.KvOptions;
import dev.sylvester.kernels.ThreadPool;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** Floats, which every text keeps for itself. */
final class FloatTextCaches extends TextCaches {
  private final DType type;

  FloatTextCaches(Weights weights, int context, ThreadPool pool, DType type) {
    super(weights, context, pool);
    this.type = type;
  }

  @Override
  TextCache newCache() {
    return new FloatTextCache(weights.config(), context, type, pool);
  }

  /** A text whose keys and values a calibration gets to see. */
  Evaluator newText(KvCalibration calibration, KvOptions options) {
    return new Evaluator(
        this, new CalibratingTextCache(weights, context, pool, calibration, options));
  }

  @Override
  TextCache loadCache(MemorySegment file) throws IOException {
    throw new IOException("a cache of floats is not saved");
  }

  @Override
  public long bytesPerToken() {
    return FloatTextCache.bytesPerToken(weights.config(), type);
  }

  @Override
  public double bitsKeys() {
    return 8.0 * type.blockBytes();
  }

  @Override
  public double bitsValues() {
    return bitsKeys();
  }

  @Override
  public void close() {
    // Texts own their memory.
  }
}
