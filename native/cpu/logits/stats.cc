#include <sylvester/logits.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/common/tier.h"
#include "native/cpu/logits/row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/logits/stats.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/logits/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

// Largest logit of a chunk and sum of exp(logit - max).
void ChunkStats(const float* x, int64_t cols, float* max, double* sum) {
  *max = MaxOf(x, cols);
  if (std::isfinite(*max)) {
    *sum = MassOf<NaNs::kCount>(x, cols, *max, 1);
  } else {
    const bool has_nan = std::any_of(x, x + cols, [](float logit) { return logit != logit; });
    *sum = has_nan ? std::numeric_limits<double>::quiet_NaN() : *max > 0 ? *max : 0;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {

constexpr void (*kChunkStats[kTierCount])(const float*, int64_t, float*, double*) = SYL_TIERS(ChunkStats);

constexpr int64_t kChunksAtOnce = 256;

// exp(a - b), also for two equal infinities.
double Weight(float a, float b) { return a == b ? 1 : std::exp(static_cast<double>(a) - b); }

// A row's chunks so far.
struct RowStats {
  float max = -std::numeric_limits<float>::infinity();
  double sum = 0;
  int64_t best_chunk = 0;

  void Add(int64_t chunk, float chunk_max, double chunk_sum) {
    if (chunk_max > max) {
      sum *= Weight(max, chunk_max);
      max = chunk_max;
      best_chunk = chunk;
    }
    sum += chunk_sum * Weight(chunk_max, max);
  }

  syl_logits_stats Finish(const float* logits, int64_t cols) const {
    const int64_t first = best_chunk * kRowChunk;
    const int64_t at = FindInRow(logits + first, cols - first, max);
    return {at < 0 ? -1 : static_cast<int32_t>(first + at), at < 0 ? max : logits[first + at], max + std::log(sum)};
  }
};

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_logits_stats_f32(const float* logits, int64_t stride, int64_t rows, int64_t cols,
                                syl_logits_stats* stats, syl_pool* pool) {
  SYL_REQUIRE_PTR(logits);
  SYL_REQUIRE_PTR(stats);
  SYL_REQUIRE_RANGE(cols, 1, INT32_MAX);
  SYL_REQUIRE_RANGE(rows, 0, INT64_MAX);
  const int64_t extent = Extent(rows, cols, stride);
  SYL_REQUIRE(stride >= cols && extent >= 0 && extent <= INT64_MAX / 32, SYL_BAD_SHAPE,
              "stride is %lld, must be at least cols %lld and fit %lld rows", static_cast<long long>(stride),
              static_cast<long long>(cols), static_cast<long long>(rows));
  SYL_REQUIRE(!Overlaps(logits, extent * 4, stats, rows * static_cast<int64_t>(sizeof(*stats))), SYL_OVERLAP,
              "stats overlaps logits (%lld rows)", static_cast<long long>(rows));
  const int64_t row_chunks = (cols + kRowChunk - 1) / kRowChunk, chunks = rows * row_chunks;
  RowStats row;
  for (int64_t begin = 0; begin < chunks; begin += kChunksAtOnce) {
    const int64_t count = std::min(kChunksAtOnce, chunks - begin);
    float max[kChunksAtOnce];
    double sum[kChunksAtOnce];
    ParallelFor(pool, count, [&](int64_t task, int32_t) {
      const int64_t r = (begin + task) / row_chunks, first = (begin + task) % row_chunks * kRowChunk;
      kChunkStats[CurrentTier()](logits + r * stride + first, std::min(kRowChunk, cols - first), max + task,
                                 sum + task);
    });
    for (int64_t task = 0; task < count; ++task) {
      const int64_t r = (begin + task) / row_chunks, chunk = (begin + task) % row_chunks;
      if (chunk == 0) row = RowStats();
      row.Add(chunk, max[task], sum[task]);
      if (chunk == row_chunks - 1) stats[r] = row.Finish(logits + r * stride, cols);
    }
  }
  return SYL_OK;
}
#endif
