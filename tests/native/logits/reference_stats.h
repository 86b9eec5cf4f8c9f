// Statistics of rows by plain loops in double.
#ifndef SYLVESTER_TESTS_NATIVE_LOGITS_REFERENCE_STATS_H_
#define SYLVESTER_TESTS_NATIVE_LOGITS_REFERENCE_STATS_H_

#include <sylvester/sylvester.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/native/logits/logits_call.h"
#include "tests/native/testing.h"

namespace sylvester_test {

constexpr uint32_t kLogitsSeed = 52;

// Rows of one type in memory, and the floats that they stand for.
struct LogitsOfType {
  LogitsOfType(syl_dtype type_, Rows rows) : type(type_), values(std::move(rows)) {
    const size_t n = values.data.size();
    bytes.resize(n * (type == SYL_F32 ? 4 : 2));
    if (type == SYL_F32) {
      std::memcpy(bytes.data(), values.data.data(), bytes.size());
      return;
    }
    EXPECT_EQ(syl_convert_from_f32(type, values.data.data(), static_cast<int64_t>(n), bytes.data()), SYL_OK);
    EXPECT_EQ(syl_dequantize_f32(type, bytes.data(), static_cast<int64_t>(n), values.data.data()), SYL_OK);
  }
  LogitsOfType(syl_dtype type_, const std::vector<float>& row) : LogitsOfType(type_, OneRow(row)) {}

  static Rows OneRow(const std::vector<float>& row) {
    Rows rows(1, static_cast<int64_t>(row.size()), 0, 1, 0);
    rows.data = row;
    return rows;
  }

  LogitsCall Job() const { return {type, bytes.data(), values.stride, values.rows, values.cols}; }

  syl_dtype type;
  Rows values;
  std::vector<uint8_t> bytes;
};

inline std::vector<syl_logits_stats> StatsOf(const LogitsCall& job, syl_pool* pool = nullptr) {
  std::vector<syl_logits_stats> stats(static_cast<size_t>(job.count) + 1);
  std::memset(&stats.back(), 0x55, sizeof(stats[0]));
  EXPECT_EQ(job.Run(stats.data(), pool), SYL_OK) << syl_last_error();
  EXPECT_EQ(stats.back().argmax, 0x55555555);
  stats.pop_back();
  return stats;
}

// The same, a call for each row.
inline std::vector<syl_logits_stats> StatsOfEach(const LogitsCall& job) {
  std::vector<syl_logits_stats> stats;
  for (int32_t r = 0; r < job.rows; ++r) {
    LogitsCall one = job;
    one.list = &r;
    one.count = 1;
    stats.push_back(StatsOf(one)[0]);
  }
  return stats;
}

inline bool Same(const std::vector<syl_logits_stats>& a, const std::vector<syl_logits_stats>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), sizeof(a[0]) * a.size()) == 0;
}

struct Excluded {
  std::vector<int32_t> banned, ignored;
  static bool Has(const std::vector<int32_t>& ids, int64_t id) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  }
};

// By definition. The first pass finds the winners, the others add doubles.
inline syl_logits_stats Wanted(const std::vector<float>& z, float temperature = 1, const Excluded& excluded = {}) {
  const float inv_temperature = 1 / temperature;
  const auto cols = static_cast<int64_t>(z.size());
  syl_logits_stats want = {};
  want.argmax = -1;
  want.max = want.second = -kInfinity;
  double largest = -kInfinity;
  for (int64_t i = 0; i < cols; ++i) {
    const float value = z[static_cast<size_t>(i)];
    if (!Excluded::Has(excluded.ignored, i)) largest = std::max<double>(largest, value * inv_temperature);
    if (Excluded::Has(excluded.banned, i)) continue;
    if (want.argmax < 0 || value > want.max) {
      want.second = want.max;
      want.max = value;
      want.argmax = static_cast<int32_t>(i);
    } else {
      want.second = std::max(want.second, value);
    }
  }
  const double of_argmax = want.max * inv_temperature;
  double sum = 0;
  for (int64_t i = 0; i < cols; ++i) {
    if (Excluded::Has(excluded.ignored, i)) continue;
    const double w = z[static_cast<size_t>(i)] * inv_temperature;
    sum += std::exp(w - largest);
    if (i != want.argmax) want.tail += std::exp(w - of_argmax);
  }
  if (Excluded::Has(excluded.ignored, want.argmax)) want.tail = kInfinity;
  want.log_sum_exp = largest + std::log(sum);
  // The most probable one's -log p is log1p of the others, the rest of the sum has no cancellation.
  int64_t top = 0;
  while (Excluded::Has(excluded.ignored, top) || z[static_cast<size_t>(top)] * inv_temperature != largest) ++top;
  double others = 0;
  for (int64_t i = 0; i < cols; ++i) {
    const double d = z[static_cast<size_t>(i)] * inv_temperature - largest;
    if (i != top && !Excluded::Has(excluded.ignored, i) && d > -kInfinity) others += std::exp(d);
  }
  want.entropy = std::log1p(others);
  for (int64_t i = 0; i < cols; ++i) {
    const double d = z[static_cast<size_t>(i)] * inv_temperature - largest;
    if (!Excluded::Has(excluded.ignored, i) && d > -kInfinity) want.entropy -= std::exp(d) / sum * d;
  }
  want.margin = 1 / (1 + want.tail) * -std::expm1(static_cast<double>(want.second * inv_temperature) - of_argmax);
  want.probability = 1 / (1 + want.tail);
  return want;
}

// What is left out is below 2^18 exp(-87).
inline void ExpectRelative(double got, double want, double bound, const std::string& what) {
  if (got == want) return;
  EXPECT_LE(std::fabs(got - want), bound * std::fabs(want) + 1e-30) << what << " got " << got << " want " << want;
}

inline void ExpectRight(const syl_logits_stats& got, const syl_logits_stats& want, const std::string& where) {
  const std::string what = where + " seed " + std::to_string(kLogitsSeed);
  EXPECT_EQ(got.argmax, want.argmax) << what;
  EXPECT_EQ(got.token, want.argmax) << what;
  EXPECT_EQ(got.max, want.max) << what;
  EXPECT_EQ(got.second, want.second) << what;
  EXPECT_NEAR(got.log_sum_exp, want.log_sum_exp, 1e-6) << what;
  ExpectRelative(got.tail, want.tail, 1e-6, what + " tail");
  if (want.tail < kInfinity) {
    ExpectRelative(got.tail / (1 + got.tail), want.tail / (1 + want.tail), 1e-6, what + " 1 - p");
  }
  ExpectRelative(got.entropy, want.entropy, 1e-6, what + " entropy");
  ExpectRelative(got.margin, want.margin, 1e-6, what + " margin");
  ExpectRelative(got.probability, want.probability, 1e-6, what + " probability");
}

inline std::vector<float> RowOf(const Rows& rows, int64_t r) { return {rows.At(r), rows.At(r) + rows.cols}; }

}  // namespace sylvester_test

#endif
