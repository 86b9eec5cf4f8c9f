#include <cmath>

#include "native/common/dlm_rules.h"
#include "native/common/status.h"

namespace sylvester {

syl_status CheckDlmCall(const char* function, const syl_dlm_rule* rule, const syl_logits_stats* stats, int64_t count,
                        const int32_t* selected, const int64_t* selected_count) {
  const auto null = [&](const char* name) { return Fail(SYL_NULL_ARGUMENT, "%s: %s is NULL", function, name); };
  const auto range = [&](const char* name, int64_t value, int64_t low, int64_t high) -> syl_status {
    if (value >= low && value <= high) return SYL_OK;
    return Fail(SYL_BAD_VALUE, "%s: %s is %lld, must be %lld..%lld", function, name, static_cast<long long>(value),
                static_cast<long long>(low), static_cast<long long>(high));
  };
  if (rule == nullptr) return null("rule");
  if (rule->struct_size != sizeof(*rule)) {
    return Fail(SYL_BAD_VALUE, "%s: rule->struct_size is %u, must be %zu", function, rule->struct_size, sizeof(*rule));
  }
  if (selected_count == nullptr) return null("selected_count");
  if (const syl_status bad = range("count", count, 0, INT32_MAX)) return bad;
  if (count > 0 && stats == nullptr) return null("stats");
  if (count > 0 && selected == nullptr) return null("selected");
  if (const syl_status bad = range("rule->kind", rule->kind, SYL_DLM_FIXED_K, SYL_DLM_ENTROPY_BOUND)) return bad;
  if (rule->kind == SYL_DLM_FIXED_K) {
    if (const syl_status bad = range("rule->score", rule->score, SYL_DLM_CONFIDENCE, SYL_DLM_NEGATIVE_ENTROPY)) {
      return bad;
    }
    return range("rule->k", rule->k, 0, INT64_MAX);
  }
  if (!(std::isfinite(rule->bound) && rule->bound >= 0 && (rule->kind != SYL_DLM_FACTOR || rule->bound > 0) &&
        (rule->kind != SYL_DLM_THRESHOLD || rule->bound <= 1))) {
    return Fail(SYL_BAD_VALUE, "%s: rule->bound is %g, outside what kind %d allows", function, rule->bound, rule->kind);
  }
  return range("rule->last_too", rule->last_too, 0, 1);
}

syl_status FailDlmScore(const char* function, int64_t candidate) {
  return Fail(SYL_BAD_DATA, "%s: the score of stats[%lld] is NaN", function, static_cast<long long>(candidate));
}

}  // namespace sylvester
