// Single elements, for what vectors do not reach: rows shorter than a vector, strided and gathered elements.
#ifndef SYLVESTER_NATIVE_CPU_HADAMARD_ELEMENTS_H_
#define SYLVESTER_NATIVE_CPU_HADAMARD_ELEMENTS_H_

#include <cstdint>
#include <type_traits>

#include "hwy/base.h"
#include "native/common/half.h"

namespace sylvester {

// What transforms of elements of a type are computed in.
template <typename TStored>
using Computed = std::conditional_t<std::is_same_v<TStored, double>, double, float>;

// Longest row of 16-bit elements without a plan: its floats wait on the stack between passes.
constexpr int64_t kMaxFlat16 = int64_t{1} << 13;

inline float Widened(float value) { return value; }
inline double Widened(double value) { return value; }
inline float Widened(hwy::float16_t value) { return FloatFromF16(value.bits); }
inline float Widened(hwy::bfloat16_t value) { return FloatFromBf16(value.bits); }

inline void Narrow(float value, float* to) { *to = value; }
inline void Narrow(double value, double* to) { *to = value; }
inline void Narrow(float value, hwy::float16_t* to) { to->bits = F16FromFloat(value); }
inline void Narrow(float value, hwy::bfloat16_t* to) { to->bits = Bf16FromFloat(value); }

inline bool IsNegated(const uint32_t* words, int64_t i) { return (words[i / 32] >> i % 32 & 1) != 0; }

// The stages at distances first, 2 first, ... of transforms of n elements, on count elements.
template <typename T>
void ScalarStages(T* z, int64_t count, int64_t n, int64_t first = 1) {
  for (int64_t h = first; h < n; h *= 2) {
    for (int64_t i = 0; i < count; ++i) {
      if (i & h) continue;
      const T a = z[i], b = z[i + h];
      z[i] = a + b;
      z[i + h] = a - b;
    }
  }
}

}  // namespace sylvester

#endif
