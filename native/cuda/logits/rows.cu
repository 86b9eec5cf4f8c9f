#include "native/cuda/logits/chunk.h"

namespace sylvester::cuda {
namespace {

__device__ LogitsPart PartOf(const LogitsRun& run, int64_t result, int64_t number) {
  const LogitsJob& job = run.job;
  const LogitsChunk chunk(job, result, number, run.LeastOf(result));
  const int64_t argmax = chunk.Argmax();
  LogitsPart part;
  if (argmax >= 0) {
    part.best.max = chunk.Z(argmax);
    part.best.argmax = part.sums.argmax = static_cast<int32_t>(chunk.first() + argmax);
  }
  const float w = part.best.max * job.inv_temperature;
  part.sums.w = w;
  if (!(w - w == 0)) {
    if (chunk.HasNaN()) part.sums.sum = __builtin_nan("");
    return part;
  }
  part.best.second = chunk.SecondTo(argmax);
  chunk.Sums(LogitsExponential(part.best.max, job.inv_temperature), argmax, &part.sums.sum, &part.sums.weighted);
  if (!job.Draws()) return part;
  double log_mass = part.sums.w, sum = part.sums.sum, weighted;
  if (job.inv_temperature != job.inv_draw_temperature) {
    log_mass = part.best.max * job.inv_draw_temperature;
    chunk.Sums(LogitsExponential(part.best.max, job.inv_draw_temperature), argmax, &sum, &weighted);
  }
  part.best.race = log_mass + LogitsLogOnePlus(sum) + job.NoiseOf(result, static_cast<uint32_t>(number)).gumbel;
  part.best.racer = static_cast<int32_t>(~number);
  return part;
}

// Four blocks a multiprocessor: for a fifth the compiler spills.
__global__ void __launch_bounds__(kLogitsThreads, 4) LogitsChunksKernel(LogitsRun run) {
  const int64_t chunks = run.job.Chunks();
  for (int64_t task = blockIdx.x; task < run.job.count * chunks; task += gridDim.x) {
    if (!run.HasRow(task / chunks)) continue;
    const LogitsPart part = PartOf(run, task / chunks, task % chunks);
    if (SpecBlock::Thread() == 0) run.parts[task] = part;
  }
}

// A row without its drawn token.
__device__ syl_logits_stats Merge(const LogitsRun& run, int64_t result) {
  if (!run.HasRow(result)) {
    LogitsPart row;
    row.sums.sum = __builtin_nan("");
    return LogitsFinish(row.best, row.sums, row.sums.sum, run.job.inv_temperature);
  }
  const LogitsTokenZ z{run.job, result, run.LeastOf(result)};
  syl_logits_stats stats = LogitsFinishRow(run.job, result, run.Merged(result), z);
  if (run.cuts != nullptr) stats.second = run.cuts[result].second;
  return stats;
}

// The token of the chunk that has won the draw; thread 0's.
__device__ int32_t DrawFrom(const LogitsRun& run, int64_t result, int64_t number) {
  const LogitsChunk chunk(run.job, result, number, run.LeastOf(result));
  const LogitsExponential exponential(chunk.Z(chunk.Argmax()), run.job.inv_draw_temperature);
  float* const weights = run.weights + blockIdx.x * kLogitsChunk;
  double* const sums = run.sums + blockIdx.x * kLogitsChunkBlocks;
  for (int64_t i = SpecBlock::Thread(); i < chunk.blocks() * kLogitsBlock; i += SpecBlock::Threads()) {
    weights[i] = chunk.Weight(exponential, i);
  }
  __syncthreads();
  for (int64_t b = SpecBlock::Thread(); b < chunk.blocks(); b += SpecBlock::Threads()) {
    double sum = 0;
    for (int64_t i = 0; i < kLogitsBlock; ++i) sum += static_cast<double>(weights[b * kLogitsBlock + i]);
    sums[b] = sum;
  }
  __syncthreads();
  if (SpecBlock::Thread() > 0) return -1;
  const double uniform = run.job.NoiseOf(result, static_cast<uint32_t>(number)).uniform;
  return static_cast<int32_t>(chunk.first() + LogitsChooseToken(weights, sums, chunk.blocks(), uniform));
}

__global__ void __launch_bounds__(kLogitsThreads) LogitsFinishKernel(LogitsRun run) {
  for (int64_t result = blockIdx.x; result < run.job.count; result += gridDim.x) {
    syl_logits_stats& stats = run.stats[result];
    if (SpecBlock::Thread() == 0) {
      stats = Merge(run, result);
      if (!LogitsIsSound(stats)) atomicMin(&run.header->first_failure, static_cast<unsigned long long>(result));
    }
    if (!run.job.Draws()) continue;
    __syncthreads();
    const bool sound = LogitsIsSound(stats);
    int32_t token = sound ? stats.token : -1;
    __syncthreads();  // before thread 0 writes
    if (sound && token < 0) token = DrawFrom(run, result, ~static_cast<int64_t>(token));
    if (SpecBlock::Thread() > 0) continue;
    if (sound) {
      LogitsSetToken(run.job, token, LogitsTokenZ{run.job, result, run.LeastOf(result)}, &stats);
    } else {
      stats.token = -1;
    }
  }
}

}  // namespace

cudaError_t LaunchLogitsChunks(const LogitsRun& run, cudaStream_t stream) {
  return Launch(LogitsChunksKernel, dim3(LogitsBlocks(run.job.count * run.job.Chunks(), INT32_MAX)),
                dim3(kLogitsThreads), LogitsChunk::kSharedBytes, stream, run);
}

cudaError_t LaunchLogitsFinish(const LogitsRun& run, cudaStream_t stream) {
  return Launch(LogitsFinishKernel, dim3(LogitsBlocks(run.job.count, kLogitsSlots)), dim3(kLogitsThreads),
                LogitsChunk::kSharedBytes, stream, run);
}

}  // namespace sylvester::cuda
