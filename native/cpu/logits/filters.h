// The sampler's steps 2 to 6, see sylvester/logits.h.
#ifndef SYLVESTER_NATIVE_CPU_LOGITS_FILTERS_H_
#define SYLVESTER_NATIVE_CPU_LOGITS_FILTERS_H_

#include <sylvester/logits.h>

#include "native/cpu/logits/row.h"

namespace sylvester {

// Floats that filters may write behind the end of z and ids.
constexpr int64_t kListPadding = 16;

// Tokens that remain, in any order.
struct TokenList {
  int64_t count;
  float* z;        // room for cols + kListPadding
  int32_t* ids;    // the same
  uint64_t* keys;  // scratch: cols
};

// Step 2. counts: scratch, cols.
void ApplyPenalties(const syl_sampler& sampler, const int32_t* history, int64_t history_count, int32_t* counts,
                    float* logits);

// Steps 3 to 6, at least one of which is on. scale.max: the largest logit, finite.
void SelectTokens(const syl_sampler& sampler, const float* logits, int64_t cols, const Scale& scale, TokenList* list);

}  // namespace sylvester

#endif
