#include "native/cpu/kv/finite.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "native/common/half.h"
#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/common/tier.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/kv/finite.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Of the largest magnitude: as integers, they have the order of the floats, infinity and NaN above all.
uint32_t LargestBits(const float* x, int64_t n) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const int64_t lanes = hn::MaxLanes(d);
  auto largest = hn::Zero(di);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) largest = hn::Max(largest, hn::BitCast(di, hn::Abs(hn::LoadU(d, x + i))));
  auto bits = static_cast<uint32_t>(hn::GetLane(hn::MaxOfLanes(di, largest)));
  for (; i < n; ++i) bits = std::max(bits, BitsOf(std::fabs(x[i])));
  return bits;
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {
constexpr uint32_t (*kLargestBits[kTierCount])(const float*, int64_t) = SYL_TIERS(LargestBits);
constexpr int64_t kRowsPerTask = 64;
}  // namespace

syl_status CheckFinite(const char* function, const char* name, const float* x, int64_t stride, int64_t rows,
                       int64_t cols, syl_pool* pool, float* largest) {
  std::atomic<uint32_t> bits{0};
  ParallelFor(pool, (rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task, int32_t) {
    uint32_t mine = 0;
    for (int64_t r = task * kRowsPerTask; r < std::min(rows, (task + 1) * kRowsPerTask); ++r) {
      mine = std::max(mine, kLargestBits[CurrentTier()](x + r * stride, cols));
    }
    uint32_t known = bits.load(std::memory_order_relaxed);
    while (mine > known && !bits.compare_exchange_weak(known, mine, std::memory_order_relaxed)) {
    }
  });
  if (largest != nullptr) *largest = FloatFromBits(bits.load(std::memory_order_relaxed));
  if (bits.load(std::memory_order_relaxed) < BitsOf(std::numeric_limits<float>::infinity())) return SYL_OK;
  for (int64_t r = 0;; ++r, x += stride) {
    const float* bad = std::find_if_not(x, x + cols, [](float value) { return std::isfinite(value); });
    if (bad == x + cols) continue;
    return Fail(SYL_BAD_DATA, "%s: %s[%lld][%lld] is %g, must be finite", function, name, static_cast<long long>(r),
                static_cast<long long>(bad - x), *bad);
  }
}

}  // namespace sylvester
#endif
