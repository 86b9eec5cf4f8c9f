#include "native/cpu/spec/row.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sylvester {

bool LoadRow(const syl_sampler& sampler, const RowInputs& inputs, const float* logits, int64_t cols, Need need,
             const RowTotals* known, RowScratch* scratch, LoadedRow* row) {
  logits = ChangeLogits(sampler, inputs, logits, cols, scratch);
  const bool filters = need != Need::kArgmax && HasFilters(sampler, cols);
  RowTotals totals{0, 0};
  if (need == Need::kArgmax) {
    row->argmax = ArgmaxOfRow(logits, cols, &totals.max);
  } else if (need == Need::kDraw || filters) {
    totals.max = MaxOfRow(logits, cols);
  } else {
    totals = known != nullptr ? *known : TotalsOfRow(logits, cols, InverseTemperature(sampler));
  }
  row->prepared = {logits, cols, {totals.max, InverseTemperature(sampler)}, nullptr};
  row->mass = totals.mass;
  if (!std::isfinite(totals.max)) return false;
  if (!filters) return true;

  TokenList& list = scratch->list;
  SelectTokens(sampler, logits, cols, row->prepared.scale, &list);
  row->prepared.list = &list;
  if (need == Need::kDraw) return true;
  // The logits are not needed any more.
  std::fill_n(scratch->logits, cols, -std::numeric_limits<float>::infinity());
  for (int64_t i = 0; i < list.count; ++i) scratch->logits[list.ids[i]] = list.z[i];
  row->prepared.logits = scratch->logits;
  row->prepared.scale = {0, 1};
  row->mass = known != nullptr ? known->mass : TotalsOfRow(scratch->logits, cols, 1).mass;
  return true;
}

}  // namespace sylvester
