// Gumbel noise as sylvester/logits.h defines it.
#if defined(SYLVESTER_NATIVE_CPU_LOGITS_GUMBEL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_LOGITS_GUMBEL_INL_H_
#undef SYLVESTER_NATIVE_CPU_LOGITS_GUMBEL_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_LOGITS_GUMBEL_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"
#include "native/common/philox-inl.h"
#include "native/cpu/logits/draw.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// x = m 2^exponent with m in [sqrt(1/2), sqrt(2)), for normal positive x; returns m.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V SplitForLog(D d, V x, V& exponent) {
  const hn::RebindToSigned<D> di;
  const auto bits = hn::BitCast(di, x);
  const auto e = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(di, 0x3f3504f3)));  // of sqrt(1/2)
  exponent = hn::ConvertTo(d, e);
  return hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<23>(e)));
}

// exponent ln(2) + log(1 + f) for f in [sqrt(1/2) - 1, sqrt(2) - 1).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V LogOfParts(D d, V exponent, V f) {
  // Minimax of (log(1 + f) - f + f^2 / 2) / f^3: relative error of the logarithm below 2^-27.
  V r = hn::MulAdd(hn::Set(d, -0x1.38bab0p-4f), f, hn::Set(d, 0x1.055a7cp-3f));
  r = hn::MulAdd(r, f, hn::Set(d, -0x1.0d83a8p-3f));
  r = hn::MulAdd(r, f, hn::Set(d, 0x1.22da22p-3f));
  r = hn::MulAdd(r, f, hn::Set(d, -0x1.547276p-3f));
  r = hn::MulAdd(r, f, hn::Set(d, 0x1.99a00ap-3f));
  r = hn::MulAdd(r, f, hn::Set(d, -0x1.000226p-2f));
  r = hn::MulAdd(r, f, hn::Set(d, 0x1.555554p-2f));
  const V square = hn::Mul(f, f);
  const V tail = hn::MulAdd(hn::Mul(square, f), r, hn::Mul(exponent, hn::Set(d, -2.12194440e-4f)));
  const V log1p = hn::Add(hn::MulAdd(square, hn::Set(d, -0.5f), tail), f);
  return hn::MulAdd(exponent, hn::Set(d, 0.693359375f), log1p);
}

// 1 - u of the uniform number u that random bits stand for, from below and to 31 bits. Never more than E = -log(u).
template <class D, class VU = hn::Vec<hn::RebindToUnsigned<D>>>
HWY_INLINE hn::Vec<D> LeastExponential(D d, VU bits) {
  const hn::RebindToSigned<D> di;
  const auto complement = hn::BitCast(di, hn::ShiftRight<1>(hn::Not(bits)));
  return hn::Mul(hn::ConvertTo(d, complement), hn::Set(d, 0x1p-31f));
}

// G = -log(E), E = -log(u), u = (bits + 1/2) 2^-32.
template <class D, class VU = hn::Vec<hn::RebindToUnsigned<D>>>
HWY_INLINE hn::Vec<D> Gumbel(D d, VU bits) {
  using V = hn::Vec<D>;
  const hn::RebindToSigned<D> di;
  const V one = hn::Set(d, 1.0f);
  const auto signed_bits = hn::BitCast(di, bits);
  const auto upper_half = hn::ShiftRight<31>(signed_bits);  // -1 where u >= 1/2
  // t is u or, where u >= 1/2, 1 - u: small numbers, which make the largest and the smallest G, keep all their digits.
  const V t =
      hn::Mul(hn::Add(hn::ConvertTo(d, hn::Xor(signed_bits, upper_half)), hn::Set(d, 0.5f)), hn::Set(d, 0x1p-32f));
  const V u = hn::IfThenElse(hn::RebindMask(d, hn::Lt(signed_bits, hn::Zero(di))), hn::Sub(one, t), t);
  V exponent;
  const V m = SplitForLog(d, u, exponent);
  // An exponent of 0 means u >= sqrt(1/2), where log(u) = log(1 - t).
  const V f = hn::IfThenElse(hn::Eq(exponent, hn::Zero(d)), hn::Neg(t), hn::Sub(m, one));
  const V e = hn::Neg(LogOfParts(d, exponent, f));
  const V me = SplitForLog(d, e, exponent);
  return hn::Neg(LogOfParts(d, exponent, hn::Sub(me, one)));
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
