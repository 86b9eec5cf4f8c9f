// One attention call over a packed cache: what its kernels are given.
#ifndef SYLVESTER_NATIVE_CPU_KV_ATTEND_H_
#define SYLVESTER_NATIVE_CPU_KV_ATTEND_H_

#include <cstdint>

#include "native/cpu/kv/cache.h"
#include "native/cpu/nn/attention.h"

namespace sylvester {

// Queries become integers: |q| <= 127, or of two digits base 128 that keep |upper| <= 64 (kv_plan.h: code products).
constexpr int QueryDigits(int32_t bits) { return bits <= 3 ? 1 : 2; }
constexpr int32_t kQueryMax[2] = {127, 8191};
// So do the products of weights and scales of values: 0 .. 127, or of two digits base 64.
constexpr int WeightDigits(int32_t bits) { return bits <= 3 ? 1 : 2; }
constexpr int32_t kWeightMax[2] = {127, 4095};
constexpr int kWeightDigitBits = 6;

// The queries of one sequence, [rows][q_heads] each. Integers: POST_ROPE only.
struct KvQueries {
  float* floats;      // [head_dim]: in query space, times the attention's scale
  int8_t* integers;   // [digits][head_dim]
  float* factors;     // float = factor * integer
  float* group_sums;  // [groups of a head]: zero_unit * the sum of the integers
  float* offsets;     // scores of the keys' means, which soft caps must know; NULL without a cap or means
};

// One layer of one sequence.
struct KvCall {
  const syl_kv_sequence* sequence;
  int32_t layer;
  AttentionCall view;    // geometry, rows, positions and y; keys, values and q are elsewhere
  int64_t packed_tiles;  // that all rows find packed where these see all tokens
  KvQueries queries;
  KvGrid key_grid, value_grid;

  const KvPlan& Plan() const { return *sequence->cache->plan; }
  const KvLayer& Layer() const { return Plan().layers[layer]; }
  const KvHalves& Halves() const { return sequence->halves[layer]; }
  // Of a pair of a kv head: its place in the arrays of the queries.
  int64_t QueryIndex(int64_t kv_head, int64_t pair) const {
    return pair / view.Group() * view.shape.q_heads + kv_head * view.Group() + pair % view.Group();
  }
  // Tiles that the row of a pair finds packed.
  int64_t PackedTiles(int64_t pair) const {
    return view.shape.causal ? Plan().PackedTiles(view.first + pair / view.Group() + 1) : packed_tiles;
  }
};

// Kv heads that are decoded together: those of a rotation group.
inline int64_t UnitHeads(const KvPlan& plan) {
  return plan.PreRope() && plan.options.rotate_keys == SYL_KV_ROTATE_GROUP ? plan.options.head_group : 1;
}

// Scratch of one thread.
struct KvScratch {
  float* scores;  // [heads of a unit][kTilePairs][kBlockTokens]
  // PRE_ROPE only:
  float* keys;      // [heads of a unit][head_dim][16]
  void* workspace;  // of the cache's unrotate_tiles
  int64_t workspace_bytes;
};

// The pairs of a unit are those of its heads, head after head.
// All blocks for a tile of pairs, into y in the rotated space of values. (attend_blocks.cc)
void KvAttendTile(const KvCall& call, int64_t unit, Range pairs, const KvScratch& scratch);
// Some blocks; a pair's results for consecutive blocks lie side by side, heads of the unit head_stride apart.
void KvAttendBlocks(const KvCall& call, int64_t unit, Range pairs, Range blocks, const Results& results,
                    int64_t head_stride, const KvScratch& scratch);
// Rounds the queries of a row, rotated already, to integers if keys are packed after RoPE, and scales them.
// (queries.cc)
void KvPrepareQueries(const KvCall& call, int64_t row);

}  // namespace sylvester

#endif
