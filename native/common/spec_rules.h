// Decisions of speculative verification (sylvester/spec.h), the same on every device: double precision, operations that
// IEEE 754 rounds correctly, no multiply-add, no function of the C library.
//
// What both sides have to feed them with the same bits:
//   z       float: (logit - max) * inv_temperature, inv_temperature = min(1 / T, FLT_MAX), max the row's largest logit
//   mass    SpecMass over chunks of kSpecMassChunk columns, ascending; a chunk's sum is that of exp((logit - chunk max)
//   *
//           inv_temperature), a float each: column c of the chunk goes to virtual lane c % 16; four steps of 16 columns
//           are added in float, (0 + 1) + (2 + 3), then in double to the lane's sum; lanes are added j + (j + 8),
//           (j + 4), (j + 2), (j + 1); the columns after the last 64 are added one by one. Filtered: the same over a
//           row of z with -inf for tokens that filters drop, max 0, inv_temperature 1.
//   weight  float: of a token that is left after rejections: p = float exp(z) * (float)(1 / mass), q alike, then for
//           each step p = max(p * (float)p_factor - q * (float)q_factor, 0); rounded after each operation. Chunks of
//           kSpecResidualChunk columns are summed in the order above.
#ifndef SYLVESTER_NATIVE_COMMON_SPEC_RULES_H_
#define SYLVESTER_NATIVE_COMMON_SPEC_RULES_H_

#include <cstdint>
#include <cstring>

#include "native/common/host_device.h"
#include "native/common/philox.h"

namespace sylvester {

constexpr int64_t kSpecMassChunk = 4096;
constexpr int64_t kSpecResidualChunk = 256;
constexpr int32_t kSpecMostNodes = 256;
constexpr double kSpecEmpty = 0x1p-40;  // a residual of no more is none

// ---- Random numbers ----

struct SpecUniforms {
  uint64_t seed;
  uint64_t position;  // of the token that is decided

  SYL_HOST_DEVICE double Accept(int32_t depth, int32_t sibling) const {
    uint32_t words[4];
    Words(static_cast<uint32_t>(sibling), 2 + 4 * static_cast<uint32_t>(depth), words);
    return words[0] * 0x1p-32;
  }

  SYL_HOST_DEVICE double Residual() const {
    uint32_t words[4];
    Words(0, 3, words);
    return static_cast<double>(static_cast<uint64_t>(words[0]) << 21 | words[1] >> 11) * 0x1p-53;
  }

 private:
  SYL_HOST_DEVICE void Words(uint32_t index, uint32_t purpose, uint32_t words[4]) const {
    const uint32_t counter[4] = {index, purpose, static_cast<uint32_t>(position),
                                 static_cast<uint32_t>(position >> 32)};
    const uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
    Philox4x32(counter, key, words);
  }
};

// ---- Exponentials and masses ----

SYL_HOST_DEVICE inline double SpecPowerOfTwo(int32_t exponent) {  // normal
  const uint64_t bits = static_cast<uint64_t>(exponent + 1023) << 52;
  double value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

// exp(x) for x <= 0, to 2 units of the last place; 0 for -inf and NaN.
SYL_HOST_DEVICE inline double SpecExp(double x) {
  if (!(x > -746)) return 0;
  const double shift = 0x1.8p52;  // adding it rounds to an integer
  const double n = (x * 0x1.71547652b82fep0 + shift) - shift;
  // ln 2 in two parts: n times the first is exact.
  const double r = (x - n * 0x1.62e42fee00000p-1) - n * 0x1.a39ef35793c76p-33;
  // Taylor: |r| <= ln(2) / 2, the next term is below 2^-57.
  double sum = 1.0 / 6227020800;
  sum = sum * r + 1.0 / 479001600;
  sum = sum * r + 1.0 / 39916800;
  sum = sum * r + 1.0 / 3628800;
  sum = sum * r + 1.0 / 362880;
  sum = sum * r + 1.0 / 40320;
  sum = sum * r + 1.0 / 5040;
  sum = sum * r + 1.0 / 720;
  sum = sum * r + 1.0 / 120;
  sum = sum * r + 1.0 / 24;
  sum = sum * r + 1.0 / 6;
  sum = sum * r + 0.5;
  sum = sum * r + 1;
  sum = sum * r + 1;
  const auto exponent = static_cast<int32_t>(n), half = exponent / 2;  // 2^-1075 is no double
  return sum * SpecPowerOfTwo(half) * SpecPowerOfTwo(exponent - half);
}

// Sum of exp(z) over a row from chunks in ascending order.
struct SpecMass {
  float max = -__builtin_inff();
  double sum = 0;

  // chunk_max: -inf for a chunk that holds nothing. chunk_sum: of exp((logit - chunk_max) * inv_temperature).
  SYL_HOST_DEVICE void Add(float chunk_max, double chunk_sum, float inv_temperature) {
    if (chunk_max == -__builtin_inff()) return;
    if (chunk_max > max) {
      sum *= SpecExp((max - chunk_max) * inv_temperature);  // the first: 0 * exp(-inf)
      max = chunk_max;
    }
    sum += chunk_sum * SpecExp((chunk_max - max) * inv_temperature);
  }
};

// ---- One candidate ----

// part / whole; part >= 0, whole > 0.
struct SpecProbability {
  double part, whole;
};

SYL_HOST_DEVICE inline SpecProbability SpecFromLog(float log_q) { return {log_q >= 0 ? 1 : SpecExp(log_q), 1}; }

SYL_HOST_DEVICE inline bool SpecAccepts(double u, SpecProbability p, SpecProbability q) {
  return u * q.part * p.whole < p.part * q.whole;
}

// min(1, p / q); 0 where q is 0.
SYL_HOST_DEVICE inline double SpecRatio(SpecProbability p, SpecProbability q) {
  const double above = p.part * q.whole, below = p.whole * q.part;
  return below > 0 ? above < below ? above / below : 1 : 0;
}

// ---- BLOCK ----

// P_i = min(1, P_{i-1} p / q) of the prefix that ends with a candidate.
SYL_HOST_DEVICE inline double SpecPrefixWeight(double before, SpecProbability p, SpecProbability q) {
  const double above = before * p.part * q.whole, below = p.whole * q.part;
  return below > 0 ? above < below ? above / below : 1 : 0;
}

// Whether a prefix of weight P may be accepted at all: SpecAcceptsPrefix never accepts what this does not. Saves the
// residual's sum.
SYL_HOST_DEVICE inline bool SpecMayAcceptPrefix(double u, double weight) { return u < weight; }

// residual: sum of max(P p - q, 0) over the tokens after the prefix. Not for the whole block: that is accepted when
// u < P. The largest prefix that is accepted counts.
SYL_HOST_DEVICE inline bool SpecAcceptsPrefix(double u, double weight, double residual) {
  if (!SpecMayAcceptPrefix(u, weight)) return false;
  const double denominator = residual + (1 - weight);
  return !(denominator > 0) || u * denominator < residual;
}

// ---- What rejections leave of p ----

// R = max(R * p_factor - q * q_factor, 0). Without replacement, q is 0 for the tokens of earlier steps. ONE_HOT: the
// token is taken out, and q counts for nothing.
struct SpecStep {
  double p_factor, q_factor;
  int32_t token;
};

enum class SpecSiblings { kOneHot, kIndependent, kWithoutReplacement };

// R of one token, from its probabilities p and q.
SYL_HOST_DEVICE inline double SpecRemaining(SpecSiblings siblings, double p, double q, int32_t token,
                                            const SpecStep* steps, int32_t count) {
  for (int32_t i = 0; i < count; ++i) {
    if (siblings == SpecSiblings::kOneHot) {
      p = steps[i].token == token ? 0 : p * steps[i].p_factor;
      continue;
    }
    p = p * steps[i].p_factor - q * steps[i].q_factor;
    p = p > 0 ? p : 0;
    if (siblings == SpecSiblings::kWithoutReplacement && steps[i].token == token) q = 0;
  }
  return p;
}

// ---- The token that comes from a residual ----

struct SpecChunkChoice {
  int64_t chunk;
  double before;  // sum of the chunks before it
};

// sums: of chunks, one of them above 0; target = u * (their sum in ascending order).
SYL_HOST_DEVICE inline SpecChunkChoice SpecChooseChunk(const double* sums, int64_t count, double target) {
  SpecChunkChoice choice = {0, 0};
  double before = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (!(sums[i] > 0)) continue;
    choice = {i, before};
    before += sums[i];
    if (before > target) break;
  }
  return choice;
}

// weights of the chunk's tokens, one of them above 0. Returns the token's index in the chunk.
SYL_HOST_DEVICE inline int64_t SpecChooseToken(const float* weights, int64_t count, double before, double target) {
  int64_t chosen = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (!(weights[i] > 0)) continue;
    chosen = i;
    before += weights[i];
    if (before > target) break;
  }
  return chosen;
}

}  // namespace sylvester

#endif
