// Top-k and top-p: the bound on z that native/cpu/logits/cut.cc finds.
#include "native/cuda/logits/chunk.h"

namespace sylvester::cuda {
namespace {

// z of the tokens that take part.
struct CountedZ {
  LogitsTokenZ z;

  __device__ float operator()(int64_t i) const { return LogitsCounts(z.job.options, i) ? z(i) : kSpecNever; }
};

struct LogitsTopP {
  const CountedZ& z;
  float max, inv_temperature;
  int32_t bits;

  __device__ uint64_t Key(int64_t i) const { return SpecKey(z(i), i); }
  __device__ uint64_t Weight(uint32_t value) const {
    return TopPUnits(SpecExpF32((SpecValueOfKey(static_cast<uint64_t>(value) << 32) - max) * inv_temperature), bits);
  }
};

// OrderedBits of the least z that stays, or fewer: where all tokens stay, they can be those of no number.
template <typename Order>
__device__ uint32_t LeastBits(const SpecBlock& block, int64_t cols, uint64_t need, const Order& order) {
  return static_cast<uint32_t>(SpecLeastKey<32>(block, cols, need, order) >> 32);
}

// max: the largest z that takes part, finite.
__device__ float LeastOf(const SpecBlock& block, const LogitsJob& job, int64_t result, float max) {
  const CountedZ z{{job, result, kSpecNever}};
  uint32_t least = OrderedBits(kSpecNever);
  if (job.HasTopP()) {
    const LogitsTopP order{z, max, job.inv_temperature, TopPBits(job.cols)};
    uint64_t units = 0;
    for (int64_t i = SpecBlock::Thread(); i < job.cols; i += SpecBlock::Threads()) {
      units += order.Weight(OrderedBits(z(i)));
    }
    const double mass = TopPMass(block.Sum(units), order.bits);
    const uint32_t bits = LeastBits(block, job.cols, TopPNeed(job.options.top_p, mass, order.bits), order);
    least = bits > least ? bits : least;
  }
  if (job.HasTopK()) {
    const SpecTopK<CountedZ> order{z};
    const uint32_t bits = LeastBits(block, job.cols, static_cast<uint64_t>(job.options.top_k), order);
    least = bits > least ? bits : least;
  }
  return FromOrderedBits(least);
}

// Room for registers: for more blocks the compiler spills.
__global__ void __launch_bounds__(kLogitsThreads, 4) LogitsCutsKernel(LogitsRun run) {
  const SpecBlock block = SpecBlock::Make();
  for (int64_t result = blockIdx.x; result < run.job.count; result += gridDim.x) {
    if (!run.HasRow(result)) continue;
    LogitsCut& cut = run.cuts[result];
    if (SpecBlock::Thread() == 0) {
      const LogitsPart row = run.Merged(result);
      const LogitsTokenZ z{run.job, result, kSpecNever};
      const syl_logits_stats stats = LogitsFinishRow(run.job, result, row, z);
      cut = {LogitsIsSound(stats) ? row.best.max : kSpecNever, stats.second};
    }
    __syncthreads();
    const float max = cut.least;
    if (!(max > kSpecNever)) continue;  // as it is
    const float least = LeastOf(block, run.job, result, max);
    if (SpecBlock::Thread() == 0) cut.least = least;
  }
}

}  // namespace

cudaError_t LaunchLogitsCuts(const LogitsRun& run, cudaStream_t stream) {
  return Launch(LogitsCutsKernel, dim3(LogitsBlocks(run.job.count, kLogitsSlots)), dim3(kLogitsThreads),
                SpecBlock::kSharedBytes, stream, run);
}

}  // namespace sylvester::cuda
