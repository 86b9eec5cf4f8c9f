// Dot products of unsigned codes and signed 8-bit activations, four products to an i32 lane: the only instructions of
// the matrix product that Highway does not have.
#if defined(SYLVESTER_NATIVE_CPU_NN_DOT_I8_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_DOT_I8_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_DOT_I8_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_DOT_I8_INL_H_
#endif

#include <cstring>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// 16 lanes or fewer: a panel is a whole number of vectors.
using DF = hn::CappedTag<float, 16>;
using DI32 = hn::RebindToSigned<DF>;
using DU16 = hn::Repartition<uint16_t, DF>;
using DI16 = hn::Repartition<int16_t, DF>;
using DU8 = hn::Repartition<uint8_t, DF>;
using DI8 = hn::Repartition<int8_t, DF>;
using VF = hn::Vec<DF>;
using VI32 = hn::Vec<DI32>;
using VI16 = hn::Vec<DI16>;
using VU8 = hn::Vec<DU8>;
using VI8 = hn::Vec<DI8>;

// Four consecutive activations in every lane.
HWY_INLINE VI8 BroadcastFour(const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, sizeof(four));
  return hn::BitCast(DI8(), hn::Set(DI32(), four));
}

#if HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3

#if HWY_TARGET == HWY_AVX3
HWY_INLINE VI16 MulPairs(VU8 a, VI8 b) { return VI16{_mm512_maddubs_epi16(a.raw, b.raw)}; }
HWY_INLINE VI32 AddPairs(VI16 a) { return VI32{_mm512_madd_epi16(a.raw, _mm512_set1_epi16(1))}; }
HWY_INLINE VI8 NegateWhereNegative(VI8 x, VI8 sign) {
  return VI8{_mm512_mask_sub_epi8(x.raw, _mm512_movepi8_mask(sign.raw), _mm512_setzero_si512(), x.raw)};
}
#elif HWY_TARGET == HWY_AVX2
HWY_INLINE VI16 MulPairs(VU8 a, VI8 b) { return VI16{_mm256_maddubs_epi16(a.raw, b.raw)}; }
HWY_INLINE VI32 AddPairs(VI16 a) { return VI32{_mm256_madd_epi16(a.raw, _mm256_set1_epi16(1))}; }
HWY_INLINE VI8 NegateWhereNegative(VI8 x, VI8 sign) { return VI8{_mm256_sign_epi8(x.raw, sign.raw)}; }
#else
HWY_INLINE VI16 MulPairs(VU8 a, VI8 b) { return VI16{_mm_maddubs_epi16(a.raw, b.raw)}; }
HWY_INLINE VI32 AddPairs(VI16 a) { return VI32{_mm_madd_epi16(a.raw, _mm_set1_epi16(1))}; }
HWY_INLINE VI8 NegateWhereNegative(VI8 x, VI8 sign) { return VI8{_mm_sign_epi8(x.raw, sign.raw)}; }
#endif

// The largest sum of two products is exact in 16 bits; how many such sums may be added before widening?
template <int kBits>
constexpr int GroupsPerWidening() {
  constexpr int kLargestPair = 2 * 127 * (kBits == 8 ? 128 : (1 << kBits) - 1);
  static_assert(kLargestPair <= INT16_MAX);
  return INT16_MAX / kLargestPair;
}

#if HWY_TARGET == HWY_AVX3
HWY_INLINE VI32 DotVnni(VI32 sum, VU8 codes, const int8_t* x) {
  using Four [[gnu::may_alias]] = int32_t;
  asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum.raw) : "v"(codes.raw), "m"(*reinterpret_cast<const Four*>(x)));
  return sum;
}
#endif

// start + sum of code * x over kGroups groups. With 8 bits start is what subtracts the zero point 128:
// without VNNI such codes are made signed, because maddubs would saturate on unsigned ones, and the start is left out.
template <int kBits, int kGroups, bool kVnni>
HWY_INLINE VI32 DotI8(const VU8* codes, const int8_t* x, int32_t start) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (kVnni) {
    VI32 sum = hn::Set(DI32(), start);
    for (int g = 0; g < kGroups; ++g) sum = DotVnni(sum, codes[g], x + 4 * g);
    return sum;
  }
#endif
  constexpr int kWidenEvery = HWY_MIN(GroupsPerWidening<kBits>(), kGroups);
  static_assert(kGroups % kWidenEvery == 0);
  VI32 sum = kBits == 8 ? hn::Zero(DI32()) : hn::Set(DI32(), start);
  for (int g = 0; g < kGroups; g += kWidenEvery) {
    VI16 pairs = hn::Zero(DI16());
    for (int i = g; i < g + kWidenEvery; ++i) {
      const VI8 four = BroadcastFour(x + 4 * i);
      if constexpr (kBits == 8) {
        const VI8 w = hn::BitCast(DI8(), hn::Xor(codes[i], hn::Set(DU8(), 0x80)));
        pairs = hn::Add(pairs, MulPairs(hn::BitCast(DU8(), hn::Abs(w)), NegateWhereNegative(four, w)));
      } else {
        pairs = hn::Add(pairs, MulPairs(codes[i], four));
      }
    }
    sum = hn::Add(sum, AddPairs(pairs));
  }
  return sum;
}

#else

template <int kBits, int kGroups, bool kVnni>
HWY_INLINE VI32 DotI8(const VU8* codes, const int8_t* x, int32_t start) {
  VI32 sum = hn::Set(DI32(), start);
  for (int g = 0; g < kGroups; ++g) {
    auto quad = hn::BitCast(hn::RebindToUnsigned<DI32>(), codes[g]);
    for (int i = 0; i < 4; ++i) {
      const VI32 code = hn::BitCast(DI32(), hn::And(quad, hn::Set(hn::RebindToUnsigned<DI32>(), 0xff)));
      sum = hn::Add(sum, hn::Mul(code, hn::Set(DI32(), x[4 * g + i])));
      quad = hn::ShiftRight<8>(quad);
    }
  }
  return sum;
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
