#include "native/cpu/kron/product.h"

#include "native/common/pool.h"
#include "native/common/tier.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/kron/product.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/half-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

// Rows of a tile: sums, a panel's vectors and a factor fill the registers.
constexpr int64_t kTileRows = HWY_LANES(float) >= 16 ? 8 : HWY_TARGET == HWY_SSE4 ? 2 : HWY_LANES(float) == 8 ? 6 : 4;

// kRows sums of a panel's columns into tile [kRows][kPanel].
template <int64_t kRows, int64_t kWidth, typename T>
HWY_INLINE void MultiplyTile(const float* const* HWY_RESTRICT rows, int64_t step, int64_t depth,
                             const T* HWY_RESTRICT panel, float* HWY_RESTRICT tile) {
  const hn::CappedTag<float, kWidth> d;
  constexpr int64_t kLanes = hn::MaxLanes(d), kVectors = kWidth / kLanes;
  hn::Vec<decltype(d)> sums[kRows][kVectors];
  for (auto& of_row : sums) {
    for (auto& sum : of_row) sum = hn::Zero(d);
  }
  for (int64_t i = 0, at = 0; i < depth; ++i, at += step, panel += kWidth) {
    hn::Vec<decltype(d)> columns[kVectors];
    for (int64_t v = 0; v < kVectors; ++v) columns[v] = LoadFloats(d, panel + v * kLanes);
    for (int64_t r = 0; r < kRows; ++r) {
      const auto value = hn::Set(d, rows[r][at]);
      for (int64_t v = 0; v < kVectors; ++v) sums[r][v] = hn::MulAdd(value, columns[v], sums[r][v]);
    }
  }
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t v = 0; v < kVectors; ++v) hn::StoreU(sums[r][v], d, tile + r * kPanel + v * kLanes);
  }
}

template <class D>
HWY_INLINE void StoreAt(D d, const KronProduct& product, const float* sums, float* c) {
  const auto scale = hn::Set(d, product.scale), sum = hn::LoadU(d, sums);
  hn::StoreU(product.accumulate ? hn::MulAdd(scale, sum, hn::LoadU(d, c)) : hn::Mul(scale, sum), d, c);
}

// Where the columns of a panel go; of contiguous ones only the first is told.
struct PanelTarget {
  int64_t count;
  bool contiguous;
  int64_t at[kPanel];
};

// With few terms a panel takes hardly longer than a division, so there is one a panel and not one a column.
HWY_INLINE PanelTarget TargetOf(const Axis& columns, int64_t first) {
  PanelTarget target;
  target.count = std::min(kPanel, columns.count - first);
  target.contiguous = true;
  int64_t outer = first / columns.group * columns.outer, i = first % columns.group;
  target.at[0] = outer + i * columns.inner;
  if (columns.inner == 1 && i + target.count <= columns.group) return target;
  for (int64_t j = 0; j < target.count; ++j) {
    target.at[j] = outer + i * columns.inner;
    target.contiguous &= target.at[j] == target.at[0] + j;
    if (++i == columns.group) i = 0, outer += columns.outer;
  }
  return target;
}

HWY_INLINE void StoreTile(const KronProduct& product, const PanelTarget& target, const int64_t* to, int64_t rows,
                          const float* tile) {
  const hn::CappedTag<float, kPanel> d;
  constexpr int64_t kLanes = hn::MaxLanes(d);
  const hn::CappedTag<float, 1> d1;
  if (target.contiguous) {
    for (int64_t r = 0; r < rows; ++r) {
      float* c = product.c + to[r] + target.at[0];
      int64_t j = 0;
      for (; j + kLanes <= target.count; j += kLanes) StoreAt(d, product, tile + r * kPanel + j, c + j);
      for (; j < target.count; ++j) StoreAt(d1, product, tile + r * kPanel + j, c + j);
    }
    return;
  }
  // By columns: their rows may be neighbours.
  for (int64_t j = 0; j < target.count; ++j) {
    float* c = product.c + target.at[j];
    for (int64_t r = 0; r < rows; ++r) StoreAt(d1, product, tile + r * kPanel + j, c + to[r]);
  }
}

template <int64_t kRows, int64_t kWidth, typename T>
HWY_NOINLINE void TilesOf(const KronProduct& product, const T* panel, const PanelTarget& target,
                          const float* const* rows, const int64_t* to) {
  HWY_ALIGN float tile[kRows * kPanel];
  MultiplyTile<kRows, kWidth>(rows, product.step, product.depth, panel, tile);
  StoreTile(product, target, to, kRows, tile);
}

// All rows of a block with one panel.
template <int64_t kWidth, typename T>
void PanelRows(const KronProduct& product, const T* panel, const PanelTarget& target, const float* const* rows,
               const int64_t* to, int64_t count) {
  int64_t r = 0;
  for (; r + kTileRows <= count; r += kTileRows) TilesOf<kTileRows, kWidth>(product, panel, target, rows + r, to + r);
  if constexpr (kTileRows > 4) {
    for (; r + 4 <= count; r += 4) TilesOf<4, kWidth>(product, panel, target, rows + r, to + r);
  }
  if constexpr (kTileRows > 2) {
    for (; r + 2 <= count; r += 2) TilesOf<2, kWidth>(product, panel, target, rows + r, to + r);
  }
  for (; r < count; ++r) TilesOf<1, kWidth>(product, panel, target, rows + r, to + r);
}

template <typename T>
void RowsTimesPanels(const KronProduct& product, int64_t first_row, int64_t rows, int64_t first_panel,
                     int64_t last_panel) {
  const float* from[kRowBlock];
  int64_t to[kRowBlock];
  for (int64_t r = 0; r < rows; ++r) {
    from[r] = product.a + product.rows.At(first_row + r);
    to[r] = product.to_rows.At(first_row + r);
  }
  for (int64_t p = first_panel; p < last_panel; ++p) {
    const auto* panel = static_cast<const T*>(product.panels) + p * kPanel * product.depth;
    const PanelTarget target = TargetOf(product.to_columns, p * kPanel);
    switch (PanelWidth(target.count)) {
      case 1: PanelRows<1>(product, panel, target, from, to, rows); break;
      case 2: PanelRows<2>(product, panel, target, from, to, rows); break;
      case 4: PanelRows<4>(product, panel, target, from, to, rows); break;
      case 8: PanelRows<8>(product, panel, target, from, to, rows); break;
      default: PanelRows<kPanel>(product, panel, target, from, to, rows);
    }
  }
}

void Multiply(const KronProduct& product, int64_t first_row, int64_t rows, int64_t first_panel, int64_t last_panel) {
  switch (product.type) {
    case SYL_F16: return RowsTimesPanels<hwy::float16_t>(product, first_row, rows, first_panel, last_panel);
    case SYL_BF16: return RowsTimesPanels<hwy::bfloat16_t>(product, first_row, rows, first_panel, last_panel);
    default: return RowsTimesPanels<float>(product, first_row, rows, first_panel, last_panel);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {

using MultiplyFunction = void (*)(const KronProduct&, int64_t, int64_t, int64_t, int64_t);
constexpr MultiplyFunction kMultiply[kTierCount] = SYL_TIERS(Multiply);
// Multiply-adds that are worth a task of their own.
constexpr int64_t kTaskCost = int64_t{1} << 18;

template <typename T>
void CopyPanels(const T* source, const Axis& columns, const Axis& depth, T* panels) {
  for (int64_t first = 0; first < columns.count; first += kPanel) {
    const int64_t count = std::min(kPanel, columns.count - first), width = PanelWidth(count);
    int64_t at[kPanel];
    for (int64_t j = 0; j < count; ++j) at[j] = columns.At(first + j);
    for (int64_t i = 0; i < depth.count; ++i, panels += width) {
      const T* row = source + depth.At(i);
      for (int64_t j = 0; j < width; ++j) panels[j] = j < count ? row[at[j]] : T{0};
    }
  }
}

}  // namespace

void PackPanels(syl_dtype type, const void* source, const Axis& columns, const Axis& depth, void* panels) {
  if (type == SYL_F32) {
    CopyPanels(static_cast<const float*>(source), columns, depth, static_cast<float*>(panels));
  } else {
    CopyPanels(static_cast<const uint16_t*>(source), columns, depth, static_cast<uint16_t*>(panels));
  }
}

void RunProduct(const KronProduct& product, syl_pool* pool) {
  const int64_t panels = (product.to_columns.count + kPanel - 1) / kPanel;
  const int64_t blocks = (product.rows.count + kRowBlock - 1) / kRowBlock;
  const int64_t panel_cost = std::min(kRowBlock, product.rows.count) * kPanel * product.depth;
  const int64_t per_task = Threads(pool) == 1 ? panels : std::min(panels, (kTaskCost + panel_cost - 1) / panel_cost);
  const int64_t tasks = (panels + per_task - 1) / per_task;
  const MultiplyFunction multiply = kMultiply[CurrentTier()];
  ParallelFor(pool, blocks * tasks, [&](int64_t task, int32_t) {
    const int64_t row = task / tasks * kRowBlock, panel = task % tasks * per_task;
    multiply(product, row, std::min(kRowBlock, product.rows.count - row), panel, std::min(panels, panel + per_task));
  });
}

}  // namespace sylvester
#endif
