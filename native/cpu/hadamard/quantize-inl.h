// Codes, scales and zeros of a row of floats.
#if defined(SYLVESTER_NATIVE_CPU_HADAMARD_QUANTIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_HADAMARD_QUANTIZE_INL_H_
#undef SYLVESTER_NATIVE_CPU_HADAMARD_QUANTIZE_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_HADAMARD_QUANTIZE_INL_H_
#endif

#include <cstdint>
#include <cstring>

#include "native/cpu/hadamard/fwht-inl.h"
#include "native/cpu/hadamard/quantize.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Joins what has been seen of n floats to a range.
template <bool kHasZero>
HWY_INLINE void Extend(const float* z, int64_t n, GroupRange* range) {
  const Tag<float> d;
  const hn::RebindToSigned<Tag<float>> di;
  int64_t i = 0;
  if (n >= kLanes<float>) {
    auto magnitude = hn::Zero(di);
    auto low = hn::LoadU(d, z), high = low;
    for (; i + kLanes<float> <= n; i += kLanes<float>) {
      const auto v = hn::LoadU(d, z + i);
      // As integers, magnitudes have the order of the floats, infinity and NaN above all.
      magnitude = hn::Max(magnitude, hn::BitCast(di, hn::Abs(v)));
      if constexpr (kHasZero) {
        low = hn::Min(low, v);
        high = hn::Max(high, v);
      }
    }
    range->magnitude = HWY_MAX(range->magnitude, hn::GetLane(hn::MaxOfLanes(di, magnitude)));
    if constexpr (kHasZero) {
      range->low = HWY_MIN(range->low, hn::GetLane(hn::MinOfLanes(d, low)));
      range->high = HWY_MAX(range->high, hn::GetLane(hn::MaxOfLanes(d, high)));
    }
  }
  for (; i < n; ++i) range->Extend(z[i]);
}

template <class D>
HWY_INLINE hn::Vec<D> Shifted(D d, const float* z, bool has_zero, hn::Vec<D> zero) {
  const auto v = hn::LoadU(d, z);
  return has_zero ? hn::Sub(v, zero) : v;
}

// Four vectors of codes as bytes in order.
template <class DI>
HWY_INLINE void StoreCodes(DI di, const hn::Vec<DI> (&codes)[4], int8_t* to) {
#if HWY_TARGET == HWY_AVX3
  const __m512i bytes = _mm512_packs_epi16(_mm512_packs_epi32(codes[0].raw, codes[1].raw),
                                           _mm512_packs_epi32(codes[2].raw, codes[3].raw));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  _mm512_storeu_si512(to, _mm512_permutexvar_epi32(order, bytes));
  (void)di;
#elif HWY_TARGET == HWY_AVX2
  const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(codes[0].raw, codes[1].raw),
                                           _mm256_packs_epi32(codes[2].raw, codes[3].raw));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permutevar8x32_epi32(bytes, order));
  (void)di;
#else
  const hn::Rebind<int8_t, DI> di8;
  for (int64_t j = 0; j < 4; ++j) {
    hn::StoreU(hn::DemoteTo(di8, codes[j]), di8, to + j * static_cast<int64_t>(hn::MaxLanes(di)));
  }
#endif
}

// Codes by multiplication with two reciprocals, one certainly too small and one too large: where their products round
// to the same integer, so does the quotient, because rounding never changes an order.
class ReciprocalCodes {
 public:
  using D = Tag<float>;
  using DI = hn::RebindToSigned<D>;

  explicit ReciprocalCodes(float scale) {
    const float reciprocal = 1 / scale;
    // Four times the roundings in between.
    low_ = hn::Set(D(), reciprocal * (1 - 0x1p-21f));
    high_ = hn::Set(D(), reciprocal * (1 + 0x1p-21f));
    different_ = hn::Zero(DI());
  }

  HWY_INLINE hn::Vec<DI> Encode(hn::Vec<D> v) {
    // Adding it leaves an integer in the lowest bits.
    const auto magic = hn::Set(D(), 0x1.8p23f);
    const auto low = hn::BitCast(DI(), hn::MulAdd(v, low_, magic));
    const auto high = hn::BitCast(DI(), hn::MulAdd(v, high_, magic));
    different_ = hn::Or(different_, hn::Xor(low, high));
    return hn::Sub(low, hn::BitCast(DI(), magic));
  }

  HWY_INLINE bool AreCertain() const { return hn::AllTrue(DI(), hn::Eq(different_, hn::Zero(DI()))); }

 private:
  hn::Vec<D> low_, high_;
  hn::Vec<DI> different_;
};

// n floats, a whole number of vectors; false when a code was not certain. The scale and its reciprocal are normal, so
// that no code can pass the levels.
template <bool kHasZero>
HWY_INLINE bool EncodeByReciprocals(const float* z, int64_t n, const GroupScale& group, int8_t* codes) {
  const Tag<float> d;
  const hn::RebindToSigned<Tag<float>> di;
  const hn::Rebind<int8_t, Tag<float>> di8;
  const auto zero = hn::Set(d, group.zero);
  ReciprocalCodes encoder(group.scale);
  int64_t i = 0;
  for (; i + 4 * kLanes<float> <= n; i += 4 * kLanes<float>) {
    hn::Vec<decltype(di)> four[4];
#pragma GCC unroll 4
    for (int64_t j = 0; j < 4; ++j) {
      four[j] = encoder.Encode(Shifted(d, z + i + j * kLanes<float>, kHasZero, zero));
    }
    StoreCodes(di, four, codes + i);
  }
  for (; i < n; i += kLanes<float>) {
    hn::StoreU(hn::DemoteTo(di8, encoder.Encode(Shifted(d, z + i, kHasZero, zero))), di8, codes + i);
  }
  return encoder.AreCertain();
}

// codes[i] of n floats, one byte each.
template <bool kHasZero>
HWY_INLINE void Encode(const float* z, int64_t n, const GroupScale& group, int32_t levels, int8_t* codes) {
  const Tag<float> d;
  const hn::RebindToSigned<Tag<float>> di;
  const hn::Rebind<int8_t, Tag<float>> di8;
  const int64_t whole = n / kLanes<float> * kLanes<float>;
  if (!group.IsNormal() || !EncodeByReciprocals<kHasZero>(z, whole, group, codes)) {
    if (!group.HasCodes()) {
      std::memset(codes, 0, static_cast<size_t>(n));
      return;
    }
    const auto divisor = hn::Set(d, group.scale), zero = hn::Set(d, group.zero);
    const auto lowest = hn::Set(di, LowestCode(levels)), highest = hn::Set(di, levels);
    for (int64_t i = 0; i < whole; i += kLanes<float>) {
      const auto code = hn::NearestInt(hn::Div(Shifted(d, z + i, kHasZero, zero), divisor));
      hn::StoreU(hn::DemoteTo(di8, hn::Min(hn::Max(code, lowest), highest)), di8, codes + i);
    }
  }
  for (int64_t i = whole; i < n; ++i) codes[i] = group.Code(z[i], levels);
}

// Scales and zeros of groups of `size` floats that follow each other. Codes are made in a second loop: in one loop
// every group would wait for its own reduction and divisions.
template <bool kHasZero>
HWY_INLINE void ScaleGroups(const float* z, int64_t groups, int64_t size, int32_t levels, float* scales, float* zeros) {
  for (int64_t g = 0; g < groups; ++g) {
    GroupRange range;
    Extend<kHasZero>(z + g * size, size, &range);
    const GroupScale group = GroupScale::Of(range, levels);
    scales[g] = group.scale;
    if (kHasZero) zeros[g] = group.zero;
  }
}

template <bool kHasZero>
HWY_INLINE void EncodeGroups(const float* z, int64_t groups, int64_t size, int32_t levels, const float* scales,
                             const float* zeros, int8_t* codes) {
  for (int64_t g = 0; g < groups; ++g) {
    const GroupScale group{scales[g], kHasZero ? zeros[g] : 0};
    Encode<kHasZero>(z + g * size, size, group, levels, codes + g * size);
  }
}

// Two bytes become one: the codes of `bits` bits in them lie side by side. to may be the bytes themselves.
HWY_INLINE void PackPairs(const int8_t* bytes, int64_t packed, int bits, int8_t* to) {
  for (int64_t i = 0; i < packed; ++i) to[i] = static_cast<int8_t>(bytes[2 * i] | bytes[2 * i + 1] << bits);
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#endif
