// exp(x) in float: 2 ulp, 0 below -104, infinity above 89; the same bits on every tier with fused multiply-add.
#if defined(SYLVESTER_NATIVE_CPU_NN_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_EXP_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_EXP_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_EXP_INL_H_
#endif

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpF32(D d, V x) {
  // Highway's reduction overflows for large |x|; outside these bounds the result is 0 or infinity anyway.
  const V clamped = hn::Min(hn::Max(x, hn::Set(d, -110.0f)), hn::Set(d, 90.0f));
  const V result = hn::Exp(d, clamped);
  return hn::IfThenElse(hn::IsNaN(x), x, result);
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
