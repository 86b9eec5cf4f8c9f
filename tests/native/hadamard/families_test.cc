// Bases, regular matrices, blocks, overlapped rounds, signs and gathers: bits on every tier, and against dense
// matrices.
#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cmath>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/native/hadamard/run.h"

namespace {

using namespace sylvester_test;

std::vector<Rotation> Bases(int64_t butterflies, syl_dtype type = SYL_F32) {
  std::vector<Rotation> rotations;
  for (const int32_t base : kBases) {
    rotations.push_back(Rotation(base * butterflies, type).Family(SYL_HADAMARD_SYLVESTER, base));
  }
  rotations.push_back(Rotation(12 * butterflies, type).Family(SYL_HADAMARD_SYLVESTER, 12, SYL_HADAMARD_TABLE_QUAROT));
  return rotations;
}

Rotation Blocks(int64_t n, int64_t block, syl_dtype type = SYL_F32) {
  return Rotation(n, type).Family(SYL_HADAMARD_BLOCKS, 1, 0, block);
}

Rotation Regular(int64_t n, syl_dtype type = SYL_F32) { return Rotation(n, type).Family(SYL_HADAMARD_REGULAR); }

Rotation Overlapped(int64_t n, int32_t rounds, syl_dtype type = SYL_F32) {
  return Rotation(n, type).Family(SYL_HADAMARD_OVERLAPPED).Rounds(rounds);
}

// ---- Bits on every tier --------------------------------------------------------------------------------------------

class HadamardBits : public HadamardTiers {
 protected:
  // Out of place and in place, forward and back.
  void ExpectAllBits(const Rotation& rotation, uint32_t seed) {
    How in_place;
    in_place.in_place = true;
    ExpectBits(rotation, seed);
    ExpectTransposedBits(rotation, seed + 1);
    if (rotation.XLength() != rotation.options.n || rotation.options.x_type != rotation.options.y_type) return;
    ExpectBits(rotation, seed + 2, in_place);
    ExpectTransposedBits(rotation, seed + 3, in_place);
  }
};

INSTANTIATE_TEST_SUITE_P(Tiers, HadamardBits, testing::ValuesIn(SupportedTiers()), TierName);

TEST_P(HadamardBits, OfEveryBase) {
  for (const int64_t butterflies : {1, 2, 4, 8, 16, 64}) {
    for (Rotation& rotation : Bases(butterflies)) ExpectAllBits(rotation.Count(1, 1, 3), 20);
  }
  for (Rotation& rotation : Bases(128)) ExpectBits(rotation, 21);
  ExpectBits(Rotation(28 * 2048).Family(SYL_HADAMARD_SYLVESTER, 28), 22);
}

TEST_P(HadamardBits, OfEveryBaseAndType) {
  for (const syl_dtype type : {SYL_F64, SYL_F16, SYL_BF16}) {
    for (Rotation& rotation : Bases(4, type)) ExpectAllBits(rotation.Count(1, 1, 2), 23);
    for (Rotation& rotation : Bases(32, type)) ExpectBits(rotation, 24);
  }
}

TEST_P(HadamardBits, OfRegularMatrices) {
  for (const syl_dtype type : kFloats) {
    for (int64_t n = 4; n <= 4096; n *= 4) ExpectAllBits(Regular(n, type).Count(1, 1, n <= 64 ? 9 : 2), 25);
  }
  ExpectBits(Regular(65536), 26);
}

TEST_P(HadamardBits, OfBlocks) {
  struct Case {
    int64_t n, block;
  };
  for (const Case& c : {Case{6, 2}, Case{12, 4}, Case{24, 8}, Case{48, 16}, Case{96, 32}, Case{160, 32}, Case{192, 64},
                        Case{384, 128}, Case{1024, 256}, Case{3072, 1024}, Case{64, 64}, Case{12288, 4096}}) {
    for (const syl_dtype type : kFloats) ExpectAllBits(Blocks(c.n, c.block, type).Count(1, 1, 3), 27);
  }
}

TEST_P(HadamardBits, OfOverlappedRounds) {
  for (const int64_t n : {2, 3, 5, 7, 12, 31, 32, 33, 96, 100, 137, 768, 1000}) {
    for (const int32_t rounds : {1, 2, 4}) {
      ExpectAllBits(Overlapped(n, rounds).Count(1, 1, 3), 28);
      ExpectAllBits(Overlapped(n, rounds).Count(1, 1, 3).Signs(2, 29), 30);
    }
    for (const syl_dtype type : {SYL_F64, SYL_F16, SYL_BF16}) ExpectAllBits(Overlapped(n, 3, type).Signs(1, 31), 32);
  }
}

TEST_P(HadamardBits, OfRoundsWithSigns) {
  for (const int32_t rounds : {1, 2, 3, 16}) {
    for (const int64_t n : {2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 8192}) {
      ExpectAllBits(Rotation(n).Count(1, 1, n <= 512 ? 7 : 2).Rounds(rounds).Signs(3, 33), 34);
    }
    ExpectAllBits(Rotation(80).Family(SYL_HADAMARD_SYLVESTER, 20).Count(1, 2, 5).Rounds(rounds).Signs(5, 35), 36);
    ExpectAllBits(Regular(256).Count(1, 2, 2).Rounds(rounds).Signs(2, 37), 38);
    ExpectAllBits(Blocks(96, 32).Count(1, 2, 2).Rounds(rounds).Signs(1, 39), 40);
    for (const syl_dtype type : {SYL_F64, SYL_F16, SYL_BF16}) {
      ExpectAllBits(Rotation(128, type).Count(1, 2, 3).Rounds(rounds).Signs(2, 41), 42);
    }
  }
}

TEST_P(HadamardBits, OfGathers) {
  struct Case {
    int64_t n, x_length, zeros;
  };
  // Permutations, parts, padding, nothing but padding.
  for (const Case& c : {Case{8, 8, 0}, Case{64, 64, 0}, Case{64, 300, 0}, Case{64, 50, 14}, Case{128, 100, 40},
                        Case{512, 600, 7}, Case{1024, 1024, 0}, Case{4096, 5000, 100}, Case{16, 20, 16}}) {
    for (const syl_dtype type : kFloats) {
      ExpectAllBits(Rotation(c.n, type).Count(1, 1, 3).Gather(c.x_length, c.zeros, 43), 44);
    }
    ExpectAllBits(Rotation(c.n).Count(1, 1, 3).Gather(c.x_length, c.zeros, 45).Rounds(2).Signs(3, 46), 47);
  }
  ExpectAllBits(Overlapped(100, 3).Count(1, 1, 3).Gather(120, 5, 48).Signs(1, 49), 50);
  ExpectAllBits(Rotation(96).Family(SYL_HADAMARD_SYLVESTER, 12).Count(1, 1, 3).Gather(90, 6, 51), 52);
  ExpectAllBits(Rotation(64).Types(SYL_BF16, SYL_F32).Count(1, 1, 3).Gather(64, 0, 53), 54);
}

// ---- Against dense matrices ----------------------------------------------------------------------------------------

// z = D_r M_r ... M_1 D_0 x with M the matrix of the definition, or its transpose.
std::vector<long double> Dense(const Rotation& rotation, const std::vector<long double>& x, bool transposed) {
  const auto n = rotation.options.n;
  std::vector<long double> z = x;
  const int32_t rounds = rotation.options.rounds;
  if (!transposed) ApplySigns(rotation, 0, 0, z.data());
  for (int32_t step = 1; step <= rounds; ++step) {
    const int32_t round = transposed ? rounds + 1 - step : step;
    if (transposed) ApplySigns(rotation, round, 0, z.data());
    std::vector<long double> product(z.size(), 0);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const double entry = transposed ? ScaledEntry(rotation, round, j, i) : ScaledEntry(rotation, round, i, j);
        product[static_cast<size_t>(i)] += entry * z[static_cast<size_t>(j)];
      }
    }
    z = product;
    if (!transposed) ApplySigns(rotation, round, 0, z.data());
  }
  if (transposed) ApplySigns(rotation, 0, 0, z.data());
  return z;
}

// F64, so that nothing but the matrix decides: each round adds (k + b + 2) u scale sum|x| <= (k + b + 2) u sqrt(n) |x|,
// and |x| is at most 1.5 sqrt(n) here.
void ExpectDense(Rotation rotation) {
  rotation.Types(SYL_F64, SYL_F64);
  const auto n = static_cast<double>(rotation.options.n);
  const double bound = rotation.options.rounds * rotation.ErrorSteps() * 0x1p-53 * 1.5 * n;
  const Memory memory = Fill(rotation, 60), forward = Rotate(rotation, memory),
               back = RotateTransposed(rotation, memory);
  const std::vector<long double> y = Dense(rotation, LoadX<long double>(rotation, memory, 0), false);
  const std::vector<long double> x = Dense(rotation, LoadY<long double>(rotation, memory, 0), true);
  for (size_t i = 0; i < y.size(); ++i) {
    ASSERT_NEAR(LoadY<double>(rotation, forward, 0)[i], static_cast<double>(y[i]), bound)
        << rotation.Name() << " " << i;
    ASSERT_NEAR(LoadX<double>(rotation, back, 0)[i], static_cast<double>(x[i]), bound) << rotation.Name() << " " << i;
  }
  // The transpose is the inverse.
  const std::vector<double> before = LoadX<double>(rotation, memory, 0);
  const Memory round_trip = RotateTransposed(rotation, forward);
  for (size_t i = 0; i < y.size(); ++i) {
    ASSERT_NEAR(LoadX<double>(rotation, round_trip, 0)[i], before[i], 2 * bound) << rotation.Name() << " at " << i;
  }
}

TEST(HadamardFamilies, AreTheirDenseMatrices) {
  for (const int64_t butterflies : {1, 4}) {
    for (const Rotation& rotation : Bases(butterflies)) ExpectDense(rotation);
  }
  for (Rotation& rotation : Bases(1)) ExpectDense(rotation.Rounds(2).Signs(1, 61));
  for (const int64_t n : {4, 16, 64, 256}) ExpectDense(Regular(n));
  for (const int64_t n : {2, 4, 8, 16, 32, 64, 128, 256}) ExpectDense(Rotation(n).Rounds(3).Signs(1, 62));
  ExpectDense(Blocks(96, 32));
  ExpectDense(Blocks(192, 64).Rounds(2).Signs(1, 63));
  for (const int64_t n : {2, 3, 96, 100, 137}) {
    for (const int32_t rounds : {1, 2, 3, 4}) ExpectDense(Overlapped(n, rounds).Signs(1, 64));
  }
}

// tests/golden/make_hadamard.py. Integers: every type is exact.
TEST(HadamardFamilies, AreTheMatricesOfSciPy) {
  std::ifstream file(SYLVESTER_SOURCE_DIR "/tests/golden/hadamard.txt");
  int cases = 0;
  for (std::string line; std::getline(file, line); ++cases) {
    std::istringstream fields(line);
    int32_t family = 0;
    int64_t n = 0;
    fields >> family >> n;
    for (const syl_dtype type : {SYL_F32, SYL_F64}) {
      Rotation rotation = Rotation(n, type).Family(family).Scale(1);
      rotation.options.block = family == SYL_HADAMARD_BLOCKS ? 8 : 0;
      Memory memory = Fill(rotation, 68);
      std::istringstream numbers(line);
      double number = 0;
      numbers >> number >> number;
      for (int64_t i = 0; i < n && numbers >> number; ++i) StoreElement(type, memory.x.data(), i, number);
      const std::vector<double> got = LoadY<double>(rotation, Rotate(rotation, memory), 0);
      for (const double value : got) {
        ASSERT_TRUE(numbers >> number) << "case " << cases;
        ASSERT_EQ(value, number) << "case " << cases;
      }
    }
  }
  EXPECT_EQ(cases, 15);
}

// Integers and scale 1: the sums of every base are exact in float, forward and back.
TEST(HadamardFamilies, IntegersAreExact) {
  std::vector<Rotation> rotations = Bases(8);
  rotations.push_back(Regular(1024));
  rotations.push_back(Blocks(96, 32));
  for (Rotation& rotation : rotations) {
    rotation.Scale(1);
    const Memory memory = Fill(rotation, 65, Values::kIntegers);
    const std::vector<long double> x = LoadX<long double>(rotation, memory, 0),
                                   y = LoadY<long double>(rotation, memory, 0);
    EXPECT_EQ(LoadY<long double>(rotation, Rotate(rotation, memory), 0), Dense(rotation, x, false)) << rotation.Name();
    EXPECT_EQ(LoadX<long double>(rotation, RotateTransposed(rotation, memory), 0), Dense(rotation, y, true))
        << rotation.Name();
  }
}

TEST(HadamardFamilies, RowsOfRegularMatricesHaveOneSum) {
  for (int64_t n = 4; n <= 65536; n *= 4) {
    const Rotation rotation = Regular(n).Scale(1);
    Memory memory = Fill(rotation, 66);
    for (int64_t i = 0; i < n; ++i) StoreElement(SYL_F32, memory.x.data(), i, 1);
    const auto sum = static_cast<float>(std::sqrt(static_cast<double>(n)));
    EXPECT_EQ(LoadY<float>(rotation, Rotate(rotation, memory), 0), std::vector<float>(static_cast<size_t>(n), sum))
        << n;
  }
}

// hadamard.h's bound for bases, whose sums are longer than a butterfly network's.
TEST(HadamardFamilies, ErrorOfBasesIsBounded) {
  for (const Values values : {Values::kNormal, Values::kOutliers, Values::kPositive}) {
    for (const int64_t butterflies : {1, 64}) {
      for (Rotation& rotation : Bases(butterflies)) {
        const Memory memory = Fill(rotation, 67, values);
        const std::vector<long double> x = LoadX<long double>(rotation, memory, 0), y = Transform(rotation, 0, x);
        const std::vector<float> got = LoadY<float>(rotation, Rotate(rotation, memory), 0);
        double sum = 0;
        for (const long double value : x) sum += static_cast<double>(std::fabs(value));
        const double bound = std::expm1(rotation.ErrorSteps() * std::log1p(0x1p-24)) * rotation.ScaleInUse() * sum;
        for (size_t i = 0; i < got.size(); ++i) {
          ASSERT_LE(static_cast<double>(std::fabs(got[i] - y[i])), bound) << rotation.Name() << " at " << i;
        }
      }
    }
  }
}

}  // namespace
