#include "native/cpu/nn/attention.h"

#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/common/tier.h"
#include "native/cpu/nn/cache.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/nn/attention.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/nn/attention-inl.h"

#if HWY_ONCE
namespace sylvester {
namespace {

constexpr void (*kAttendSplit[kTierCount])(const AttentionCall&, const SplitTask&) = SYL_TIERS(AttendSplit);
constexpr void (*kMergeSplit[kTierCount])(const AttentionCall&, int64_t kv_head, int64_t pair, int64_t slot,
                                          Partial* merged) = SYL_TIERS(MergeSplit);
constexpr void (*kFinishPair[kTierCount])(const AttentionCall&, int64_t kv_head, int64_t pair,
                                          const Partial& merged) = SYL_TIERS(FinishPair);

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Splits run side by side where there are too few rows to keep threads busy. The choice depends on the shape alone;
// the result does not depend on it.
bool SplitsSideBySide(int64_t pairs) { return pairs <= kTilePairs; }

int64_t WorkspaceBytes(const syl_attention& shape, int64_t rows, int64_t tokens) {
  const int64_t pairs = rows * (shape.q_heads / shape.kv_heads);
  const int64_t slots = SplitsSideBySide(pairs) ? CeilDiv(tokens, kSplitTokens) : 1;
  return shape.kv_heads * pairs * slots * AttentionCall::ScratchFloats(shape.head_dim) *
         static_cast<int64_t>(sizeof(float));
}

void MergeTile(const AttentionCall& call, int64_t kv_head, int64_t first_pair, int64_t last_pair) {
  const Tier tier = CurrentTier();
  for (int64_t pair = first_pair; pair < last_pair; ++pair) {
    Partial merged{0, 0};
    for (int64_t slot = 0; slot < call.slots; ++slot) kMergeSplit[tier](call, kv_head, pair, slot, &merged);
    kFinishPair[tier](call, kv_head, pair, merged);
  }
}

void RunSideBySide(const AttentionCall& call, syl_pool* pool) {
  const int64_t heads = call.shape.kv_heads;
  ParallelFor(pool, heads * call.slots, [&](int64_t task, int32_t) {
    kAttendSplit[CurrentTier()](call, {task % heads, 0, call.Pairs(), task / heads, task / heads});
  });
  for (int64_t head = 0; head < heads; ++head) MergeTile(call, head, 0, call.Pairs());
}

void RunTiles(const AttentionCall& call, syl_pool* pool) {
  const int64_t tiles = CeilDiv(call.Pairs(), kTilePairs);
  ParallelFor(pool, tiles * call.shape.kv_heads, [&](int64_t task, int32_t) {
    const Tier tier = CurrentTier();
    // Causal tiles grow: the longest come first, so that no thread is left with one at the end.
    const int64_t tile = tiles - 1 - task / call.shape.kv_heads, head = task % call.shape.kv_heads;
    const int64_t first = tile * kTilePairs, last = std::min(first + kTilePairs, call.Pairs());
    Partial merged[kTilePairs] = {};
    for (int64_t split = 0; split < call.Splits(); ++split) {
      if (split * kSplitTokens >= call.EndKey(last - 1)) break;
      kAttendSplit[tier](call, {head, first, last, split, 0});
      for (int64_t pair = first; pair < last; ++pair) kMergeSplit[tier](call, head, pair, 0, &merged[pair - first]);
    }
    for (int64_t pair = first; pair < last; ++pair) kFinishPair[tier](call, head, pair, merged[pair - first]);
  });
}

syl_status CheckRows(const char* function, const syl_attention* attention, int64_t rows, int64_t tokens) {
  const syl_status status = CheckAttentionShape(function, attention);
  if (status != SYL_OK) return status;
  if (tokens < 0 || tokens > attention->capacity) {
    return Fail(SYL_BAD_VALUE, "%s: tokens is %lld, must be 0..%lld", function, static_cast<long long>(tokens),
                static_cast<long long>(attention->capacity));
  }
  const int64_t most = INT64_MAX / 64 / attention->q_heads / AttentionCall::ScratchFloats(attention->head_dim) /
                       (CeilDiv(attention->capacity, kSplitTokens));
  if (rows < 0 || rows > most) {
    return Fail(SYL_BAD_VALUE, "%s: rows is %lld, must be 0..%lld", function, static_cast<long long>(rows),
                static_cast<long long>(most));
  }
  return SYL_OK;
}

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_nn_attention_workspace(const syl_attention* attention, int64_t rows, int64_t tokens, int64_t* bytes) {
  const syl_status status = CheckRows(__func__, attention, rows, tokens);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(bytes);
  *bytes = WorkspaceBytes(*attention, rows, tokens);
  return SYL_OK;
}

syl_status syl_nn_attention_f32(const syl_attention* attention, const float* q, int64_t q_stride, int64_t first,
                                int64_t rows, const void* keys, const void* values, int64_t tokens, float* y,
                                int64_t y_stride, void* workspace, int64_t workspace_bytes, syl_pool* pool) {
  const syl_status status = CheckRows(__func__, attention, rows, tokens);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(q);
  SYL_REQUIRE_PTR(keys);
  SYL_REQUIRE_PTR(values);
  SYL_REQUIRE_PTR(y);
  SYL_REQUIRE_RANGE(first, 0, attention->capacity);
  if (attention->causal) {
    SYL_REQUIRE(rows <= tokens - first, SYL_BAD_SHAPE, "first + rows is %lld, but tokens is %lld",
                static_cast<long long>(first + rows), static_cast<long long>(tokens));
  } else {
    SYL_REQUIRE(rows == 0 || tokens > 0, SYL_BAD_SHAPE, "tokens is %lld, must be at least 1",
                static_cast<long long>(tokens));
  }
  const int64_t cols = attention->q_heads * attention->head_dim;
  SYL_REQUIRE(q_stride >= cols, SYL_BAD_SHAPE, "q_stride is %lld, must be at least %lld",
              static_cast<long long>(q_stride), static_cast<long long>(cols));
  SYL_REQUIRE(y_stride >= cols, SYL_BAD_SHAPE, "y_stride is %lld, must be at least %lld",
              static_cast<long long>(y_stride), static_cast<long long>(cols));
  int64_t q_bytes, y_bytes;
  SYL_REQUIRE(!__builtin_mul_overflow(Extent(rows, cols, q_stride), 4, &q_bytes) && q_bytes >= 0, SYL_BAD_SHAPE,
              "q_stride is %lld, overflows", static_cast<long long>(q_stride));
  SYL_REQUIRE(!__builtin_mul_overflow(Extent(rows, cols, y_stride), 4, &y_bytes) && y_bytes >= 0, SYL_BAD_SHAPE,
              "y_stride is %lld, overflows", static_cast<long long>(y_stride));
  SYL_REQUIRE(!Overlaps(q, q_bytes, y, y_bytes), SYL_OVERLAP, "y overlaps q (%lld rows)", static_cast<long long>(rows));
  const int64_t needed = WorkspaceBytes(*attention, rows, tokens);
  SYL_REQUIRE(workspace_bytes >= needed, SYL_WORKSPACE, "workspace_bytes is %lld, must be at least %lld",
              static_cast<long long>(workspace_bytes), static_cast<long long>(needed));
  if (rows == 0) return SYL_OK;
  SYL_REQUIRE_PTR(workspace);
  SYL_REQUIRE(reinterpret_cast<uintptr_t>(workspace) % alignof(float) == 0, SYL_BAD_VALUE,
              "workspace is %p, must be aligned to 4 bytes", workspace);
  AttentionCall call{*attention, q,        q_stride, first, rows, keys, values, tokens, y,
                     y_stride,   static_cast<float*>(workspace), 1};
  if (SplitsSideBySide(call.Pairs())) {
    call.slots = call.Splits();
    RunSideBySide(call, pool);
  } else {
    RunTiles(call, pool);
  }
  return SYL_OK;
}
#endif  // HWY_ONCE
