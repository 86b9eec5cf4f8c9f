// Draws of syl_logits_stats_of.
#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "native/common/logits_rules.h"
#include "tests/native/logits/logits_call.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;
using sylvester::LogitsGumbel;

constexpr uint64_t kSeed = 53;

LogitsCall JobOf(const std::vector<float>& row, float draw_temperature) {
  const auto cols = static_cast<int64_t>(row.size());
  LogitsCall job = {SYL_F32, row.data(), cols, 1, cols};
  job.draw_temperature = draw_temperature;
  job.seed = kSeed;
  return job;
}

// draws results of one row, each from a stream of its own.
std::vector<syl_logits_stats> Draw(LogitsCall job, int64_t draws) {
  const std::vector<int32_t> list(static_cast<size_t>(draws));
  std::vector<uint64_t> streams(list.size());
  for (size_t i = 0; i < streams.size(); ++i) streams[i] = i;
  std::vector<syl_logits_stats> stats(list.size());
  job.list = list.data();
  job.streams = streams.data();
  job.count = draws;
  EXPECT_EQ(job.Run(stats.data(), NewPool(2).get()), SYL_OK) << syl_last_error();
  return stats;
}

// Probability that chi-square with so many degrees of freedom is at least this large (Wilson and Hilferty 1931).
double UpperTail(double chi_square, double degrees) {
  const double z = (std::cbrt(chi_square / degrees) - (1 - 2 / (9 * degrees))) / std::sqrt(2 / (9 * degrees));
  return 0.5 * std::erfc(z / std::sqrt(2));
}

// Tokens are counted each by itself where at least 20 draws of it are expected, and the others together.
void ExpectDistribution(const LogitsCall& job, const std::vector<double>& weights, int64_t draws,
                        const std::string& what) {
  double whole = 0;
  for (const double weight : weights) whole += weight;
  std::vector<int64_t> counts(weights.size());
  for (const syl_logits_stats& stats : Draw(job, draws)) {
    ASSERT_TRUE(stats.token >= 0 && stats.token < job.cols);
    ++counts[static_cast<size_t>(stats.token)];
  }
  double chi_square = 0, rest_expected = 0, rest_seen = 0;
  int64_t bins = 0;
  const auto add = [&](double seen, double expected) {
    chi_square += (seen - expected) * (seen - expected) / expected;
    ++bins;
  };
  for (size_t i = 0; i < weights.size(); ++i) {
    const double expected = weights[i] / whole * static_cast<double>(draws);
    if (weights[i] == 0) {
      EXPECT_EQ(counts[i], 0) << what << " token " << i;
    }
    if (expected >= 20) {
      add(static_cast<double>(counts[i]), expected);
    } else {
      rest_expected += expected;
      rest_seen += static_cast<double>(counts[i]);
    }
  }
  if (rest_expected > 5) add(rest_seen, rest_expected);
  const double p = UpperTail(chi_square, static_cast<double>(bins - 1));
  EXPECT_GT(p, 1e-3) << what << " chi-square " << chi_square << " bins " << bins << " seed " << kSeed;
  EXPECT_LT(p, 1 - 1e-3) << what << " chi-square " << chi_square << " bins " << bins << " seed " << kSeed;
}

std::vector<double> Weights(const std::vector<float>& z, double temperature) {
  const double max = *std::max_element(z.begin(), z.end());
  std::vector<double> weights;
  for (const float value : z) weights.push_back(std::exp((value - max) / temperature));
  return weights;
}

TEST(LogitsDraw, IsThatOfTheSoftmax) {
  const Rows rows(1, 60, kSeed, 2, 0);
  for (const float temperature : {0.2f, 0.9f, 1.0f, 3.0f}) {
    ExpectDistribution(JobOf(rows.data, temperature), Weights(rows.data, temperature),
                       temperature == 0.9f ? 1000000 : 200000, "T " + std::to_string(temperature));
  }
}

// Chunks of very different mass, and tokens at their ends.
TEST(LogitsDraw, IsThatOfTheSoftmaxOverSeveralChunks) {
  Rows rows(1, 3 * 4096 + 50, kSeed, 1, 0);
  for (int64_t i = 0; i < 4096; ++i) rows.At(0)[i] -= 3;
  for (const int64_t i : {0, 4095, 4096, 5000, 12287, 12288, 12337}) rows.At(0)[i] = 7;
  for (const float temperature : {0.9f, 1.0f}) {
    ExpectDistribution(JobOf(rows.data, temperature), Weights(rows.data, temperature), 30000,
                       "T " + std::to_string(temperature));
  }
}

TEST(LogitsDraw, LeavesOutBannedTokensAndKeepsIgnoredOnes) {
  const Rows rows(1, 4196, kSeed, 1, 0);
  std::vector<float> z = rows.data;
  z[3] = z[4] = z[5] = z[4100] = 8;
  const std::vector<int32_t> banned = {3, 5}, ignored = {4, 5, 4100};
  LogitsCall job = JobOf(z, 1.2f);
  job.banned = banned.data();
  job.banned_count = 2;
  job.ignored = ignored.data();
  job.ignored_count = 3;
  std::vector<double> weights = Weights(z, 1.2);
  weights[3] = weights[5] = 0;
  ExpectDistribution(job, weights, 30000, "banned and ignored");
  for (const syl_logits_stats& stats : Draw(job, 100)) {
    EXPECT_EQ(stats.probability == 0, stats.token == 4 || stats.token == 4100) << stats.token;
  }
}

TEST(LogitsDraw, ProbabilityIsThatOfTheToken) {
  const Rows rows(1, 9000, kSeed, 1, 0);
  for (const float temperature : {1.0f, 0.5f}) {
    LogitsCall job = JobOf(rows.data, 2);
    job.temperature = temperature;
    std::vector<float> w = rows.data;
    for (float& value : w) value *= 1 / temperature;
    const std::vector<double> weights = Weights(w, 1);
    double whole = 0;
    for (const double weight : weights) whole += weight;
    for (const syl_logits_stats& stats : Draw(job, 200)) {
      const double want = weights[static_cast<size_t>(stats.token)] / whole;
      EXPECT_NEAR(stats.probability, want, 1e-6 * want);
    }
  }
}

TEST(LogitsDraw, DependsOnSeedStepAndStream) {
  const Rows rows(40, 5000, kSeed, 0.1f, 0);
  LogitsCall job = JobOf(rows.data, 1);
  job.stride = job.cols = 5000;
  job.rows = job.count = 40;
  const auto tokens = [](const LogitsCall& call) {
    std::vector<syl_logits_stats> stats(static_cast<size_t>(call.count));
    EXPECT_EQ(call.Run(stats.data()), SYL_OK) << syl_last_error();
    std::vector<int32_t> result;
    for (const auto& s : stats) result.push_back(s.token);
    return result;
  };
  const auto first = tokens(job);
  EXPECT_EQ(tokens(job), first);
  LogitsCall other = job;
  other.seed += uint64_t{1} << 40;
  EXPECT_NE(tokens(other), first);
  other = job;
  other.step = 1;
  EXPECT_NE(tokens(other), first);
  std::vector<uint64_t> streams(40);
  for (size_t i = 0; i < 40; ++i) streams[i] = i;
  other = job;
  other.streams = streams.data();
  EXPECT_EQ(tokens(other), first);  // the rows' numbers
  streams[7] = uint64_t{7} << 32;
  const auto changed = tokens(other);
  for (size_t i = 0; i < 40; ++i) EXPECT_EQ(changed[i] != first[i], i == 7) << i;
}

TEST(LogitsDraw, LowTemperaturesGiveTheArgmax) {
  const Rows rows(1, 9000, kSeed, 3, 0);
  for (const auto& stats : Draw(JobOf(rows.data, 1e-5f), 100)) EXPECT_EQ(stats.token, stats.argmax);
}

// A chunk whose share is exp(-44) can win: 24 bits would end at exp(-16.6), 32 at exp(-22.2).
TEST(LogitsDraw, NoiseHasItsTails) {
  EXPECT_NEAR(LogitsGumbel(UINT64_MAX), 65 * std::log(2), 1e-12);
  EXPECT_NEAR(LogitsGumbel(0), -std::log(65 * std::log(2)), 1e-12);
  for (const int shift : {0, 1, 5, 31, 32, 40, 62, 63}) {
    for (const uint64_t bits : {uint64_t{1} << shift, ~(uint64_t{1} << shift), UINT64_MAX >> shift}) {
      const long double u = (static_cast<long double>(bits) + 0.5L) * 0x1p-64L;  // 64 bits
      const long double one_minus = (static_cast<long double>(~bits) + 0.5L) * 0x1p-64L;
      const long double e = u < 0.5L ? -std::log(u) : -std::log1p(-one_minus);
      const auto want = static_cast<double>(-std::log(e));
      EXPECT_NEAR(LogitsGumbel(bits), want, 1e-15 * std::max(1.0, std::fabs(want))) << bits;
    }
  }
}

// And so can a token whose share of its chunk is 1e-12.
TEST(LogitsDraw, RareTokensOfAChunkAreReached) {
  std::vector<float> weights(256, 0.0f);
  weights[10] = 1;
  weights[200] = 1e-12f;
  const double sums[] = {1, 1e-12f};
  EXPECT_EQ(sylvester::LogitsChooseToken(weights.data(), sums, 2, 1 - 0x1p-53), 200);
  EXPECT_EQ(sylvester::LogitsChooseToken(weights.data(), sums, 2, 1 - 2e-12), 10);
  EXPECT_EQ(sylvester::LogitsChooseToken(weights.data(), sums, 2, 0), 10);
}

TEST(LogitsDraw, LogarithmsAreAccurate) {
  std::mt19937 random(kSeed);
  std::uniform_real_distribution<double> exponent(-80, 80);
  for (int i = 0; i < 20000; ++i) {
    const double x = std::exp(exponent(random));
    EXPECT_NEAR(sylvester::LogitsLog(x), std::log(x), 4e-16 * std::max(std::fabs(std::log(x)), 0.0)) << x;
    EXPECT_NEAR(sylvester::LogitsLogOnePlus(x), std::log1p(x), 6e-16 * std::log1p(x)) << x;
    const double near = 1 + (x < 1 ? x * 0.4 : 0.4 / x);
    EXPECT_NEAR(sylvester::LogitsLog(near), std::log(near), 6e-16 * std::log(near)) << near;
  }
}

}  // namespace
