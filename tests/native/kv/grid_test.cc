// Numbers of the quantiser against their definitions in double.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "native/common/half.h"
#include "tests/native/kv/model.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;
using sylvester::Crc32;
using sylvester::KvGrid;
using sylvester::KvPlan;
using sylvester::KvScaleNearest;
using sylvester::KvScaleToFloat;
using sylvester::KvScaleUp;

constexpr int kScales = 0xf8;

double ScaleByDefinition(int code) {
  const int e = code / 8, f = code % 8;
  return e == 0 ? std::ldexp(f / 8.0, -14) : std::ldexp(1 + f / 8.0, e - 15);
}

// The least scale by search that is not below x, or the largest.
int ScaleAbove(double x) {
  int code = 0;
  while (code + 1 < kScales && ScaleByDefinition(code) < x) ++code;
  return code;
}

// The nearest scale by search, of two equally near the even one.
int NearestScale(double x) {
  if (x > 61440) return kScales - 1;
  int best = 0;
  for (int code = 1; code < kScales; ++code) {
    const double d = std::fabs(ScaleByDefinition(code) - x), least = std::fabs(ScaleByDefinition(best) - x);
    if (d < least || (d == least && code % 2 == 0)) best = code;
  }
  return best;
}

KvGrid GridOf(int32_t grid, int32_t integer_zero, int32_t bits) {
  KvPlan plan = {};
  plan.options.grid = grid;
  plan.options.integer_zero = integer_zero;
  return plan.Grid(bits);
}

TEST(KvScale, EveryCodeIsItsNumberAndTheUpperHalfOfAHalf) {
  for (int code = 0; code < kScales; ++code) {
    const float value = KvScaleToFloat(static_cast<uint8_t>(code));
    EXPECT_EQ(static_cast<double>(value), ScaleByDefinition(code)) << code;
    EXPECT_EQ(value, sylvester::FloatFromF16(static_cast<uint16_t>(code << 7))) << code;
    EXPECT_EQ(KvScaleNearest(value), code);
    EXPECT_EQ(KvScaleUp(value), code);
  }
}

// Everything that rounding can depend on: each code, each midpoint, their neighbours, and what is between.
TEST(KvScale, RoundsToNearestEvenAndUp) {
  const auto expect_rounded = [](float x) {
    EXPECT_EQ(KvScaleNearest(x), NearestScale(x)) << x;
    EXPECT_EQ(KvScaleUp(x), ScaleAbove(x)) << x;
  };
  for (int code = 0; code + 1 < kScales; ++code) {
    const double low = ScaleByDefinition(code), high = ScaleByDefinition(code + 1);
    for (int i = 0; i <= 64; ++i) {
      const auto x = static_cast<float>(low + (high - low) * i / 64);
      expect_rounded(x);
      expect_rounded(std::nextafter(x, 0.0f));
      expect_rounded(std::nextafter(x, kInfinity));
    }
  }
}

TEST(KvScale, RoundsLikeTheDefinitionOnEveryExponent) {
  std::mt19937 random(1);
  for (uint32_t exponent = 0; exponent < 255; ++exponent) {
    for (int i = 0; i < 200; ++i) {
      const float x = FromBits(exponent << 23 | (random() & 0x7fffff));
      EXPECT_EQ(KvScaleNearest(x), NearestScale(x)) << x;
      EXPECT_EQ(KvScaleUp(x), ScaleAbove(x)) << x;
    }
  }
}

TEST(KvScale, SaturatesAndKeepsZero) {
  for (const float x : {61440.0f, 63488.0f, 65504.0f, 1e30f, kInfinity}) {
    EXPECT_EQ(KvScaleNearest(x), 0xf7) << x;
    EXPECT_EQ(KvScaleUp(x), 0xf7) << x;
  }
  EXPECT_EQ(KvScaleNearest(0), 0);
  EXPECT_EQ(KvScaleUp(0), 0);
  EXPECT_EQ(KvScaleNearest(FromBits(1)), 0);
  EXPECT_EQ(KvScaleUp(0x1p-40f), 1);
}

TEST(KvGrid, UnitsOfZeros) {
  for (const int32_t bits : {2, 3, 4, 8}) {
    EXPECT_EQ(GridOf(SYL_KV_UNIFORM, 1, bits).zero_unit, 1);
    EXPECT_EQ(GridOf(SYL_KV_UNIFORM, 0, bits).zero_unit, std::pow(2.0f, bits) / 64);
  }
  EXPECT_EQ(GridOf(SYL_KV_LLOYD_MAX, 0, 2).zero_unit, 1);
}

double Density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * M_PI); }
double Below(double x) { return std::erfc(-x / std::sqrt(2)) / 2; }

// Lloyd's iteration for all levels, starting far off.
std::vector<double> LloydMax(int32_t bits) {
  std::vector<double> level(1 << bits);
  for (size_t i = 0; i < level.size(); ++i) level[i] = -4 + 8 * (i + 0.5) / level.size();
  for (int iteration = 0; iteration < 5000; ++iteration) {
    std::vector<double> next(level.size());
    for (size_t i = 0; i < level.size(); ++i) {
      const double low = i == 0 ? -40 : (level[i - 1] + level[i]) / 2;
      const double high = i + 1 == level.size() ? 40 : (level[i] + level[i + 1]) / 2;
      next[i] = (Density(low) - Density(high)) / (Below(high) - Below(low));
    }
    level = next;
  }
  return level;
}

TEST(KvGrid, LloydMaxLevelsAreTheFixedPoint) {
  for (const int32_t bits : {2, 3, 4}) {
    const KvGrid grid = GridOf(SYL_KV_LLOYD_MAX, 0, bits);
    const std::vector<double> level = LloydMax(bits);
    const size_t n = level.size();
    const double outer = level[n - 1];
    EXPECT_EQ(grid.levels[0], 1);
    EXPECT_EQ(grid.levels[n - 1], 63);
    EXPECT_NEAR(grid.rms_factor, outer / 31, 1e-8);
    for (size_t i = 0; i < n; ++i) {
      EXPECT_EQ(grid.levels[i], std::lround(32 + 31 * level[i] / outer)) << bits << " bits, level " << i;
      EXPECT_EQ(grid.levels[i] + grid.levels[n - 1 - i], 64);
    }
    for (size_t i = 1; i < n; ++i) {
      EXPECT_EQ(grid.thresholds[i - 1], (grid.levels[i - 1] + grid.levels[i]) / 2.0f);
    }
    EXPECT_EQ(grid.thresholds[n / 2 - 1], 32);
  }
}

// The squared error of a normal variable, known since Max 1960 to be 0.1175, 0.03454 and 0.009497. A level that is
// rounded by at most half a unit, of 31 to the outer level, adds at most the square of that.
TEST(KvGrid, LloydMaxErrorIsThatOfTheLiterature) {
  const double known[] = {0.1175, 0.03454, 0.009497};
  for (const int32_t bits : {2, 3, 4}) {
    const KvGrid grid = GridOf(SYL_KV_LLOYD_MAX, 0, bits);
    double error = 0;
    const double step = 1e-4;
    for (double x = -8; x < 8; x += step) {
      const double y = x / grid.rms_factor + 32;
      int q = 0;
      while (q < (1 << bits) - 1 && y > grid.thresholds[q]) ++q;
      const double d = x - grid.rms_factor * (grid.levels[q] - 32);
      error += d * d * Density(x) * step;
    }
    EXPECT_GT(error, known[bits - 2] * 0.999);
    EXPECT_LT(error, known[bits - 2] * 1.001 + std::pow(grid.rms_factor / 2, 2));
  }
}

uint32_t BitwiseCrc(const std::vector<uint8_t>& data) {
  uint32_t crc = 0xffffffff;
  for (const uint8_t byte : data) {
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (((crc ^ byte >> bit) & 1) != 0 ? 0xedb88320 : 0);
  }
  return ~crc;
}

TEST(KvCrc, IsThatOfZlib) {
  EXPECT_EQ(Crc32("123456789", 9), 0xcbf43926u);  // the check value of CRC-32/ISO-HDLC
  std::mt19937 random(2);
  for (int64_t n = 0; n < 70; ++n) {
    std::vector<uint8_t> data(n + 1);
    for (uint8_t& byte : data) byte = static_cast<uint8_t>(random());
    data.pop_back();
    const uint32_t want = BitwiseCrc(data);
    EXPECT_EQ(Crc32(data.data(), n), want) << n;
    for (int64_t cut = 0; cut <= n; ++cut) {
      EXPECT_EQ(Crc32(data.data() + cut, n - cut, Crc32(data.data(), cut)), want) << n << " cut at " << cut;
    }
  }
}

}  // namespace
