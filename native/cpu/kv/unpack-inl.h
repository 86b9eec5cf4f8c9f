// Codes out of a vector of words, whatever its lanes are: tokens of keys, channels of values. A step is one code for
// each byte of the words.
#if defined(SYLVESTER_NATIVE_CPU_KV_UNPACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_KV_UNPACK_INL_H_
#undef SYLVESTER_NATIVE_CPU_KV_UNPACK_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_KV_UNPACK_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Steps of a word; for 3 bits of a word of the plane of 2 bits.
template <int kBits>
constexpr int kSteps = 8 / (kBits == 3 ? 2 : kBits);

// Codes of a step as bytes. 3 bits: high is the word of upper bits, which belongs to two words: kStep is 0..3 for the
// first of them and 4..7 for the second. Other bits do not read high.
template <int kBits, int kStep, class D>
HWY_INLINE hn::Vec<D> CodeBytes(D du32, hn::Vec<D> words, hn::Vec<D> high) {
  if constexpr (kBits == 8) {
    return words;
  } else if constexpr (kBits == 3) {
    const auto lower = hn::And(hn::ShiftRight<2 * (kStep % 4)>(words), hn::Set(du32, 0x03030303));
    const auto upper = hn::And(hn::ShiftRight<kStep>(high), hn::Set(du32, 0x01010101));
    return hn::Or(lower, hn::ShiftLeft<2>(upper));
  } else {
    return hn::And(hn::ShiftRight<kBits * kStep>(words), hn::Set(du32, ((1u << kBits) - 1) * 0x01010101u));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
