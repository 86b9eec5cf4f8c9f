package dev.sylvester.kernels;

import dev.sylvester.kernels.ffi.syl_kv_cache_options;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Size of a cache.
 *
 * @param pageTokens tokens of a page, a multiple of 16, 16..4096
 * @param pages number of pages, 1..2^24; a sequence takes up whole ones, and shares those of the
 *     tokens it was forked from
 * @param maxRows longest append of a plan with a window, and the tokens by which a sequence can be
 *     truncated without losing its window, 1..65536
 */
public record KvCacheOptions(int pageTokens, long pages, long maxRows) {
  /**
   * Pages of 64 tokens, appends of at most 512.
   *
   * @param tokens of one sequence that the cache can hold
   * @return the options
   */
  public static KvCacheOptions ofTokens(long tokens) {
    int pageTokens = 64;
    return new KvCacheOptions(pageTokens, Math.max(1, Math.ceilDiv(tokens, pageTokens)), 512);
  }

  /**
   * With other pages.
   *
   * @param tokens of a page, a multiple of 16, 16..4096
   * @param count 1..2^24
   * @return the changed copy
   */
  public KvCacheOptions withPages(int tokens, long count) {
    return new KvCacheOptions(tokens, count, maxRows);
  }

  /**
   * With a longer or shorter longest append.
   *
   * @param value 1..65536
   * @return the changed copy
   */
  public KvCacheOptions withMaxRows(long value) {
    return new KvCacheOptions(pageTokens, pages, value);
  }

  MemorySegment toNative(Arena arena) {
    MemorySegment struct = arena.allocate(syl_kv_cache_options.layout());
    syl_kv_cache_options.struct_size(struct, (int) syl_kv_cache_options.sizeof());
    syl_kv_cache_options.page_tokens(struct, pageTokens);
    syl_kv_cache_options.pages(struct, pages);
    syl_kv_cache_options.max_rows(struct, maxRows);
    return struct;
  }
}
