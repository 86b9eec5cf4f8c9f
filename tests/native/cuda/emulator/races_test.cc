// Unordered accesses to shared memory. Broken kernels must be found in every order, and their right twins must not.
#include "tests/native/cuda/emulator/emulator_testing.h"

namespace {

using namespace sylvester_test;

class RacesTest : public EmulatorTest {
 protected:
  template <typename F>
  static void ExpectRace(F launch, std::initializer_list<const char*> pieces) {
    ExpectAlwaysFaults(launch, cudaErrorLaunchFailure, pieces, true);
  }
};

// Lets a read that comes too early be a race with the later write and no read of nothing.
__device__ void Fill(SharedPtr<unsigned> s, unsigned size) {
  for (unsigned i = threadIdx.x; i < size; i += blockDim.x) s[i] = 0;
  __syncthreads();
}

template <bool kBarrier>
__global__ void ReverseKernel(const int* x, int* y) {
  const SharedPtr<int> s = DynamicShared<int>(0, blockDim.x);
  s[threadIdx.x] = x[threadIdx.x];
  if (kBarrier) __syncthreads();
  y[threadIdx.x] = s[blockDim.x - 1 - threadIdx.x];
}

TEST_F(RacesTest, MissingBarrier) {
  std::vector<int> values(128);
  for (int i = 0; i < 128; ++i) values[static_cast<size_t>(i)] = i;
  const Array<int> x(values), y(128);
  const std::vector<int> want(values.rbegin(), values.rend());
  for (const Options& options : AllOptions()) {
    SetOptions(options);
    ASSERT_EQ(Launch(ReverseKernel<true>, 1, 128, 512, nullptr, x.get(), y.get()), cudaSuccess) << FaultText();
    ASSERT_EQ(y.Read(), want) << Describe(options);
    if (options.races) continue;
    // Without the check at least the result is wrong in every order: the other thread's element is not there yet.
    ASSERT_EQ(Launch(ReverseKernel<false>, 1, 128, 512, nullptr, x.get(), y.get()), cudaSuccess) << FaultText();
    ASSERT_NE(y.Read(), want) << Describe(options);
  }
}

// A thread whose partner has not come reads what nobody has written.
TEST_F(RacesTest, ReadBeforeTheWrite) {
  const Array<int> x(128), y(128);
  ExpectRace([&] { return Launch(ReverseKernel<false>, 1, 128, 512, nullptr, x.get(), y.get()); },
             {"ReverseKernel<false>", "reads bytes ", "of shared memory, which no thread of the block has written"});
}

// Writer and reader are two barriers apart, or in the same round.
template <int kBarriers>
__global__ void ReadAndWriteKernel(unsigned* y) {
  const SharedPtr<unsigned> s = DynamicShared<unsigned>(0, blockDim.x);
  s[threadIdx.x] = threadIdx.x;
  __syncthreads();
  const unsigned next = s[(threadIdx.x + 40) % blockDim.x];
  if (kBarriers > 1) __syncthreads();
  s[threadIdx.x] = next;
  y[threadIdx.x] = next;
}

TEST_F(RacesTest, WriteAfterRead) {
  const Array<unsigned> y(96);
  ExpectRace([&] { return Launch(ReadAndWriteKernel<1>, 1, 96, 384, nullptr, y.get()); }, {"race: ", "thread ("});
  ExpectAlwaysRuns([&] { return Launch(ReadAndWriteKernel<2>, 1, 96, 384, nullptr, y.get()); });
}

template <bool kAtomic>
__global__ void TwoWritersKernel() {
  const SharedPtr<int> s = DynamicShared<int>(0, 64);
  if (threadIdx.x >= 4) return;
  if (kAtomic) {
    atomicExch(s + static_cast<int>(threadIdx.x) / 2, 1);
  } else {
    s[threadIdx.x / 2] = 1;
  }
}

TEST_F(RacesTest, EqualValuesRaceUnlessAtomic) {
  ExpectRace([] { return Launch(TwoWritersKernel<false>, 1, 64, 256, nullptr); },
             {"race: writes bytes ", "has written with no barrier between"});
}

enum Plain { kAfterBarrier, kReads, kWrites };

template <Plain kPlain>
__global__ void AtomicAndPlainKernel(unsigned other, unsigned* y) {
  const SharedPtr<unsigned> s = DynamicShared<unsigned>(0, 1);
  Fill(s, 1);
  if (threadIdx.x != other) atomicAdd(s, 1);
  if (kPlain == kAfterBarrier) __syncthreads();
  if (threadIdx.x != other) return;
  if (kPlain == kWrites) {
    s[0] = 5;
  } else {
    y[0] = s[0];
  }
}

TEST_F(RacesTest, AtomicsRaceWithOthersOnly) {
  const Array<unsigned> y(1);
  for (const unsigned other : {0u, 20u, 63u}) {
    ExpectRace([&] { return Launch(AtomicAndPlainKernel<kReads>, 1, 64, 4, nullptr, other, y.get()); }, {"race: "});
    ExpectRace([&] { return Launch(AtomicAndPlainKernel<kWrites>, 1, 64, 4, nullptr, other, y.get()); }, {"race: "});
    ExpectAlwaysRuns([&] { return Launch(AtomicAndPlainKernel<kAfterBarrier>, 1, 64, 4, nullptr, other, y.get()); });
    EXPECT_EQ(y.Read()[0], 63u);
  }
}

// Bytes are told apart, and an access of several bytes counts for each.
template <int kShift>
__global__ void BytesKernel() {
  const SharedPtr<unsigned char> s = DynamicShared<unsigned char>(0, 80);
  if (threadIdx.x == 0) {
    SharedCast<unsigned>(s)[1] = 0;
  } else {
    s[3 + threadIdx.x * 4 + kShift] = 1;
  }
}

TEST_F(RacesTest, BytesBesideEachOther) {
  ExpectAlwaysRuns([] { return Launch(BytesKernel<1>, 1, 16, 80, nullptr); });
  ExpectRace([] { return Launch(BytesKernel<0>, 1, 16, 80, nullptr); }, {"race: writes bytes ", "..7"});
}

// ---- Within a warp --------------------------------------------------------------------------------------------------

enum Between { kNothing, kSyncWarp, kShuffle, kSyncPairs };

template <Between kBetween>
__global__ void NeighbourKernel(unsigned* y) {
  const SharedPtr<unsigned> s = DynamicShared<unsigned>(0, 64);
  Fill(s, 64);
  const unsigned lane = threadIdx.x % 32;
  s[threadIdx.x] = lane;
  if (kBetween == kSyncWarp) __syncwarp();
  if (kBetween == kShuffle) __shfl_sync(kFullMask, lane, 0);
  // Pairs of lanes (0 1)(2 3)...: an odd lane's neighbour is in the next.
  if (kBetween == kSyncPairs) __syncwarp(3u << (lane & ~1u));
  const unsigned next = s[threadIdx.x / 32 * 32 + (lane + 1) % 32];
  if (lane % 2 == 1) y[threadIdx.x] = next;
}

TEST_F(RacesTest, WarpsNeedTheirOwnBarrier) {
  const Array<unsigned> y(64);
  ExpectRace([&] { return Launch(NeighbourKernel<kNothing>, 1, 64, 256, nullptr, y.get()); }, {"race: "});
  ExpectAlwaysRuns([&] { return Launch(NeighbourKernel<kSyncWarp>, 1, 64, 256, nullptr, y.get()); });
}

TEST_F(RacesTest, ShufflesOrderNothing) {
  const Array<unsigned> y(64);
  ExpectRace([&] { return Launch(NeighbourKernel<kShuffle>, 1, 64, 256, nullptr, y.get()); },
             {"race: ", "with no barrier between"});
}

TEST_F(RacesTest, PartialWarpBarriersOrderTheirLanes) {
  const Array<unsigned> y(64);
  ExpectRace([&] { return Launch(NeighbourKernel<kSyncPairs>, 1, 64, 256, nullptr, y.get()); }, {"race: "});
}

// Order is passed on: lane 0 to 1, 1 to 2, ... 14 to 15.
template <bool kChain>
__global__ void ChainKernel(unsigned* y) {
  const SharedPtr<unsigned> s = DynamicShared<unsigned>(0, 1);
  Fill(s, 1);
  const unsigned lane = threadIdx.x;
  if (lane == 0) s[0] = 5;
  for (unsigned i = 0; i < 15; ++i) {
    if (!kChain && i == 7) continue;
    if (lane == i || lane == i + 1) __syncwarp(3u << i);
  }
  if (lane == 15) y[0] = s[0];
}

TEST_F(RacesTest, OrderIsPassedOnFromLaneToLane) {
  const Array<unsigned> y(1);
  ExpectAlwaysRuns([&] { return Launch(ChainKernel<true>, 1, 32, 4, nullptr, y.get()); });
  EXPECT_EQ(y.Read()[0], 5u);
  ExpectRace([&] { return Launch(ChainKernel<false>, 1, 32, 4, nullptr, y.get()); }, {"race: "});
}

// A warp's barrier says nothing about another warp.
__global__ void OtherWarpKernel(unsigned* y) {
  const SharedPtr<unsigned> s = DynamicShared<unsigned>(0, 64);
  Fill(s, 64);
  s[threadIdx.x] = 1;
  __syncwarp();
  y[threadIdx.x] = s[threadIdx.x ^ 32];
}

TEST_F(RacesTest, WarpBarrierBetweenWarps) {
  const Array<unsigned> y(64);
  ExpectRace([&] { return Launch(OtherWarpKernel, 1, 64, 256, nullptr, y.get()); }, {"race: "});
}

// Many readers of several warps, then one writer who is one of the readers.
template <bool kBarrier>
__global__ void ReadersKernel(int* y) {
  const SharedPtr<int> s = DynamicShared<int>(0, 1);
  if (threadIdx.x == 0) s[0] = 1;
  __syncthreads();
  y[threadIdx.x] = s[0];
  if (kBarrier) __syncthreads();
  if (threadIdx.x == 70) s[0] = 2;
}

TEST_F(RacesTest, OneWriterAmongManyReaders) {
  const Array<int> y(96);
  ExpectRace([&] { return Launch(ReadersKernel<false>, 1, 96, 4, nullptr, y.get()); }, {"race: ", "bytes 0..3"});
  ExpectAlwaysRuns([&] { return Launch(ReadersKernel<true>, 1, 96, 4, nullptr, y.get()); });
}

// The writer is ordered after its own warp's readers, but not after the one of the other warp.
__global__ void ReaderOfOtherWarpKernel(unsigned* y) {
  const SharedPtr<unsigned> s = DynamicShared<unsigned>(0, 1);
  Fill(s, 1);
  if (threadIdx.x <= 32) y[threadIdx.x] = s[0];
  __syncwarp();
  if (threadIdx.x == 0) s[0] = 2;
}

TEST_F(RacesTest, ReaderOfAnotherWarp) {
  const Array<unsigned> y(64);
  ExpectRace([&] { return Launch(ReaderOfOtherWarpKernel, 1, 64, 4, nullptr, y.get()); },
             {"race: ", "thread (32,0,0)"});
}

// ---- Static memory --------------------------------------------------------------------------------------------------

template <bool kBarrier>
__global__ void StaticKernel(unsigned* y) {
  __shared__ unsigned memory[64];
  const SharedPtr<unsigned> s = StaticShared(memory);
  Fill(s, 64);
  s[threadIdx.x] = threadIdx.x;
  if (kBarrier) __syncthreads();
  y[threadIdx.x] = s[63 - threadIdx.x];
}

TEST_F(RacesTest, StaticSharedMemory) {
  const Array<unsigned> y(64);
  ExpectRace([&] { return Launch(StaticKernel<false>, 2, 64, 0, nullptr, y.get()); },
             {"race: ", "4 bytes of static shared memory"});
  ExpectAlwaysRuns([&] { return Launch(StaticKernel<true>, 2, 64, 0, nullptr, y.get()); });
}

// What a block has written is not there for the next.
__global__ void NextBlockKernel(int* y) {
  const SharedPtr<int> s = DynamicShared<int>(0, 1);
  if (blockIdx.x == 0) s[0] = 1;
  y[blockIdx.x] = s[0];
}

TEST_F(RacesTest, SharedMemoryOfTheBlockBefore) {
  const Array<int> y(2);
  ExpectRace([&] { return Launch(NextBlockKernel, 2, 1, 4, nullptr, y.get()); },
             {"block (1,0,0)", "reads bytes 0..3", "no thread of the block has written"});
}

}  // namespace
