#include "native/cpu/logits/stats.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/common/tier.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/logits/stats.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/nn/exp-inl.h"
#include "native/cpu/nn/tree_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

// NaN compares false and so never becomes the maximum.
HWY_INLINE float MaxOf(const float* x, int64_t cols) {
  const DVirtual d;
  const float lowest = -std::numeric_limits<float>::infinity();
  VVirtual max = hn::Set(d, lowest);
  int64_t i = 0;
  for (; i + kRealLanes <= cols; i += kRealLanes) {
    const VVirtual value = hn::LoadU(d, x + i);
    max = hn::IfThenElse(hn::Gt(value, max), value, max);
  }
  float result = hn::GetLane(hn::MaxOfLanes(d, max));
  for (; i < cols; ++i) result = x[i] > result ? x[i] : result;
  return result;
}

HWY_INLINE int64_t FirstEqual(const float* x, int64_t cols, float value) {
  const DVirtual d;
  int64_t i = 0;
  for (; i + kRealLanes <= cols; i += kRealLanes) {
    const intptr_t lane = hn::FindFirstTrue(d, hn::Eq(hn::LoadU(d, x + i), hn::Set(d, value)));
    if (lane >= 0) return i + lane;
  }
  for (; i < cols; ++i) {
    if (x[i] == value) return i;
  }
  return -1;
}

HWY_INLINE float SumOfExp(const float* x, int64_t cols, float max) {
  const DVirtual d;
  const VVirtual maximum = hn::Set(d, max);
  VVirtual sum[kVirtualVectors];
  for (VVirtual& v : sum) v = hn::Zero(d);
  int64_t i = 0;
  for (; i + kVirtualLanes <= cols; i += kVirtualLanes) {
    for (int64_t v = 0; v < kVirtualVectors; ++v) {
      sum[v] = hn::Add(sum[v], ExpF32(d, hn::Sub(hn::LoadU(d, x + i + v * kRealLanes), maximum)));
    }
  }
  float total = TreeSum16(sum);
  const hn::CappedTag<float, 1> d1;
  for (; i < cols; ++i) total += hn::GetLane(ExpF32(d1, hn::Set(d1, x[i] - max)));
  return total;
}

void ChunkStatsOf(const float* x, int64_t cols, ChunkStats* stats) {
  const float max = MaxOf(x, cols);
  stats->argmax = FirstEqual(x, cols, max);
  stats->max = max;
  stats->sum = std::isinf(max) ? 0.0f : SumOfExp(x, cols, max);
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {
constexpr void (*kChunkStats[kTierCount])(const float*, int64_t, ChunkStats*) = SYL_TIERS(ChunkStatsOf);
}  // namespace

syl_logits_stats StatsOfRow(const float* logits, int64_t cols) {
  const Tier tier = CurrentTier();
  const float lowest = -std::numeric_limits<float>::infinity();
  syl_logits_stats row{-1, lowest, 0};
  double sum = 0;
  for (int64_t first = 0; first < cols; first += kStatsChunk) {
    ChunkStats chunk;
    kChunkStats[tier](logits + first, std::min(kStatsChunk, cols - first), &chunk);
    if (chunk.argmax < 0) continue;
    if (row.argmax < 0 || chunk.max > row.max) {
      if (sum != 0) sum *= std::exp(static_cast<double>(row.max) - chunk.max);
      sum += chunk.sum;
      row.argmax = static_cast<int32_t>(first + chunk.argmax);
      row.max = chunk.max;
    } else if (chunk.sum != 0) {
      sum += chunk.sum * std::exp(static_cast<double>(chunk.max) - row.max);
    }
  }
  row.log_sum_exp = row.argmax < 0        ? std::numeric_limits<double>::quiet_NaN()
                    : std::isinf(row.max) ? row.max
                                          : row.max + std::log(sum);
  return row;
}

}  // namespace sylvester

using namespace sylvester;

syl_status syl_logits_stats_f32(const float* logits, int64_t stride, int64_t rows, int64_t cols,
                                syl_logits_stats* stats, syl_pool* pool) {
  SYL_REQUIRE_PTR(logits);
  SYL_REQUIRE_PTR(stats);
  SYL_REQUIRE_RANGE(cols, 1, INT32_MAX);
  SYL_REQUIRE_RANGE(rows, 0, INT64_MAX);
  SYL_REQUIRE(stride >= cols && Extent(rows, cols, stride) >= 0, SYL_BAD_SHAPE,
              "stride is %lld, must be at least cols %lld and fit %lld rows", static_cast<long long>(stride),
              static_cast<long long>(cols), static_cast<long long>(rows));
  ParallelFor(pool, rows, [&](int64_t r, int32_t) { stats[r] = StatsOfRow(logits + r * stride, cols); });
  return SYL_OK;
}
#endif
