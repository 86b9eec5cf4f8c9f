// Arguments, workspace and launches of verification.
#include <sylvester/cuda.h>

#include <algorithm>
#include <new>
#include <vector>

#include "native/common/align.h"
#include "native/common/sampler.h"
#include "native/common/spec_check.h"
#include "native/cuda/errors.h"
#include "native/cuda/spec/block.h"
#include "native/cuda/spec/kernels.h"

namespace sylvester::cuda {
namespace {

SpecSampler MakeSampler(const syl_sampler& s, int64_t cols) {
  return {s, InverseTemperature(s), LeastZ(s), IsGreedy(s), Penalises(s), HasFilters(s, cols)};
}

std::vector<SpecSampler> MakeSamplers(const syl_sampler* samplers, int64_t count, int64_t cols) {
  std::vector<SpecSampler> made;
  for (int64_t s = 0; s < count; ++s) made.push_back(MakeSampler(samplers[s], cols));
  return made;
}

bool HasDraftRows(const syl_spec_batch& batch, int64_t sequence) {
  if (batch.draft == nullptr || batch.draft->kind == SYL_DRAFT_ONE_HOT) return false;
  return batch.draft->kind != SYL_DRAFT_LOGITS || !IsGreedy(batch.draft->samplers[sequence]);
}

bool HasDenseDraft(const syl_spec_batch& batch) {
  return batch.draft != nullptr &&
         (batch.draft->kind == SYL_DRAFT_LOGITS || batch.draft->kind == SYL_DRAFT_PROBABILITIES);
}

// Rows that decide, whatever is accepted. Draft rows whose q is known beforehand are read once something is rejected.
std::vector<SpecTask> MakeTasks(const syl_spec_batch& batch, bool labels) {
  std::vector<SpecTask> tasks;
  std::vector<bool> has_children;
  for (int64_t s = 0; s < batch.sequences; ++s) {
    const int64_t first = batch.row_begin[s];
    const auto nodes = static_cast<int32_t>(batch.row_begin[s + 1] - first), sequence = static_cast<int32_t>(s);
    has_children.assign(static_cast<size_t>(nodes), false);
    for (int32_t node = 1; node < nodes; ++node) {
      has_children[static_cast<size_t>(batch.parents == nullptr ? node - 1 : batch.parents[first + node])] = true;
    }
    const bool greedy = batch.mode == SYL_SPEC_GREEDY || IsGreedy(batch.samplers[s]);
    const bool exact = !greedy && batch.mode == SYL_SPEC_EXACT;
    const bool early_draft = !greedy && (!exact || labels) && HasDraftRows(batch, s) &&
                             (batch.draft->kind != SYL_DRAFT_LOGITS || batch.draft->log_q == nullptr);
    for (int32_t node = 0; node < nodes; ++node) {
      const bool inner = has_children[static_cast<size_t>(node)];
      uint32_t needs = 0;
      if (exact || !inner) needs |= SpecTask::kDraw;
      if (inner && (!exact || labels)) needs |= SpecTask::kMass;
      tasks.push_back({sequence, node, greedy ? SpecTask::kArgmax : needs});
      if (early_draft && inner) tasks.push_back({sequence, node, SpecTask::kDraft});
    }
  }
  return tasks;
}

// The workspace: what is copied from the host, then what only kernels write. Without a base only its size counts, and
// arrays of the host are not read.
class Workspace {
 public:
  explicit Workspace(uint8_t* base) : base_(base) {}

  // Room for from[begin] .. from[end - 1], copied unless from is NULL. Returns where from[0] would be.
  template <typename T>
  const T* Copy(const T* from, int64_t begin, int64_t end) {
    const int64_t offset = bytes_;
    T* const to = Reserve<T>(end - begin);
    if (to == nullptr || from == nullptr) return nullptr;
    copied_.resize(static_cast<size_t>(bytes_));
    std::copy(from + begin, from + end, reinterpret_cast<T*>(copied_.data() + offset));
    return to - begin;
  }
  template <typename T>
  const T* Copy(const T* from, int64_t count) {
    return Copy(from, 0, count);
  }
  template <typename T>
  T* Reserve(int64_t count) {
    const int64_t offset = bytes_;
    bytes_ += Aligned(count * static_cast<int64_t>(sizeof(T)));
    return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + offset);
  }

  int64_t bytes() const { return bytes_; }
  const std::vector<uint8_t>& copied() const { return copied_; }

 private:
  uint8_t* base_;
  int64_t bytes_ = 0;
  std::vector<uint8_t> copied_;
};

bool HasBias(const syl_spec_batch& batch) {
  return batch.bias_begin != nullptr && batch.bias_begin[batch.sequences] > batch.bias_begin[0];
}

bool AnyPenalises(const syl_sampler* samplers, int64_t count) {
  return std::any_of(samplers, samplers + count, Penalises);
}

// Offsets within the slot of a block. Returns its bytes.
int64_t MakeSlot(const syl_spec_batch& batch, SpecJob* job) {
  const int64_t cols = batch.cols;
  const syl_spec_draft* const draft = batch.draft;
  const bool reads_draft = draft != nullptr && draft->kind == SYL_DRAFT_LOGITS && draft->target_ids == nullptr;
  const bool target_penalises = AnyPenalises(batch.samplers, batch.sequences);
  const bool draft_penalises = reads_draft && AnyPenalises(draft->samplers, batch.sequences);
  int64_t bytes = 0;
  const auto take = [&](bool needed, int64_t size) -> int64_t {
    const int64_t offset = needed ? bytes : -1;
    bytes += needed ? Aligned(size) : 0;
    return offset;
  };
  take(true, (cols + kSpecResidualChunk - 1) / kSpecResidualChunk * 8);
  job->maxima_at = take(true, (cols + kSpecMassChunk - 1) / kSpecMassChunk * 4);
  job->weights_at = take(true, kSpecResidualChunk * 4);
  job->counts_at = take(target_penalises || draft_penalises, cols * 4);
  job->target_at = take(target_penalises || HasBias(batch), cols * 4);
  job->draft_at = take(reads_draft && (draft_penalises || HasBias(batch)), cols * 4);
  job->rejections_at = take(true, sizeof(SpecRejections));
  return bytes;
}

// Pairs, or tokens of the history, of all sequences; begin: NULL where there are none.
template <typename T>
const T* CopyParts(const syl_spec_batch& batch, const int64_t* begin, const T* from, Workspace* workspace) {
  if (begin == nullptr) return nullptr;
  return workspace->Copy(from, begin[0], begin[batch.sequences]);
}

void CopyDraft(const syl_spec_batch& batch, Workspace* workspace, SpecJob* job) {
  if (batch.draft == nullptr) return;
  const syl_spec_draft& from = *batch.draft;
  const int64_t rows = SpecRows(batch);
  const bool logits = from.kind == SYL_DRAFT_LOGITS;
  job->draft = from;
  if (logits)
    job->draft_samplers =
        workspace->Copy(MakeSamplers(from.samplers, batch.sequences, from.cols).data(), batch.sequences);
  if (logits) job->draft.log_q = workspace->Copy(from.log_q, rows);
  if (HasDenseDraft(batch)) job->draft.target_ids = workspace->Copy(from.target_ids, from.cols);
  if (from.kind != SYL_DRAFT_SPARSE) return;
  const int64_t begin = from.sparse_begin[0], end = from.sparse_begin[rows];
  job->draft.sparse_begin = workspace->Copy(from.sparse_begin, rows + 1);
  job->draft.sparse_ids = workspace->Copy(from.sparse_ids, begin, end);
  job->draft.sparse_q = workspace->Copy(from.sparse_q, begin, end);
}

// The whole job, its arrays in the workspace.
void MakeJob(const syl_spec_batch& batch, std::vector<SpecTask> tasks, Workspace* workspace, SpecJob* job) {
  const int64_t n = batch.sequences, rows = SpecRows(batch);
  const SpecHeader header = {};
  *job = {};
  job->header = const_cast<SpecHeader*>(workspace->Copy(&header, 1));
  job->task_count = static_cast<int64_t>(tasks.size());
  tasks.resize(static_cast<size_t>(2 * rows));  // the most
  job->tasks = workspace->Copy(tasks.data(), 2 * rows);
  job->samplers = workspace->Copy(MakeSamplers(batch.samplers, n, batch.cols).data(), n);
  syl_spec_batch& to = job->batch = batch;
  to.draft = nullptr;
  to.samplers = nullptr;
  to.row_begin = workspace->Copy(batch.row_begin, n + 1);
  to.tokens = workspace->Copy(batch.tokens, rows);
  to.parents = workspace->Copy(batch.parents, rows);
  to.positions = workspace->Copy(batch.positions, n);
  to.history_begin = workspace->Copy(batch.history_begin, n + 1);
  to.history = CopyParts(batch, batch.history_begin, batch.history, workspace);
  to.bias_begin = workspace->Copy(batch.bias_begin, n + 1);
  to.bias_ids = CopyParts(batch, batch.bias_begin, batch.bias_ids, workspace);
  to.bias_values = CopyParts(batch, batch.bias_begin, batch.bias_values, workspace);
  to.end_ids = workspace->Copy(batch.end_ids, batch.end_count);
  to.uniforms = workspace->Copy(batch.uniforms, 2 * rows);
  CopyDraft(batch, workspace, job);

  job->nodes = workspace->Reserve<SpecNode>(rows);
  job->failures = workspace->Reserve<Failure>(n);
  job->held.accepted = workspace->Reserve<int32_t>(n);
  job->held.next_token = workspace->Reserve<int32_t>(n);
  job->held.path = workspace->Reserve<int32_t>(rows);
  job->held.acceptance = workspace->Reserve<float>(rows);
  job->held.flags = workspace->Reserve<int32_t>(rows);
  job->slot_bytes = MakeSlot(batch, job);
  job->slots = workspace->Reserve<uint8_t>(job->slot_bytes * std::min(std::max(2 * rows, n), kSpecSlots));
}

int64_t WorkspaceBytes(const syl_spec_batch& batch) {
  Workspace workspace(nullptr);
  SpecJob job;
  MakeJob(batch, {}, &workspace, &job);
  return workspace.bytes() + kAlignment;  // for the caller's alignment
}

// Half a warp a chunk of the vocabulary, as sums are made.
unsigned Threads(int64_t cols) {
  const int64_t chunks = (cols + kSpecMassChunk - 1) / kSpecMassChunk;
  return static_cast<unsigned>(std::min<int64_t>((chunks + 1) / 2 * 32, kSpecMostThreads));
}

syl_status CheckDevicePointers(const char* function, const syl_spec_batch& batch, const syl_spec_result& result) {
  const struct {
    const char* name;
    const void* pointer;
  } pointers[] = {{"logits", batch.logits},
                  {"allowed", batch.allowed},
                  {"draft->rows", HasDenseDraft(batch) ? batch.draft->rows : nullptr},
                  {"result->accepted", result.accepted},
                  {"result->next_token", result.next_token},
                  {"result->path", result.path},
                  {"result->acceptance", result.acceptance},
                  {"result->flags", result.flags}};
  for (const auto& p : pointers) {
    if (const syl_status status = CheckAligned(function, p.name, p.pointer, 4)) return status;
  }
  return SYL_OK;
}

}  // namespace
}  // namespace sylvester::cuda

using namespace sylvester;
using namespace sylvester::cuda;

syl_status syl_cuda_spec_verify_workspace(const syl_spec_batch* batch, int64_t* bytes) {
  if (const syl_status status = CheckBatchShape(__func__, batch)) return status;
  SYL_REQUIRE_PTR(bytes);
  try {
    *bytes = WorkspaceBytes(*batch);
  } catch (const std::bad_alloc&) {
    return Fail(SYL_OUT_OF_MEMORY, "%s: out of host memory", __func__);
  }
  return SYL_OK;
}

syl_status syl_cuda_spec_verify_f32(const syl_spec_batch* batch, const syl_spec_result* result, void* workspace,
                                    int64_t workspace_bytes, syl_cuda_stream stream) {
  if (const syl_status status = CheckBatchShape(__func__, batch)) return status;
  if (const syl_status status = CheckBatch(__func__, *batch)) return status;
  try {
    const int64_t needed = WorkspaceBytes(*batch);
    if (const syl_status s = CheckResult(__func__, *batch, result, workspace, workspace_bytes, needed)) return s;
    if (const syl_status s = CheckDevicePointers(__func__, *batch, *result)) return s;
    Workspace arrays(Aligned(workspace));
    SpecJob job;
    MakeJob(*batch, MakeTasks(*batch, result->acceptance != nullptr), &arrays, &job);
    job.result = *result;
    const auto to = static_cast<cudaStream_t>(stream);
    SYL_CUDA(cudaMemcpyAsync(Aligned(workspace), arrays.copied().data(), arrays.copied().size(), cudaMemcpyHostToDevice,
                             to));
    if (batch->sequences == 0) return SYL_OK;
    const unsigned threads = Threads(batch->cols);
    SYL_CUDA(LaunchSpecRows(job, static_cast<unsigned>(std::min(job.task_count, kSpecSlots)), threads, to));
    SYL_CUDA(LaunchSpecWalk(job, static_cast<unsigned>(std::min(batch->sequences, kSpecSlots)), threads, to));
  } catch (const std::bad_alloc&) {
    return Fail(SYL_OUT_OF_MEMORY, "%s: out of host memory", __func__);
  }
  return SYL_OK;
}

syl_status syl_cuda_spec_verify_wait(const void* workspace, syl_cuda_stream stream) {
  SYL_REQUIRE_PTR(workspace);
  SpecHeader header;
  const auto from = static_cast<cudaStream_t>(stream);
  SYL_CUDA(
      cudaMemcpyAsync(&header, Aligned(const_cast<void*>(workspace)), sizeof(header), cudaMemcpyDeviceToHost, from));
  SYL_CUDA(cudaStreamSynchronize(from));
  return ReportFailure("syl_cuda_spec_verify_f32", header.failure);
}
