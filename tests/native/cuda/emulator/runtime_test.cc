// The runtime's calls: what they answer, and the limits of a launch.
#include <cstring>
#include <thread>

#include "tests/native/cuda/emulator/emulator_testing.h"

namespace {

using namespace sylvester_test;

class Runtime : public EmulatorTest {};

__global__ void OneKernel(int* y) { y[blockIdx.x] = 1; }
__global__ void NothingKernel() {}
__global__ void OtherKernel() {}
__global__ void BlockKernel(dim3* y) {
  *y = blockIdx.x == gridDim.x - 1 ? dim3(blockIdx.x, blockIdx.y, blockIdx.z) : *y;
}

TEST_F(Runtime, LaunchLimits) {
  const auto launch = [](dim3 grid, dim3 block) { return Launch(NothingKernel, grid, block, 0, nullptr); };
  for (const dim3 block : {dim3(1024), dim3(1, 1024), dim3(16, 1, 64), dim3(2, 8, 64), dim3(32, 32)}) {
    EXPECT_EQ(launch(1, block), cudaSuccess);
  }
  for (const dim3 block : {dim3(1025), dim3(1, 1025), dim3(1, 1, 65), dim3(33, 32), dim3(0), dim3(1, 0), dim3(1, 1, 0),
                           dim3(65536, 65536, 1), dim3(0xffffffff, 2, 1)}) {
    EXPECT_EQ(launch(1, block), cudaErrorInvalidConfiguration) << block.x << ' ' << block.y << ' ' << block.z;
  }
  EXPECT_EQ(launch(dim3(1, 65535), 1), cudaSuccess);
  EXPECT_EQ(launch(dim3(1, 1, 65535), 1), cudaSuccess);
  for (const dim3 grid : {dim3(0), dim3(1, 0), dim3(1, 1, 0), dim3(0x80000000u), dim3(1, 65536), dim3(1, 1, 65536)}) {
    EXPECT_EQ(launch(grid, 1), cudaErrorInvalidConfiguration) << grid.x << ' ' << grid.y << ' ' << grid.z;
  }
  EXPECT_EQ(FaultText(), "") << "a refused launch is no fault";
}

TEST_F(Runtime, SharedMemoryLimits) {
  const auto launch = [](void (*kernel)(), size_t bytes) { return Launch(kernel, 1, 1, bytes, nullptr); };
  EXPECT_EQ(launch(NothingKernel, 48 << 10), cudaSuccess);
  EXPECT_EQ(launch(NothingKernel, (48 << 10) + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFuncSetAttribute(NothingKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (227 << 10) + 1),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaFuncSetAttribute(NothingKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, -1),
            cudaErrorInvalidValue);
  EXPECT_EQ(launch(NothingKernel, (48 << 10) + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFuncSetAttribute(NothingKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 << 10), cudaSuccess);
  EXPECT_EQ(launch(NothingKernel, 227 << 10), cudaSuccess);
  EXPECT_EQ(launch(NothingKernel, (227 << 10) + 1), cudaErrorInvalidValue);
  EXPECT_EQ(launch(OtherKernel, (48 << 10) + 1), cudaErrorInvalidValue) << "the attribute is a kernel's own";
}

TEST_F(Runtime, LargeGrid) {
  const Array<dim3> y(1);
  EXPECT_EQ(Launch(BlockKernel, 100000, 1, 0, nullptr, y.get()), cudaSuccess);
  EXPECT_EQ(y.Read()[0].x, 99999u);
}

TEST_F(Runtime, BadLaunches) {
  void (*no_kernel)() = nullptr;
  EXPECT_EQ(Launch(no_kernel, 1, 1, 0, nullptr), cudaErrorInvalidDeviceFunction);
  cudaStream_t stream;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  EXPECT_EQ(Launch(NothingKernel, 1, 1, 0, stream), cudaSuccess);
  ASSERT_EQ(cudaStreamDestroy(stream), cudaSuccess);
  EXPECT_EQ(Launch(NothingKernel, 1, 1, 0, stream), cudaErrorInvalidResourceHandle);
}

TEST_F(Runtime, LastErrorIsOfTheThreadAndForgotten) {
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorInvalidDevice) << "success does not forget it";
  std::thread([] { EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess); }).join();
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_STREQ(cudaGetErrorName(cudaErrorInvalidDevice), "cudaErrorInvalidDevice");
  EXPECT_STREQ(cudaGetErrorString(cudaErrorInvalidDevice), "invalid device ordinal");
  EXPECT_STREQ(cudaGetErrorName(static_cast<cudaError_t>(12345)), "unrecognized error code");
}

__global__ void FaultKernel() { __trap(); }

TEST_F(Runtime, AfterAFaultEveryCallFails) {
  const Array<int> y(4);
  void* memory = nullptr;
  cudaStream_t stream;
  int value;
  EXPECT_EQ(Launch(FaultKernel, 1, 1, 0, nullptr), cudaErrorLaunchFailure);
  EXPECT_EQ(Launch(NothingKernel, 1, 1, 0, nullptr), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaMalloc(&memory, 16), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaMemset(y.get(), 0, 16), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaMemcpy(&value, y.get(), 4, cudaMemcpyDefault), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaStreamCreate(&stream), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaStreamSynchronize(nullptr), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure) << "not forgotten";
  std::thread([] { EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure); }).join();
  EXPECT_NE(std::string(cudaGetErrorString(cudaErrorLaunchFailure)).find("FaultKernel()"), std::string::npos);
  sylvester::emulator::ClearFault();
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_STREQ(cudaGetErrorString(cudaErrorLaunchFailure), "unspecified launch failure");
  EXPECT_EQ(Launch(OneKernel, 4, 1, 0, nullptr, y.get()), cudaSuccess);
  EXPECT_EQ(y.Read(), std::vector<int>(4, 1));
}

TEST_F(Runtime, Device) {
  int count = 0, value = 0;
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
  EXPECT_EQ(count, 1);
  cudaDeviceProp properties;
  ASSERT_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
  EXPECT_STREQ(properties.name, "emulator");
  EXPECT_EQ(properties.maxThreadsPerBlock, 1024);
  EXPECT_EQ(properties.sharedMemPerBlockOptin, 232448u);
  EXPECT_EQ(properties.warpSize, 32);
  EXPECT_EQ(cudaGetDeviceProperties(&properties, 1), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMajor, 0), cudaSuccess);
  EXPECT_EQ(value, 9);
  EXPECT_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0), cudaSuccess);
  EXPECT_EQ(value, 232448);
  EXPECT_EQ(cudaDeviceGetAttribute(&value, static_cast<cudaDeviceAttr>(-5), 0), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetDevice(&value), cudaSuccess);
  EXPECT_EQ(value, 0);
}

TEST_F(Runtime, Memory) {
  int* memory = nullptr;
  size_t free_before, free_after, total;
  ASSERT_EQ(cudaMemGetInfo(&free_before, &total), cudaSuccess);
  ASSERT_EQ(cudaMalloc(&memory, 1000), cudaSuccess);
  ASSERT_EQ(cudaMemGetInfo(&free_after, &total), cudaSuccess);
  EXPECT_EQ(free_before - free_after, 1000u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % 256, 0u);
  std::vector<int> host(250, 7), back(250);
  const auto copy = [](void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  };
  EXPECT_EQ(copy(memory, host.data(), 1000, cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_EQ(copy(memory, memory + 125, 500, cudaMemcpyDeviceToDevice), cudaSuccess);
  EXPECT_EQ(cudaMemsetAsync(memory, 0x11, 4, nullptr), cudaSuccess);
  EXPECT_EQ(copy(back.data(), memory, 1000, cudaMemcpyDefault), cudaSuccess);
  host[0] = 0x11111111;
  EXPECT_EQ(back, host);
  // Too long, the wrong way, from nowhere.
  EXPECT_EQ(copy(memory, host.data(), 1001, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(memory + 1, host.data(), 997, cudaMemcpyDefault), cudaErrorInvalidValue);
  EXPECT_EQ(copy(memory, host.data(), 4, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(copy(memory, nullptr, 4, cudaMemcpyDefault), cudaErrorInvalidValue);
  EXPECT_EQ(copy(memory, host.data(), 4, static_cast<cudaMemcpyKind>(9)), cudaErrorInvalidMemcpyDirection);
  EXPECT_EQ(cudaMemsetAsync(memory, 0, 1001, nullptr), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(host.data(), 0, 4, nullptr), cudaErrorInvalidValue);
  cudaPointerAttributes attributes;
  EXPECT_EQ(cudaPointerGetAttributes(&attributes, memory + 249), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeDevice);
  EXPECT_EQ(cudaPointerGetAttributes(&attributes, memory + 250), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
  EXPECT_EQ(cudaFree(memory + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
  EXPECT_EQ(cudaFree(memory), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(nullptr), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&memory, size_t{1} << 60), cudaErrorMemoryAllocation);
  EXPECT_EQ(memory, nullptr);
  EXPECT_EQ(cudaMalloc(&memory, 0), cudaSuccess);
  EXPECT_EQ(memory, nullptr);
}

TEST_F(Runtime, StreamsAndEvents) {
  cudaStream_t stream;
  cudaEvent_t start, end, untimed;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&start), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&end), cudaSuccess);
  ASSERT_EQ(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming), cudaSuccess);
  float milliseconds = -1;
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, end), cudaErrorInvalidResourceHandle) << "not recorded";
  EXPECT_EQ(cudaEventRecord(start, stream), cudaSuccess);
  EXPECT_EQ(cudaStreamWaitEvent(stream, start), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(end, nullptr), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(untimed, stream), cudaSuccess);
  EXPECT_EQ(cudaEventSynchronize(end), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(end), cudaSuccess);
  EXPECT_EQ(cudaStreamQuery(stream), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, end), cudaSuccess);
  EXPECT_GE(milliseconds, 0);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, untimed), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventDestroy(end), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(end), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventRecord(end, stream), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(stream), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaStreamDestroy(nullptr), cudaErrorInvalidResourceHandle);
}

// Launches from several threads of the host take turns.
__global__ void SlowSumKernel(int* y) {
  const SharedPtr<int> s = DynamicShared<int>(0, 64);
  __shared__ int total;
  if (threadIdx.x == 0) total = 0;
  s[threadIdx.x] = y[threadIdx.x];
  __syncthreads();
  atomicAdd(&total, s[63 - threadIdx.x]);
  __syncthreads();
  y[threadIdx.x] = total;
}

TEST_F(Runtime, LaunchesFromSeveralThreads) {
  std::vector<std::thread> threads;
  for (int t = 1; t <= 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 50; ++i) {
        const Array<int> y(std::vector<int>(64, t));
        ASSERT_EQ(Launch(SlowSumKernel, 1, 64, 256, nullptr, y.get()), cudaSuccess) << FaultText();
        ASSERT_EQ(y.Read(), std::vector<int>(64, 64 * t));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
