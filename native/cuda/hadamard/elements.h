// Elements of any type as floats: loads, stores, signs, butterflies in registers. Transforms have 2^24 elements at
// most, so that an element's number is an int; its place in memory is not.
#ifndef SYLVESTER_NATIVE_CUDA_HADAMARD_ELEMENTS_H_
#define SYLVESTER_NATIVE_CUDA_HADAMARD_ELEMENTS_H_

#include "native/cuda/device.h"
#include "native/cuda/hadamard/job.h"

namespace sylvester::cuda {

template <typename T, int kCount>
struct alignas(sizeof(T) * kCount) Vector {
  T at[kCount];
};

__device__ inline float ToFloat(float value) { return value; }
__device__ inline float ToFloat(__half value) { return __half2float(value); }
__device__ inline float ToFloat(__nv_bfloat16 value) { return __bfloat162float(value); }

template <typename T>
__device__ T FromFloat(float value);
template <>
__device__ inline float FromFloat<float>(float value) {
  return value;
}
template <>
__device__ inline __half FromFloat<__half>(float value) {
  return __float2half_rn(value);
}
template <>
__device__ inline __nv_bfloat16 FromFloat<__nv_bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}

// -value if the low bit is set.
__device__ inline float Flip(float value, uint32_t bit) {
  return __uint_as_float(__float_as_uint(value) ^ (bit << 31));
}

// Signs of the elements e + offset, e + offset + 1, ..., which lie in one word. offset is a multiple of 32: apart from
// e, it can be a constant in the instruction.
template <int kCount>
__device__ inline void FlipAll(float* z, const uint32_t* signs, int e, int offset = 0) {
  if (signs == nullptr) return;
  const uint32_t bits = signs[(e >> 5) + offset / 32] >> (e & 31);
#pragma unroll
  for (int i = 0; i < kCount; ++i) z[i] = Flip(z[i], bits >> i & 1);
}

template <typename T>
__device__ inline float LoadElement(const HadamardJob& job, const HadamardPlace& place, int e) {
  const int64_t index = job.load_gather == nullptr ? e : job.load_gather[e];
  if (index < 0) return 0;
  return ToFloat(static_cast<const T*>(job.from)[place.from + index * job.from_stride[3]]);
}

template <typename T>
__device__ inline void StoreElement(const HadamardJob& job, const HadamardPlace& place, int e, float value) {
  const int64_t index = job.store_gather == nullptr ? e : job.store_gather[e];
  if (index < 0) return;
  static_cast<T*>(job.to)[place.to + index * job.to_stride[3]] = FromFloat<T>(value);
}

// Elements e .. e + kCount - 1 of aligned rows, at most 16 bytes at a time.
template <typename T, int kCount>
__device__ inline void LoadAligned(const HadamardJob& job, const HadamardPlace& place, int e, float* z) {
  constexpr int kMax = 16 / sizeof(T), kVector = kCount < kMax ? kCount : kMax;
  const T* from = static_cast<const T*>(job.from) + place.from + e;
#pragma unroll
  for (int i = 0; i < kCount; i += kVector) {
    const Vector<T, kVector> loaded = *reinterpret_cast<const Vector<T, kVector>*>(from + i);
#pragma unroll
    for (int j = 0; j < kVector; ++j) z[i + j] = ToFloat(loaded.at[j]);
  }
}

template <typename T, int kCount>
__device__ inline void StoreAligned(const HadamardJob& job, const HadamardPlace& place, int e, const float* z) {
  constexpr int kMax = 16 / sizeof(T), kVector = kCount < kMax ? kCount : kMax;
  T* to = static_cast<T*>(job.to) + place.to + e;
#pragma unroll
  for (int i = 0; i < kCount; i += kVector) {
    Vector<T, kVector> stored;
#pragma unroll
    for (int j = 0; j < kVector; ++j) stored.at[j] = FromFloat<T>(z[i + j]);
    *reinterpret_cast<Vector<T, kVector>*>(to + i) = stored;
  }
}

// Elements of `to` that the gather does not name become zero.
template <typename T>
__device__ inline void StoreUnnamed(const HadamardJob& job, const HadamardPlace& place, int worker, int workers) {
  for (int i = worker; i < job.unnamed_count; i += workers) {
    static_cast<T*>(job.to)[place.to + job.unnamed[i] * job.to_stride[3]] = FromFloat<T>(0);
  }
}

// Butterflies at the distances kFirst, 2 kFirst, ... below kEnd.
template <int kFirst, int kEnd, int kCount>
__device__ inline void Butterflies(float (&z)[kCount]) {
#pragma unroll
  for (int h = kFirst; h < kEnd; h *= 2) {
#pragma unroll
    for (int pair = 0; pair < kCount / 2; ++pair) {
      const int i = pair / h * 2 * h + pair % h;
      const float a = z[i], b = z[i + h];
      z[i] = a + b;
      z[i + h] = a - b;
    }
  }
}

// The digits at the distances 1, 4, ... below kCount.
template <int kCount>
__device__ inline void RegularDigits(float (&z)[kCount]) {
#pragma unroll
  for (int h = 1; h < kCount; h *= 4) {
#pragma unroll
    for (int digit = 0; digit < kCount / 4; ++digit) {
      const int i = digit / h * 4 * h + digit % h;
      const float a = z[i] + z[i + h], b = z[i] - z[i + h];
      const float c = z[i + 2 * h] + z[i + 3 * h], d = z[i + 2 * h] - z[i + 3 * h];
      z[i] = a + d;
      z[i + h] = a - d;
      z[i + 2 * h] = c + b;
      z[i + 3 * h] = c - b;
    }
  }
}

}  // namespace sylvester::cuda

#endif
