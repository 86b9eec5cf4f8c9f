// Networks of 2^10 to 2^15 elements: one to a block of threads, in registers, with two exchanges through shared memory.
// A thread holds 2^kBits elements, in three layouts one after the other (lowest bits of the index first):
//   first   3 bits of the value, the thread, the other bits of the value        stages 0..2,     16-byte loads
//   middle  3 bits of the thread, the value, the other bits of the thread       stages 3..kBits + 2
//   last    the low bits of the value, the thread, the high bits of the value   the other stages, coalesced stores
#include <sylvester/hadamard.h>

#include "native/cuda/hadamard/elements.h"
#include "native/cuda/hadamard/kernels.h"
#include "native/cuda/hadamard/quantize.h"

namespace sylvester::cuda {
namespace {

template <int kLog2_>
struct BlockShape {
  static constexpr int kLog2 = kLog2_;
  static constexpr int kLength = 1 << kLog2;
  static constexpr int kBits = kLog2 == 10 ? 4 : kLog2 <= 13 ? 5 : 6;
  static constexpr int kValues = 1 << kBits;
  static constexpr int kThreadBits = kLog2 - kBits;
  static constexpr int kThreads = 1 << kThreadBits;
  // Registers for the values and for twice as many addresses: 640 threads of 96 in a multiprocessor, or as many as fit.
  static constexpr int kMinBlocks = kBits == 6 ? 1 : 640 / kThreads;

  // Where an element lies in shared memory. With it the 32 banks are all in use in each layout: bit 2 takes part in the
  // first layout, bits 3 and 4 take what the lane bits above the value's contribute in the middle one.
  __device__ static constexpr int Slot(int e) { return e ^ (e >> 3 & 4) ^ (e >> kBits & 24); }
};

// The layouts: element = Of(thread) | Of(0, i), which have no bit in common.
template <typename Shape>
struct FirstLayout {
  static constexpr int kRun = 8;
  __device__ static constexpr int Of(int thread, int i = 0) {
    return (i & 7) | thread << 3 | (i >> 3) << (3 + Shape::kThreadBits);
  }
};
template <typename Shape>
struct MiddleLayout {
  static constexpr int kRun = 1;
  __device__ static constexpr int Of(int thread, int i = 0) {
    return (thread & 7) | i << 3 | (thread >> 3) << (3 + Shape::kBits);
  }
};
template <typename Shape>
struct LastLayout {
  static constexpr int kRun = 1 << (2 * Shape::kBits + 3 - Shape::kLog2);
  __device__ static constexpr int Of(int thread, int i = 0) {
    return (i & (kRun - 1)) | thread * kRun | i / kRun * (kRun << Shape::kThreadBits);
  }
};

// The slot of value i of a thread whose slot of value 0 is `slot`. Only the lowest five bits of slots are mixed; the
// sum lets the others be constants in the instruction.
template <typename Shape, typename Layout>
__device__ int SlotOf(int slot, int i) {
  const int constant = Shape::Slot(Layout::Of(0, i));
  return (slot ^ (constant & 31)) + (constant & ~31);
}

template <typename Shape>
struct Network {
  SharedPtr<float> shared;
  __device__ float operator[](int e) const { return shared[Shape::Slot(e)]; }
};

template <typename Shape, typename Layout>
__device__ void Write(SharedPtr<float> shared, int thread, const float (&z)[Shape::kValues]) {
  constexpr int kCount = Layout::kRun < 4 ? Layout::kRun : 4;
  const SharedPtr<Vector<float, kCount>> vectors = SharedCast<Vector<float, kCount>>(shared);
  const int slot = Shape::Slot(Layout::Of(thread));
#pragma unroll
  for (int i = 0; i < Shape::kValues; i += kCount) {
    Vector<float, kCount> vector;
#pragma unroll
    for (int j = 0; j < kCount; ++j) vector.at[j] = z[i + j];
    vectors[SlotOf<Shape, Layout>(slot, i) / kCount] = vector;
  }
}

template <typename Shape, typename Layout>
__device__ void Read(SharedPtr<float> shared, int thread, float (&z)[Shape::kValues]) {
  constexpr int kCount = Layout::kRun < 4 ? Layout::kRun : 4;
  const SharedPtr<Vector<float, kCount>> vectors = SharedCast<Vector<float, kCount>>(shared);
  const int slot = Shape::Slot(Layout::Of(thread));
#pragma unroll
  for (int i = 0; i < Shape::kValues; i += kCount) {
    const Vector<float, kCount> vector = vectors[SlotOf<Shape, Layout>(slot, i) / kCount];
#pragma unroll
    for (int j = 0; j < kCount; ++j) z[i + j] = vector.at[j];
  }
}

template <typename T, int kLog2>
__global__ void __launch_bounds__(BlockShape<kLog2>::kThreads, BlockShape<kLog2>::kMinBlocks)
    BlockKernel(HadamardJob job) {
  using Shape = BlockShape<kLog2>;
  using First = FirstLayout<Shape>;
  using Middle = MiddleLayout<Shape>;
  using Last = LastLayout<Shape>;
  constexpr int kValues = Shape::kValues, kRun = Last::kRun;
  const SharedPtr<float> shared = DynamicShared<float>(0, Shape::kLength);
  // Where the place takes no registers while the values need them.
  __shared__ HadamardPlace place_storage[1];
  const SharedPtr<HadamardPlace> kept_place = StaticShared(place_storage);
  const int thread = static_cast<int>(threadIdx.x);
  HadamardPlace place = LocateNetwork(job, blockIdx.x);
  if (thread == 0) kept_place[0] = place;
  float z[kValues];
  if (job.from_aligned) {
#pragma unroll
    for (int i = 0; i < kValues; i += 8) {
      LoadAligned<T, 8>(job, place, place.start + First::Of(thread) + First::Of(0, i), z + i);
    }
  } else {
    for (int e = thread; e < Shape::kLength; e += Shape::kThreads) {
      shared[Shape::Slot(e)] = LoadElement<T>(job, place, place.start + e);
    }
    __syncthreads();
    Read<Shape, First>(shared, thread, z);
  }
#pragma unroll
  for (int i = 0; i < kValues; i += 8) {
    FlipAll<8>(z + i, SignsAfter(job, place, 0), place.start + First::Of(thread), First::Of(0, i));
  }
  for (int round = 1;; ++round) {
    // A layout is written where it was read, so that one barrier an exchange is enough.
    Butterflies<1, 8>(z);
    Write<Shape, First>(shared, thread, z);
    __syncthreads();
    Read<Shape, Middle>(shared, thread, z);
    Butterflies<1, kValues>(z);
    Write<Shape, Middle>(shared, thread, z);
    __syncthreads();
    Read<Shape, Last>(shared, thread, z);
    place = kept_place[0];
    Butterflies<kRun, kValues>(z);
#pragma unroll
    for (int i = 0; i < kValues; i += kRun) {
#pragma unroll
      for (int j = 0; j < kRun; ++j) z[i + j] *= job.scale;
      FlipAll<kRun>(z + i, SignsAfter(job, place, round), place.start + Last::Of(thread), Last::Of(0, i));
    }
    if (round == job.rounds) break;
    Write<Shape, Last>(shared, thread, z);
    __syncthreads();
    Read<Shape, First>(shared, thread, z);
  }
  if (job.to_aligned && job.quantizer == SYL_HADAMARD_NO_QUANTIZER) {
#pragma unroll
    for (int i = 0; i < kValues; i += kRun) {
      StoreAligned<T, kRun>(job, place, place.start + Last::Of(thread) + Last::Of(0, i), z + i);
    }
  } else {
    Write<Shape, Last>(shared, thread, z);
    __syncthreads();
    const Network<Shape> network = {shared};
    if (job.quantizer != SYL_HADAMARD_NO_QUANTIZER) {
      StoreQuantizations(job, place, network, Shape::kLength, 0, 1);
      __syncthreads();
      StoreCodes(job, place, network, Shape::kLength, thread, Shape::kThreads);
    } else {
      for (int e = thread; e < Shape::kLength; e += Shape::kThreads) {
        StoreElement<T>(job, place, place.start + e, network[e]);
      }
      StoreUnnamed<T>(job, place, thread, Shape::kThreads);
    }
  }
}

template <typename T>
HadamardLaunch Launches(int log2) {
#define BLOCK(k) \
  { BlockKernel<T, k>, BlockShape<k>::kThreads, 1, true, false, sizeof(float) << k }
  constexpr HadamardLaunch kLaunches[kMaxBlockLog2 - kMaxRowLog2] = {BLOCK(10), BLOCK(11), BLOCK(12),
                                                                     BLOCK(13), BLOCK(14), BLOCK(15)};
#undef BLOCK
  return kLaunches[log2 - kMaxRowLog2 - 1];
}

}  // namespace

HadamardLaunch HadamardBlockLaunch(syl_dtype type, int log2) {
  switch (type) {
    case SYL_F16: return Launches<__half>(log2);
    case SYL_BF16: return Launches<__nv_bfloat16>(log2);
    default: return Launches<float>(log2);
  }
}

}  // namespace sylvester::cuda
