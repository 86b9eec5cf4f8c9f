#ifndef SYLVESTER_NATIVE_CPU_KRON_DELTA_H_
#define SYLVESTER_NATIVE_CPU_KRON_DELTA_H_

#include "native/common/kron_plan.h"

namespace sylvester {

// The checked arguments of syl_kron_delta.
struct KronDelta {
  KronShape shape;
  syl_dtype factor_type;
  const void *u, *v;
  double scale;
  bool accumulate;
  syl_dtype type;
  void* w;
  int64_t stride;
};

}  // namespace sylvester

#endif
