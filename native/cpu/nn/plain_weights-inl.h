// Products of plain types: the sums of some rows and panels stay in registers over all of k, so that a weight is loaded
// once for these rows and each multiply-add needs no memory but a row's number.
#if defined(SYLVESTER_NATIVE_CPU_NN_PLAIN_WEIGHTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_PLAIN_WEIGHTS_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_PLAIN_WEIGHTS_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_PLAIN_WEIGHTS_INL_H_
#endif

#include <algorithm>

#include "hwy/highway.h"
#include "native/cpu/half-inl.h"
#include "native/cpu/nn/dot_i16-inl.h"
#include "native/cpu/nn/matmul.h"
#include "native/cpu/nn/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

template <syl_dtype kType>
class PlainWeights {
 public:
  using Activations = PlainStep;

  static int64_t PanelsAtOnce(int64_t rows) { return Panels(LargestBlock(rows)); }

  static HWY_INLINE void MultiplyTile(const PackedLayout& layout, const uint8_t* HWY_RESTRICT first_panel,
                                      int64_t panels, const PlainStep* HWY_RESTRICT x, int64_t rows, Tile& tile) {
    const int64_t blocks = (rows + kMostRows - 1) / kMostRows;
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t first = rows * b / blocks, last = rows * (b + 1) / blocks;
      const Operands operands{layout.steps, layout.panel_bytes, rows,
                              first_panel,  x + first,          tile + first * kPanelRows};
      MultiplyRows<kMostRows>(operands, last - first, panels);
    }
  }

 private:
  static constexpr int64_t kWeightBytes = kType == SYL_F32 ? 4 : 2;
  static constexpr int64_t kVectorBytes = kLanes * kWeightBytes;
  static constexpr int64_t kPanelBytes = kPanelRows * kWeightBytes;  // of one k
  static constexpr int64_t kAhead = 6 << 10;
  static constexpr int64_t kSums = kManyRegisters ? 24 : 12;  // vectors; the rest holds weights and rows
  static constexpr int64_t kMostRows = std::min<int64_t>(8, kSums / kVectors);

  struct Operands {
    int64_t steps, panel_bytes, rows;
    const uint8_t* HWY_RESTRICT panel;
    const PlainStep* HWY_RESTRICT x;
    float* HWY_RESTRICT sums;
  };

  static constexpr int64_t LargestBlock(int64_t rows) {
    const int64_t blocks = (rows + kMostRows - 1) / kMostRows;
    return (rows + blocks - 1) / blocks;
  }

  // A power of two: the last panels of a matrix are taken by halves of it.
  static constexpr int64_t Panels(int64_t rows) {
    int64_t panels = 1;
    while (panels < 8 && 2 * panels * rows * kVectors <= kSums) panels *= 2;
    return panels;
  }

  template <int64_t kRows>
  static HWY_INLINE void MultiplyRows(const Operands& operands, int64_t rows, int64_t panels) {
    if constexpr (kRows > 0) {
      if (rows == kRows) {
        MultiplyBlocks<kRows, Panels(kRows)>(operands, panels);
      } else {
        MultiplyRows<kRows - 1>(operands, rows, panels);
      }
    }
  }

  template <int64_t kRows, int64_t kPanels>
  static HWY_INLINE void MultiplyBlocks(Operands operands, int64_t panels) {
    for (; panels >= kPanels; panels -= kPanels) {
      MultiplyBlock<kRows, kPanels>(operands);
      operands.panel += kPanels * operands.panel_bytes;
      operands.sums += kPanels * operands.rows * kPanelRows;
    }
    if constexpr (kPanels > 1) MultiplyBlocks<kRows, kPanels / 2>(operands, panels);
  }

  template <int64_t kRows, int64_t kPanels>
  static HWY_NOINLINE void MultiplyBlock(const Operands& operands) {
    constexpr int64_t kAll = kPanels * kVectors;
    VF sums[kAll][kRows];
#pragma GCC unroll 32
    for (auto& of_vector : sums) {
#pragma GCC unroll 32
      for (VF& sum : of_vector) sum = hn::Zero(DF());
    }
    const uint8_t* HWY_RESTRICT panel = operands.panel;
    const PlainStep* HWY_RESTRICT x = operands.x;
    for (int64_t step = 0; step < operands.steps; ++step, x += operands.rows) {
      if constexpr (kPanels == 1) {  // of one stream the processor does not read far enough ahead by itself
        for (int64_t i = 0; i < kPlainStep * kPanelBytes; i += 64) __builtin_prefetch(panel + kAhead + i, 0, 2);
      }
#pragma GCC unroll 8
      for (int64_t i = 0; i < kPlainStep; ++i, panel += kPanelBytes) {
        const auto weights = [&](int64_t v) HWY_ATTR {
          return Load(panel + v / kVectors * operands.panel_bytes + v % kVectors * kVectorBytes);
        };
        const auto of_row = [&](int64_t r) HWY_ATTR { return hn::Set(DF(), x[r].x[i]); };
        // The fewer of the two wait in registers.
        if constexpr (kRows < kAll) {
          VF row[kRows];
#pragma GCC unroll 32
          for (int64_t r = 0; r < kRows; ++r) row[r] = of_row(r);
#pragma GCC unroll 32
          for (int64_t v = 0; v < kAll; ++v) {
            const VF w = weights(v);
#pragma GCC unroll 32
            for (int64_t r = 0; r < kRows; ++r) sums[v][r] = hn::MulAdd(w, row[r], sums[v][r]);
          }
        } else {
          VF w[kAll];
#pragma GCC unroll 32
          for (int64_t v = 0; v < kAll; ++v) w[v] = weights(v);
#pragma GCC unroll 32
          for (int64_t r = 0; r < kRows; ++r) {
            const VF row = of_row(r);
#pragma GCC unroll 32
            for (int64_t v = 0; v < kAll; ++v) sums[v][r] = hn::MulAdd(w[v], row, sums[v][r]);
          }
        }
      }
    }
#pragma GCC unroll 32
    for (int64_t v = 0; v < kAll; ++v) {
      float* sum = operands.sums + v / kVectors * operands.rows * kPanelRows + v % kVectors * kLanes;
#pragma GCC unroll 32
      for (int64_t r = 0; r < kRows; ++r) hn::Store(sums[v][r], DF(), sum + r * kPanelRows);
    }
  }

  static HWY_INLINE VF Load(const uint8_t* p) {
    if constexpr (kType == SYL_F32) {
      return hn::Load(DF(), reinterpret_cast<const float*>(p));
    } else if constexpr (kType == SYL_F16) {
      return LoadFloats(DF(), reinterpret_cast<const hwy::float16_t*>(p));
    } else {
      const hn::Rebind<hwy::bfloat16_t, DF> dbf16;
      return hn::PromoteTo(DF(), hn::Load(dbf16, reinterpret_cast<const hwy::bfloat16_t*>(p)));
    }
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
