// What the kernels of statistics are told.
#ifndef SYLVESTER_NATIVE_CUDA_LOGITS_JOB_H_
#define SYLVESTER_NATIVE_CUDA_LOGITS_JOB_H_

#include "native/common/logits_job.h"
#include "native/cuda/device.h"

namespace sylvester::cuda {

constexpr unsigned kLogitsThreads = 256;
constexpr int64_t kLogitsChunkBlocks = kLogitsChunk / kLogitsBlock;
constexpr int64_t kLogitsSlots = 1024;  // rows that are finished at a time

// At the start of the workspace.
struct LogitsHeader {
  unsigned long long first_failure;  // a result; ~0: none
  const int32_t* list;
  const syl_logits_stats* stats;
  int64_t rows;
};

struct LogitsRun {
  LogitsJob job;  // with device pointers
  int64_t rows;
  LogitsHeader* header;
  syl_logits_stats* stats;
  LogitsPart* parts;  // results x chunks
  float* weights;     // kLogitsChunk a slot; nullptr without draws
  double* sums;       // kLogitsChunkBlocks a slot

  __device__ bool HasRow(int64_t result) const {
    const int64_t row = job.RowOf(result);
    return row >= 0 && row < rows;
  }
};

cudaError_t LaunchLogitsChunks(const LogitsRun& run, cudaStream_t stream);
cudaError_t LaunchLogitsFinish(const LogitsRun& run, cudaStream_t stream);

}  // namespace sylvester::cuda

#endif
