// Texts written by rounds of speculation have the law of the target alone; and the statistic that says so finds every
// mistake that implementations are known to make.
#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/native/spec/text_laws.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr uint64_t kSeed = 4;
constexpr double kLimit = 10;  // z: chi^2 <= df + 10 sqrt(2 df)

double Z(const char* name, const Speculating& s, int64_t texts, uint64_t seed = kSeed) {
  const Counted counted = WriteTexts(s, texts, seed);
  const double z = ChiSquareZ(counted.cells, WantedLaw(s));
  std::printf("%-44s z %9.2f, %.3f accepted a round\n", name, z,
              static_cast<double>(counted.accepted) / static_cast<double>(std::max<int64_t>(counted.rounds, 1)));
  return z;
}

TEST(SpecDistribution, OneTokenOfAnOpposedDraft) {
  const TableModel target(16, 1, 1.2f), draft = target.Opposed();
  Speculating s{&target, &draft};
  EXPECT_LE(Z("TOKEN, V=16, opposed", s, 4000000), kLimit);
  s.tree = true;
  s.most = 3;
  EXPECT_LE(Z("3 independent siblings, V=16, opposed", s, 300000), kLimit);
  s.siblings = SYL_SIBLINGS_WITHOUT_REPLACEMENT;
  EXPECT_LE(Z("3 without replacement, V=16, opposed", s, 300000), kLimit);
}

TEST(SpecDistribution, ThreeTokensInRoundsOfAdaptiveLength) {
  const TableModel target(8, 2, 1), draft(8, 3, 1);
  Speculating s{&target, &draft};
  s.length = 3;
  s.most = 4;
  s.draft_sampler.temperature = 1.3f;
  for (const syl_spec_mode mode : {SYL_SPEC_TOKEN, SYL_SPEC_BLOCK}) {
    s.mode = mode;
    const std::string name = mode == SYL_SPEC_TOKEN ? "TOKEN" : "BLOCK";
    s.adaptive = false;
    EXPECT_LE(Z((name + ", V=8, 3 tokens, K=4").c_str(), s, 100000), kLimit);
    s.adaptive = true;
    EXPECT_LE(Z((name + ", V=8, 3 tokens, adaptive").c_str(), s, 300000), kLimit);
  }
}

// Against plain sampling, with everything that changes rows.
TEST(SpecDistribution, FiltersPenaltiesAndMasks) {
  const TableModel target(16, 5, 1.5f), draft(16, 6, 1.5f);
  Speculating s{&target, &draft};
  s.length = 2;
  s.most = 2;
  s.sampler.temperature = 0.8f;
  s.sampler.presence_penalty = 0.7f;
  s.sampler.frequency_penalty = 0.4f;
  s.sampler.repetition_penalty = 1.2f;
  s.masked = true;
  s.draft_sampler = s.sampler;
  s.draft_sampler.temperature = 1.2f;
  struct Filters {
    const char* name;
    int64_t texts;
    int32_t top_k;
    float top_p, min_p;
  };
  for (const Filters& f : {Filters{"top-k", 50000, 9, 1, 0},
                           {"top-p", 50000, 0, 0.9f, 0},
                           {"min-p", 50000, 0, 1, 0.06f},
                           {"top-k, top-p and min-p", 300000, 12, 0.95f, 0.02f}}) {
    s.sampler.top_k = f.top_k;
    s.sampler.top_p = f.top_p;
    s.sampler.min_p = f.min_p;
    s.plain = true;
    const Counted plain = WriteTexts(s, f.texts, kSeed + 1);
    s.plain = false;
    for (const syl_spec_mode mode : {SYL_SPEC_TOKEN, SYL_SPEC_BLOCK}) {
      s.mode = mode;
      const Counted drafted = WriteTexts(s, f.texts, kSeed + 2);
      const double z = TwoSampleZ(plain.cells, drafted.cells);
      std::printf("%-44s z %9.2f\n", f.name, z);
      EXPECT_LE(z, kLimit) << f.name << " mode " << mode;
      EXPECT_LE(ChiSquareZ(drafted.cells, WantedLaw(s)), kLimit) << f.name << " mode " << mode;
    }
    EXPECT_LE(ChiSquareZ(plain.cells, WantedLaw(s)), kLimit) << f.name;
  }
}

// A test that could not fail would be none: each mistake in one call of the same statistic.
TEST(SpecDistribution, SeesMistakes) {
  const TableModel target(16, 1, 1.2f), opposed = target.Opposed(), draft(16, 3, 1);
  constexpr int64_t kTexts = 100000;
  Speculating s{&target, &opposed};
  const auto expect_seen = [&](Mistake mistake, const char* name) {
    s.mistake = mistake;
    EXPECT_GT(Z(name, s, kTexts), kLimit) << name;
  };
  expect_seen(Mistake::kDropsUnlikely, "drops an unlikely token");
  expect_seen(Mistake::kAcceptsAll, "accepts always");
  expect_seen(Mistake::kResidualIsP, "residual = p");
  expect_seen(Mistake::kRatioOfOneHot, "p / q of a token chosen without chance");
  expect_seen(Mistake::kWrongTemperature, "wrong temperature of the draft");
  // Those numbers are also the noise of token 0: what it decides there, draft and verifier decide alike.
  TableModel shared_target = target, shared_draft = opposed;
  s.target = &shared_target;
  s.draft = &shared_draft;
  const auto set_token_0 = [&](float in_target, float in_draft) {
    for (size_t row = 0; row < target.rows.size(); row += 16) {
      shared_target.rows[row] = in_target;
      shared_draft.rows[row] = in_draft;
    }
    s.mistake = Mistake::kNone;
    EXPECT_LE(Z("none of them, token 0 likely in the draft", s, kTexts), kLimit);
  };
  set_token_0(-1.5f, 1.5f);
  expect_seen(Mistake::kNoiseOfAcceptance, "draft shares the numbers of acceptance");
  set_token_0(2, 2);
  expect_seen(Mistake::kNoiseOfResidual, "draft shares the numbers of the residual");
  s.target = &target;
  s.draft = &draft;
  s.length = s.most = 2;
  s.mistake = Mistake::kNone;
  EXPECT_LE(Z("none of them, 2 tokens", s, kTexts), kLimit);
  expect_seen(Mistake::kRowBefore, "row before the candidate's");
  expect_seen(Mistake::kStaleQ, "q of an earlier round");
  s.sampler.presence_penalty = 1;
  s.sampler.frequency_penalty = 0.5f;
  s.mistake = Mistake::kNone;
  EXPECT_LE(Z("none of them, penalties", s, kTexts), kLimit);
  expect_seen(Mistake::kPenaltiesForget, "penalties do not count candidates");
}

// Rounds whose rows are all the same, so that the mean has a closed form; BLOCK judges the same drafts.
TEST(SpecDistribution, BlockAcceptsNoFewer) {
  TableModel target(8, 7, 1), draft(8, 8, 1);
  for (TableModel* model : {&target, &draft}) {
    const std::vector<float> first(model->rows.begin(), model->rows.begin() + 8);
    for (size_t i = 0; i < model->rows.size(); ++i) model->rows[i] = first[i % 8];
  }
  double alpha = 0, p_sum = 0, q_sum = 0;
  for (size_t t = 0; t < 8; ++t) {
    p_sum += std::exp(target.rows[t]);
    q_sum += std::exp(draft.rows[t]);
  }
  for (size_t t = 0; t < 8; ++t) alpha += std::min(std::exp(target.rows[t]) / p_sum, std::exp(draft.rows[t]) / q_sum);
  Speculating s{&target, &draft};
  s.most = 4;
  constexpr int64_t kRounds = 200000;
  const Counted token = WriteTexts(s, kRounds, kSeed);
  s.mode = SYL_SPEC_BLOCK;
  const Counted block = WriteTexts(s, kRounds, kSeed);
  const auto rounds = static_cast<double>(token.rounds);
  ASSERT_EQ(token.rounds, kRounds / kFewerTexts);
  ASSERT_EQ(block.rounds, token.rounds);
  double squares = 0, token_squares = 0;
  for (size_t i = 0; i < token.accepted_of_round.size(); ++i) {
    const double a = token.accepted_of_round[i], difference = block.accepted_of_round[i] - a;
    squares += difference * difference;
    token_squares += a * a;
  }
  const double mean = static_cast<double>(token.accepted) / rounds,
               gain = static_cast<double>(block.accepted) / rounds - mean;
  const double wanted = (alpha - std::pow(alpha, 5)) / (1 - alpha);
  std::printf("accepted of 4: TOKEN %.4f (formula %.4f), BLOCK %.4f\n", mean, wanted, mean + gain);
  EXPECT_LE(std::fabs(mean - wanted), 5 * std::sqrt((token_squares / rounds - mean * mean) / rounds));
  EXPECT_GE(gain, -3 * std::sqrt(squares) / rounds);
  EXPECT_GT(gain, 0.01);
}

}  // namespace
