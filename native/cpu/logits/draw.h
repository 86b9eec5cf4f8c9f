// Gumbel-max draws: the token with the largest z + noise, step 7 of sylvester/logits.h. Ties go to the smaller id.
#ifndef SYLVESTER_NATIVE_CPU_LOGITS_DRAW_H_
#define SYLVESTER_NATIVE_CPU_LOGITS_DRAW_H_

#include <cstdint>

#include "native/cpu/logits/row.h"

namespace sylvester {

// Names one set of random numbers. Purposes keep draws of different kinds at one position apart.
struct NoiseKey {
  uint64_t seed;
  uint64_t position;
  uint32_t purpose;
};

// Of a whole row, whose largest logit is scale.max and finite. NaN never wins.
int32_t DrawFromRow(const NoiseKey& key, const float* logits, int64_t cols, const Scale& scale);

// Of count tokens in any order; at least one z is finite. Returns the index.
int64_t DrawFromList(const NoiseKey& key, const float* z, const int32_t* ids, int64_t count);

}  // namespace sylvester

#endif
