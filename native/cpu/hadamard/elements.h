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

inline float Widened(float value) { return value; }
inline double Widened(double value) { return value; }
inline float Widened(hwy::float16_t value) { return FloatFromF16(value.bits); }
inline float Widened(hwy::bfloat16_t value) { return FloatFromBf16(value.bits); }

inline void Narrow(float value, float* to) { *to = value; }
inline void Narrow(double value, double* to) { *to = value; }
inline void Narrow(float value, hwy::float16_t* to) { to->bits = F16FromFloat(value); }
inline void Narrow(float value, hwy::bfloat16_t* to) { to->bits = Bf16FromFloat(value); }

template <typename T>
void ScalarStages(T* z, int64_t n) {
  for (int64_t h = 1; h < n; h *= 2) {
    for (int64_t i = 0; i < n; ++i) {
      if (i & h) continue;
      const T a = z[i], b = z[i + h];
      z[i] = a + b;
      z[i + h] = a - b;
    }
  }
}

}  // namespace sylvester

#endif
