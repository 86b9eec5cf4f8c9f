package dev.sylvester.runner.layers;

import dev.sylvester.kernels.KvCache;
import dev.sylvester.kernels.KvCacheOptions;
import dev.sylvester.kernels.KvPlan;
import dev.sylvester.kernels.KvSequence;
import dev.sylvester.kernels.SylvesterException;
import dev.sylvester.kernels.ThreadPool;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** Packed keys and values in one set of pages, which texts that begin alike share. */
final class PackedTextCaches extends TextCaches {
  /** Tokens of a tile, the smallest unit of a page. */
  static final int TILE = 16;

  private static final int PAGE_TOKENS = 64;

  /** Rows of an append, and how far a text can go back, when recent tokens are kept as halves. */
  private static final int MAX_ROWS = 128;

  private final KvPlan plan;
  private final KvPlan.Info info;
  private final KvCache cache;

  PackedTextCaches(Weights weights, int context, ThreadPool pool, KvPlan plan, int texts) {
    super(weights, context, pool);
    this.plan = plan;
    this.info = plan.info();
    // Memory of a page is touched when tokens are written to it.
    long pages = (long) texts * Math.ceilDiv(context, PAGE_TOKENS);
    this.cache = KvCache.of(plan, new KvCacheOptions(PAGE_TOKENS, pages, MAX_ROWS));
  }

  @Override
  TextCache newCache() {
    return text(cache.newSequence(), 0);
  }

  @Override
  TextCache loadCache(MemorySegment file) throws IOException {
    try {
      var sequence = cache.load(file);
      return text(sequence, (int) sequence.length(0));
    } catch (SylvesterException e) {
      throw new IOException(e.getMessage(), e);
    }
  }

  /** Nothing is read again and again: what leaves the window is read packed at once. */
  private PackedTextCache text(KvSequence sequence, int length) {
    return new PackedTextCache(weights.config(), info, cache, sequence, length, pool, MAX_ROWS, 0);
  }

  @Override
  public long bytesPerToken() {
    return info.tileBytes() / TILE;
  }

  @Override
  public double bitsKeys() {
    return info.bitsKeys();
  }

  @Override
  public double bitsValues() {
    return info.bitsValues();
  }

  @Override
  public void close() {
    cache.close();
    plan.close();
  }
}
