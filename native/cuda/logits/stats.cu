// Arguments, workspace and launches of statistics.
#include <sylvester/cuda.h>

#include <algorithm>
#include <new>
#include <vector>

#include "native/common/align.h"
#include "native/common/logits_check.h"
#include "native/cuda/errors.h"
#include "native/cuda/logits/job.h"

namespace sylvester::cuda {
namespace {

// Offsets in an aligned workspace; header and ids are copied together.
struct LogitsLayout {
  LogitsLayout(const syl_logits_options& options, int64_t cols, int64_t count) {
    const int64_t chunks = LogitsChunks(cols);
    const int64_t slots = options.draw_temperature > 0 ? std::min(count, kLogitsSlots) : 0;
    banned = Aligned(sizeof(LogitsHeader));
    ignored = banned + options.banned_count * 4;
    cuts = Aligned(ignored + options.ignored_count * 4);
    parts = cuts + Aligned(count * static_cast<int64_t>(sizeof(LogitsCut)));
    sums = parts + Aligned(count * chunks * static_cast<int64_t>(sizeof(LogitsPart)));
    weights = sums + slots * kLogitsChunkBlocks * 8;
    bytes = weights + slots * kLogitsChunk * 4 + kAlignment;  // for the caller's alignment
  }

  int64_t banned, ignored, cuts, parts, sums, weights, bytes;
};

}  // namespace
}  // namespace sylvester::cuda

using namespace sylvester;
using namespace sylvester::cuda;

syl_status syl_cuda_logits_stats_workspace(const syl_logits_options* options, int64_t cols, int64_t count,
                                           int64_t* bytes) {
  if (const syl_status bad = CheckLogitsSizes(__func__, options, cols, count)) return bad;
  SYL_REQUIRE_PTR(bytes);
  *bytes = LogitsLayout(*options, cols, count).bytes;
  return SYL_OK;
}

syl_status syl_cuda_logits_stats_of(const syl_logits_options* options, const void* logits, const void* unconditional,
                                    int64_t stride, int64_t rows, int64_t cols, const int32_t* list,
                                    const uint64_t* streams, int64_t count, syl_logits_stats* stats, void* workspace,
                                    int64_t workspace_bytes, syl_cuda_stream stream) {
  if (const syl_status bad = CheckLogitsCall(__func__, options, logits, stride, rows, cols, list, count, stats)) {
    return bad;
  }
  SYL_REQUIRE_PTR(workspace);
  const LogitsLayout layout(*options, cols, count);
  SYL_REQUIRE(workspace_bytes >= layout.bytes, SYL_WORKSPACE, "workspace_bytes is %lld, must be at least %lld",
              static_cast<long long>(workspace_bytes), static_cast<long long>(layout.bytes));
  const int64_t element = options->type == SYL_F32 ? 4 : 2;
  const struct {
    const char* name;
    const void* pointer;
    int64_t alignment;
  } pointers[] = {{"logits", logits, element},
                  {"unconditional", unconditional, element},
                  {"list", list, 4},
                  {"streams", streams, 8},
                  {"stats", stats, 8}};
  for (const auto& p : pointers) {
    if (const syl_status bad = CheckAligned(__func__, p.name, p.pointer, p.alignment)) return bad;
  }
  uint8_t* const base = Aligned(workspace);
  const auto to = static_cast<cudaStream_t>(stream);
  LogitsRun run = {LogitsJob(*options, logits, unconditional, stride, cols),
                   rows,
                   reinterpret_cast<LogitsHeader*>(base),
                   stats,
                   reinterpret_cast<LogitsPart*>(base + layout.parts),
                   nullptr,
                   reinterpret_cast<float*>(base + layout.weights),
                   reinterpret_cast<double*>(base + layout.sums)};
  run.job.list = list;
  run.job.streams = streams;
  run.job.count = count;
  run.job.options.banned = reinterpret_cast<const int32_t*>(base + layout.banned);
  run.job.options.ignored = reinterpret_cast<const int32_t*>(base + layout.ignored);
  try {
    std::vector<uint8_t> copied(static_cast<size_t>(layout.cuts));
    const LogitsHeader header = {~0ull, list, stats, rows};
    std::copy_n(reinterpret_cast<const uint8_t*>(&header), sizeof(header), copied.data());
    std::copy_n(options->banned, options->banned_count, reinterpret_cast<int32_t*>(copied.data() + layout.banned));
    std::copy_n(options->ignored, options->ignored_count, reinterpret_cast<int32_t*>(copied.data() + layout.ignored));
    SYL_CUDA(cudaMemcpyAsync(base, copied.data(), copied.size(), cudaMemcpyHostToDevice, to));
  } catch (const std::bad_alloc&) {
    return Fail(SYL_OUT_OF_MEMORY, "%s: out of host memory", __func__);
  }
  if (count == 0) return SYL_OK;
  SYL_CUDA(LaunchLogitsChunks(run, to));
  if (run.job.HasTopK() || run.job.HasTopP()) {
    run.cuts = reinterpret_cast<LogitsCut*>(base + layout.cuts);
    SYL_CUDA(LaunchLogitsCuts(run, to));
    SYL_CUDA(LaunchLogitsChunks(run, to));
  }
  SYL_CUDA(LaunchLogitsFinish(run, to));
  return SYL_OK;
}

syl_status syl_cuda_logits_stats_wait(const void* workspace, syl_cuda_stream stream) {
  SYL_REQUIRE_PTR(workspace);
  const auto from = static_cast<cudaStream_t>(stream);
  const auto read = [&](void* host, const void* device, size_t bytes) {
    const cudaError_t error = cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, from);
    return error != cudaSuccess ? error : cudaStreamSynchronize(from);
  };
  LogitsHeader header;
  SYL_CUDA(read(&header, Aligned(const_cast<void*>(workspace)), sizeof(header)));
  if (header.first_failure == ~0ull) return SYL_OK;
  constexpr const char* kFunction = "syl_cuda_logits_stats_of";
  const auto result = static_cast<int64_t>(header.first_failure);
  auto row = static_cast<int32_t>(result);
  if (header.list != nullptr) SYL_CUDA(read(&row, header.list + result, sizeof(row)));
  if (const syl_status bad = CheckLogitsRow(kFunction, result, row, header.rows)) return bad;
  syl_logits_stats stats;
  SYL_CUDA(read(&stats, header.stats + result, sizeof(stats)));
  return CheckLogitsResult(kFunction, row, result, stats);
}
