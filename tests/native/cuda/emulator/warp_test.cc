// What lanes do together, against plain loops over the lanes.
#include <cstring>
#include <random>

#include "tests/native/cuda/emulator/emulator_testing.h"

namespace {

using namespace sylvester_test;

enum Mode { kIndexed, kUp, kDown, kXor };

template <typename T>
__global__ void ShuffleKernel(Mode mode, int width, const T* x, const int* operands, T* y) {
  const unsigned i = threadIdx.x;
  switch (mode) {
    case kIndexed: y[i] = __shfl_sync(kFullMask, x[i], operands[i], width); break;
    case kUp: y[i] = __shfl_up_sync(kFullMask, x[i], static_cast<unsigned>(operands[i]), width); break;
    case kDown: y[i] = __shfl_down_sync(kFullMask, x[i], static_cast<unsigned>(operands[i]), width); break;
    case kXor: y[i] = __shfl_xor_sync(kFullMask, x[i], operands[i], width);
  }
}

// The lane that the programming guide says is read; segments of `width` lanes.
int Source(Mode mode, int lane, int operand, int width) {
  const int segment = lane / width, place = lane % width;
  int source = lane;
  if (mode == kIndexed) source = segment * width + ((operand % width) + width) % width;
  if (mode == kUp && place >= operand) source = lane - operand;
  if (mode == kDown && place + operand < width) source = lane + operand;
  if (mode == kXor && (lane ^ operand) / width <= segment) source = lane ^ operand;
  return source;
}

template <typename T>
T Value(uint64_t bits) {
  if constexpr (sizeof(T) < sizeof(float)) return T(static_cast<float>(bits % 1000));
  if constexpr (std::is_same_v<T, half2> || std::is_same_v<T, nv_bfloat162>) {
    return {static_cast<float>(bits % 1000), static_cast<float>(bits >> 32 & 0xff)};
  } else {
    return static_cast<T>(bits);
  }
}

template <typename T>
class Shuffle : public EmulatorTest {};
using Shuffled = ::testing::Types<int, unsigned, long, unsigned long, long long, unsigned long long, float, double,
                                  half, half2, nv_bfloat16, nv_bfloat162>;
TYPED_TEST_SUITE(Shuffle, Shuffled);

TYPED_TEST(Shuffle, ReadsTheLaneOfTheGuide) {
  using T = TypeParam;
  constexpr int kThreads = 64;
  std::mt19937_64 random(11);
  std::vector<T> values(kThreads);
  for (T& value : values) value = Value<T>(random());
  const Array<T> x(values);
  for (const Mode mode : {kIndexed, kUp, kDown, kXor}) {
    for (int width = 1; width <= 32; width *= 2) {
      for (int operand = 0; operand < 32; ++operand) {
        std::vector<int> operands(kThreads, operand);
        if (mode == kIndexed && operand % 2 == 1) {
          for (int& o : operands) o = static_cast<int>(random() % 128) - 32;
        }
        const Array<int> device_operands(operands);
        const Array<T> y(kThreads);
        ASSERT_EQ(
            Launch(ShuffleKernel<T>, 1, kThreads, 0, nullptr, mode, width, x.get(), device_operands.get(), y.get()),
            cudaSuccess)
            << FaultText();
        const std::vector<T> got = y.Read();
        for (int i = 0; i < kThreads; ++i) {
          const auto at = static_cast<size_t>(i);
          const T want = values[static_cast<size_t>(i / 32 * 32 + Source(mode, i % 32, operands[at], width))];
          ASSERT_EQ(std::memcmp(&got[at], &want, sizeof(T)), 0)
              << "mode " << mode << ", width " << width << ", operand " << operands[at] << ", thread " << i;
        }
      }
    }
  }
}

class Warp : public EmulatorTest {};

struct Lanes {
  unsigned ballot, match, match_all_mask, add, min, max, ands, ors, xors;
  int all, any, match_all, add_signed, min_signed, max_signed;
};

// Each lane takes part with the lanes of its own mask.
__global__ void CollectiveKernel(const unsigned* masks, const unsigned* x, Lanes* y) {
  const unsigned i = threadIdx.x, mask = masks[i], value = x[i];
  const int number = static_cast<int>(value);
  Lanes& lanes = y[i];
  lanes.ballot = __ballot_sync(mask, value & 1);
  lanes.all = __all_sync(mask, value & 6);
  lanes.any = __any_sync(mask, value == 5);
  lanes.match = __match_any_sync(mask, value);
  lanes.match_all_mask = __match_all_sync(mask, value / 4, &lanes.match_all);
  lanes.add = __reduce_add_sync(mask, value * 0x10000001u);
  lanes.add_signed = __reduce_add_sync(mask, -number);
  lanes.min = __reduce_min_sync(mask, value ^ 0x80000000u);
  lanes.min_signed = __reduce_min_sync(mask, number - 4);
  lanes.max = __reduce_max_sync(mask, value ^ 0x80000000u);
  lanes.max_signed = __reduce_max_sync(mask, number - 6);
  lanes.ands = __reduce_and_sync(mask, value | 0x100);
  lanes.ors = __reduce_or_sync(mask, 1u << value);
  lanes.xors = __reduce_xor_sync(mask, value << 3);
}

// The lanes fall into up to four groups, whose masks hold each other's lanes apart.
TEST_F(Warp, VotesMatchesAndReductions) {
  constexpr int kThreads = 96;
  std::mt19937 random(5);
  for (int round = 0; round < 40; ++round) {
    std::vector<unsigned> groups(kThreads), masks(kThreads), values(kThreads);
    const unsigned range = round % 3 == 0 ? 2 : 8, most_groups = 1 + static_cast<unsigned>(round) % 4;
    for (size_t i = 0; i < kThreads; ++i) {
      groups[i] = random() % most_groups;
      values[i] = random() % range;
    }
    for (size_t i = 0; i < kThreads; ++i) {
      for (size_t j = i / 32 * 32; j < i / 32 * 32 + 32; ++j) masks[i] |= unsigned{groups[i] == groups[j]} << (j % 32);
    }
    const Array<unsigned> device_masks(masks), x(values);
    const Array<Lanes> y(kThreads);
    for (const Options& options : AllOptions()) {
      SetOptions(options);
      ASSERT_EQ(Launch(CollectiveKernel, 1, kThreads, 0, nullptr, device_masks.get(), x.get(), y.get()), cudaSuccess)
          << FaultText();
      const std::vector<Lanes> got = y.Read();
      for (size_t i = 0; i < kThreads; ++i) {
        Lanes want = {0, 0, 0, 0, ~0u, 0, ~0u, 0, 0, 1, 0, 1, 0, 1 << 30, -(1 << 30)};
        for (size_t j = i / 32 * 32; j < i / 32 * 32 + 32; ++j) {
          if (groups[j] != groups[i]) continue;
          const unsigned v = values[j], bit = 1u << (j % 32);
          const int n = static_cast<int>(v);
          if (v % 2 == 1) want.ballot |= bit;
          if ((v & 6) == 0) want.all = 0;
          if (v == 5) want.any = 1;
          if (v == values[i]) want.match |= bit;
          if (v / 4 != values[i] / 4) want.match_all = 0;
          want.match_all_mask |= bit;
          want.add += v * 0x10000001u;
          want.add_signed -= n;
          want.min = std::min(want.min, v ^ 0x80000000u);
          want.min_signed = std::min(want.min_signed, n - 4);
          want.max = std::max(want.max, v ^ 0x80000000u);
          want.max_signed = std::max(want.max_signed, n - 6);
          want.ands &= v | 0x100;
          want.ors |= 1u << v;
          want.xors ^= v << 3;
        }
        if (want.match_all == 0) want.match_all_mask = 0;
        ASSERT_EQ(std::memcmp(&got[i], &want, sizeof(want)), 0)
            << Describe(options) << ", round " << round << ", thread " << i;
      }
    }
  }
}

// Half a warp shuffles three times while the other half shuffles once and leaves.
__global__ void DivergedKernel(const int* x, int* y) {
  const unsigned i = threadIdx.x;
  if (i < 16) {
    int v = x[i];
    for (int d = 1; d <= 4; d *= 2) v += __shfl_xor_sync(0x0000ffffu, v, d);
    y[i] = v;
  } else {
    y[i] = __shfl_down_sync(0xffff0000u, x[i], 1, 16);
  }
}

TEST_F(Warp, HalvesGoTheirOwnWays) {
  std::vector<int> values(32), want(32);
  for (int i = 0; i < 32; ++i) values[static_cast<size_t>(i)] = i * i;
  for (size_t i = 0; i < 32; ++i) {
    if (i < 16) {
      for (size_t j = 0; j < 8; ++j) want[i] += values[i / 8 * 8 + j];
    } else {
      want[i] = values[i == 31 ? 31 : i + 1];
    }
  }
  const Array<int> x(values), y(32);
  ExpectAlwaysRuns([&] { return Launch(DivergedKernel, 1, 32, 0, nullptr, x.get(), y.get()); });
  EXPECT_EQ(y.Read(), want);
}

// The same shuffle from two places of the source, which PTX allows.
__global__ void TwoPlacesKernel(const int* x, int* y) {
  const unsigned i = threadIdx.x;
  if (i % 2 == 0) {
    y[i] = __shfl_xor_sync(kFullMask, x[i], 1);
  } else {
    y[i] = __shfl_xor_sync(kFullMask, -x[i], 1);
  }
}

TEST_F(Warp, OneShuffleFromTwoPlaces) {
  std::vector<int> values(32), want(32);
  for (int i = 0; i < 32; ++i) values[static_cast<size_t>(i)] = i + 1;
  for (size_t i = 0; i < 32; ++i) want[i] = i % 2 == 0 ? -values[i ^ 1] : values[i ^ 1];
  const Array<int> x(values), y(32);
  ExpectAlwaysRuns([&] { return Launch(TwoPlacesKernel, 1, 32, 0, nullptr, x.get(), y.get()); });
  EXPECT_EQ(y.Read(), want);
}

// A warp of 7 lanes, and a mask that the kernel asks for.
__global__ void ShortWarpKernel(unsigned* y) {
  const unsigned alone = __activemask();
  __syncwarp(alone);
  y[threadIdx.x] = __ballot_sync(0x7f, 1) * 1000 + static_cast<unsigned>(__popc(alone));
}

TEST_F(Warp, FewerThanThirtyTwoLanes) {
  const Array<unsigned> y(7);
  ExpectAlwaysRuns([&] { return Launch(ShortWarpKernel, 1, 7, 0, nullptr, y.get()); });
  EXPECT_EQ(y.Read(), std::vector<unsigned>(7, 127001));
}

}  // namespace
