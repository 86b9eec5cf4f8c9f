// A plan of a packed cache on a device, and what each call checks.
#ifndef SYLVESTER_NATIVE_CUDA_KV_PLAN_H_
#define SYLVESTER_NATIVE_CUDA_KV_PLAN_H_

#include <sylvester/cuda.h>

#include <vector>

#include "native/cuda/kv/job.h"

struct syl_cuda_kv_plan {
  sylvester::KvPlan plan;
  int device;

  // In one allocation on the device.
  void* memory;
  sylvester::cuda::KvRotationJob rotation[2];  // of keys and values
  const float* centers[2];                     // [layers][kv_heads * head_dim]; NULL: none
  const float* gains;                          // of keys, as centers
};

namespace sylvester::cuda {

// Checks what all calls have in common. The job is complete.
syl_status MakeKvJob(const char* function, const syl_cuda_kv_plan* plan, int32_t layer, const syl_cuda_kv_batch* batch,
                     const syl_cuda_kv_halves* halves, KvJob* job);

// Of a batch alone.
syl_status CheckKvBatch(const char* function, const syl_cuda_kv_batch* batch);
syl_status CheckPointer(const char* function, const char* name, const void* pointer, uintptr_t alignment);
syl_status CheckRange(const char* function, const char* name, int64_t value, int64_t low, int64_t high);
// Rows of cols floats on the device.
syl_status CheckRows(const char* function, const char* name, const float* rows, int64_t stride, int64_t cols);

}  // namespace sylvester::cuda

#endif
