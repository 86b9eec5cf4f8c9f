// What the kernels of the packed cache are told.
#ifndef SYLVESTER_NATIVE_CUDA_KV_JOB_H_
#define SYLVESTER_NATIVE_CUDA_KV_JOB_H_

#include "native/common/kv_plan.h"
#include "native/cuda/device.h"

namespace sylvester::cuda {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kTokens = static_cast<int>(kKvTile);
constexpr int kMaxHeadDim = 256;

// R on rows of n floats; n = 0: the identity.
struct KvRotationJob {
  int32_t n, log2_butterflies, base;
  float scale;
  const uint32_t* base_signs;  // [base][(base + 31) / 32]: bit j of row i set: -1
  const uint32_t* base_signs_transposed;
};

struct KvQuantizer {
  KvGrid grid;
  int32_t bits;
  bool lloyd_max, clip_midpoint;
  float clip;
};

// Keys or values of a layer.
struct KvSideJob {
  KvQuantizer quantizer;
  KvRotationJob rotation;
  const float* center;  // [kv_heads * head_dim], NULL: none
  const float* gain;    // keys: as center
  int32_t group, groups_per_head;
  int64_t codes, scales, zeros, head_bytes;  // as KvSide
};

// A layer of the cache and the sequences of a call.
struct KvJob {
  int32_t kv_heads, head_dim;
  int32_t window_tiles;  // 0: no window
  int32_t page_tiles;
  uint8_t* tiles_of_layer;  // the layer's first tile of page 0
  int64_t page_bytes, tile_bytes;
  const int32_t *row_starts, *lengths, *slots, *tiles;
  int64_t tiles_stride;
  int32_t ring_tiles, sink_capacity;
  __half* ring[2];  // keys, values
  __half* sinks[2];
  const int32_t* sink_tokens;
  KvSideJob side[2];
};

__device__ inline uint8_t* KvTileBytes(const KvJob& job, int sequence, int tile) {
  const int32_t index = job.tiles[sequence * job.tiles_stride + tile];
  return job.tiles_of_layer + index / job.page_tiles * job.page_bytes + index % job.page_tiles * job.tile_bytes;
}

// As KvPlan::PackedTiles.
__device__ inline int KvPackedTiles(const KvJob& job, int tokens) {
  if (job.window_tiles == 0) return (tokens + kTokens - 1) / kTokens;
  return max(tokens / kTokens - (job.window_tiles - 1), 0);
}

// The tile of a ring and head: [head_dim][16] keys or [16][head_dim] values.
__device__ inline __half* KvRingTile(const KvJob& job, int side, int sequence, int head, int tile) {
  const int64_t row = int64_t{job.slots[sequence]} * job.kv_heads + head;
  return job.ring[side] + (row * job.ring_tiles + tile % job.ring_tiles) * (job.head_dim * kTokens);
}

__device__ inline __half* KvSinkRow(const KvJob& job, int side, int sequence, int head, int sink) {
  const int64_t row = int64_t{job.slots[sequence]} * job.kv_heads + head;
  return job.sinks[side] + (row * job.sink_capacity + sink) * job.head_dim;
}

// Which sink a token is, -1: none. Whole warps call it.
__device__ inline int KvSinkOf(const KvJob& job, int sequence, int token, int lane) {
  if (job.sink_capacity == 0) return -1;
  const int32_t* tokens = job.sink_tokens + int64_t{job.slots[sequence]} * job.sink_capacity;
  for (int first = 0; first < job.sink_capacity; first += warpSize) {
    const bool found = first + lane < job.sink_capacity && tokens[first + lane] == token;
    const unsigned found_by = __ballot_sync(kAllLanes, found);
    if (found_by != 0) return first + __ffs(static_cast<int>(found_by)) - 1;
  }
  return -1;
}

// Scales of eight bits are the upper bits of halves.
__device__ inline float KvScale(uint8_t scale) {
  return __half2float(__ushort_as_half(static_cast<unsigned short>(scale << 7)));
}

}  // namespace sylvester::cuda

#endif
