// What calibrations make of plans, against sums and dense rotations in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "tests/native/hadamard/reference.h"
#include "tests/native/kv/model.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr int64_t kTokens = 400;

// Channels with means of their own, as keys have them.
Rows Skewed(int64_t rows, int64_t cols, uint32_t seed) {
  Rows x(rows, cols, seed);
  const Rows means(1, cols, 1000 + seed, 3);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) x.At(r)[c] += means.At(0)[c];
  }
  return x;
}

void Add(const KvCalibrationPtr& calibration, int32_t layer, const Rows& k, const Rows& v, int64_t first,
         int64_t count) {
  ASSERT_EQ(syl_kv_calibration_add_f32(calibration.get(), layer, k.At(first), k.stride, v.At(first), v.stride, count),
            SYL_OK)
      << syl_last_error();
}

std::vector<double> MeansOf(const Rows& x) {
  std::vector<double> means(x.cols);
  for (int64_t c = 0; c < x.cols; ++c) {
    long double sum = 0;
    for (int64_t r = 0; r < x.rows; ++r) sum += static_cast<long double>(x.At(r)[c]);
    means[c] = static_cast<double>(sum / static_cast<long double>(x.rows));
  }
  return means;
}

TEST(KvCalibration, GainsBalanceQueriesAndKeys) {
  constexpr int64_t kGroup = 3;
  const KvModel model(2, 48, 2, kGroup);
  const int64_t d = 48;
  for (const int32_t center : {0, 1}) {
    const KvCalibrationPtr calibration = NewKvCalibration(model.geometry);
    const KvCalibrationPtr parts[2] = {NewKvCalibration(model.geometry), NewKvCalibration(model.geometry)};
    std::vector<Rows> k, q;
    for (int32_t layer = 0; layer < 2; ++layer) {
      k.push_back(Skewed(kTokens, model.Channels(), 60 + layer));
      q.push_back(Skewed(kTokens + 7, model.Channels() * kGroup, 70 + layer));
      // Far enough apart for the limits, and a channel that is never used.
      for (int64_t r = 0; r < q[layer].rows; ++r) q[layer].At(r)[1] *= 1000;
      for (int64_t r = 0; r < kTokens; ++r) {
        k[layer].At(r)[5] = k[layer].At(r)[50] * 1e-7f;
        k[layer].At(r)[7] = 0;
      }
      Add(calibration, layer, k[layer], k[layer], 0, kTokens);
      ASSERT_EQ(
          syl_kv_calibration_add_queries_f32(calibration.get(), layer, q[layer].At(0), q[layer].stride, q[layer].rows),
          SYL_OK)
          << syl_last_error();
      for (const int64_t part : {0, 1}) {
        const int64_t first = part * 100, count = part == 0 ? 100 : q[layer].rows - 100;
        Add(parts[part], layer, k[layer], k[layer], first, part == 0 ? 100 : kTokens - 100);
        ASSERT_EQ(
            syl_kv_calibration_add_queries_f32(parts[part].get(), layer, q[layer].At(first), q[layer].stride, count),
            SYL_OK);
      }
    }
    syl_kv_options options = PlainOptions();
    options.center = center;
    options.balance = 1;
    const KvPlanPtr plan = NewKvPlan(model.geometry, options, calibration.get());
    for (int32_t layer = 0; layer < 2; ++layer) {
      const std::vector<double> means = MeansOf(k[layer]);
      for (int64_t head = 0; head < 2; ++head) {
        std::vector<double> want(d);
        double product = 1;
        for (int64_t c = 0; c < d; ++c) {
          long double key = 0, query = 0;
          for (int64_t r = 0; r < kTokens; ++r) {
            key += std::pow(
                static_cast<long double>(k[layer].At(r)[head * d + c]) - (center != 0 ? means[head * d + c] : 0), 2);
          }
          for (int64_t r = 0; r < q[layer].rows; ++r) {
            for (int64_t i = 0; i < kGroup; ++i) {
              query += std::pow(static_cast<long double>(q[layer].At(r)[(head * kGroup + i) * d + c]), 2);
            }
          }
          key /= kTokens;
          query /= static_cast<long double>(q[layer].rows);
          want[c] = key > 0 ? std::pow(static_cast<double>(query / key), 0.25) : 1;
          product *= std::pow(want[c], 1.0 / static_cast<double>(d));
        }
        int64_t limited = 0;
        for (int64_t c = 0; c < d; ++c) {
          const double gain = std::min(std::max(want[c] / product, 0.125), 8.0);
          limited += gain == 8;
          EXPECT_NEAR(plan->plan->layers[layer].gain_keys[head * d + c], gain, 1e-6 * gain) << head << " " << c;
        }
        EXPECT_GE(limited, head == 0 ? 1 : 0);
      }
    }
    ASSERT_EQ(syl_kv_calibration_merge(parts[1].get(), parts[0].get()), SYL_OK);
    EXPECT_EQ(Saved(NewKvPlan(model.geometry, options, parts[1].get())), Saved(plan));
  }
}

// H_base (x) H_2^k, dense.
std::vector<double> Rotated(const std::vector<double>& x, int64_t n) {
  int64_t base = n;
  while (base % 2 == 0) base /= 2;
  if (base > 1) base *= 4;
  const int64_t k = n / base;
  const std::vector<float>& matrix = BaseMatrix(static_cast<int32_t>(base), SYL_HADAMARD_TABLE_DEFAULT);
  std::vector<double> y(x.size());
  for (size_t first = 0; first < x.size(); first += n) {
    for (int64_t i = 0; i < n; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < n; ++j) {
        const int sign = __builtin_popcountll(i % k & j % k) % 2 == 0 ? 1 : -1;
        sum += static_cast<double>(matrix[i / k * base + j / k]) * sign * x[first + j];
      }
      y[first + i] = sum / std::sqrt(static_cast<double>(n));
    }
  }
  return y;
}

// The rank of each channel by counting those that come before it.
std::vector<uint16_t> GroupsByRank(const std::vector<double>& means, int64_t group) {
  std::vector<uint16_t> groups;
  for (size_t c = 0; c < means.size(); ++c) {
    int64_t rank = 0;
    for (size_t other = 0; other < means.size(); ++other) {
      if (means[other] < means[c] || (means[other] == means[c] && other < c)) ++rank;
    }
    groups.push_back(static_cast<uint16_t>(rank / group));
  }
  return groups;
}

TEST(KvCalibration, CentersAreMeans) {
  const KvModel model(3, 80);
  const KvCalibrationPtr calibration = NewKvCalibration(model.geometry);
  std::vector<Rows> k, v;
  for (int32_t layer = 0; layer < 2; ++layer) {
    k.push_back(Skewed(kTokens, model.Channels(), 1 + layer));
    v.push_back(Skewed(kTokens, model.Channels(), 5 + layer));
    Add(calibration, layer, k[layer], v[layer], 0, kTokens);
  }
  for (const int32_t center : {1, 2, 3}) {
    syl_kv_options options = PlainOptions();
    options.center = center;
    const KvPlanPtr plan = NewKvPlan(model.geometry, options, calibration.get());
    for (int32_t layer = 0; layer < 2; ++layer) {
      const auto expect_means = [](bool centered, const std::vector<float>& got, const Rows& x) {
        ASSERT_EQ(static_cast<int64_t>(got.size()), centered ? x.cols : 0);
        const std::vector<double> want = MeansOf(x);
        // A sum of n terms in double, then one rounding to float.
        for (size_t c = 0; c < got.size(); ++c) EXPECT_NEAR(got[c], want[c], 6e-8 * std::fabs(want[c]) + 1e-12) << c;
      };
      expect_means((center & SYL_KV_CENTER_KEYS) != 0, plan->plan->layers[layer].center_keys, k[layer]);
      expect_means((center & SYL_KV_CENTER_VALUES) != 0, plan->plan->layers[layer].center_values, v[layer]);
    }
  }
}

TEST(KvCalibration, SortedGroupsAreNeighboursInRotatedMeans) {
  struct Case {
    int64_t kv_heads, head_dim;
    int32_t rotate, head_group, group;
  };
  for (const Case& c : {Case{3, 64, SYL_KV_ROTATE_GROUP, 0, 64}, Case{3, 64, SYL_KV_ROTATE_GROUP, 3, 128},
                        Case{8, 128, SYL_KV_ROTATE_GROUP, 0, 128}, Case{3, 64, SYL_KV_ROTATE_HEAD, 0, 128},
                        Case{2, 80, SYL_KV_ROTATE_HEAD, 0, 48}, Case{4, 96, SYL_KV_ROTATE_GROUP, 2, 128},
                        Case{5, 48, SYL_KV_ROTATE_NONE, 0, 32}, Case{1, 16, SYL_KV_ROTATE_GROUP, 1, 65536}}) {
    const KvModel model(c.kv_heads, c.head_dim, 2);
    const KvCalibrationPtr calibration = NewKvCalibration(model.geometry);
    syl_kv_options options = PlainOptions();
    options.rope = SYL_KV_PRE_ROPE;
    options.rotate_keys = c.rotate;
    options.head_group = c.head_group;
    options.sort = 1;
    options.group_keys = c.group;
    std::vector<Rows> k;
    for (int32_t layer = 0; layer < 2; ++layer) {
      k.push_back(Skewed(kTokens, model.Channels(), 30 + layer));
      Add(calibration, layer, k[layer], k[layer], 0, kTokens);
    }
    const KvPlanPtr plan = NewKvPlan(model.geometry, options, calibration.get());
    const int64_t heads = c.rotate == SYL_KV_ROTATE_GROUP ? OptionsOf(plan).head_group : 1;
    const int64_t group = std::min<int64_t>(c.group, model.Channels());
    for (int32_t layer = 0; layer < 2; ++layer) {
      const std::vector<double> means = MeansOf(k[layer]);
      const std::vector<uint16_t> want =
          GroupsByRank(c.rotate == SYL_KV_ROTATE_NONE ? means : Rotated(means, heads * c.head_dim), group);
      EXPECT_EQ(plan->plan->layers[layer].group_of, want) << c.kv_heads << " x " << c.head_dim << ", layer " << layer;
      // Every group is full but the last: the groups are those of a permutation.
      EXPECT_EQ(plan->plan->layers[layer].keys.groups, (model.Channels() + group - 1) / group);
      for (int64_t g = 0; g < plan->plan->layers[layer].keys.groups; ++g) {
        EXPECT_EQ(std::count(want.begin(), want.end(), g), std::min(group, model.Channels() - g * group));
      }
    }
    // Values keep groups of their heads, and centring does not change the order.
    EXPECT_EQ(plan->plan->layers[0].values.groups, c.kv_heads * ((c.head_dim + 31) / 32));
    options.center = SYL_KV_CENTER_KEYS;
    EXPECT_EQ(NewKvPlan(model.geometry, options, calibration.get())->plan->layers[0].group_of,
              plan->plan->layers[0].group_of);
  }
}

TEST(KvCalibration, EqualMeansKeepTheirOrder) {
  const KvModel model(2, 64, 1);
  const KvCalibrationPtr calibration = NewKvCalibration(model.geometry);
  Rows k(256, model.Channels(), 7);
  for (int64_t r = 0; r < k.rows; ++r) {
    for (int64_t c = 0; c < k.cols; ++c) k.At(r)[c] = c % 2 == 0 ? 1 : -1;
  }
  Add(calibration, 0, k, k, 0, 256);
  syl_kv_options options = PlainOptions();
  options.rope = SYL_KV_PRE_ROPE;
  options.sort = 1;
  options.group_keys = 16;
  const KvPlanPtr plan = NewKvPlan(model.geometry, options, calibration.get());
  for (int64_t c = 0; c < k.cols; ++c) {
    EXPECT_EQ(plan->plan->layers[0].group_of[c], (c % 2 == 0 ? 64 + c / 2 : c / 2) / 16) << c;
  }
}

TEST(KvCalibration, PlansDoNotDependOnOrderCutsOrMerging) {
  const KvModel model(3, 64, 2);
  const Rows k = Skewed(kTokens, model.Channels(), 8), v = Skewed(kTokens, model.Channels(), 9);
  syl_kv_options options = Preset("rotatekv");
  options.center = SYL_KV_CENTER_KEYS + SYL_KV_CENTER_VALUES;
  const KvCalibrationPtr whole = NewKvCalibration(model.geometry);
  for (int32_t layer = 0; layer < 2; ++layer) Add(whole, layer, k, v, 0, kTokens);
  const std::vector<uint8_t> want = Saved(NewKvPlan(model.geometry, options, whole.get()));

  std::mt19937 random(10);
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::vector<int64_t> cuts = {0, kTokens};
    for (int i = 0; i < 6; ++i) cuts.push_back(random() % (kTokens + 1));
    std::sort(cuts.begin(), cuts.end());
    std::vector<size_t> order(cuts.size() - 1);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    const KvCalibrationPtr parts[2] = {NewKvCalibration(model.geometry), NewKvCalibration(model.geometry)};
    for (const size_t i : order) {
      for (int32_t layer = 0; layer < 2; ++layer) Add(parts[i % 2], layer, k, v, cuts[i], cuts[i + 1] - cuts[i]);
    }
    ASSERT_EQ(syl_kv_calibration_merge(parts[0].get(), parts[1].get()), SYL_OK) << syl_last_error();
    EXPECT_EQ(Saved(NewKvPlan(model.geometry, options, parts[0].get())), want) << "repeat " << repeat;
  }
}

TEST(KvCalibration, GroupsDoNotDependOnAScale) {
  const KvModel model(8, 64, 1);
  Rows k = Skewed(kTokens, model.Channels(), 11);
  std::vector<uint16_t> want;
  for (const float factor : {1.0f, 0x1p-20f, 0x1p+30f, 3.0f, 0.1f}) {
    Rows scaled(k);
    for (float& x : scaled.data) x *= factor;
    const KvCalibrationPtr calibration = NewKvCalibration(model.geometry);
    Add(calibration, 0, scaled, scaled, 0, kTokens);
    const KvPlanPtr plan = NewKvPlan(model.geometry, Preset("rotatekv"), calibration.get());
    if (want.empty()) want = plan->plan->layers[0].group_of;
    EXPECT_EQ(plan->plan->layers[0].group_of, want) << factor;
  }
}

TEST(KvCalibration, TheLargestNumbersAreMeans) {
  const KvModel model(1, 16, 1);
  const KvCalibrationPtr calibration = NewKvCalibration(model.geometry);
  Rows k(256, 16, 12);
  std::fill(k.data.begin(), k.data.end(), std::numeric_limits<float>::max());
  Add(calibration, 0, k, k, 0, 256);
  syl_kv_options options = Preset("rotatekv");
  options.center = SYL_KV_CENTER_KEYS + SYL_KV_CENTER_VALUES;
  const KvPlanPtr plan = NewKvPlan(model.geometry, options, calibration.get());
  EXPECT_EQ(plan->plan->layers[0].center_keys[3], std::numeric_limits<float>::max());
  EXPECT_EQ(plan->plan->layers[0].group_of, std::vector<uint16_t>(16, 0));
}

TEST(KvCalibration, BadArgumentsAreRefused) {
  const KvModel model(2, 16, 2);
  const KvCalibrationPtr calibration = NewKvCalibration(model.geometry), same = NewKvCalibration(model.geometry);
  const Rows k(256, 32, 13);
  syl_kv_calibration* c = calibration.get();
  const auto add = [&](int32_t layer, const float* key, int64_t k_stride, const float* value, int64_t v_stride,
                       int64_t rows) {
    return syl_kv_calibration_add_f32(c, layer, key, k_stride, value, v_stride, rows);
  };
  const float* x = k.At(0);
  EXPECT_REFUSED(syl_kv_calibration_new(nullptr, &c), SYL_NULL_ARGUMENT, "geometry is NULL");
  EXPECT_REFUSED(syl_kv_calibration_new(&model.geometry, nullptr), SYL_NULL_ARGUMENT, "calibration is NULL");
  EXPECT_REFUSED(syl_kv_calibration_add_f32(nullptr, 0, x, 35, x, 35, 1), SYL_NULL_ARGUMENT, "calibration is NULL");
  EXPECT_REFUSED(add(0, nullptr, 35, x, 35, 1), SYL_NULL_ARGUMENT, "k is NULL");
  EXPECT_REFUSED(add(0, x, 35, nullptr, 35, 1), SYL_NULL_ARGUMENT, "v is NULL");
  EXPECT_REFUSED(add(-1, x, 35, x, 35, 1), SYL_BAD_VALUE, "layer is -1, must be 0..1");
  EXPECT_REFUSED(add(2, x, 35, x, 35, 1), SYL_BAD_VALUE, "layer is 2, must be 0..1");
  EXPECT_REFUSED(add(0, x, 35, x, 35, -1), SYL_BAD_VALUE, "rows is -1, must be 0 or more");
  EXPECT_REFUSED(add(0, x, 31, x, 35, 2), SYL_BAD_SHAPE, "k_stride is 31 for 2 rows of 32");
  EXPECT_REFUSED(add(0, x, 35, x, -35, 2), SYL_BAD_SHAPE, "v_stride is -35 for 2 rows of 32");
  EXPECT_REFUSED(add(0, x, INT64_MAX, x, 35, 3), SYL_BAD_SHAPE, "k_stride is 9223372036854775807 for 3 rows of 32");
  EXPECT_REFUSED(add(0, x, INT64_MAX / 4, x, 35, 2), SYL_BAD_SHAPE, "k_stride is ");
  for (const float bad : {kNaN, kInfinity, -kInfinity}) {
    Rows changed(k);
    changed.At(255)[31] = bad;
    changed.At(200)[7] = bad;
    EXPECT_REFUSED(add(0, changed.At(0), 35, x, 35, 256), SYL_BAD_DATA, "k[200][7] is ");
    EXPECT_REFUSED(add(0, x, 35, changed.At(0), 35, 256), SYL_BAD_DATA, "v[200][7] is ");
  }
  const auto add_queries = [&](int32_t layer, const float* query, int64_t stride, int64_t rows) {
    return syl_kv_calibration_add_queries_f32(c, layer, query, stride, rows);
  };
  EXPECT_REFUSED(syl_kv_calibration_add_queries_f32(nullptr, 0, x, 35, 1), SYL_NULL_ARGUMENT, "calibration is NULL");
  EXPECT_REFUSED(add_queries(0, nullptr, 64, 1), SYL_NULL_ARGUMENT, "q is NULL");
  EXPECT_REFUSED(add_queries(2, x, 64, 1), SYL_BAD_VALUE, "layer is 2, must be 0..1");
  EXPECT_REFUSED(add_queries(0, x, 64, -1), SYL_BAD_VALUE, "rows is -1, must be 0 or more");
  EXPECT_REFUSED(add_queries(0, x, 63, 2), SYL_BAD_SHAPE, "q_stride is 63 for 2 rows of 64");
  for (const float bad : {kNaN, kInfinity}) {
    Rows changed(256, 64, 15);
    changed.At(100)[3] = bad;
    EXPECT_REFUSED(add_queries(0, changed.At(0), changed.stride, 256), SYL_BAD_DATA, "q[100][3] is ");
  }
  EXPECT_REFUSED(syl_kv_calibration_merge(nullptr, c), SYL_NULL_ARGUMENT, "calibration is NULL");
  EXPECT_REFUSED(syl_kv_calibration_merge(c, nullptr), SYL_NULL_ARGUMENT, "other is NULL");
  const KvModel one_layer(2, 16, 1);
  const KvCalibrationPtr other = NewKvCalibration(one_layer.geometry);
  EXPECT_REFUSED(syl_kv_calibration_merge(c, other.get()), SYL_BAD_VALUE, "other is of geometry ");
  syl_kv_calibration_free(nullptr);

  // Nothing of what was refused has been added.
  for (int32_t layer = 0; layer < 2; ++layer) {
    Add(calibration, layer, k, k, 0, 256);
    Add(same, layer, k, k, 0, 256);
  }
  ASSERT_EQ(add(0, x, 35, x, 35, 0), SYL_OK);
  syl_kv_options options = PlainOptions();
  options.center = 3;
  EXPECT_EQ(Saved(NewKvPlan(model.geometry, options, c)), Saved(NewKvPlan(model.geometry, options, same.get())));
}

TEST(KvCalibration, PlansNeedTokensOfEveryLayer) {
  const KvModel model(2, 16, 2);
  const KvCalibrationPtr calibration = NewKvCalibration(model.geometry);
  const Rows k(256, 32, 14);
  Add(calibration, 0, k, k, 0, 256);
  Add(calibration, 1, k, k, 0, 255);
  syl_kv_plan* plan = nullptr;
  for (const bool sort : {false, true}) {
    syl_kv_options options = sort ? Preset("rotatekv") : PlainOptions();
    options.center = sort ? 0 : 1;
    EXPECT_REFUSED(syl_kv_plan_new(&model.geometry, &options, nullptr, &plan), SYL_NULL_ARGUMENT,
                   "calibration is NULL, but options->sort is " + std::to_string(sort));
    EXPECT_REFUSED(syl_kv_plan_new(&model.geometry, &options, calibration.get(), &plan), SYL_BAD_VALUE,
                   "calibration has seen 255 tokens of layer 1, must be 256 or more");
    const KvModel other(2, 16, 1);
    EXPECT_REFUSED(syl_kv_plan_new(&other.geometry, &options, calibration.get(), &plan), SYL_BAD_VALUE,
                   "calibration is of geometry ");
    EXPECT_EQ(plan, nullptr);
  }
  const KvModel one(2, 16, 1);
  const KvCalibrationPtr keys = NewKvCalibration(one.geometry);
  Add(keys, 0, k, k, 0, 256);
  const Rows queries(255, 64, 16);
  ASSERT_EQ(syl_kv_calibration_add_queries_f32(keys.get(), 0, queries.At(0), queries.stride, 255), SYL_OK)
      << syl_last_error();
  syl_kv_options balanced = PlainOptions();
  balanced.balance = 1;
  EXPECT_REFUSED(syl_kv_plan_new(&one.geometry, &balanced, nullptr, &plan), SYL_NULL_ARGUMENT,
                 "options->center 0 and options->balance 1");
  EXPECT_REFUSED(syl_kv_plan_new(&one.geometry, &balanced, keys.get(), &plan), SYL_BAD_VALUE,
                 "calibration has seen 255 queries of layer 0, must be 256 or more");
  // Plans that need none do not look at it.
  NewKvPlan(model.geometry, PlainOptions(), calibration.get());
}

}  // namespace
