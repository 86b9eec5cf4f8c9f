// Top-k and top-p of statistics: a bound on z, see sylvester/logits.h.
#ifndef SYLVESTER_NATIVE_CPU_LOGITS_CUT_H_
#define SYLVESTER_NATIVE_CPU_LOGITS_CUT_H_

#include <cstdint>

#include "native/common/logits_job.h"

namespace sylvester {

// The smallest z that stays in a row without NaN or +inf; -inf where no token needs to go.
float CutOfRow(const LogitsJob& job, int64_t result);

}  // namespace sylvester

#endif
