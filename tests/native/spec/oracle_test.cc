// Verification against float64 with plain loops, token for token, over random problems.
#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tests/native/spec/problem.h"
#include "tests/native/spec/random_problem.h"
#include "tests/native/spec/reference_verify.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr uint64_t kSeed = 20261130;

std::string Describe(const SpecProblem& p, size_t number) {
  std::string text = "problem " + std::to_string(number) + ": mode " + std::to_string(p.mode) + " kind " +
                     std::to_string(p.kind) + " siblings " + std::to_string(p.siblings) + " cols " +
                     std::to_string(p.cols) + " texts " + std::to_string(p.texts.size());
  if (p.tree) text += " tree";
  if (p.has_log_q) text += " log_q";
  if (p.has_masks) text += " masks";
  if (!p.target_ids.empty()) text += " reduced";
  return text;
}

// Rows that verification has no reason to read make it fail when it reads them.
void PoisonOthers(const SpecProblem& p, const std::vector<ReferenceVerifier>& wants, SpecCall* call) {
  const size_t cols = static_cast<size_t>(call->batch.stride), draft_cols = static_cast<size_t>(call->draft.stride);
  for (size_t s = 0; s < wants.size(); ++s) {
    for (size_t node = 0; node < p.texts[s].nodes.size(); ++node) {
      const size_t row = static_cast<size_t>(call->row_begin[s]) + node;
      const auto id = static_cast<int32_t>(node);
      if (wants[s].target_rows.count(id) == 0) std::fill_n(call->logits.begin() + row * cols, cols, kInfinity);
      if (wants[s].draft_rows.count(id) != 0) continue;
      std::fill_n(call->draft_rows.begin() + row * draft_cols, draft_cols,
                  p.kind == SYL_DRAFT_LOGITS ? kInfinity : -1.0f);
      std::fill(call->sparse_q.begin() + call->sparse_begin[row], call->sparse_q.begin() + call->sparse_begin[row + 1],
                -1.0f);
    }
  }
}

// Where a log q that is not the row's would contradict what siblings leave of the row.
void MakeLogQHonest(SpecProblem* p) {
  if (!p->has_log_q || p->kind != SYL_DRAFT_LOGITS || !p->tree) return;
  for (SpecText& text : p->texts) {
    ReferenceVerifier reference(*p, text);
    for (size_t i = 1; i < text.nodes.size(); ++i) {
      text.nodes[i].log_q = static_cast<float>(reference.LogQ(static_cast<int32_t>(i)));
    }
  }
}

struct Counts {
  int64_t texts = 0, unclear = 0, accepted = 0, residual = 0, q_is_zero = 0;
};

void ExpectSame(const SpecProblem& p, const std::vector<ReferenceVerifier>& wants, const SpecOutcome& got,
                Counts* counts) {
  size_t row = 0;
  for (size_t s = 0; s < wants.size(); ++s) {
    const ReferenceVerifier& want = wants[s];
    const size_t nodes = p.texts[s].nodes.size();
    SCOPED_TRACE("text " + std::to_string(s));
    ++counts->texts;
    counts->unclear += want.unclear;
    if (!want.unclear) {
      std::vector<int32_t> path = want.path;
      ASSERT_EQ(got.accepted[s], static_cast<int32_t>(path.size()));
      ASSERT_EQ(got.next_token[s], want.next_token);
      path.resize(nodes, -1);
      counts->accepted += got.accepted[s];
      for (size_t i = 0; i < nodes; ++i) {
        ASSERT_EQ(got.path[row + i], path[i]) << "node " << i;
        ASSERT_EQ(got.flags[row + i], want.flags[i]) << "node " << i;
        const float label = got.acceptance[row + i];
        ASSERT_EQ(std::isnan(label), std::isnan(want.acceptance[i])) << "node " << i;
        const double error = std::isnan(label) ? 0 : std::fabs(label - want.acceptance[i]);
        ASSERT_FALSE(error > 3e-5 * want.acceptance[i]) << "node " << i;
        counts->q_is_zero += (want.flags[i] & SYL_SPEC_Q_IS_ZERO) != 0;
        counts->residual += (want.flags[i] & SYL_SPEC_RESIDUAL_IS_EMPTY) != 0;
      }
    }
    row += nodes;
  }
}

// On every tier; with threads and alone; with rows that need not be read poisoned.
void Check(const SpecProblem& p, const std::vector<Pool>& pools, Counts* counts) {
  std::unique_ptr<SpecOutcome> fused;
  for (const std::string& tier : SupportedTiers()) {
    SCOPED_TRACE("tier " + tier);
    const TierGuard guard(tier);
    std::vector<ReferenceVerifier> wants;
    for (const SpecText& text : p.texts) {
      wants.emplace_back(p, text);
      wants.back().Run();
    }
    SpecCall call(p);
    const SpecOutcome first = call.Verify();
    Counts tier_counts;
    ASSERT_NO_FATAL_FAILURE(ExpectSame(p, wants, first, &tier_counts));
    if (IsFused(tier)) {
      *counts = tier_counts;
      ASSERT_TRUE(fused == nullptr || *fused == first) << "tiers differ";
      fused = std::make_unique<SpecOutcome>(first);
    }
    for (const Pool& pool : pools) ASSERT_TRUE(call.Verify(pool.get()) == first) << "threads";
    if (tier_counts.unclear > 0) continue;
    PoisonOthers(p, wants, &call);
    ASSERT_TRUE(call.Verify() == first) << "a row that nothing needs";
  }
}

void CheckMany(const std::vector<int64_t>& vocabularies, size_t problems, int32_t most_nodes, int32_t most_texts,
               uint64_t seed) {
  const int64_t threads[] = {2, 4};
  std::vector<Pool> pools;
  for (const int64_t count : threads) pools.push_back(NewPool(static_cast<int32_t>(count)));
  SpecProblems source(seed);
  Counts total;
  for (size_t i = 0; i < problems; ++i) {
    SpecProblem p = source.Next(vocabularies[i % vocabularies.size()], most_nodes, most_texts);
    MakeLogQHonest(&p);
    SCOPED_TRACE(Describe(p, i));
    Counts counts;
    ASSERT_NO_FATAL_FAILURE(Check(p, pools, &counts));
    total.texts += counts.texts;
    total.unclear += counts.unclear;
    total.accepted += counts.accepted;
    total.residual += counts.residual;
    total.q_is_zero += counts.q_is_zero;
  }
  std::printf("seed %llu: %lld texts, %lld within roundings, %lld candidates accepted, %lld q of 0, %lld empty\n",
              static_cast<unsigned long long>(seed), static_cast<long long>(total.texts),
              static_cast<long long>(total.unclear), static_cast<long long>(total.accepted),
              static_cast<long long>(total.q_is_zero), static_cast<long long>(total.residual));
  EXPECT_LT(total.unclear * 10, total.texts);
}

TEST(SpecOracle, SmallVocabularies) { CheckMany({1, 2, 7, 16, 31}, 3000, 8, 4, kSeed); }

TEST(SpecOracle, RowsAroundAChunkOfTheResidual) { CheckMany({255, 256, 257}, 600, 9, 3, kSeed + 1); }

TEST(SpecOracle, LongDraftsAndWideTrees) { CheckMany({7, 33}, 60, 256, 3, kSeed + 2); }

TEST(SpecOracle, RowsAroundAChunkOfTheMass) { CheckMany({4095, 4096, 4097}, 24, 6, 2, kSeed + 3); }

TEST(SpecOracle, RealVocabularies) { CheckMany({32000, 128256, 151936}, 9, 4, 1, kSeed + 4); }

}  // namespace
