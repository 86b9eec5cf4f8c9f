// Products of a warp: c[16][8] += a[16][32] b[32][8], signed bytes, 32-bit sums. Lane l has of a the rows l / 4 and
// l / 4 + 8 at the places 4 (l % 4) .. + 3 and those 16 further on, of c the columns 2 (l % 4) and 2 (l % 4) + 1 of
// both rows. b is in shared memory: word l is column l / 4 at the places 4 (l % 4) .. + 3, word 32 + l 16 further on.
// With tensor cores or without, the sums are the same.
#ifndef SYLVESTER_NATIVE_CUDA_KV_PRODUCT_H_
#define SYLVESTER_NATIVE_CUDA_KV_PRODUCT_H_

#include "native/cuda/kv/codes.h"

namespace sylvester::cuda {

// mma.m16n8k32 of signed bytes.
__device__ inline void KvMma(int (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#ifdef SYLVESTER_CUDA_EMULATOR
  const int lane = static_cast<int>(threadIdx.x) % 32, quad = lane / 4 * 4, column = lane % 4 * 2;
  for (int i = 0; i < 4; ++i) {
    uint32_t from[4], b[2][2];
    for (int j = 0; j < 4; ++j) from[j] = __shfl_sync(kAllLanes, a[j], quad + i);
    for (int n = 0; n < 2; ++n) {
      b[n][0] = __shfl_sync(kAllLanes, b0, 4 * (column + n) + i);
      b[n][1] = __shfl_sync(kAllLanes, b1, 4 * (column + n) + i);
    }
    for (int j = 0; j < 4; ++j) {
      for (int n = 0; n < 2; ++n) {
        c[2 * (j % 2) + n] = __dp4a(static_cast<int>(from[j]), static_cast<int>(b[n][j / 2]), c[2 * (j % 2) + n]);
      }
    }
  }
#else
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}

template <bool kMma>
class KvProduct;

template <>
class KvProduct<true> {
 public:
  // first, second: of the lane's rows.
  __device__ void Add(const KvEight& first, const KvEight& second, SharedPtr<const uint32_t> b, int lane) {
    const uint32_t a[4] = {first.low, second.low, first.high, second.high};
    const uint32_t b0 = b[lane], b1 = b[32 + lane];
    KvMma(c_, a, b0, b1);
  }
  // [row][column] of the lane.
  __device__ void Sums(int (&sums)[2][2], int /*lane*/) const {
    sums[0][0] = c_[0];
    sums[0][1] = c_[1];
    sums[1][0] = c_[2];
    sums[1][1] = c_[3];
  }

 private:
  int c_[4] = {};
};

template <>
class KvProduct<false> {
 public:
  __device__ void Add(const KvEight& first, const KvEight& second, SharedPtr<const uint32_t> b, int lane) {
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      const uint32_t b0 = b[4 * n + lane % 4], b1 = b[32 + 4 * n + lane % 4];
      c_[0][n] = Dot(first.high, b1, Dot(first.low, b0, c_[0][n]));
      c_[1][n] = Dot(second.high, b1, Dot(second.low, b0, c_[1][n]));
    }
  }
  // Each of the four lanes of a row has a quarter of the places: two exchanges leave it a quarter of the columns.
  __device__ void Sums(int (&sums)[2][2], int lane) const {
    const bool upper = (lane & 2) != 0, odd = (lane & 1) != 0;
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      int half[4];
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        const int low = c_[row][n], high = c_[row][n + 4];
        half[n] = (upper ? high : low) + __shfl_xor_sync(kAllLanes, upper ? low : high, 2);
      }
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        sums[row][n] = (odd ? half[n + 2] : half[n]) + __shfl_xor_sync(kAllLanes, odd ? half[n] : half[n + 2], 1);
      }
    }
  }

 private:
  __device__ static int Dot(uint32_t a, uint32_t b, int sum) {
    return __dp4a(static_cast<int>(a), static_cast<int>(b), sum);
  }
  int c_[2][8] = {};
};

// Numbers as two signed digits, upper * 128 + lower, |number| <= kKvDigitsMax.
constexpr int kKvDigitsMax = 127 * 128;
__device__ inline int KvUpperDigit(int number) { return (number + 64) >> 7; }
__device__ inline int KvLowerDigit(int number) { return number - KvUpperDigit(number) * 128; }
__device__ inline int KvNumber(const int (&digits)[2]) { return digits[0] * 128 + digits[1]; }

// The digits of number i, one of them, as byte i of a word.
template <typename Numbers>
__device__ uint32_t KvDigitWord(const Numbers& number, bool upper) {
  uint32_t word = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int digit = upper ? KvUpperDigit(number(i)) : KvLowerDigit(number(i));
    word |= (static_cast<uint32_t>(digit) & 0xff) << (8 * i);
  }
  return word;
}

}  // namespace sylvester::cuda

#endif
