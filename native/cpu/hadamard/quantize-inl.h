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

// Distance from k + 0.5 within which a product by the reciprocal does not tell how a quotient rounds: quotients are at
// most 127 here, so product and quotient are each within 127 * 2^-22 = 2^-15 of the exact one.
constexpr float kUncertain = 0x1p-14f;

template <class D>
HWY_INLINE hn::Vec<D> Shifted(D d, const float* z, bool has_zero, hn::Vec<D> zero) {
  const auto v = hn::LoadU(d, z);
  return has_zero ? hn::Sub(v, zero) : v;
}

// Codes of n floats, a whole number of vectors, by multiplication; false when a quotient was too close to the middle
// between two integers. The divisor and its reciprocal are normal, so that no code can pass the levels.
template <bool kHasZero>
HWY_INLINE bool EncodeByReciprocal(const float* z, int64_t n, const GroupScale& group, int8_t* codes) {
  const Tag<float> d;
  const hn::Rebind<int8_t, Tag<float>> di8;
  const auto reciprocal = hn::Set(d, 1 / group.divisor), zero = hn::Set(d, group.zero);
  auto remainder = hn::Zero(d);
  for (int64_t i = 0; i < n; i += kLanes<float>) {
    const auto quotient = hn::Mul(Shifted(d, z + i, kHasZero, zero), reciprocal);
    remainder = hn::Max(remainder, hn::Abs(hn::Sub(quotient, hn::Round(quotient))));
    hn::StoreU(hn::DemoteTo(di8, hn::NearestInt(quotient)), di8, codes + i);
  }
  return hn::AllFalse(d, hn::Gt(remainder, hn::Set(d, 0.5f - kUncertain)));
}

// codes[i] of n floats, one byte each.
template <bool kHasZero>
HWY_INLINE void Encode(const float* z, int64_t n, const GroupScale& group, int32_t levels, int8_t* codes) {
  if (!group.HasCodes()) {
    std::memset(codes, 0, static_cast<size_t>(n));
    return;
  }
  const Tag<float> d;
  const hn::RebindToSigned<Tag<float>> di;
  const hn::Rebind<int8_t, Tag<float>> di8;
  const int64_t whole = n / kLanes<float> * kLanes<float>;
  if (!group.IsNormal() || !EncodeByReciprocal<kHasZero>(z, whole, group, codes)) {
    const auto divisor = hn::Set(d, group.divisor), zero = hn::Set(d, group.zero);
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
    const GroupScale group(scales[g], kHasZero ? zeros[g] : 0);
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
