// CUDA's functions of one thread: bits, conversions, arithmetic of one rounding. The build has -ffp-contract=off, so
// that the plain operators round once as well.
#ifndef SYLVESTER_NATIVE_CUDA_EMULATOR_INTRINSICS_H_
#define SYLVESTER_NATIVE_CUDA_EMULATOR_INTRINSICS_H_

#include <math.h>

#include <cmath>
#include <limits>

#include "native/common/half.h"
#include "native/cuda/emulator/types.h"

// ---- Bits -----------------------------------------------------------------------------------------------------------

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }

inline unsigned __brev(unsigned x) {
  x = (x >> 1 & 0x55555555) | (x & 0x55555555) << 1;
  x = (x >> 2 & 0x33333333) | (x & 0x33333333) << 2;
  x = (x >> 4 & 0x0f0f0f0f) | (x & 0x0f0f0f0f) << 4;
  return __builtin_bswap32(x);
}
inline unsigned long long __brevll(unsigned long long x) {
  return static_cast<unsigned long long>(__brev(static_cast<unsigned>(x))) << 32 |
         __brev(static_cast<unsigned>(x >> 32));
}

// Each nibble of s names one of the eight bytes of y:x; its top bit spreads that byte's sign.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned s) {
  const uint64_t bytes = static_cast<uint64_t>(y) << 32 | x;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned selector = s >> (4 * i) & 0xf;
    unsigned byte = static_cast<unsigned>(bytes >> (8 * (selector & 7))) & 0xff;
    if (selector & 8) byte = byte & 0x80 ? 0xff : 0;
    result |= byte << (8 * i);
  }
  return result;
}

inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((static_cast<uint64_t>(high) << 32 | low) << (shift & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((static_cast<uint64_t>(high) << 32 | low) >> (shift & 31));
}

inline int __float_as_int(float x) { return static_cast<int>(sylvester::BitsOf(x)); }
inline unsigned __float_as_uint(float x) { return sylvester::BitsOf(x); }
inline float __int_as_float(int x) { return sylvester::FloatFromBits(static_cast<uint32_t>(x)); }
inline float __uint_as_float(unsigned x) { return sylvester::FloatFromBits(x); }
inline long long __double_as_longlong(double x) {
  long long bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits;
}
inline double __longlong_as_double(long long bits) {
  double x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}

// ---- Integers -------------------------------------------------------------------------------------------------------

inline int __mulhi(int x, int y) { return static_cast<int>(static_cast<int64_t>(x) * y >> 32); }
inline unsigned __umulhi(unsigned x, unsigned y) { return static_cast<unsigned>(static_cast<uint64_t>(x) * y >> 32); }
inline unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
  __extension__ typedef unsigned __int128 Wide;
  return static_cast<unsigned long long>(static_cast<Wide>(x) * y >> 64);
}

// Four products of signed bytes, added to c modulo 2^32.
inline int __dp4a(int a, int b, int c) {
  auto sum = static_cast<unsigned>(c);
  for (int i = 0; i < 32; i += 8) {
    sum += static_cast<unsigned>(static_cast<int8_t>(a >> i) * static_cast<int8_t>(b >> i));
  }
  return static_cast<int>(sum);
}

#define SYL_EMULATED_MIN_MAX(T)                    \
  inline T min(T a, T b) { return b < a ? b : a; } \
  inline T max(T a, T b) { return a < b ? b : a; }
SYL_EMULATED_MIN_MAX(int)
SYL_EMULATED_MIN_MAX(unsigned)
SYL_EMULATED_MIN_MAX(long)
SYL_EMULATED_MIN_MAX(unsigned long)
SYL_EMULATED_MIN_MAX(long long)
SYL_EMULATED_MIN_MAX(unsigned long long)
#undef SYL_EMULATED_MIN_MAX
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

// ---- Floats ---------------------------------------------------------------------------------------------------------

inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1 / a; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double a) { return std::sqrt(a); }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
// NaN becomes 0.
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }

namespace sylvester::emulator {

// Out of range gives the nearest end; NaN gives 0.
template <typename T>
T Saturate(float integral) {
  if (integral != integral) return 0;
  const float end = std::ldexp(1.0f, std::numeric_limits<T>::digits);
  if (integral >= end) return std::numeric_limits<T>::max();
  if (integral < static_cast<float>(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
  return static_cast<T>(integral);
}

}  // namespace sylvester::emulator

inline int __float2int_rn(float x) { return sylvester::emulator::Saturate<int>(std::nearbyint(x)); }
inline int __float2int_rz(float x) { return sylvester::emulator::Saturate<int>(std::trunc(x)); }
inline int __float2int_rd(float x) { return sylvester::emulator::Saturate<int>(std::floor(x)); }
inline int __float2int_ru(float x) { return sylvester::emulator::Saturate<int>(std::ceil(x)); }
inline unsigned __float2uint_rn(float x) { return sylvester::emulator::Saturate<unsigned>(std::nearbyint(x)); }
inline unsigned __float2uint_rz(float x) { return sylvester::emulator::Saturate<unsigned>(std::trunc(x)); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }

// ---- Memory: the cache hints change nothing, and blocks run one after the other. ------------------------------------

template <typename T>
T __ldg(const T* p) {
  return *p;
}
template <typename T>
T __ldcs(const T* p) {
  return *p;
}
template <typename T>
T __ldcg(const T* p) {
  return *p;
}
template <typename T>
void __stcs(T* p, T value) {
  *p = value;
}
template <typename T>
void __stcg(T* p, T value) {
  *p = value;
}
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

#endif
