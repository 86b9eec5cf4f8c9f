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

// Products of unsigned codes and 8-bit integers, summed: four of each to a 32-bit lane. Every pair of neighbouring
// products must fit into 16 bits: code |b| <= 16383. Where no instruction sums all four, pairs are summed in 16 bits
// until Collect: CollectAfter says how many fit.
template <bool kVnni>
class CodeSum {
 public:
  static constexpr int CollectAfter(int most_code, int most_b) {
    return kCollects ? INT16_MAX / (2 * most_code * most_b) : INT32_MAX;
  }

  HWY_INLINE CodeSum() : total_(hn::Zero(DSum())), pairs_(hn::Zero(DPairs())) {}

  HWY_INLINE void Add(VCode codes, VSum b) {
#if HWY_TARGET == HWY_AVX3
    if constexpr (kVnni) {
      asm("vpdpbusd %2, %1, %0" : "+v"(total_.raw) : "v"(codes.raw), "v"(b.raw));
      return;
    }
    pairs_ = hn::Add(pairs_, VPairs{_mm512_maddubs_epi16(codes.raw, b.raw)});
#elif HWY_TARGET == HWY_AVX2
    pairs_ = hn::Add(pairs_, VPairs{_mm256_maddubs_epi16(codes.raw, b.raw)});
#elif HWY_TARGET == HWY_SSE4
    pairs_ = hn::Add(pairs_, VPairs{_mm_maddubs_epi16(codes.raw, b.raw)});
#elif HWY_TARGET == HWY_NEON
    const int8x16_t factors = vreinterpretq_s8_s32(b.raw);
    const int16x8_t low =
        vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(codes.raw))), vmovl_s8(vget_low_s8(factors)));
    const int16x8_t high = vmulq_s16(vreinterpretq_s16_u16(vmovl_high_u8(codes.raw)), vmovl_high_s8(factors));
    total_ = hn::Add(total_, VSum{vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high))});
#endif
  }

  // The same with the four integers at b in every lane.
  HWY_INLINE void Add(VCode codes, const int8_t* b) {
#if HWY_TARGET == HWY_AVX3
    if constexpr (kVnni) {
      using Four [[gnu::may_alias]] = int32_t;
      asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(total_.raw) : "v"(codes.raw), "m"(*reinterpret_cast<const Four*>(b)));
      return;
    }
#endif
    int32_t four;
    std::memcpy(&four, b, sizeof(four));
    Add(codes, hn::Set(DSum(), four));
  }

  HWY_INLINE void Collect() {
    if constexpr (kCollects) {
      const DPairs d;
#if HWY_TARGET == HWY_AVX3
      const VSum sums{_mm512_madd_epi16(pairs_.raw, hn::Set(d, 1).raw)};
#elif HWY_TARGET == HWY_AVX2
      const VSum sums{_mm256_madd_epi16(pairs_.raw, hn::Set(d, 1).raw)};
#elif HWY_TARGET == HWY_SSE4
      const VSum sums{_mm_madd_epi16(pairs_.raw, hn::Set(d, 1).raw)};
#else
      const VSum sums = hn::Zero(DSum());
#endif
      total_ = hn::Add(total_, sums);
      pairs_ = hn::Zero(d);
    }
  }

  HWY_INLINE VSum Total() const { return total_; }

 private:
  static constexpr bool kCollects = !kVnni && HWY_TARGET != HWY_NEON;
  using DPairs = hn::Repartition<int16_t, DSum>;
  using VPairs = hn::Vec<DPairs>;

  VSum total_;
  VPairs pairs_;
};

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
