// Largest logits and sums of exponentials of one chunk in floats.
#if defined(SYLVESTER_NATIVE_CPU_LOGITS_CHUNK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_LOGITS_CHUNK_INL_H_
#undef SYLVESTER_NATIVE_CPU_LOGITS_CHUNK_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_LOGITS_CHUNK_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "native/common/logits_rules.h"
#include "native/cpu/logits/row-inl.h"
#include "native/cpu/nn/double_sum-inl.h"
#include "native/cpu/nn/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// w = z * inv_temperature to e = exp(w) in units of about the largest one's. The logits are not referred to the
// largest one before their exponentials are taken: that rounding would be the largest of all errors.
class Exponential {
 public:
  // largest: finite.
  Exponential(float largest, float inv_temperature) : inv_temperature_(inv_temperature) {
    const float w = largest * inv_temperature;
    base_ = std::fabs(w) < kLogitsLargestW ? 0 : w;
    top_ = w - base_;
    const hn::CappedTag<float, 1> d;
    exponent_ = hn::GetLane(ReduceExp(d, hn::Set(d, top_)).exponent);
    low_ = static_cast<float>(exponent_ - 127) * 0.693147182f;
  }

  // x: w - base, not below a bound at which e is 0. NaN stays NaN.
  template <bool kScaled, class D, class V = hn::Vec<D>>
  HWY_INLINE V Reduced(D d, V z) const {
    const V w = kScaled ? hn::Mul(z, hn::Set(d, inv_temperature_)) : z;
    return hn::Max(hn::Set(d, low_), hn::Sub(w, hn::Set(d, base_)));
  }

  template <class D, class V = hn::Vec<D>>
  HWY_INLINE V Of(D d, V x) const {
    const auto parts = ReduceExp(d, x);
    return hn::Mul(parts.fraction,
                   ExponentToFloat(d, hn::Sub(parts.exponent, hn::Set(hn::RebindToSigned<D>(), exponent_))));
  }

  float top() const { return top_; }
  float OfTop() const {
    const hn::CappedTag<float, 1> d;
    return hn::GetLane(Of(d, hn::Set(d, top_)));
  }

 private:
  float inv_temperature_, base_, top_, low_;
  int32_t exponent_;
};

struct Largest {
  float max;
  int64_t index;  // first; -1 when all are NaN
};

HWY_INLINE Largest LargestOf(const float* z, int64_t cols) {
  constexpr int64_t kSection = 1024;
  float max = -std::numeric_limits<float>::infinity();
  int64_t best = 0;
  for (int64_t first = 0; first < cols; first += kSection) {
    const float of_section = MaxOf(z + first, std::min(kSection, cols - first));
    if (of_section > max) max = of_section, best = first;
  }
  const int64_t at = FirstEqual(z + best, cols - best, max);
  return {at < 0 ? max : z[best + at], at < 0 ? -1 : best + at};
}

// A chunk block by block. `skipped` (or -1) counts as -inf. `next`: what is read after this chunk.
template <class Visitor>
HWY_INLINE void VisitBlocks(const float* z, int64_t cols, int64_t skipped, Visitor& visitor) {
  const int64_t patched = skipped < 0 ? -1 : skipped / kLogitsBlock;
  for (int64_t block = 0; block * kLogitsBlock < cols; ++block) {
    const int64_t first = block * kLogitsBlock, size = std::min(kLogitsBlock, cols - first);
    if (block != patched && size == kLogitsBlock) {
      visitor.Block(z + first);
      continue;
    }
    float copy[kLogitsBlock];
    std::copy_n(z + first, size, copy);
    std::fill(copy + size, copy + kLogitsBlock, -std::numeric_limits<float>::infinity());
    if (block == patched) copy[skipped - first] = -std::numeric_limits<float>::infinity();
    visitor.Block(copy);
  }
}

// Sums over blocks: of exponentials, and with kStatistics of weighted ones; and the largest logit.
template <bool kScaled, bool kStatistics>
struct BlockSums {
  using D = hn::CappedTag<float, DoubleSum::kVirtualLanes>;
  using V = hn::Vec<D>;

  explicit BlockSums(const Exponential& exponential) : exponential(exponential) {
    second = hn::Set(D(), -std::numeric_limits<float>::infinity());
  }

  HWY_INLINE void Block(const float* z) {
    const D d;
    constexpr int64_t kStep = DoubleSum::kVirtualLanes, kSteps = kLogitsBlock / kStep;
    const int64_t N = hn::MaxLanes(d);
    const V top = hn::Set(d, exponential.top());
    for (int64_t v = 0; v < kStep / N; ++v) {
      V s0 = hn::Zero(d), s1 = s0, t0 = s0, t1 = s0;
      for (int64_t j = 0; j < kSteps; j += 2) {
        Term(hn::LoadU(d, z + v * N + j * kStep), top, j, s0, t0);
        Term(hn::LoadU(d, z + v * N + (j + 1) * kStep), top, j, s1, t1);
      }
      Add(sum, v, hn::Add(s0, s1));
      if (kStatistics) Add(weighted, v, hn::Add(t0, t1));
    }
  }

  HWY_INLINE void Term(V z, V top, int64_t j, V& s, V& t) {
    const D d;
    const V x = exponential.Reduced<kScaled>(d, z), e = exponential.Of(d, x);
    s = j == 0 ? e : hn::Add(s, e);
    if (!kStatistics) return;
    const V below = hn::Sub(x, top);
    t = j == 0 ? hn::Mul(below, e) : hn::MulAdd(below, e, t);
    second = Larger(d, second, z);
  }

  static HWY_INLINE void Add(DoubleSum& to, int64_t v, V terms) {
    const DoubleSum::D d64;
    const hn::Half<D> dh;
    to.sums[2 * v] = hn::Add(to.sums[2 * v], hn::PromoteTo(d64, hn::LowerHalf(dh, terms)));
    to.sums[2 * v + 1] = hn::Add(to.sums[2 * v + 1], hn::PromoteTo(d64, hn::UpperHalf(dh, terms)));
  }

  const Exponential exponential;
  DoubleSum sum, weighted;
  V second;
};

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
