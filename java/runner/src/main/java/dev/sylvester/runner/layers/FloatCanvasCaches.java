package dev.sylvester.runner.layers;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.FloatCache;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.diffusion.Pass;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Floats: a span can be anywhere. */
final class FloatCanvasCaches extends CanvasCaches {
  private static final int LENGTH_UNIT = 64;

  private final DType type;
  private Arena arena = Arena.ofShared();
  private FloatCache[][] caches = new FloatCache[0][];
  private int length;

  FloatCanvasCaches(Weights weights, ThreadPool pool, DType type) {
    super(weights, pool);
    this.type = type;
  }

  @Override
  public boolean suffixesOnly() {
    return false;
  }

  @Override
  void reserve(int texts, int mostTokens, int tail) {
    if (texts <= caches.length && mostTokens <= length) {
      return;
    }
    arena.close();
    arena = Arena.ofShared();
    length = Math.ceilDiv(Math.max(length, mostTokens), LENGTH_UNIT) * LENGTH_UNIT;
    caches = new FloatCache[Math.max(texts, caches.length)][];
  }

  private FloatCache cache(int text, int layer) {
    if (caches[text] == null) {
      caches[text] = FloatTextCache.layers(weights.config(), length, type, arena);
    }
    return caches[text][layer];
  }

  @Override
  void copy(int from, int to) {
    for (int layer = 0; layer < weights.config().layers(); layer++) {
      cache(to, layer).copyFrom(cache(from, layer));
    }
  }

  @Override
  boolean preRope() {
    return false;
  }

  @Override
  void begin(Pass pass) {}

  /** Each span needs the keys and values of the others of its text. */
  @Override
  void attend(int layer, Scratch s, Pass pass) {
    long stride = s.queryKeyValueStride;
    int row = 0;
    for (int span = 0; span < pass.count(); span++) {
      MemorySegment keys = s.keyRows.from(row);
      MemorySegment values = s.valueRows.from(row);
      cache(pass.canvas(span), layer)
          .append(keys, stride, values, stride, pass.from(span), pass.rows(span), pool);
      row += pass.rows(span);
    }
    row = 0;
    for (int span = 0; span < pass.count(); span++) {
      cache(pass.canvas(span), layer)
          .attend(
              s.queryRows.from(row),
              stride,
              pass.from(span),
              pass.rows(span),
              pass.tokens(span).length,
              s.attentionRows.from(row),
              s.attentionStride,
              s.workspace,
              pool);
      row += pass.rows(span);
    }
  }

  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
