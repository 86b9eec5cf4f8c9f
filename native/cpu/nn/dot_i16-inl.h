// Dot products of 16-bit integers, two products to a 32-bit lane: the instructions of the matrix product that Highway
// does not have in this form.
#if defined(SYLVESTER_NATIVE_CPU_NN_DOT_I16_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_DOT_I16_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_DOT_I16_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_DOT_I16_INL_H_
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
using DI16 = hn::Repartition<int16_t, DF>;
using DU16 = hn::Repartition<uint16_t, DF>;
using DU8 = hn::Repartition<uint8_t, DF>;
using VF = hn::Vec<DF>;
using VI32 = hn::Vec<DI32>;
using VI16 = hn::Vec<DI16>;
using VU8 = hn::Vec<DU8>;

// Lane i: a[2 i] b[2 i] + a[2 i + 1] b[2 i + 1].
HWY_INLINE VI32 DotPairs(VI16 a, VI16 b) {
#if HWY_TARGET == HWY_AVX3
  return VI32{_mm512_madd_epi16(a.raw, b.raw)};
#elif HWY_TARGET == HWY_AVX2
  return VI32{_mm256_madd_epi16(a.raw, b.raw)};
#elif HWY_TARGET == HWY_SSE4
  return VI32{_mm_madd_epi16(a.raw, b.raw)};
#elif HWY_TARGET == HWY_NEON
  return VI32{vpaddq_s32(vmull_s16(vget_low_s16(a.raw), vget_low_s16(b.raw)), vmull_high_s16(a.raw, b.raw))};
#endif
}

// The two numbers at q in every lane.
HWY_INLINE VI16 SetPair(const int16_t* q) {
  int32_t pair;
  std::memcpy(&pair, q, sizeof(pair));
  return hn::BitCast(DI16(), hn::Set(DI32(), pair));
}

// sum + DotPairs(a, b).
template <bool kVnni>
HWY_INLINE VI32 AddDotPairs(VI32 sum, VI16 a, VI16 b) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (kVnni) {
    asm("vpdpwssd %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
    return sum;
  }
#endif
  return hn::Add(sum, DotPairs(a, b));
}

// sum + DotPairs(a, SetPair(q)).
template <bool kVnni>
HWY_INLINE VI32 AddDotPairs(VI32 sum, VI16 a, const int16_t* q) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (kVnni) {
    using Pair [[gnu::may_alias]] = int32_t;
    asm("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "m"(*reinterpret_cast<const Pair*>(q)));
    return sum;
  }
#endif
  return AddDotPairs<kVnni>(sum, a, SetPair(q));
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
