// The one product behind Kronecker adapters: rows of any layout times columns packed into panels.
#ifndef SYLVESTER_NATIVE_CPU_KRON_PRODUCT_H_
#define SYLVESTER_NATIVE_CPU_KRON_PRODUCT_H_

#include <sylvester/common.h>

#include <algorithm>
#include <cstdint>

#include "native/common/kron_plan.h"

namespace sylvester {

constexpr int64_t kPanel = 16;
// Rows that share the reading of a panel.
constexpr int64_t kRowBlock = 64;

// Columns lie in panels of 16, [depth][width]; the last panel is as narrow as a power of two allows.
inline int64_t PanelWidth(int64_t columns) {
  int64_t width = 1;
  while (width < columns && width < kPanel) width *= 2;
  return width;
}

inline int64_t PanelElements(int64_t columns, int64_t depth) {
  const int64_t last = columns % kPanel;
  return depth * (columns - last + (last == 0 ? 0 : PanelWidth(last)));
}

// Panels of the matrix source[columns.At(c) + depth.At(d)], missing columns 0. elements: PanelElements().
void PackPanels(syl_dtype type, const void* source, const Axis& columns, const Axis& depth, void* panels);

// c[to_rows.At(r) + to_columns.At(j)] = scale sum_d a[rows.At(r) + d step] panels(d, j), or added to it: one chain of
// fused multiply-adds from d = 0 on, for whatever rows are computed with a row.
struct KronProduct {
  const float* a;
  Axis rows;
  int64_t step, depth;
  syl_dtype type;  // of the panels
  const void* panels;
  float* c;
  Axis to_rows, to_columns;  // counts and groups of to_rows: those of rows
  float scale;
  bool accumulate;
};
void RunProduct(const KronProduct& product, syl_pool* pool);

}  // namespace sylvester

#endif
