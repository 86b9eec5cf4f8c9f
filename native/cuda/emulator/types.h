// CUDA's qualifiers and built-in types and variables, for the host's compiler.
#ifndef SYLVESTER_NATIVE_CUDA_EMULATOR_TYPES_H_
#define SYLVESTER_NATIVE_CUDA_EMULATOR_TYPES_H_

#include <cstdint>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)
// Blocks run one after the other, so the block's memory may be the program's. Its accesses are checked through
// StaticShared() only.
#define __shared__ static

#define SYL_EMULATED_VECTORS(name, T)                                \
  struct name##1 {                                                   \
    T x;                                                             \
  };                                                                 \
  struct alignas(2 * sizeof(T)) name##2 {                            \
    T x, y;                                                          \
  };                                                                 \
  struct name##3 {                                                   \
    T x, y, z;                                                       \
  };                                                                 \
  struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) name##4 {  \
    T x, y, z, w;                                                    \
  };                                                                 \
  inline name##1 make_##name##1(T x) { return {x}; }                 \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; }         \
  inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; } \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }

SYL_EMULATED_VECTORS(char, signed char)
SYL_EMULATED_VECTORS(uchar, unsigned char)
SYL_EMULATED_VECTORS(short, short)
SYL_EMULATED_VECTORS(ushort, unsigned short)
SYL_EMULATED_VECTORS(int, int)
SYL_EMULATED_VECTORS(uint, unsigned)
SYL_EMULATED_VECTORS(longlong, long long)
SYL_EMULATED_VECTORS(ulonglong, unsigned long long)
SYL_EMULATED_VECTORS(float, float)
SYL_EMULATED_VECTORS(double, double)
#undef SYL_EMULATED_VECTORS

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

// Of the emulated thread that runs: every switch sets them.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace sylvester::emulator {

// Where the source calls a primitive.
struct Site {
  const char* file = "";
  int line = 0;

  static constexpr Site Here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
};

}  // namespace sylvester::emulator

#endif
