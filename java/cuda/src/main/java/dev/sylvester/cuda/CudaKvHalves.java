package dev.sylvester.cuda;

import dev.sylvester.cuda.ffi.syl_cuda_kv_halves;
import dev.sylvester.kernels.KvGeometry;
import dev.sylvester.kernels.KvPlan;
import java.lang.foreign.MemorySegment;

/**
 * Tokens of a layer that are kept as halves: the newest in rings, sinks beside them. Each slot is a
 * sequence's; the memory is the caller's, 4-byte aligned, and its content too. Of a plan's {@link
 * KvPlan.Info}, a slot has {@code sinks = firstTokens + maxSinks}.
 *
 * @param ringTiles of each slot, at least {@link CudaKvPlan#ringTiles} of the most rows of a call;
 *     0 without a window
 * @param ringKeys halves [slots][keyHeads][ringTiles][headDim][16 tokens]; null without a window
 * @param ringValues halves [slots][keyHeads][ringTiles][16][headDim]; null without a window
 * @param sinkKeys halves [slots][keyHeads][sinks][headDim]; null without sinks
 * @param sinkValues the same
 * @param sinkTokens int32 [slots][sinks]: tokens that are sinks, ascending, among them those of the
 *     rows that are; the rest -1. null without sinks
 */
public record CudaKvHalves(
    int ringTiles,
    DeviceMemory ringKeys,
    DeviceMemory ringValues,
    DeviceMemory sinkKeys,
    DeviceMemory sinkValues,
    DeviceMemory sinkTokens) {
  private static final int MOST_RING_TILES = 1 << 24;

  /** The structure for slots 0 .. slots - 1, whose memory stays open until the call ends. */
  MemorySegment toNative(CudaCall call, CudaKvPlan plan, long slots) {
    KvGeometry geometry = plan.geometry();
    KvPlan.Info info = plan.info();
    call.range("halves.ringTiles", ringTiles, 0, MOST_RING_TILES);
    long heads = geometry.keyHeads() * geometry.headDim();
    MemorySegment struct = call.scratch.allocate(syl_cuda_kv_halves.layout());
    syl_cuda_kv_halves.struct_size(struct, (int) syl_cuda_kv_halves.sizeof());
    syl_cuda_kv_halves.ring_tiles(struct, ringTiles);
    int sinks = info.firstTokens() + info.maxSinks();
    syl_cuda_kv_halves.sink_capacity(struct, sinks);
    if (info.window() > 0) {
      long halves = heads * ringTiles * CudaKvPlan.TILE_TOKENS;
      syl_cuda_kv_halves.ring_keys(struct, of(call, "ringKeys", ringKeys, slots, halves, 2));
      syl_cuda_kv_halves.ring_values(struct, of(call, "ringValues", ringValues, slots, halves, 2));
    }
    if (sinks > 0) {
      long halves = heads * sinks;
      syl_cuda_kv_halves.sink_keys(struct, of(call, "sinkKeys", sinkKeys, slots, halves, 2));
      syl_cuda_kv_halves.sink_values(struct, of(call, "sinkValues", sinkValues, slots, halves, 2));
      syl_cuda_kv_halves.sink_tokens(struct, of(call, "sinkTokens", sinkTokens, slots, sinks, 4));
    }
    return struct;
  }

  private static MemorySegment of(
      CudaCall call, String name, DeviceMemory memory, long slots, long elements, long bytes) {
    return call.rows("halves." + name, memory, slots, elements, elements, bytes);
  }
}
