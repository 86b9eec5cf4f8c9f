#include "native/cpu/nn/attention.h"

#include <atomic>
#include <new>

#include "native/common/align.h"
#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/common/tier.h"
#include "native/cpu/nn/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/nn/attention.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/nn/attention-inl.h"

#if HWY_ONCE
namespace sylvester {
namespace {

constexpr void (*kAttendTile[kTierCount])(const AttentionCall&, int64_t kv_head, Range pairs) = SYL_TIERS(AttendTile);
constexpr void (*kAttendBlocks[kTierCount])(const AttentionCall&, int64_t kv_head, Range pairs, Range blocks,
                                            const Results&) = SYL_TIERS(AttendBlocks);
constexpr void (*kMergeBlocks[kTierCount])(const AttentionCall&, int64_t kv_head, int64_t pair,
                                           const Results&) = SYL_TIERS(MergeBlocksOf);

using Counter = std::atomic<int32_t>;

int64_t CounterBytes(int64_t counters) { return Aligned(counters * static_cast<int64_t>(sizeof(Counter))); }

// For the given rows wherever they lie in the context. Zero where tiles are enough.
int64_t WorkspaceBytes(const syl_attention& shape, int64_t rows, int64_t tokens) {
  const int64_t pairs = rows * (shape.q_heads / shape.kv_heads), tiles = shape.kv_heads * CeilDiv(pairs, kTilePairs);
  int64_t blocks = CeilDiv(tokens, kBlockTokens);
  if (shape.window > 0 && shape.window < tokens) {
    blocks = std::min(blocks, CeilDiv(shape.window + rows - 2, kBlockTokens) + 1);
  }
  if (blocks <= 1 || tiles >= kEnoughTiles) return 0;
  return kAlignment + CounterBytes(tiles) +
         shape.kv_heads * pairs * blocks * ResultFloats(shape.head_dim) * static_cast<int64_t>(sizeof(float));
}

void RunTiles(const AttentionCall& call, syl_pool* pool) {
  const auto attend = kAttendTile[CurrentTier()];
  const int64_t tiles = call.Tiles(), heads = call.shape.kv_heads;
  // Causal tiles grow: the longest come first, so that no thread is left with one at the end.
  ParallelFor(pool, tiles * heads,
              [&](int64_t task, int32_t) { attend(call, task % heads, call.TilePairs(tiles - 1 - task / heads)); });
}

void RunBlocks(const AttentionCall& call, void* workspace, syl_pool* pool) {
  const Tier tier = CurrentTier();
  const int64_t strips = call.Tiles() * call.shape.kv_heads;  // a tile of a head each
  const Range blocks = call.VisibleBlocks({0, call.Pairs()});
  const int64_t slots = blocks.end - blocks.begin, result_floats = ResultFloats(call.shape.head_dim);
  // Blocks side by side in the cache are read as one stream.
  const int64_t run = std::max<int64_t>(1, slots * strips / (kTasksPerThread * Threads(pool)));
  const int64_t runs = CeilDiv(slots, run);

  uint8_t* base = Aligned(workspace);
  auto* runs_left = reinterpret_cast<Counter*>(base);
  for (int64_t i = 0; i < strips; ++i) new (runs_left + i) Counter(static_cast<int32_t>(runs));
  auto* floats = reinterpret_cast<float*>(base + CounterBytes(strips));
  const auto result = [&](int64_t head, int64_t pair, int64_t block) {
    return floats + ((head * call.Pairs() + pair) * slots + block - blocks.begin) * result_floats;
  };

  ParallelFor(pool, strips * runs, [&](int64_t task, int32_t) {
    const int64_t strip = task / runs, head = strip / call.Tiles();
    const Range pairs = call.TilePairs(strip % call.Tiles()), visible = call.VisibleBlocks(pairs);
    const int64_t first_block = blocks.begin + task % runs * run;
    const Range mine{std::max(first_block, visible.begin), std::min(first_block + run, visible.end)};
    if (!mine.IsEmpty()) {
      kAttendBlocks[tier](call, head, pairs, mine, {result(head, pairs.begin, mine.begin), slots * result_floats});
    }
    // Whoever completes a strip merges its blocks.
    if (runs_left[strip].fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    for (int64_t pair = pairs.begin; pair < pairs.end; ++pair) {
      const int64_t first = call.VisibleBlocks({pair, pair + 1}).begin;
      MergeBlocks(call, head, pair, {result(head, pair, first), result_floats});
    }
  });
}

syl_status CheckSizes(const char* function, const syl_attention* attention, int64_t rows, int64_t tokens) {
  const syl_status status = CheckAttentionShape(function, attention);
  if (status != SYL_OK) return status;
  if (tokens < 0 || tokens > attention->capacity) {
    return Fail(SYL_BAD_VALUE, "%s: tokens is %lld, must be 0..%lld", function, static_cast<long long>(tokens),
                static_cast<long long>(attention->capacity));
  }
  if (rows < 0 || rows > kMaxTokens) {
    return Fail(SYL_BAD_VALUE, "%s: rows is %lld, must be 0..2^40", function, static_cast<long long>(rows));
  }
  return SYL_OK;
}

struct Bytes {
  const char* name;
  const void* data;
  int64_t size;
};

// The first two are written: they may not overlap each other, nor any of the others.
syl_status CheckOverlaps(const char* function, const Bytes (&buffers)[5]) {
  for (int out = 0; out < 2; ++out) {
    for (int other = out + 1; other < 5; ++other) {
      const Bytes &a = buffers[out], &b = buffers[other];
      if (!Overlaps(a.data, a.size, b.data, b.size)) continue;
      return Fail(SYL_OVERLAP, "%s: %s overlaps %s", function, a.name, b.name);
    }
  }
  return SYL_OK;
}

}  // namespace

void MergeBlocks(const AttentionCall& call, int64_t kv_head, int64_t pair, const Results& results) {
  kMergeBlocks[CurrentTier()](call, kv_head, pair, results);
}

}  // namespace sylvester

using namespace sylvester;

syl_status syl_nn_attention_workspace(const syl_attention* attention, int64_t rows, int64_t tokens, int64_t* bytes) {
  const syl_status status = CheckSizes(__func__, attention, rows, tokens);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(bytes);
  *bytes = WorkspaceBytes(*attention, rows, tokens);
  return SYL_OK;
}

syl_status syl_nn_attention_f32(const syl_attention* attention, const float* q, int64_t q_stride, int64_t first,
                                int64_t rows, const void* keys, const void* values, int64_t tokens, float* y,
                                int64_t y_stride, void* workspace, int64_t workspace_bytes, syl_pool* pool) {
  syl_status status = CheckSizes(__func__, attention, rows, tokens);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(keys);
  SYL_REQUIRE_PTR(values);
  SYL_REQUIRE_RANGE(first, 0, attention->capacity);
  const int64_t cols = attention->q_heads * attention->head_dim, cache_bytes = CacheBytes(*attention);
  for (const Rows& m : {Rows{"q", q, q_stride}, Rows{"y", y, y_stride}}) {
    status = CheckRows(__func__, m, rows, cols);
    if (status != SYL_OK) return status;
  }
  if (attention->causal) {
    SYL_REQUIRE(rows <= tokens - first, SYL_BAD_SHAPE, "first + rows is %lld, but tokens is %lld",
                static_cast<long long>(first + rows), static_cast<long long>(tokens));
  } else {
    SYL_REQUIRE(rows == 0 || tokens > 0, SYL_BAD_SHAPE, "tokens is %lld, must be at least 1",
                static_cast<long long>(tokens));
  }
  const int64_t needed = WorkspaceBytes(*attention, rows, tokens);
  SYL_REQUIRE(workspace_bytes >= needed, SYL_WORKSPACE, "workspace_bytes is %lld, must be at least %lld",
              static_cast<long long>(workspace_bytes), static_cast<long long>(needed));
  if (needed > 0) SYL_REQUIRE_PTR(workspace);
  status = CheckOverlaps(__func__, {{"workspace", workspace, needed},
                                    {"y", y, Extent(rows, cols, y_stride) * 4},
                                    {"q", q, Extent(rows, cols, q_stride) * 4},
                                    {"keys", keys, cache_bytes},
                                    {"values", values, cache_bytes}});
  if (status != SYL_OK || rows == 0) return status;
  const AttentionCall call{*attention, q, q_stride, first, rows, keys, values, tokens, y, y_stride};
  if (needed == 0) {
    RunTiles(call, pool);
  } else {
    RunBlocks(call, workspace, pool);
  }
  return SYL_OK;
}
#endif  // HWY_ONCE
