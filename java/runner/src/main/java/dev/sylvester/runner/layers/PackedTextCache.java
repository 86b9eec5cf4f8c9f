package dev.sylvester.runner.layers;

import dev.sylvester.kernels.KvCache;
import dev.sylvester.kernels.KvMemory;
import dev.sylvester.kernels.KvPlan;
import dev.sylvester.kernels.KvSequence;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.ModelConfig;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Packed keys and values of one text. A bidirectional model's tokens see all that are there,
 * whenever they were appended.
 */
final class PackedTextCache implements TextCache {
  private final ModelConfig config;
  private final KvPlan.Info info;
  private final KvCache cache;
  private final ThreadPool pool;
  private final int maxRows;
  private final int unpacked;
  private KvSequence sequence;
  private int length;
  private int longest; // tokens of the first layer
  private Arena sinkArena;
  private MemorySegment sinks;

  /**
   * A text.
   *
   * @param maxRows of the cache
   * @param unpacked of a bidirectional model's pass, most of its newest tokens that are read as
   *     halves; at most maxRows
   */
  PackedTextCache(
      ModelConfig config,
      KvPlan.Info info,
      KvCache cache,
      KvSequence sequence,
      int length,
      ThreadPool pool,
      int maxRows,
      int unpacked) {
    this.config = config;
    this.info = info;
    this.cache = cache;
    this.sequence = sequence;
    this.length = length;
    this.longest = length;
    this.pool = pool;
    this.maxRows = maxRows;
    this.unpacked = info.window() > 0 ? unpacked : 0;
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
  public void attend(int layer, Scratch s, int row, int first, int rows) {
    MemorySegment chosen = first == 0 && choosesSinks() ? findSinks(s, row, rows) : null;
    int most = info.window() > 0 ? maxRows : rows;
    for (int done = 0; done < rows; done += most) {
      int count = Math.min(most, rows - done);
      MemorySegment sinksOfRows = chosen == null || done == 0 ? chosen : chosen.asSlice(done);
      MemorySegment keys = s.keyRows.from(row + done);
      MemorySegment values = s.valueRows.from(row + done);
      append(layer, keys, values, sinksOfRows, s, first + done, count);
      if (!config.bidirectional()) {
        sequence.attend(
            layer,
            s.queryRows.from(row + done),
            s.queryKeyValueStride,
            count,
            s.attentionRows.from(row + done),
            s.attentionStride,
            s.workspace,
            pool);
      }
    }
    if (config.bidirectional()) {
      sequence.attendBidirectional(
          layer,
          s.queryRows.from(row),
          s.queryKeyValueStride,
          rows,
          Math.min(unpacked, rows),
          s.attentionRows.from(row),
          s.attentionStride,
          s.workspace,
          pool);
    }
  }

  @Override
  public void append(
      int layer, MemorySegment keys, MemorySegment values, Scratch s, int first, int rows) {
    append(layer, keys, values, null, s, first, rows);
  }

  private void append(
      int layer,
      MemorySegment keys,
      MemorySegment values,
      MemorySegment chosen,
      Scratch s,
      int first,
      int rows) {
    long stride = s.queryKeyValueStride;
    sequence.append(layer, keys, stride, values, stride, rows, chosen, s.workspace, pool);
    if (layer == 0) {
      longest = first + rows;
    }
    if (layer == info.layers() - 1) {
      length = first + rows;
    }
  }

  @Override
  public int reach() {
    return info.window() > 0 ? maxRows : Integer.MAX_VALUE;
  }

  @Override
  public void cut(int layer, int tokens) {
    sequence.truncate(layer, tokens);
    if (layer == 0) {
      longest = tokens;
    }
  }

  private MemorySegment findSinks(Scratch s, int row, int rows) {
    if (sinks == null || sinks.byteSize() < rows) {
      if (sinkArena != null) {
        sinkArena.close();
      }
      sinkArena = Arena.ofShared();
      sinks = sinkArena.allocate(rows);
    }
    long width = config.hiddenSize();
    KvSequence.findSinks(s.hiddenRows.from(row), width, rows, width, info.maxSinks(), sinks);
    return sinks;
  }

  @Override
  public void truncate(int tokens) {
    // A pass that failed, or that drafted, has left the first layers with more tokens than others.
    boolean uneven = longest != length;
    if (!uneven && tokens >= length) {
      return;
    }
    if (uneven && info.window() > 0 && longest - length > maxRows) {
      restart();
      return;
    }
    for (int layer = 0; uneven && layer < info.layers(); layer++) {
      sequence.truncate(layer, Math.min(length, sequence.length(layer)));
    }
    longest = length;
    if (tokens > 0 && tokens < sequence.truncatable()) {
      restart();
    } else {
      sequence.truncate(Math.min(tokens, length));
      length = Math.min(tokens, length);
      longest = length;
    }
  }

  private void restart() {
    sequence.close();
    sequence = cache.newSequence();
    length = 0;
    longest = 0;
  }

  @Override
  public PackedTextCache fork() {
    KvSequence other = sequence.fork(length);
    return new PackedTextCache(config, info, cache, other, length, pool, maxRows, unpacked);
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
