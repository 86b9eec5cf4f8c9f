// The sampler's filters, steps 1 to 6 of sylvester/logits.h.
#ifndef SYLVESTER_NATIVE_CPU_LOGITS_FILTERS_H_
#define SYLVESTER_NATIVE_CPU_LOGITS_FILTERS_H_

#include <sylvester/logits.h>

#include "native/cpu/logits/draw.h"

namespace sylvester {

// Step 2 on logits; sorts ids.
void ApplyPenalties(const syl_sampler& sampler, int32_t* ids, int64_t count, float* logits);

// Steps 4 to 6: fills candidates (room for cols) with the tokens that remain, most probable first, and returns their
// number. max: largest of the logits.
int64_t SelectCandidates(const syl_sampler& sampler, const float* logits, int64_t cols, float max,
                         Candidate* candidates);

inline bool HasFilters(const syl_sampler& s, int64_t cols) {
  return (s.top_k > 0 && s.top_k < cols) || s.top_p < 1 || s.min_p > 0;
}

}  // namespace sylvester

#endif
