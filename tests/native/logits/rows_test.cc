// syl_logits_stats_of against plain loops in double.
#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "native/common/half.h"
#include "native/common/logits_rules.h"
#include "tests/native/logits/reference_stats.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = kLogitsSeed;
const syl_dtype kTypes[] = {SYL_F32, SYL_F16, SYL_BF16};

// Kinds of rows. Terms far below the largest, all with the same rounding, show what a plain subtraction loses.
const std::map<std::string, std::function<float(int64_t, int64_t, float)>> kKinds = {
    {"normal", [](int64_t, int64_t, float noise) { return 2.5f * noise; }},
    {"wide", [](int64_t, int64_t, float noise) { return 40 * noise; }},
    {"peaked", [](int64_t i, int64_t cols, float noise) { return i == cols / 3 ? 31.7f : 3 * noise - 2; }},
    {"flat", [](int64_t, int64_t, float noise) { return 0.01f * noise; }},
    {"all equal", [](int64_t, int64_t, float) { return -3.3f; }},
    {"equal far below", [](int64_t i, int64_t cols, float) { return i == cols - 1 ? 71.5703f : 21.1309f; }},
    {"one hot", [](int64_t i, int64_t cols, float) { return i == cols / 2 ? 7.0f : -kInfinity; }},
    {"one hot of zeros", [](int64_t i, int64_t cols, float) { return i == cols / 2 ? 30.0f : 0.0f; }},
    {"tied", [](int64_t i, int64_t, float noise) { return i % 1000 == 17 ? 9.0f : noise; }},
    {"half ignored", [](int64_t i, int64_t, float noise) { return i % 2 == 0 ? noise : -kInfinity; }},
    {"large", [](int64_t i, int64_t, float noise) { return 3e4f + (i % 3 == 0 ? 16 : 0) + noise; }},
    {"large and negative", [](int64_t, int64_t, float noise) { return -200 + 5 * noise; }},
    {"falling", [](int64_t i, int64_t cols, float) { return -60 * static_cast<float>(i) / static_cast<float>(cols); }},
};

std::vector<float> RowOfKind(const std::string& kind, int64_t cols) {
  std::mt19937 random(kSeed);
  std::normal_distribution<float> normal;
  std::vector<float> row;
  for (int64_t i = 0; i < cols; ++i) row.push_back(kKinds.at(kind)(i, cols, normal(random)));
  return row;
}

TEST(LogitsRows, WithinTheBound) {
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    for (const auto& [kind, value] : kKinds) {
      for (const int64_t cols : {1, 2, 127, 128, 129, 4095, 4097, 12300}) {
        for (const syl_dtype type : kTypes) {
          const LogitsOfType row(type, RowOfKind(kind, cols));
          const std::string what =
              tier + " " + kind + " cols " + std::to_string(cols) + " type " + std::to_string(type);
          ExpectRight(StatsOf(row.Job())[0], Wanted(row.values.data), what);
        }
      }
    }
  }
}

TEST(LogitsRows, WithinTheBoundOnTheLargestVocabularies) {
  for (const int64_t cols : {126464, 151936, 262144}) {
    for (const char* kind : {"peaked", "equal far below", "normal"}) {
      const LogitsOfType row(SYL_BF16, RowOfKind(kind, cols));
      ExpectRight(StatsOf(row.Job())[0], Wanted(row.values.data), std::string(kind) + " cols " + std::to_string(cols));
    }
  }
}

TEST(LogitsRows, Temperatures) {
  for (const auto& [kind, value] : kKinds) {
    for (const float temperature : {0.1f, 0.7f, 1.5f, 100.0f}) {
      const LogitsOfType row(SYL_F32, RowOfKind(kind, 5000));
      LogitsCall job = row.Job();
      job.temperature = temperature;
      ExpectRight(StatsOf(job)[0], Wanted(row.values.data, temperature), kind + " T " + std::to_string(temperature));
    }
  }
}

TEST(LogitsRows, Guidance) {
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    for (const syl_dtype type : kTypes) {
      for (const float guidance : {0.0f, 1.5f, -0.5f}) {
        const LogitsOfType with(type, Rows(2, 4500, kSeed, 3)), without(type, Rows(2, 4500, kSeed + 1, 3));
        LogitsCall job = with.Job();
        job.unconditional = without.bytes.data();
        job.guidance = guidance;
        const auto stats = StatsOf(job);
        for (int64_t r = 0; r < 2; ++r) {
          std::vector<float> z = RowOf(with.values, r);
          for (size_t i = 0; i < z.size(); ++i) {
            const volatile float factor = guidance + 1, difference = z[i] - without.values.At(r)[i];
            const volatile float product = factor * difference;  // no fused multiply-add
            z[i] = without.values.At(r)[i] + product;
          }
          ExpectRight(stats[static_cast<size_t>(r)], Wanted(z), tier + " guidance " + std::to_string(guidance));
        }
      }
    }
  }
}

TEST(LogitsRows, BannedAndIgnoredTokens) {
  std::vector<float> z = RowOfKind("normal", 9000);
  z[5000] = 14;
  z[4095] = 13;
  z[4096] = 12.5f;
  z[8999] = 12;
  z[0] = 11;
  for (const syl_dtype type : kTypes) {
    const LogitsOfType row(type, z);
    for (const float temperature : {1.0f, 0.8f}) {
      for (const Excluded& excluded : {Excluded{{5000}, {}},
                                       {{4095, 5000}, {}},
                                       {{}, {5000}},
                                       {{}, {4096, 5000, 8999}},
                                       {{5000}, {5000}},
                                       {{5000}, {4095}},
                                       {{0, 4095, 5000}, {4095, 4096}},
                                       {{1, 2}, {3, 4}}}) {
        LogitsCall job = row.Job();
        job.temperature = temperature;
        job.banned = excluded.banned.data();
        job.banned_count = static_cast<int64_t>(excluded.banned.size());
        job.ignored = excluded.ignored.data();
        job.ignored_count = static_cast<int64_t>(excluded.ignored.size());
        const auto want = Wanted(row.values.data, temperature, excluded);
        ExpectRight(StatsOf(job)[0], want,
                    "banned " + testing::PrintToString(excluded.banned) + " ignored " +
                        testing::PrintToString(excluded.ignored));
      }
    }
  }
}

// Also of ties between a token that is set apart and others, before and after it.
TEST(LogitsRows, TheSmallestIdWinsTies) {
  for (const int32_t ignored : {3, 100, 4500}) {
    std::vector<float> z(9000, 0.0f);
    z[100] = z[3] = z[4500] = z[8000] = 5;
    const LogitsOfType row(SYL_F32, z);
    LogitsCall job = row.Job();
    job.ignored = &ignored;
    job.ignored_count = 1;
    const auto stats = StatsOf(job)[0];
    EXPECT_EQ(stats.argmax, 3);
    EXPECT_EQ(stats.second, 5);
    job.banned = &ignored;
    job.banned_count = 1;
    EXPECT_EQ(StatsOf(job)[0].argmax, ignored == 3 ? 100 : 3);
  }
}

// Shifted rows, as Dream reads them, repeats and any order.
TEST(LogitsRows, Lists) {
  const LogitsOfType logits(SYL_BF16, Rows(7, 4200, kSeed, 4));
  const auto all = StatsOf(logits.Job());
  const std::vector<int32_t> list = {6, 0, 0, 3, 2};
  LogitsCall job = logits.Job();
  job.list = list.data();
  job.count = static_cast<int64_t>(list.size());
  const auto listed = StatsOf(job);
  for (size_t i = 0; i < list.size(); ++i) {
    EXPECT_EQ(std::memcmp(&listed[i], &all[static_cast<size_t>(list[i])], sizeof(listed[i])), 0) << i;
  }
  job.count = 0;
  EXPECT_TRUE(StatsOf(job).empty());
}

TEST(LogitsRows, FusedTiersThreadsAndBatchesAgreeBitForBit) {
  for (const syl_dtype type : kTypes) {
    const LogitsOfType with(type, Rows(53, 16385, kSeed, 5, 9)), without(type, Rows(53, 16385, kSeed + 1, 5, 9));
    const std::vector<int32_t> banned = {4, 16384}, ignored = {5, 4096};
    for (const bool full : {false, true}) {
      LogitsCall job = with.Job();
      job.draw_temperature = 1.3f;
      job.seed = kSeed;
      if (full) {
        job.unconditional = without.bytes.data();
        job.guidance = 0.5f;
        job.temperature = 0.9f;
        job.banned = banned.data();
        job.ignored = ignored.data();
        job.banned_count = job.ignored_count = 2;
      }
      std::vector<syl_logits_stats> first;
      for (const std::string& tier : SupportedTiers()) {
        const TierGuard guard(tier);
        const std::vector<syl_logits_stats> one_by_one = StatsOfEach(job);
        for (const int32_t threads : {1, 2, 5}) EXPECT_TRUE(Same(StatsOf(job, NewPool(threads).get()), one_by_one));
        if (!IsFused(tier)) continue;
        if (first.empty()) first = one_by_one;
        EXPECT_TRUE(Same(first, one_by_one)) << tier << " type " << type << " full " << full;
      }
    }
  }
}

TEST(LogitsRows, PlainRowsAreThoseOfTheShortCall) {
  const LogitsOfType logits(SYL_F32, Rows(3, 9001, kSeed, 4));
  std::vector<syl_logits_stats> stats(3);
  ASSERT_EQ(syl_logits_stats_f32(logits.values.At(0), logits.values.stride, 3, 9001, stats.data(), nullptr), SYL_OK);
  EXPECT_TRUE(Same(stats, StatsOf(logits.Job())));
}

TEST(LogitsRows, RowsWithoutProbabilitiesAreNamed) {
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    for (const float bad : {kNaN, kInfinity}) {
      for (const int64_t at : {0, 77, 4100, 5001}) {
        Rows rows(4, 5002, kSeed);
        rows.At(2)[at] = bad;
        const LogitsOfType logits(SYL_F32, rows);
        for (const float draw : {0.0f, 1.0f}) {
          LogitsCall job = logits.Job();
          job.draw_temperature = draw;
          std::vector<syl_logits_stats> stats(4);
          EXPECT_REFUSED(job.Run(stats.data()), SYL_BAD_DATA, "row 2, result 2");
          EXPECT_TRUE(std::isnan(stats[2].tail) && std::isnan(stats[2].probability) && std::isnan(stats[2].entropy));
          EXPECT_EQ(stats[2].log_sum_exp == kInfinity, bad == kInfinity);
          if (draw > 0) {
            EXPECT_EQ(stats[2].token, -1);
          }
          EXPECT_FALSE(std::isnan(stats[3].tail));
        }
      }
    }
    const LogitsOfType nothing(SYL_F32, std::vector<float>(300, -kInfinity));
    syl_logits_stats stats;
    LogitsCall job = nothing.Job();
    EXPECT_REFUSED(job.Run(&stats), SYL_BAD_DATA, "row 0");
    const LogitsOfType three(SYL_F32, std::vector<float>{1, 2, 3});
    const std::vector<int32_t> ids = {0, 1, 2};
    job = three.Job();
    job.banned = ids.data();
    job.banned_count = 3;
    EXPECT_REFUSED(job.Run(&stats), SYL_BAD_DATA, "row 0");
    job = three.Job();
    job.ignored = ids.data();
    job.ignored_count = 3;
    EXPECT_REFUSED(job.Run(&stats), SYL_BAD_DATA, "row 0");
    const LogitsOfType huge(SYL_F32, std::vector<float>{1e38f, 2, 3});
    job = huge.Job();
    job.draw_temperature = 0.01f;
    EXPECT_REFUSED(job.Run(&stats), SYL_BAD_DATA, "row 0");
    // A NaN that is set apart counts where its token does.
    const LogitsOfType set_apart(SYL_F32, std::vector<float>{1, kNaN, 3});
    const int32_t id = 1;
    job = set_apart.Job();
    job.banned = &id;
    job.banned_count = 1;
    EXPECT_REFUSED(job.Run(&stats), SYL_BAD_DATA, "a logit is NaN");
    job.ignored = &id;
    job.ignored_count = 1;
    EXPECT_EQ(StatsOf(job)[0].argmax, 2);
  }
}

TEST(LogitsRows, BadArgumentsAreRefused) {
  const LogitsOfType logits(SYL_F32, Rows(3, 8, kSeed));
  std::vector<syl_logits_stats> stats(3);
  const std::vector<int32_t> list = {0, 3}, unsorted = {2, 1}, twice = {1, 1}, outside = {8};
  const auto refused = [&](const std::function<void(LogitsCall*)>& change, syl_status status, const char* text) {
    LogitsCall job = logits.Job();
    change(&job);
    std::memset(stats.data(), 0x55, sizeof(stats[0]) * 3);
    EXPECT_REFUSED(job.Run(stats.data()), status, text);
    EXPECT_EQ(stats[0].argmax, 0x55555555);
  };
  using Job = LogitsCall;
  refused([](Job* job) { job->struct_size = 8; }, SYL_BAD_VALUE, "options->struct_size is 8");
  refused([](Job* job) { job->logits = nullptr; }, SYL_NULL_ARGUMENT, "logits is NULL");
  refused([](Job* job) { job->type = SYL_F64; }, SYL_BAD_VALUE, "options->type is 28");
  refused([](Job* job) { job->cols = 0; }, SYL_BAD_VALUE, "cols is 0");
  refused([](Job* job) { job->rows = -1; }, SYL_BAD_VALUE, "rows is -1");
  refused([](Job* job) { job->stride = 7; }, SYL_BAD_SHAPE, "stride is 7");
  refused([](Job* job) { job->stride = INT64_MAX / 2; }, SYL_BAD_SHAPE, "stride is");
  refused([](Job* job) { job->count = 2; }, SYL_BAD_VALUE, "count is 2");
  refused([&](Job* job) { job->list = list.data(), job->count = 2; }, SYL_BAD_VALUE, "list[1] is 3");
  refused([&](Job* job) { job->list = list.data(), job->count = -1; }, SYL_BAD_VALUE, "count is -1");
  refused([](Job* job) { job->guidance = kInfinity; }, SYL_BAD_VALUE, "guidance is inf");
  refused([](Job* job) { job->temperature = 0; }, SYL_BAD_VALUE, "temperature is 0");
  refused([](Job* job) { job->temperature = kNaN; }, SYL_BAD_VALUE, "temperature is nan");
  refused([](Job* job) { job->draw_temperature = -1; }, SYL_BAD_VALUE, "draw_temperature is -1");
  refused([](Job* job) { job->step = 0x80000000; }, SYL_BAD_VALUE, "step is 2147483648");
  refused([](Job* job) { job->banned_count = 1; }, SYL_NULL_ARGUMENT, "banned is NULL");
  refused([](Job* job) { job->ignored_count = 9; }, SYL_BAD_VALUE, "ignored_count is 9");
  refused([&](Job* job) { job->banned = unsorted.data(), job->banned_count = 2; }, SYL_BAD_VALUE, "banned[1] is 1");
  refused([&](Job* job) { job->ignored = twice.data(), job->ignored_count = 2; }, SYL_BAD_VALUE, "ignored[1] is 1");
  refused([&](Job* job) { job->banned = outside.data(), job->banned_count = 1; }, SYL_BAD_VALUE, "banned[0] is 8");
  refused([&](Job* job) { job->logits = reinterpret_cast<uint8_t*>(stats.data()) + 4; }, SYL_OVERLAP, "overlaps");
  refused([&](Job* job) { job->unconditional = stats.data(); }, SYL_OVERLAP, "overlaps");
  EXPECT_REFUSED(
      syl_logits_stats_of(nullptr, stats.data(), nullptr, 8, 0, 8, nullptr, nullptr, 0, stats.data(), nullptr),
      SYL_NULL_ARGUMENT, "options is NULL");
  const LogitsCall job = logits.Job();
  EXPECT_REFUSED(job.Run(nullptr), SYL_NULL_ARGUMENT, "stats is NULL");
}

}  // namespace
