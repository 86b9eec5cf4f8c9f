#include <cmath>

#include "native/common/check.h"
#include "native/common/dlm_rules.h"

namespace sylvester {

syl_status CheckDlmCall(const char* function, const syl_dlm_rule* rule, const syl_logits_stats* stats, int64_t count,
                        const int32_t* selected, const int64_t* selected_count) {
  CHECK_PTR(rule);
  CHECK(rule->struct_size == sizeof(*rule), SYL_BAD_VALUE, "rule->struct_size is %u, must be %zu", rule->struct_size,
        sizeof(*rule));
  CHECK_PTR(selected_count);
  CHECK_RANGE(count, 0, INT32_MAX);
  CHECK(count == 0 || stats != nullptr, SYL_NULL_ARGUMENT, "%s is NULL", "stats");
  CHECK(count == 0 || selected != nullptr, SYL_NULL_ARGUMENT, "%s is NULL", "selected");
  CHECK_RANGE(rule->kind, SYL_DLM_FIXED_K, SYL_DLM_ENTROPY_BOUND);
  if (rule->kind == SYL_DLM_FIXED_K) {
    CHECK_RANGE(rule->score, SYL_DLM_CONFIDENCE, SYL_DLM_NEGATIVE_ENTROPY);
    CHECK_RANGE(rule->k, 0, INT64_MAX);
    return SYL_OK;
  }
  CHECK(std::isfinite(rule->bound) && rule->bound >= 0 && (rule->kind != SYL_DLM_FACTOR || rule->bound > 0) &&
            (rule->kind != SYL_DLM_THRESHOLD || rule->bound <= 1),
        SYL_BAD_VALUE, "rule->bound is %g, outside what kind %d allows", rule->bound, rule->kind);
  CHECK_RANGE(rule->last_too, 0, 1);
  return SYL_OK;
}

syl_status FailDlmScore(const char* function, int64_t candidate) {
  return Fail(SYL_BAD_DATA, "%s: the score of stats[%lld] is NaN", function, static_cast<long long>(candidate));
}

}  // namespace sylvester
