// Top-k and top-p of syl_logits_stats_of.
#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <numeric>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/native/logits/reference_stats.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

struct Filters {
  int32_t top_k;
  float top_p;
};

std::string Name(const Filters& filters) {
  return "top_k " + std::to_string(filters.top_k) + " top_p " + std::to_string(filters.top_p);
}

// The smallest z that stays, by definition: sorted, in double.
float SmallestKept(const std::vector<float>& z, float temperature, const Filters& filters, const Excluded& excluded) {
  std::vector<float> sorted;
  for (size_t i = 0; i < z.size(); ++i) {
    const auto id = static_cast<int64_t>(i);
    if (!Excluded::Has(excluded.banned, id) && !Excluded::Has(excluded.ignored, id)) sorted.push_back(z[i]);
  }
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  float least = -kInfinity;
  const auto k = static_cast<size_t>(filters.top_k);
  if (k > 0 && k < sorted.size()) least = sorted[k - 1];
  if (filters.top_p < 1) {
    std::vector<double> e;
    for (const float value : sorted) e.push_back(std::exp((static_cast<double>(value) - sorted[0]) / temperature));
    const double whole = std::accumulate(e.begin(), e.end(), 0.0);
    double sum = 0;
    size_t last = 0;
    while (last < e.size() && sum < filters.top_p * whole) sum += e[last++];
    least = std::max(least, sorted[last - 1]);
  }
  return least;
}

// As if the tokens that go were not there, but for max and second.
syl_logits_stats WantedOfKept(const std::vector<float>& z, float temperature, const Filters& filters,
                              const Excluded& excluded = {}) {
  const float least = SmallestKept(z, temperature, filters, excluded);
  std::vector<float> kept = z;
  for (float& value : kept) value = value >= least ? value : -kInfinity;
  syl_logits_stats want = Wanted(kept, temperature, excluded);
  want.second = Wanted(z, temperature, excluded).second;
  return want;
}

LogitsCall CallOf(const LogitsOfType& row, const Filters& filters, float temperature = 1) {
  LogitsCall call = row.Job();
  call.top_k = filters.top_k;
  call.top_p = filters.top_p;
  call.temperature = temperature;
  return call;
}

const Filters kFilters[] = {{1, 1},    {2, 1},    {40, 1},     {1000, 1},      {0, 0.95f},
                            {0, 0.5f}, {0, 0.1f}, {30, 0.85f}, {5000, 0.999f}, {1 << 30, 1}};

TEST(LogitsFilters, AreThoseOfADoubleReference) {
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    for (const syl_dtype type : {SYL_F32, SYL_F16, SYL_BF16}) {
      for (const int64_t cols : {1, 2, 129, 4096, 4097, 9000}) {
        for (const float temperature : {1.0f, 0.25f}) {
          // Halves have ties, also at the bounds.
          const LogitsOfType row(type, Rows(1, cols, 7, 2.5f, 0));
          for (const Filters& filters : kFilters) {
            const LogitsCall call = CallOf(row, filters, temperature);
            ExpectRight(StatsOf(call)[0], WantedOfKept(row.values.data, temperature, filters),
                        tier + " " + Name(filters) + " cols " + std::to_string(cols) + " type " + std::to_string(type));
          }
        }
      }
    }
  }
}

TEST(LogitsFilters, KeepAllOfEqualTokens) {
  std::vector<float> z(9000, -0.0f);
  z[4000] = 3;
  for (const int64_t i : {10, 4095, 4096, 8999}) z[static_cast<size_t>(i)] = 2;
  for (const int64_t i : {11, 5000}) z[static_cast<size_t>(i)] = 0.0f;  // equal to -0
  const LogitsOfType row(SYL_F32, z);
  const auto share = [&](const Filters& filters) { return 1 + StatsOf(CallOf(row, filters))[0].tail; };
  const double e = std::exp(-1);
  EXPECT_NEAR(share({1, 1}), 1, 1e-6);
  for (const int32_t k : {2, 3, 5}) EXPECT_NEAR(share({k, 1}), 1 + 4 * e, 1e-6) << k;
  EXPECT_NEAR(share({6, 1}), 1 + 4 * e + 8995 * std::exp(-3), 1e-3);
  EXPECT_NEAR(share({0, 0.003f}), 1 + 4 * e, 1e-6);
  EXPECT_NEAR(share({0, 0.5f}), 1 + 4 * e + 8995 * std::exp(-3), 1e-3);
}

TEST(LogitsFilters, LookAtNoBannedAndNoIgnoredToken) {
  std::vector<float> z = Rows(1, 9000, 8, 2, 0).data;
  z[5000] = 14;
  z[4095] = 13;
  z[4096] = 12.5f;
  z[8999] = 12;
  z[17] = z[18] = -9;
  const LogitsOfType row(SYL_F32, z);
  for (const Excluded& excluded : {Excluded{{5000}, {5000}}, {{4095}, {5000}}, {{17, 5000}, {18, 4096}}}) {
    for (const Filters& filters : kFilters) {
      LogitsCall call = CallOf(row, filters, 0.9f);
      call.banned = excluded.banned.data();
      call.banned_count = static_cast<int64_t>(excluded.banned.size());
      call.ignored = excluded.ignored.data();
      call.ignored_count = static_cast<int64_t>(excluded.ignored.size());
      ExpectRight(StatsOf(call)[0], WantedOfKept(z, 0.9f, filters, excluded),
                  Name(filters) + " banned " + testing::PrintToString(excluded.banned));
    }
  }
}

TEST(LogitsFilters, SeeLogitsWithGuidance) {
  const LogitsOfType with(SYL_F32, Rows(1, 5000, 9, 2, 0)), without(SYL_F32, Rows(1, 5000, 10, 1, 0));
  std::vector<float> z;
  for (size_t i = 0; i < 5000; ++i) {
    const volatile float product = 2.5f * (with.values.data[i] - without.values.data[i]);  // no fused multiply-add
    z.push_back(without.values.data[i] + product);
  }
  for (const Filters& filters : kFilters) {
    LogitsCall call = CallOf(with, filters);
    call.unconditional = without.bytes.data();
    call.guidance = 1.5f;
    ExpectRight(StatsOf(call)[0], WantedOfKept(z, 1, filters), Name(filters));
  }
}

// Each token that stays as often as its share, no other one.
TEST(LogitsFilters, DrawsFromWhatStays) {
  const LogitsOfType row(SYL_F32, Rows(1, 5000, 11, 2.5f, 0));
  const std::vector<float>& z = row.values.data;
  const Filters filters = {12, 0.5f};
  const float least = SmallestKept(z, 0.8f, filters, {});
  constexpr int64_t kDraws = 20000;
  const std::vector<int32_t> list(kDraws);
  std::vector<uint64_t> streams(kDraws);
  std::iota(streams.begin(), streams.end(), 0);
  LogitsCall call = CallOf(row, filters, 0.8f);
  call.draw_temperature = 0.8f;
  call.list = list.data();
  call.streams = streams.data();
  call.count = kDraws;
  std::vector<double> share(z.size());
  for (size_t i = 0; i < z.size(); ++i) share[i] = z[i] >= least ? std::exp(z[i] / 0.8) : 0;
  const double whole = std::accumulate(share.begin(), share.end(), 0.0);
  std::vector<int64_t> drawn(z.size());
  for (const syl_logits_stats& stats : StatsOf(call, NewPool(2).get())) {
    const auto token = static_cast<size_t>(stats.token);
    ++drawn[token];
    ASSERT_NEAR(stats.probability, share[token] / whole, 1e-6);
  }
  for (size_t i = 0; i < z.size(); ++i) {
    const double p = share[i] / whole;
    EXPECT_NEAR(static_cast<double>(drawn[i]), p * kDraws, 5 * std::sqrt(p * kDraws)) << i;
  }
}

TEST(LogitsFilters, FusedTiersThreadsAndListsAgreeBitForBit) {
  const LogitsOfType rows(SYL_BF16, Rows(9, 8200, 12, 2, 5));
  LogitsCall call = CallOf(rows, {50, 0.9f}, 0.7f);
  call.draw_temperature = 0.7f;
  std::vector<syl_logits_stats> first;
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    const std::vector<syl_logits_stats> one_by_one = StatsOfEach(call);
    for (const int32_t threads : {1, 3}) EXPECT_TRUE(Same(StatsOf(call, NewPool(threads).get()), one_by_one)) << tier;
    if (!IsFused(tier)) continue;
    if (first.empty()) first = one_by_one;
    EXPECT_TRUE(Same(first, one_by_one)) << tier;
  }
}

TEST(LogitsFilters, RowsWithoutProbabilitiesAreNamed) {
  for (const float bad : {kNaN, kInfinity}) {
    Rows rows(3, 5000, 13);
    rows.At(1)[4100] = bad;
    const LogitsOfType logits(SYL_F32, rows);
    LogitsCall call = CallOf(logits, {3, 0.9f});
    call.draw_temperature = 1;
    std::vector<syl_logits_stats> stats(3);
    EXPECT_REFUSED(call.Run(stats.data()), SYL_BAD_DATA, "row 1, result 1");
    EXPECT_TRUE(std::isnan(stats[1].tail));
    EXPECT_EQ(stats[1].token, -1);
    EXPECT_FALSE(std::isnan(stats[2].tail));
  }
}

TEST(LogitsFilters, BadValuesAreRefused) {
  const LogitsOfType logits(SYL_F32, Rows(1, 8, 14));
  syl_logits_stats stats;
  EXPECT_REFUSED(CallOf(logits, {-1, 1}).Run(&stats), SYL_BAD_VALUE, "options->top_k is -1");
  EXPECT_REFUSED(CallOf(logits, {0, 0}).Run(&stats), SYL_BAD_VALUE, "options->top_p is 0");
  EXPECT_REFUSED(CallOf(logits, {0, 1.5f}).Run(&stats), SYL_BAD_VALUE, "options->top_p is 1.5");
  EXPECT_REFUSED(CallOf(logits, {0, kNaN}).Run(&stats), SYL_BAD_VALUE, "options->top_p is nan");
}

// tests/golden/make_dream_filters.py. z / T is computed in float here: |z / T| below 64 is off by 2^-17 at most.
TEST(LogitsFilters, AreThoseOfDreamInPyTorch) {
  std::ifstream file(SYLVESTER_SOURCE_DIR "/tests/golden/dream_filters.txt");
  int cases = 0;
  for (std::string line; std::getline(file, line); ++cases) {
    std::istringstream fields(line);
    float temperature;
    Filters filters = {};
    int32_t kept, argmax;
    double confidence, margin, entropy;
    size_t cols;
    fields >> temperature >> filters.top_p >> filters.top_k >> kept >> argmax >> confidence >> margin >> entropy >>
        cols;
    std::vector<float> z(cols);
    for (float& value : z) ASSERT_TRUE(fields >> value) << cases;
    const LogitsOfType row(SYL_F32, z);
    const syl_logits_stats stats = StatsOf(CallOf(row, filters, temperature))[0];
    EXPECT_EQ(stats.argmax, argmax) << cases;
    EXPECT_NEAR(stats.probability, confidence, 0x1p-17) << cases;
    EXPECT_NEAR(stats.margin, margin, 0x1p-17) << cases;
    EXPECT_NEAR(stats.entropy, entropy, 0x1p-14) << cases;
    LogitsCall call = CallOf(row, filters, temperature);
    call.draw_temperature = 1e6f;  // all that stay are drawn
    const std::vector<int32_t> list(2000);
    std::vector<uint64_t> streams(list.size());
    std::iota(streams.begin(), streams.end(), 0);
    call.list = list.data();
    call.streams = streams.data();
    call.count = 2000;
    std::set<int32_t> tokens;
    for (const syl_logits_stats& drawn : StatsOf(call)) tokens.insert(drawn.token);
    EXPECT_EQ(static_cast<int32_t>(tokens.size()), kept) << cases;
  }
  EXPECT_EQ(cases, 18);
}

}  // namespace
