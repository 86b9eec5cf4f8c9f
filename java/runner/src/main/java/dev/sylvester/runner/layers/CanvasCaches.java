package dev.sylvester.runner.layers;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KvPlan;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.diffusion.Pass;

/**
 * Keys and values of canvases, in all layers. A pass writes those of its spans, and each of its
 * rows attends to all tokens of its canvas. Not thread-safe.
 */
public abstract sealed class CanvasCaches implements AutoCloseable
    permits FloatCanvasCaches, PackedCanvasCaches {
  final Weights weights;
  final ThreadPool pool;

  CanvasCaches(Weights weights, ThreadPool pool) {
    this.weights = weights;
    this.pool = pool;
  }

  /**
   * Floats.
   *
   * @param type of 16 or 32 bits
   */
  public static CanvasCaches floats(Weights weights, ThreadPool pool, DType type) {
    return new FloatCanvasCaches(weights, pool, type);
  }

  /**
   * Packed, but for the end of a canvas that a pass computes.
   *
   * @param plan of {@link Weights#kvGeometry}; closed with these caches
   */
  public static CanvasCaches packed(Weights weights, ThreadPool pool, KvPlan plan) {
    return new PackedCanvasCaches(weights, pool, plan);
  }

  /** Whether a span can only be the end of its canvas. */
  public abstract boolean suffixesOnly();

  /** See {@link CanvasEvaluator#reserve}. */
  abstract void reserve(int texts, int mostTokens, int tail);

  /** See {@link CanvasEvaluator#copy}. */
  abstract void copy(int from, int to);

  /** Whether keys are kept as they are before rotary positions. */
  abstract boolean preRope();

  /**
   * Before a pass.
   *
   * @throws IllegalArgumentException for a span that these caches cannot take
   */
  abstract void begin(Pass pass);

  /** Writes the rows of a layer and lets them attend, all spans at once. */
  abstract void attend(int layer, Scratch s, Pass pass);

  @Override
  public abstract void close();
}
