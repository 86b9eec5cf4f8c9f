// The steps of the matrix product, one class for plain and one for block types: AddStep() unpacks the weights of one
// step for the outputs of one vector into registers and adds their products with every row to the row's sums.
// kPanelsAtOnce and kPrefetch (measured) are how a matrix-vector product is best read.
#if defined(SYLVESTER_NATIVE_CPU_NN_WEIGHT_FORMATS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_WEIGHT_FORMATS_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_WEIGHT_FORMATS_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_WEIGHT_FORMATS_INL_H_
#endif

#include "hwy/highway.h"
#include "native/cpu/half-inl.h"
#include "native/cpu/nn/matmul.h"
#include "native/cpu/nn/weight_codes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

constexpr int64_t kLanes = HWY_LANES(float) < kPanelRows ? HWY_LANES(float) : kPanelRows;
constexpr int64_t kVectors = kPanelRows / kLanes;  // in a panel
constexpr bool kManyRegisters = HWY_TARGET != HWY_SSE4 && HWY_TARGET != HWY_AVX2;

HWY_INLINE VF LoadF16(const uint8_t* p) { return LoadFloats(DF(), reinterpret_cast<const hwy::float16_t*>(p)); }

HWY_INLINE VF LoadU8(const uint8_t* p) {
  return hn::ConvertTo(DF(), hn::PromoteTo(DI32(), hn::LoadU(hn::Rebind<uint8_t, DF>(), p)));
}

HWY_INLINE VF LoadI8(const uint8_t* p) {
  const hn::Rebind<int8_t, DF> di8;
  return hn::ConvertTo(DF(), hn::PromoteTo(DI32(), hn::LoadU(di8, reinterpret_cast<const int8_t*>(p))));
}

template <syl_dtype kType>
class PlainWeights {
 public:
  using Activations = PlainStep;
  static constexpr int64_t kPanelsAtOnce = 8;
  static constexpr bool kPrefetch = false;
  static constexpr int64_t kWeightBytes = kType == SYL_F32 ? 4 : 2;
  static constexpr int64_t kStepBytes = kPlainStep * kPanelRows * kWeightBytes;

  static HWY_INLINE void AddStep(const PackedLayout&, const uint8_t* panel, int64_t step, int64_t first_lane,
                                 const PlainStep* HWY_RESTRICT x, int64_t rows, float* HWY_RESTRICT sums) {
    const uint8_t* p = panel + step * kStepBytes + first_lane * kWeightBytes;
    VF w[kPlainStep];
    for (int64_t i = 0; i < kPlainStep; ++i, p += kPanelRows * kWeightBytes) w[i] = LoadWeights(p);
    for (int64_t r = 0; r < rows; ++r, sums += kPanelRows) {
      VF sum = hn::Load(DF(), sums);
      for (int64_t i = 0; i < kPlainStep; ++i) sum = hn::MulAdd(w[i], hn::Set(DF(), x[r].x[i]), sum);
      hn::Store(sum, DF(), sums);
    }
  }

 private:
  static HWY_INLINE VF LoadWeights(const uint8_t* p) {
    if constexpr (kType == SYL_F32) {
      return hn::Load(DF(), reinterpret_cast<const float*>(p));
    } else if constexpr (kType == SYL_F16) {
      return LoadF16(p);
    } else {
      const hn::Rebind<hwy::bfloat16_t, DF> dbf16;
      return hn::PromoteTo(DF(), hn::Load(dbf16, reinterpret_cast<const hwy::bfloat16_t*>(p)));
    }
  }
};

// sum = fma(t, d_x, sum), where, with i = sum of (code - zero) q exactly and float(i) rounded to nearest even,
//   kD         t = float(i) d
//   kDM        t = fma(m, float(sum q), float(i) d)
//   kSuperDM   t = fma(-(dmin m), float(sum q), float(i) (d sc))
//   kSuperD16  t = fma(float(i of k 0..15), d sc[0], float(i of k 16..31) (d sc[1]))
// d sc and dmin m are exact in float.
template <syl_dtype kType, bool kVnni, bool kPairs>
class BlockWeights {
 public:
  using Activations = QuantizedStep;
  static constexpr BlockFormat kFormat = FormatOf(kType);
  static constexpr int64_t kPanelsAtOnce = 4;
  static constexpr bool kPrefetch = true;
  static constexpr int64_t kStepBytes = kFormat.CodeBytes();
  static constexpr int64_t kScaleBytes = kFormat.ScaleBytes() / kFormat.Steps();  // of a step

  static HWY_INLINE void AddStep(const PackedLayout& layout, const uint8_t* HWY_RESTRICT panel, int64_t step,
                                 int64_t first_lane, const QuantizedStep* HWY_RESTRICT x, int64_t rows,
                                 float* HWY_RESTRICT sums) {
    const uint8_t* codes = panel + step * kStepBytes + first_lane * 4;
    const uint8_t* block = panel + layout.scale_offset + step / kFormat.Steps() * kFormat.ScaleBytes();
    const StepScales scales(block, step % kFormat.Steps(), first_lane);
    if constexpr (kManyRegisters) {
      const Lower lower(codes);
      const Upper upper(codes);
      const Starts starts(lower, upper);
      for (int64_t r = 0; r < rows; ++r, sums += kPanelRows) {
        VI32 a = starts.OfLower(x[r]), b = starts.OfUpper(x[r]);
        for (int64_t g = 0; g < Lower::kHalfGroups; ++g) {
          a = lower.AddGroup(a, g, x[r]);
          b = upper.AddGroup(b, g, x[r]);
        }
        AddProducts(a, b, x[r], scales, sums);
      }
    } else {
      // Registers hold half of a step.
      HWY_ALIGN int32_t dots[kMaxChunkRows * kLanes];
      const Lower lower(codes);
      for (int64_t r = 0; r < rows; ++r) {
        hn::Store(lower.AddDot(hn::Set(DI32(), x[r].start[0]), x[r]), DI32(), dots + r * kLanes);
      }
      const Upper upper(codes);
      for (int64_t r = 0; r < rows; ++r, sums += kPanelRows) {
        AddProducts(hn::Load(DI32(), dots + r * kLanes), upper.AddDot(hn::Set(DI32(), x[r].start[1]), x[r]), x[r],
                    scales, sums);
      }
    }
  }

 private:
  using Lower = HalfStep<kFormat.bits, 0, kVnni, kPairs>;
  using Upper = HalfStep<kFormat.bits, 1, kVnni, kPairs>;
  static constexpr bool kScaledHalves = kFormat.scales == Scales::kSuperD16;

  // Where the sums of the two halves start.
  struct Starts {
    VI32 pairs[2];  // what pairs of each half, or of both in [1], add, negated

    HWY_INLINE Starts(const Lower& lower, const Upper& upper) {
      if constexpr (kPairs) {
        pairs[0] = lower.AddPairProducts(hn::Zero(DI32()));
        pairs[1] = hn::Neg(upper.AddPairProducts(kScaledHalves ? hn::Zero(DI32()) : pairs[0]));
        pairs[0] = hn::Neg(pairs[0]);
      }
    }

    HWY_INLINE VI32 OfLower(const QuantizedStep& row) const {
      const VI32 start = hn::Set(DI32(), row.start[0]);
      return kPairs && kScaledHalves ? hn::Add(start, pairs[0]) : start;
    }

    HWY_INLINE VI32 OfUpper(const QuantizedStep& row) const {
      if constexpr (kPairs && !kScaledHalves) return pairs[1];
      const VI32 start = hn::Set(DI32(), row.start[1]);
      return kPairs ? hn::Add(start, pairs[1]) : start;
    }
  };

  struct StepScales {
    VF scale, second;  // second: the minimum, or the scale of the upper 16 k

    HWY_INLINE StepScales(const uint8_t* HWY_RESTRICT block, int64_t step, int64_t lane) {
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

  static HWY_INLINE void AddProducts(VI32 lower, VI32 upper, const QuantizedStep& row, const StepScales& scales,
                                     float* HWY_RESTRICT sums) {
    VF t;
    if constexpr (kScaledHalves) {
      t = hn::MulAdd(hn::ConvertTo(DF(), lower), scales.scale, hn::Mul(hn::ConvertTo(DF(), upper), scales.second));
    } else {
      t = hn::Mul(hn::ConvertTo(DF(), hn::Add(lower, upper)), scales.scale);
      if constexpr (kFormat.HasMin()) t = hn::MulAdd(scales.second, hn::Set(DF(), row.sum), t);
    }
    hn::Store(hn::MulAdd(t, hn::Set(DF(), row.d), hn::Load(DF(), sums)), DF(), sums);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
