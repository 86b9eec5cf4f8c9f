// What may turn out to be wrong with a row only when it is read.
#ifndef SYLVESTER_NATIVE_COMMON_SPEC_FAILURE_H_
#define SYLVESTER_NATIVE_COMMON_SPEC_FAILURE_H_

#include <cstdint>

#include "native/common/host_device.h"

namespace sylvester {

struct Failure {
  enum Reason : int32_t { kNone, kTargetMax, kDraftMax, kProbabilitySum, kSparseSum };

  Reason reason = kNone;
  int64_t row = 0;
  double value = 0;

  SYL_HOST_DEVICE explicit operator bool() const { return reason != kNone; }
};

}  // namespace sylvester

#endif
