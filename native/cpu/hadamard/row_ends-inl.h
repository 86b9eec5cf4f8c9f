// Where rows come from and go to: element types, signs and scale, vector by vector.
#if defined(SYLVESTER_NATIVE_CPU_HADAMARD_ROW_ENDS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_HADAMARD_ROW_ENDS_INL_H_
#undef SYLVESTER_NATIVE_CPU_HADAMARD_ROW_ENDS_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_HADAMARD_ROW_ENDS_INL_H_
#endif

#include <cstdint>

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

// v, negated where bits of words are set: bit i % 32 of word i / 32 for the first lane; i is a multiple of the lanes.
template <class D>
HWY_INLINE hn::Vec<D> Negated(D d, hn::Vec<D> v, const uint32_t* words, int64_t i) {
  const hn::RebindToUnsigned<D> du;
  using TU = hn::TFromD<decltype(du)>;
  if constexpr (hn::MaxLanes(D()) >= 8) {
    const auto mask = hn::LoadMaskBits(d, reinterpret_cast<const uint8_t*>(words) + i / 8);
    return hn::IfThenElse(mask, hn::Neg(v), v);
  } else {
    const auto lane_bits = hn::Shl(hn::Set(du, 1), hn::Iota(du, 0));
    const auto bits = hn::Set(du, static_cast<TU>(words[i / 32] >> i % 32));
    return hn::IfThenElse(hn::RebindMask(d, hn::TestBit(bits, lane_bits)), hn::Neg(v), v);
  }
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
template <typename TStored, bool kSigned>
struct Source {
  const TStored* row;
  const uint32_t* signs;
  template <class D>
  HWY_INLINE hn::Vec<D> Load(D d, int64_t i) const {
    const auto v = LoadFloats(d, row + i);
    return kSigned ? Negated(d, v, signs, i) : v;
  }
};

// Scales, negates, then narrows.
template <typename T, typename TStored, bool kSigned>
struct Sink {
  TStored* row;
  T scale;
  const uint32_t* signs;
  template <class D>
  HWY_INLINE void Store(D d, hn::Vec<D> v, int64_t i) const {
    const auto scaled = hn::Mul(v, hn::Set(d, scale));
    StoreFloats(kSigned ? Negated(d, scaled, signs, i) : scaled, d, row + i);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#endif
