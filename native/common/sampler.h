// What a sampler's fields mean, and the checks of its arguments, for every device (sylvester/logits.h).
#ifndef SYLVESTER_NATIVE_COMMON_SAMPLER_H_
#define SYLVESTER_NATIVE_COMMON_SAMPLER_H_

#include <sylvester/logits.h>

#include <cstdint>
#include <cstring>

#include "native/common/host_device.h"

namespace sylvester {

// name and index, for messages: "samplers", 3; "sampler", -1 when there is only one.
syl_status CheckSampler(const char* function, const char* name, int64_t index, const syl_sampler& sampler);

// ids[begin] .. ids[end - 1]: tokens.
syl_status CheckIds(const char* function, const char* name, const int32_t* ids, int64_t begin, int64_t end,
                    int64_t cols);

// values[begin] .. values[end - 1]: finite or -inf.
syl_status CheckBias(const char* function, const char* name, const float* values, int64_t begin, int64_t end);

inline bool IsGreedy(const syl_sampler& s) { return s.temperature == 0; }

bool Penalises(const syl_sampler& sampler);

inline bool HasFilters(const syl_sampler& s, int64_t cols) {
  return (s.top_k > 0 && s.top_k < cols) || s.top_p < 1 || s.min_p > 0;
}

float InverseTemperature(const syl_sampler& sampler);

// Step 6: tokens below it are dropped.
float LeastZ(const syl_sampler& sampler);

// Larger for a larger value, the same for 0 and -0. No NaN.
SYL_HOST_DEVICE inline uint32_t OrderedBits(float value) {
  value += 0.0f;  // no -0
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000;
}

SYL_HOST_DEVICE inline float FromOrderedBits(uint32_t ordered) {
  const uint32_t bits = ordered >> 31 != 0 ? ordered & 0x7fffffff : ~ordered;
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

// Step 5 counts exp(z) in whole units of 2^-TopPBits(cols), so that sums do not depend on the order: tokens are kept,
// the most probable ones first, until together they have TopPNeed units, or all units that there are. mass: the sum of
// exp(z), of all tokens in double (spec_rules.h) or, of those that top-k has left, in units.
SYL_HOST_DEVICE inline int32_t TopPBits(int64_t cols) {
  int32_t bits = 62;
  while (int64_t{1} << (62 - bits) < cols) --bits;
  return bits;
}
SYL_HOST_DEVICE inline uint64_t TopPUnits(double e, int32_t bits) {
  return static_cast<uint64_t>(e * static_cast<double>(int64_t{1} << bits));
}
// exp(z) of so many units.
SYL_HOST_DEVICE inline double TopPMass(uint64_t units, int32_t bits) {
  return static_cast<double>(units) * (1.0 / static_cast<double>(int64_t{1} << bits));
}
SYL_HOST_DEVICE inline uint64_t TopPNeed(float top_p, double mass, int32_t bits) {
  const uint64_t need = TopPUnits(top_p * mass, bits);
  return need > 0 ? need : 1;
}

}  // namespace sylvester

#endif
