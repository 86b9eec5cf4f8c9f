// Commit rules over statistics of rows (sylvester/dlm.h); the same on every device.
#ifndef SYLVESTER_NATIVE_COMMON_DLM_RULES_H_
#define SYLVESTER_NATIVE_COMMON_DLM_RULES_H_

#include <sylvester/dlm.h>

#include "native/common/host_device.h"

namespace sylvester {

// What candidates are ordered by.
SYL_HOST_DEVICE inline double DlmScore(const syl_dlm_rule& rule, const syl_logits_stats& stats) {
  const int32_t score = rule.kind == SYL_DLM_FIXED_K         ? rule.score
                        : rule.kind == SYL_DLM_ENTROPY_BOUND ? static_cast<int32_t>(SYL_DLM_NEGATIVE_ENTROPY)
                                                             : static_cast<int32_t>(SYL_DLM_CONFIDENCE);
  switch (score) {
    case SYL_DLM_MARGIN: return stats.margin;
    case SYL_DLM_NEGATIVE_ENTROPY: return -stats.entropy;
    default: return stats.probability;
  }
}

// Whether the candidate of rank n < candidates, counted from 0, follows those before it. entropy: the sum of theirs.
SYL_HOST_DEVICE inline bool DlmTakes(const syl_dlm_rule& rule, int64_t n, int64_t candidates, double entropy,
                                     const syl_logits_stats& stats) {
  if (rule.kind == SYL_DLM_FIXED_K) return n < rule.k;
  if (n == 0) return true;
  switch (rule.kind) {
    case SYL_DLM_THRESHOLD: return stats.probability >= rule.bound;
    case SYL_DLM_FACTOR:
      return stats.probability >= 1 - rule.bound / static_cast<double>(n + 2) ||
             (rule.last_too != 0 && n == candidates - 1);
    default: return entropy <= rule.bound;
  }
}

// ---- Arguments ----

// All of a call of syl_dlm_select but scores and what overlaps.
syl_status CheckDlmCall(const char* function, const syl_dlm_rule* rule, const syl_logits_stats* stats, int64_t count,
                        const int32_t* selected, const int64_t* selected_count);
syl_status FailDlmScore(const char* function, int64_t candidate);

}  // namespace sylvester

#endif
