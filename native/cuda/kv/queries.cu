// Queries, rotated and as integers of two digits. A block takes a quad, a warp one query of it.
#include "native/cuda/kv/attend.h"
#include "native/cuda/kv/product.h"
#include "native/cuda/kv/rotate.h"

namespace sylvester::cuda {
namespace {

constexpr int kThreads = 32 * kQuad;

// The query, rotated, in row; returns what the mean of the keys adds to its scores.
__device__ float LoadQuery(const KvAttendJob& attend, const KvQuad& quad, int query, SharedPtr<float> row,
                           SharedPtr<float> scratch, int lane) {
  const KvJob& job = attend.job;
  const int d = job.head_dim, v = quad.first + query;
  if (query >= quad.queries) {
    for (int c = lane; c < d; c += warpSize) row[c] = 0;
    __syncwarp();
    return 0;
  }
  const int64_t at = job.row_starts[quad.sequence] + v / attend.heads_per_kv;
  const int head = quad.head * attend.heads_per_kv + v % attend.heads_per_kv;
  const float* from = attend.q + at * attend.q_stride + int64_t{head} * d;
  const float *center = job.side[SYL_KV_KEYS].center, *gain = job.side[SYL_KV_KEYS].gain;
  float offset = 0;
  for (int c = lane; c < d; c += warpSize) {
    const float value = from[c];
    row[c] = gain == nullptr ? value : value / gain[quad.head * d + c];
    if (center != nullptr) offset += value * center[quad.head * d + c];
  }
  __syncwarp();
  KvRotate(job.side[SYL_KV_KEYS].rotation, false, row, scratch, lane);
  return KvWarpSum(offset) * attend.scale;
}

// The digits of a query as columns of products, a word a lane of the lower half.
__device__ void StoreDigits(const KvAttendJob& attend, const KvQuad& quad, int query, SharedPtr<const int32_t> numbers,
                            int lane) {
  const int d = attend.job.head_dim;
  const KvSideJob& side = attend.job.side[SYL_KV_KEYS];
  uint32_t* to = attend.digits + quad.index * attend.key_products * kProductWords;
  const int lower = lane / 8, word = lane / 4 % 2, place = lane % 4;
  if (lower > 1) return;
  for (int g = 0; g < side.groups_per_head; ++g) {
    const int begin = g * side.group, n = min(side.group, d - begin);
    for (int first = 0; first < n; first += kProductPlaces, to += kProductWords) {
      const int at = first + 8 * place + 4 * word;
      const auto number = [&](int i) -> int { return at + i < n ? static_cast<int>(numbers[begin + at + i]) : 0; };
      to[32 * word + 4 * (2 * query + lower) + place] = KvDigitWord(number, lower == 0);
    }
  }
}

__global__ void __launch_bounds__(kThreads) KvQueryKernel(KvAttendJob attend) {
  const KvJob& job = attend.job;
  const KvQuad quad = KvQuadOf(attend, static_cast<int>(blockIdx.x));
  if (quad.queries == 0) return;
  const int query = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32, d = job.head_dim;
  const SharedPtr<float> row = DynamicShared<float>(0, static_cast<size_t>(kQuad * d)) + query * d;
  // The rotation's scratch, then the integers.
  const SharedPtr<float> scratch =
      DynamicShared<float>(kQuad * d * sizeof(float), static_cast<size_t>(kQuad * d)) + query * d;
  const SharedPtr<int32_t> numbers = SharedCast<int32_t>(scratch);

  const float offset = LoadQuery(attend, quad, query, row, scratch, lane);
  float most = 0;
  for (int c = lane; c < d; c += warpSize) {
    const float value = row[c];
    most = fmaxf(most, fabsf(value));
    attend.queries[(quad.index * kQuad + query) * d + c] = value;
  }
  most = KvWarpMax(most);
  const float inverse = most > 0 ? kKvDigitsMax / most : 0;
  for (int c = lane; c < d; c += warpSize) {
    numbers[c] = min(max(__float2int_rn(row[c] * inverse), -kKvDigitsMax), kKvDigitsMax);
  }
  __syncwarp();
  StoreDigits(attend, quad, query, numbers, lane);
  const KvSideJob& side = job.side[SYL_KV_KEYS];
  for (int g = 0; g < side.groups_per_head; ++g) {
    int sum = 0;
    for (int c = g * side.group + lane; c < min((g + 1) * side.group, d); c += warpSize) sum += numbers[c];
    sum = __reduce_add_sync(kAllLanes, sum);
    if (lane == 0) {
      attend.sums[(quad.index * kQuad + query) * side.groups_per_head + g] = static_cast<float>(sum);
    }
  }
  if (lane == 0) {
    attend.factors[quad.index * kQuad + query] = most / kKvDigitsMax * attend.scale;
    attend.offsets[quad.index * kQuad + query] = attend.soft_cap == 0 ? 0 : offset;
  }
}

}  // namespace

cudaError_t LaunchKvQueries(const KvAttendJob& attend, int32_t sequences, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(attend.quads), static_cast<unsigned>(attend.job.kv_heads),
                  static_cast<unsigned>(sequences));
  const size_t bytes = 2 * kQuad * static_cast<size_t>(attend.job.head_dim) * sizeof(float);
  return Launch(KvQueryKernel, grid, dim3(kThreads), bytes, stream, attend);
}

}  // namespace sylvester::cuda
