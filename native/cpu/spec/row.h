// A row of logits as a distribution, after the sampler's steps 1 to 6.
#ifndef SYLVESTER_NATIVE_CPU_SPEC_ROW_H_
#define SYLVESTER_NATIVE_CPU_SPEC_ROW_H_

#include <cstdint>

#include "native/common/spec_rules.h"
#include "native/cpu/logits/prepare.h"
#include "native/cpu/spec/remainder.h"

namespace sylvester {

enum class Need { kArgmax, kDraw, kProbabilities };

struct LoadedRow {
  PreparedRow prepared;
  int64_t argmax;  // kArgmax
  double mass;     // kProbabilities: of exp(z) over prepared.logits, where tokens that filters drop are -inf

  SpecProbability Of(int64_t token) const {
    const float z = (prepared.logits[token] - prepared.scale.max) * prepared.scale.inv_temperature;
    return {SpecExp(z), mass};
  }

  ProbabilityRow From(int64_t first) const {
    return {prepared.logits + first, prepared.scale, static_cast<float>(1 / mass)};
  }

  void Chunk(int64_t first, int64_t count, float* p) const { Probabilities(From(first), count, p); }

  RowTotals totals() const { return {prepared.scale.max, mass}; }
};

// known: totals of the row from an earlier call; nullptr: none. False when the largest logit, row->prepared.scale.max,
// is not finite. scratch: for logits that change and for filters.
bool LoadRow(const syl_sampler& sampler, const RowInputs& inputs, const float* logits, int64_t cols, Need need,
             const RowTotals* known, RowScratch* scratch, LoadedRow* row);

}  // namespace sylvester

#endif
