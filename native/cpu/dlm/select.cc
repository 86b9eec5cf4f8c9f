#include <sylvester/dlm.h>

#include <algorithm>
#include <cmath>

#include "native/common/dlm_rules.h"
#include "native/common/status.h"

using namespace sylvester;

syl_status syl_dlm_select(const syl_dlm_rule* rule, const syl_logits_stats* stats, const uint8_t* masked, int64_t count,
                          int32_t* selected, int64_t* selected_count) {
  if (const syl_status bad = CheckDlmCall(__func__, rule, stats, count, selected, selected_count)) return bad;
  const int64_t stats_bytes = count * static_cast<int64_t>(sizeof(*stats)), selected_bytes = count * 4;
  SYL_REQUIRE(!Overlaps(selected, selected_bytes, stats, stats_bytes) &&
                  !(masked != nullptr && Overlaps(selected, selected_bytes, masked, count)) &&
                  !Overlaps(selected, selected_bytes, selected_count, sizeof(*selected_count)) &&
                  !Overlaps(selected, selected_bytes, rule, sizeof(*rule)),
              SYL_OVERLAP, "selected (%lld results) overlaps another argument", static_cast<long long>(count));
  for (int64_t i = 0; i < count; ++i) {
    const bool counts = masked == nullptr || masked[i] != 0;
    if (counts && std::isnan(DlmScore(*rule, stats[i]))) return FailDlmScore(__func__, i);
  }

  int64_t candidates = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (masked == nullptr || masked[i] != 0) selected[candidates++] = static_cast<int32_t>(i);
  }
  const int64_t ordered = rule->kind == SYL_DLM_FIXED_K ? std::min(rule->k, candidates) : candidates;
  std::partial_sort(selected, selected + ordered, selected + candidates, [&](int32_t a, int32_t b) {
    const double of_a = DlmScore(*rule, stats[a]), of_b = DlmScore(*rule, stats[b]);
    return of_a > of_b || (of_a == of_b && a < b);
  });
  int64_t n = 0;
  for (double entropy = 0; n < candidates && DlmTakes(*rule, n, candidates, entropy, stats[selected[n]]); ++n) {
    entropy += stats[selected[n]].entropy;
  }
  *selected_count = n;
  return SYL_OK;
}
