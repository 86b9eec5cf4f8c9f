// The base part of a transform: H_base over the slow index.
#if defined(SYLVESTER_NATIVE_CPU_HADAMARD_BASE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_HADAMARD_BASE_INL_H_
#undef SYLVESTER_NATIVE_CPU_HADAMARD_BASE_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_HADAMARD_BASE_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"
#include "native/cpu/hadamard/plan.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The sums of a quad that outputs are made of, 8 and their negatives, in the order of syl_hadamard::patterns.
template <class D, typename T = hn::TFromD<D>>
HWY_INLINE void QuadSums(D d, const T* z, int64_t m, T* sums) {
  const int64_t N = hn::MaxLanes(d);
  const auto z0 = hn::LoadU(d, z), z1 = hn::LoadU(d, z + m), z2 = hn::LoadU(d, z + 2 * m), z3 = hn::LoadU(d, z + 3 * m);
  const hn::Vec<D> first[2] = {hn::Add(z0, z1), hn::Sub(z0, z1)};
  const hn::Vec<D> second[2] = {hn::Add(z2, z3), hn::Sub(z2, z3)};
#pragma GCC unroll 8
  for (int64_t i = 0; i < 8; ++i) {
    const auto sum = i & 2 ? hn::Sub(first[i & 1], second[i >> 2]) : hn::Add(first[i & 1], second[i >> 2]);
    hn::StoreU(sum, d, sums + i * N);
    hn::StoreU(hn::Neg(sum), d, sums + (8 + i) * N);
  }
}

// One vector of columns of z[base][m]. sums: base / 4 * 16 vectors.
template <class D, typename T = hn::TFromD<D>>
HWY_INLINE void BaseColumns(D d, T* z, int64_t m, int64_t base, const uint8_t* patterns, T* sums) {
  const int64_t N = hn::MaxLanes(d), quads = base / 4;
  for (int64_t q = 0; q < quads; ++q) QuadSums(d, z + 4 * q * m, m, sums + q * 16 * N);
  // Four outputs at once: their chains of additions hide each other's latency.
  for (int64_t i = 0; i < base; i += 4) {
    hn::Vec<D> out[4];
    for (auto& o : out) o = hn::Zero(d);
    for (int64_t q = 0; q < quads; ++q) {
#pragma GCC unroll 4
      for (int64_t j = 0; j < 4; ++j) {
        out[j] = hn::Add(out[j], hn::LoadU(d, sums + (q * 16 + patterns[(i + j) * quads + q]) * N));
      }
    }
    for (int64_t j = 0; j < 4; ++j) hn::StoreU(out[j], d, z + (i + j) * m);
  }
}

// z[base][m] <- H_base z.
template <typename T>
void BaseStep(T* z, int64_t m, int64_t base, const uint8_t* patterns, T* sums) {
  const hn::ScalableTag<T> d;
  const hn::CappedTag<T, 1> d1;
  const int64_t N = hn::MaxLanes(d);
  int64_t column = 0;
  for (; column + N <= m; column += N) BaseColumns(d, z + column, m, base, patterns, sums);
  for (; column < m; ++column) BaseColumns(d1, z + column, m, base, patterns, sums);
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#endif
