#include <sylvester/dlm.h>

#include <algorithm>
#include <cmath>

#include "native/common/status.h"

namespace sylvester {
namespace {

double ScoreOf(const syl_dlm_rule& rule, const syl_logits_stats& stats) {
  const int32_t score = rule.kind == SYL_DLM_FIXED_K         ? rule.score
                        : rule.kind == SYL_DLM_ENTROPY_BOUND ? static_cast<int32_t>(SYL_DLM_NEGATIVE_ENTROPY)
                                                             : static_cast<int32_t>(SYL_DLM_CONFIDENCE);
  switch (score) {
    case SYL_DLM_MARGIN: return stats.margin;
    case SYL_DLM_NEGATIVE_ENTROPY: return -stats.entropy;
    default: return stats.probability;
  }
}

// How many of the ordered candidates the rule takes.
int64_t CountOf(const syl_dlm_rule& rule, const syl_logits_stats* stats, const int32_t* order, int64_t candidates) {
  if (candidates == 0) return 0;
  if (rule.kind == SYL_DLM_FIXED_K) return std::min(rule.k, candidates);
  int64_t n = 1;
  double before = stats[order[0]].entropy;
  const auto takes_next = [&] {
    const double confidence = stats[order[n]].probability;
    switch (rule.kind) {
      case SYL_DLM_THRESHOLD: return confidence >= rule.bound;
      case SYL_DLM_FACTOR: return confidence >= 1 - rule.bound / static_cast<double>(n + 2);
      default: return before <= rule.bound;
    }
  };
  for (; n < candidates && takes_next(); ++n) before += stats[order[n]].entropy;
  if (rule.kind == SYL_DLM_FACTOR && rule.last_too != 0 && n == candidates - 1) ++n;
  return n;
}

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_dlm_select(const syl_dlm_rule* rule, const syl_logits_stats* stats, const uint8_t* masked, int64_t count,
                          int32_t* selected, int64_t* selected_count) {
  SYL_REQUIRE_STRUCT(rule);
  SYL_REQUIRE_PTR(selected_count);
  SYL_REQUIRE_RANGE(count, 0, INT32_MAX);
  if (count > 0) SYL_REQUIRE_PTR(stats);
  if (count > 0) SYL_REQUIRE_PTR(selected);
  SYL_REQUIRE_RANGE(rule->kind, SYL_DLM_FIXED_K, SYL_DLM_ENTROPY_BOUND);
  if (rule->kind == SYL_DLM_FIXED_K) {
    SYL_REQUIRE_RANGE(rule->score, SYL_DLM_CONFIDENCE, SYL_DLM_NEGATIVE_ENTROPY);
    SYL_REQUIRE_RANGE(rule->k, 0, INT64_MAX);
  } else {
    SYL_REQUIRE(std::isfinite(rule->bound) && rule->bound >= 0 && (rule->kind != SYL_DLM_FACTOR || rule->bound > 0) &&
                    (rule->kind != SYL_DLM_THRESHOLD || rule->bound <= 1),
                SYL_BAD_VALUE, "rule->bound is %g, outside what kind %d allows", rule->bound, rule->kind);
    SYL_REQUIRE_RANGE(rule->last_too, 0, 1);
  }
  const int64_t stats_bytes = count * static_cast<int64_t>(sizeof(*stats)), selected_bytes = count * 4;
  SYL_REQUIRE(!Overlaps(selected, selected_bytes, stats, stats_bytes) &&
                  !(masked != nullptr && Overlaps(selected, selected_bytes, masked, count)) &&
                  !Overlaps(selected, selected_bytes, selected_count, sizeof(*selected_count)) &&
                  !Overlaps(selected, selected_bytes, rule, sizeof(*rule)),
              SYL_OVERLAP, "selected (%lld results) overlaps another argument", static_cast<long long>(count));
  for (int64_t i = 0; i < count; ++i) {
    SYL_REQUIRE((masked != nullptr && masked[i] == 0) || !std::isnan(ScoreOf(*rule, stats[i])), SYL_BAD_DATA,
                "the score of stats[%lld] is NaN", static_cast<long long>(i));
  }

  int64_t candidates = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (masked == nullptr || masked[i] != 0) selected[candidates++] = static_cast<int32_t>(i);
  }
  const int64_t ordered = rule->kind == SYL_DLM_FIXED_K ? std::min(rule->k, candidates) : candidates;
  std::partial_sort(selected, selected + ordered, selected + candidates, [&](int32_t a, int32_t b) {
    const double of_a = ScoreOf(*rule, stats[a]), of_b = ScoreOf(*rule, stats[b]);
    return of_a > of_b || (of_a == of_b && a < b);
  });
  *selected_count = CountOf(*rule, stats, selected, candidates);
  return SYL_OK;
}
