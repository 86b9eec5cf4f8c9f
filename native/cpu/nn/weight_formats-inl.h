// Products of block types, step by step: the weights of a step are unpacked into registers for the outputs of one
// vector, and their products with every row are added to the row's sums.
#if defined(SYLVESTER_NATIVE_CPU_NN_WEIGHT_FORMATS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_WEIGHT_FORMATS_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_WEIGHT_FORMATS_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_WEIGHT_FORMATS_INL_H_
#endif

#include <algorithm>
#include <cstring>

#include "hwy/highway.h"
#include "native/cpu/half-inl.h"
#include "native/cpu/nn/matmul.h"
#include "native/cpu/nn/tile-inl.h"
#include "native/cpu/nn/weight_codes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

HWY_INLINE VF LoadF16(const uint8_t* p) { return LoadFloats(DF(), reinterpret_cast<const hwy::float16_t*>(p)); }

HWY_INLINE VF LoadU8(const uint8_t* p) {
  return hn::ConvertTo(DF(), hn::PromoteTo(DI32(), hn::LoadU(hn::Rebind<uint8_t, DF>(), p)));
}

HWY_INLINE VF LoadI8(const uint8_t* p) {
  const hn::Rebind<int8_t, DF> di8;
  return hn::ConvertTo(DF(), hn::PromoteTo(DI32(), hn::LoadU(di8, reinterpret_cast<const int8_t*>(p))));
}

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

  // With few rows, several panels: memory is read faster in several streams, and the dependent additions of a row need
  // company to fill the processor.
  static int64_t PanelsAtOnce(int64_t rows) { return std::min(int64_t{4}, kMaxChunkRows / rows); }

  static HWY_INLINE void MultiplyTile(const PackedLayout& layout, const uint8_t* HWY_RESTRICT first_panel,
                                      int64_t panels, const QuantizedStep* HWY_RESTRICT x, int64_t rows, Tile& tile) {
    std::memset(tile, 0, static_cast<size_t>(panels * rows * kPanelRows) * sizeof(float));
    for (int64_t step = 0; step < layout.steps; ++step, x += rows) {
      for (int64_t p = 0; p < panels; ++p) {
        const uint8_t* panel = first_panel + p * layout.panel_bytes;
        PrefetchStep(layout, panel, panels, step);
        for (int64_t v = 0; v < kVectors; ++v) {
          AddStep(layout, panel, step, v * kLanes, x, rows, tile + p * rows * kPanelRows + v * kLanes);
        }
      }
    }
  }

 private:
  using Lower = HalfStep<kFormat.bits, 0, kVnni, kPairs>;
  using Upper = HalfStep<kFormat.bits, 1, kVnni, kPairs>;
  static constexpr bool kScaledHalves = kFormat.scales == Scales::kSuperD16;
  static constexpr int64_t kStepBytes = kFormat.CodeBytes();
  static constexpr int64_t kScaleBytes = kFormat.ScaleBytes() / kFormat.Steps();  // of a step

  // Asks for a step that lies some way ahead, in this panel or in the one that comes when `panels` are done: the
  // arithmetic keeps the processor from looking far enough ahead by itself. Into the second-level cache, because the
  // first has too few requests in flight.
  static HWY_INLINE void PrefetchStep(const PackedLayout& layout, const uint8_t* panel, int64_t panels, int64_t step) {
    constexpr int64_t kAhead = (12 << 10) / kStepBytes;  // steps, of all panels together
    step += std::min(layout.steps, kAhead / panels);
    if (step >= layout.steps) {
      step -= layout.steps;
      panel += panels * layout.panel_bytes;
    }
    for (int64_t i = 0; i < kStepBytes; i += 64) {
      __builtin_prefetch(panel + step * kStepBytes + i, 0, 2);
    }
    __builtin_prefetch(panel + layout.scale_offset + step * kScaleBytes, 0, 2);
  }

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
