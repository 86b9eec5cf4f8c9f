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
//   weight  float: what rejections leave of a token's p: p = float exp(z) * (float)(1 / mass), q alike (probabilities:
//   q
//           * (float)(1 / sum)), then each step (SpecStep) with factors in float; rounded after each operation.
//           ONE_HOT: only the first step's factor, which is 1 but for BLOCK. Chunks of kSpecResidualChunk columns are
//           summed in the order above.
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

// Never where q is 0: the draft cannot have drawn such a token.
SYL_HOST_DEVICE inline bool SpecAccepts(double u, SpecProbability p, SpecProbability q) {
  return q.part > 0 && u * q.part * p.whole < p.part * q.whole;
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

enum class SpecSiblings { kOneHot, kIndependent, kWithoutReplacement };

// p = max(p * p_factor - q * q_factor, 0) for every token, q without those of earlier steps when siblings are drawn
// without replacement. ONE_HOT: p = p * p_factor, 0 for the token.
struct SpecStep {
  double p_factor, q_factor;
  int32_t token;
};

// Children of one node that were rejected, in their order.
struct SpecRejections {
  SpecSiblings siblings;
  int32_t count;
  double left;    // sum of what is left of p; ONE_HOT: by subtraction, else the caller sets it after every step
  double q_left;  // WITHOUT_REPLACEMENT: sum of what is left of q
  SpecStep steps[kSpecMostNodes];

  SYL_HOST_DEVICE void Start(SpecSiblings kind) {
    siblings = kind;
    count = 0;
    left = q_left = 1;
  }

  SYL_HOST_DEVICE bool Has(int32_t token) const {
    for (int32_t i = 0; i < count; ++i) {
      if (steps[i].token == token) return true;
    }
    return false;
  }

  // What the next child is judged by, from its probabilities in the whole of p and q.
  SYL_HOST_DEVICE SpecProbability Target(SpecProbability p, SpecProbability q, int32_t token) const {
    if (count == 0) return p;
    double part = p.part / p.whole, other = q.part / q.whole;
    for (int32_t i = 0; i < count; ++i) {
      if (siblings == SpecSiblings::kOneHot) {
        part = steps[i].token == token ? 0 : part;
        continue;
      }
      part = part * steps[i].p_factor - other * steps[i].q_factor;
      part = part > 0 ? part : 0;
      if (siblings == SpecSiblings::kWithoutReplacement && steps[i].token == token) other = 0;
    }
    return {part, left > part ? left : part};
  }

  SYL_HOST_DEVICE SpecProbability Draft(SpecProbability q, int32_t token) const {
    if (siblings != SpecSiblings::kWithoutReplacement || count == 0) return q;
    if (Has(token) || !(q_left > 0)) return {0, 1};
    return {q.part, q.whole * q_left};
  }

  SYL_HOST_DEVICE void Add(SpecProbability p, SpecProbability q, int32_t token) {
    SpecStep step = {1, 1, token};
    if (siblings == SpecSiblings::kOneHot) {
      if (!Has(token)) left -= p.part / p.whole;
    } else {
      step.p_factor = 1 / left;
      if (siblings == SpecSiblings::kWithoutReplacement) {
        step.q_factor = q_left > 0 ? 1 / q_left : 0;
        if (!Has(token)) q_left -= q.part / q.whole;
      }
    }
    steps[count++] = step;
  }

  // BLOCK: of a chain's node, after which weight * p - q is left.
  SYL_HOST_DEVICE void StartBlock(SpecSiblings kind, double weight, int32_t token) {
    Start(kind);
    steps[count++] = {weight, 1, token};
  }
};

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
