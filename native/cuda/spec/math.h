// Exponentials and Gumbel noise with the bits of the processor's vectors (native/cpu/nn/exp-inl.h,
// native/cpu/logits/gumbel-inl.h).
#ifndef SYLVESTER_NATIVE_CUDA_SPEC_MATH_H_
#define SYLVESTER_NATIVE_CUDA_SPEC_MATH_H_

#include "native/cuda/device.h"

namespace sylvester::cuda {

// exp(x) for x <= 0; 0 for -inf, and for NaN.
__device__ inline float SpecExpF32(float x) {
  if (!(x == x)) return 0;
  x = x < -88.0f ? -88.0f : x;
  const float shift = 12582912.0f;
  const float shifted = __fmaf_rn(x, 1.44269504f, shift);
  const float n = shifted - shift;
  float r = __fmaf_rn(-n, 0.693359375f, x);
  r = __fmaf_rn(-n, -2.12194440e-4f, r);
  float q = __fmaf_rn(0x1.6a23d2p-10f, r, 0x1.123a20p-7f);
  q = __fmaf_rn(q, r, 0x1.5558f2p-5f);
  q = __fmaf_rn(q, r, 0x1.555492p-3f);
  q = __fmaf_rn(q, r, 0x1.fffffcp-2f);
  const float fraction = __fmaf_rn(q, r * r, r) + 1.0f;
  const int exponent = __float_as_int(shifted) - __float_as_int(shift);
  return fraction * __int_as_float((exponent + 127) << 23);
}

// x = m 2^exponent with m in [sqrt(1/2), sqrt(2)), for normal positive x; returns m.
__device__ inline float SpecSplitForLog(float x, float* exponent) {
  const int bits = __float_as_int(x);
  const int e = (bits - 0x3f3504f3) >> 23;
  *exponent = static_cast<float>(e);
  return __int_as_float(bits - static_cast<int>(static_cast<unsigned>(e) << 23));
}

// exponent ln(2) + log(1 + f).
__device__ inline float SpecLogOfParts(float exponent, float f) {
  float r = __fmaf_rn(-0x1.38bab0p-4f, f, 0x1.055a7cp-3f);
  r = __fmaf_rn(r, f, -0x1.0d83a8p-3f);
  r = __fmaf_rn(r, f, 0x1.22da22p-3f);
  r = __fmaf_rn(r, f, -0x1.547276p-3f);
  r = __fmaf_rn(r, f, 0x1.99a00ap-3f);
  r = __fmaf_rn(r, f, -0x1.000226p-2f);
  r = __fmaf_rn(r, f, 0x1.555554p-2f);
  const float square = f * f;
  const float tail = __fmaf_rn(square * f, r, exponent * -2.12194440e-4f);
  const float log1p = __fmaf_rn(square, -0.5f, tail) + f;
  return __fmaf_rn(exponent, 0.693359375f, log1p);
}

// -log(-log((bits + 1/2) 2^-32)).
__device__ inline float SpecGumbel(uint32_t bits) {
  const auto signed_bits = static_cast<int32_t>(bits);
  const float t = (static_cast<float>(signed_bits ^ (signed_bits >> 31)) + 0.5f) * 0x1p-32f;
  const float u = signed_bits < 0 ? 1.0f - t : t;
  float exponent;
  const float m = SpecSplitForLog(u, &exponent);
  const float e = -SpecLogOfParts(exponent, exponent == 0 ? -t : m - 1.0f);
  const float me = SpecSplitForLog(e, &exponent);
  return -SpecLogOfParts(exponent, me - 1.0f);
}

}  // namespace sylvester::cuda

#endif
