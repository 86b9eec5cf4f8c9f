// Codes, scales and zeros of a row of halves, as native/common/kv_plan.h defines them: the same on every tier, since
// each step is rounded by itself and sums have 16 lanes everywhere.
#if defined(SYLVESTER_NATIVE_CPU_KV_QUANTIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_KV_QUANTIZE_INL_H_
#undef SYLVESTER_NATIVE_CPU_KV_QUANTIZE_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_KV_QUANTIZE_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include "hwy/highway.h"
#include "native/cpu/kv/group_sums-inl.h"
#include "native/cpu/kv/quantize.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// ---- Scales -------------------------------------------------------------------------------------------------------

// KvScaleUp, KvScaleNearest.
HWY_INLINE VVirtualInt ScaleBits(VVirtual x, bool up) {
  const DVirtual d;
  const DVirtualInt di;
  const auto bits = hn::BitCast(di, x);
  const auto more =
      up ? hn::Set(di, 0xfffff) : hn::Add(hn::And(hn::ShiftRight<20>(bits), hn::Set(di, 1)), hn::Set(di, 0x7ffff));
  const auto normal = hn::Sub(hn::ShiftRight<20>(hn::Add(bits, more)), hn::Set(di, (127 - 15) << 3));
  const auto is_normal = hn::Ge(x, hn::Set(d, 0x1p-14f));
  const auto exact = hn::Mul(hn::IfThenZeroElse(is_normal, x), hn::Set(d, 0x1p17f));
  const auto subnormal = up ? hn::ConvertTo(di, hn::Ceil(exact)) : hn::NearestInt(exact);
  return hn::IfThenElse(hn::RebindMask(di, is_normal), hn::Min(normal, hn::Set(di, 0xf7)), subnormal);
}

// KvScaleToFloat.
HWY_INLINE VVirtual ScaleValue(VVirtualInt scale) {
  const DVirtual d;
  const DVirtualInt di;
  const auto normal = hn::BitCast(d, hn::ShiftLeft<20>(hn::Add(scale, hn::Set(di, (127 - 15) << 3))));
  const auto subnormal = hn::Mul(hn::ConvertTo(d, scale), hn::Set(d, 0x1p-17f));
  return hn::IfThenElse(hn::RebindMask(d, hn::Gt(scale, hn::Set(di, 7))), normal, subnormal);
}

// ---- Parameters of groups -----------------------------------------------------------------------------------------

// step: s before it is rounded and made large enough for z.
HWY_INLINE GroupParams UniformParams(const KvQuantizer& quantizer, VVirtual step, VVirtual lo) {
  const DVirtual d;
  const DVirtualInt di;
  const float zero_unit = quantizer.grid.zero_unit;
  const auto scale = ScaleBits(hn::Max(step, hn::Div(hn::Abs(lo), hn::Set(d, 119 * zero_unit))), quantizer.bits == 8);
  const auto has_codes = hn::RebindMask(d, hn::Gt(scale, hn::Zero(di)));
  const auto inverse = hn::IfThenElseZero(has_codes, hn::Div(hn::Set(d, 1), ScaleValue(scale)));
  // The unit is a power of two; limits are integers, which may come before rounding.
  const auto exact = hn::Mul(hn::Mul(hn::Neg(lo), inverse), hn::Set(d, 1 / zero_unit));
  const auto zero = hn::NearestInt(hn::Min(hn::Max(exact, hn::Set(d, -128)), hn::Set(d, 127)));
  return {scale, zero, inverse, hn::Mul(hn::Set(d, zero_unit), hn::ConvertTo(d, zero))};
}

HWY_INLINE void FitUniform(const KvQuantizer& quantizer, const uint16_t* x, GroupBlock* block) {
  const DVirtual d;
  GroupRanges ranges;
  ranges.Of(x, *block);
  const auto clip = hn::Set(d, quantizer.clip), half = hn::Set(d, 0.5f);
  const auto levels = hn::Set(d, static_cast<float>((1 << quantizer.bits) - 1));
  for (int64_t i = 0; i < kGroupsAtOnce; i += kRealLanes) {
    auto lo = ranges.Low(i), hi = ranges.High(i);
    if (quantizer.clip_mode == SYL_KV_CLIP_MIDPOINT) {
      const auto middle = hn::Mul(hn::Add(lo, hi), half);
      const auto reach = hn::Mul(hn::Mul(hn::Sub(hi, lo), half), clip);
      lo = hn::Sub(middle, reach);
      hi = hn::Add(middle, reach);
    } else {
      lo = hn::Mul(clip, lo);
      hi = hn::Mul(clip, hi);
    }
    const auto least = hn::Div(hn::Abs(hi), hn::Set(d, 119 * quantizer.grid.zero_unit));
    const auto step = hn::Max(hn::Div(hn::Sub(hi, lo), levels), least);
    block->SetParams(i, UniformParams(quantizer, step, lo));
  }
}

HWY_INLINE void FitLloydMax(const KvQuantizer& quantizer, const uint16_t* x, GroupBlock* block) {
  const DVirtual d;
  const DVirtualInt di;
  GroupSquareSums sums;
  sums.Of(x, *block);
  for (int64_t i = 0; i < kGroupsAtOnce; i += kRealLanes) {
    const auto mean = hn::Div(hn::Load(d, sums.xx + i), hn::Load(d, sums.n + i));
    const auto scale = ScaleBits(hn::Mul(hn::Sqrt(mean), hn::Set(d, quantizer.grid.rms_factor)), false);
    const auto has_codes = hn::Gt(scale, hn::Zero(di));
    const auto has_codes_float = hn::RebindMask(d, has_codes);
    // y of a group without codes is below all thresholds.
    block->SetParams(i, {scale, hn::IfThenElseZero(has_codes, hn::Set(di, 32)),
                         hn::IfThenElseZero(has_codes_float, hn::Div(hn::Set(d, 1), ScaleValue(scale))),
                         hn::IfThenElseZero(has_codes_float, hn::Set(d, 32))});
  }
}

// ---- Codes --------------------------------------------------------------------------------------------------------

// to.At(first).Store(i, codes): codes, an integer in each lane, of elements first + i, ...
template <class Codes, class Output>
HWY_INLINE void Encode(const Codes& codes, const GroupBlock& block, const uint16_t* HWY_RESTRICT x, const Output& to) {
  const DVirtual d;
  for (int64_t g = 0; g < block.count; ++g) {
    const auto inverse = hn::Set(d, block.inverse[g]), shift = hn::Set(d, block.shift[g]);
    const uint16_t* HWY_RESTRICT from = x + block.first[g];
    const auto group = to.At(block.first[g]);
    for (int64_t i = 0; i < block.size[g]; i += kRealLanes) {
      group.Store(i, codes.Of(hn::Add(hn::Mul(LoadHalves(from + i), inverse), shift)));
    }
  }
}

// A row in the order of its groups. Group g's scale and zero go to scales[kKvTile g] and zeros[kKvTile g].
template <class Output>
HWY_INLINE void QuantizeRow(const KvQuantizer& quantizer, const uint16_t* HWY_RESTRICT x, const Output& to,
                            uint8_t* scales, int8_t* zeros) {
  int64_t place = 0, end_of_run = quantizer.run;
  while (place < quantizer.channels) {
    GroupBlock block;
    for (block.count = 0; block.count < kGroupsAtOnce && place < quantizer.channels; ++block.count) {
      block.first[block.count] = place;
      block.size[block.count] = std::min(quantizer.group, end_of_run - place);
      place += block.size[block.count];
      if (place == end_of_run) end_of_run += quantizer.run;
    }
    if (quantizer.grid_kind == SYL_KV_LLOYD_MAX) {
      FitLloydMax(quantizer, x, &block);
      Encode(LloydMaxCodes(quantizer.grid, quantizer.bits), block, x, to);
    } else {
      FitUniform(quantizer, x, &block);
      Encode(UniformCodes(quantizer.bits), block, x, to);
    }
    for (int64_t g = 0; g < block.count; ++g, scales += kKvTile, zeros += kKvTile) {
      *scales = static_cast<uint8_t>(block.scale[g]);
      *zeros = static_cast<int8_t>(block.zero[g]);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
