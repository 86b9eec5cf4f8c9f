// What Kronecker adapters share on a device: the product behind them, their application and their checks.
#ifndef SYLVESTER_NATIVE_CUDA_KRON_PRODUCT_H_
#define SYLVESTER_NATIVE_CUDA_KRON_PRODUCT_H_

#include "native/common/kron_plan.h"
#include "native/cuda/errors.h"

namespace sylvester::cuda {

// c = scale sum (+ c), each sum one chain of fused multiply-adds over the depth of the step. factors: of `type`.
cudaError_t LaunchKronStep(const KronStep& step, const float* a, syl_dtype type, const void* factors, float* c,
                           float scale, bool accumulate, cudaStream_t stream);

struct KronMemory {
  const float* x;
  int64_t x_stride;
  float* y;
  int64_t y_stride;
  void* workspace;
};

// y = scale delta x (+ y) of rows first .. first + rows - 1.
cudaError_t LaunchKron(const syl_kron& kron, bool transposed, float scale, const KronMemory& memory, int64_t first,
                       int64_t rows, bool accumulate, cudaStream_t stream);

// Of LaunchKron, in either direction.
int64_t KronWorkspaceBytes(const KronShape& shape, int64_t rows);

// That u and v of a checked adapter are aligned to their elements.
syl_status CheckKronAligned(const char* function, const syl_kron& kron);

}  // namespace sylvester::cuda

#endif
