#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 51;

std::vector<syl_logits_stats> Stats(const Rows& logits, syl_pool* pool = nullptr) {
  std::vector<syl_logits_stats> stats(static_cast<size_t>(logits.rows) + 1);
  stats.back().argmax = -7;
  EXPECT_EQ(syl_logits_stats_f32(logits.At(0), logits.stride, logits.rows, logits.cols, stats.data(), pool), SYL_OK)
      << syl_last_error();
  EXPECT_EQ(stats.back().argmax, -7);
  stats.pop_back();
  return stats;
}

syl_logits_stats StatsOf(const std::vector<float>& row) {
  Rows logits(1, static_cast<int64_t>(row.size()), 0, 1, 0);
  logits.data = row;
  return Stats(logits)[0];
}

void ExpectRight(const float* x, int64_t cols, const syl_logits_stats& got, const std::string& what) {
  int32_t argmax = 0;
  for (int64_t i = 1; i < cols; ++i) argmax = x[i] > x[argmax] ? static_cast<int32_t>(i) : argmax;
  double sum = 0;
  for (int64_t i = 0; i < cols; ++i) sum += std::exp(static_cast<double>(x[i]) - x[argmax]);
  EXPECT_EQ(got.argmax, argmax) << what;
  EXPECT_EQ(ToBits(got.max), ToBits(x[argmax])) << what;
  // The bound is on the sum, not on its logarithm.
  EXPECT_LE(std::fabs(std::exp(got.log_sum_exp - x[argmax]) / sum - 1), 1e-6) << what << " seed " << kSeed;
}

TEST(LogitsStats, WithinTheBoundOnRandomRows) {
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    for (const int64_t cols : {1, 2, 15, 16, 17, 63, 64, 65, 1000, 4095, 4096, 4097, 12300, 49152}) {
      for (const float deviation : {0.01f, 2.0f, 40.0f}) {
        const Rows logits(2, cols, kSeed, deviation);
        const auto stats = Stats(logits);
        for (int64_t r = 0; r < 2; ++r) {
          ExpectRight(logits.At(r), cols, stats[static_cast<size_t>(r)], tier + " cols " + std::to_string(cols));
        }
      }
    }
  }
}

// Equal terms whose roundings all go the same way, and sums far larger or smaller than the first terms.
TEST(LogitsStats, WithinTheBoundOnAdversarialRows) {
  constexpr int64_t kCols = 30000;
  const std::pair<const char*, std::function<double(int64_t)>> kinds[] = {
      {"one above the rest", [](int64_t i) { return i == 0 ? 0.0 : -0.3566; }},
      {"one far above the rest", [](int64_t i) { return i == 29999 ? 0.0 : -11.7; }},
      {"falling", [](int64_t i) { return -1e-3 * static_cast<double>(i); }},
      {"rising", [](int64_t i) { return 1e-3 * static_cast<double>(i); }},
      {"chunks of different height", [](int64_t i) { return static_cast<double>(i / 4096 % 3) * 7 - 0.77; }},
      {"large", [](int64_t i) { return 1e6 - 1e4 * static_cast<double>(i % 5); }},
      {"large differences", [](int64_t i) { return i % 2 == 0 ? -3e38 : 1e6; }},
  };
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    for (const auto& [what, value] : kinds) {
      Rows logits(1, kCols, kSeed);
      for (int64_t i = 0; i < kCols; ++i) logits.At(0)[i] = static_cast<float>(value(i));
      ExpectRight(logits.At(0), kCols, Stats(logits)[0], tier + " " + what);
    }
  }
}

TEST(LogitsStats, SmallestIndexOfTheLargest) {
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    for (const int64_t cols : {20, 5000, 13000}) {
      for (const int64_t at : {int64_t{0}, int64_t{3}, int64_t{19}, cols / 2, cols - 2}) {
        Rows logits(1, cols, kSeed);
        for (int64_t i = at; i < cols; i += 5) logits.At(0)[i] = 100;
        EXPECT_EQ(Stats(logits)[0].argmax, at) << tier << " cols " << cols;
      }
    }
  }
  EXPECT_EQ(StatsOf({-0.0f, 0.0f, -0.0f}).argmax, 0);
}

TEST(LogitsStats, NaNAndInfinities) {
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    for (const size_t cols : {size_t{3}, size_t{40}, size_t{9000}}) {
      std::vector<float> row(cols, -kInfinity);
      auto stats = StatsOf(row);
      EXPECT_EQ(stats.argmax, 0);
      EXPECT_EQ(stats.max, -kInfinity);
      EXPECT_EQ(stats.log_sum_exp, -kInfinity);
      row[cols - 1] = 2;
      stats = StatsOf(row);
      EXPECT_EQ(stats.argmax, static_cast<int32_t>(cols - 1));
      EXPECT_NEAR(stats.log_sum_exp, 2, 1e-6);
      row[0] = kNaN;
      stats = StatsOf(row);
      EXPECT_EQ(stats.argmax, static_cast<int32_t>(cols - 1));
      EXPECT_EQ(stats.max, 2);
      EXPECT_TRUE(std::isnan(stats.log_sum_exp));
      row[1] = kInfinity;
      row[0] = 0;
      stats = StatsOf(row);
      EXPECT_EQ(stats.argmax, 1);
      EXPECT_EQ(stats.max, kInfinity);
      EXPECT_EQ(stats.log_sum_exp, kInfinity);
      row.assign(cols, kNaN);
      stats = StatsOf(row);
      EXPECT_EQ(stats.argmax, -1);
      EXPECT_EQ(stats.max, -kInfinity);
      EXPECT_TRUE(std::isnan(stats.log_sum_exp));
      row[cols - 1] = -kInfinity;
      EXPECT_EQ(StatsOf(row).argmax, static_cast<int32_t>(cols - 1));
    }
  }
}

// More chunks than are worked on at once, rows that start in the middle of such a batch.
TEST(LogitsStats, FusedTiersThreadsAndBatchesAgreeBitForBit) {
  const Rows logits(23, 70001, kSeed, 5, 9);
  std::vector<syl_logits_stats> first;
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    std::vector<syl_logits_stats> one_by_one(23);
    for (int64_t r = 0; r < 23; ++r) {
      ASSERT_EQ(syl_logits_stats_f32(logits.At(r), 70001, 1, 70001, &one_by_one[static_cast<size_t>(r)], nullptr),
                SYL_OK);
    }
    const auto same = [&](const std::vector<syl_logits_stats>& got) {
      return std::memcmp(got.data(), one_by_one.data(), sizeof(got[0]) * 23) == 0;
    };
    for (const int32_t threads : {1, 2, 5}) EXPECT_TRUE(same(Stats(logits, NewPool(threads).get()))) << tier;
    if (!IsFused(tier)) continue;
    if (first.empty()) first = one_by_one;
    EXPECT_TRUE(same(first)) << tier;
  }
}

TEST(LogitsStats, BadArgumentsAreRefused) {
  std::vector<float> x(64);
  syl_logits_stats stats[2] = {};
  stats[0].argmax = -7;
  EXPECT_REFUSED(syl_logits_stats_f32(nullptr, 8, 2, 8, stats, nullptr), SYL_NULL_ARGUMENT, "logits is NULL");
  EXPECT_REFUSED(syl_logits_stats_f32(x.data(), 8, 2, 8, nullptr, nullptr), SYL_NULL_ARGUMENT, "stats is NULL");
  EXPECT_REFUSED(syl_logits_stats_f32(x.data(), 8, 2, 0, stats, nullptr), SYL_BAD_VALUE, "cols is 0");
  EXPECT_REFUSED(syl_logits_stats_f32(x.data(), 8, 2, INT64_MAX, stats, nullptr), SYL_BAD_VALUE, "cols is");
  EXPECT_REFUSED(syl_logits_stats_f32(x.data(), 8, -1, 8, stats, nullptr), SYL_BAD_VALUE, "rows is -1");
  EXPECT_REFUSED(syl_logits_stats_f32(x.data(), 7, 2, 8, stats, nullptr), SYL_BAD_SHAPE, "stride is 7");
  EXPECT_REFUSED(syl_logits_stats_f32(x.data(), INT64_MAX, 2, 8, stats, nullptr), SYL_BAD_SHAPE, "stride is");
  EXPECT_REFUSED(syl_logits_stats_f32(x.data(), 8, INT64_MAX, 8, stats, nullptr), SYL_BAD_SHAPE, "stride is");
  EXPECT_REFUSED(syl_logits_stats_f32(x.data(), 8, 2, 8, reinterpret_cast<syl_logits_stats*>(x.data() + 14), nullptr),
                 SYL_OVERLAP, "stats overlaps logits");
  EXPECT_EQ(syl_logits_stats_f32(x.data(), 8, 0, 8, stats, nullptr), SYL_OK);
  EXPECT_EQ(stats[0].argmax, -7);
}

}  // namespace
