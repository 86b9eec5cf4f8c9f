// What the threads of a block find together. A block has whole warps, at most kSpecMostThreads; results do not depend
// on their number. All threads call these, and all get the result.
#ifndef SYLVESTER_NATIVE_CUDA_SPEC_BLOCK_H_
#define SYLVESTER_NATIVE_CUDA_SPEC_BLOCK_H_

#include "native/cuda/spec/job.h"

namespace sylvester::cuda {

constexpr int kSpecMostThreads = 640;
constexpr int kSpecBins = 256;
constexpr int kSpecLanes = 16;  // virtual lanes of sums

using SpecUnits = unsigned long long;

struct SpecBlock {
  SharedPtr<SpecUnits> bins;  // kSpecBins
  SharedPtr<SpecUnits> keys;  // one a warp

  static constexpr size_t kSharedBytes = (kSpecBins + kSpecMostThreads / 32) * sizeof(SpecUnits);

  __device__ static SpecBlock Make() {
    return {DynamicShared<SpecUnits>(0, kSpecBins),
            DynamicShared<SpecUnits>(kSpecBins * sizeof(SpecUnits), kSpecMostThreads / 32)};
  }

  __device__ static int Thread() { return static_cast<int>(threadIdx.x); }
  __device__ static int Threads() { return static_cast<int>(blockDim.x); }

  __device__ uint64_t Max(uint64_t key) const {
    const auto high = static_cast<unsigned>(key >> 32);
    const unsigned most = __reduce_max_sync(kAllLanes, high);
    const unsigned low = __reduce_max_sync(kAllLanes, high == most ? static_cast<unsigned>(key) : 0u);
    key = static_cast<uint64_t>(most) << 32 | low;
    if (Threads() == 32) return key;
    __syncthreads();  // earlier readers
    if (Thread() % 32 == 0) keys[Thread() / 32] = key;
    __syncthreads();
    for (int i = 0; i < Threads() / 32; ++i) {
      const SpecUnits other = keys[i];
      key = other > key ? other : key;
    }
    return key;
  }

  __device__ uint64_t Sum(uint64_t value) const {
    for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
    if (Threads() == 32) return value;
    __syncthreads();
    if (Thread() % 32 == 0) keys[Thread() / 32] = value;
    __syncthreads();
    value = 0;
    for (int i = 0; i < Threads() / 32; ++i) {
      const SpecUnits other = keys[i];
      value += other;
    }
    return value;
  }
};

// Sums of chunks of term(i), i < count, in the order of native/common/spec_rules.h: half a warp takes a chunk.
// begin(chunk, first, size) is called by its lanes before. The sums are there after a barrier.
template <typename Begin, typename Term>
__device__ void SpecChunkSums(int64_t count, int64_t chunk, double* sums, const Begin& begin, const Term& term) {
  constexpr int64_t kStep = kSpecLanes, kGroup = 4 * kStep;
  const int lane = SpecBlock::Thread() % kSpecLanes;
  const unsigned half = 0xffffu << (SpecBlock::Thread() & kSpecLanes);
  const int64_t chunks = (count + chunk - 1) / chunk;
  for (int64_t c = SpecBlock::Thread() / kSpecLanes; c < chunks; c += SpecBlock::Threads() / kSpecLanes) {
    const int64_t first = c * chunk, size = count - first < chunk ? count - first : chunk;
    begin(c, first, size, lane, half);
    double sum = 0;
    int64_t i = first;
    for (; i + kGroup <= first + size; i += kGroup) {
      const int64_t at = i + lane;
      const float t01 = term(at) + term(at + kStep);
      const float t23 = term(at + 2 * kStep) + term(at + 3 * kStep);
      sum += static_cast<double>(t01 + t23);
    }
    if (size >= kGroup) {
      for (int step = kSpecLanes / 2; step > 0; step /= 2) sum += __shfl_xor_sync(half, sum, step);
    }
    if (lane > 0) continue;
    for (; i < first + size; ++i) sum += static_cast<double>(term(i));
    sums[c] = sum;
  }
}

struct SpecNoBegin {
  __device__ void operator()(int64_t, int64_t, int64_t, int, unsigned) const {}
};

// Of chunks, one after the other. Every thread adds.
__device__ inline double SpecTotal(const double* sums, int64_t chunks) {
  double total = 0;
  for (int64_t c = 0; c < chunks; ++c) total += sums[c];
  return total;
}

// The least key of the fewest tokens, those of the largest keys, that together weigh `need`. order.Key(i): of the count
// tokens, with the value's OrderedBits above. order.Weight(value bits): of a token, above 0 where it matters; the sum
// of all is >= need > 0. kLowestBit 32: ids do not count, tokens with equal values stay together; those below are 0.
template <int kLowestBit = 0, typename Order>
__device__ uint64_t SpecLeastKey(const SpecBlock& block, int64_t count, uint64_t need, const Order& order) {
  uint64_t prefix = 0;
  for (int shift = 56; shift >= kLowestBit; shift -= 8) {
    __syncthreads();  // earlier readers
    for (int b = SpecBlock::Thread(); b < kSpecBins; b += SpecBlock::Threads()) block.bins[b] = 0;
    __syncthreads();
    int bin = 0;
    SpecUnits held = 0;  // tokens of one bin often follow each other
    for (int64_t i = SpecBlock::Thread(); i < count; i += SpecBlock::Threads()) {
      const uint64_t key = order.Key(i);
      if (shift < 56 && key >> (shift + 8) != prefix >> (shift + 8)) continue;
      const int own = static_cast<int>(key >> shift & 0xff);
      if (own != bin && held > 0) {
        atomicAdd(block.bins + bin, held);
        held = 0;
      }
      bin = own;
      held += order.Weight(static_cast<uint32_t>(key >> 32));
    }
    if (held > 0) atomicAdd(block.bins + bin, held);
    __syncthreads();
    if (SpecBlock::Thread() == 0) {
      int chosen = kSpecBins - 1;
      SpecUnits here = block.bins[chosen];
      while (here < need && chosen > 0) {
        need -= here;
        here = block.bins[--chosen];
      }
      block.keys[0] = static_cast<SpecUnits>(chosen);
      block.keys[1] = need;
      block.keys[2] = here;
    }
    __syncthreads();
    const SpecUnits chosen = block.keys[0], left = block.keys[1], here = block.keys[2];
    prefix |= static_cast<uint64_t>(chosen) << shift;
    need = left;
    // When all tokens of the bin are needed, their ids do not matter.
    if (here == need || (shift == 32 && here - need < order.Weight(static_cast<uint32_t>(prefix >> 32)))) break;
  }
  return prefix;
}

}  // namespace sylvester::cuda

#endif
