// The regular family: Kronecker powers of a matrix of order 4 whose rows sum to 2.
#if defined(SYLVESTER_NATIVE_CPU_HADAMARD_REGULAR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_HADAMARD_REGULAR_INL_H_
#undef SYLVESTER_NATIVE_CPU_HADAMARD_REGULAR_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_HADAMARD_REGULAR_INL_H_
#endif

#include <cstdint>
#include <type_traits>

#include "native/cpu/hadamard/fwht-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The lowest digit: quads of neighbours.
template <typename T>
HWY_INLINE void QuadsOfNeighbours(T* z, int64_t n) {
  const Tag<T> d;
  int64_t i = 0;
  if constexpr (std::is_same_v<T, float>) {
    const auto alternating = Alternating<1>(d);
    for (; i + kLanes<T> <= n; i += kLanes<T>) {
      const auto abcd = LaneStage<1>(d, hn::LoadU(d, z + i), alternating);
      const auto ddbb = hn::Shuffle1032(hn::DupOdd(abcd));
      hn::StoreU(hn::MulAdd(ddbb, alternating, hn::DupEven(abcd)), d, z + i);
    }
  }
  for (; i < n; i += 4) {
    const T a = z[i] + z[i + 1], b = z[i] - z[i + 1], c = z[i + 2] + z[i + 3], e = z[i + 2] - z[i + 3];
    z[i] = a + e;
    z[i + 1] = a - e;
    z[i + 2] = c + b;
    z[i + 3] = c - b;
  }
}

// A higher digit: quads `stride` apart.
template <class D, typename T = hn::TFromD<D>>
HWY_INLINE void StridedQuads(D d, T* z, int64_t n, int64_t stride) {
  for (int64_t block = 0; block < n; block += 4 * stride) {
    for (int64_t i = block; i < block + stride; i += static_cast<int64_t>(hn::MaxLanes(d))) {
      hn::Vec<D> v[4];
#pragma GCC unroll 4
      for (int64_t r = 0; r < 4; ++r) v[r] = hn::LoadU(d, z + i + r * stride);
      const auto a = hn::Add(v[0], v[1]), b = hn::Sub(v[0], v[1]), c = hn::Add(v[2], v[3]), e = hn::Sub(v[2], v[3]);
      hn::StoreU(hn::Add(a, e), d, z + i);
      hn::StoreU(hn::Sub(a, e), d, z + i + stride);
      hn::StoreU(hn::Add(c, b), d, z + i + 2 * stride);
      hn::StoreU(hn::Sub(c, b), d, z + i + 3 * stride);
    }
  }
}

// z <- H z, n = 4^k.
template <typename T>
void RegularTransform(T* z, int64_t n) {
  QuadsOfNeighbours(z, n);
  if (n > 4) StridedQuads(hn::CappedTag<T, 4>(), z, n, 4);
  for (int64_t stride = 16; stride < n; stride *= 4) StridedQuads(Tag<T>(), z, n, stride);
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#endif
