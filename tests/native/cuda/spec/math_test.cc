// Random numbers and functions of the kernels, bit for bit.
#include "native/cuda/spec/math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "native/common/philox.h"
#include "native/cpu/logits/draw.h"
#include "native/cpu/spec/remainder.h"
#include "tests/native/cuda/emulator/emulator_testing.h"

namespace {

using namespace sylvester_test;

__global__ void PhiloxKernel(const uint32_t* counters, const uint32_t* keys, uint32_t* words) {
  sylvester::Philox4x32(counters + 4 * threadIdx.x, keys + 2 * threadIdx.x, words + 4 * threadIdx.x);
}

// The known answers of its authors (Random123, kat_vectors).
TEST(CudaSpecMath, PhiloxKnownAnswers) {
  const Array<uint32_t> counters(
      {0, 0, 0, 0, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344});
  const Array<uint32_t> keys({0, 0, 0xffffffff, 0xffffffff, 0xa4093822, 0x299f31d0});
  const Array<uint32_t> words(size_t{12});
  ASSERT_EQ(Launch(PhiloxKernel, dim3(1), dim3(3), 0, nullptr, counters.get(), keys.get(), words.get()), cudaSuccess);
  EXPECT_EQ(words.Read(),
            std::vector<uint32_t>({0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8, 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
                                   0x6d5451fd, 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(CudaSpecMath, ExponentialsHaveTheProcessorsBits) {
  std::vector<float> x = {0, -0.0f, -std::numeric_limits<float>::infinity(), std::nanf(""), -88, -87.68f, -1e30f};
  for (uint32_t bits = 0x80000000; bits < 0xc2c00000; bits += 9973) x.push_back(__uint_as_float(bits));
  std::vector<float> expected(x.size());
  sylvester::Probabilities({x.data(), {0, 1}, 1}, static_cast<int64_t>(x.size()), expected.data());
  int different = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const float got = sylvester::cuda::SpecExpF32(x[i]);
    different += std::memcmp(&got, &expected[i], sizeof(got)) != 0;
  }
  EXPECT_EQ(different, 0) << "of " << x.size();
}

// Two tokens, the second of which is given what makes their values equal: the first wins, and the second wins as soon
// as its value is one float larger. So the processor's noise has the same bits.
TEST(CudaSpecMath, NoiseHasTheProcessorsBits) {
  int ties = 0;
  for (uint32_t seed = 1; seed <= 20000; ++seed) {
    const uint32_t counter[4] = {0, 0, seed, 0}, key[2] = {seed, 7};
    uint32_t words[4];
    sylvester::Philox4x32(counter, key, words);
    const float first = sylvester::cuda::SpecGumbel(words[0]), second = sylvester::cuda::SpecGumbel(words[1]);
    float z[2] = {0, first - second};
    const int32_t ids[2] = {0, 1};
    if (z[1] + second != first) continue;
    ++ties;
    const sylvester::NoiseKey noise{uint64_t{7} << 32 | seed, seed, 0};
    ASSERT_EQ(sylvester::DrawFromList(noise, z, ids, 2), 0) << seed;
    while (z[1] + second == first) z[1] = std::nextafter(z[1], std::numeric_limits<float>::infinity());
    ASSERT_EQ(sylvester::DrawFromList(noise, z, ids, 2), 1) << seed;
  }
  EXPECT_GT(ties, 10000);
}

}  // namespace
