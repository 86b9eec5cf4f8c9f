// Vectors of floats from and to memory that holds floats, halves or bfloat16. They round to nearest even and keep
// infinities and NaN on every tier.
#if defined(SYLVESTER_NATIVE_CPU_HALF_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_HALF_INL_H_
#undef SYLVESTER_NATIVE_CPU_HALF_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_HALF_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const float* p) {
  return hn::LoadU(d, p);
}

template <class D>
HWY_INLINE void StoreFloats(hn::Vec<D> v, D d, float* p) {
  hn::StoreU(v, d, p);
}

#if HWY_TARGET == HWY_SSE4
// Highway's conversions for processors without F16C take infinities for 65536 and truncate.

template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const hwy::float16_t* p) {
  const hn::RebindToSigned<D> di;
  const hn::Rebind<uint16_t, D> du16;
  const auto half = hn::PromoteTo(di, hn::LoadU(du16, reinterpret_cast<const uint16_t*>(p)));
  const auto magnitude = hn::And(half, hn::Set(di, 0x7fff));
  const auto sign = hn::ShiftLeft<16>(hn::Xor(half, magnitude));
  const auto shifted = hn::ShiftLeft<13>(magnitude);
  // A half's bits, shifted into a float, are the half times 2^-112, subnormals included.
  const auto finite = hn::BitCast(di, hn::Mul(hn::BitCast(d, shifted), hn::BitCast(d, hn::Set(di, 0x77800000))));
  const auto is_finite = hn::Lt(magnitude, hn::Set(di, 0x7c00));
  const auto value = hn::IfThenElse(is_finite, finite, hn::Or(shifted, hn::Set(di, 0x7f800000)));
  return hn::BitCast(d, hn::Or(value, sign));
}

template <class D>
HWY_INLINE void StoreFloats(hn::Vec<D> v, D d, hwy::float16_t* p) {
  const hn::RebindToSigned<D> di;
  const hn::Rebind<uint16_t, D> du16;
  const auto bits = hn::BitCast(di, v);
  const auto magnitude = hn::And(bits, hn::Set(di, 0x7fffffff));
  const auto sign = hn::And(hn::ShiftRight<16>(hn::Xor(bits, magnitude)), hn::Set(di, 0x8000));
  const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(di, 1));
  const auto normal = hn::ShiftRight<13>(hn::Add(hn::Add(magnitude, odd), hn::Set(di, 0xfff - 0x38000000)));
  // Adding 0.5 lets the float's own rounding drop the bits below 2^-24.
  const auto half = hn::Set(d, 0.5f);
  const auto subnormal = hn::Sub(hn::BitCast(di, hn::Add(hn::BitCast(d, magnitude), half)), hn::BitCast(di, half));
  auto value = hn::IfThenElse(hn::Lt(magnitude, hn::Set(di, 0x38800000)), subnormal, normal);
  value = hn::IfThenElse(hn::Lt(magnitude, hn::Set(di, 0x477ff000)), value, hn::Set(di, 0x7c00));
  value = hn::IfThenElse(hn::Gt(magnitude, hn::Set(di, 0x7f800000)), hn::Set(di, 0x7e00), value);
  hn::StoreU(hn::DemoteTo(du16, hn::Or(value, sign)), du16, reinterpret_cast<uint16_t*>(p));
}
#else
template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const hwy::float16_t* p) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::float16_t, D>(), p));
}

template <class D>
HWY_INLINE void StoreFloats(hn::Vec<D> v, D /* tag */, hwy::float16_t* p) {
  const hn::Rebind<hwy::float16_t, D> dh;
  hn::StoreU(hn::DemoteTo(dh, v), dh, p);
}
#endif

template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const hwy::bfloat16_t* p) {
  const hn::RebindToSigned<D> di;
  const hn::Rebind<uint16_t, D> du16;
  const auto bits = hn::PromoteTo(di, hn::LoadU(du16, reinterpret_cast<const uint16_t*>(p)));
  return hn::BitCast(d, hn::ShiftLeft<16>(bits));
}

// The upper halves, rounded; Highway's conversion truncates. Rounding up carries a NaN with nothing but ones in its
// payload into -0, and one without any in its upper half into infinity: v must not hold such.
template <class D>
HWY_INLINE void StoreUpperHalves(hn::Vec<D> v, D /* tag */, hwy::bfloat16_t* p) {
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const hn::Rebind<uint16_t, D> du16;
  const auto bits = hn::BitCast(du, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, odd), hn::Set(du, 0x7fff)));
  hn::StoreU(hn::DemoteTo(du16, hn::BitCast(di, rounded)), du16, reinterpret_cast<uint16_t*>(p));
}

template <class D>
HWY_INLINE void StoreFloats(hn::Vec<D> v, D d, hwy::bfloat16_t* p) {
  // A NaN that stays one.
  StoreUpperHalves(hn::IfThenElse(hn::IsNaN(v), hn::BitCast(d, hn::Set(hn::RebindToUnsigned<D>(), 0x7fc00000)), v), d,
                   p);
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
