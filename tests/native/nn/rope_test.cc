#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 33;

syl_rope_scaling Scaling(int32_t kind, double theta = 10000) {
  syl_rope_scaling s = {};
  s.struct_size = sizeof(s);
  s.kind = kind;
  s.theta = theta;
  s.factor = 4;
  s.original_context = 2048;
  s.low_freq_factor = 1;
  s.high_freq_factor = 4;
  s.beta_fast = 32;
  s.beta_slow = 1;
  return s;
}

std::vector<double> Frequencies(const syl_rope_scaling& scaling, int64_t dims, double* magnitude) {
  std::vector<double> inv_freq(static_cast<size_t>(dims / 2) + 1, -1);
  EXPECT_EQ(syl_nn_rope_frequencies(&scaling, dims, inv_freq.data(), magnitude), SYL_OK) << syl_last_error();
  EXPECT_EQ(inv_freq.back(), -1);
  inv_freq.pop_back();
  return inv_freq;
}

// tests/golden/make_rope.py. transformers computes in float: its exponents, powers and ramps are each off by some
// roundings, which the logarithm of theta (13) and of the llama3 ramp (factor 32 at most) magnify.
TEST(Rope, FrequenciesAreThoseOfTransformers) {
  std::ifstream file(SYLVESTER_SOURCE_DIR "/tests/golden/rope.txt");
  int cases = 0;
  for (std::string line; std::getline(file, line); ++cases) {
    std::istringstream fields(line);
    double kind, dims, want_magnitude;
    syl_rope_scaling s = {};
    s.struct_size = sizeof(s);
    fields >> kind >> dims >> s.theta >> s.factor >> s.original_context >> s.low_freq_factor >> s.high_freq_factor >>
        s.beta_fast >> s.beta_slow >> s.attention_factor >> want_magnitude;
    s.kind = static_cast<int32_t>(kind);
    double magnitude = 0;
    const std::vector<double> inv_freq = Frequencies(s, static_cast<int64_t>(dims), &magnitude);
    EXPECT_NEAR(magnitude, want_magnitude, 1e-6) << "case " << cases;
    for (size_t i = 0; i < inv_freq.size(); ++i) {
      double want = -1;
      ASSERT_TRUE(fields >> want) << "case " << cases;
      ASSERT_NEAR(inv_freq[i] / want, 1, s.kind == SYL_ROPE_LLAMA3 ? 1e-5 : 2e-6) << "case " << cases << " at " << i;
    }
  }
  EXPECT_EQ(cases, 8);
}

TEST(Rope, PlainFrequenciesAreExactPowers) {
  double magnitude = 0;
  const std::vector<double> inv_freq = Frequencies(Scaling(SYL_ROPE_NONE, 10000), 8, &magnitude);
  const double want[] = {1, 0.1, 0.01, 0.001};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(inv_freq[i] / want[i], 1, 1e-15);
  EXPECT_EQ(magnitude, 1);
}

TEST(Rope, YarnWithoutAttentionFactorHasItsDefault) {
  double magnitude = 0;
  syl_rope_scaling s = Scaling(SYL_ROPE_YARN);
  Frequencies(s, 64, &magnitude);
  EXPECT_NEAR(magnitude, 0.1 * std::log(4.0) + 1, 1e-15);
  s.factor = 0.5;
  Frequencies(s, 64, &magnitude);
  EXPECT_EQ(magnitude, 1);
}

TEST(Rope, BadScalingsAreRefusedAndNamed) {
  double inv_freq[32] = {7}, magnitude = 7;
  const auto refuse = [&](syl_rope_scaling s, const char* text) {
    EXPECT_REFUSED(syl_nn_rope_frequencies(&s, 64, inv_freq, &magnitude), SYL_BAD_VALUE, text);
  };
  const auto with = [](int32_t kind, double syl_rope_scaling::*field, double value) {
    syl_rope_scaling s = Scaling(kind);
    s.*field = value;
    return s;
  };
  syl_rope_scaling s = Scaling(SYL_ROPE_NONE);
  s.struct_size = 8;
  refuse(s, "struct_size is 8");
  for (const int32_t kind : {-1, 5}) refuse(Scaling(kind), "kind is");
  for (const double theta : {1.0, 0.0, -10.0, static_cast<double>(kNaN), static_cast<double>(kInfinity)}) {
    refuse(Scaling(SYL_ROPE_NONE, theta), "theta is");
  }
  for (const double bad : {0.0, -1.0, static_cast<double>(kNaN), static_cast<double>(kInfinity)}) {
    for (int32_t kind = SYL_ROPE_LINEAR; kind <= SYL_ROPE_LLAMA3; ++kind) {
      refuse(with(kind, &syl_rope_scaling::factor, bad), "factor is");
    }
    for (const int32_t kind : {SYL_ROPE_YARN, SYL_ROPE_LLAMA3}) {
      refuse(with(kind, &syl_rope_scaling::original_context, bad), "original_context is");
    }
    refuse(with(SYL_ROPE_YARN, &syl_rope_scaling::beta_fast, bad), "beta_fast is");
    refuse(with(SYL_ROPE_YARN, &syl_rope_scaling::beta_slow, bad), "beta_slow is");
    refuse(with(SYL_ROPE_LLAMA3, &syl_rope_scaling::low_freq_factor, bad), "low_freq_factor is");
    if (bad != 0) refuse(with(SYL_ROPE_YARN, &syl_rope_scaling::attention_factor, bad), "attention_factor is");
  }
  refuse(with(SYL_ROPE_LLAMA3, &syl_rope_scaling::high_freq_factor, 1), "high_freq_factor is 1");
  s = Scaling(SYL_ROPE_NONE);
  for (const int64_t dims : {0, -2, 1026}) {
    EXPECT_REFUSED(syl_nn_rope_frequencies(&s, dims, inv_freq, &magnitude), SYL_BAD_VALUE, "dims is");
  }
  EXPECT_REFUSED(syl_nn_rope_frequencies(&s, 63, inv_freq, &magnitude), SYL_BAD_SHAPE, "dims is 63");
  EXPECT_REFUSED(syl_nn_rope_frequencies(nullptr, 64, inv_freq, &magnitude), SYL_NULL_ARGUMENT, "scaling");
  EXPECT_REFUSED(syl_nn_rope_frequencies(&s, 64, nullptr, &magnitude), SYL_NULL_ARGUMENT, "inv_freq");
  EXPECT_REFUSED(syl_nn_rope_frequencies(&s, 64, inv_freq, nullptr), SYL_NULL_ARGUMENT, "magnitude");
  EXPECT_EQ(inv_freq[0], 7);
  EXPECT_EQ(magnitude, 7);
}

std::vector<float> Table(const std::vector<double>& inv_freq, double magnitude, const std::vector<int32_t>& positions) {
  const auto dims = static_cast<int64_t>(2 * inv_freq.size());
  std::vector<float> table(positions.size() * inv_freq.size() * 2 + 1, kNaN);
  EXPECT_EQ(syl_nn_rope_table_f32(inv_freq.data(), magnitude, dims, positions.data(),
                                  static_cast<int64_t>(positions.size()), table.data()),
            SYL_OK)
      << syl_last_error();
  EXPECT_TRUE(std::isnan(table.back()));
  table.pop_back();
  return table;
}

TEST(Rope, TableHoldsCosinesThenSines) {
  double magnitude = 0;
  const std::vector<double> inv_freq = Frequencies(Scaling(SYL_ROPE_YARN), 64, &magnitude);
  const std::vector<int32_t> positions = {0, 1, 17, 4095, 131071, INT32_MAX};
  const std::vector<float> table = Table(inv_freq, magnitude, positions);
  for (size_t r = 0; r < positions.size(); ++r) {
    for (size_t i = 0; i < 32; ++i) {
      const long double angle = static_cast<long double>(positions[r]) * inv_freq[i];
      // An angle of 2^31 in double is known to 2^-22 of a turn's unit; else the rounding to float is the error.
      const double tolerance = 2e-7 + std::ldexp(static_cast<double>(angle), -53);
      ASSERT_NEAR(table[r * 64 + i], magnitude * static_cast<double>(cosl(angle)), tolerance) << r << " " << i;
      ASSERT_NEAR(table[r * 64 + 32 + i], magnitude * static_cast<double>(sinl(angle)), tolerance) << r << " " << i;
    }
  }
}

TEST(Rope, TableRefusesBadArguments) {
  double inv_freq[4] = {1, 0.1, 0.01, 0.001};
  int32_t positions[2] = {0, -5};
  float table[16] = {7};
  EXPECT_REFUSED(syl_nn_rope_table_f32(inv_freq, 1, 8, positions, 2, table), SYL_BAD_VALUE, "positions[1] is -5");
  EXPECT_REFUSED(syl_nn_rope_table_f32(inv_freq, kNaN, 8, positions, 1, table), SYL_BAD_VALUE, "magnitude is nan");
  EXPECT_REFUSED(syl_nn_rope_table_f32(inv_freq, 1, 7, positions, 1, table), SYL_BAD_SHAPE, "dims is 7");
  EXPECT_REFUSED(syl_nn_rope_table_f32(inv_freq, 1, 8, positions, -1, table), SYL_BAD_VALUE, "rows is -1");
  EXPECT_REFUSED(syl_nn_rope_table_f32(nullptr, 1, 8, positions, 1, table), SYL_NULL_ARGUMENT, "inv_freq");
  EXPECT_REFUSED(syl_nn_rope_table_f32(inv_freq, 1, 8, nullptr, 1, table), SYL_NULL_ARGUMENT, "positions");
  EXPECT_REFUSED(syl_nn_rope_table_f32(inv_freq, 1, 8, positions, 1, nullptr), SYL_NULL_ARGUMENT, "table");
  EXPECT_REFUSED(syl_nn_rope_table_f32(inv_freq, 1, 8, reinterpret_cast<int32_t*>(table), 1, table), SYL_OVERLAP,
                 "table overlaps");
  EXPECT_EQ(table[0], 7);
}

struct Case {
  int64_t heads, head_dim, dims;
};
constexpr Case kCases[] = {{1, 2, 2}, {3, 8, 6}, {9, 64, 64}, {2, 128, 128}, {3, 80, 32}, {1, 34, 34}, {2, 96, 70}};

std::vector<float> TableFor(const Rows& x, int64_t dims) {
  double magnitude = 0;
  const std::vector<double> inv_freq = Frequencies(Scaling(SYL_ROPE_NONE), dims, &magnitude);
  std::vector<int32_t> positions;
  for (int64_t r = 0; r < x.rows; ++r) positions.push_back(static_cast<int32_t>(r * 37));
  return Table(inv_freq, magnitude, positions);
}

Rows Rotate(Rows x, const Case& shape, int32_t interleaved, const std::vector<float>& table, syl_pool* pool = nullptr) {
  EXPECT_EQ(syl_nn_rope_f32(x.At(0), x.stride, x.rows, shape.heads, shape.head_dim, shape.dims, interleaved,
                            table.data(), pool),
            SYL_OK)
      << syl_last_error();
  return x;
}

TEST(Rope, RotatesPairsWithinTheBound) {
  for (const Case& shape : kCases) {
    const Rows x(5, shape.heads * shape.head_dim, kSeed);
    const std::vector<float> table = TableFor(x, shape.dims);
    const int64_t half = shape.dims / 2;
    for (const std::string& tier : SupportedTiers()) {
      const TierGuard guard(tier);
      for (const int32_t interleaved : {0, 1}) {
        const Rows y = Rotate(x, shape, interleaved, table);
        for (int64_t r = 0; r < x.rows; ++r) {
          for (int64_t h = 0; h < shape.heads; ++h) {
            const float *before = x.At(r) + h * shape.head_dim, *after = y.At(r) + h * shape.head_dim;
            for (int64_t i = 0; i < half; ++i) {
              const int64_t at_a = interleaved ? 2 * i : i, at_b = interleaved ? 2 * i + 1 : i + half;
              const double a = before[at_a], b = before[at_b];
              const double cos = table[static_cast<size_t>(r * shape.dims + i)];
              const double sin = table[static_cast<size_t>(r * shape.dims + half + i)];
              // Two roundings, the first of one product; three on a tier without fused multiply-add.
              const double unit = std::ldexp(IsFused(tier) ? 2.01 : 3.01, -24);
              ASSERT_NEAR(after[at_a], a * cos - b * sin, unit * (std::fabs(a * cos) + std::fabs(b * sin)))
                  << tier << " head_dim " << shape.head_dim << " row " << r << " head " << h << " pair " << i;
              ASSERT_NEAR(after[at_b], b * cos + a * sin, unit * (std::fabs(b * cos) + std::fabs(a * sin)))
                  << tier << " head_dim " << shape.head_dim << " row " << r << " head " << h << " pair " << i;
            }
            for (int64_t i = shape.dims; i < shape.head_dim; ++i) ASSERT_EQ(after[i], before[i]) << "beyond dims";
          }
          for (int64_t i = x.cols; i < x.stride; ++i) ASSERT_TRUE(std::isnan(y.At(r)[i])) << "written beside the row";
        }
      }
    }
  }
}

TEST(Rope, FusedTiersThreadsAndBatchesAgreeBitForBit) {
  for (const Case& shape : kCases) {
    const Rows x(50, shape.heads * shape.head_dim, kSeed, 1, 0);
    const std::vector<float> table = TableFor(x, shape.dims);
    for (const int32_t interleaved : {0, 1}) {
      std::vector<float> first;
      for (const std::string& tier : SupportedTiers()) {
        const TierGuard guard(tier);
        Rows one_by_one = x;
        for (int64_t r = 0; r < x.rows; ++r) {
          ASSERT_EQ(syl_nn_rope_f32(one_by_one.At(r), x.stride, 1, shape.heads, shape.head_dim, shape.dims, interleaved,
                                    table.data() + r * shape.dims, nullptr),
                    SYL_OK);
        }
        for (const int32_t threads : {1, 3}) {
          const Pool pool = NewPool(threads);
          EXPECT_TRUE(SameBits(Rotate(x, shape, interleaved, table, pool.get()).data, one_by_one.data)) << tier;
        }
        if (!IsFused(tier)) continue;
        if (first.empty()) first = one_by_one.data;
        EXPECT_TRUE(SameBits(one_by_one.data, first)) << tier;
      }
    }
  }
}

TEST(Rope, BadArgumentsAreRefused) {
  std::vector<float> x(256, 7), table(256, 1);
  const auto rope = [&](float* data, int64_t stride, int64_t rows, int64_t heads, int64_t head_dim, int64_t dims,
                        int32_t interleaved, const float* t) {
    return syl_nn_rope_f32(data, stride, rows, heads, head_dim, dims, interleaved, t, nullptr);
  };
  EXPECT_REFUSED(rope(nullptr, 32, 2, 2, 16, 16, 0, table.data()), SYL_NULL_ARGUMENT, "x is NULL");
  EXPECT_REFUSED(rope(x.data(), 32, 2, 2, 16, 16, 0, nullptr), SYL_NULL_ARGUMENT, "table is NULL");
  EXPECT_REFUSED(rope(x.data(), 31, 2, 2, 16, 16, 0, table.data()), SYL_BAD_SHAPE, "x_stride is 31");
  EXPECT_REFUSED(rope(x.data(), 32, -1, 2, 16, 16, 0, table.data()), SYL_BAD_VALUE, "rows is -1");
  EXPECT_REFUSED(rope(x.data(), 32, 2, 0, 16, 16, 0, table.data()), SYL_BAD_VALUE, "heads is 0");
  EXPECT_REFUSED(rope(x.data(), 32, 2, 2, 0, 16, 0, table.data()), SYL_BAD_VALUE, "head_dim is 0");
  EXPECT_REFUSED(rope(x.data(), 32, 2, 2, 16, 15, 0, table.data()), SYL_BAD_SHAPE, "dims is 15");
  EXPECT_REFUSED(rope(x.data(), 32, 2, 2, 16, 18, 0, table.data()), SYL_BAD_SHAPE, "dims is 18");
  EXPECT_REFUSED(rope(x.data(), 32, 2, 2, 16, 16, 2, table.data()), SYL_BAD_VALUE, "interleaved is 2");
  EXPECT_REFUSED(rope(x.data(), 32, 2, 2, 16, 16, 0, x.data() + 60), SYL_OVERLAP, "x overlaps table");
  EXPECT_REFUSED(rope(x.data(), INT64_MAX / 2, 4, 2, 16, 16, 0, table.data()), SYL_BAD_SHAPE, "x_stride is");
  for (const float value : x) EXPECT_EQ(value, 7);
}

}  // namespace
