#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cmath>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/native/logits/reference_sampler.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 52;

syl_sampler Plain() {
  syl_sampler s = {};
  s.struct_size = sizeof(s);
  s.temperature = 1;
  s.top_p = 1;
  s.repetition_penalty = 1;
  s.seed = 0x123456789abcdef0;
  return s;
}

std::string Describe(const syl_sampler& s) {
  std::ostringstream text;
  text << "T " << s.temperature << " top_k " << s.top_k << " top_p " << s.top_p << " min_p " << s.min_p << " rep "
       << s.repetition_penalty << " presence " << s.presence_penalty << " frequency " << s.frequency_penalty << " seed "
       << s.seed;
  return text.str();
}

struct Drawn {
  int32_t token;
  float log_probability;
};

Drawn Sample(const syl_sampler& s, const std::vector<float>& logits, int64_t position = 0,
             const std::vector<int32_t>& history = {}, const std::vector<std::pair<int32_t, float>>& bias = {}) {
  const auto cols = static_cast<int64_t>(logits.size()), history_count = static_cast<int64_t>(history.size());
  int64_t bytes = 0;
  EXPECT_EQ(syl_logits_sample_workspace(&s, cols, history_count, &bytes), SYL_OK) << syl_last_error();
  constexpr uint8_t kSentinel = 0xcd;
  std::vector<uint64_t> workspace(static_cast<size_t>(bytes) / 8 + 9, 0xcdcdcdcdcdcdcdcd);
  std::vector<int32_t> bias_ids;
  std::vector<float> bias_values;
  for (const auto& [id, value] : bias) {
    bias_ids.push_back(id);
    bias_values.push_back(value);
  }
  const std::vector<float> before = logits;
  Drawn drawn{-1, 1}, without{-1, 1};
  EXPECT_EQ(syl_logits_sample_f32(&s, logits.data(), cols, history.data(), history_count, bias_ids.data(),
                                  bias_values.data(), static_cast<int64_t>(bias.size()), position, workspace.data(),
                                  bytes, &drawn.token, &drawn.log_probability),
            SYL_OK)
      << syl_last_error();
  EXPECT_TRUE(SameBits(logits, before)) << "the logits were modified";
  const auto* end = reinterpret_cast<const uint8_t*>(workspace.data()) + bytes;
  for (int i = 0; i < 64; ++i) EXPECT_EQ(end[i], kSentinel) << "written behind the workspace";
  // Nothing depends on what lies in the workspace or on whether the probability is asked for.
  EXPECT_EQ(syl_logits_sample_f32(&s, logits.data(), cols, history.data(), history_count, bias_ids.data(),
                                  bias_values.data(), static_cast<int64_t>(bias.size()), position, workspace.data(),
                                  bytes, &without.token, nullptr),
            SYL_OK);
  EXPECT_EQ(drawn.token, without.token);
  return drawn;
}

// The draw is the reference's but for roundings: they may decide between tokens that are equal up to them.
void ExpectAsReference(const syl_sampler& s, const std::vector<float>& logits, int64_t position,
                       const ReferenceTokens& reference, const Drawn& drawn, const std::string& what) {
  const auto value = [&](const ReferenceToken& t) { return t.z + ReferenceNoise(s.seed, position, t.id); };
  double best = -INFINITY;
  const ReferenceToken* token = nullptr;
  for (size_t i = 0; i < reference.tokens.size(); ++i) {
    const ReferenceToken& t = reference.tokens[i];
    if (i < reference.certain) best = std::max(best, value(t));
    if (t.id == drawn.token) token = &t;
  }
  ASSERT_NE(token, nullptr) << "token " << drawn.token << " was filtered out: " << what;
  ASSERT_GE(value(*token), best - 2e-5) << "token " << drawn.token << " does not win: " << what;
  const double most = token->z - std::log(reference.Mass(reference.certain));
  const double least = token->z - std::log(reference.Mass(reference.tokens.size()));
  const double rounding = 2e-6 * (1 + std::fabs(token->z));
  ASSERT_LE(drawn.log_probability, most + rounding) << what;
  ASSERT_GE(drawn.log_probability, least - rounding) << what;
  ASSERT_EQ(logits.empty(), false);
}

// Rows of all the kinds that make trouble.
std::vector<float> RandomLogits(std::mt19937& random, int64_t cols) {
  std::vector<float> logits(static_cast<size_t>(cols));
  const float deviation = std::vector<float>{0.1f, 1, 3, 10}[random() % 4];
  std::normal_distribution<float> normal(0, deviation);
  for (float& logit : logits) logit = normal(random);
  switch (random() % 6) {
    case 0:  // ties
      for (float& logit : logits) logit = std::round(logit);
      break;
    case 1:  // banned and broken tokens
      for (float& logit : logits) {
        if (random() % 3 == 0) logit = random() % 2 == 0 ? kNaN : -kInfinity;
      }
      break;
    case 2:  // all equal
      std::fill(logits.begin(), logits.end(), -2.5f);
      break;
    case 3:  // one above all
      logits[random() % logits.size()] = 40;
      break;
    default: break;
  }
  logits[random() % logits.size()] = deviation;  // one is finite in any case
  return logits;
}

syl_sampler RandomSampler(std::mt19937& random, int64_t cols) {
  syl_sampler s = Plain();
  s.temperature = std::vector<float>{1, 0.7f, 1.5f, 0.05f, 100}[random() % 5];
  if (random() % 2 == 0) {
    s.top_k = std::vector<int32_t>{1, 2, 5, 40, 300, static_cast<int32_t>(cols), 100000}[random() % 7];
  }
  if (random() % 2 == 0) s.top_p = std::vector<float>{1e-6f, 0.3f, 0.9f, 0.95f, 0.999f}[random() % 5];
  if (random() % 2 == 0) s.min_p = std::vector<float>{1, 0.5f, 0.1f, 0.02f, 1e-6f}[random() % 5];
  s.seed = (static_cast<uint64_t>(random()) << 32) | random();
  return s;
}

TEST(Sample, DrawsAreThoseOfTheReference) {
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    std::mt19937 random(kSeed);
    for (int round = 0; round < 1500; ++round) {
      const int64_t cols = std::vector<int64_t>{1, 2, 5, 16, 33, 64, 100, 517, 1000, 3001}[random() % 10];
      const std::vector<float> logits = RandomLogits(random, cols);
      const syl_sampler s = RandomSampler(random, cols);
      const ReferenceTokens reference = ReferenceFilters(s, logits);
      for (int draw = 0; draw < 4; ++draw) {
        const auto position = static_cast<int64_t>((static_cast<uint64_t>(random()) << 31 | random()) >> draw * 16);
        ExpectAsReference(s, logits, position, reference, Sample(s, logits, position),
                          tier + " round " + std::to_string(round) + " cols " + std::to_string(cols) + " position " +
                              std::to_string(position) + " " + Describe(s));
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(Sample, DrawsFromLargeVocabularies) {
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    std::mt19937 random(kSeed + 1);
    for (const int64_t cols : {49152, 151936}) {
      for (int round = 0; round < 12; ++round) {
        const std::vector<float> logits = RandomLogits(random, cols);
        syl_sampler s = RandomSampler(random, cols);
        if (round % 4 == 0) s.top_k = 0, s.top_p = 1, s.min_p = 0;
        const ReferenceTokens reference = ReferenceFilters(s, logits);
        ExpectAsReference(
            s, logits, round, reference, Sample(s, logits, round),
            tier + " round " + std::to_string(round) + " cols " + std::to_string(cols) + " " + Describe(s));
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Without filters a draw skips the noise of most tokens; a filter that keeps all of them takes another way.
TEST(Sample, SkippingTokensChangesNothing) {
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    for (const float deviation : {0.0f, 1.0f, 5.0f}) {
      const Rows logits(1, 203, kSeed, deviation, 0);
      syl_sampler all = Plain(), filtered = Plain();
      filtered.min_p = 1e-30f;
      for (int64_t position = 0; position < 4000; ++position) {
        ASSERT_EQ(Sample(all, logits.data, position).token, Sample(filtered, logits.data, position).token)
            << tier << " deviation " << deviation << " position " << position << " seed " << kSeed;
      }
    }
  }
}

TEST(Sample, BiasAndPenalties) {
  std::mt19937 random(kSeed + 2);
  for (int round = 0; round < 600; ++round) {
    const int64_t cols = std::vector<int64_t>{3, 40, 700}[random() % 3];
    const std::vector<float> logits = RandomLogits(random, cols);
    syl_sampler s = RandomSampler(random, cols);
    if (random() % 3 == 0) s.temperature = 0;
    if (random() % 2 == 0) s.repetition_penalty = std::vector<float>{1.1f, 2, 0.5f}[random() % 3];
    if (random() % 2 == 0) s.presence_penalty = std::vector<float>{0.6f, -0.6f}[random() % 2];
    if (random() % 2 == 0) s.frequency_penalty = std::vector<float>{0.3f, -0.1f}[random() % 2];
    const auto id = [&] { return static_cast<int32_t>(random() % static_cast<uint32_t>(cols)); };
    std::vector<int32_t> history(random() % 50);
    for (int32_t& past : history) past = random() % 2 == 0 ? id() : id() / 10;
    std::vector<std::pair<int32_t, float>> bias(random() % 5);
    for (auto& [biased, value] : bias) {
      biased = id();
      value = std::vector<float>{-kInfinity, -1, 5, 0.25f}[random() % 4];
    }
    if (cols == 3) bias.clear();  // else all three may be banned
    const std::vector<float> changed = ReferenceLogits(s, logits, history, bias);
    const Drawn drawn = Sample(s, logits, round, history, bias);
    const std::string what = "round " + std::to_string(round) + " cols " + std::to_string(cols) + " " + Describe(s);
    if (s.temperature > 0) {
      ExpectAsReference(s, changed, round, ReferenceFilters(s, changed), drawn, what);
      if (HasFatalFailure()) return;
      continue;
    }
    // Greedy: the first of the largest, and its probability among all.
    size_t argmax = changed.size();
    for (size_t i = 0; i < changed.size(); ++i) {
      if (!std::isnan(changed[i]) && (argmax == changed.size() || changed[i] > changed[argmax])) argmax = i;
    }
    double mass = 0;
    for (const float logit : changed)
      mass += std::isnan(logit) ? 0 : std::exp(static_cast<double>(logit) - changed[argmax]);
    ASSERT_EQ(drawn.token, static_cast<int32_t>(argmax)) << what;
    ASSERT_NEAR(drawn.log_probability, -std::log(mass), 2e-6) << what;
  }
}

TEST(Sample, FusedTiersAgreeBitForBit) {
  std::mt19937 random(kSeed + 3);
  for (int round = 0; round < 400; ++round) {
    const auto cols = static_cast<int64_t>(1 + random() % 2000);
    const std::vector<float> logits = RandomLogits(random, cols);
    const syl_sampler s = RandomSampler(random, cols);
    Drawn first{-1, 0};
    for (const std::string& tier : SupportedTiers()) {
      if (!IsFused(tier)) continue;
      const TierGuard guard(tier);
      const Drawn drawn = Sample(s, logits, round);
      if (first.token < 0) first = drawn;
      ASSERT_EQ(drawn.token, first.token) << tier << " " << Describe(s);
      ASSERT_EQ(ToBits(drawn.log_probability), ToBits(first.log_probability)) << tier << " " << Describe(s);
    }
  }
}

// Quantile of the chi-square distribution that one in a million exceeds (Wilson and Hilferty 1931). The seeds are
// fixed: a draw that follows the distribution passes for good.
double ChiSquareBound(double freedom) {
  constexpr double kOneInAMillion = 4.7534;  // of the normal distribution
  const double t = 1 - 2 / (9 * freedom) + kOneInAMillion * std::sqrt(2 / (9 * freedom));
  return freedom * t * t * t;
}

template <typename Draw>
void ExpectFrequencies(const ReferenceTokens& reference, int draws, Draw draw, const std::string& what) {
  ASSERT_EQ(reference.certain, reference.tokens.size()) << "a boundary case: " << what;
  std::map<int32_t, int> counts;
  for (int i = 0; i < draws; ++i) ++counts[draw(i)];
  const double mass = reference.Mass(reference.tokens.size());
  double chi_square = 0, rest_expected = 0, rest_counted = draws, freedom = -1;
  for (const ReferenceToken& token : reference.tokens) {
    const double expected = draws * std::exp(token.z) / mass;
    if (expected < 10) {
      rest_expected += expected;
      continue;
    }
    const int counted = counts[token.id];
    chi_square += std::pow(counted - expected, 2) / expected;
    rest_counted -= counted;
    freedom += 1;
  }
  if (rest_expected >= 1) {
    chi_square += std::pow(rest_counted - rest_expected, 2) / rest_expected;
    freedom += 1;
  } else {
    ASSERT_LE(rest_counted, 10) << what;
  }
  ASSERT_LE(chi_square, ChiSquareBound(freedom)) << what << " degrees of freedom " << freedom;
  ASSERT_GE(freedom, 1) << what;
}

TEST(Sample, FrequenciesFollowTheDistribution) {
  constexpr int kDraws = 8000;
  const Rows few(1, 21, kSeed, 1.5f, 0), many(1, 1500, kSeed, 2, 0);
  for (const Rows* row : {&few, &many}) {
    for (const auto& [top_k, top_p, min_p, temperature] : {std::tuple{0, 1.0f, 0.0f, 1.0f},
                                                           {0, 1.0f, 0.0f, 0.6f},
                                                           {7, 1.0f, 0.0f, 1.0f},
                                                           {0, 0.8f, 0.0f, 1.0f},
                                                           {0, 1.0f, 0.1f, 1.3f},
                                                           {12, 0.9f, 0.05f, 0.9f}}) {
      syl_sampler s = Plain();
      s.top_k = top_k;
      s.top_p = top_p;
      s.min_p = min_p;
      s.temperature = temperature;
      const ReferenceTokens reference = ReferenceFilters(s, row->data);
      const std::string what = "cols " + std::to_string(row->cols) + " " + Describe(s);
      // Over the positions of one text, and over the seeds at one position.
      ExpectFrequencies(
          reference, kDraws, [&](int i) { return Sample(s, row->data, i).token; }, what);
      const auto reseeded = [&](int i) {
        syl_sampler other = s;
        other.seed = static_cast<uint64_t>(i) << 20;
        return Sample(other, row->data, 3).token;
      };
      ExpectFrequencies(reference, kDraws, reseeded, what + " by seed");
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Sample, EveryPartOfSeedAndPositionMatters) {
  const Rows logits(1, 4000, kSeed, 0.01f, 0);
  std::set<int32_t> tokens;
  syl_sampler s = Plain();
  tokens.insert(Sample(s, logits.data, 0).token);
  for (const int64_t position : {int64_t{1}, int64_t{1} << 31, int64_t{1} << 32, int64_t{1} << 62, INT64_MAX}) {
    tokens.insert(Sample(s, logits.data, position).token);
  }
  for (const uint64_t flip : {uint64_t{1}, uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 63}) {
    syl_sampler other = s;
    other.seed ^= flip;
    tokens.insert(Sample(other, logits.data, 0).token);
  }
  EXPECT_EQ(tokens.size(), 10u);
}

TEST(Sample, ExtremeTemperaturesAndLogits) {
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    const std::vector<float> logits = {1, -3, 5, 4.999f, -kInfinity, kNaN, 2};
    syl_sampler s = Plain();
    for (const float cold : {1e-6f, 1e-30f, 1e-38f, std::numeric_limits<float>::denorm_min()}) {
      s.temperature = cold;
      for (int64_t position = 0; position < 50; ++position) {
        const Drawn drawn = Sample(s, logits, position);
        ASSERT_EQ(drawn.token, 2) << cold;
        ASSERT_EQ(drawn.log_probability, 0) << cold;
      }
    }
    s.temperature = std::numeric_limits<float>::max();
    std::set<int32_t> seen;
    for (int64_t position = 0; position < 200; ++position) {
      const Drawn drawn = Sample(s, logits, position);
      seen.insert(drawn.token);
      ASSERT_NEAR(drawn.log_probability, -std::log(5.0), 1e-6);
    }
    EXPECT_EQ(seen, (std::set<int32_t>{0, 1, 2, 3, 6}));
    s.temperature = 1;
    const std::vector<float> huge = {-3e38f, 3e38f, 2.9e38f};
    EXPECT_EQ(Sample(s, huge).token, 1);
    s.top_k = 2;
    EXPECT_EQ(Sample(s, huge).token, 1);
  }
}

TEST(Sample, TiesAreInTheOrderOfIds) {
  syl_sampler s = Plain();
  std::vector<float> logits(300, 1);
  logits[7] = -0.0f;
  for (const auto& [top_k, top_p, count] : {std::tuple{5, 1.0f, 5}, {0, 0.01f, 3}, {100, 0.0499f, 5}}) {
    s.top_k = top_k;
    s.top_p = top_p;
    for (int64_t position = 0; position < 100; ++position) EXPECT_LT(Sample(s, logits, position).token, count);
  }
  s.temperature = 0;
  EXPECT_EQ(Sample(s, logits).token, 0);
  EXPECT_EQ(Sample(s, {-0.0f, 0.0f}).token, 0);
}

TEST(Sample, BadArgumentsAreRefusedAndNamed) {
  std::vector<float> logits = {1, 2, 3, 4}, values = {1};
  std::vector<int32_t> ids = {3};
  alignas(8) uint8_t workspace[1024];
  int64_t bytes = -1;
  int32_t token = -7;
  float log_probability = 7;
  const auto sample = [&](const syl_sampler& s, int64_t history_count = 0, int64_t bias_count = 0, int64_t position = 0,
                          int64_t workspace_bytes = 1024) {
    return syl_logits_sample_f32(&s, logits.data(), static_cast<int64_t>(logits.size()), ids.data(), history_count,
                                 ids.data(), values.data(), bias_count, position, workspace, workspace_bytes, &token,
                                 &log_probability);
  };
  const auto refuse = [&](auto syl_sampler::*field, auto value, const char* text) {
    syl_sampler s = Plain();
    s.*field = value;
    EXPECT_REFUSED(sample(s), SYL_BAD_VALUE, text);
    EXPECT_REFUSED(syl_logits_sample_workspace(&s, 4, 0, &bytes), SYL_BAD_VALUE, text);
  };
  refuse(&syl_sampler::struct_size, 4u, "struct_size is 4");
  for (const float bad : {-1.0f, kNaN, kInfinity}) refuse(&syl_sampler::temperature, bad, "temperature is");
  refuse(&syl_sampler::top_k, -1, "top_k is -1");
  for (const float bad : {0.0f, -1.0f, 1.01f, kNaN}) refuse(&syl_sampler::top_p, bad, "top_p is");
  for (const float bad : {-0.1f, 1.01f, kNaN}) refuse(&syl_sampler::min_p, bad, "min_p is");
  for (const float bad : {0.0f, -1.0f, kNaN, kInfinity}) {
    refuse(&syl_sampler::repetition_penalty, bad, "repetition_penalty is");
  }
  for (const float bad : {kNaN, kInfinity}) {
    refuse(&syl_sampler::presence_penalty, bad, "presence_penalty is");
    refuse(&syl_sampler::frequency_penalty, bad, "frequency_penalty is");
  }
  const syl_sampler s = Plain();
  EXPECT_REFUSED(sample(s, -1), SYL_BAD_VALUE, "history_count is -1");
  EXPECT_REFUSED(sample(s, 0, -1), SYL_BAD_VALUE, "bias_count is -1");
  EXPECT_REFUSED(sample(s, 0, 0, -1), SYL_BAD_VALUE, "position is -1");
  for (const int32_t bad : {4, -1}) {
    ids[0] = bad;
    EXPECT_REFUSED(sample(s, 1), SYL_BAD_VALUE, "history[0] is " + std::to_string(bad));
    EXPECT_REFUSED(sample(s, 0, 1), SYL_BAD_VALUE, "bias_ids[0] is " + std::to_string(bad));
  }
  ids[0] = 3;
  for (const float bad : {kNaN, kInfinity}) {
    values[0] = bad;
    EXPECT_REFUSED(sample(s, 0, 1), SYL_BAD_VALUE, "bias_values[0] is");
  }
  values[0] = 1;
  ASSERT_EQ(syl_logits_sample_workspace(&s, 4, 1, &bytes), SYL_OK);
  EXPECT_REFUSED(sample(s, 0, 0, 0, bytes - 1), SYL_WORKSPACE, "workspace_bytes is");
  EXPECT_REFUSED(syl_logits_sample_workspace(&s, 0, 0, &bytes), SYL_BAD_VALUE, "cols is 0");
  EXPECT_REFUSED(syl_logits_sample_workspace(&s, int64_t{1} << 31, 0, &bytes), SYL_BAD_VALUE, "cols is 2147483648");
  EXPECT_REFUSED(syl_logits_sample_workspace(&s, 4, -1, &bytes), SYL_BAD_VALUE, "history_count is -1");
  EXPECT_REFUSED(syl_logits_sample_workspace(&s, 4, 0, nullptr), SYL_NULL_ARGUMENT, "bytes");
  EXPECT_REFUSED(syl_logits_sample_workspace(nullptr, 4, 0, &bytes), SYL_NULL_ARGUMENT, "sampler");
  for (const float bad : {kNaN, -kInfinity}) {
    logits.assign(4, bad);
    EXPECT_REFUSED(sample(s), SYL_BAD_VALUE, "largest of 4 logits is -inf");
  }
  logits = {1, kInfinity, 2, 3};
  EXPECT_REFUSED(sample(s), SYL_BAD_VALUE, "largest of 4 logits is inf");
  logits = {1, 2, 3, 4};
  const auto with = [&](const float* row, const int32_t* history, const int32_t* bias_ids, const float* bias_values,
                        void* memory, int32_t* out) {
    return syl_logits_sample_f32(&s, row, 4, history, 1, bias_ids, bias_values, 1, 0, memory, 900, out, nullptr);
  };
  const float* row = logits.data();
  const int32_t* id = ids.data();
  const float* value = values.data();
  EXPECT_REFUSED(with(nullptr, id, id, value, workspace, &token), SYL_NULL_ARGUMENT, "logits is NULL");
  EXPECT_REFUSED(with(row, nullptr, id, value, workspace, &token), SYL_NULL_ARGUMENT, "history is NULL");
  EXPECT_REFUSED(with(row, id, nullptr, value, workspace, &token), SYL_NULL_ARGUMENT, "bias_ids is NULL");
  EXPECT_REFUSED(with(row, id, id, nullptr, workspace, &token), SYL_NULL_ARGUMENT, "bias_values is NULL");
  EXPECT_REFUSED(with(row, id, id, value, nullptr, &token), SYL_NULL_ARGUMENT, "workspace is NULL");
  EXPECT_REFUSED(with(row, id, id, value, workspace, nullptr), SYL_NULL_ARGUMENT, "token is NULL");
  EXPECT_REFUSED(with(row, id, id, value, workspace + 4, &token), SYL_BAD_VALUE, "aligned to 8");
  std::memset(workspace, 0, sizeof(workspace));
  const auto* inside = workspace + 64;
  EXPECT_REFUSED(with(reinterpret_cast<const float*>(inside), id, id, value, workspace, &token), SYL_OVERLAP,
                 "overlaps");
  EXPECT_REFUSED(with(row, reinterpret_cast<const int32_t*>(inside), id, value, workspace, &token), SYL_OVERLAP,
                 "overl");
  EXPECT_REFUSED(with(row, id, reinterpret_cast<const int32_t*>(inside), value, workspace, &token), SYL_OVERLAP,
                 "overl");
  EXPECT_REFUSED(with(row, id, id, reinterpret_cast<const float*>(inside), workspace, &token), SYL_OVERLAP, "overlaps");
  EXPECT_EQ(token, -7);
  EXPECT_EQ(log_probability, 7);
  EXPECT_EQ(with(row, id, id, value, workspace, &token), SYL_OK) << syl_last_error();
}

}  // namespace
