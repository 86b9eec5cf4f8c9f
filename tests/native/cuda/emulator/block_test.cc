// Blocks: indices, barriers, shared memory, atomics, orders.
#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include "tests/native/cuda/emulator/emulator_testing.h"

namespace {

using namespace sylvester_test;

class BlockTest : public EmulatorTest {};

struct Place {
  uint3 thread, block;
  dim3 threads, blocks;
};

__global__ void PlacesKernel(Place* y) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  Place& place = y[block * blockDim.x * blockDim.y * blockDim.z + thread];
  __syncthreads();
  place = {threadIdx, blockIdx, blockDim, gridDim};
}

TEST_F(BlockTest, EveryThreadOfEveryBlockRunsOnce) {
  const dim3 grid(3, 2, 4), block(5, 7, 3);
  const Array<Place> y(24 * 105);
  ExpectAlwaysRuns([&] { return Launch(PlacesKernel, grid, block, 0, nullptr, y.get()); });
  size_t i = 0;
  const std::vector<Place> got = y.Read();
  for (unsigned b = 0; b < 24; ++b) {
    for (unsigned t = 0; t < 105; ++t, ++i) {
      const Place& place = got[i];
      ASSERT_EQ(place.thread.x, t % 5);
      ASSERT_EQ(place.thread.y, t / 5 % 7);
      ASSERT_EQ(place.thread.z, t / 35);
      ASSERT_EQ(place.block.x, b % 3);
      ASSERT_EQ(place.block.y, b / 3 % 2);
      ASSERT_EQ(place.block.z, b / 6);
      ASSERT_EQ(place.threads.y, 7u);
      ASSERT_EQ(place.blocks.z, 4u);
    }
  }
}

__global__ void VotesKernel(const int* x, int* y) {
  const int* row = x + blockIdx.x * blockDim.x;
  int* out = y + 3 * (blockIdx.x * blockDim.x + threadIdx.x);
  out[0] = __syncthreads_count(row[threadIdx.x]);
  out[1] = __syncthreads_and(row[threadIdx.x]);
  out[2] = __syncthreads_or(row[threadIdx.x]);
}

TEST_F(BlockTest, BarriersCountPredicates) {
  constexpr unsigned kThreads = 100;
  std::vector<int> values;
  for (unsigned truths : {0u, 1u, 50u, kThreads - 1, kThreads}) {
    for (unsigned t = 0; t < kThreads; ++t) values.push_back((t * 37) % kThreads < truths ? -2 : 0);
  }
  const Array<int> x(values), y(values.size() * 3);
  ExpectAlwaysRuns([&] { return Launch(VotesKernel, 5, kThreads, 0, nullptr, x.get(), y.get()); });
  const std::vector<int> got = y.Read();
  for (size_t i = 0; i < values.size(); ++i) {
    const auto row = values.begin() + static_cast<ptrdiff_t>(i / kThreads * kThreads);
    const auto truths = std::count(row, row + kThreads, -2);
    ASSERT_EQ(got[3 * i], truths);
    ASSERT_EQ(got[3 * i + 1], truths == kThreads);
    ASSERT_EQ(got[3 * i + 2], truths > 0);
  }
}

// A prefix sum in shared memory: two barriers a step, other threads' elements read.
template <typename T>
__global__ void __launch_bounds__(1024) PrefixSumKernel(const T* __restrict__ x, T* __restrict__ y, int n) {
  const SharedPtr<T> s = DynamicShared<T>(64, blockDim.x);
  const unsigned t = threadIdx.x;
  x += blockIdx.x * static_cast<unsigned>(n);
  y += blockIdx.x * static_cast<unsigned>(n);
  s[t] = t < static_cast<unsigned>(n) ? x[t] : T(0);
  __syncthreads();
#pragma unroll 4
  for (unsigned d = 1; d < blockDim.x; d *= 2) {
    T before = 0;
    if (t >= d) before = s[t - d];
    __syncthreads();
    s[t] += before;
    __syncthreads();
  }
  if (t < static_cast<unsigned>(n)) y[t] = s[t];
}

TEST_F(BlockTest, SharedMemoryAndBarriers) {
  for (const int n : {1, 31, 33, 500, 1024}) {
    std::vector<int> values(static_cast<size_t>(n) * 3), want(values.size());
    std::mt19937 random(3);
    for (int& value : values) value = static_cast<int>(random() % 1000);
    for (ptrdiff_t b = 0; b < 3; ++b) {
      std::partial_sum(values.begin() + b * n, values.begin() + (b + 1) * n, want.begin() + b * n);
    }
    const Array<int> x(values);
    for (const Options& options : AllOptions()) {
      SetOptions(options);
      const Array<int> y(values.size());
      const size_t shared = 64 + static_cast<size_t>(n) * sizeof(int);
      ASSERT_EQ(Launch(PrefixSumKernel<int>, 3, static_cast<unsigned>(n), shared, nullptr, x.get(), y.get(), n),
                cudaSuccess)
          << FaultText();
      ASSERT_EQ(y.Read(), want) << n << ", " << Describe(options);
    }
  }
}

// Pointer arithmetic, compound assignments, vector views, constness, static arrays.
__global__ void PointersKernel(int* y) {
  __shared__ int fixed[4];
  const SharedPtr<int> s = StaticShared(fixed);
  SharedPtr<float> p = DynamicShared<float>(0, 8);
  if (threadIdx.x != 0) return;
  for (int i = 0; i < 8; ++i) p[i] = static_cast<float>(i);
  const SharedPtr<float4> wide = SharedCast<float4>(p);
  float4 v = wide[1];
  v.y = 50;
  wide[0] = v;
  const SharedPtr<const float> read = p;
  p += 3;
  ++p;
  *p = *(p - 4) + read[1] + p[3];  // 4 + 50 + 7
  p[-1] = p[0];
  s[0] = static_cast<int>(p - DynamicShared<float>(0, 8));
  s[1] = s[0];
  s[1] += 5;
  s[1] -= 2;
  s[1] *= 6;
  s[2] = 0xff;
  s[2] &= 0x3c;
  s[2] |= 1;
  s[2] ^= 8;
  s[3] = static_cast<int>(read[3]) + (p == SharedPtr<float>(p) ? 1000 : 0) + (p != p + 1 ? 2000 : 0);
  for (int i = 0; i < 4; ++i) y[i] = s[i];
  atomicAdd(&s[0], 7);
  y[4] = s[0];
}

TEST_F(BlockTest, SharedPointers) {
  const Array<int> y(5);
  ExpectAlwaysRuns([&] { return Launch(PointersKernel, 1, 2, 32, nullptr, y.get()); });
  EXPECT_EQ(y.Read(), (std::vector<int>{4, 42, 0x35, 3061, 11}));
}

template <typename T>
__global__ void AtomicsKernel(T* global, T* out) {
  const SharedPtr<T> s = DynamicShared<T>(0, 4);
  const T v = static_cast<T>((threadIdx.x * 37) % 101);
  if (threadIdx.x == 0) {
    s[0] = 0;
    s[1] = 1000;
    s[2] = 0;
    s[3] = 0;
  }
  __syncthreads();
  atomicAdd(s, v);
  atomicMin(s + 1, v);
  atomicMax(&s[2], v);
  // Adds by compare-and-swap.
  T seen = 0;
  for (T old; (old = atomicCAS(s + 3, seen, static_cast<T>(seen + v))) != seen;) seen = old;
  atomicAdd(global, v);
  atomicMin(global + 1, v);
  atomicMax(global + 2, v);
  atomicXor(global + 3, v);
  atomicOr(global + 4, v);
  atomicAnd(global + 5, static_cast<T>(v | 0x80));
  __syncthreads();
  if (threadIdx.x < 4) out[threadIdx.x] = s[threadIdx.x];
}

template <typename T>
void CheckAtomics() {
  constexpr unsigned kThreads = 96;
  T sum = 0, least = 1000, most = 0, xors = 0, ors = 0, ands = 0xff;
  for (unsigned t = 0; t < kThreads; ++t) {
    const T v = (t * 37) % 101;
    sum = static_cast<T>(sum + v);
    least = std::min(least, v);
    most = std::max(most, v);
    xors ^= v;
    ors |= v;
    ands &= static_cast<T>(v | 0x80);
  }
  for (const Options& options : AllOptions()) {
    SetOptions(options);
    const Array<T> global(std::vector<T>{0, 1000, 0, 0, 0, 0xff}), out(4);
    ASSERT_EQ(Launch(AtomicsKernel<T>, 1, kThreads, 4 * sizeof(T), nullptr, global.get(), out.get()), cudaSuccess)
        << FaultText();
    EXPECT_EQ(global.Read(), (std::vector<T>{sum, least, most, xors, ors, ands})) << Describe(options);
    EXPECT_EQ(out.Read(), (std::vector<T>{sum, least, most, sum})) << Describe(options);
  }
}

TEST_F(BlockTest, Atomics) {
  CheckAtomics<int>();
  CheckAtomics<unsigned>();
  CheckAtomics<unsigned long long>();
}

__global__ void FewTypesKernel(float* x, double* y, int* z) {
  atomicAdd(x, 0.5f);
  atomicAdd(y, 0.25);
  atomicSub(z, 3);
  atomicAdd(z + 1, 0x7fffffff);  // wraps
  atomicExch(z + 2, 77);
}

TEST_F(BlockTest, AtomicsOfFewTypes) {
  const Array<float> x(1);
  const Array<double> y(1);
  const Array<int> z(3);
  ASSERT_EQ(Launch(FewTypesKernel, 2, 32, 0, nullptr, x.get(), y.get(), z.get()), cudaSuccess) << FaultText();
  EXPECT_EQ(x.Read()[0], 32);
  EXPECT_EQ(y.Read()[0], 16);
  EXPECT_EQ(z.Read(), (std::vector<int>{-192, -64, 77}));
}

// The threads in the order in which they came.
__global__ void ComeKernel(int* count, int* order) { order[atomicAdd(count, 1)] = static_cast<int>(threadIdx.x); }

std::vector<int> OrderOf(const Options& options) {
  SetOptions(options);
  const Array<int> count(1), order(100);
  EXPECT_EQ(Launch(ComeKernel, 1, 100, 0, nullptr, count.get(), order.get()), cudaSuccess) << FaultText();
  return order.Read();
}

TEST_F(BlockTest, OrdersAreWhatTheySay) {
  std::vector<int> forward(100);
  std::iota(forward.begin(), forward.end(), 0);
  EXPECT_EQ(OrderOf({Order::kForward, 0, false}), forward);
  EXPECT_EQ(OrderOf({Order::kReverse, 0, false}), std::vector<int>(forward.rbegin(), forward.rend()));
  std::set<std::vector<int>> seen;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<int> order = OrderOf({Order::kRandom, seed, false});
    EXPECT_EQ(order, OrderOf({Order::kRandom, seed, false})) << "not repeatable, seed " << seed;
    seen.insert(order);
    const auto in_first_warp = [](int thread) { return thread < 32; };
    EXPECT_FALSE(std::is_partitioned(order.begin(), order.end(), in_first_warp)) << "warps do not mix, seed " << seed;
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, forward) << seed;
  }
  EXPECT_EQ(seen.size(), 20u);
}

__global__ void ComeBlocksKernel(int* count, int* order) {
  order[atomicAdd(count, 1)] = static_cast<int>(blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z));
}

TEST_F(BlockTest, BlocksHaveAnOrderToo) {
  std::vector<int> forward(60);
  std::iota(forward.begin(), forward.end(), 0);
  std::set<std::vector<int>> seen;
  for (const Options& options : AllOptions()) {
    SetOptions(options);
    const Array<int> count(1), order(60);
    ASSERT_EQ(Launch(ComeBlocksKernel, dim3(5, 3, 4), 1, 0, nullptr, count.get(), order.get()), cudaSuccess);
    std::vector<int> got = order.Read();
    if (options.order == Order::kForward) {
      ASSERT_EQ(got, forward);
    }
    if (options.order == Order::kReverse) {
      ASSERT_EQ(got, std::vector<int>(forward.rbegin(), forward.rend()));
    }
    seen.insert(got);
    std::sort(got.begin(), got.end());
    EXPECT_EQ(got, forward) << Describe(options);
  }
  EXPECT_GE(seen.size(), 6u);
  for (const Options& options : AllOptions()) {
    SetOptions(options);
    const Array<int> count(1), order(1);
    EXPECT_EQ(Launch(ComeBlocksKernel, 1, 1, 0, nullptr, count.get(), order.get()), cudaSuccess);
  }
}

// Kernel arguments are each thread's own copy.
struct Large {
  int values[200];
};
__global__ void ArgumentsKernel(Large large, int* y, const int* null) {
  large.values[threadIdx.x] += 1;
  int sum = null == nullptr ? 0 : 1000000;
  for (int value : large.values) sum += value;
  y[threadIdx.x] = sum;
}

TEST_F(BlockTest, ArgumentsArePassedByValue) {
  Large large{};
  large.values[3] = 5;
  const Array<int> y(64);
  ASSERT_EQ(Launch(ArgumentsKernel, 1, 64, 0, nullptr, large, y.get(), nullptr), cudaSuccess);
  EXPECT_EQ(y.Read(), std::vector<int>(64, 6));
}

// Deep enough for a page's worth of stack in each of 1024 threads that wait at once.
__device__ int Recurse(int depth, int* count) {
  volatile int local[64];
  for (int i = 0; i < 64; ++i) local[i] = depth + i;
  if (depth == 0) {
    atomicAdd(count, 1);
    __syncthreads();
    return local[5];
  }
  const int below = Recurse(depth - 1, count);
  return below + local[depth % 64] - depth - depth % 64;
}
__global__ void DeepKernel(int* count, int* y) { y[threadIdx.x] = Recurse(50, count) + *count; }

TEST_F(BlockTest, StacksAreTheirOwn) {
  for (const Options& options : AllOptions()) {
    SetOptions(options);
    const Array<int> count(1), y(1024);
    ASSERT_EQ(Launch(DeepKernel, 1, 1024, 0, nullptr, count.get(), y.get()), cudaSuccess) << FaultText();
    ASSERT_EQ(y.Read(), std::vector<int>(1024, 1024 + 5)) << Describe(options);
  }
}

}  // namespace
