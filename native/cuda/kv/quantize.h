// The quantiser of native/common/kv_plan.h, by one warp a group.
#ifndef SYLVESTER_NATIVE_CUDA_KV_QUANTIZE_H_
#define SYLVESTER_NATIVE_CUDA_KV_QUANTIZE_H_

#include "native/cuda/kv/job.h"

namespace sylvester::cuda {

// As KvScaleUp, KvScaleNearest.
__device__ inline uint8_t KvRoundScale(float x, bool up) {
  if (!(x < 61440)) return 0xf7;
  if (x < 0x1p-14f) return static_cast<uint8_t>(up ? __float2int_ru(x * 0x1p17f) : __float2int_rn(x * 0x1p17f));
  const uint32_t bits = __float_as_uint(x), more = up ? 0xfffff : 0x7ffff + (bits >> 20 & 1);
  return static_cast<uint8_t>(((bits + more) >> 20) - (112 << 3));
}

// Scale and zero of a group, and how its codes follow from them.
struct KvGroup {
  uint8_t scale;
  int8_t zero;
  float inverse, shift;  // code = round(x inverse + shift)

  __device__ uint32_t Code(const KvQuantizer& quantizer, float x) const {
    if (scale == 0) return 0;
    const float y = x * inverse + shift;
    const int most = (1 << quantizer.bits) - 1;
    if (!quantizer.lloyd_max) return static_cast<uint32_t>(min(max(__float2int_rn(y), 0), most));
    uint32_t code = 0;
    for (int t = 0; t < most; ++t) code += quantizer.grid.thresholds[t] < y ? 1 : 0;
    return code;
  }
};

__device__ inline KvGroup KvGroupOf(const KvQuantizer& quantizer, float scale, float zero) {
  const float zero_unit = quantizer.grid.zero_unit;
  KvGroup group = {KvRoundScale(scale, quantizer.bits == 8), 0, 0, 0};
  if (group.scale == 0) return group;
  group.inverse = 1 / KvScale(group.scale);
  zero = fminf(fmaxf(rintf(zero * group.inverse / zero_unit), -128.0f), 127.0f);
  group.zero = static_cast<int8_t>(zero);
  group.shift = zero_unit * zero;
  return group;
}

// The sum of 16 lanes; lanes l and l + 16 have the same.
__device__ inline float KvLaneSum(float sum) {
#pragma unroll
  for (int i = 8; i > 0; i /= 2) sum += __shfl_xor_sync(kAllLanes, sum, i);
  return sum;
}

// x[i], i < n, may be called for any element by any lane.
template <typename X>
__device__ KvGroup KvLloydMaxGroup(const KvQuantizer& quantizer, int n, const X& x, int lane) {
  float squares = 0;
  for (int i = lane % kTokens; i < n; i += kTokens) squares += x(i) * x(i);
  const float rms = sqrtf(KvLaneSum(squares) / static_cast<float>(n));
  KvGroup group = {KvRoundScale(rms * quantizer.grid.rms_factor, false), 0, 0, 0};
  if (group.scale == 0) return group;
  group.zero = 32;
  group.inverse = 1 / KvScale(group.scale);
  group.shift = 32;
  return group;
}

template <typename X>
__device__ KvGroup KvUniformGroup(const KvQuantizer& quantizer, int n, const X& x, int lane) {
  float low = __int_as_float(0x7f800000), high = -low;
  for (int i = lane; i < n; i += warpSize) {
    low = fminf(low, x(i));
    high = fmaxf(high, x(i));
  }
#pragma unroll
  for (int i = 16; i > 0; i /= 2) {
    low = fminf(low, __shfl_xor_sync(kAllLanes, low, i));
    high = fmaxf(high, __shfl_xor_sync(kAllLanes, high, i));
  }
  if (quantizer.clip_midpoint) {
    const float middle = (low + high) * 0.5f, half = (high - low) * 0.5f * quantizer.clip;
    low = middle - half;
    high = middle + half;
  } else {
    low *= quantizer.clip;
    high *= quantizer.clip;
  }
  const float unit = quantizer.grid.zero_unit, steps = static_cast<float>((1 << quantizer.bits) - 1);
  return KvGroupOf(quantizer, fmaxf((high - low) / steps, fmaxf(fabsf(low), fabsf(high)) / (119 * unit)), -low);
}

// Whole warps call it.
template <typename X>
__device__ KvGroup KvQuantizeGroup(const KvQuantizer& quantizer, int n, const X& x, int lane) {
  return quantizer.lloyd_max ? KvLloydMaxGroup(quantizer, n, x, lane) : KvUniformGroup(quantizer, n, x, lane);
}

}  // namespace sylvester::cuda

#endif
