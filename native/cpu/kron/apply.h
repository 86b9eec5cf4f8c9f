#ifndef SYLVESTER_NATIVE_CPU_KRON_APPLY_H_
#define SYLVESTER_NATIVE_CPU_KRON_APPLY_H_

#include "native/common/pool.h"
#include "native/cpu/kron/packed.h"

namespace sylvester {

struct KronRows {
  const float* x;
  int64_t x_stride;
  float* y;
  int64_t y_stride;
};

// syl_kron_apply_f32 with checked arguments.
void ApplyKron(const KronPacked& packed, float scale, const KronRows& r, int64_t rows, bool accumulate, void* workspace,
               syl_pool* pool);

}  // namespace sylvester

#endif
