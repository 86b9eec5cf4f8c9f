package dev.sylvester.kernels;

import dev.sylvester.kernels.ffi.syl_attention;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Shape and masking of one attention layer and its cache.
 *
 * @param cacheType {@link DType#F16} or {@link DType#F32}
 * @param queryHeads a multiple of keyHeads
 * @param keyHeads heads of keys and values
 * @param headDim a multiple of 8, 8..512
 * @param capacity tokens the cache can hold, a multiple of 16
 * @param window 0: none; w: token p sees keys p-w+1..p (causal only)
 * @param causal true: token p sees keys 0..p; false: every token sees all keys
 * @param scale on the product of query and key, usually {@code 1/sqrt(headDim)}
 * @param softCap 0: none; c: score = c tanh(score / c)
 */
public record AttentionShape(
    DType cacheType,
    long queryHeads,
    long keyHeads,
    long headDim,
    long capacity,
    long window,
    boolean causal,
    float scale,
    float softCap) {

  /**
   * The usual decoder: causal, no window, scale {@code 1/sqrt(headDim)}, no cap, cache of 16-bit
   * floats.
   *
   * @param queryHeads a multiple of keyHeads
   * @param keyHeads heads of keys and values
   * @param headDim a multiple of 8, 8..512
   * @param capacity least number of tokens the cache can hold; rounded up to a multiple of 16
   * @return the shape
   */
  public static AttentionShape causal(long queryHeads, long keyHeads, long headDim, long capacity) {
    return new AttentionShape(
        DType.F16,
        queryHeads,
        keyHeads,
        headDim,
        Math.ceilDiv(capacity, 16) * 16,
        0,
        true,
        (float) (1 / Math.sqrt(headDim)),
        0);
  }

  /**
   * The shape with another cache type.
   *
   * @param value {@link DType#F16} or {@link DType#F32}
   * @return the changed copy
   */
  public AttentionShape withCacheType(DType value) {
    return new AttentionShape(
        value, queryHeads, keyHeads, headDim, capacity, window, causal, scale, softCap);
  }

  /**
   * The shape with another window.
   *
   * @param value 0: none
   * @return the changed copy
   */
  public AttentionShape withWindow(long value) {
    return new AttentionShape(
        cacheType, queryHeads, keyHeads, headDim, capacity, value, causal, scale, softCap);
  }

  /**
   * The shape with another direction.
   *
   * @param value false: every token sees all keys
   * @return the changed copy
   */
  public AttentionShape withCausal(boolean value) {
    return new AttentionShape(
        cacheType, queryHeads, keyHeads, headDim, capacity, window, value, scale, softCap);
  }

  /**
   * The shape with another scale.
   *
   * @param value on the product of query and key
   * @return the changed copy
   */
  public AttentionShape withScale(float value) {
    return new AttentionShape(
        cacheType, queryHeads, keyHeads, headDim, capacity, window, causal, value, softCap);
  }

  /**
   * The shape with another cap.
   *
   * @param value 0: none
   * @return the changed copy
   */
  public AttentionShape withSoftCap(float value) {
    return new AttentionShape(
        cacheType, queryHeads, keyHeads, headDim, capacity, window, causal, scale, value);
  }

  MemorySegment toNative(Arena arena) {
    MemorySegment struct = arena.allocate(syl_attention.layout());
    syl_attention.struct_size(struct, (int) syl_attention.sizeof());
    syl_attention.cache_type(struct, cacheType.id());
    syl_attention.q_heads(struct, queryHeads);
    syl_attention.kv_heads(struct, keyHeads);
    syl_attention.head_dim(struct, headDim);
    syl_attention.capacity(struct, capacity);
    syl_attention.window(struct, window);
    syl_attention.causal(struct, causal ? 1 : 0);
    syl_attention.scale(struct, scale);
    syl_attention.soft_cap(struct, softCap);
    return struct;
  }
}
