// Where rows come from and go to: element types, signs and scale, vector by vector.
#if defined(SYLVESTER_NATIVE_CPU_HADAMARD_ROW_ENDS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_HADAMARD_ROW_ENDS_INL_H_
#undef SYLVESTER_NATIVE_CPU_HADAMARD_ROW_ENDS_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_HADAMARD_ROW_ENDS_INL_H_
#endif

#include <cstdint>
#include <type_traits>

#include "native/cpu/half-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const double* p) {
  return hn::LoadU(d, p);
}

template <class D>
HWY_INLINE void StoreFloats(hn::Vec<D> v, D d, double* p) {
  hn::StoreU(v, d, p);
}

// v, negated where signs has -0 and not 0.
template <class D>
HWY_INLINE hn::Vec<D> Negated(D d, hn::Vec<D> v, const hn::TFromD<D>* signs) {
  return hn::Xor(v, hn::LoadU(d, signs));
}

// A row in memory.
template <typename T>
struct Memory {
  T* row;
  template <class D>
  HWY_INLINE hn::Vec<D> Load(D d, int64_t i) const {
    return hn::LoadU(d, row + i);
  }
  template <class D>
  HWY_INLINE void Store(D d, hn::Vec<D> v, int64_t i) const {
    hn::StoreU(v, d, row + i);
  }
};

// Widens, then negates.
template <typename T, typename TStored, bool kSigned>
struct Source {
  const TStored* row;
  const T* signs;
  template <class D>
  HWY_INLINE hn::Vec<D> Load(D d, int64_t i) const {
    const auto v = LoadFloats(d, row + i);
    return kSigned ? Negated(d, v, signs + i) : v;
  }
};

// Scales, negates, then narrows.
template <typename T, typename TStored, bool kSigned>
struct Sink {
  TStored* row;
  T scale;
  const T* signs;
  template <class D>
  HWY_INLINE void Store(D d, hn::Vec<D> v, int64_t i) const {
    const auto scaled = hn::Mul(v, hn::Set(d, scale));
    const auto out = kSigned ? Negated(d, scaled, signs + i) : scaled;
    if constexpr (std::is_same_v<TStored, hwy::bfloat16_t>) {
      StoreUpperHalves(out, d, row + i);  // the only NaN are those of bfloat16 rows and the processor's own
    } else {
      StoreFloats(out, d, row + i);
    }
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#endif
