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

// e = exp(w) in units of about the largest one's, from x = w - base (native/common/logits_rules.h). Logits are not
// referred to the largest one before their exponentials are taken: that rounding would be the largest of all errors.
class Exponential {
 public:
  // largest: finite.
  Exponential(float largest, float inv_temperature) : inv_temperature_(inv_temperature) {
    const float w = largest * inv_temperature;
    base_ = std::fabs(w) < kLogitsLargestW ? 0 : w;
    top_ = w - base_;
    const hn::CappedTag<float, 1> d;
    const int32_t exponent = hn::GetLane(ReduceExp(d, hn::Set(d, top_)).exponent);
    shift_ = static_cast<float>(12582912 + 127 - exponent);
    low_ = static_cast<float>(exponent - 127) * 0.693147182f;
  }

  // x of cols logits: themselves where that is what they are, else in the buffer.
  HWY_INLINE const float* Refer(const float* z, int64_t cols, float* buffer) const {
    if (IsIdentity()) return z;
    const hn::ScalableTag<float> d;
    const int64_t N = hn::MaxLanes(d);
    const auto factor = hn::Set(d, inv_temperature_), base = hn::Set(d, base_);
    int64_t i = 0;
    for (; i + N <= cols; i += N) hn::StoreU(hn::Sub(hn::Mul(hn::LoadU(d, z + i), factor), base), d, buffer + i);
    for (; i < cols; ++i) buffer[i] = z[i] * inv_temperature_ - base_;
    return buffer;
  }
  bool IsIdentity() const { return inv_temperature_ == 1 && base_ == 0; }

  // Not below a bound at which e is 0. NaN stays NaN.
  template <class D, class V = hn::Vec<D>>
  HWY_INLINE V Clamp(D d, V x) const {
    return hn::Max(hn::Set(d, low_), x);
  }

  template <class D, class V = hn::Vec<D>>
  HWY_INLINE V Of(D d, V clamped) const {
    const V x[1] = {clamped};
    V e[1];
    OfEach(d, x, e);
    return e[0];
  }

  // Of several vectors, step by step: one after the other their chains of instructions would fill the processor's
  // scheduler while each waits for itself.
  template <size_t kCount, class D, class V = hn::Vec<D>>
  HWY_INLINE void OfEach(D d, const V (&clamped)[kCount], V (&e)[kCount]) const {
    // Adding 1.5 * 2^23 and more rounds to an integer, and leaves in the low bits what the exponent's bits will be.
    const V shift = hn::Set(d, shift_), one = hn::Set(d, 1.0f);
    V shifted[kCount], n[kCount], r[kCount], q[kCount];
    for (size_t i = 0; i < kCount; ++i) shifted[i] = hn::MulAdd(clamped[i], hn::Set(d, 1.44269504f), shift);
    for (size_t i = 0; i < kCount; ++i) n[i] = hn::Sub(shifted[i], shift);
    for (size_t i = 0; i < kCount; ++i) r[i] = hn::NegMulAdd(n[i], hn::Set(d, 0.693359375f), clamped[i]);
    for (size_t i = 0; i < kCount; ++i) r[i] = hn::NegMulAdd(n[i], hn::Set(d, -2.12194440e-4f), r[i]);
    ExpTails(d, r, q);
    for (size_t i = 0; i < kCount; ++i) q[i] = hn::MulAdd(q[i], r[i], one);
    for (size_t i = 0; i < kCount; ++i) q[i] = hn::MulAdd(q[i], r[i], one);
    for (size_t i = 0; i < kCount; ++i) {
      e[i] = hn::Mul(q[i], hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(hn::RebindToUnsigned<D>(), shifted[i]))));
    }
  }

  float top() const { return top_; }
  float OfTop() const {
    const hn::CappedTag<float, 1> d;
    return hn::GetLane(Of(d, hn::Set(d, top_)));
  }

 private:
  float inv_temperature_, base_, top_, shift_, low_;
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

// A chunk block by block; the column `skipped` (or -1) counts as -inf.
template <class Visitor>
HWY_INLINE void VisitBlocks(const float* x, int64_t cols, int64_t skipped, Visitor& visitor) {
  const int64_t patched = skipped < 0 ? -1 : skipped / kLogitsBlock;
  for (int64_t block = 0; block * kLogitsBlock < cols; ++block) {
    const int64_t first = block * kLogitsBlock, size = std::min(kLogitsBlock, cols - first);
    if (block != patched && size == kLogitsBlock) {
      visitor.Block(x + first);
      continue;
    }
    float copy[kLogitsBlock];
    std::copy_n(x + first, size, copy);
    std::fill(copy + size, copy + kLogitsBlock, -std::numeric_limits<float>::infinity());
    if (block == patched) copy[skipped - first] = -std::numeric_limits<float>::infinity();
    visitor.Block(copy);
  }
}

// Sums of exponentials over blocks, and with kStatistics of weighted ones, and the largest x.
template <bool kStatistics>
struct BlockSums {
  using D = hn::CappedTag<float, DoubleSum::kVirtualLanes>;
  using V = hn::Vec<D>;

  // next: memory that is read after this chunk, block_bytes a block; it is fetched while exponentials are computed.
  BlockSums(const Exponential& exponential, const void* next, int64_t block_bytes)
      : exponential(exponential), next(static_cast<const uint8_t*>(next)), block_bytes(block_bytes) {
    second = hn::Set(D(), -std::numeric_limits<float>::infinity());
  }

  HWY_INLINE void Block(const float* x) {
    const D d;
    constexpr int64_t kStep = DoubleSum::kVirtualLanes, kSteps = kLogitsBlock / kStep, kTogether = 4;
    const int64_t N = hn::MaxLanes(d);
    for (int64_t i = 0; i < block_bytes; i += 64) hwy::Prefetch(next + i);
    next += block_bytes;
    const Exponential exp = exponential;
    const V top = hn::Set(d, exp.top());
    V largest = second;
    for (int64_t v = 0; v < kStep / N; ++v) {
      V s[2], t[2];
      for (int64_t j = 0; j < kSteps; j += kTogether) {
        V clamped[kTogether], e[kTogether];
        for (int64_t i = 0; i < kTogether; ++i) clamped[i] = exp.Clamp(d, hn::LoadU(d, x + v * N + (j + i) * kStep));
        exp.OfEach(d, clamped, e);
        for (int64_t i = 0; i < kTogether; ++i) {
          V &s_of = s[i % 2], &t_of = t[i % 2];
          s_of = j + i < 2 ? e[i] : hn::Add(s_of, e[i]);
          if (!kStatistics) continue;
          const V below = hn::Sub(clamped[i], top);
          t_of = j + i < 2 ? hn::Mul(below, e[i]) : hn::MulAdd(below, e[i], t_of);
          largest = Larger(d, largest, hn::LoadU(d, x + v * N + (j + i) * kStep));
        }
      }
      Add(sum, v, hn::Add(s[0], s[1]));
      if (kStatistics) Add(weighted, v, hn::Add(t[0], t[1]));
    }
    second = largest;
  }

  static HWY_INLINE void Add(DoubleSum& to, int64_t v, V terms) {
    const DoubleSum::D d64;
    const hn::Half<D> dh;
    to.sums[2 * v] = hn::Add(to.sums[2 * v], hn::PromoteTo(d64, hn::LowerHalf(dh, terms)));
    to.sums[2 * v + 1] = hn::Add(to.sums[2 * v + 1], hn::PromoteTo(d64, hn::UpperHalf(dh, terms)));
  }

  const Exponential exponential;
  const uint8_t* next;
  const int64_t block_bytes;
  DoubleSum sum, weighted;
  V second;
};

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
