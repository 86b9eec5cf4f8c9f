// Eight neighbouring codes out of the words of a tile, as two words of signed bytes.
#ifndef SYLVESTER_NATIVE_CUDA_KV_CODES_H_
#define SYLVESTER_NATIVE_CUDA_KV_CODES_H_

#include "native/cuda/kv/job.h"

namespace sylvester::cuda {

struct KvEight {
  uint32_t low, high;  // codes 0..3 and 4..7
};

// Codes at, at + 1, ..., at + 7 along a row of words `stride` apart; at is a multiple of 8. Of 3 bits, upper is the
// word of the upper bits, shifted so that step 0 of the row's word is at bit 0.
template <int kBits>
__device__ inline KvEight KvCodes(const uint32_t* row, int stride, int at, uint32_t upper) {
  if constexpr (kBits == 8) {
    // Signed: less 128, which the zero makes up for.
    return {row[at / 4 * stride] ^ 0x80808080u, row[(at / 4 + 1) * stride] ^ 0x80808080u};
  } else if constexpr (kBits == 4) {
    const uint32_t word = row[at / 8 * stride];
    return {word & 0x0f0f0f0fu, word >> 4 & 0x0f0f0f0fu};
  } else {
    const int half = at / 8 % 2;
    const uint32_t word = row[at / 16 * stride] >> (4 * half);
    KvEight codes = {word & 0x03030303u, word >> 2 & 0x03030303u};
    if constexpr (kBits == 3) {
      upper >>= 2 * half;
      codes.low |= (upper & 0x01010101u) << 2;
      codes.high |= (upper >> 1 & 0x01010101u) << 2;
    }
    return codes;
  }
}

// Of a token: channels at .. at + 7. codes: the head's.
template <int kBits>
__device__ inline KvEight KvKeyCodes(const uint32_t* codes, int d, int token, int at) {
  uint32_t upper = 0;
  if constexpr (kBits == 3) upper = codes[(d / 16 + at / 32) * kTokens + token] >> (4 * (at / 16 % 2));
  return KvCodes<kBits>(codes + token, kTokens, at, upper);
}

// Of a channel: tokens at .. at + 7.
template <int kBits>
__device__ inline KvEight KvValueCodes(const uint32_t* codes, int d, int channel, int at) {
  uint32_t upper = 0;
  if constexpr (kBits == 3) upper = codes[d + channel / 32 * kTokens + channel % 16] >> (4 * (channel / 16 % 2));
  return KvCodes<kBits>(codes + channel, d, at, upper);
}

// What is to be subtracted from a level, in units of a scale, for a stored zero.
__device__ inline float KvZero(const KvQuantizer& quantizer, float zero) {
  return quantizer.grid.zero_unit * zero - (quantizer.bits == 8 ? 128.0f : 0.0f);
}

// Levels of four codes; table: those of all codes, in bytes.
template <int kBits>
__device__ inline uint32_t KvLevels(uint32_t codes, const uint32_t (&table)[kBits == 4 ? 4 : 2]) {
  const uint32_t low = codes & 0x07070707u, pairs = low | low >> 4;
  const uint32_t selector = __byte_perm(pairs, 0, 0x4420);
  const uint32_t levels = __byte_perm(table[0], table[1], selector);
  if constexpr (kBits == 4) {
    const uint32_t mask = (codes >> 3 & 0x01010101u) * 255u;
    return (levels & ~mask) | (__byte_perm(table[2], table[3], selector) & mask);
  }
  return levels;
}

// The codes' levels, where codes are not their own.
template <int kBits>
struct KvLevelTable {
  static constexpr int kWords = kBits == 4 ? 4 : 2;
  bool used;
  uint32_t bytes[kWords];

  __device__ explicit KvLevelTable(const KvQuantizer& quantizer) : used(quantizer.lloyd_max) {
#pragma unroll
    for (int w = 0; w < kWords; ++w) {
      bytes[w] = 0;
#pragma unroll
      for (int i = 0; i < 4; ++i) bytes[w] |= static_cast<uint32_t>(quantizer.grid.levels[4 * w + i]) << (8 * i);
    }
  }
  __device__ KvEight Of(KvEight codes) const {
    if constexpr (kBits != 8) {
      if (used) return {KvLevels<kBits>(codes.low, bytes), KvLevels<kBits>(codes.high, bytes)};
    }
    return codes;
  }
};

}  // namespace sylvester::cuda

#endif
