// Statistics of a row of logits from those of its chunks, and the draw (sylvester/logits.h); the same on every device:
// operations that IEEE 754 rounds correctly, no multiply-add, no function of the C library.
//
// A chunk has kLogitsChunk columns. With w = z * inv_temperature, rounded, and m that of the chunk's largest z, whose
// first column is left out of the sums: base = |m| < kLogitsLargestW ? 0 : m, x = w - base, which is exact, N = round(m
// - base) log2(e)), e = exp(x) 2^-N as a float, 0 below 2^(N - 126.5). A block has 128 columns: column c goes to
// virtual lane c % 16, its terms j = c / 16 are added in float, (0 + 2 + 4 + 6) + (1 + 3 + 5 + 7), e as it is and x -
// (m - base) times e by fused multiply-add; then in double to the lane's sum; lanes are added j + (j + 8), (j + 4), (j
// + 2), (j + 1). Both sums are divided by the e of m. Columns past the row's end are -inf.
#ifndef SYLVESTER_NATIVE_COMMON_LOGITS_RULES_H_
#define SYLVESTER_NATIVE_COMMON_LOGITS_RULES_H_

#include <sylvester/logits.h>

#include <cstdint>
#include <cstring>

#include "native/common/host_device.h"
#include "native/common/philox.h"
#include "native/common/spec_rules.h"

namespace sylvester {

constexpr int64_t kLogitsChunk = 4096;
constexpr int64_t kLogitsBlock = 128;
// Below, integers times ln 2 are exact in two parts; above, numbers within 88 of each other have exact differences.
constexpr float kLogitsLargestW = 176;

// ---- Logarithms, to 2 units of the last place ----

// log((1 + s) / (1 - s)) for |s| <= 0.2.
SYL_HOST_DEVICE inline double LogitsLogRatio(double s) {
  const double square = s * s;
  double sum = 1.0 / 23;  // the next term is below 2^-58
  sum = sum * square + 1.0 / 21;
  sum = sum * square + 1.0 / 19;
  sum = sum * square + 1.0 / 17;
  sum = sum * square + 1.0 / 15;
  sum = sum * square + 1.0 / 13;
  sum = sum * square + 1.0 / 11;
  sum = sum * square + 1.0 / 9;
  sum = sum * square + 1.0 / 7;
  sum = sum * square + 1.0 / 5;
  sum = sum * square + 1.0 / 3;
  return 2 * (s + s * square * sum);
}

// x: positive and normal.
SYL_HOST_DEVICE inline double LogitsLog(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof(bits));
  const auto exponent = static_cast<int64_t>(bits - 0x3fe6a09e667f3bcd) >> 52;  // that of sqrt(1/2) is 0
  bits -= static_cast<uint64_t>(exponent) << 52;
  double m;
  memcpy(&m, &bits, sizeof(m));
  return static_cast<double>(exponent) * 0x1.62e42fefa39efp-1 + LogitsLogRatio((m - 1) / (m + 1));
}

// log(1 + x), x >= 0.
SYL_HOST_DEVICE inline double LogitsLogOnePlus(double x) {
  return x < 0.5 ? LogitsLogRatio(x / (2 + x)) : LogitsLog(1 + x);
}

// ---- Random numbers ----

// G = -log(-log u), u = (bits + 1/2) 2^-64. Where u is more than 1/2, 1 - u has all the digits.
SYL_HOST_DEVICE inline double LogitsGumbel(uint64_t bits) {
  const bool upper = bits >> 63 != 0;
  const double t = (static_cast<double>(upper ? ~bits : bits) + 0.5) * 0x1p-64;
  return -LogitsLog(upper ? LogitsLogOnePlus(t / (1 - t)) : -LogitsLog(t));
}

struct LogitsNoise {
  double gumbel;
  double uniform;  // [0, 1)
};

SYL_HOST_DEVICE inline LogitsNoise LogitsNoiseOf(uint64_t seed, uint32_t step, uint64_t stream, uint32_t index) {
  const uint32_t counter[4] = {index, 0x80000000 | step, static_cast<uint32_t>(stream),
                               static_cast<uint32_t>(stream >> 32)};
  const uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  uint32_t words[4];
  Philox4x32(counter, key, words);
  return {LogitsGumbel(static_cast<uint64_t>(words[1]) << 32 | words[0]),
          static_cast<double>(static_cast<uint64_t>(words[3]) << 21 | words[2] >> 11) * 0x1p-53};
}

// ---- Parts of a row ----

// argmax, second and draw of some of a row's columns.
struct LogitsBest {
  float max = -__builtin_inff();
  float second = -__builtin_inff();
  int32_t argmax = -1;
  int32_t racer = -1;  // leads in the draw: a token, or ~chunk
  double race = -__builtin_inf();

  // Of other columns.
  SYL_HOST_DEVICE void Add(const LogitsBest& other) {
    const bool wins =
        other.argmax >= 0 && (argmax < 0 || other.max > max || (other.max == max && other.argmax < argmax));
    const float loser = wins ? max : other.max, rival = wins ? other.second : second;
    second = loser > rival ? loser : rival;
    if (wins) max = other.max, argmax = other.argmax;
    if (other.race > race) race = other.race, racer = other.racer;
  }
};

// Sums over some of a row's columns, relative to exp(w) of the most probable one, which is left out.
struct LogitsSums {
  double w = -__builtin_inf();  // of that one
  int32_t argmax = -1;
  double sum = 0;       // of exp(w_i - w); NaN where a logit is
  double weighted = 0;  // of (w_i - w) exp(w_i - w)

  // Of other columns.
  SYL_HOST_DEVICE void Add(const LogitsSums& other) {
    const bool wins = other.argmax >= 0 && (argmax < 0 || other.w > w || (other.w == w && other.argmax < argmax));
    const LogitsSums low = wins ? *this : other;
    if (wins) *this = other;
    const double distance = low.w - w, factor = SpecExp(distance);  // 0 where it is no number
    if (factor > 0) weighted += factor * (low.weighted + distance * (low.sum + 1));
    sum += factor * (low.sum + 1);
  }

  // sum of exp(w_i - token_w) without the token, which is one of the columns.
  SYL_HOST_DEVICE double Without(int32_t token, double token_w) const {
    if (token == argmax) return sum;
    const double own = SpecExp(token_w - w);
    return (1 + (sum - own)) / own;
  }
};

// All of a row but the draw. tail: as syl_logits_stats has it.
SYL_HOST_DEVICE inline syl_logits_stats LogitsFinish(const LogitsBest& best, const LogitsSums& sums, double tail,
                                                     float inv_temperature) {
  constexpr float kInfinity = __builtin_inff();
  syl_logits_stats stats;
  stats.argmax = stats.token = best.argmax;
  stats.max = best.max;
  stats.second = best.second;
  stats.tail = stats.entropy = stats.margin = stats.probability = __builtin_nan("");
  stats.log_sum_exp = sums.sum == sums.sum ? sums.w : sums.sum;
  if (!(sums.sum == sums.sum && sums.w > -kInfinity && sums.w < kInfinity)) return stats;
  const double log_sum = LogitsLogOnePlus(sums.sum);
  stats.log_sum_exp = sums.w + log_sum;
  if (!(best.max > -kInfinity && best.max < kInfinity)) return stats;
  const double distance =
      static_cast<double>(best.second * inv_temperature) - static_cast<double>(best.max * inv_temperature);
  stats.tail = tail;
  stats.entropy = log_sum - sums.weighted / (1 + sums.sum);
  stats.probability = 1 / (1 + tail);
  stats.margin = stats.probability * (1 - SpecExp(distance));
  return stats;
}

// Index of the token that a winning chunk draws. weights: float exp(w) of its columns in units of any one number, 0
// past the end of its last block; at least one is above 0. sums: of its blocks, each in ascending order.
SYL_HOST_DEVICE inline int64_t LogitsChooseToken(const float* weights, const double* sums, int64_t blocks,
                                                 double uniform) {
  double whole = 0;
  for (int64_t b = 0; b < blocks; ++b) whole += sums[b];
  const SpecChunkChoice choice = SpecChooseChunk(sums, blocks, uniform * whole);
  const int64_t first = choice.chunk * kLogitsBlock;
  return first + SpecChooseToken(weights + first, kLogitsBlock, choice.before, uniform * whole);
}

// p of a token that was drawn.
SYL_HOST_DEVICE inline double LogitsProbability(const syl_logits_stats& stats, int32_t token, double w) {
  const double log_p = w - stats.log_sum_exp;
  return token == stats.argmax ? 1 / (1 + stats.tail) : SpecExp(log_p < 0 ? log_p : 0);
}

}  // namespace sylvester

#endif
