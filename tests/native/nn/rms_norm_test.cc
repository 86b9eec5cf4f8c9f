#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 31;
constexpr float kEps = 1e-5f;
constexpr int64_t kWidths[] = {1, 2, 7, 15, 16, 17, 31, 33, 64, 100, 576, 1001, 4096};

std::vector<float> Weight(int64_t cols) {
  Rows weight(1, cols, kSeed + 1, 1, 0);
  return weight.data;
}

Rows Normalise(const Rows& x, const std::vector<float>& weight, float eps, syl_pool* pool = nullptr) {
  Rows y(x.rows, x.cols, 0, 1, 5);
  y.data.assign(y.data.size(), kNaN);
  EXPECT_EQ(syl_nn_rms_norm_f32(x.At(0), x.stride, weight.data(), eps, x.rows, x.cols, y.At(0), y.stride, pool), SYL_OK)
      << syl_last_error();
  return y;
}

void ExpectWithinBound(const Rows& x, const std::string& what) {
  const std::vector<float> weight = Weight(x.cols);
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    const Rows y = Normalise(x, weight, kEps);
    for (int64_t r = 0; r < x.rows; ++r) {
      double squares = 0;
      for (int64_t i = 0; i < x.cols; ++i) squares += std::pow(static_cast<double>(x.At(r)[i]), 2);
      const double root = std::sqrt(squares / static_cast<double>(x.cols) + kEps);
      for (int64_t i = 0; i < x.cols; ++i) {
        const double want = x.At(r)[i] / root * weight[static_cast<size_t>(i)];
        ASSERT_LE(std::fabs(y.At(r)[i] - want), std::ldexp(3.1 * std::fabs(want), -24))
            << tier << " " << what << " cols " << x.cols << " at " << i << " seed " << kSeed;
      }
      for (int64_t i = x.cols; i < y.stride; ++i) ASSERT_TRUE(std::isnan(y.At(r)[i])) << "written beside the row";
    }
  }
}

TEST(RmsNorm, WithinTheBoundOnRandomRows) {
  for (const int64_t cols : kWidths) ExpectWithinBound(Rows(3, cols, kSeed), "random");
}

// Rows for which a sum in float would lose digits or overflow.
TEST(RmsNorm, WithinTheBoundOnAdversarialRows) {
  const std::pair<const char*, std::function<float(int64_t)>> kinds[] = {
      {"equal, not a power of two", [](int64_t) { return 0.7f; }},
      {"one large before many small", [](int64_t i) { return i == 0 ? 1e4f : 1.1f; }},
      {"one large after many small", [](int64_t i) { return i == 4000 ? 1e4f : 1.1f; }},
      {"rising", [](int64_t i) { return static_cast<float>(i) * 0.37f; }},
      {"squares overflow in float", [](int64_t i) { return i % 2 == 0 ? 1e25f : -3e25f; }},
      {"squares underflow in float", [](int64_t i) { return i % 3 == 0 ? 1e-25f : 2e-25f; }},
  };
  for (const auto& [what, value] : kinds) {
    for (const int64_t cols : {17, 576, 4096}) {
      Rows x(1, cols, kSeed);
      for (int64_t i = 0; i < cols; ++i) x.At(0)[i] = value(i);
      ExpectWithinBound(x, what);
    }
  }
}

TEST(RmsNorm, TiersAgreeBitForBit) {
  for (const int64_t cols : kWidths) {
    const Rows x(2, cols, kSeed, 30);
    std::vector<float> first;
    for (const std::string& tier : SupportedTiers()) {
      const TierGuard guard(tier);
      Rows y = Normalise(x, Weight(cols), kEps);
      for (float& value : y.data) value = std::isnan(value) ? 0 : value;
      if (first.empty()) first = y.data;
      EXPECT_TRUE(SameBits(y.data, first)) << tier << " cols " << cols;
    }
  }
}

TEST(RmsNorm, ARowDependsOnNothingElse) {
  constexpr int64_t kCols = 100;
  const Rows x(70, kCols, kSeed);
  const std::vector<float> weight = Weight(kCols);
  Rows one_by_one(70, kCols, 0);
  for (int64_t r = 0; r < x.rows; ++r) {
    ASSERT_EQ(syl_nn_rms_norm_f32(x.At(r), kCols, weight.data(), kEps, 1, kCols, one_by_one.At(r), kCols, nullptr),
              SYL_OK);
  }
  for (const int32_t threads : {1, 2, 4}) {
    const Pool pool = NewPool(threads);
    const Rows together = Normalise(x, weight, kEps, pool.get());
    Rows in_place = x;
    ASSERT_EQ(syl_nn_rms_norm_f32(in_place.At(0), x.stride, weight.data(), kEps, x.rows, kCols, in_place.At(0),
                                  x.stride, pool.get()),
              SYL_OK);
    for (int64_t r = 0; r < x.rows; ++r) {
      ASSERT_EQ(std::memcmp(together.At(r), one_by_one.At(r), kCols * 4), 0) << "row " << r << " threads " << threads;
      ASSERT_EQ(std::memcmp(in_place.At(r), one_by_one.At(r), kCols * 4), 0) << "row " << r << " threads " << threads;
    }
  }
}

TEST(RmsNorm, EpsKeepsZerosZero) {
  Rows x(1, 20, kSeed);
  for (int64_t i = 0; i < 20; ++i) x.At(0)[i] = 0;
  const Rows y = Normalise(x, Weight(20), kEps);
  for (int64_t i = 0; i < 20; ++i) EXPECT_EQ(y.At(0)[i], 0);
}

TEST(RmsNorm, BadArgumentsAreRefusedAndNothingIsWritten) {
  std::vector<float> x(64, 1), y(64, 7), w(64, 1);
  const auto norm = [&](const float* in, int64_t x_stride, const float* weight, float eps, int64_t rows, int64_t cols,
                        float* out, int64_t y_stride) {
    return syl_nn_rms_norm_f32(in, x_stride, weight, eps, rows, cols, out, y_stride, nullptr);
  };
  EXPECT_REFUSED(norm(nullptr, 8, w.data(), kEps, 2, 8, y.data(), 8), SYL_NULL_ARGUMENT, "x is NULL");
  EXPECT_REFUSED(norm(x.data(), 8, nullptr, kEps, 2, 8, y.data(), 8), SYL_NULL_ARGUMENT, "weight is NULL");
  EXPECT_REFUSED(norm(x.data(), 8, w.data(), kEps, 2, 8, nullptr, 8), SYL_NULL_ARGUMENT, "y is NULL");
  EXPECT_REFUSED(norm(x.data(), 8, w.data(), kNaN, 2, 8, y.data(), 8), SYL_BAD_VALUE, "eps is nan");
  EXPECT_REFUSED(norm(x.data(), 8, w.data(), -1, 2, 8, y.data(), 8), SYL_BAD_VALUE, "eps is -1");
  EXPECT_REFUSED(norm(x.data(), 8, w.data(), kEps, -1, 8, y.data(), 8), SYL_BAD_VALUE, "rows is -1");
  EXPECT_REFUSED(norm(x.data(), 8, w.data(), kEps, 2, 0, y.data(), 8), SYL_BAD_VALUE, "cols is 0");
  EXPECT_REFUSED(norm(x.data(), 7, w.data(), kEps, 2, 8, y.data(), 8), SYL_BAD_SHAPE, "x_stride is 7");
  EXPECT_REFUSED(norm(x.data(), 8, w.data(), kEps, 2, 8, y.data(), 7), SYL_BAD_SHAPE, "y_stride is 7");
  EXPECT_REFUSED(norm(x.data(), INT64_MAX, w.data(), kEps, 3, 8, y.data(), 8), SYL_BAD_SHAPE, "x_stride is");
  EXPECT_REFUSED(norm(x.data(), 8, w.data(), kEps, 2, 8, x.data() + 1, 8), SYL_OVERLAP, "y partly overlaps x");
  EXPECT_REFUSED(norm(x.data(), 8, w.data(), kEps, 2, 8, x.data(), 9), SYL_OVERLAP, "y partly overlaps x");
  EXPECT_REFUSED(norm(x.data(), 8, w.data(), kEps, 2, 8, w.data() + 4, 8), SYL_OVERLAP, "y overlaps weight");
  EXPECT_EQ(norm(x.data(), 8, w.data(), kEps, 0, 8, y.data(), 8), SYL_OK);
  for (const std::vector<float>* untouched : {&x, &w}) {
    for (const float value : *untouched) EXPECT_EQ(value, 1);
  }
  for (const float value : y) EXPECT_EQ(value, 7);
}

}  // namespace
