package dev.sylvester.runner.layers;

import dev.sylvester.kernels.AttentionShape;
import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.FloatCache;
import dev.sylvester.kernels.KvMemory;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.ModelConfig;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/** Keys and values as floats, a cache for each layer. */
final class FloatTextCache implements TextCache {
  private static final int CAPACITY_UNIT = 16;

  private final ModelConfig config;
  private final DType type;
  private final ThreadPool pool;
  private final Arena arena = Arena.ofShared();
  private final FloatCache[] layers;
  private int length;

  FloatTextCache(ModelConfig config, int context, DType type, ThreadPool pool) {
    this.config = config;
    this.type = type;
    this.pool = pool;
    try {
      this.layers = layers(config, context, type, arena);
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  /** A cache for each layer, with room for so many tokens. */
  static FloatCache[] layers(ModelConfig config, int context, DType type, Arena arena) {
    FloatCache[] layers = new FloatCache[config.layers()];
    for (int i = 0; i < layers.length; i++) {
      layers[i] = FloatCache.allocate(shape(config, i, context, type), arena);
    }
    return layers;
  }

  /** A copy. */
  private FloatTextCache(FloatTextCache other) {
    this.config = other.config;
    this.type = other.type;
    this.pool = other.pool;
    this.length = other.length;
    this.layers = new FloatCache[other.layers.length];
    try {
      for (int i = 0; i < layers.length; i++) {
        layers[i] = other.layers[i].copy(arena);
      }
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  private static AttentionShape shape(ModelConfig config, int layer, int context, DType type) {
    int capacity = Math.ceilDiv(context, CAPACITY_UNIT) * CAPACITY_UNIT;
    int window = config.slidingWindows().get(layer);
    return AttentionShape.causal(config.heads(), config.kvHeads(), config.headDim(), capacity)
        .withCacheType(type)
        .withCausal(!config.bidirectional())
        .withWindow(window >= capacity ? 0 : window);
  }

  static long bytesPerToken(ModelConfig config, DType type) {
    return 2L * config.layers() * config.kvHeads() * config.headDim() * type.blockBytes();
  }

  @Override
  public int length() {
    return length;
  }

  @Override
  public void attend(int layer, Scratch s, int row, int first, int rows) {
    MemorySegment keys = s.keyRows.from(row);
    MemorySegment values = s.valueRows.from(row);
    append(layer, keys, values, s, first, rows);
    layers[layer].attend(
        s.queryRows.from(row),
        s.queryKeyValueStride,
        first,
        rows,
        first + rows,
        s.attentionRows.from(row),
        s.attentionStride,
        s.workspace,
        pool);
  }

  @Override
  public void append(
      int layer, MemorySegment keys, MemorySegment values, Scratch s, int first, int rows) {
    long stride = s.queryKeyValueStride;
    layers[layer].append(keys, stride, values, stride, first, rows, pool);
    if (layer == layers.length - 1) {
      length = first + rows;
    }
  }

  @Override
  public void cut(int layer, int tokens) {
    // Later tokens take the places, and nobody looks there before.
  }

  @Override
  public void truncate(int tokens) {
    length = Math.min(length, tokens);
  }

  @Override
  public TextCache fork() {
    return new FloatTextCache(this);
  }

  @Override
  public KvMemory memory() {
    long used = length * bytesPerToken(config, type);
    long total = Arrays.stream(layers).mapToLong(FloatCache::bytes).sum();
    double ratio = (double) DType.F16.blockBytes() / type.blockBytes();
    return new KvMemory(length, length, 0, used, 0, 0, 0, 0, total - used, total, ratio);
  }

  @Override
  public MemorySegment save(Arena target) {
    throw new UnsupportedOperationException("a cache of floats is not saved");
  }

  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
