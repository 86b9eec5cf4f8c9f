// silu(x) = x / (1 + exp(-x)) for vectors of float.
#if defined(SYLVESTER_NATIVE_CPU_NN_SILU_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_SILU_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_SILU_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_SILU_INL_H_
#endif

#include "native/cpu/nn/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

// Below, exp(-x) is infinite and the quotient 0; infinity by infinity would be NaN.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V SiluArgument(D d, V x) {
  const V low = hn::Set(d, -104.0f);
  return hn::IfThenElse(hn::Lt(x, low), low, x);
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V Silu(D d, V x) {
  x = SiluArgument(d, x);
  return hn::Div(x, hn::Add(hn::Set(d, 1.0f), ExpF32(d, hn::Neg(x))));
}

// silu'(x) = s (1 + x (1 - s)), s = 1 / (1 + exp(-x)).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V SiluSlope(D d, V x) {
  x = SiluArgument(d, x);
  const V one = hn::Set(d, 1.0f);
  const V s = hn::Div(one, hn::Add(one, ExpF32(d, hn::Neg(x))));
  return hn::Mul(s, hn::MulAdd(x, hn::Sub(one, s), one));
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#endif
