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
      low = hn::Min(low, v);
      high = hn::Max(high, v);
    }
    range->magnitude = HWY_MAX(range->magnitude, hn::GetLane(hn::MaxOfLanes(di, magnitude)));
    range->low = HWY_MIN(range->low, hn::GetLane(hn::MinOfLanes(d, low)));
    range->high = HWY_MAX(range->high, hn::GetLane(hn::MaxOfLanes(d, high)));
  }
  for (; i < n; ++i) range->Extend(z[i]);
}

// codes[i] of n floats, one byte each.
HWY_INLINE void Encode(const float* z, int64_t n, const GroupScale& group, int32_t levels, int8_t* codes) {
  if (!group.HasCodes()) {
    std::memset(codes, 0, static_cast<size_t>(n));
    return;
  }
  const Tag<float> d;
  const hn::RebindToSigned<Tag<float>> di;
  const hn::Rebind<int8_t, Tag<float>> di8;
  const auto scale = hn::Set(d, group.divisor), zero = hn::Set(d, group.zero);
  const auto lowest = hn::Set(di, LowestCode(levels)), highest = hn::Set(di, levels);
  int64_t i = 0;
  for (; i + kLanes<float> <= n; i += kLanes<float>) {
    auto v = hn::LoadU(d, z + i);
    if (levels != 127) v = hn::Sub(v, zero);
    const auto code = hn::NearestInt(hn::Div(v, scale));
    hn::StoreU(hn::DemoteTo(di8, hn::Min(hn::Max(code, lowest), highest)), di8, codes + i);
  }
  for (; i < n; ++i) codes[i] = group.Code(z[i], levels);
}

// Scales, zeros (or NULL) and codes of groups of `size` floats that follow each other.
HWY_INLINE void QuantizeGroups(const float* z, int64_t groups, int64_t size, int32_t levels, float* scales,
                               float* zeros, int8_t* codes) {
  for (int64_t g = 0; g < groups; ++g) {
    GroupRange range;
    Extend(z + g * size, size, &range);
    const GroupScale group(range, levels);
    scales[g] = group.scale;
    if (zeros != nullptr) zeros[g] = group.zero;
    Encode(z + g * size, size, group, levels, codes + g * size);
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
