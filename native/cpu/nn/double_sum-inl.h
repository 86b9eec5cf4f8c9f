// A sum in double of terms made from floats: 16 virtual lanes, then a fixed tree, in an order that no tier, width or
// alignment changes.
#if defined(SYLVESTER_NATIVE_CPU_NN_DOUBLE_SUM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_DOUBLE_SUM_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_DOUBLE_SUM_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_DOUBLE_SUM_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

struct DoubleSum {
  static constexpr int64_t kVirtualLanes = 16;
  using D = hn::CappedTag<double, kVirtualLanes>;
  using DFloat = hn::Rebind<float, D>;  // as many floats
  using V = hn::Vec<D>;
  static constexpr int64_t kLanes = HWY_LANES(double), kVectors = kVirtualLanes / kLanes;

  DoubleSum() {
    for (V& v : sums) v = hn::Zero(D());
  }

  double Total() {
    for (int64_t step = kVectors / 2; step > 0; step /= 2) {
      for (int64_t i = 0; i < step; ++i) sums[i] = hn::Add(sums[i], sums[i + step]);
    }
    return Tree(D(), sums[0]);
  }

  V sums[kVectors];  // virtual lane i is lane i % kLanes of vector i / kLanes

 private:
  // Lane i takes lane i + half, down to one.
  template <class DAny>
  static HWY_INLINE double Tree(DAny /* tag */, hn::Vec<DAny> v) {
    if constexpr (hn::MaxLanes(DAny()) > 2) {
      const hn::Half<DAny> half;
      return Tree(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
    } else {
      return hn::GetLane(hn::Add(v, hn::Shuffle01(v)));
    }
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
