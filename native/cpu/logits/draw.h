// What a draw works on.
#ifndef SYLVESTER_NATIVE_CPU_LOGITS_DRAW_H_
#define SYLVESTER_NATIVE_CPU_LOGITS_DRAW_H_

#include <cstdint>

namespace sylvester {

// Names one set of random numbers. Purposes keep draws of different kinds at one position apart.
struct NoiseKey {
  uint64_t seed;
  uint64_t position;
  uint32_t purpose;
};

struct Candidate {
  float logit;
  int32_t token;
};

// The more probable first; ties in the order of ids.
inline bool MoreProbable(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

}  // namespace sylvester

#endif
