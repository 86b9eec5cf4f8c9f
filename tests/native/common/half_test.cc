// Conversions from and to the 16-bit floats, over all their values.
#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

struct Format {
  syl_dtype type;
  int mantissa_bits;
  int bias;
};

class Half : public ::testing::TestWithParam<Format> {
 protected:
  uint16_t Infinity() const { return static_cast<uint16_t>((2 * GetParam().bias + 1) << GetParam().mantissa_bits); }

  // The number that the bits stand for, by the definition of the format. Infinity counts as the power of two that would
  // follow the largest number: that is how rounding sees it.
  double Magnitude(uint16_t h) const {
    const auto [type, bits, bias] = GetParam();
    const int exponent = h >> bits, fraction = h & ((1 << bits) - 1);
    return exponent == 0 ? std::ldexp(fraction, 1 - bias - bits)
                         : std::ldexp(fraction + (1 << bits), exponent - bias - bits);
  }

  uint16_t FromFloat(float x) const {
    uint16_t h = 0xdead;
    EXPECT_EQ(syl_convert_from_f32(GetParam().type, &x, 1, &h), SYL_OK) << syl_last_error();
    return h;
  }
};

TEST_P(Half, ToFloatIsExact) {
  std::vector<uint16_t> halves(65536);
  for (int h = 0; h < 65536; ++h) halves[static_cast<size_t>(h)] = static_cast<uint16_t>(h);
  std::vector<float> floats(65536);
  ASSERT_EQ(syl_dequantize_f32(GetParam().type, halves.data(), 65536, floats.data()), SYL_OK) << syl_last_error();
  for (int h = 0; h < 65536; ++h) {
    const float got = floats[static_cast<size_t>(h)];
    const auto magnitude = static_cast<uint16_t>(h & 0x7fff);
    ASSERT_EQ(std::signbit(got), h >= 0x8000) << h;
    if (magnitude > Infinity()) {
      ASSERT_TRUE(std::isnan(got)) << h;
    } else if (magnitude == Infinity()) {
      ASSERT_EQ(std::fabs(got), kInfinity) << h;
    } else {
      ASSERT_EQ(std::fabs(static_cast<double>(got)), Magnitude(magnitude)) << h;
    }
    // And back: NaN stays NaN of the same sign, everything else keeps its bits.
    const uint16_t back = FromFloat(got);
    if (std::isnan(got)) {
      ASSERT_GT(back & 0x7fff, Infinity()) << h;
      ASSERT_EQ(back & 0x8000, h & 0x8000) << h;
    } else {
      ASSERT_EQ(back, h);
    }
  }
}

// Between each number and the next: the middle goes to the even one, its neighbours to the nearer one.
TEST_P(Half, FromFloatRoundsToNearestEven) {
  for (int lower = 0; lower < Infinity(); ++lower) {
    const auto h = static_cast<uint16_t>(lower);
    const uint16_t next = h + 1, even = h % 2 == 0 ? h : next;
    const double middle = (Magnitude(h) + Magnitude(next)) / 2;
    const auto x = static_cast<float>(middle);
    ASSERT_EQ(static_cast<double>(x), middle);
    for (const float sign : {1.0f, -1.0f}) {
      const uint16_t sign_bit = sign < 0 ? 0x8000 : 0;
      ASSERT_EQ(FromFloat(sign * x), even | sign_bit) << x;
      ASSERT_EQ(FromFloat(sign * std::nextafter(x, 0.0f)), h | sign_bit) << x;
      ASSERT_EQ(FromFloat(sign * std::nextafter(x, kInfinity)), next | sign_bit) << x;
    }
  }
}

TEST_P(Half, FromFloatAtTheEnds) {
  EXPECT_EQ(FromFloat(kInfinity), Infinity());
  EXPECT_EQ(FromFloat(-kInfinity), Infinity() | 0x8000);
  EXPECT_EQ(FromFloat(std::numeric_limits<float>::max()), Infinity());
  EXPECT_EQ(FromFloat(-0.0f), 0x8000);
  // Every payload of NaN, also one that lies only in bits which the conversion drops.
  for (uint32_t payload = 1; payload < 1u << 23; payload = payload * 2 + (payload & 1)) {
    for (const uint32_t sign : {0u, 0x80000000u}) {
      const uint16_t h = FromFloat(FromBits(sign | 0x7f800000 | payload));
      EXPECT_GT(h & 0x7fff, Infinity()) << payload;
      EXPECT_EQ(h >> 15, sign >> 31) << payload;
    }
  }
  EXPECT_EQ(FromFloat(std::numeric_limits<float>::denorm_min()), 0);
}

INSTANTIATE_TEST_SUITE_P(, Half, ::testing::Values(Format{SYL_F16, 10, 15}, Format{SYL_BF16, 7, 127}),
                         [](const auto& info) { return info.param.type == SYL_F16 ? "f16" : "bf16"; });

}  // namespace
