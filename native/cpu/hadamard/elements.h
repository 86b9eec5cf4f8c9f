// Single elements, for what vectors do not reach: rows shorter than a vector, strided and gathered elements.
#ifndef SYLVESTER_NATIVE_CPU_HADAMARD_ELEMENTS_H_
#define SYLVESTER_NATIVE_CPU_HADAMARD_ELEMENTS_H_

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "hwy/base.h"
#include "native/common/half.h"

namespace sylvester {

// What transforms of elements of a type are computed in.
template <typename TStored>
using Computed = std::conditional_t<std::is_same_v<TStored, double>, double, float>;

// A caller's memory need not be aligned.
template <typename TStored>
TStored Unaligned(const TStored* from) {
  TStored value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

inline float Widened(const float* from) { return Unaligned(from); }
inline double Widened(const double* from) { return Unaligned(from); }
inline float Widened(const hwy::float16_t* from) {
  uint16_t bits;  // on some processors the type is the compiler's own
  std::memcpy(&bits, from, sizeof(bits));
  return FloatFromF16(bits);
}
inline float Widened(const hwy::bfloat16_t* from) { return FloatFromBf16(Unaligned(from).bits); }

inline void Narrow(float value, float* to) { std::memcpy(to, &value, sizeof(value)); }
inline void Narrow(double value, double* to) { std::memcpy(to, &value, sizeof(value)); }
inline void Narrow(float value, hwy::float16_t* to) {
  const uint16_t bits = F16FromFloat(value);
  std::memcpy(to, &bits, sizeof(bits));
}
inline void Narrow(float value, hwy::bfloat16_t* to) {
  const uint16_t bits = Bf16FromFloat(value);
  std::memcpy(to, &bits, sizeof(bits));
}

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
