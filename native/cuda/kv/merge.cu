// The partial results of a query in the order of their tokens, rotated back. A block takes a query: each warp an equal
// share of the splits, the first then those of the others.
#include "native/cuda/kv/attend.h"
#include "native/cuda/kv/rotate.h"

namespace sylvester::cuda {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / 32;
constexpr int kValues = kMaxHeadDim / 32;  // channels of a lane

struct Merged {
  float most = KvMinusInfinity(), sum = 0;
  float values[kValues] = {};

  // partial: head_dim values, maximum, sum.
  template <typename Partial>
  __device__ void Add(const Partial& partial, int d, int lane) {
    const float other = partial[d];
    if (other == KvMinusInfinity()) return;
    const float after = fmaxf(most, other);
    const float old_factor = most == KvMinusInfinity() ? 0 : expf(most - after), new_factor = expf(other - after);
    most = after;
    sum = sum * old_factor + partial[d + 1] * new_factor;
#pragma unroll
    for (int i = 0; i < kValues; ++i) {
      if (32 * i + lane < d) values[i] = values[i] * old_factor + partial[32 * i + lane] * new_factor;
    }
  }
};

// With ten blocks a processor there are 48 registers; told nothing, ptxas takes 40 for 9.0 and spills.
__global__ void __launch_bounds__(kThreads, 10) KvMergeKernel(KvAttendJob attend) {
  const KvJob& job = attend.job;
  const int query = static_cast<int>(blockIdx.x) % kQuad, d = job.head_dim;
  const KvQuad quad = KvQuadOf(attend, static_cast<int>(blockIdx.x) / kQuad);
  if (query >= quad.queries) return;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const SharedPtr<float> results = DynamicShared<float>(0, static_cast<size_t>(kWarps * (d + 2)));

  const KvView view = KvViewOf(attend, quad, query);
  const int first = view.begin / kSplitTokens, splits = max((view.packed + kSplitTokens - 1) / kSplitTokens - first, 0);
  const int each = (splits + kWarps - 1) / kWarps;
  Merged merged;
  for (int i = warp * each; i < min((warp + 1) * each, splits); ++i) {
    merged.Add(KvPartial(attend, quad, first + i, query), d, lane);
  }
  const SharedPtr<float> result = results + warp * (d + 2);
#pragma unroll
  for (int i = 0; i < kValues; ++i) {
    if (32 * i + lane < d) result[32 * i + lane] = merged.values[i];
  }
  if (lane == 0) {
    result[d] = merged.most;
    result[d + 1] = merged.sum;
  }
  __syncthreads();
  if (warp > 0) return;
  for (int w = 1; w < kWarps; ++w) merged.Add(results + w * (d + 2), d, lane);
  if (job.window_tiles > 0 || job.sink_capacity > 0) {
    merged.Add(KvPartial(attend, quad, attend.splits, query), d, lane);
  }

  // The warp has read all results: their memory is the row and the scratch of the rotation.
  __syncwarp();
  const SharedPtr<float> row = results;
#pragma unroll
  for (int i = 0; i < kValues; ++i) {
    if (32 * i + lane < d) row[32 * i + lane] = merged.values[i] / merged.sum;
  }
  __syncwarp();
  const KvSideJob& side = job.side[SYL_KV_VALUES];
  KvRotate(side.rotation, true, row, results + (d + 2), lane);
  const int v = quad.first + query, head = quad.head * attend.heads_per_kv + v % attend.heads_per_kv;
  const int64_t at = job.row_starts[quad.sequence] + v / attend.heads_per_kv;
  float* y = attend.y + at * attend.y_stride + int64_t{head} * d;
  for (int c = lane; c < d; c += warpSize) {
    const float value = row[c];
    y[c] = side.center == nullptr ? value : value + side.center[quad.head * d + c];
  }
}

}  // namespace

cudaError_t LaunchKvMerge(const KvAttendJob& attend, int32_t sequences, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(attend.quads * kQuad), static_cast<unsigned>(attend.job.kv_heads),
                  static_cast<unsigned>(sequences));
  const size_t bytes = kWarps * static_cast<size_t>(attend.job.head_dim + 2) * sizeof(float);
  return Launch(KvMergeKernel, grid, dim3(kThreads), bytes, stream, attend);
}

}  // namespace sylvester::cuda
