// Dot products of codes and integers of 8 bits, four products to a 32-bit lane; and codes out of words.
#if defined(SYLVESTER_NATIVE_CPU_KV_CODE_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_KV_CODE_DOT_INL_H_
#undef SYLVESTER_NATIVE_CPU_KV_CODE_DOT_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_KV_CODE_DOT_INL_H_
#endif

#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "native/cpu/nn/tree_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Words of 16 tokens or channels, in as many vectors as that takes.
using DWord = hn::RebindToUnsigned<DVirtual>;
using DSum = hn::RebindToSigned<DVirtual>;
using DCode = hn::Repartition<uint8_t, DWord>;
using VWord = hn::Vec<DWord>;
using VSum = hn::Vec<DSum>;
using VCode = hn::Vec<DCode>;

// sum + the products of each lane's four codes and four integers. Every pair of neighbouring products must fit into 16
// bits: code |b| <= 16383.
template <bool kVnni>
HWY_INLINE VSum AddCodeDot(VSum sum, VCode codes, VSum b) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (kVnni) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(codes.raw), "v"(b.raw));
    return sum;
  }
  const __m512i pairs = _mm512_maddubs_epi16(codes.raw, b.raw);
  return hn::Add(sum, VSum{_mm512_madd_epi16(pairs, _mm512_set1_epi16(1))});
#elif HWY_TARGET == HWY_AVX2
  const __m256i pairs = _mm256_maddubs_epi16(codes.raw, b.raw);
  return hn::Add(sum, VSum{_mm256_madd_epi16(pairs, _mm256_set1_epi16(1))});
#elif HWY_TARGET == HWY_SSE4
  const __m128i pairs = _mm_maddubs_epi16(codes.raw, b.raw);
  return hn::Add(sum, VSum{_mm_madd_epi16(pairs, _mm_set1_epi16(1))});
#elif HWY_TARGET == HWY_NEON
  const int8x16_t factors = vreinterpretq_s8_s32(b.raw);
  const int16x8_t low =
      vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(codes.raw))), vmovl_s8(vget_low_s8(factors)));
  const int16x8_t high = vmulq_s16(vreinterpretq_s16_u16(vmovl_high_u8(codes.raw)), vmovl_high_s8(factors));
  return hn::Add(sum, VSum{vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high))});
#endif
}

// The same with the four integers at b in every lane.
template <bool kVnni>
HWY_INLINE VSum AddCodeDot(VSum sum, VCode codes, const int8_t* b) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (kVnni) {
    using Four [[gnu::may_alias]] = int32_t;
    asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum.raw) : "v"(codes.raw), "m"(*reinterpret_cast<const Four*>(b)));
    return sum;
  }
#endif
  int32_t four;
  std::memcpy(&four, b, sizeof(four));
  return AddCodeDot<false>(sum, codes, hn::Set(DSum(), four));
}

// Codes that a word has in each of its planes' bytes, one after the other; channels or tokens of a word.
template <int kBits>
constexpr int kSteps = kBits == 3 ? 4 : 8 / kBits;
template <int kBits>
constexpr int kWordCodes = 4 * kSteps<kBits>;

// The four codes of step kStep of each word. upper: of 3 bits only, shifted so that step 0 is at bit 0.
template <int kBits, int kStep>
HWY_INLINE VCode CodesOf(VWord words, VWord upper) {
  const DWord d;
  if constexpr (kBits == 8) return hn::BitCast(DCode(), words);
  if constexpr (kBits == 3) {
    const VWord low = hn::And(hn::ShiftRight<2 * kStep>(words), hn::Set(d, 0x03030303u));
    const VWord high = hn::And(hn::ShiftRight<kStep>(upper), hn::Set(d, 0x01010101u));
    return hn::BitCast(DCode(), hn::Or(low, hn::ShiftLeft<2>(high)));
  }
  constexpr uint32_t kMask = ((1u << kBits % 8) - 1) * 0x01010101u;
  return hn::BitCast(DCode(), hn::And(hn::ShiftRight<kBits % 8 * kStep>(words), hn::Set(d, kMask)));
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
