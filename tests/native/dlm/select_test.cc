#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cmath>
#include <random>
#include <vector>

#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 54;

syl_dlm_rule Rule(int32_t kind, double bound) {
  syl_dlm_rule rule = {};
  rule.struct_size = sizeof(rule);
  rule.kind = kind;
  rule.bound = bound;
  return rule;
}

double Score(const syl_dlm_rule& rule, const syl_logits_stats& s) {
  if (rule.kind == SYL_DLM_ENTROPY_BOUND) return -s.entropy;
  if (rule.kind != SYL_DLM_FIXED_K || rule.score == SYL_DLM_CONFIDENCE) return s.probability;
  return rule.score == SYL_DLM_MARGIN ? s.margin : -s.entropy;
}

// By the papers' words: again and again the best of those that are left, until the rule says no.
std::vector<int32_t> Wanted(const syl_dlm_rule& rule, const std::vector<syl_logits_stats>& stats,
                            const std::vector<uint8_t>& masked) {
  std::vector<int32_t> left, chosen;
  for (size_t i = 0; i < stats.size(); ++i) {
    if (masked[i] != 0) left.push_back(static_cast<int32_t>(i));
  }
  double entropies = 0;
  while (!left.empty()) {
    size_t best = 0;
    for (size_t i = 1; i < left.size(); ++i) {
      if (Score(rule, stats[static_cast<size_t>(left[i])]) > Score(rule, stats[static_cast<size_t>(left[best])]))
        best = i;
    }
    const syl_logits_stats& s = stats[static_cast<size_t>(left[best])];
    const auto n = static_cast<double>(chosen.size() + 1);
    bool takes = n == 1;
    if (rule.kind == SYL_DLM_FIXED_K) takes = static_cast<int64_t>(chosen.size()) < rule.k;
    if (rule.kind == SYL_DLM_THRESHOLD) takes = takes || s.probability >= rule.bound;
    if (rule.kind == SYL_DLM_FACTOR) {
      takes = takes || s.probability >= 1 - rule.bound / (n + 1) || (rule.last_too != 0 && left.size() == 1);
    }
    if (rule.kind == SYL_DLM_ENTROPY_BOUND) takes = takes || entropies <= rule.bound;
    if (!takes) break;
    entropies += s.entropy;
    chosen.push_back(left[best]);
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(best));
  }
  return chosen;
}

TEST(DlmSelect, TenThousandRandomCases) {
  std::mt19937 random(kSeed);
  const auto uniform = [&] { return std::uniform_real_distribution<double>()(random); };
  for (int round = 0; round < 10000; ++round) {
    const size_t count = random() % 33;
    std::vector<syl_logits_stats> stats(count);
    std::vector<uint8_t> masked(count);
    for (size_t i = 0; i < count; ++i) {
      // Few values: many ties.
      stats[i].probability = round % 2 == 0 ? static_cast<double>(random() % 5) / 4 : 1 - 0.3 * uniform();
      stats[i].margin = static_cast<double>(random() % 7) / 7;
      stats[i].entropy = round % 3 == 0 ? static_cast<double>(random() % 4) / 8 : 0.2 * uniform();
      masked[i] = random() % 4 != 0;
    }
    for (int32_t kind = SYL_DLM_FIXED_K; kind <= SYL_DLM_ENTROPY_BOUND; ++kind) {
      syl_dlm_rule rule = Rule(kind, kind == SYL_DLM_FACTOR ? 0.1 + 2 * uniform() : uniform());
      rule.score = static_cast<int32_t>(random() % 3);
      rule.k = static_cast<int64_t>(random() % 40);
      rule.last_too = static_cast<int32_t>(random() % 2);
      std::vector<int32_t> selected(count + 1, -7);
      int64_t n = -1;
      ASSERT_EQ(syl_dlm_select(&rule, stats.data(), masked.data(), static_cast<int64_t>(count), selected.data(), &n),
                SYL_OK)
          << syl_last_error();
      EXPECT_EQ(selected[count], -7);
      selected.resize(static_cast<size_t>(n));
      ASSERT_EQ(selected, Wanted(rule, stats, masked)) << "kind " << kind << " round " << round << " seed " << kSeed;
    }
  }
}

TEST(DlmSelect, WithoutFlagsAllAreCandidates) {
  std::vector<syl_logits_stats> stats(3);
  stats[1].probability = 0.95;
  stats[2].probability = 0.9;
  const syl_dlm_rule rule = Rule(SYL_DLM_THRESHOLD, 0.9);
  std::vector<int32_t> selected(3);
  int64_t n = -1;
  ASSERT_EQ(syl_dlm_select(&rule, stats.data(), nullptr, 3, selected.data(), &n), SYL_OK);
  EXPECT_EQ(n, 2);
  EXPECT_EQ(selected[0], 1);
  EXPECT_EQ(selected[1], 2);
  ASSERT_EQ(syl_dlm_select(&rule, nullptr, nullptr, 0, nullptr, &n), SYL_OK);
  EXPECT_EQ(n, 0);
}

TEST(DlmSelect, BadArgumentsAreRefused) {
  std::vector<syl_logits_stats> stats(2);
  std::vector<int32_t> selected(2);
  const std::vector<uint8_t> masked = {1, 0};
  int64_t n = -7;
  const auto refused = [&](const syl_dlm_rule& rule, syl_status status, const char* text) {
    EXPECT_REFUSED(syl_dlm_select(&rule, stats.data(), masked.data(), 2, selected.data(), &n), status, text);
    EXPECT_EQ(n, -7);
  };
  syl_dlm_rule rule = Rule(SYL_DLM_FIXED_K, 0);
  rule.struct_size = 3;
  refused(rule, SYL_BAD_VALUE, "rule->struct_size is 3");
  refused(Rule(4, 0), SYL_BAD_VALUE, "kind is 4");
  rule = Rule(SYL_DLM_FIXED_K, 0);
  rule.k = -1;
  refused(rule, SYL_BAD_VALUE, "k is -1");
  rule.k = 1;
  rule.score = 3;
  refused(rule, SYL_BAD_VALUE, "score is 3");
  refused(Rule(SYL_DLM_THRESHOLD, 1.5), SYL_BAD_VALUE, "bound is 1.5");
  refused(Rule(SYL_DLM_FACTOR, 0), SYL_BAD_VALUE, "bound is 0");
  refused(Rule(SYL_DLM_ENTROPY_BOUND, -1), SYL_BAD_VALUE, "bound is -1");
  refused(Rule(SYL_DLM_ENTROPY_BOUND, kNaN), SYL_BAD_VALUE, "bound is nan");
  stats[1].probability = kNaN;  // no candidate
  rule = Rule(SYL_DLM_THRESHOLD, 0.5);
  EXPECT_EQ(syl_dlm_select(&rule, stats.data(), masked.data(), 2, selected.data(), &n), SYL_OK);
  n = -7;
  stats[0].probability = kNaN;
  refused(rule, SYL_BAD_DATA, "the score of stats[0] is NaN");
  EXPECT_REFUSED(syl_dlm_select(&rule, stats.data(), nullptr, 2, reinterpret_cast<int32_t*>(stats.data()), &n),
                 SYL_OVERLAP, "selected");
  EXPECT_REFUSED(syl_dlm_select(&rule, nullptr, nullptr, 2, selected.data(), &n), SYL_NULL_ARGUMENT, "stats is NULL");
  EXPECT_REFUSED(syl_dlm_select(&rule, stats.data(), nullptr, -1, selected.data(), &n), SYL_BAD_VALUE, "count is -1");
}

}  // namespace
