// Codes, scales and zeros of a row, as native/common/kv_plan.h defines them: the same on every tier, since each step
// is rounded by itself and sums have 16 lanes everywhere.
#if defined(SYLVESTER_NATIVE_CPU_KV_QUANTIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_KV_QUANTIZE_INL_H_
#undef SYLVESTER_NATIVE_CPU_KV_QUANTIZE_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_KV_QUANTIZE_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include "hwy/highway.h"
#include "native/cpu/kv/quantize.h"
#include "native/cpu/nn/tree_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DVirtualInt = hn::RebindToSigned<DVirtual>;
using VVirtualInt = hn::Vec<DVirtualInt>;
using DVirtualByte = hn::Rebind<uint8_t, DVirtual>;

// ---- Scales ------------------------------------------------------------------------------------------------------

// KvScaleFromFloat.
HWY_INLINE VVirtualInt ScaleBits(VVirtual x) {
  const DVirtual d;
  const DVirtualInt di;
  const auto bits = hn::BitCast(di, x);
  const auto odd = hn::And(hn::ShiftRight<20>(bits), hn::Set(di, 1));
  const auto normal =
      hn::Sub(hn::ShiftRight<20>(hn::Add(hn::Add(bits, odd), hn::Set(di, 0x7ffff))), hn::Set(di, (127 - 15) << 3));
  const auto is_normal = hn::Ge(x, hn::Set(d, 0x1p-14f));
  const auto in_range = hn::IfThenElseZero(hn::Not(is_normal), x);
  const auto subnormal = hn::NearestInt(hn::Mul(in_range, hn::Set(d, 0x1p17f)));
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

// ---- Sums over a group of n = 16 i floats
// ----------------------------------------------------------------------------

HWY_INLINE void RangeOf(const float* HWY_RESTRICT x, int64_t n, float* lo, float* hi) {
  const DVirtual d;
  VVirtual low[kVirtualVectors], high[kVirtualVectors];
  for (int64_t j = 0; j < kVirtualVectors; ++j) low[j] = high[j] = hn::LoadU(d, x + j * kRealLanes);
  for (int64_t i = kVirtualLanes; i < n; i += kVirtualLanes) {
    for (int64_t j = 0; j < kVirtualVectors; ++j) {
      const auto v = hn::LoadU(d, x + i + j * kRealLanes);
      low[j] = hn::Min(low[j], v);
      high[j] = hn::Max(high[j], v);
    }
  }
  for (int64_t j = 1; j < kVirtualVectors; ++j) {
    low[0] = hn::Min(low[0], low[j]);
    high[0] = hn::Max(high[0], high[j]);
  }
  *lo = hn::GetLane(hn::MinOfLanes(d, low[0]));
  *hi = hn::GetLane(hn::MaxOfLanes(d, high[0]));
}

HWY_INLINE float SquareSum(const float* HWY_RESTRICT x, int64_t n) {
  const DVirtual d;
  VVirtual sum[kVirtualVectors];
  for (VVirtual& v : sum) v = hn::Zero(d);
  for (int64_t i = 0; i < n; i += kVirtualLanes) {
    for (int64_t j = 0; j < kVirtualVectors; ++j) {
      const auto v = hn::LoadU(d, x + i + j * kRealLanes);
      sum[j] = hn::Add(sum[j], hn::Mul(v, v));
    }
  }
  return TreeSum16(sum);
}

struct CodeSums {
  float x, xq, q;     // q is exact
  float denominator;  // n Sqq - Sq^2
};

HWY_INLINE CodeSums SumsOf(const float* HWY_RESTRICT x, const uint8_t* HWY_RESTRICT codes, int64_t n) {
  const DVirtual d;
  const DVirtualInt di;
  const DVirtualByte d8;
  VVirtual sum_x[kVirtualVectors], sum_xq[kVirtualVectors];
  for (VVirtual& v : sum_x) v = hn::Zero(d);
  for (VVirtual& v : sum_xq) v = hn::Zero(d);
  auto sum_q = hn::Zero(di), sum_qq = hn::Zero(di);
  for (int64_t i = 0; i < n; i += kVirtualLanes) {
    for (int64_t j = 0; j < kVirtualVectors; ++j) {
      const auto v = hn::LoadU(d, x + i + j * kRealLanes);
      const auto q = hn::PromoteTo(di, hn::LoadU(d8, codes + i + j * kRealLanes));
      sum_x[j] = hn::Add(sum_x[j], v);
      sum_xq[j] = hn::Add(sum_xq[j], hn::Mul(v, hn::ConvertTo(d, q)));
      sum_q = hn::Add(sum_q, q);
      sum_qq = hn::Add(sum_qq, hn::Mul(q, q));
    }
  }
  // At most 2^16 codes of 8 bits: unsigned, their squares add up to less than 2^32.
  const int64_t q = hn::GetLane(hn::SumOfLanes(di, sum_q));
  const int64_t qq = static_cast<uint32_t>(hn::GetLane(hn::SumOfLanes(di, sum_qq)));
  return {TreeSum16(sum_x), TreeSum16(sum_xq), static_cast<float>(q), static_cast<float>(n * qq - q * q)};
}

// ---- Codes
// -----------------------------------------------------------------------------------------------------------

// q = y rounded and limited, y = x inverse + shift; for LLOYD_MAX the number of thresholds below y.
template <bool kLloydMax>
HWY_INLINE void Encode(const KvQuantizer& quantizer, const float* HWY_RESTRICT x, int64_t n, float inverse, float shift,
                       uint8_t* HWY_RESTRICT codes) {
  const DVirtual d;
  const DVirtualInt di;
  const DVirtualByte d8;
  const auto factor = hn::Set(d, inverse), offset = hn::Set(d, shift);
  const int32_t highest = (1 << quantizer.bits) - 1;
  const auto most = hn::Set(d, static_cast<float>(highest));
  for (int64_t i = 0; i < n; i += kRealLanes) {
    const auto y = hn::Add(hn::Mul(hn::LoadU(d, x + i), factor), offset);
    auto code = hn::Zero(di);
    if constexpr (kLloydMax) {
      for (int32_t t = 0; t < highest; ++t) {
        const auto below = hn::Lt(hn::Set(d, quantizer.grid.thresholds[t]), y);
        code = hn::Sub(code, hn::VecFromMask(di, hn::RebindMask(di, below)));
      }
    } else {
      // Limits are integers: they may come first, and no y is too large for an integer then.
      code = hn::NearestInt(hn::Min(hn::Max(y, hn::Zero(d)), most));
    }
    hn::StoreU(hn::DemoteTo(d8, code), d8, codes + i);
  }
}

// ---- Groups side by side
// ---------------------------------------------------------------------------------------------

constexpr int64_t kGroupsAtOnce = kVirtualLanes;

// Some groups of a row; their scales and zeros are computed in the lanes of a vector.
struct GroupBlock {
  int64_t count;
  int64_t first[kGroupsAtOnce], size[kGroupsAtOnce];
  HWY_ALIGN int32_t scale[kGroupsAtOnce];
  HWY_ALIGN int32_t zero[kGroupsAtOnce];
  HWY_ALIGN float inverse[kGroupsAtOnce];
  HWY_ALIGN float shift[kGroupsAtOnce];
};

// s from `step`, z from -lo / s, for groups i .. i + kRealLanes - 1; others than `which` keep theirs.
HWY_INLINE void SetUniform(VVirtual step, VVirtual lo, float zero_unit, hn::Mask<DVirtual> which, int64_t i,
                           GroupBlock* block) {
  const DVirtual d;
  const DVirtualInt di;
  const auto unit = hn::Set(d, zero_unit);
  const auto least = hn::Div(hn::Abs(lo), hn::Set(d, 119 * zero_unit));
  const auto scale = ScaleBits(hn::Max(step, least));
  const auto has_codes = hn::RebindMask(d, hn::Gt(scale, hn::Zero(di)));
  const auto inverse = hn::IfThenElseZero(has_codes, hn::Div(hn::Set(d, 1), ScaleValue(scale)));
  const auto exact = hn::Div(hn::Mul(hn::Neg(lo), inverse), unit);
  const auto zero = hn::NearestInt(hn::Min(hn::Max(exact, hn::Set(d, -128)), hn::Set(d, 127)));
  const auto shift = hn::Mul(unit, hn::ConvertTo(d, zero));
  const auto which_int = hn::RebindMask(di, which);
  hn::Store(hn::IfThenElse(which_int, scale, hn::Load(di, block->scale + i)), di, block->scale + i);
  hn::Store(hn::IfThenElse(which_int, zero, hn::Load(di, block->zero + i)), di, block->zero + i);
  hn::Store(hn::IfThenElse(which, inverse, hn::Load(d, block->inverse + i)), d, block->inverse + i);
  hn::Store(hn::IfThenElse(which, shift, hn::Load(d, block->shift + i)), d, block->shift + i);
}

HWY_INLINE void FitUniform(const KvQuantizer& quantizer, const float* x, GroupBlock* block) {
  const DVirtual d;
  HWY_ALIGN float lows[kGroupsAtOnce] = {}, highs[kGroupsAtOnce] = {};
  for (int64_t g = 0; g < block->count; ++g) RangeOf(x + block->first[g], block->size[g], lows + g, highs + g);
  const auto clip = hn::Set(d, quantizer.clip), half = hn::Set(d, 0.5f);
  const auto levels = hn::Set(d, static_cast<float>((1 << quantizer.bits) - 1));
  for (int64_t i = 0; i < kGroupsAtOnce; i += kRealLanes) {
    auto lo = hn::Load(d, lows + i), hi = hn::Load(d, highs + i);
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
    SetUniform(hn::Max(hn::Div(hn::Sub(hi, lo), levels), least), lo, quantizer.grid.zero_unit, hn::Eq(lo, lo), i,
               block);
  }
}

// One round of least squares; false if that changed no group.
HWY_INLINE bool RefineUniform(const KvQuantizer& quantizer, const float* x, const uint8_t* codes, GroupBlock* block) {
  const DVirtual d;
  HWY_ALIGN float sums_x[kGroupsAtOnce] = {}, sums_xq[kGroupsAtOnce] = {}, sums_q[kGroupsAtOnce] = {};
  HWY_ALIGN float denominators[kGroupsAtOnce] = {}, counts[kGroupsAtOnce] = {};
  for (int64_t g = 0; g < block->count; ++g) {
    const CodeSums sums = SumsOf(x + block->first[g], codes + block->first[g], block->size[g]);
    sums_x[g] = sums.x;
    sums_xq[g] = sums.xq;
    sums_q[g] = sums.q;
    denominators[g] = sums.denominator;
    counts[g] = static_cast<float>(block->size[g]);
  }
  bool changed = false;
  for (int64_t i = 0; i < kGroupsAtOnce; i += kRealLanes) {
    const auto n = hn::Load(d, counts + i), sum_x = hn::Load(d, sums_x + i), sum_q = hn::Load(d, sums_q + i);
    const auto denominator = hn::Load(d, denominators + i);
    const auto slope = hn::Div(hn::Sub(hn::Mul(n, hn::Load(d, sums_xq + i)), hn::Mul(sum_x, sum_q)), denominator);
    const auto lo = hn::Div(hn::Sub(sum_x, hn::Mul(slope, sum_q)), n);
    const auto fits = hn::And(hn::Gt(denominator, hn::Zero(d)), hn::Gt(slope, hn::Zero(d)));
    SetUniform(slope, lo, quantizer.grid.zero_unit, fits, i, block);
    changed |= !hn::AllFalse(d, fits);
  }
  return changed;
}

HWY_INLINE void FitLloydMax(const KvQuantizer& quantizer, const float* x, GroupBlock* block) {
  const DVirtual d;
  const DVirtualInt di;
  HWY_ALIGN float sums[kGroupsAtOnce] = {}, counts[kGroupsAtOnce] = {};
  for (int64_t g = 0; g < block->count; ++g) {
    sums[g] = SquareSum(x + block->first[g], block->size[g]);
    counts[g] = static_cast<float>(block->size[g]);
  }
  for (int64_t i = 0; i < kGroupsAtOnce; i += kRealLanes) {
    const auto mean = hn::Div(hn::Load(d, sums + i), hn::Max(hn::Load(d, counts + i), hn::Set(d, 1)));
    const auto scale = ScaleBits(hn::Mul(hn::Sqrt(mean), hn::Set(d, quantizer.grid.rms_factor)));
    const auto has_codes = hn::Gt(scale, hn::Zero(di));
    const auto has_codes_float = hn::RebindMask(d, has_codes);
    hn::Store(scale, di, block->scale + i);
    hn::Store(hn::IfThenElseZero(has_codes, hn::Set(di, 32)), di, block->zero + i);
    hn::Store(hn::IfThenElseZero(has_codes_float, hn::Div(hn::Set(d, 1), ScaleValue(scale))), d, block->inverse + i);
    // Without codes y is 0, below all thresholds.
    hn::Store(hn::IfThenElseZero(has_codes_float, hn::Set(d, 32)), d, block->shift + i);
  }
}

template <bool kLloydMax>
HWY_INLINE void EncodeBlock(const KvQuantizer& quantizer, const GroupBlock& block, const float* x, uint8_t* codes) {
  for (int64_t g = 0; g < block.count; ++g) {
    Encode<kLloydMax>(quantizer, x + block.first[g], block.size[g], block.inverse[g], block.shift[g],
                      codes + block.first[g]);
  }
}

// A row in the order of its groups. Group g's scale and zero go to scales[kKvTile g] and zeros[kKvTile g].
HWY_INLINE void QuantizeInOrder(const KvQuantizer& quantizer, const float* HWY_RESTRICT x, uint8_t* HWY_RESTRICT codes,
                                uint8_t* scales, int8_t* zeros) {
  int64_t place = 0, end_of_run = quantizer.run;
  while (place < quantizer.channels) {
    GroupBlock block{};
    for (; block.count < kGroupsAtOnce && place < quantizer.channels; ++block.count) {
      block.first[block.count] = place;
      block.size[block.count] = std::min(quantizer.group, end_of_run - place);
      place += block.size[block.count];
      if (place == end_of_run) end_of_run += quantizer.run;
    }
    if (quantizer.grid_kind == SYL_KV_LLOYD_MAX) {
      FitLloydMax(quantizer, x, &block);
      EncodeBlock<true>(quantizer, block, x, codes);
    } else {
      FitUniform(quantizer, x, &block);
      EncodeBlock<false>(quantizer, block, x, codes);
      for (int32_t i = 0; i < quantizer.refine && RefineUniform(quantizer, x, codes, &block); ++i) {
        EncodeBlock<false>(quantizer, block, x, codes);
      }
    }
    for (int64_t g = 0; g < block.count; ++g, scales += kKvTile, zeros += kKvTile) {
      *scales = static_cast<uint8_t>(block.scale[g]);
      *zeros = static_cast<int8_t>(block.zero[g]);
    }
  }
}

// Codes of a row of channels; sorted and sorted_codes: memory for a row each, where groups are sorted.
HWY_INLINE void QuantizeRow(const KvQuantizer& quantizer, const float* HWY_RESTRICT x, float* sorted,
                            uint8_t* sorted_codes, uint8_t* HWY_RESTRICT codes, uint8_t* scales, int8_t* zeros) {
  if (quantizer.order.empty()) return QuantizeInOrder(quantizer, x, codes, scales, zeros);
  const uint16_t* order = quantizer.order.data();
  for (int64_t i = 0; i < quantizer.channels; ++i) sorted[i] = x[order[i]];
  QuantizeInOrder(quantizer, sorted, sorted_codes, scales, zeros);
  for (int64_t i = 0; i < quantizer.channels; ++i) codes[order[i]] = sorted_codes[i];
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
