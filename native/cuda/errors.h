// Answers of the CUDA runtime as status codes.
#ifndef SYLVESTER_NATIVE_CUDA_ERRORS_H_
#define SYLVESTER_NATIVE_CUDA_ERRORS_H_

#include <cstdint>

#include "native/common/status.h"
#include "native/cuda/device.h"

namespace sylvester::cuda {

// `call` is the text of what was asked; error is not cudaSuccess.
syl_status FailCuda(const char* function, const char* call, cudaError_t error);

// That a pointer, of device memory or of none, is aligned to so many bytes.
inline syl_status CheckAligned(const char* function, const char* name, const void* pointer, int64_t bytes) {
  if (reinterpret_cast<uintptr_t>(pointer) % static_cast<uintptr_t>(bytes) == 0) return SYL_OK;
  return Fail(SYL_BAD_VALUE, "%s: %s is %p, must be aligned to %d bytes", function, name, pointer,
              static_cast<int>(bytes));
}

}  // namespace sylvester::cuda

// Returns from an ABI function when a call of the CUDA runtime fails.
#define SYL_CUDA(call)                                                                              \
  do {                                                                                              \
    const cudaError_t syl_error_ = (call);                                                          \
    if (syl_error_ != cudaSuccess) return ::sylvester::cuda::FailCuda(__func__, #call, syl_error_); \
  } while (0)

#endif
