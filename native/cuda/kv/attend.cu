// The ABI of attend: workspace and launches.
#include <cinttypes>

#include "native/common/check.h"
#include "native/cuda/errors.h"
#include "native/cuda/kv/attend.h"
#include "native/cuda/kv/plan.h"

namespace sylvester::cuda {
namespace {

constexpr int64_t kMaxGrid = 0x7fffffff;  // blocks along x

// Sizes of a batch, in 64 bits, before anything is known to fit.
struct KvSizes {
  int64_t quads, key_products, splits;
  // Words of the workspace's parts; bytes of all.
  int64_t queries, digits, sums, per_query, partials, bytes;
};

// Parts begin at multiples of 16 bytes.
int64_t Padded(int64_t words) { return (words + 3) / 4 * 4; }

KvSizes SizesOf(const KvPlan& plan, const syl_cuda_kv_batch& batch) {
  const syl_kv_geometry& g = plan.geometry;
  const int64_t group = plan.options.group_keys, groups = plan.GroupsPerHead(plan.options.group_keys);
  KvSizes sizes = {};
  sizes.quads = (batch.max_rows * (g.q_heads / g.kv_heads) + kQuad - 1) / kQuad;
  for (int64_t first = 0; first < g.head_dim; first += group) {
    sizes.key_products += (std::min(group, g.head_dim - first) + kProductPlaces - 1) / kProductPlaces;
  }
  sizes.splits = (batch.max_tokens + kSplitTokens - 1) / kSplitTokens;
  const int64_t quads = batch.sequences * g.kv_heads * sizes.quads;
  sizes.queries = Padded(quads * kQuad * g.head_dim);
  sizes.digits = Padded(quads * sizes.key_products * kProductWords);
  sizes.sums = Padded(quads * kQuad * groups);
  sizes.per_query = Padded(quads * kQuad);
  // Fewer than 2^16 2^8 2^24 2^22 2^11 = 2^81: the only one that may be too much.
  if (__builtin_mul_overflow(quads * kQuad * (g.head_dim + 2), sizes.splits + 1, &sizes.partials) ||
      sizes.partials > int64_t{1} << 56) {
    sizes.partials = int64_t{1} << 56;
  }
  sizes.bytes = (sizes.queries + sizes.digits + sizes.sums + 2 * sizes.per_query + sizes.partials) * 4;
  return sizes;
}

syl_status CheckGrid(const char* function, const KvSizes& sizes) {
  if (sizes.quads * kQuad <= kMaxGrid / (sizes.splits + 1)) return SYL_OK;
  return Fail(SYL_BAD_VALUE, "%s: batch->max_rows and batch->max_tokens take more than 2^31 blocks", function);
}

void FillAttend(const KvPlan& plan, int32_t layer, const KvSizes& sizes, void* workspace, KvAttendJob* attend) {
  const syl_kv_geometry& g = plan.geometry;
  attend->heads_per_kv = static_cast<int32_t>(g.q_heads / g.kv_heads);
  attend->quads = static_cast<int32_t>(sizes.quads);
  attend->window = static_cast<int32_t>(std::min(plan.layers[layer].window, int64_t{INT32_MAX}));
  attend->scale = g.scale;
  attend->soft_cap = g.soft_cap;
  attend->key_products = static_cast<int32_t>(sizes.key_products);
  attend->splits = static_cast<int32_t>(sizes.splits);
  auto* words = static_cast<float*>(workspace);
  const auto take = [&](int64_t count) {
    float* part = words;
    words += count;
    return part;
  };
  attend->queries = take(sizes.queries);
  attend->digits = reinterpret_cast<uint32_t*>(take(sizes.digits));
  attend->sums = take(sizes.sums);
  attend->factors = take(sizes.per_query);
  attend->offsets = take(sizes.per_query);
  attend->partials = take(sizes.partials);
}

// The caller's arrays of attend.
struct Queries {
  const float* rows;
  int64_t stride;
};
struct Results {
  float* rows;
  int64_t stride;
};
struct Workspace {
  void* memory;
  int64_t bytes;
};

// What causal and bidirectional attention share; attend has its job, and what is unpacked.
syl_status Attend(const char* function, const syl_cuda_kv_plan* plan, int32_t layer, const syl_cuda_kv_batch& batch,
                  const Queries& q, const Results& y, int32_t products, const Workspace& workspace,
                  syl_cuda_stream stream, KvAttendJob* attend) {
  const syl_kv_geometry& g = plan->plan.geometry;
  if (syl_status s = CheckRows(function, "q", q.rows, q.stride, g.q_heads * g.head_dim)) return s;
  if (syl_status s = CheckRows(function, "y", y.rows, y.stride, g.q_heads * g.head_dim)) return s;
  CHECK_RANGE(products, SYL_CUDA_KV_MMA, SYL_CUDA_KV_DP4A);
  const KvSizes sizes = SizesOf(plan->plan, batch);
  if (syl_status s = CheckGrid(function, sizes)) return s;
  CHECK(workspace.bytes >= sizes.bytes, SYL_WORKSPACE, "workspace_bytes is %" PRId64 ", must be %" PRId64 " or more",
        workspace.bytes, sizes.bytes);
  if (syl_status s = CheckPointer(function, "workspace", workspace.memory, 16)) return s;
  attend->q = q.rows;
  attend->y = y.rows;
  attend->q_stride = q.stride;
  attend->y_stride = y.stride;
  FillAttend(plan->plan, layer, sizes, workspace.memory, attend);
  const auto on = static_cast<cudaStream_t>(stream);
  const auto launched = [&](const char* kernel, cudaError_t error) {
    return error == cudaSuccess ? SYL_OK : FailCuda(function, kernel, error);
  };
  if (syl_status s = launched("LaunchKvQueries", LaunchKvQueries(*attend, batch.sequences, on))) return s;
  const bool mma = products == SYL_CUDA_KV_MMA;
  if (syl_status s = launched("LaunchKvSplits", LaunchKvSplits(*attend, batch.sequences, mma, on))) return s;
  return launched("LaunchKvMerge", LaunchKvMerge(*attend, batch.sequences, on));
}

}  // namespace
}  // namespace sylvester::cuda

syl_status syl_cuda_kv_attend_workspace(const syl_cuda_kv_plan* plan, const syl_cuda_kv_batch* batch, int64_t* bytes) {
  SYL_REQUIRE_PTR(plan);
  SYL_REQUIRE_PTR(bytes);
  if (syl_status s = sylvester::cuda::CheckKvBatch(__func__, batch)) return s;
  const sylvester::cuda::KvSizes sizes = sylvester::cuda::SizesOf(plan->plan, *batch);
  if (syl_status s = sylvester::cuda::CheckGrid(__func__, sizes)) return s;
  *bytes = sizes.bytes;
  return SYL_OK;
}

syl_status syl_cuda_kv_attend_f32(const syl_cuda_kv_plan* plan, int32_t layer, const syl_cuda_kv_batch* batch,
                                  const syl_cuda_kv_halves* halves, const float* q, int64_t q_stride, float* y,
                                  int64_t y_stride, int32_t products, void* workspace, int64_t workspace_bytes,
                                  syl_cuda_stream stream) {
  sylvester::cuda::KvAttendJob attend = {};
  if (syl_status s = sylvester::cuda::MakeKvJob(__func__, plan, layer, batch, halves, &attend.job)) return s;
  return sylvester::cuda::Attend(__func__, plan, layer, *batch, {q, q_stride}, {y, y_stride}, products,
                                 {workspace, workspace_bytes}, stream, &attend);
}

syl_status syl_cuda_kv_attend_bidirectional_f32(const syl_cuda_kv_plan* plan, int32_t layer,
                                                const syl_cuda_kv_batch* batch, const int32_t* unpacked,
                                                const syl_cuda_kv_halves* halves, const float* q, int64_t q_stride,
                                                float* y, int64_t y_stride, int32_t products, void* workspace,
                                                int64_t workspace_bytes, syl_cuda_stream stream) {
  namespace cuda = sylvester::cuda;
  cuda::KvAttendJob attend = {};
  if (syl_status s = cuda::MakeKvJob(__func__, plan, layer, batch, halves, &attend.job)) return s;
  if (syl_status s = cuda::CheckPointer(__func__, "unpacked", unpacked, 4)) return s;
  const int64_t window = plan->plan.layers[layer].window;
  SYL_REQUIRE(window == 0, SYL_UNSUPPORTED, "layer is %d, but its sliding window of %" PRId64 " needs causal attention",
              layer, window);
  SYL_REQUIRE(batch->max_rows <= cuda::kMaxUnpacked, SYL_BAD_VALUE, "batch->max_rows is %" PRId64 ", must be 1..%d",
              batch->max_rows, cuda::kMaxUnpacked);
  attend.unpacked = unpacked;
  attend.max_unpacked = attend.job.window_tiles == 0 ? 0 : static_cast<int32_t>(batch->max_rows);
  return cuda::Attend(__func__, plan, layer, *batch, {q, q_stride}, {y, y_stride}, products,
                      {workspace, workspace_bytes}, stream, &attend);
}
