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
#if HWY_ARCH_X86
  return hn::Max(value, max);  // the instruction's second operand where they do not compare
#else
  return hn::IfThenElse(hn::Gt(value, max), value, max);
#endif
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
  if constexpr (kNaNs == NaNs::kCount) return ExpNonPositiveF32(d, z);
  // The same bits; NaN is not larger than the exponent that underflows.
  const auto parts = ReduceExp(d, Larger(d, hn::Set(d, -88.0f), z));
  return hn::Mul(parts.fraction, ExponentToFloat(d, parts.exponent));
}

// Sum of term(d, i), i < count, where term returns the vector of terms from i on. Four are added in float, the rest in
// double: an order that native/common/spec_rules.h writes down.
template <class Term>
HWY_INLINE double SumOfTerms(int64_t count, Term term) {
  const hn::CappedTag<float, DoubleSum::kVirtualLanes> d;
  const hn::Half<decltype(d)> dh;
  const DoubleSum::D d64;
  const int64_t N = hn::MaxLanes(d);
  constexpr int64_t kStep = DoubleSum::kVirtualLanes;
  DoubleSum sum;
  int64_t i = 0;
  for (; i + 4 * kStep <= count; i += 4 * kStep) {
    for (int64_t v = 0; v < kStep / N; ++v) {
      const int64_t at = i + v * N;
      const auto t01 = hn::Add(term(d, at), term(d, at + kStep));
      const auto t23 = hn::Add(term(d, at + 2 * kStep), term(d, at + 3 * kStep));
      const auto t = hn::Add(t01, t23);
      sum.sums[2 * v] = hn::Add(sum.sums[2 * v], hn::PromoteTo(d64, hn::LowerHalf(dh, t)));
      sum.sums[2 * v + 1] = hn::Add(sum.sums[2 * v + 1], hn::PromoteTo(d64, hn::UpperHalf(dh, t)));
    }
  }
  double total = sum.Total();
  const hn::CappedTag<float, 1> d1;
  for (; i < count; ++i) total += hn::GetLane(term(d1, i));
  return total;
}

template <NaNs kNaNs>
struct MassTerm {
  const float* x;
  float max, inv_temperature;

  // Exponentials take as long as memory does: what comes after this chunk is fetched meanwhile.
  template <class D>
  HWY_INLINE hn::Vec<D> operator()(D d, int64_t i) const {
    hwy::Prefetch(x + i + kRowChunk);
    return Probability<kNaNs>(d, x + i, hn::Set(d, max), hn::Set(d, inv_temperature));
  }
};

// Relative error below 2^-21, mostly the exponentials'.
template <NaNs kNaNs>
HWY_INLINE double MassOf(const float* x, int64_t cols, float max, float inv_temperature) {
  return SumOfTerms(cols, MassTerm<kNaNs>{x, max, inv_temperature});
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
