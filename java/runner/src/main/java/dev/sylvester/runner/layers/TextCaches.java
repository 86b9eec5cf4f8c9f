package dev.sylvester.runner.layers;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KvCalibration;
import dev.sylvester.kernels.KvOptions;
import dev.sylvester.kernels.KvPlan;
import dev.sylvester.kernels.ThreadPool;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** Makes the caches of a model's texts, all of one kind. Thread-safe. */
public abstract sealed class TextCaches implements AutoCloseable
    permits FloatTextCaches, PackedTextCaches {
  final Weights weights;
  final int context;
  final ThreadPool pool;

  TextCaches(Weights weights, int context, ThreadPool pool) {
    this.weights = weights;
    this.context = context;
    this.pool = pool;
  }

  /**
   * Caches of floats.
   *
   * @param context most tokens of a text
   * @param type of the floats, 16 or 32 bits
   */
  public static TextCaches floats(Weights weights, int context, ThreadPool pool, DType type) {
    return new FloatTextCaches(weights, context, pool, type);
  }

  /**
   * Packed caches, which share pages.
   *
   * @param context most tokens of a text
   * @param plan of {@link Weights#kvGeometry}; closed with these caches
   * @param texts that can be full at once
   */
  public static TextCaches packed(
      Weights weights, int context, ThreadPool pool, KvPlan plan, int texts) {
    return new PackedTextCaches(weights, context, pool, plan, texts);
  }

  /** An empty text with floats, whose keys and values a calibration gets to see. */
  public static Evaluator calibrating(
      Weights weights, int context, ThreadPool pool, KvCalibration calibration, KvOptions options) {
    return new FloatTextCaches(weights, context, pool, DType.F16).newText(calibration, options);
  }

  /** An empty text. */
  public final Evaluator newText() {
    return new Evaluator(this, newCache());
  }

  /**
   * An empty text that is computed with floats and measures these caches.
   *
   * @param errors to each layer's the squared error of its attention is added, relative to the
   *     squares of what floats give
   */
  public final Evaluator newMeasuringText(double[] errors) {
    TextCache floats = new FloatTextCache(weights.config(), context, DType.F16, pool);
    return new Evaluator(this, new MeasuringTextCache(floats, newCache(), errors));
  }

  /**
   * A saved text.
   *
   * @param tokens that were read
   * @param sinkRows {@link Evaluator#sinkRows} of it
   * @param file of {@link Evaluator#saveCache}, a native segment; not needed afterwards
   * @throws IOException when it is damaged, or of another plan
   */
  public final Evaluator loadText(int[] tokens, int sinkRows, MemorySegment file)
      throws IOException {
    return new Evaluator(this, tokens, sinkRows, loadCache(file));
  }

  abstract TextCache newCache();

  abstract TextCache loadCache(MemorySegment file) throws IOException;

  /** Bytes of keys and values that one token adds to a long text. */
  public abstract long bytesPerToken();

  /** Bits of a number, what describes its group counted. */
  public abstract double bitsKeys();

  /** The same for values. */
  public abstract double bitsValues();

  @Override
  public abstract void close();
}
