// Broken kernels, each of which must be found in every order and named, beside right ones that must run. Races have a
// file of their own.
#include "tests/native/cuda/emulator/emulator_testing.h"

namespace {

using namespace sylvester_test;

class Faults : public EmulatorTest {};

// ---- Barriers -------------------------------------------------------------------------------------------------------

template <bool kDiverges>
__global__ void BarrierOfSomeKernel(int* y) {
  if (!kDiverges || threadIdx.x < 40) __syncthreads();
  y[threadIdx.x] = 1;
}

TEST_F(Faults, BarrierThatSomeThreadsPassBy) {
  const Array<int> y(64);
  ExpectAlwaysFaults([&] { return Launch(BarrierOfSomeKernel<true>, dim3(1, 2), 64, 0, nullptr, y.get()); },
                     cudaErrorLaunchFailure,
                     {"BarrierOfSomeKernel<true>", "block (0,",
                      "in __syncthreads at faults_test.cc:", "waits for thread (40,0,0), which is out of the kernel"});
  ExpectAlwaysRuns([&] { return Launch(BarrierOfSomeKernel<false>, dim3(1, 2), 64, 0, nullptr, y.get()); });
}

__global__ void BarrierInBothBranchesKernel(int* y) {
  if (threadIdx.x % 2 == 0) {
    y[threadIdx.x] = 1;
    __syncthreads();
  } else {
    __syncthreads();
  }
}

TEST_F(Faults, BarrierInBothBranches) {
  const Array<int> y(64);
  ExpectAlwaysFaults([&] { return Launch(BarrierInBothBranchesKernel, 1, 64, 0, nullptr, y.get()); },
                     cudaErrorLaunchFailure, {"BarrierInBothBranchesKernel", "waits at another barrier"});
}

__global__ void BarriersOfTwoKindsKernel(int* y) {
  // clang-format off
  y[threadIdx.x] = threadIdx.x == 5 ? __syncthreads_or(1) : __syncthreads_and(1);
  // clang-format on
}

TEST_F(Faults, BarriersOfTwoKinds) {
  const Array<int> y(64);
  ExpectAlwaysFaults([&] { return Launch(BarriersOfTwoKindsKernel, 1, 64, 0, nullptr, y.get()); },
                     cudaErrorLaunchFailure, {"waits at another barrier, in __syncthreads_"});
}

// A loop whose length depends on the thread.
template <bool kDiverges>
__global__ void BarriersInLoopKernel(int* y) {
  const unsigned rounds = kDiverges ? 1 + threadIdx.x % 3 : 3;
  for (unsigned i = 0; i < rounds; ++i) __syncthreads();
  y[threadIdx.x] = 1;
}

TEST_F(Faults, BarriersInALoopOfUnequalLengths) {
  const Array<int> y(64);
  ExpectAlwaysFaults([&] { return Launch(BarriersInLoopKernel<true>, 1, 64, 0, nullptr, y.get()); },
                     cudaErrorLaunchFailure, {"__syncthreads", "out of the kernel"});
  ExpectAlwaysRuns([&] { return Launch(BarriersInLoopKernel<false>, 1, 64, 0, nullptr, y.get()); });
}

// ---- Warps ----------------------------------------------------------------------------------------------------------

__global__ void NotInMaskKernel(int* y) { y[threadIdx.x] = __shfl_xor_sync(0x0000ffffu, 1, 1); }

TEST_F(Faults, CallerOutsideItsMask) {
  const Array<int> y(32);
  ExpectAlwaysFaults([&] { return Launch(NotInMaskKernel, 1, 32, 0, nullptr, y.get()); }, cudaErrorLaunchFailure,
                     {"in __shfl_xor_sync at faults_test.cc:", "0x0000ffff"});
}

template <int kDistance>
__global__ void ReadsOutsideMaskKernel(int* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_xor_sync(0x0000ffffu, 1, kDistance);
}

TEST_F(Faults, ShuffleFromALaneOutsideTheMask) {
  const Array<int> y(32);
  ExpectAlwaysFaults([&] { return Launch(ReadsOutsideMaskKernel<16>, 1, 32, 0, nullptr, y.get()); },
                     cudaErrorLaunchFailure, {"__shfl_xor_sync", "reads lane ", "not in the mask 0x0000ffff"});
  ExpectAlwaysRuns([&] { return Launch(ReadsOutsideMaskKernel<8>, 1, 32, 0, nullptr, y.get()); });
}

template <bool kEarly>
__global__ void ExitedLaneKernel(int* y) {
  if (kEarly && threadIdx.x == 20) return;
  y[threadIdx.x] = __shfl_down_sync(kFullMask, 1, 1);
}

TEST_F(Faults, MaskNamesALaneThatHasLeft) {
  const Array<int> y(32);
  ExpectAlwaysFaults([&] { return Launch(ExitedLaneKernel<true>, 1, 32, 0, nullptr, y.get()); }, cudaErrorLaunchFailure,
                     {"in __shfl_down_sync at", "waits for lane 20, thread (20,0,0), which is out of the kernel"});
  ExpectAlwaysRuns([&] { return Launch(ExitedLaneKernel<false>, 1, 32, 0, nullptr, y.get()); });
}

__global__ void AbsentLaneKernel(int* y) { y[threadIdx.x] = __any_sync(kFullMask, 1); }

TEST_F(Faults, MaskNamesALaneThatTheBlockHasNot) {
  const Array<int> y(48);
  ExpectAlwaysFaults([&] { return Launch(AbsentLaneKernel, 1, 16, 0, nullptr, y.get()); }, cudaErrorLaunchFailure,
                     {"__any_sync", "0xffffffff", "the lanes 0x0000ffff"});
  ExpectAlwaysFaults([&] { return Launch(AbsentLaneKernel, 1, 48, 0, nullptr, y.get()); }, cudaErrorLaunchFailure,
                     {"__any_sync", "the lanes 0x0000ffff"});
  ExpectAlwaysRuns([&] { return Launch(AbsentLaneKernel, 1, 32, 0, nullptr, y.get()); });
}

__global__ void TwoPrimitivesKernel(int* y) {
  if (threadIdx.x < 10) {
    y[threadIdx.x] = __shfl_sync(kFullMask, 1, 0);
  } else {
    __syncwarp();
  }
}

TEST_F(Faults, LanesWaitInDifferentPrimitives) {
  const Array<int> y(32);
  ExpectAlwaysFaults([&] { return Launch(TwoPrimitivesKernel, 1, 32, 0, nullptr, y.get()); }, cudaErrorLaunchFailure,
                     {"in __shfl_sync at", "waits for lane 10, thread (10,0,0), which is in __syncwarp at"});
}

__global__ void TwoMasksKernel(int* y) {
  const unsigned mask = threadIdx.x == 31 ? 0xf0000000u : kFullMask;
  y[threadIdx.x] = __any_sync(mask, 1);
}

TEST_F(Faults, LanesDisagreeAboutTheMask) {
  const Array<int> y(32);
  ExpectAlwaysFaults([&] { return Launch(TwoMasksKernel, 1, 32, 0, nullptr, y.get()); }, cudaErrorLaunchFailure,
                     {"in __any_sync", "waits for lane 31"});
}

// The second warp waits for the block while the first waits for lanes that wait for the block.
__global__ void DeadlockKernel(int* y) {
  if (threadIdx.x < 4) y[threadIdx.x] = __any_sync(kFullMask, 1);
  __syncthreads();
}

TEST_F(Faults, LanesAndBarrierWaitForEachOther) {
  const Array<int> y(64);
  ExpectAlwaysFaults([&] { return Launch(DeadlockKernel, 1, 64, 0, nullptr, y.get()); }, cudaErrorLaunchFailure,
                     {"in __any_sync", "waits for lane 4, thread (4,0,0), which is in __syncthreads"});
}

__global__ void WidthKernel(int width, int* y) { y[threadIdx.x] = __shfl_xor_sync(kFullMask, 1, 1, width); }

TEST_F(Faults, ShuffleSegmentsOfNoPowerOfTwo) {
  const Array<int> y(32);
  for (const int width : {0, -1, 12, 64}) {
    ExpectFault([&] { return Launch(WidthKernel, 1, 32, 0, nullptr, width, y.get()); }, cudaErrorLaunchFailure,
                {"segments of"});
  }
}

// ---- Shared memory --------------------------------------------------------------------------------------------------

__global__ void ElementKernel(bool write, int element, int* y) {
  DynamicShared<int>(0, 1)[0] = 0;
  const SharedPtr<int> s = DynamicShared<int>(16, 8);
  for (int i = 0; i < 8; ++i) s[i] = i;
  __syncwarp(__activemask());
  if (write) {
    s[element] = 3;
  } else {
    y[0] = s[element];
  }
}

TEST_F(Faults, SharedIndexOutOfBounds) {
  const Array<int> y(1);
  const auto launch = [&](bool write, int element) {
    return Launch(ElementKernel, 1, 1, 64, nullptr, write, element, y.get());
  };
  for (const Options& options : AllOptions()) {
    SetOptions(options);
    for (const int element : {-1, 8, 11, 100000, -100000}) {
      const std::string text = " element " + std::to_string(element) + " (of 4 bytes) of a shared array of 8";
      ExpectFault([&] { return launch(false, element); }, cudaErrorIllegalAddress,
                  {"ElementKernel", "thread (0,0,0), after __syncwarp at", ("reads" + text).c_str()});
      ExpectFault([&] { return launch(true, element); }, cudaErrorIllegalAddress, {("writes" + text).c_str()});
    }
    for (const int element : {0, 7}) {
      EXPECT_EQ(launch(false, element), cudaSuccess);
      EXPECT_EQ(launch(true, element), cudaSuccess);
    }
  }
}

__global__ void ViewKernel(int first, float* y) {
  const SharedPtr<float> s = DynamicShared<float>(0, 10);
  for (int i = 0; i < 10; ++i) s[i] = 0;
  const float4 v = SharedCast<float4>(s + first)[0];
  y[0] = v.x;
}

TEST_F(Faults, VectorViewsOfSharedMemory) {
  const Array<float> y(1);
  const auto launch = [&](int first) { return Launch(ViewKernel, 1, 1, 40, nullptr, first, y.get()); };
  EXPECT_EQ(launch(4), cudaSuccess);
  ExpectFault([&] { return launch(2); }, cudaErrorMisalignedAddress, {"byte 8", "no place for 16 bytes"});
  ExpectFault([&] { return launch(8); }, cudaErrorIllegalAddress, {"reads element 2 (of 16 bytes)"});
}

__global__ void ArrayKernel(size_t offset, size_t count) { DynamicShared<double>(offset, count); }

TEST_F(Faults, ArraysOutsideTheLaunchsSharedMemory) {
  const auto launch = [&](size_t offset, size_t count) {
    return Launch(ArrayKernel, 1, 1, 64, nullptr, offset, count);
  };
  EXPECT_EQ(launch(0, 8), cudaSuccess);
  EXPECT_EQ(launch(56, 1), cudaSuccess);
  EXPECT_EQ(launch(64, 0), cudaSuccess);
  ExpectFault([&] { return launch(0, 9); }, cudaErrorIllegalAddress, {"0..72 of the launch's 64 bytes"});
  ExpectFault([&] { return launch(72, 0); }, cudaErrorIllegalAddress, {"64 bytes"});
  ExpectFault([&] { return launch(12, 1); }, cudaErrorMisalignedAddress, {"byte 12", "alignment of 8"});
}

__global__ void StaleSharedKernel(unsigned* y) {
  const SharedPtr<unsigned> s = DynamicShared<unsigned>(0, 2);
  y[blockIdx.x] = s[0];
  s[0] = 7;
}

TEST_F(Faults, SharedMemoryOfABlockStartsAsNaN) {
  const Array<unsigned> y(3);
  ASSERT_EQ(Launch(StaleSharedKernel, 3, 1, 8, nullptr, y.get()), cudaSuccess);
  EXPECT_EQ(y.Read(), std::vector<unsigned>(3, 0xffffffff));
}

// ---- The rest -------------------------------------------------------------------------------------------------------

__global__ void TrapKernel() {
  if (blockIdx.x == 2 && threadIdx.x == 33) __trap();
}

TEST_F(Faults, Trap) {
  ExpectAlwaysFaults([] { return Launch(TrapKernel, 4, 64, 0, nullptr); }, cudaErrorLaunchFailure,
                     {"TrapKernel()", "block (2,0,0), thread (33,0,0)", "trap"});
}

__global__ void WriteKernel(char* x, ptrdiff_t at) { x[at] = 1; }

TEST_F(Faults, WritesBesideGlobalMemory) {
  const Array<char> x(100);
  EXPECT_EQ(Launch(WriteKernel, 1, 1, 0, nullptr, x.get(), 99), cudaSuccess);
#ifdef __SANITIZE_ADDRESS__
  for (const ptrdiff_t at : {-1, 100}) {
    EXPECT_DEATH(Launch(WriteKernel, 1, 1, 0, nullptr, x.get(), at), "AddressSanitizer.*heap-buffer-overflow");
  }
#else
  for (const ptrdiff_t at : {-1, -256, 100, 355}) {
    ExpectFault([&] { return Launch(WriteKernel, 1, 1, 0, nullptr, x.get(), at); }, cudaErrorIllegalAddress,
                {"WriteKernel", ("byte " + std::to_string(at) + " of an allocation of 100 bytes").c_str()});
  }
#endif
}

// The last thread to come wins.
__global__ void LastWinsKernel(unsigned* y) { y[0] = threadIdx.x; }

TEST_F(Faults, ResultThatDependsOnTheOrder) {
  std::vector<unsigned> results;
  for (const Options& options : AllOptions()) {
    SetOptions(options);
    const Array<unsigned> y(1);
    ASSERT_EQ(Launch(LastWinsKernel, 1, 256, 0, nullptr, y.get()), cudaSuccess);
    results.push_back(y.Read()[0]);
  }
  EXPECT_EQ(results[0], 255u);
  EXPECT_EQ(results[1], 0u);
  EXPECT_NE(results[2], results[3]);
}

}  // namespace
