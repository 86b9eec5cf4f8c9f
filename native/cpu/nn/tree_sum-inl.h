// Sums in an order that no tier, width or alignment changes: 16 virtual lanes, then a fixed tree.
#if defined(SYLVESTER_NATIVE_CPU_NN_TREE_SUM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_TREE_SUM_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_TREE_SUM_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_TREE_SUM_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kVirtualLanes = 16;
using DVirtual = hn::CappedTag<float, kVirtualLanes>;
using VVirtual = hn::Vec<DVirtual>;
constexpr int64_t kRealLanes = HWY_LANES(float) < kVirtualLanes ? HWY_LANES(float) : kVirtualLanes;
constexpr int64_t kVirtualVectors = kVirtualLanes / kRealLanes;

// Lane i takes lane i + half, down to one.
template <class D, class V = hn::Vec<D>>
HWY_INLINE float TreeSum(D /* tag */, V v) {
  if constexpr (hn::MaxLanes(D()) > 4) {
    const hn::Half<D> half;
    return TreeSum(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  } else {
    v = hn::Add(v, hn::Shuffle1032(v));
    return hn::GetLane(hn::Add(v, hn::Shuffle2301(v)));
  }
}

// Sum of the virtual lanes held in v.
HWY_INLINE float TreeSum16(VVirtual (&v)[kVirtualVectors]) {
  for (int64_t step = kVirtualVectors / 2; step > 0; step /= 2) {
    for (int64_t i = 0; i < step; ++i) v[i] = hn::Add(v[i], v[i + step]);
  }
  return TreeSum(DVirtual(), v[0]);
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
