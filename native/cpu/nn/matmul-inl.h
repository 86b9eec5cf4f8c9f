// The one kernel of the matrix product, for every type and number of rows.
#if defined(SYLVESTER_NATIVE_CPU_NN_MATMUL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_MATMUL_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_MATMUL_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_MATMUL_INL_H_
#endif

#include <algorithm>

#include "hwy/highway.h"
#include "native/cpu/nn/matmul.h"
#include "native/cpu/nn/plain_weights-inl.h"
#include "native/cpu/nn/quantize_rows-inl.h"
#include "native/cpu/nn/weight_formats-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

// Sums of one panel into y, with bias and the old y.
HWY_NOINLINE void StorePanel(const MatMul& mm, int64_t panel, int64_t first_row, int64_t rows,
                             const float* HWY_RESTRICT sums) {
  const int64_t first = panel * kPanelRows, count = std::min(kPanelRows, mm.n - first);
  for (int64_t r = 0; r < rows; ++r, sums += kPanelRows) {
    float* y = mm.y + (first_row + r) * mm.y_stride + first;
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      VF sum = hn::Load(DF(), sums + i);
      if (mm.bias != nullptr) sum = hn::Add(sum, hn::LoadU(DF(), mm.bias + first + i));
      if (mm.accumulate) sum = hn::Add(hn::LoadU(DF(), y + i), sum);
      hn::StoreU(sum, DF(), y + i);
    }
    for (; i < count; ++i) {
      float sum = sums[i];
      if (mm.bias != nullptr) sum += mm.bias[first + i];
      y[i] = mm.accumulate ? y[i] + sum : sum;
    }
  }
}

template <class Weights>
HWY_NOINLINE void MultiplyPanels(const MatMul& mm, int64_t chunk, int64_t first, int64_t last) {
  const int64_t rows = mm.RowsOf(chunk);
  const int64_t at_once = Weights::PanelsAtOnce(rows);
  const auto* x = mm.ChunkSteps<typename Weights::Activations>(chunk);
  HWY_ALIGN Tile tile;
  for (int64_t panel = first; panel < last; panel += at_once) {
    const int64_t panels = std::min(at_once, last - panel);
    Weights::MultiplyTile(mm.layout, mm.packed + panel * mm.layout.panel_bytes, panels, x, rows, tile);
    for (int64_t p = 0; p < panels; ++p) {
      StorePanel(mm, panel + p, chunk * mm.chunk_rows, rows, tile + p * rows * kPanelRows);
    }
  }
}

template <bool kVnni, bool kPairs>
HWY_INLINE void MultiplyPanelsOfType(const MatMul& mm, int64_t chunk, int64_t first, int64_t last) {
  switch (mm.type) {
    case SYL_Q4_0: return MultiplyPanels<BlockWeights<SYL_Q4_0, kVnni, kPairs>>(mm, chunk, first, last);
    case SYL_Q4_1: return MultiplyPanels<BlockWeights<SYL_Q4_1, kVnni, kPairs>>(mm, chunk, first, last);
    case SYL_Q5_0: return MultiplyPanels<BlockWeights<SYL_Q5_0, kVnni, kPairs>>(mm, chunk, first, last);
    case SYL_Q5_1: return MultiplyPanels<BlockWeights<SYL_Q5_1, kVnni, kPairs>>(mm, chunk, first, last);
    case SYL_Q8_0: return MultiplyPanels<BlockWeights<SYL_Q8_0, kVnni, kPairs>>(mm, chunk, first, last);
    case SYL_Q4_K: return MultiplyPanels<BlockWeights<SYL_Q4_K, kVnni, kPairs>>(mm, chunk, first, last);
    case SYL_Q5_K: return MultiplyPanels<BlockWeights<SYL_Q5_K, kVnni, kPairs>>(mm, chunk, first, last);
    case SYL_Q6_K: return MultiplyPanels<BlockWeights<SYL_Q6_K, kVnni, kPairs>>(mm, chunk, first, last);
    case SYL_F16: return MultiplyPanels<PlainWeights<SYL_F16>>(mm, chunk, first, last);
    case SYL_BF16: return MultiplyPanels<PlainWeights<SYL_BF16>>(mm, chunk, first, last);
    default: return MultiplyPanels<PlainWeights<SYL_F32>>(mm, chunk, first, last);
  }
}

// Rows first .. last-1 of x into the workspace.
void PrepareRows(const MatMul& mm, int64_t first, int64_t last) {
  for (int64_t r = first; r < last; ++r) {
    if (IsPlain(mm.type)) {
      CopyRow(mm, r);
    } else {
      QuantizeRow(mm, r);
    }
  }
}

// Panels first .. last-1 with the rows of one chunk.
void Multiply(const MatMul& mm, int64_t chunk, int64_t first, int64_t last) {
  MultiplyPanelsOfType<false, false>(mm, chunk, first, last);
}

#if HWY_TARGET == HWY_AVX3
void MultiplyVnni(const MatMul& mm, int64_t chunk, int64_t first, int64_t last) {
  MultiplyPanelsOfType<true, false>(mm, chunk, first, last);
}

void MultiplyVnniPairs(const MatMul& mm, int64_t chunk, int64_t first, int64_t last) {
  MultiplyPanelsOfType<true, true>(mm, chunk, first, last);
}
#endif

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
