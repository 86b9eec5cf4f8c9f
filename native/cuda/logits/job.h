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

// What filters do to a row.
struct LogitsCut {
  float least;   // tokens with a smaller z do not exist
  float second;  // of all tokens
};

struct LogitsRun {
  LogitsJob job;  // with device pointers
  int64_t rows;
  LogitsHeader* header;
  syl_logits_stats* stats;
  LogitsPart* parts;  // results x chunks
  LogitsCut* cuts;    // one a result; nullptr: no token is dropped
  float* weights;     // kLogitsChunk a slot; nullptr without draws
  double* sums;       // kLogitsChunkBlocks a slot

  __device__ bool HasRow(int64_t result) const {
    const int64_t row = job.RowOf(result);
    return row >= 0 && row < rows;
  }
  __device__ float LeastOf(int64_t result) const { return cuts == nullptr ? -__builtin_inff() : cuts[result].least; }

  // Of a row's chunks, in ascending order.
  __device__ LogitsPart Merged(int64_t result) const {
    LogitsPart row;
    const int64_t chunks = job.Chunks();
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const LogitsPart& part = parts[result * chunks + chunk];
      row.best.Add(part.best);
      row.sums.Add(part.sums);
    }
    return row;
  }
};

inline unsigned LogitsBlocks(int64_t tasks, int64_t most) { return static_cast<unsigned>(tasks < most ? tasks : most); }

cudaError_t LaunchLogitsChunks(const LogitsRun& run, cudaStream_t stream);
// From the parts of all tokens.
cudaError_t LaunchLogitsCuts(const LogitsRun& run, cudaStream_t stream);
cudaError_t LaunchLogitsFinish(const LogitsRun& run, cudaStream_t stream);

}  // namespace sylvester::cuda

#endif
