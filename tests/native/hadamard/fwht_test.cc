// The Sylvester family without a base: bits, error bounds, exact cases, the flat entries.
#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "tests/native/hadamard/run.h"

namespace {

using namespace sylvester_test;

constexpr Values kAllValues[] = {Values::kNormal, Values::kOutliers, Values::kPositive, Values::kTiny,
                                 Values::kIntegers};

// ---- Bits on every tier --------------------------------------------------------------------------------------------

class FwhtBits : public HadamardTiers {};

INSTANTIATE_TEST_SUITE_P(Tiers, FwhtBits, testing::ValuesIn(SupportedTiers()), TierName);

// Counts that fill vectors of short rows and leave some over.
TEST_P(FwhtBits, AreThoseOfTheReference) {
  for (const syl_dtype type : kFloats) {
    for (int64_t n = 2; n <= 8192; n *= 2) {
      const int64_t rows = n <= 64 ? 37 : n <= 1024 ? 5 : 2;
      for (const bool in_place : {false, true}) {
        How how;
        how.in_place = in_place;
        ExpectBits(Rotation(n, type).Count(1, 1, rows), static_cast<uint32_t>(n), how);
      }
    }
  }
}

TEST_P(FwhtBits, AreThoseOfTheReferenceForLongRows) {
  for (const int64_t log2_n : {14, 15, 17, 20}) {
    ExpectBits(Rotation(int64_t{1} << log2_n), 100);
    How in_place;
    in_place.in_place = true;
    ExpectBits(Rotation(int64_t{1} << log2_n), 101, in_place);
  }
  ExpectBits(Rotation(int64_t{1} << 16, SYL_F64), 102);
  ExpectBits(Rotation(int64_t{1} << 18, SYL_F64), 103);
  ExpectBits(Rotation(int64_t{1} << 16, SYL_F16), 104);
  ExpectBits(Rotation(int64_t{1} << 19, SYL_BF16), 105);
}

TEST_P(FwhtBits, AreThoseOfTheReferenceForMixedTypes) {
  for (const syl_dtype x : {SYL_F32, SYL_F16, SYL_BF16}) {
    for (const syl_dtype y : {SYL_F32, SYL_F16, SYL_BF16}) {
      for (const int64_t n : {4, 32, 128, 512, 2048, 32768}) {
        ExpectBits(Rotation(n).Types(x, y).Count(1, 1, n > 2048 ? 1 : 3), static_cast<uint32_t>(n));
      }
    }
  }
}

TEST_P(FwhtBits, KeepSubnormalNumbers) {
  for (const syl_dtype type : {SYL_F32, SYL_F16, SYL_BF16}) {
    for (const int64_t n : {4, 64, 1024}) {
      ExpectBits(Rotation(n, type).Count(1, 1, 3), 7, {}, Values::kTiny);
      ExpectBits(Rotation(n, type).Count(1, 1, 3).Scale(1), 8, {}, Values::kTiny);
    }
  }
}

// A row with a NaN or an infinity: its results are what arithmetic says, those of the other rows what they were.
TEST_P(FwhtBits, NanAndInfinityStayInTheirTransform) {
  for (const syl_dtype type : kFloats) {
    for (const int64_t n : {2, 8, 32, 128, 512, 1024, 16384}) {
      const Rotation rotation = Rotation(n, type).Count(1, 1, 5);
      for (const float special : {kNaN, kInfinity, -kInfinity}) {
        Memory memory = Fill(rotation, 9);
        const int64_t at = 2 * n + n / 3;
        StoreElement(type, memory.x.data(), at, special);
        const Memory got = Rotate(rotation, memory), want = ReferenceRun(rotation, memory);
        for (int64_t i = 0; i < 5 * n; ++i) {
          const auto y = LoadElement(type, got.y.data(), i);
          const auto expected = LoadElement(type, want.y.data(), i);
          if (std::isnan(expected)) {
            ASSERT_TRUE(std::isnan(y)) << rotation.Name() << " at " << i;
          } else {
            ASSERT_EQ(y, expected) << rotation.Name() << " at " << i;
          }
          ASSERT_EQ(std::isfinite(y), i / n != 2) << rotation.Name() << " at " << i;
        }
      }
    }
  }
}

// The flat entries of the four types, over raw memory.
syl_status Flat(syl_dtype type, void* x, int64_t rows, int64_t stride, int64_t n, double scale, syl_pool* pool) {
  switch (type) {
    case SYL_F32: return syl_hadamard_f32(static_cast<float*>(x), rows, stride, n, scale, pool);
    case SYL_F64: return syl_hadamard_f64(static_cast<double*>(x), rows, stride, n, scale, pool);
    case SYL_F16: return syl_hadamard_f16(static_cast<uint16_t*>(x), rows, stride, n, scale, pool);
    default: return syl_hadamard_bf16(static_cast<uint16_t*>(x), rows, stride, n, scale, pool);
  }
}

TEST_P(FwhtBits, AreTheSameWithoutAPlan) {
  const Pool pool = NewPool(3);
  for (const syl_dtype type : kFloats) {
    const bool is_short = type == SYL_F16 || type == SYL_BF16;
    for (int64_t n = 2; n <= (is_short ? int64_t{1} << 13 : int64_t{1} << 18); n *= 2) {
      for (const int64_t gap : {0, 3}) {
        const int64_t rows = n <= 4096 ? 5 : 1, stride = n + gap;
        const double scale = n % 3 == 1 ? 0 : 0.75;
        Rotation rotation = Rotation(n, type).Count(1, 1, rows).Scale(scale);
        rotation.XStride(0, 0, stride, 1).YStride(0, 0, stride, 1);
        const Memory memory = InPlace(Fill(rotation, 11));
        const Memory want = ReferenceRun(rotation, memory);
        for (syl_pool* threads : {static_cast<syl_pool*>(nullptr), pool.get()}) {
          Memory got = memory;
          ASSERT_EQ(Flat(type, got.y.data(), rows, stride, n, scale, threads), SYL_OK) << syl_last_error();
          ASSERT_TRUE(SameY(got, want)) << "flat " << rotation.Name() << ", gap " << gap;
        }
      }
    }
  }
}

// ---- Error
// -----------------------------------------------------------------------------------------------------------

TEST(Fwht, ReferenceIsTheDefinition) {
  for (int64_t n = 2; n <= 256; n *= 2) {
    const Rotation rotation(n, SYL_F64);
    const std::vector<long double> x = LoadX<long double>(rotation, Fill(rotation, 12), 0);
    const std::vector<long double> y = Transform(rotation, 0, x);
    for (int64_t i = 0; i < n; ++i) {
      long double want = 0;
      for (int64_t j = 0; j < n; ++j) want += ScaledEntry(rotation, 1, i, j) * x[static_cast<size_t>(j)];
      ASSERT_NEAR(static_cast<double>(y[static_cast<size_t>(i)] - want), 0, 1e-16 * static_cast<double>(n)) << n;
    }
  }
}

// hadamard.h: |y - exact| <= (k + b + 2) u |scale| sum|x| + v |y|, and half of the smallest number where the product
// with scale or the rounding to y_type underflows. The exact bound has (1 + u)^steps - 1 for steps u.
TEST(Fwht, ErrorIsBoundedForAllInputs) {
  for (const syl_dtype type : kFloats) {
    const double u = type == SYL_F64 ? 0x1p-53 : 0x1p-24;
    const double v = type == SYL_F16 ? 0x1p-11 : type == SYL_BF16 ? 0x1p-8 : 0;
    const double underflow = type == SYL_F64 ? 0 : type == SYL_F16 ? 0x1p-25 : type == SYL_BF16 ? 0x1p-134 : 0x1p-150;
    for (const Values values : kAllValues) {
      for (int64_t n = 2; n <= 65536; n *= n < 8192 ? 2 : 8) {
        const Rotation rotation(n, type);
        const Memory memory = Fill(rotation, static_cast<uint32_t>(n), values), got = Rotate(rotation, memory);
        const std::vector<long double> x = LoadX<long double>(rotation, memory, 0), y = Transform(rotation, 0, x);
        double sum = 0;
        for (const long double value : x) sum += static_cast<double>(std::fabs(value));
        const double steps = std::expm1(rotation.ErrorSteps() * std::log1p(u));
        for (int64_t i = 0; i < n; ++i) {
          const long double result = LoadElement(type, got.y.data(), i);
          const auto error = static_cast<double>(std::fabs(result - y[static_cast<size_t>(i)]));
          const double bound = steps * rotation.ScaleInUse() * sum + v * static_cast<double>(std::fabs(result));
          ASSERT_LE(error, bound + 2 * underflow) << rotation.Name() << " at " << i;
        }
      }
    }
  }
}

// Random input: errors of the additions average out. A rounding to 16 bits between stages, or fewer bits of f32, would
// show: one rounding of normal numbers is 0.43 v of their length, two are 0.6.
TEST(Fwht, ErrorOfRandomInputIsThatOfOneRounding) {
  for (const syl_dtype type : kFloats) {
    for (int64_t n = 64; n <= (int64_t{1} << 18); n *= 8) {
      const Rotation rotation = Rotation(n, type).Count(1, 1, n <= 4096 ? 20 : 1);
      const Memory memory = Fill(rotation, static_cast<uint32_t>(n) + 1), got = Rotate(rotation, memory);
      long double errors = 0, squares = 0, input = 0;
      for (int64_t t = 0; t < rotation.Transforms(); ++t) {
        const std::vector<long double> x = LoadX<long double>(rotation, memory, t), y = Transform(rotation, t, x);
        for (int64_t i = 0; i < n; ++i) {
          const long double error = LoadElement(type, got.y.data(), t * n + i) - y[static_cast<size_t>(i)];
          errors += error * error;
          squares += y[static_cast<size_t>(i)] * y[static_cast<size_t>(i)];
          input += x[static_cast<size_t>(i)] * x[static_cast<size_t>(i)];
        }
      }
      const auto relative = static_cast<double>(std::sqrt(errors / squares));
      const double bound = type == SYL_F64   ? 4 * 0x1p-53
                           : type == SYL_F32 ? 4 * 0x1p-24
                           : type == SYL_F16 ? 0.55 * 0x1p-11
                                             : 0.55 * 0x1p-8;
      EXPECT_LE(relative, bound) << rotation.Name();
      // Parseval: the length stays.
      EXPECT_NEAR(static_cast<double>(std::sqrt(squares / input)), 1, 1e-15) << rotation.Name();
    }
  }
}

TEST(Fwht, TwiceIsTheIdentity) {
  for (const int64_t n : {2, 64, 512, 4096}) {
    const Rotation rotation = Rotation(n).Count(1, 1, 3);
    const Memory memory = Fill(rotation, 13);
    Memory once = Rotate(rotation, memory);
    once.x = once.y;
    const Memory twice = Rotate(rotation, once);
    long double errors = 0, squares = 0;
    for (int64_t i = 0; i < 3 * n; ++i) {
      const long double x = LoadElement(SYL_F32, memory.x.data(), i);
      errors += std::pow(LoadElement(SYL_F32, twice.y.data(), i) - x, 2.0L);
      squares += x * x;
    }
    EXPECT_LE(static_cast<double>(std::sqrt(errors / squares)), 2 * 4 * 0x1p-24) << n;
  }
}

// ---- Exact cases
// -----------------------------------------------------------------------------------------------------

TEST(Fwht, IntegersAreExact) {
  for (int64_t n = 2; n <= 65536; n *= 2) {
    const Rotation rotation = Rotation(n).Scale(1);
    const Memory memory = Fill(rotation, 14, Values::kIntegers), got = Rotate(rotation, memory);
    std::vector<int64_t> want(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i)
      want[static_cast<size_t>(i)] = std::llround(LoadElement(SYL_F32, memory.x.data(), i));
    Butterflies(want.data(), n);
    for (int64_t i = 0; i < n; ++i) {
      ASSERT_EQ(LoadElement(SYL_F32, got.y.data(), i), want[static_cast<size_t>(i)]) << n << " at " << i;
    }
  }
}

// Few elements that are not 0: every result is known from the definition alone, however long the row.
TEST(Fwht, SparseRowsOfEveryLengthAreExact) {
  struct Case {
    syl_dtype type;
    int64_t n;
  };
  for (const Case& c :
       {Case{SYL_F32, int64_t{1} << 24}, Case{SYL_F32, 4096}, Case{SYL_F32, 2}, Case{SYL_F64, int64_t{1} << 22},
        Case{SYL_F16, int64_t{1} << 20}, Case{SYL_BF16, int64_t{1} << 20}}) {
    const Rotation rotation = Rotation(c.n, c.type).Scale(0.5);
    const int64_t places[] = {0, c.n / 3, c.n - 1};
    Memory memory;
    memory.x.assign(static_cast<size_t>(c.n * rotation.XBytes()), 0);
    memory.y = memory.x;
    for (int64_t i = 0; i < 3; ++i) {
      StoreElement(c.type, memory.x.data(), places[i],
                   LoadElement(c.type, memory.x.data(), places[i]) + static_cast<double>(1 << 2 * i));
    }
    How in_place;
    in_place.in_place = true;
    const Memory got = Rotate(rotation, memory, in_place);
    int64_t wrong = 0;
    for (int64_t i = 0; i < c.n; ++i) {
      double want = 0;
      for (int64_t j = 0; j < 3; ++j) {
        want += (__builtin_popcountll(static_cast<uint64_t>(i & places[j])) % 2 == 1 ? -0.5 : 0.5) * (1 << 2 * j);
      }
      wrong += LoadElement(c.type, got.y.data(), i) != want;
    }
    EXPECT_EQ(wrong, 0) << rotation.Name();
  }
}

// H_512 = H_4 (x) H_128: 128 over the low index, then 4 over the high one, in the same order of stages.
TEST(Fwht, KroneckerFactorsGiveTheSameBits) {
  const Rotation whole = Rotation(512).Scale(1).Count(1, 1, 3);
  Memory memory = Fill(whole, 15);
  const Memory want = Rotate(whole, memory);
  const Rotation low = Rotation(128).Scale(1).Count(1, 3, 4);
  memory.y.assign(memory.y.size(), 0);
  memory = Rotate(low, memory);
  memory.x = memory.y;
  const Rotation high = Rotation(4).Scale(1).Count(1, 3, 128).XStride(0, 512, 1, 128).YStride(0, 512, 1, 128);
  EXPECT_TRUE(SameY(Rotate(high, memory), want));
}

// ---- Refusals of the flat entries
// --------------------------------------------------------------------------------------

TEST(Fwht, FlatEntriesRefuseWithoutWriting) {
  for (const syl_dtype type : kFloats) {
    std::vector<uint8_t> x(16 * 8, 0x11);
    const std::vector<uint8_t> before = x;
    const auto refused = [&](syl_status status, const char* text, int64_t rows, int64_t stride, int64_t n,
                             double scale) {
      EXPECT_REFUSED(Flat(type, x.data(), rows, stride, n, scale, nullptr), status, text);
      EXPECT_EQ(x, before);
    };
    EXPECT_REFUSED(Flat(type, nullptr, 1, 4, 4, 0, nullptr), SYL_NULL_ARGUMENT, "x is NULL");
    refused(SYL_BAD_VALUE, "rows is -1", -1, 4, 4, 0);
    for (const int64_t n : {-4, 0, 1, 3, 12}) refused(SYL_BAD_VALUE, "n is ", 1, 16, n, 0);
    const int64_t most = type == SYL_F32 || type == SYL_F64 ? int64_t{1} << 24 : int64_t{1} << 13;
    refused(SYL_BAD_VALUE, "n is ", 1, 2 * most, 2 * most, 0);
    refused(SYL_BAD_SHAPE, "stride is 3", 2, 3, 4, 0);
    refused(SYL_BAD_SHAPE, "", std::numeric_limits<int64_t>::max() / 2, 4, 4, 0);
    refused(SYL_BAD_VALUE, "scale is ", 1, 4, 4, std::nan(""));
    refused(SYL_BAD_VALUE, "scale is ", 1, 4, 4, HUGE_VAL);
    EXPECT_EQ(Flat(type, x.data(), 0, 4, 4, 0, nullptr), SYL_OK);
    EXPECT_EQ(x, before);
  }
}

}  // namespace
