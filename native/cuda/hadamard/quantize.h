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
  if (quantizer == SYL_HADAMARD_I8) {
    const float a = fabsf(low), b = fabsf(high);
    if (!(a < infinity && b < infinity)) return {nan, nan};
    return {(a < b ? b : a) / 127.0f, 0};
  }
  const float zero = low + 0.0f, width = high + 0.0f - zero;  // a zero has no sign
  if (!(width < infinity)) return {nan, nan};
  return {width / (quantizer == SYL_HADAMARD_U4 ? 15.0f : 3.0f), zero};
}

// The code of a value, in the low CodeBits bits.
__device__ inline uint32_t Code(int32_t quantizer, const Quantization& q, float value) {
  if (!(q.scale > 0)) return 0;
  if (quantizer == SYL_HADAMARD_I8) {
    const float code = fminf(fmaxf(rintf(value / q.scale), -127.0f), 127.0f);
    return static_cast<uint32_t>(static_cast<int32_t>(code)) & 0xff;
  }
  const float top = quantizer == SYL_HADAMARD_U4 ? 15.0f : 3.0f;
  return static_cast<uint32_t>(fminf(fmaxf(rintf((value - q.zero) / q.scale), 0.0f), top));
}

__device__ inline void StoreQuantization(const HadamardJob& job, int64_t transform, int64_t group,
                                         const Quantization& q) {
  job.scales[transform * job.groups + group] = q.scale;
  if (job.zeros != nullptr) job.zeros[transform * job.groups + group] = q.zero;
}

__device__ inline void MergeWarp(ValueRange* range) {
  range->low = __reduce_min_sync(kAllLanes, range->low);
  range->high = __reduce_max_sync(kAllLanes, range->high);
}

// Scales and zeros of the groups of z, which holds the elements start .. start + length - 1 of a transform. Whole
// blocks call it; the groups are dealt out to `blocks` of them. A group has a warp, or a block when it is long.
template <typename Z>
__device__ void StoreQuantizations(const HadamardJob& job, const HadamardPlace& place, const Z& z, int64_t start,
                                   int64_t length, int64_t block, int64_t blocks) {
  constexpr int64_t kWarpGroup = 1024;
  __shared__ int32_t partial[2 * 32];
  const SharedPtr<int32_t> partials = StaticShared(partial);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int warps = static_cast<int>(blockDim.x) / 32;
  const int64_t first_group = start / job.group, groups = length / job.group;
  const bool whole_block = job.group > kWarpGroup;
  const int64_t teams = whole_block ? blocks : blocks * warps;
  const int64_t team = whole_block ? block : block * warps + warp;
  for (int64_t g = team; g < groups; g += teams) {
    ValueRange range;
    const int64_t first = (first_group + g) * job.group;
    for (int64_t i = whole_block ? threadIdx.x : lane; i < job.group; i += whole_block ? blockDim.x : 32) {
      range.Add(z[(job.members == nullptr ? first + i : job.members[first + i]) - start]);
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

// Codes of the elements start .. start + length - 1, whose scales and zeros the caller's threads can see.
template <typename Z>
__device__ void StoreCodes(const HadamardJob& job, const HadamardPlace& place, const Z& z, int64_t start,
                           int64_t length, int64_t worker, int64_t workers) {
  const int bits = CodeBits(job.quantizer), codes = 8 / bits;
  uint8_t* to = static_cast<uint8_t*>(job.to) + place.to + start / codes;
  for (int64_t i = worker; i < length / codes; i += workers) {
    uint32_t packed = 0;
    for (int c = 0; c < codes; ++c) {
      const auto e = static_cast<uint32_t>(start + i * codes + c);
      const int64_t group = job.group_map == nullptr ? e / static_cast<uint32_t>(job.group) : job.group_map[e];
      const int64_t at = place.transform * job.groups + group;
      const Quantization q = {job.scales[at], job.zeros == nullptr ? 0 : job.zeros[at]};
      packed |= Code(job.quantizer, q, z[e - start]) << (c * bits);
    }
    to[i] = static_cast<uint8_t>(packed);
  }
}

}  // namespace sylvester::cuda

#endif
