// A plan on a device.
#ifndef SYLVESTER_NATIVE_CUDA_HADAMARD_PLAN_H_
#define SYLVESTER_NATIVE_CUDA_HADAMARD_PLAN_H_

#include <sylvester/cuda.h>

#include <vector>

#include "native/common/hadamard_plan.h"
#include "native/cuda/hadamard/kernels.h"

struct syl_cuda_hadamard {
  sylvester::HadamardPlan plan;
  int device;
  int32_t multiprocessors;

  // One kernel does it all, or, where that is NULL, steps over rows in the workspace.
  sylvester::cuda::HadamardLaunch launch;
  // Steps: the network of the kernel that takes the lowest stages; 0: the steps take all.
  int32_t low_log2;
  sylvester::cuda::HadamardLaunch low_launch;

  // In one allocation on the device; NULL where the plan has none.
  void* memory;
  const uint32_t *signs, *base_signs, *base_signs_transposed;
  const int32_t *gather, *unnamed, *group_map, *members;
  int32_t unnamed_count;
};

namespace sylvester::cuda {

// Row i of a matrix [order][order] as bits, or column i; a base of 1 has none.
std::vector<uint32_t> BaseSigns(const std::vector<int8_t>& base, int32_t order, bool transposed);

// Chooses the kernels: launch, low_log2, low_launch. shared_limit: bytes that a block may have.
void ChooseHadamardKernels(int64_t shared_limit, syl_cuda_hadamard* plan);

// Enqueues a checked run, in either direction; from and to are x and y or y and x.
cudaError_t EnqueueHadamard(const syl_cuda_hadamard& plan, bool transposed, const void* from, void* to, float* scales,
                            float* zeros, int64_t first, int64_t count, float* workspace, cudaStream_t stream);

// Transforms that the workspace holds at a time.
int64_t HadamardWorkspaceRows(const syl_cuda_hadamard& plan, int64_t count);

}  // namespace sylvester::cuda

#endif
