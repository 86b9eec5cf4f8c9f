// exp(x) for vectors of float. Error below 1 ulp; the same bits on every tier with fused multiply-add.
#include <cstdint>

#if defined(SYLVESTER_NATIVE_CPU_NN_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_EXP_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_EXP_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_EXP_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Minimax of (exp(r) - 1 - r) / r^2 on |r| <= ln(2) / 2: relative error of exp(r) below 2^-28. Of several vectors,
// step by step.
template <size_t kCount, class D, class V = hn::Vec<D>>
HWY_INLINE void ExpTails(D d, const V (&r)[kCount], V (&q)[kCount]) {
  for (size_t i = 0; i < kCount; ++i) {
    q[i] = hn::MulAdd(hn::Set(d, 0x1.6a23d2p-10f), r[i], hn::Set(d, 0x1.123a20p-7f));
  }
  for (size_t i = 0; i < kCount; ++i) q[i] = hn::MulAdd(q[i], r[i], hn::Set(d, 0x1.5558f2p-5f));
  for (size_t i = 0; i < kCount; ++i) q[i] = hn::MulAdd(q[i], r[i], hn::Set(d, 0x1.555492p-3f));
  for (size_t i = 0; i < kCount; ++i) q[i] = hn::MulAdd(q[i], r[i], hn::Set(d, 0x1.fffffcp-2f));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpTail(D d, V r) {
  const V of[1] = {r};
  V q[1];
  ExpTails(d, of, q);
  return q[0];
}

// exp(x) = fraction * 2^exponent with fraction in [0.7, 1.5], for |x| < 2^21.
template <class D, class V = hn::Vec<D>>
struct ExpParts {
  V fraction;
  hn::Vec<hn::RebindToSigned<D>> exponent;
};

template <class D, class V = hn::Vec<D>>
HWY_INLINE ExpParts<D> ReduceExp(D d, V x) {
  const hn::RebindToSigned<D> di;
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  const V shift = hn::Set(d, 12582912.0f);
  const V shifted = hn::MulAdd(x, hn::Set(d, 1.44269504f), shift);
  const V n = hn::Sub(shifted, shift);
  // ln 2 in two parts: n times the first is exact for |n| < 2^9 also without fused multiply-add.
  V r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  const V fraction = hn::Add(hn::MulAdd(ExpTail(d, r), hn::Mul(r, r), r), hn::Set(d, 1.0f));
  return {fraction, hn::Sub(hn::BitCast(di, shifted), hn::BitCast(di, shift))};
}

// 2^n for -127 <= n <= 127, where 2^-127 is 0.
template <class D, class VI>
HWY_INLINE hn::Vec<D> ExponentToFloat(D d, VI n) {
  const hn::RebindToSigned<D> di;
  return hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(n, hn::Set(di, 127))));
}

// Any x: overflows to +inf, underflows gradually, NaN stays NaN.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpF32(D d, V x) {
  // Beyond these the result is +inf or 0. Comparisons rather than Min and Max, which differ in NaN between targets.
  const V low = hn::Set(d, -104.0f);
  const V high = hn::Set(d, 89.0f);
  x = hn::IfThenElse(hn::Lt(x, low), low, x);
  x = hn::IfThenElse(hn::Gt(x, high), high, x);
  const auto parts = ReduceExp(d, x);
  // Two factors, since 2^128 and 2^-150 are no floats.
  const auto half = hn::ShiftRight<1>(parts.exponent);
  const V scaled = hn::Mul(parts.fraction, ExponentToFloat(d, half));
  return hn::Mul(scaled, ExponentToFloat(d, hn::Sub(parts.exponent, half)));
}

// x <= 0, -inf or NaN, as in a softmax: 0 below ln(2^-126.5) = -87.68, else ExpF32's bits.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpNonPositiveF32(D d, V x) {
  const V low = hn::Set(d, -88.0f);
  const auto parts = ReduceExp(d, hn::IfThenElse(hn::Lt(x, low), low, x));
  return hn::Mul(parts.fraction, ExponentToFloat(d, parts.exponent));
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#endif
