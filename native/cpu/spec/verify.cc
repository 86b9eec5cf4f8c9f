#include <sylvester/spec.h>

#include <algorithm>

#include "native/common/align.h"
#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/cpu/spec/check.h"
#include "native/cpu/spec/remainder.h"
#include "native/cpu/spec/sequence.h"

namespace sylvester {
namespace {

struct Part {
  int64_t offset, bytes;
};

// Workspace: results, held back until all sequences are done, then what each thread needs.
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
    const int64_t threads = std::min<int64_t>(Threads(pool), std::max<int64_t>(sequences, 1));
    bytes_ = results + threads * thread_bytes_ + kAlignment;  // for the caller's alignment
  }

  int64_t bytes() const { return bytes_; }

  template <typename T>
  static T* At(uint8_t* base, const Part& part) {
    return part.bytes > 0 ? reinterpret_cast<T*>(base + part.offset) : nullptr;
  }

  VerifyMemory MemoryOf(int32_t worker, uint8_t* workspace, const syl_spec_batch& batch) const {
    uint8_t* const base = workspace + threads_begin_ + worker * thread_bytes_;
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
};

syl_status Report(const char* function, const Failure& failure) {
  const auto row = static_cast<long long>(failure.row);
  switch (failure.reason) {
    case Failure::kNone: return SYL_OK;
    case Failure::kTargetMax:
      return Fail(SYL_BAD_VALUE, "%s: the largest allowed logit of row %lld is %g, must be finite", function, row,
                  failure.value);
    case Failure::kDraftMax:
      return Fail(SYL_BAD_VALUE, "%s: the largest logit of draft->rows' row %lld is %g, must be finite", function, row,
                  failure.value);
    case Failure::kProbabilitySum:
    case Failure::kSparseSum: break;
  }
  return Fail(SYL_BAD_VALUE, "%s: draft->%s of row %lld have a sum or a term of %g, must be 0 or more and sum to 1",
              function, failure.reason == Failure::kSparseSum ? "sparse_q" : "rows", row, failure.value);
}

// Where the caller's results go, and where the caller's arguments are: none may share a byte with the workspace.
bool OverlapsWorkspace(const syl_spec_batch& b, const syl_spec_result& r, const void* workspace, int64_t bytes) {
  const int64_t rows = SpecRows(b), n = b.sequences;
  const auto with = [&](const void* p, int64_t size) { return p != nullptr && Overlaps(workspace, bytes, p, size); };
  const auto pairs = [&](const int64_t* begins) { return begins == nullptr ? 0 : begins[n] * 4; };
  if (with(&b, sizeof(b)) || with(&r, sizeof(r)) || with(b.row_begin, (n + 1) * 8) ||
      with(b.logits, Extent(rows, b.cols, b.stride) * 4) || with(b.tokens, rows * 4) || with(b.parents, rows * 4) ||
      with(b.samplers, n * static_cast<int64_t>(sizeof(syl_sampler))) || with(b.positions, n * 8) ||
      with(b.history, pairs(b.history_begin)) || with(b.history_begin, (n + 1) * 8) ||
      with(b.bias_ids, pairs(b.bias_begin)) || with(b.bias_values, pairs(b.bias_begin)) ||
      with(b.bias_begin, (n + 1) * 8) || with(b.allowed, Extent(rows, (b.cols + 31) / 32, b.allowed_stride) * 4) ||
      with(b.end_ids, b.end_count * 4) || with(b.uniforms, rows * 16) || with(r.accepted, n * 4) ||
      with(r.next_token, n * 4) || with(r.path, rows * 4) || with(r.acceptance, rows * 4) || with(r.flags, rows * 4)) {
    return true;
  }
  if (b.draft == nullptr) return false;
  const syl_spec_draft& d = *b.draft;
  const bool dense = d.kind == SYL_DRAFT_LOGITS || d.kind == SYL_DRAFT_PROBABILITIES;
  const int64_t sparse = d.kind == SYL_DRAFT_SPARSE ? d.sparse_begin[rows] * 4 : 0;
  return with(&d, sizeof(d)) || (dense && with(d.rows, Extent(rows, d.cols, d.stride) * 4)) ||
         (d.kind == SYL_DRAFT_LOGITS &&
          (with(d.samplers, n * static_cast<int64_t>(sizeof(syl_sampler))) || with(d.log_q, rows * 4))) ||
         (dense && with(d.target_ids, static_cast<int64_t>(d.cols) * 4)) ||
         (sparse > 0 &&
          (with(d.sparse_ids, sparse) || with(d.sparse_q, sparse) || with(d.sparse_begin, (rows + 1) * 8)));
}

bool ResultsOverlap(const syl_spec_result& r, int64_t sequences, int64_t rows) {
  const struct {
    const void* data;
    int64_t bytes;
  } results[] = {{r.accepted, sequences * 4},
                 {r.next_token, sequences * 4},
                 {r.path, rows * 4},
                 {r.acceptance, rows * 4},
                 {r.flags, rows * 4}};
  for (const auto& a : results) {
    for (const auto* b = results; b != &a; ++b) {
      if (a.data != nullptr && b->data != nullptr && Overlaps(a.data, a.bytes, b->data, b->bytes)) return true;
    }
  }
  return false;
}

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
  SYL_REQUIRE_STRUCT(result);
  SYL_REQUIRE_PTR(result->accepted);
  SYL_REQUIRE_PTR(result->next_token);
  SYL_REQUIRE_PTR(workspace);
  const Layout layout(*batch, pool);
  SYL_REQUIRE(workspace_bytes >= layout.bytes(), SYL_WORKSPACE, "workspace_bytes is %lld, must be at least %lld",
              static_cast<long long>(workspace_bytes), static_cast<long long>(layout.bytes()));
  SYL_REQUIRE(reinterpret_cast<uintptr_t>(workspace) % 8 == 0, SYL_BAD_VALUE,
              "workspace is %p, must be aligned to 8 bytes", workspace);
  const int64_t rows = SpecRows(*batch), sequences = batch->sequences;
  SYL_REQUIRE(!OverlapsWorkspace(*batch, *result, workspace, layout.bytes()), SYL_OVERLAP,
              "workspace (%lld bytes) overlaps an argument", static_cast<long long>(layout.bytes()));
  SYL_REQUIRE(!ResultsOverlap(*result, sequences, rows), SYL_OVERLAP, "two of the results of %lld rows overlap",
              static_cast<long long>(rows));

  uint8_t* const base = Aligned(workspace);
  auto* const failures = Layout::At<Failure>(base, layout.failures);
  const SequenceResult held{Layout::At<int32_t>(base, layout.accepted), Layout::At<int32_t>(base, layout.next_token),
                            Layout::At<int32_t>(base, layout.path), Layout::At<float>(base, layout.acceptance),
                            Layout::At<int32_t>(base, layout.flags)};
  ParallelFor(pool, sequences, [&](int64_t s, int32_t worker) {
    const int64_t row = batch->row_begin[s];
    const SequenceResult own{held.accepted + s, held.next_token + s, held.path + row,
                             result->acceptance != nullptr ? held.acceptance + row : nullptr, held.flags + row};
    failures[s] = SequenceVerifier(*batch, s, layout.MemoryOf(worker, base, *batch), own).Run();
  });
  for (int64_t s = 0; s < sequences; ++s) {
    if (failures[s]) return Report(__func__, failures[s]);
  }
  std::copy_n(held.accepted, sequences, result->accepted);
  std::copy_n(held.next_token, sequences, result->next_token);
  if (result->path != nullptr) std::copy_n(held.path, rows, result->path);
  if (result->acceptance != nullptr) std::copy_n(held.acceptance, rows, result->acceptance);
  if (result->flags != nullptr) std::copy_n(held.flags, rows, result->flags);
  return SYL_OK;
}
