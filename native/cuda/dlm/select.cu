#include <sylvester/cuda.h>

#include "native/common/dlm_rules.h"
#include "native/cuda/errors.h"
#include "native/cuda/spec/block.h"

namespace sylvester::cuda {
namespace {

constexpr unsigned kDlmThreads = 256;

struct DlmCall {
  syl_dlm_rule rule;
  const syl_logits_stats* stats;
  const uint8_t* masked;
  int64_t count;
  int32_t* selected;
  int64_t* selected_count;

  __device__ bool IsCandidate(int64_t i) const { return masked == nullptr || masked[i] != 0; }
};

// Above 0, larger for larger scores. Zeros of both signs are equal.
__device__ uint64_t KeyOf(double score) {
  const auto bits = static_cast<uint64_t>(__double_as_longlong(score + 0.0));
  return bits >> 63 != 0 ? ~bits : bits | uint64_t{1} << 63;
}

// Again and again the first of those after the last one, which takes a pass over the candidates but no memory.
__global__ void __launch_bounds__(kDlmThreads, 4) DlmSelectKernel(DlmCall call) {
  const SpecBlock block = SpecBlock::Make();
  uint64_t candidates = 0, first_nan = 0;
  for (int64_t i = SpecBlock::Thread(); i < call.count; i += SpecBlock::Threads()) {
    if (!call.IsCandidate(i)) continue;
    ++candidates;
    const double score = DlmScore(call.rule, call.stats[i]);
    if (score != score && first_nan == 0) first_nan = ~static_cast<uint64_t>(i);
  }
  candidates = block.Sum(candidates);
  first_nan = block.Max(first_nan);
  if (first_nan != 0) {
    if (SpecBlock::Thread() == 0) *call.selected_count = -1 - static_cast<int64_t>(~first_nan);
    return;
  }
  uint64_t last_key = ~uint64_t{0};
  int64_t last = -1, n = 0;
  for (double entropy = 0; n < static_cast<int64_t>(candidates); ++n) {
    uint64_t own_key = 0;
    int64_t own = 0;
    for (int64_t i = SpecBlock::Thread(); i < call.count; i += SpecBlock::Threads()) {
      if (!call.IsCandidate(i)) continue;
      const uint64_t key = KeyOf(DlmScore(call.rule, call.stats[i]));
      const bool is_left = key < last_key || (key == last_key && i > last);
      if (is_left && key > own_key) own_key = key, own = i;
    }
    last_key = block.Max(own_key);
    last = static_cast<int64_t>(~block.Max(own_key == last_key ? ~static_cast<uint64_t>(own) : 0));
    const syl_logits_stats& stats = call.stats[last];
    if (!DlmTakes(call.rule, n, static_cast<int64_t>(candidates), entropy, stats)) break;
    if (SpecBlock::Thread() == 0) call.selected[n] = static_cast<int32_t>(last);
    entropy += stats.entropy;
  }
  if (SpecBlock::Thread() == 0) *call.selected_count = n;
}

}  // namespace
}  // namespace sylvester::cuda

using namespace sylvester;
using namespace sylvester::cuda;

syl_status syl_cuda_dlm_select(const syl_dlm_rule* rule, const syl_logits_stats* stats, const uint8_t* masked,
                               int64_t count, int32_t* selected, int64_t* selected_count, syl_cuda_stream stream) {
  if (const syl_status bad = CheckDlmCall(__func__, rule, stats, count, selected, selected_count)) return bad;
  if (const syl_status bad = CheckAligned(__func__, "stats", stats, 8)) return bad;
  if (const syl_status bad = CheckAligned(__func__, "selected", selected, 4)) return bad;
  if (const syl_status bad = CheckAligned(__func__, "selected_count", selected_count, 8)) return bad;
  const DlmCall call = {*rule, stats, masked, count, selected, selected_count};
  SYL_CUDA(Launch(DlmSelectKernel, dim3(1), dim3(kDlmThreads), SpecBlock::kSharedBytes,
                  static_cast<cudaStream_t>(stream), call));
  return SYL_OK;
}

syl_status syl_cuda_dlm_select_wait(const int64_t* selected_count, int64_t* count, syl_cuda_stream stream) {
  SYL_REQUIRE_PTR(selected_count);
  SYL_REQUIRE_PTR(count);
  int64_t found;
  const auto from = static_cast<cudaStream_t>(stream);
  SYL_CUDA(cudaMemcpyAsync(&found, selected_count, sizeof(found), cudaMemcpyDeviceToHost, from));
  SYL_CUDA(cudaStreamSynchronize(from));
  if (found < 0) return FailDlmScore("syl_cuda_dlm_select", -1 - found);
  *count = found;
  return SYL_OK;
}
