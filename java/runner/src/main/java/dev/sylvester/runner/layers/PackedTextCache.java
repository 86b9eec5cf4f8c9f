package dev.sylvester.runner.layers;

import dev.sylvester.kernels.KvCache;
import dev.sylvester.kernels.KvMemory;
import dev.sylvester.kernels.KvPlan;
import dev.sylvester.kernels.KvSequence;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.ModelConfig;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Packed keys and values of one text. */
final class PackedTextCache implements TextCache {
  private final ModelConfig config;
  private final KvPlan.Info info;
  private final KvCache cache;
  private final ThreadPool pool;
  private KvSequence sequence;
  private int length;
  private Arena sinkArena;
  private MemorySegment sinks;

  PackedTextCache(
      ModelConfig config,
      KvPlan.Info info,
      KvCache cache,
      KvSequence sequence,
      int length,
      ThreadPool pool) {
    this.config = config;
    this.info = info;
    this.cache = cache;
    this.sequence = sequence;
    this.length = length;
    this.pool = pool;
  }

  @Override
  public int length() {
    return length;
  }

  @Override
  public boolean preRope() {
    return info.preRope();
  }

  @Override
  public boolean choosesSinks() {
    return info.maxSinks() > 0;
  }

  @Override
  public void attend(int layer, Scratch s, int first, int rows) {
    MemorySegment chosen = first == 0 && choosesSinks() ? findSinks(s, rows) : null;
    int most = info.window() > 0 ? PackedTextCaches.MAX_ROWS : rows;
    if (rows <= most) {
      attend(layer, s, s.queries, s.keys, s.values, chosen, s.attention, rows);
    } else {
      for (int row = 0; row < rows; row += most) {
        long offset = row * s.queryKeyValueStride * Float.BYTES;
        attend(
            layer,
            s,
            s.queries.asSlice(offset),
            s.keys.asSlice(offset),
            s.values.asSlice(offset),
            chosen == null ? null : chosen.asSlice(row),
            s.attention.asSlice(row * s.attentionStride * Float.BYTES),
            Math.min(most, rows - row));
      }
    }
    if (layer == info.layers() - 1) {
      length = first + rows;
    }
  }

  private void attend(
      int layer,
      Scratch s,
      MemorySegment queries,
      MemorySegment keys,
      MemorySegment values,
      MemorySegment chosen,
      MemorySegment attention,
      int rows) {
    long stride = s.queryKeyValueStride;
    sequence.append(layer, keys, stride, values, stride, rows, chosen, s.workspace, pool);
    sequence.attend(layer, queries, stride, rows, attention, s.attentionStride, s.workspace, pool);
  }

  private MemorySegment findSinks(Scratch s, int rows) {
    if (sinks == null || sinks.byteSize() < rows) {
      if (sinkArena != null) {
        sinkArena.close();
      }
      sinkArena = Arena.ofShared();
      sinks = sinkArena.allocate(rows);
    }
    long width = config.hiddenSize();
    KvSequence.findSinks(s.hidden, width, rows, width, info.maxSinks(), sinks);
    return sinks;
  }

  @Override
  public void truncate(int tokens) {
    // A pass that failed has left some layers with more tokens than others.
    boolean uneven = sequence.length(0) != length;
    if (!uneven && tokens >= length) {
      return;
    }
    if (uneven || tokens == 0 || tokens < sequence.truncatable()) {
      sequence.close();
      sequence = cache.newSequence();
      length = 0;
    } else {
      sequence.truncate(tokens);
      length = tokens;
    }
  }

  @Override
  public TextCache fork() {
    return new PackedTextCache(config, info, cache, sequence.fork(length), length, pool);
  }

  @Override
  public KvMemory memory() {
    return sequence.memory();
  }

  @Override
  public MemorySegment save(Arena arena) {
    return sequence.save(arena);
  }

  @Override
  public void close() {
    sequence.close();
    if (sinkArena != null && sinkArena.scope().isAlive()) {
      sinkArena.close();
    }
  }
}
