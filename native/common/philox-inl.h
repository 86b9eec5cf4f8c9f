// Philox4x32-10 on one counter a 64-bit lane.
#if defined(SYLVESTER_NATIVE_COMMON_PHILOX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_COMMON_PHILOX_INL_H_
#undef SYLVESTER_NATIVE_COMMON_PHILOX_INL_H_
#else
#define SYLVESTER_NATIVE_COMMON_PHILOX_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"
#include "native/common/philox.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The words of a counter, each in the low half of a lane; the high halves are ignored and left undefined. A 64-bit
// product then holds both halves that a round needs.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void PhiloxLanes(D d, V (&words)[4], uint64_t seed) {
  const hn::Repartition<uint32_t, D> d32;
  const V m0 = hn::Set(d, kPhiloxM0), m1 = hn::Set(d, kPhiloxM1);
  auto key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round, key0 += kPhiloxW0, key1 += kPhiloxW1) {
    const V product0 = hn::MulEven(hn::BitCast(d32, words[0]), hn::BitCast(d32, m0));
    const V product1 = hn::MulEven(hn::BitCast(d32, words[2]), hn::BitCast(d32, m1));
    words[0] = hn::Xor(hn::Xor(hn::ShiftRight<32>(product1), words[1]), hn::Set(d, key0));
    words[2] = hn::Xor(hn::Xor(hn::ShiftRight<32>(product0), words[3]), hn::Set(d, key1));
    words[1] = product1;
    words[3] = product0;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
