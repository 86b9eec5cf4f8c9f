// Scales, zeros and codes of groups.
#ifndef SYLVESTER_NATIVE_CUDA_HADAMARD_QUANTIZE_H_
#define SYLVESTER_NATIVE_CUDA_HADAMARD_QUANTIZE_H_

#include "native/cuda/device.h"
#include "native/cuda/hadamard/job.h"

namespace sylvester::cuda {

constexpr unsigned kAllLanes = 0xffffffffu;

// Integers in the order of the floats, with the NaNs outside: one minimum and one maximum find the range and whether
// the group is finite. Its own inverse.
__device__ inline int32_t OrderedInt(int32_t bits) { return bits ^ (bits >> 31 & 0x7fffffff); }

struct ValueRange {
  int32_t low = INT32_MAX, high = INT32_MIN;  // ordered integers

  __device__ void Add(float value) { Merge(OrderedInt(__float_as_int(value)), OrderedInt(__float_as_int(value))); }
  __device__ void Merge(int32_t other_low, int32_t other_high) {
    low = min(low, other_low);
    high = max(high, other_high);
  }
};

struct Quantization {
  float scale, zero;
};

__device__ inline int CodeBits(int32_t quantizer) {
  return quantizer == SYL_HADAMARD_I8 ? 8 : quantizer == SYL_HADAMARD_U4 ? 4 : 2;
}

__device__ inline Quantization Quantize(int32_t quantizer, const ValueRange& range) {
  const float low = __int_as_float(OrderedInt(range.low)), high = __int_as_float(OrderedInt(range.high));
  const float infinity = __int_as_float(0x7f800000), nan = __int_as_float(0x7fc00000);
  const bool is_int8 = quantizer == SYL_HADAMARD_I8;
  const float zero = is_int8 ? 0.0f : low + 0.0f;  // a zero has no sign
  const float width = is_int8 ? fmaxf(fabsf(low), fabsf(high)) : high + 0.0f - zero;
  if (!(fabsf(low) < infinity && fabsf(high) < infinity && width < infinity)) return {nan, nan};
  return {width / (is_int8 ? 127.0f : quantizer == SYL_HADAMARD_U4 ? 15.0f : 3.0f), zero};
}

// The code of a value, in the low CodeBits bits. The zero of int8 is 0.
__device__ inline uint32_t Code(int32_t quantizer, const Quantization& q, float value) {
  const float low = quantizer == SYL_HADAMARD_I8 ? -127.0f : 0.0f;
  const float high = quantizer == SYL_HADAMARD_I8 ? 127.0f : quantizer == SYL_HADAMARD_U4 ? 15.0f : 3.0f;
  if (!(q.scale > 0)) return 0;
  const float code = fminf(fmaxf(rintf((value - q.zero) / q.scale), low), high);
  return static_cast<uint32_t>(static_cast<int32_t>(code)) & 0xff;
}

__device__ inline void StoreQuantization(const HadamardJob& job, int64_t transform, int group, const Quantization& q) {
  job.scales[transform * job.groups + group] = q.scale;
  if (job.zeros != nullptr) job.zeros[transform * job.groups + group] = q.zero;
}

__device__ inline void MergeWarp(ValueRange* range) {
  range->low = __reduce_min_sync(kAllLanes, range->low);
  range->high = __reduce_max_sync(kAllLanes, range->high);
}

// Scales and zeros of the groups of z, which holds the `length` elements of a network or a transform. Whole
// blocks call it; the groups are dealt out to `blocks` of them. A group has a warp, or a block when it is long.
template <typename Z>
__device__ void StoreQuantizations(const HadamardJob& job, const HadamardPlace& place, const Z& z, int length,
                                   int block, int blocks) {
  constexpr int kWarpGroup = 1024;
  __shared__ int32_t partial[2 * 32];
  const SharedPtr<int32_t> partials = StaticShared(partial);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int warps = static_cast<int>(blockDim.x) / 32;
  const int first_group = place.start / job.group, groups = length / job.group;
  const bool whole_block = job.group > kWarpGroup;
  const int teams = whole_block ? blocks : blocks * warps, team = whole_block ? block : block * warps + warp;
  for (int g = team; g < groups; g += teams) {
    ValueRange range;
    const int first = (first_group + g) * job.group;
    for (int i = whole_block ? thread : lane; i < job.group; i += whole_block ? 32 * warps : 32) {
      range.Add(z[(job.members == nullptr ? first + i : job.members[first + i]) - place.start]);
    }
    MergeWarp(&range);
    if (whole_block) {
      if (lane == 0) {
        partials[2 * warp] = range.low;
        partials[2 * warp + 1] = range.high;
      }
      __syncthreads();
      if (warp == 0) {
        if (lane < warps) range.Merge(partials[2 * lane], partials[2 * lane + 1]);
        MergeWarp(&range);
      }
      __syncthreads();
    }
    if (lane == 0 && (warp == 0 || !whole_block)) {
      StoreQuantization(job, place.transform, first_group + g, Quantize(job.quantizer, range));
    }
  }
}

// Codes of the `length` elements of z, whose scales and zeros the caller's threads can see.
template <typename Z>
__device__ void StoreCodes(const HadamardJob& job, const HadamardPlace& place, const Z& z, int length, int worker,
                           int workers) {
  const int bits = CodeBits(job.quantizer), codes = 8 / bits;
  const int log2_codes = codes == 1 ? 0 : codes / 2;
  uint8_t* to = static_cast<uint8_t*>(job.to) + place.to + (place.start >> log2_codes);
  for (int i = worker; i < length >> log2_codes; i += workers) {
    uint32_t packed = 0;
    for (int c = 0; c < codes; ++c) {
      const int e = place.start + i * codes + c;
      const int group = job.group_map == nullptr ? e / job.group : job.group_map[e];
      const int64_t at = place.transform * job.groups + group;
      const Quantization q = {job.scales[at], job.zeros == nullptr ? 0 : job.zeros[at]};
      packed |= Code(job.quantizer, q, z[e - place.start]) << (c * bits);
    }
    to[i] = static_cast<uint8_t>(packed);
  }
}

}  // namespace sylvester::cuda

#endif
