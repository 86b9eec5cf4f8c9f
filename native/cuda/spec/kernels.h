// The two kernels of verification and their launches.
#ifndef SYLVESTER_NATIVE_CUDA_SPEC_KERNELS_H_
#define SYLVESTER_NATIVE_CUDA_SPEC_KERNELS_H_

#include "native/cuda/spec/job.h"

namespace sylvester::cuda {

constexpr int64_t kSpecSlots = 256;  // most blocks of a launch, which loop

// Reads the rows that will be needed, whatever is accepted: a block takes a row.
cudaError_t LaunchSpecRows(const SpecJob& job, unsigned blocks, unsigned threads, cudaStream_t stream);

// Goes through the trees: a block takes a sequence. The last block writes the results.
cudaError_t LaunchSpecWalk(const SpecJob& job, unsigned blocks, unsigned threads, cudaStream_t stream);

}  // namespace sylvester::cuda

#endif
