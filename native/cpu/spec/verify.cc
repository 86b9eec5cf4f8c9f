#include <sylvester/spec.h>

#include <algorithm>

#include "native/common/align.h"
#include "native/common/pool.h"
#include "native/common/sampler.h"
#include "native/common/spec_check.h"
#include "native/common/status.h"
#include "native/cpu/spec/remainder.h"
#include "native/cpu/spec/sequence.h"

namespace sylvester {
namespace {

struct Part {
  int64_t offset, bytes;
};

// Workspace: results, held back until all sequences are done, then what each thread needs, or each sequence where there
// are fewer.
class Layout {
 public:
  Layout(const syl_spec_batch& batch, const syl_pool* pool) {
    const int64_t rows = SpecRows(batch), sequences = batch.sequences, cols = batch.cols;
    failures = Take(sequences * static_cast<int64_t>(sizeof(Failure)));
    accepted = Take(sequences * 4);
    next_token = Take(sequences * 4);
    path = Take(rows * 4);
    acceptance = Take(rows * 4);
    flags = Take(rows * 4);

    const int64_t results = bytes_;
    bytes_ = 0;
    chunk_sums = Take(Remainder::Chunks(cols) * 8);
    history = Take((LongestHistory(batch) + kSpecMostNodes) * 4);
    target = Take(TargetChanges(batch) ? RowScratch::Bytes(cols) : 0);
    draft = Take(DraftChanges(batch) ? RowScratch::Bytes(batch.draft->cols) : 0);
    threads_begin_ = results;
    thread_bytes_ = bytes_;
    one_a_sequence_ = sequences < Threads(pool);
    const int64_t memories = one_a_sequence_ ? sequences : Threads(pool);
    bytes_ = results + memories * thread_bytes_ + kAlignment;  // for the caller's alignment
  }

  int64_t bytes() const { return bytes_; }

  template <typename T>
  static T* At(uint8_t* base, const Part& part) {
    return part.bytes > 0 ? reinterpret_cast<T*>(base + part.offset) : nullptr;
  }

  // Of the thread that works on a sequence.
  VerifyMemory MemoryOf(int64_t sequence, int32_t worker, uint8_t* workspace, const syl_spec_batch& batch) const {
    uint8_t* const base = workspace + threads_begin_ + (one_a_sequence_ ? sequence : worker) * thread_bytes_;
    VerifyMemory memory{};
    memory.chunk_sums = At<double>(base, chunk_sums);
    memory.history = At<int32_t>(base, history);
    if (target.bytes > 0) memory.target = RowScratch(base + target.offset, batch.cols);
    if (draft.bytes > 0) memory.draft = RowScratch(base + draft.offset, batch.draft->cols);
    return memory;
  }

  Part failures, accepted, next_token, path, acceptance, flags;  // of results

 private:
  Part Take(int64_t bytes) {
    const Part part{bytes_, bytes};
    bytes_ += Aligned(bytes);
    return part;
  }

  static int64_t LongestHistory(const syl_spec_batch& batch) {
    int64_t longest = 0;
    for (int64_t s = 0; s < batch.sequences && batch.history_begin != nullptr; ++s) {
      longest = std::max(longest, batch.history_begin[s + 1] - batch.history_begin[s]);
    }
    return longest;
  }

  static bool HasBias(const syl_spec_batch& batch) {
    return batch.bias_begin != nullptr && batch.bias_begin[batch.sequences] > batch.bias_begin[0];
  }

  static bool AnyChanges(const syl_sampler* samplers, const syl_spec_batch& batch, int64_t cols) {
    return std::any_of(samplers, samplers + batch.sequences,
                       [=](const syl_sampler& s) { return Penalises(s) || HasFilters(s, cols); });
  }

  static bool TargetChanges(const syl_spec_batch& batch) {
    return batch.allowed != nullptr || HasBias(batch) || AnyChanges(batch.samplers, batch, batch.cols);
  }

  static bool DraftChanges(const syl_spec_batch& batch) {
    if (batch.draft == nullptr || batch.draft->kind != SYL_DRAFT_LOGITS) return false;
    return (batch.draft->target_ids == nullptr && HasBias(batch)) ||
           AnyChanges(batch.draft->samplers, batch, batch.draft->cols);
  }

  Part chunk_sums, history, target, draft;  // of a thread
  int64_t bytes_ = 0, threads_begin_, thread_bytes_;
  bool one_a_sequence_;
};

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_spec_verify_workspace(const syl_spec_batch* batch, const syl_pool* pool, int64_t* bytes) {
  if (const syl_status status = CheckBatchShape(__func__, batch)) return status;
  SYL_REQUIRE_PTR(bytes);
  *bytes = Layout(*batch, pool).bytes();
  return SYL_OK;
}

syl_status syl_spec_verify_f32(const syl_spec_batch* batch, const syl_spec_result* result, void* workspace,
                               int64_t workspace_bytes, syl_pool* pool) {
  if (const syl_status status = CheckBatchShape(__func__, batch)) return status;
  if (const syl_status status = CheckBatch(__func__, *batch)) return status;
  const Layout layout(*batch, pool);
  if (const syl_status status = CheckResult(__func__, *batch, result, workspace, workspace_bytes, layout.bytes())) {
    return status;
  }
  const int64_t rows = SpecRows(*batch), sequences = batch->sequences;

  uint8_t* const base = Aligned(workspace);
  auto* const failures = Layout::At<Failure>(base, layout.failures);
  const SequenceResult held{Layout::At<int32_t>(base, layout.accepted), Layout::At<int32_t>(base, layout.next_token),
                            Layout::At<int32_t>(base, layout.path), Layout::At<float>(base, layout.acceptance),
                            Layout::At<int32_t>(base, layout.flags)};
  ParallelFor(pool, sequences, [&](int64_t s, int32_t worker) {
    const int64_t row = batch->row_begin[s];
    const SequenceResult own{held.accepted + s, held.next_token + s, held.path + row,
                             result->acceptance != nullptr ? held.acceptance + row : nullptr, held.flags + row};
    failures[s] = SequenceVerifier(*batch, s, layout.MemoryOf(s, worker, base, *batch), own).Run();
  });
  for (int64_t s = 0; s < sequences; ++s) {
    if (const syl_status status = ReportFailure(__func__, failures[s])) return status;
  }
  std::copy_n(held.accepted, sequences, result->accepted);
  std::copy_n(held.next_token, sequences, result->next_token);
  if (result->path != nullptr) std::copy_n(held.path, rows, result->path);
  if (result->acceptance != nullptr) std::copy_n(held.acceptance, rows, result->acceptance);
  if (result->flags != nullptr) std::copy_n(held.flags, rows, result->flags);
  return SYL_OK;
}
