// The steps of the matrix product, one class for plain and one for block types. The constructor unpacks the weights of
// one step for the outputs of one vector into registers, Step() adds their products with one row. kPanelsAtOnce and
// kPrefetch (measured) are how a matrix-vector product is best read.
#if defined(SYLVESTER_NATIVE_CPU_NN_WEIGHT_FORMATS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_WEIGHT_FORMATS_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_WEIGHT_FORMATS_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_WEIGHT_FORMATS_INL_H_
#endif

#include "hwy/highway.h"
#include "native/cpu/half-inl.h"
#include "native/cpu/nn/dot_i16-inl.h"
#include "native/cpu/nn/matmul.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

constexpr int64_t kLanes = HWY_LANES(float) < kPanelRows ? HWY_LANES(float) : kPanelRows;
constexpr int64_t kVectors = kPanelRows / kLanes;  // in a panel

HWY_INLINE VF LoadF16(const uint8_t* p) { return LoadFloats(DF(), reinterpret_cast<const hwy::float16_t*>(p)); }

HWY_INLINE VF LoadU8(const uint8_t* p) {
  return hn::ConvertTo(DF(), hn::PromoteTo(DI32(), hn::LoadU(hn::Rebind<uint8_t, DF>(), p)));
}

HWY_INLINE VF LoadI8(const uint8_t* p) {
  const hn::Rebind<int8_t, DF> di8;
  return hn::ConvertTo(DF(), hn::PromoteTo(DI32(), hn::LoadU(di8, reinterpret_cast<const int8_t*>(p))));
}

template <syl_dtype kType>
struct PlainWeights {
  using Activations = PlainStep;
  static constexpr int64_t kPanelsAtOnce = 8;
  static constexpr bool kPrefetch = false;
  static constexpr int64_t kWeightBytes = kType == SYL_F32 ? 4 : 2;
  static constexpr int64_t kStepBytes = kPlainStep * kPanelRows * kWeightBytes;

  VF w[kPlainStep];

  HWY_INLINE PlainWeights(const PackedLayout&, const uint8_t* panel, int64_t step, int64_t first_lane) {
    const uint8_t* p = panel + step * kStepBytes + first_lane * kWeightBytes;
    for (int64_t i = 0; i < kPlainStep; ++i, p += kPanelRows * kWeightBytes) {
      if constexpr (kType == SYL_F32) {
        w[i] = hn::Load(DF(), reinterpret_cast<const float*>(p));
      } else if constexpr (kType == SYL_F16) {
        w[i] = LoadF16(p);
      } else {
        const hn::Rebind<hwy::bfloat16_t, DF> dbf16;
        w[i] = hn::PromoteTo(DF(), hn::Load(dbf16, reinterpret_cast<const hwy::bfloat16_t*>(p)));
      }
    }
  }

  HWY_INLINE VF Step(const PlainStep& row, VF sum) const {
    for (int64_t i = 0; i < kPlainStep; ++i) sum = hn::MulAdd(w[i], hn::Set(DF(), row.x[i]), sum);
    return sum;
  }
};

// sum = fma(t, d_x, sum), where, with i = sum of (code - zero) q exactly and float(i) rounded to nearest even,
//   kD         t = float(i) d
//   kDM        t = fma(m, float(sum q), float(i) d)
//   kSuperDM   t = fma(-(dmin m), float(sum q), float(i) (d sc))
//   kSuperD16  t = fma(float(i of k 0..15), d sc[0], float(i of k 16..31) (d sc[1]))
// d sc and dmin m are exact in float.
template <syl_dtype kType, bool kVnni>
struct BlockWeights {
  using Activations = QuantizedStep;
  static constexpr BlockFormat kFormat = FormatOf(kType);
  static constexpr int kBits = kFormat.bits;
  static constexpr int64_t kPanelsAtOnce = 4;
  static constexpr bool kPrefetch = true;
  static constexpr int64_t kStepBytes = kFormat.CodeBytes();
  static constexpr int64_t kScaleBytes = kFormat.ScaleBytes() / kFormat.Steps();  // of a step

  VI16 codes[2 * kGroups];  // pairs of k in ascending order
  VF scale, second;         // second: the minimum, or the scale of the upper 16 k

  HWY_INLINE BlockWeights(const PackedLayout& layout, const uint8_t* panel, int64_t step, int64_t first_lane) {
    VU8 groups[kGroups];
    LoadGroups(panel + step * kStepBytes + first_lane * 4, groups);
    for (int64_t g = 0; g < kGroups; ++g) {
      codes[2 * g] = hn::BitCast(DI16(), hn::And(hn::BitCast(DU16(), groups[g]), hn::Set(DU16(), 0xff)));
      codes[2 * g + 1] = hn::BitCast(DI16(), hn::ShiftRight<8>(hn::BitCast(DU16(), groups[g])));
    }
    LoadScales(panel + layout.scale_offset + step / kFormat.Steps() * kFormat.ScaleBytes(), step % kFormat.Steps(),
               first_lane);
  }

  HWY_INLINE VF Step(const QuantizedStep& row, VF sum) const {
    VF t;
    if constexpr (kFormat.scales == Scales::kSuperD16) {
      const VF lower = Dot<kGroups>(codes, row.q, row.start[0]);
      const VF upper = Dot<kGroups>(codes + kGroups, row.q + 16, row.start[1]);
      t = hn::MulAdd(lower, scale, hn::Mul(upper, second));
    } else {
      t = hn::Mul(Dot<2 * kGroups>(codes, row.q, row.start[0]), scale);
      if constexpr (kFormat.HasMin()) t = hn::MulAdd(second, hn::Set(DF(), row.sum), t);
    }
    return hn::MulAdd(t, hn::Set(DF(), row.d), sum);
  }

 private:
  // start + sum of code * q, exactly: |sum| <= 32 * 255 * 32767 < 2^28. Two chains, since one would be the longest part
  // of a step.
  template <int kPairs>
  static HWY_INLINE VF Dot(const VI16* codes, const int16_t* q, int32_t start) {
    VI32 even = hn::Set(DI32(), start), odd = hn::Zero(DI32());
    for (int i = 0; i < kPairs; i += 2) {
      even = AddDotPairs<kVnni>(even, codes[i], q + 2 * i);
      odd = AddDotPairs<kVnni>(odd, codes[i + 1], q + 2 * i + 2);
    }
    return hn::ConvertTo(DF(), hn::Add(even, odd));
  }

  // Shifts move bits between bytes; every mask drops what came from the neighbour.
  template <int kShift>
  static HWY_INLINE VU8 ShiftedLeft(VU8 v) {
    if constexpr (kShift >= 0) {
      return hn::BitCast(DU8(), hn::ShiftLeft<kShift>(hn::BitCast(DU16(), v)));
    } else {
      return hn::BitCast(DU8(), hn::ShiftRight<-kShift>(hn::BitCast(DU16(), v)));
    }
  }

  template <int kGroup>
  static HWY_INLINE void AddUpperBits(const uint8_t* planes, VU8* groups) {
    if constexpr (kBits == 5) {
      const VU8 plane = hn::Load(DU8(), planes);
      groups[kGroup] = hn::OrAnd(groups[kGroup], ShiftedLeft<4 - kGroup>(plane), hn::Set(DU8(), 0x10));
    } else {
      const VU8 plane = hn::Load(DU8(), planes + kGroup / 4 * kGroupBytes);
      groups[kGroup] = hn::OrAnd(groups[kGroup], ShiftedLeft<4 - 2 * (kGroup % 4)>(plane), hn::Set(DU8(), 0x30));
    }
  }

  static HWY_INLINE void LoadGroups(const uint8_t* p, VU8* groups) {
    if constexpr (kBits == 8) {
      for (int64_t g = 0; g < kGroups; ++g) groups[g] = hn::Load(DU8(), p + g * kGroupBytes);
    } else {
      const VU8 low = hn::Set(DU8(), 0x0f);
      for (int64_t j = 0; j < 4; ++j) {
        const VU8 pair = hn::Load(DU8(), p + j * kGroupBytes);
        groups[j] = hn::And(pair, low);
        groups[j + 4] = hn::And(ShiftedLeft<-4>(pair), low);
      }
      if constexpr (kBits > 4) {
        const uint8_t* planes = p + 4 * kGroupBytes;
        AddUpperBits<0>(planes, groups);
        AddUpperBits<1>(planes, groups);
        AddUpperBits<2>(planes, groups);
        AddUpperBits<3>(planes, groups);
        AddUpperBits<4>(planes, groups);
        AddUpperBits<5>(planes, groups);
        AddUpperBits<6>(planes, groups);
        AddUpperBits<7>(planes, groups);
      }
    }
  }

  HWY_INLINE void LoadScales(const uint8_t* block, int64_t step, int64_t lane) {
    scale = LoadF16(block + 2 * lane);
    if constexpr (kFormat.scales == Scales::kDM) {
      second = LoadF16(block + 2 * (kPanelRows + lane));
    } else if constexpr (kFormat.scales == Scales::kSuperDM) {
      const uint8_t* sub_scales = block + (4 + 2 * step) * kPanelRows + lane;
      const VF min = hn::Mul(LoadF16(block + 2 * (kPanelRows + lane)), LoadU8(sub_scales + kPanelRows));
      second = hn::Neg(min);
      scale = hn::Mul(scale, LoadU8(sub_scales));
    } else if constexpr (kFormat.scales == Scales::kSuperD16) {
      const uint8_t* sub_scales = block + (2 + 2 * step) * kPanelRows + lane;
      second = hn::Mul(scale, LoadI8(sub_scales + kPanelRows));
      scale = hn::Mul(scale, LoadI8(sub_scales));
    }
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
