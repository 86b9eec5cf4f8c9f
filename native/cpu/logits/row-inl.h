// Passes over a row of logits that statistics and sampler share.
#if defined(SYLVESTER_NATIVE_CPU_LOGITS_ROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_LOGITS_ROW_INL_H_
#undef SYLVESTER_NATIVE_CPU_LOGITS_ROW_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_LOGITS_ROW_INL_H_
#endif

#include <cstdint>
#include <limits>

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "native/cpu/logits/row.h"
#include "native/cpu/nn/double_sum-inl.h"
#include "native/cpu/nn/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// NaN compares false and so never becomes the maximum.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Larger(D /* tag */, V max, V value) {
  return hn::IfThenElse(hn::Gt(value, max), value, max);
}

HWY_INLINE float MaxOf(const float* x, int64_t cols) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t N = hn::MaxLanes(d);
  // Four, since each comparison waits for the one before.
  V max0 = hn::Set(d, -std::numeric_limits<float>::infinity()), max1 = max0, max2 = max0, max3 = max0;
  int64_t i = 0;
  for (; i + 4 * N <= cols; i += 4 * N) {
    max0 = Larger(d, max0, hn::LoadU(d, x + i));
    max1 = Larger(d, max1, hn::LoadU(d, x + i + N));
    max2 = Larger(d, max2, hn::LoadU(d, x + i + 2 * N));
    max3 = Larger(d, max3, hn::LoadU(d, x + i + 3 * N));
  }
  for (; i + N <= cols; i += N) max0 = Larger(d, max0, hn::LoadU(d, x + i));
  max0 = Larger(d, Larger(d, max0, max1), Larger(d, max2, max3));
  float max = hn::GetLane(hn::MaxOfLanes(d, max0));
  for (; i < cols; ++i) max = x[i] > max ? x[i] : max;
  return max;
}

// -1 where there is none.
HWY_INLINE int64_t FirstEqual(const float* x, int64_t cols, float value) {
  const hn::ScalableTag<float> d;
  const int64_t N = hn::MaxLanes(d);
  const auto values = hn::Set(d, value);
  int64_t i = 0;
  for (; i + N <= cols; i += N) {
    const intptr_t lane = hn::FindFirstTrue(d, hn::Eq(hn::LoadU(d, x + i), values));
    if (lane >= 0) return i + lane;
  }
  for (; i < cols; ++i) {
    if (x[i] == value) return i;
  }
  return -1;
}

enum class NaNs { kCount, kAreSkipped };

// exp((x - max) * inv_temperature) for x <= max.
template <NaNs kNaNs, class D, class V = hn::Vec<D>>
HWY_INLINE V Probability(D d, const float* x, V max, V inv_temperature) {
  const V z = hn::Mul(hn::Sub(hn::LoadU(d, x), max), inv_temperature);
  const V e = ExpNonPositiveF32(d, z);
  return kNaNs == NaNs::kCount ? e : hn::IfThenElseZero(hn::Eq(z, z), e);
}

// Sum of the above. Four are added in float, the rest in double: relative error below 2^-21, mostly the exponentials'.
// Exponentials take as long as memory does: what comes after this chunk is fetched meanwhile.
template <NaNs kNaNs>
HWY_INLINE double MassOf(const float* x, int64_t cols, float max, float inv_temperature) {
  const hn::CappedTag<float, DoubleSum::kVirtualLanes> d;
  const hn::Half<decltype(d)> dh;
  const DoubleSum::D d64;
  const int64_t N = hn::MaxLanes(d);
  constexpr int64_t kStep = DoubleSum::kVirtualLanes;
  const auto maxima = hn::Set(d, max), factor = hn::Set(d, inv_temperature);
  DoubleSum sum;
  int64_t i = 0;
  for (; i + 4 * kStep <= cols; i += 4 * kStep) {
    for (int64_t v = 0; v < 4; ++v) hwy::Prefetch(x + i + kRowChunk + v * kStep);
    for (int64_t v = 0; v < kStep / N; ++v) {
      const float* p = x + i + v * N;
      const auto e01 =
          hn::Add(Probability<kNaNs>(d, p, maxima, factor), Probability<kNaNs>(d, p + kStep, maxima, factor));
      const auto e23 = hn::Add(Probability<kNaNs>(d, p + 2 * kStep, maxima, factor),
                               Probability<kNaNs>(d, p + 3 * kStep, maxima, factor));
      const auto e = hn::Add(e01, e23);
      sum.sums[2 * v] = hn::Add(sum.sums[2 * v], hn::PromoteTo(d64, hn::LowerHalf(dh, e)));
      sum.sums[2 * v + 1] = hn::Add(sum.sums[2 * v + 1], hn::PromoteTo(d64, hn::UpperHalf(dh, e)));
    }
  }
  double total = sum.Total();
  const hn::CappedTag<float, 1> d1;
  for (; i < cols; ++i) {
    total += hn::GetLane(Probability<kNaNs>(d1, x + i, hn::Set(d1, max), hn::Set(d1, inv_temperature)));
  }
  return total;
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
