#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 32;

std::vector<float> SwiGlu(const std::vector<float>& gate, const std::vector<float>& up) {
  const auto n = static_cast<int64_t>(gate.size());
  std::vector<float> y(gate.size() + 1, kNaN);
  EXPECT_EQ(syl_nn_swiglu_f32(gate.data(), n, up.data(), n, 1, n, y.data(), n, nullptr), SYL_OK) << syl_last_error();
  EXPECT_TRUE(std::isnan(y.back()));
  y.pop_back();
  return y;
}

double Silu(double z) { return z / (1 + std::exp(-z)); }

// Every 10007th float between -inf and inf, and the surroundings of the ends.
std::vector<float> Gates() {
  std::vector<float> gates;
  for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 10007) {
    const float gate = FromBits(static_cast<uint32_t>(bits));
    if (std::isfinite(gate)) gates.push_back(gate);
  }
  for (float gate = -110; gate < 110; gate += 0.0137f) gates.push_back(gate);
  return gates;
}

TEST(SwiGlu, WithinTheBoundEverywhere) {
  const std::vector<float> gates = Gates();
  Rows ups(1, static_cast<int64_t>(gates.size()), kSeed, 1, 0);
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    const std::vector<float> y = SwiGlu(gates, ups.data);
    for (size_t i = 0; i < gates.size(); ++i) {
      const double up = ups.data[i], want = Silu(gates[i]) * up;
      if (gates[i] < -87) {
        ASSERT_LE(std::fabs(y[i] - want), std::fabs(3e-37 * up) + std::ldexp(6 * std::fabs(want), -24)) << gates[i];
      } else if (std::fabs(want) < std::numeric_limits<float>::max()) {
        // A product of subnormals has no relative bound.
        ASSERT_LE(std::fabs(y[i] - want), std::ldexp(6 * std::fabs(want), -24) + std::ldexp(2.0, -149))
            << tier << " gate " << gates[i] << " up " << up;
      }
    }
  }
}

TEST(SwiGlu, SpecialValues) {
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    // Twice the row, so that both vectors and the tail see it.
    std::vector<float> gate, up;
    for (int repeat = 0; repeat < 5; ++repeat) {
      for (const float g : {kInfinity, -kInfinity, kNaN, 0.0f, -0.0f, -200.0f, 200.0f}) gate.push_back(g);
    }
    up.assign(gate.size(), 2);
    const std::vector<float> y = SwiGlu(gate, up);
    for (size_t i = 0; i < y.size(); i += 7) {
      EXPECT_EQ(y[i], kInfinity) << tier;
      EXPECT_EQ(y[i + 1], 0) << tier;
      EXPECT_TRUE(std::isnan(y[i + 2])) << tier;
      EXPECT_EQ(ToBits(y[i + 3]), ToBits(0.0f)) << tier;
      EXPECT_EQ(ToBits(y[i + 4]), ToBits(-0.0f)) << tier;
      EXPECT_EQ(y[i + 5], 0) << tier;
      EXPECT_EQ(y[i + 6], 400) << tier;
    }
  }
}

TEST(SwiGlu, FusedTiersAgreeBitForBit) {
  const std::vector<float> gates = Gates();
  Rows ups(1, static_cast<int64_t>(gates.size()), kSeed, 1, 0);
  std::vector<float> first;
  for (const std::string& tier : SupportedTiers()) {
    if (!IsFused(tier)) continue;
    const TierGuard guard(tier);
    const std::vector<float> y = SwiGlu(gates, ups.data);
    if (first.empty()) first = y;
    EXPECT_TRUE(SameBits(y, first)) << tier;
  }
}

TEST(SwiGlu, ARowDependsOnNothingElse) {
  constexpr int64_t kCols = 53, kRows = 40;
  const Rows gate(kRows, kCols, kSeed, 4), up(kRows, kCols, kSeed + 1, 1, 0);
  Rows want(kRows, kCols, 0);
  for (int64_t r = 0; r < kRows; ++r) {
    // Alone and at another address.
    std::vector<float> moved(gate.At(r), gate.At(r) + kCols);
    moved.insert(moved.begin(), 0);
    ASSERT_EQ(syl_nn_swiglu_f32(moved.data() + 1, kCols, up.At(r), kCols, 1, kCols, want.At(r), kCols, nullptr),
              SYL_OK);
  }
  for (const int32_t threads : {1, 2, 4}) {
    const Pool pool = NewPool(threads);
    Rows y(kRows, kCols, 0, 1, 7), on_gate = gate, on_up = up;
    ASSERT_EQ(
        syl_nn_swiglu_f32(gate.At(0), gate.stride, up.At(0), up.stride, kRows, kCols, y.At(0), y.stride, pool.get()),
        SYL_OK);
    ASSERT_EQ(syl_nn_swiglu_f32(on_gate.At(0), gate.stride, up.At(0), up.stride, kRows, kCols, on_gate.At(0),
                                gate.stride, pool.get()),
              SYL_OK);
    ASSERT_EQ(syl_nn_swiglu_f32(gate.At(0), gate.stride, on_up.At(0), up.stride, kRows, kCols, on_up.At(0), up.stride,
                                pool.get()),
              SYL_OK);
    for (int64_t r = 0; r < kRows; ++r) {
      for (const Rows* got : {&y, &on_gate, &on_up}) {
        ASSERT_EQ(std::memcmp(got->At(r), want.At(r), kCols * 4), 0) << "row " << r << " threads " << threads;
      }
      for (int64_t i = kCols; i < y.stride; ++i) ASSERT_TRUE(std::isnan(y.At(r)[i])) << "written beside the row";
    }
  }
}

// One product computes both as rows [gate | up]; the result may lie on either or behind them.
TEST(SwiGlu, PartsOfTheRowsOfOneBuffer) {
  constexpr int64_t kCols = 19, kRows = 20, kStride = 3 * kCols + 2;
  const Rows parts(kRows, 3 * kCols, kSeed, 2, 2);
  ASSERT_EQ(parts.stride, kStride);
  for (int64_t part = 0; part < 3; ++part) {
    Rows got = parts;
    const float *gate = got.At(0), *up = gate + kCols;
    ASSERT_EQ(syl_nn_swiglu_f32(gate, kStride, up, kStride, kRows, kCols, got.At(0) + part * kCols, kStride,
                                NewPool(3).get()),
              SYL_OK)
        << "part " << part << ": " << syl_last_error();
    Rows want = parts;
    for (int64_t r = 0; r < kRows; ++r) {
      const float* row = parts.At(r);
      const std::vector<float> y = SwiGlu({row, row + kCols}, {row + kCols, row + 2 * kCols});
      std::copy(y.begin(), y.end(), want.At(r) + part * kCols);
    }
    EXPECT_TRUE(SameBits(got.data, want.data)) << "part " << part;
  }
}

// Against every pair of rows, byte by byte.
TEST(SwiGlu, RefusesExactlyTheOverlapsOfRows) {
  constexpr int64_t kRows = 3, kCols = 4;
  std::vector<float> buffer(100, 1), up(100, 1);
  for (const int64_t stride : {4, 5, 7, 8, 9, 13}) {
    for (int64_t y_at = 0; y_at < 60; ++y_at) {
      constexpr int64_t kGateAt = 30;
      bool shares = false;
      for (int64_t a = 0; a < kRows; ++a) {
        for (int64_t b = 0; b < kRows; ++b) {
          const int64_t distance = y_at + b * stride - (kGateAt + a * stride);
          shares |= distance > -kCols && distance < kCols;
        }
      }
      const syl_status status = syl_nn_swiglu_f32(buffer.data() + kGateAt, stride, up.data(), stride, kRows, kCols,
                                                  buffer.data() + y_at, stride, nullptr);
      EXPECT_EQ(status, shares && y_at != kGateAt ? SYL_OVERLAP : SYL_OK) << "stride " << stride << " y at " << y_at;
    }
  }
}

TEST(SwiGlu, BadArgumentsAreRefused) {
  std::vector<float> a(64, 1), b(64, 1), y(64, 7);
  const auto swiglu = [](const float* gate, int64_t gate_stride, const float* up, int64_t up_stride, int64_t rows,
                         int64_t cols, float* out, int64_t y_stride) {
    return syl_nn_swiglu_f32(gate, gate_stride, up, up_stride, rows, cols, out, y_stride, nullptr);
  };
  EXPECT_REFUSED(swiglu(nullptr, 8, b.data(), 8, 2, 8, y.data(), 8), SYL_NULL_ARGUMENT, "gate is NULL");
  EXPECT_REFUSED(swiglu(a.data(), 8, nullptr, 8, 2, 8, y.data(), 8), SYL_NULL_ARGUMENT, "up is NULL");
  EXPECT_REFUSED(swiglu(a.data(), 8, b.data(), 8, 2, 8, nullptr, 8), SYL_NULL_ARGUMENT, "y is NULL");
  EXPECT_REFUSED(swiglu(a.data(), 7, b.data(), 8, 2, 8, y.data(), 8), SYL_BAD_SHAPE, "gate_stride is 7");
  EXPECT_REFUSED(swiglu(a.data(), 8, b.data(), 7, 2, 8, y.data(), 8), SYL_BAD_SHAPE, "up_stride is 7");
  EXPECT_REFUSED(swiglu(a.data(), 8, b.data(), 8, 2, 8, y.data(), 0), SYL_BAD_SHAPE, "y_stride is 0");
  EXPECT_REFUSED(swiglu(a.data(), 8, b.data(), 8, -2, 8, y.data(), 8), SYL_BAD_VALUE, "rows is -2");
  EXPECT_REFUSED(swiglu(a.data(), 8, b.data(), 8, 2, 8, a.data() + 3, 8), SYL_OVERLAP, "y partly overlaps gate");
  EXPECT_REFUSED(swiglu(a.data(), 8, b.data(), 8, 2, 8, b.data(), 9), SYL_OVERLAP, "y partly overlaps up");
  for (const float value : y) EXPECT_EQ(value, 7);
}

}  // namespace
