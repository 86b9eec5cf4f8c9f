// Ends, empty drafts, supports that do not meet, probabilities at the border of what a float holds.
#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/native/spec/problem.h"
#include "tests/native/spec/random_problem.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr double kLast = 1 - 0x1p-32;
constexpr syl_spec_mode kModes[] = {SYL_SPEC_GREEDY, SYL_SPEC_EXACT, SYL_SPEC_TOKEN, SYL_SPEC_BLOCK};

// One chain, whose rows are all the same.
SpecProblem Chain(syl_spec_mode mode, const std::vector<int32_t>& tokens, const std::vector<float>& logits) {
  SpecProblem p;
  p.mode = mode;
  p.cols = static_cast<int64_t>(logits.size());
  p.texts.resize(1);
  for (size_t i = 0; i <= tokens.size(); ++i) {
    SpecNode node;
    node.token = i == 0 ? -1 : tokens[i - 1];
    node.parent = static_cast<int32_t>(i) - 1;
    node.logits = node.draft = logits;
    p.texts[0].nodes.push_back(node);
  }
  return p;
}

void SetUniforms(SpecProblem* p, double accept, double residual) {
  for (SpecNode& node : p->texts[0].nodes) {
    node.accept_u = accept;
    node.residual_u = residual;
  }
}

std::vector<float> Only(size_t cols, std::initializer_list<size_t> tokens) {
  std::vector<float> logits(cols, -kInfinity);
  for (const size_t token : tokens) logits[token] = 0;
  return logits;
}

int32_t Sampled(const SpecText& text, const std::vector<float>& logits, int64_t position) {
  int64_t bytes = 0;
  const auto cols = static_cast<int64_t>(logits.size());
  EXPECT_EQ(syl_logits_sample_workspace(&text.sampler, cols, 0, &bytes), SYL_OK);
  std::vector<uint64_t> workspace(static_cast<size_t>(bytes) / 8 + 1);
  int32_t token = -1;
  EXPECT_EQ(syl_logits_sample_f32(&text.sampler, logits.data(), cols, nullptr, 0, nullptr, nullptr, 0, position,
                                  workspace.data(), bytes, &token, nullptr),
            SYL_OK);
  return token;
}

TEST(SpecEdge, NoCandidateIsPlainSampling) {
  const Rows rows(20, 50, 1, 2);
  for (const syl_spec_mode mode : kModes) {
    for (int64_t r = 0; r < 20; ++r) {
      SpecProblem p = Chain(mode, {}, {rows.At(r), rows.At(r) + 50});
      p.has_uniforms = false;
      p.texts[0].position = 1000 + r;
      SpecCall call(p);
      const SpecOutcome& o = call.Verify();
      SpecText plain = p.texts[0];
      if (mode == SYL_SPEC_GREEDY) plain.sampler.temperature = 0;
      EXPECT_EQ(o.accepted[0], 0);
      EXPECT_EQ(o.path[0], -1);
      EXPECT_TRUE(std::isnan(o.acceptance[0]));
      EXPECT_EQ(o.next_token[0], Sampled(plain, p.texts[0].nodes[0].logits, 1000 + r)) << mode;
    }
  }
}

TEST(SpecEdge, ADraftThatIsTheTargetIsAlwaysAccepted) {
  const Rows rows(1, 300, 2, 3);
  const std::vector<float> logits(rows.At(0), rows.At(0) + 300);
  for (const syl_spec_mode mode : {SYL_SPEC_TOKEN, SYL_SPEC_BLOCK}) {
    SpecProblem p = Chain(mode, {5, 299, 0, 17}, logits);
    p.kind = SYL_DRAFT_LOGITS;
    SetUniforms(&p, 1 - 0x1p-53, 0);
    SpecCall call(p);
    const SpecOutcome& o = call.Verify();
    EXPECT_EQ(o.accepted[0], 4);
    for (size_t i = 1; i < 5; ++i) EXPECT_EQ(o.acceptance[i], 1);
    EXPECT_EQ(o.next_token[0], Sampled(p.texts[0], logits, 4));
  }
}

TEST(SpecEdge, SupportsThatDoNotMeet) {
  for (const syl_spec_mode mode : {SYL_SPEC_TOKEN, SYL_SPEC_BLOCK}) {
    for (const double u : {0.0, 0.49, 0.51, 1 - 0x1p-53}) {
      SpecProblem p = Chain(mode, {2, 3}, Only(4, {0, 1}));
      p.kind = SYL_DRAFT_PROBABILITIES;
      for (SpecNode& node : p.texts[0].nodes) node.draft = {0, 0, 0.5f, 0.5f};
      SetUniforms(&p, 0, u);
      SpecCall call(p);
      const SpecOutcome& o = call.Verify();
      EXPECT_EQ(o.accepted[0], 0);
      EXPECT_EQ(o.acceptance[1], 0);
      EXPECT_EQ(o.flags, std::vector<int32_t>(3, 0));
      EXPECT_EQ(o.next_token[0], u < 0.5 ? 0 : 1);
    }
  }
}

TEST(SpecEdge, ATargetThatIsCertain) {
  for (const syl_spec_mode mode : kModes) {
    SpecProblem p = Chain(mode, {6, 6, 2}, Only(7, {6}));  // the last of the vocabulary
    SetUniforms(&p, kLast, kLast);
    SpecCall call(p);
    const SpecOutcome& o = call.Verify();
    EXPECT_EQ(o.accepted[0], 2) << mode;
    EXPECT_EQ(o.next_token[0], 6) << mode;
    EXPECT_EQ(o.path, (std::vector<int32_t>{1, 2, -1, -1})) << mode;
  }
}

// Judged in double: a float would round such probabilities to nothing, or to one another.
TEST(SpecEdge, ProbabilitiesAtTheBorder) {
  for (const float z : {-87.4f, -100.0f, -140.0f, -700.0f}) {
    const double probability = std::exp(static_cast<double>(z));
    for (const double factor : {0.9999, 1.0001}) {
      SpecProblem p = Chain(SYL_SPEC_TOKEN, {1}, {0, z, -kInfinity});
      SetUniforms(&p, probability * factor, 0.5);
      SpecCall call(p);
      EXPECT_EQ(call.Verify().accepted[0], factor < 1) << z;
    }
  }
  for (const float z : {-740.0f, -800.0f, -kInfinity, kNaN}) {
    SpecProblem p = Chain(SYL_SPEC_TOKEN, {1}, {0, z, -kInfinity});
    SetUniforms(&p, 0, 0.5);
    SpecCall call(p);
    // Below the least double there is no probability, and u = 0 is not below it.
    EXPECT_EQ(call.Verify().accepted[0], z > -745) << z;
    EXPECT_EQ(call.outcome.next_token[0], z > -745 ? Sampled(p.texts[0], p.texts[0].nodes[1].logits, 1) : 0) << z;
  }
  // Denormal logits, and a temperature that makes them count.
  SpecProblem p = Chain(SYL_SPEC_TOKEN, {1}, {0, 1e-40f, 0});
  p.texts[0].sampler.temperature = 1e-41f;
  SetUniforms(&p, kLast, 0.5);
  SpecCall call(p);
  EXPECT_EQ(call.Verify().accepted[0], 0);  // 1 / T ends at the largest float: e^0.034 against twice 1
  EXPECT_NEAR(call.outcome.acceptance[1], std::exp(0.034) / (std::exp(0.034) + 2), 1e-2);
}

TEST(SpecEdge, AnEndCutsTheDraft) {
  for (const syl_spec_mode mode : kModes) {
    for (const bool tree : {false, true}) {
      if (tree && mode == SYL_SPEC_BLOCK) continue;
      for (int32_t end = 1; end <= 3; ++end) {
        SpecProblem p = Chain(mode, {0, 0, 0}, Only(5, {0}));
        p.tree = tree;
        SpecNode& node = p.texts[0].nodes[static_cast<size_t>(end)];
        node.token = 3;
        p.texts[0].nodes[static_cast<size_t>(end) - 1].logits = Only(5, {3});
        p.ends = {1, 3};
        SetUniforms(&p, kLast, kLast);
        SpecCall call(p);
        // What comes after the end is not even read.
        for (size_t i = static_cast<size_t>(end) * static_cast<size_t>(call.batch.stride); i < call.logits.size();
             ++i) {
          call.logits[i] = kInfinity;
        }
        const SpecOutcome& o = call.Verify();
        EXPECT_EQ(o.accepted[0], end) << mode;
        EXPECT_EQ(o.next_token[0], -1) << mode;
        EXPECT_EQ(o.path[static_cast<size_t>(end) - 1], end);
      }
      // An end that is rejected, and one that the target draws: an ordinary next token.
      SpecProblem p = Chain(mode, {3}, Only(5, {1}));
      p.tree = tree;
      p.ends = {1, 3};
      SpecCall call(p);
      EXPECT_EQ(call.Verify().next_token[0], 1) << mode;
      EXPECT_EQ(call.outcome.accepted[0], 0) << mode;
    }
  }
}

SpecProblem Star(const std::vector<int32_t>& tokens, const std::vector<float>& logits) {
  SpecProblem p = Chain(SYL_SPEC_TOKEN, tokens, logits);
  p.tree = true;
  for (size_t i = 1; i < p.texts[0].nodes.size(); ++i) p.texts[0].nodes[i].parent = 0;
  return p;
}

TEST(SpecEdge, TheSameSiblingTwice) {
  SpecProblem p = Star({2, 2, 1}, {0, 0, 0, 0});
  SetUniforms(&p, 0.3, 0);
  SpecCall one_hot(p);
  EXPECT_EQ(one_hot.Verify().path[0], 3);  // 1/4, then 0, then 1/3
  p.kind = SYL_DRAFT_PROBABILITIES;
  for (SpecNode& node : p.texts[0].nodes) node.draft = {0.125f, 0.125f, 0.5f, 0.25f};
  SetUniforms(&p, 0.9, 0.99);
  SpecCall independent(p);
  EXPECT_EQ(independent.Verify().path[0], 3);  // 1/2, nothing is left of token 2; of token 1 more than q
  p.siblings = SYL_SIBLINGS_WITHOUT_REPLACEMENT;
  SpecCall without(p);
  EXPECT_EQ(without.Verify().path[0], 3);
  EXPECT_EQ(without.outcome.flags[2], 0);
}

// All of 255 tokens as siblings: one of them is accepted whatever the numbers are.
TEST(SpecEdge, AFullTree) {
  std::vector<int32_t> tokens;
  for (int32_t t = 254; t >= 0; --t) tokens.push_back(t);
  for (const double u : {0.999, kLast}) {
    SpecProblem p = Star(tokens, std::vector<float>(255, -3));
    SetUniforms(&p, u, 0.5);
    SpecCall call(p);
    EXPECT_EQ(call.Verify().path[0], 255) << u;
    EXPECT_EQ(call.outcome.accepted[0], 1);
  }
  SpecProblem chain = Chain(SYL_SPEC_TOKEN, std::vector<int32_t>(255, 7), Only(9, {7}));
  SpecCall call(chain);
  EXPECT_EQ(call.Verify().accepted[0], 255);
}

// The counters of sylvester/spec.h: the same outcome as with the numbers that they stand for.
TEST(SpecEdge, RandomNumbersAreThoseOfTheHeader) {
  const auto words = [](uint64_t seed, int64_t position, uint32_t index, uint32_t purpose) {
    const uint32_t counter[4] = {index, purpose, static_cast<uint32_t>(position),
                                 static_cast<uint32_t>(position >> 32)};
    const uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
    std::vector<uint32_t> out(4);
    syl_philox4x32(counter, key, out.data());
    return out;
  };
  SpecProblems source(11);
  for (int problem = 0; problem < 400; ++problem) {
    SpecProblem p = source.Next(16, 12, 3);
    for (SpecText& text : p.texts) {
      std::vector<int32_t> depths(text.nodes.size(), 0), siblings(text.nodes.size(), 0);
      for (size_t i = 0; i < text.nodes.size(); ++i) {
        if (i > 0) {
          const size_t parent = p.tree ? static_cast<size_t>(text.nodes[i].parent) : i - 1;
          depths[i] = depths[parent] + 1;
          for (size_t j = 1; j < i; ++j) siblings[i] += p.tree && text.nodes[j].parent == text.nodes[i].parent;
        }
        const auto depth = static_cast<uint32_t>(depths[i]);
        const std::vector<uint32_t> accept = words(text.sampler.seed, text.position + depths[i] - 1,
                                                   static_cast<uint32_t>(siblings[i]), SYL_PURPOSE_ACCEPT + 4 * depth);
        const std::vector<uint32_t> residual =
            words(text.sampler.seed, text.position + depths[i], 0, SYL_PURPOSE_RESIDUAL);
        text.nodes[i].accept_u = accept[0] * 0x1p-32;
        text.nodes[i].residual_u =
            static_cast<double>(static_cast<uint64_t>(residual[0]) << 21 | residual[1] >> 11) * 0x1p-53;
      }
    }
    SpecCall given(p);
    p.has_uniforms = false;
    SpecCall own(p);
    ASSERT_TRUE(given.Verify() == own.Verify()) << "problem " << problem << " mode " << p.mode;
  }
}

}  // namespace
