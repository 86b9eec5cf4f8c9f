// EXACT and GREEDY: the text itself is what the target writes alone, whatever the draft does.
#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "tests/native/spec/text_laws.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr uint64_t kSeed = 9;
constexpr int64_t kTexts = 64 / kFewerTexts;
constexpr size_t kLength = 50;

// Tokens that differ from those of the target alone.
int64_t Differing(Speculating s, int64_t* tokens, double* accepted) {
  s.length = kLength;
  TextWriter writer(s, kSeed);
  const std::vector<std::vector<int32_t>> drafted = writer.Texts(0, kTexts);
  *accepted = static_cast<double>(writer.counted().accepted) / static_cast<double>(writer.counted().rounds);
  if (s.mode == SYL_SPEC_GREEDY) s.sampler.temperature = 0;
  s.plain = true;
  const std::vector<std::vector<int32_t>> plain = TextWriter(s, kSeed).Texts(0, kTexts);
  int64_t differing = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    for (size_t j = 0; j < kLength; ++j) differing += plain[i][j] != drafted[i][j];
  }
  *tokens += kTexts * static_cast<int64_t>(kLength);
  return differing;
}

// Also with what would be a mistake in TOKEN: here q does not matter.
constexpr Mistake kDrafts[] = {Mistake::kNone,          Mistake::kDropsUnlikely,    Mistake::kNoiseOfAcceptance,
                               Mistake::kRatioOfOneHot, Mistake::kWrongTemperature, Mistake::kStaleQ};

void ExpectPure(Speculating s) {
  int64_t tokens = 0;
  for (const Mistake mistake : kDrafts) {
    s.mistake = mistake;
    for (const size_t most : {1, 4, 20}) {
      s.most = most;
      for (const bool tree : {false, true}) {
        s.tree = tree && s.mode != SYL_SPEC_BLOCK;
        double accepted = 0;
        EXPECT_EQ(Differing(s, &tokens, &accepted), 0)
            << "mode " << s.mode << " draft " << static_cast<int>(mistake) << " most " << most << " tree " << tree;
      }
    }
  }
  std::printf("mode %d: %lld tokens compared\n", s.mode, static_cast<long long>(tokens));
}

TEST(SpecPurity, ExactIsPlainSampling) {
  const TableModel target(16, 1, 1.5f), draft(16, 2, 1.5f);
  Speculating s{&target, &draft};
  s.mode = SYL_SPEC_EXACT;
  ExpectPure(s);
  s.sampler.temperature = 0.8f;
  s.sampler.top_p = 0.9f;
  s.sampler.min_p = 0.02f;
  s.sampler.presence_penalty = 0.3f;
  s.sampler.frequency_penalty = 0.1f;
  s.masked = true;
  s.adaptive = true;
  ExpectPure(s);
}

TEST(SpecPurity, GreedyIsTheLargestLogit) {
  const TableModel target(16, 1, 1.5f), draft(16, 2, 1.5f);
  Speculating s{&target, &draft};
  s.mode = SYL_SPEC_GREEDY;
  s.sampler.repetition_penalty = 1.1f;
  s.sampler.presence_penalty = 0.2f;
  s.masked = true;
  ExpectPure(s);
  // A temperature of 0 is greedy in every mode.
  s.sampler.temperature = 0;
  for (const syl_spec_mode mode : {SYL_SPEC_EXACT, SYL_SPEC_TOKEN, SYL_SPEC_BLOCK}) {
    s.mode = mode;
    ExpectPure(s);
  }
}

// A draft that draws with the target's numbers agrees at least (1 - TV) / (1 + TV) of the time, and one with numbers of
// its own less.
TEST(SpecPurity, CoupledDraftsAgreeMoreOften) {
  TableModel target(16, 3, 1.5f), draft(16, 4, 0);
  for (size_t i = 0; i < target.rows.size(); ++i) {
    target.rows[i] = target.rows[i % 16];
    draft.rows[i] = 0.7f * target.rows[i];
  }
  double p_sum = 0, q_sum = 0, overlap = 0;
  for (size_t t = 0; t < 16; ++t) {
    p_sum += std::exp(target.rows[t]);
    q_sum += std::exp(draft.rows[t]);
  }
  for (size_t t = 0; t < 16; ++t)
    overlap += std::min(std::exp(target.rows[t]) / p_sum, std::exp(draft.rows[t]) / q_sum);
  Speculating s{&target, &draft};
  s.mode = SYL_SPEC_EXACT;
  const auto agreement = [&](bool coupled) {
    s.coupled = coupled;
    const Counted counted = WriteTexts(s, 160000, kSeed);
    return static_cast<double>(counted.accepted) / static_cast<double>(counted.rounds);
  };
  const double coupled = agreement(true), apart = agreement(false);
  std::printf("agreement: coupled %.3f, bound %.3f, apart %.3f\n", coupled, overlap / (2 - overlap), apart);
  EXPECT_GE(coupled, overlap / (2 - overlap) - 0.01);
  EXPECT_LE(coupled, overlap + 0.01);
  EXPECT_LE(apart, coupled - 0.1);
}

}  // namespace
