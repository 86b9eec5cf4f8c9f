// Codes, scales and zeros: the bits of a plain quantizer after the plain transform.
#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "tests/native/hadamard/run.h"

namespace {

using namespace sylvester_test;

constexpr int32_t kQuantizers[] = {SYL_HADAMARD_I8, SYL_HADAMARD_U4, SYL_HADAMARD_U2};

class HadamardCodes : public HadamardTiers {};

INSTANTIATE_TEST_SUITE_P(Tiers, HadamardCodes, testing::ValuesIn(SupportedTiers()), TierName);

TEST_P(HadamardCodes, OfRowsAndGroups) {
  for (const int32_t quantizer : kQuantizers) {
    for (const syl_dtype type : {SYL_F32, SYL_F16, SYL_BF16}) {
      for (int64_t n = 4; n <= 4096; n *= 2) {
        for (int64_t group = 1; group <= n; group *= n > 512 ? 16 : 2) {
          ExpectBits(Rotation(n, type).Count(1, 1, n <= 64 ? 9 : 2).Quantize(quantizer, group), 110);
        }
        ExpectBits(Rotation(n, type).Count(1, 1, 3).Quantize(quantizer), 111);
      }
      ExpectBits(Rotation(32768, type).Quantize(quantizer, 128), 112);
    }
    ExpectBits(Rotation(2).Count(1, 1, 33).Quantize(quantizer == SYL_HADAMARD_U2 ? SYL_HADAMARD_I8 : quantizer), 113);
  }
}

TEST_P(HadamardCodes, OfAnyGroupLength) {
  for (const int32_t quantizer : kQuantizers) {
    for (const int64_t group : {1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 60, 120}) {
      for (const int64_t rows : {1, 3}) {
        ExpectBits(Rotation(120).Family(SYL_HADAMARD_OVERLAPPED).Rounds(2).Count(1, 1, rows).Quantize(quantizer, group),
                   114);
      }
    }
    for (const int64_t group : {7, 28, 56, 64, 448}) {
      ExpectBits(Rotation(448).Family(SYL_HADAMARD_SYLVESTER, 28).Count(1, 1, 2).Quantize(quantizer, group), 115);
    }
  }
}

TEST_P(HadamardCodes, OfEveryFamilyWithSignsGathersAndRounds) {
  for (const int32_t quantizer : kQuantizers) {
    for (const int64_t group : {0, 16}) {
      ExpectBits(Rotation(128).Count(1, 2, 3).Quantize(quantizer, group).Signs(3, 116), 117);
      ExpectBits(Rotation(128, SYL_BF16).Count(1, 2, 3).Quantize(quantizer, group).Rounds(3).Signs(2, 118), 119);
      ExpectBits(Rotation(512).Count(1, 1, 3).Quantize(quantizer, group).Gather(600, 9, 120).Signs(1, 121), 122);
      ExpectBits(Rotation(64).Family(SYL_HADAMARD_REGULAR).Count(1, 1, 5).Quantize(quantizer, group), 123);
      ExpectBits(Rotation(96).Family(SYL_HADAMARD_BLOCKS, 1, 0, 32).Count(1, 1, 5).Quantize(quantizer, group), 124);
      ExpectBits(Rotation(192).Family(SYL_HADAMARD_SYLVESTER, 12).Count(1, 1, 3).Quantize(quantizer, group), 125);
      ExpectBits(Rotation(144).Family(SYL_HADAMARD_OVERLAPPED).Rounds(2).Count(1, 1, 3).Quantize(quantizer, group),
                 126);
      ExpectBits(Rotation(256).Scale(3.25).Count(1, 1, 3).Quantize(quantizer, group), 127, {}, Values::kOutliers);
    }
  }
}

TEST_P(HadamardCodes, OfMappedGroups) {
  for (const int32_t quantizer : kQuantizers) {
    for (const int64_t group : {1, 4, 8, 32, 64}) {
      ExpectBits(Rotation(64).Count(1, 1, 5).Quantize(quantizer, group).GroupMap(128), 129);
      ExpectBits(Rotation(512, SYL_F16).Count(1, 1, 2).Quantize(quantizer, group).GroupMap(130).Signs(2, 131), 132);
      ExpectBits(Rotation(2048).Quantize(quantizer, group).GroupMap(133), 134);
    }
  }
}

TEST_P(HadamardCodes, OfExtremeValues) {
  for (const int32_t quantizer : kQuantizers) {
    for (const Values values : {Values::kTiny, Values::kPositive, Values::kOutliers, Values::kIntegers}) {
      for (const int64_t group : {0, 8}) {
        ExpectBits(Rotation(64).Count(1, 1, 9).Quantize(quantizer, group), 135, {}, values);
        ExpectBits(Rotation(1024).Count(1, 1, 2).Quantize(quantizer, group), 136, {}, values);
      }
    }
  }
}

// Results at chosen places: a gather without a transform does not exist, so blocks of two with x = (y, 0) ... give y,
// y.
Memory Places(const Rotation& rotation, const std::function<float(int64_t)>& value) {
  Memory memory = Fill(rotation, 137);
  for (int64_t i = 0; i < rotation.Transforms() * rotation.options.n; ++i) {
    StoreElement(rotation.options.x_type, memory.x.data(), i, i % 2 == 0 ? value(i / 2) : 0);
  }
  return memory;
}

Rotation Pairs(int64_t n, int32_t quantizer, int64_t group) {
  return Rotation(n).Family(SYL_HADAMARD_BLOCKS, 1, 0, 2).Scale(1).Count(1, 1, 3).Quantize(quantizer, group);
}

TEST_P(HadamardCodes, OfZeros) {
  for (const int32_t quantizer : kQuantizers) {
    for (const float zero : {0.0f, -0.0f}) {
      const Rotation rotation = Pairs(64, quantizer, 16);
      const Memory memory = Places(rotation, [zero](int64_t i) { return i < 20 ? zero : static_cast<float>(i); });
      const Memory got = Rotate(rotation, memory);
      EXPECT_TRUE(SameY(got, ReferenceRun(rotation, memory)));
      EXPECT_EQ(ToBits(got.scales[0]), 0u);
      for (int64_t i = 0; i < 16 * rotation.CodeBits() / 8; ++i) ASSERT_EQ(got.y[static_cast<size_t>(i)], 0);
      if (rotation.HasZeros()) {
        EXPECT_EQ(ToBits(got.zeros[0]), 0u);
      }
    }
  }
}

// The largest magnitude at every place in turn, both signs: no lane and no tail is left out of it.
TEST_P(HadamardCodes, OfOneLargestElementAnywhere) {
  for (const int32_t quantizer : kQuantizers) {
    for (const int64_t n : {8, 64, 72, 256, 600}) {
      for (const int64_t group : {int64_t{0}, n / 8}) {
        for (int64_t place = 0; place < n / 2; ++place) {
          for (const float sign : {1.0f, -1.0f}) {
            const Rotation rotation = Pairs(n, quantizer, group);
            const Memory memory = Places(
                rotation, [=](int64_t i) { return i % (n / 2) == place ? 100 * sign : static_cast<float>(i % 7) - 3; });
            ASSERT_TRUE(SameY(Rotate(rotation, memory), ReferenceRun(rotation, memory))) << rotation.Name() << place;
          }
        }
      }
    }
  }
}

// Halves between two codes go to the even one.
TEST_P(HadamardCodes, RoundHalvesToEven) {
  const Rotation rotation = Pairs(64, SYL_HADAMARD_I8, 0);
  const Memory memory =
      Places(rotation, [](int64_t i) { return i % 32 == 0 ? 127.0f : static_cast<float>(i % 32) - 15.5f; });
  const Memory got = Rotate(rotation, memory);
  EXPECT_TRUE(SameY(got, ReferenceRun(rotation, memory)));
  EXPECT_EQ(got.scales[0], 1);
  for (int64_t i = 1; i < 32; ++i) {
    const auto code = static_cast<int8_t>(got.y[static_cast<size_t>(2 * i)]);
    EXPECT_EQ(code % 2, 0) << i;
    EXPECT_EQ(std::fabs(code - (static_cast<float>(i) - 15.5f)), 0.5f) << i;
  }
}

// Quotients on both sides of a half, next to it and on it, for many scales.
TEST_P(HadamardCodes, OfValuesNextToHalves) {
  std::mt19937 random(139);
  for (const int32_t quantizer : kQuantizers) {
    const float levels = quantizer == SYL_HADAMARD_I8 ? 127.0f : quantizer == SYL_HADAMARD_U4 ? 15.0f : 3.0f;
    for (int trial = 0; trial < 300; ++trial) {
      const float step = std::ldexp(1 + static_cast<float>(random() >> 9) * 0x1p-23f, trial % 40 - 20);
      const Rotation rotation = Pairs(256, quantizer, 0);
      const Memory memory = Places(rotation, [&](int64_t i) {
        if (i % 128 < 2) return i % 128 == 0 ? levels * step : 0;
        float value = (static_cast<float>(i / 3 % static_cast<int64_t>(levels)) + 0.5f) * (levels * step / levels);
        if (i % 3 != 0) value = std::nextafter(value, i % 3 == 1 ? 0 : kInfinity);
        return i % 2 == 1 && !rotation.HasZeros() ? -value : value;
      });
      ASSERT_TRUE(SameY(Rotate(rotation, memory), ReferenceRun(rotation, memory)))
          << rotation.Name() << ", step " << step;
    }
  }
}

TEST_P(HadamardCodes, OfNanAndInfinity) {
  constexpr float kMost = std::numeric_limits<float>::max();
  for (const int32_t quantizer : kQuantizers) {
    for (const float special : {kNaN, kInfinity, -kInfinity, kMost}) {
      for (const int64_t group : {0, 8, 32}) {
        for (const int64_t place : {0, 17, 63, 95}) {  // in the second transform
          const Rotation rotation = Pairs(64, quantizer, group);
          // kMost and -kMost beside each other: finite, but not their distance.
          const Memory memory = Places(rotation, [=](int64_t i) {
            return i == 32 + place % 32                             ? special
                   : special == kMost && i == 32 + (place % 32 ^ 1) ? -kMost
                                                                    : static_cast<float>(i);
          });
          const Memory got = Rotate(rotation, memory), want = ReferenceRun(rotation, memory);
          EXPECT_EQ(got.y, want.y) << rotation.Name();
          for (size_t g = 0; g < want.scales.size(); ++g) {
            EXPECT_TRUE(got.scales[g] == want.scales[g] || (std::isnan(got.scales[g]) && std::isnan(want.scales[g])))
                << rotation.Name() << ", group " << g << ": " << got.scales[g] << ", " << want.scales[g];
            if (!rotation.HasZeros()) continue;
            EXPECT_TRUE(got.zeros[g] == want.zeros[g] || (std::isnan(got.zeros[g]) && std::isnan(want.zeros[g])))
                << rotation.Name() << ", group " << g << ": " << got.zeros[g] << ", " << want.zeros[g];
          }
        }
      }
    }
  }
}

// Dequantized codes are half a step from the transform at most, and one rounding or so.
TEST(HadamardQuantizer, CodesAreHalfAStepFromTheTransform) {
  for (const int32_t quantizer : kQuantizers) {
    const Rotation coded = Rotation(256).Count(1, 1, 4).Quantize(quantizer, 64), plain = Rotation(256).Count(1, 1, 4);
    const Memory memory = Fill(coded, 138), got = Rotate(coded, memory), want = Rotate(plain, Fill(plain, 138));
    for (int64_t i = 0; i < 1024; ++i) {
      const int64_t bit = i * coded.CodeBits(), group = i / 64;
      const int32_t raw = got.y[static_cast<size_t>(bit / 8)] >> bit % 8 & ((1 << coded.CodeBits()) - 1);
      const int32_t code = quantizer == SYL_HADAMARD_I8 ? static_cast<int8_t>(raw) : raw;
      const double scale = got.scales[static_cast<size_t>(group)];
      const double zero = coded.HasZeros() ? got.zeros[static_cast<size_t>(group)] : 0;
      const auto exact = LoadElement(SYL_F32, want.y.data(), i);
      ASSERT_NEAR(code * scale + zero, exact, 0.5 * scale * (1 + 1e-5)) << coded.Name() << " at " << i;
    }
  }
}

}  // namespace
