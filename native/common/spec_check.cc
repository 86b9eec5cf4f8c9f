#include "native/common/spec_check.h"

#include <algorithm>
#include <cmath>

#include "native/common/check.h"
#include "native/common/sampler.h"
#include "native/common/spec_rules.h"

namespace sylvester {
namespace {

using LongLong = long long;

syl_status CheckSamplers(const char* function, const char* name, const syl_sampler* samplers, int64_t count) {
  CHECK(samplers != nullptr || count == 0, SYL_NULL_ARGUMENT, "%s is NULL", name);
  for (int64_t s = 0; s < count; ++s) {
    CHECK_OK(CheckSampler(function, name, s, samplers[s]));
  }
  return SYL_OK;
}

// count + 1 ascending numbers.
syl_status CheckBegins(const char* function, const char* name, const int64_t* begins, int64_t count) {
  CHECK(begins[0] >= 0, SYL_BAD_SHAPE, "%s[0] is %lld, must be 0 or more", name, static_cast<LongLong>(begins[0]));
  for (int64_t i = 0; i < count; ++i) {
    CHECK(begins[i + 1] >= begins[i] && begins[i + 1] - begins[i] <= INT32_MAX, SYL_BAD_SHAPE,
          "%s[%lld] is %lld after %lld, must be ascending", name, static_cast<LongLong>(i + 1),
          static_cast<LongLong>(begins[i + 1]), static_cast<LongLong>(begins[i]));
  }
  return SYL_OK;
}

syl_status CheckStride(const char* function, const char* name, int64_t rows, int64_t cols, int64_t stride) {
  const int64_t extent = Extent(rows, cols, stride);
  CHECK(stride >= cols && extent >= 0 && extent <= INT64_MAX / 32, SYL_BAD_SHAPE,
        "%s is %lld, must be at least %lld and fit %lld rows", name, static_cast<LongLong>(stride),
        static_cast<LongLong>(cols), static_cast<LongLong>(rows));
  return SYL_OK;
}

syl_status CheckDraftShape(const char* function, const syl_spec_batch& batch) {
  const syl_spec_draft* const draft = batch.draft;
  if (draft == nullptr) return SYL_OK;
  CHECK(draft->struct_size == sizeof(*draft), SYL_BAD_VALUE, "draft->struct_size is %u, must be %zu",
        draft->struct_size, sizeof(*draft));
  CHECK_RANGE(draft->kind, SYL_DRAFT_ONE_HOT, SYL_DRAFT_SPARSE);
  CHECK_RANGE(draft->siblings, SYL_SIBLINGS_INDEPENDENT, SYL_SIBLINGS_WITHOUT_REPLACEMENT);
  if (draft->kind == SYL_DRAFT_LOGITS) {
    CHECK_OK(CheckSamplers(function, "draft->samplers", draft->samplers, batch.sequences));
    for (int64_t s = 0; s < batch.sequences && draft->target_ids != nullptr; ++s) {
      CHECK(!Penalises(draft->samplers[s]), SYL_UNSUPPORTED,
            "draft->samplers[%lld] has penalties, which a reduced vocabulary cannot have", static_cast<LongLong>(s));
    }
  }
  if (draft->kind == SYL_DRAFT_SPARSE) {
    CHECK_PTR(draft->sparse_begin);
    CHECK_OK(CheckBegins(function, "draft->sparse_begin", draft->sparse_begin, SpecRows(batch)));
  }
  if (draft->kind == SYL_DRAFT_LOGITS || draft->kind == SYL_DRAFT_PROBABILITIES) {
    CHECK_RANGE(draft->cols, 1, batch.cols);
    CHECK(draft->target_ids != nullptr || draft->cols == batch.cols, SYL_BAD_SHAPE,
          "draft->cols is %d, must be cols %lld without target_ids", draft->cols, static_cast<LongLong>(batch.cols));
  }
  return SYL_OK;
}

// ids that ascend within 0..cols - 1.
syl_status CheckAscendingIds(const char* function, const char* name, const int32_t* ids, int64_t begin, int64_t end,
                             int64_t cols) {
  CHECK_OK(CheckIds(function, name, ids, begin, end, cols));
  for (int64_t i = begin + 1; i < end; ++i) {
    CHECK(ids[i] > ids[i - 1], SYL_BAD_VALUE, "%s[%lld] is %d after %d, must be ascending", name,
          static_cast<LongLong>(i), ids[i], ids[i - 1]);
  }
  return SYL_OK;
}

syl_status CheckDraft(const char* function, const syl_spec_batch& batch, int64_t rows) {
  if (batch.draft == nullptr) return SYL_OK;
  const syl_spec_draft* const draft = batch.draft;
  if (draft->kind == SYL_DRAFT_LOGITS || draft->kind == SYL_DRAFT_PROBABILITIES) {
    CHECK_PTR(draft->rows);
    CHECK_OK(CheckStride(function, "draft->stride", rows, draft->cols, draft->stride));
    if (draft->target_ids != nullptr) {
      CHECK_OK(CheckAscendingIds(function, "draft->target_ids", draft->target_ids, 0, draft->cols, batch.cols));
    }
  } else if (draft->kind == SYL_DRAFT_SPARSE) {
    for (int64_t row = 0; row < rows; ++row) {
      CHECK_OK(CheckAscendingIds(function, "draft->sparse_ids", draft->sparse_ids, draft->sparse_begin[row],
                                 draft->sparse_begin[row + 1], batch.cols));
    }
    CHECK(draft->sparse_q != nullptr || draft->sparse_begin[0] == draft->sparse_begin[rows], SYL_NULL_ARGUMENT,
          "%s is NULL", "draft->sparse_q");
  }
  return SYL_OK;
}

// Tokens and parents of the nodes.
syl_status CheckNodes(const char* function, const syl_spec_batch& batch) {
  for (int64_t s = 0; s < batch.sequences; ++s) {
    const int64_t begin = batch.row_begin[s], end = batch.row_begin[s + 1];
    if (end == begin + 1) continue;
    CHECK_OK(CheckIds(function, "tokens", batch.tokens, begin + 1, end, batch.cols));
    for (int64_t row = begin + 1; row < end && batch.parents != nullptr; ++row) {
      CHECK(batch.parents[row] >= 0 && batch.parents[row] < row - begin, SYL_BAD_VALUE,
            "parents[%lld] is %d, must be 0..%lld", static_cast<LongLong>(row), batch.parents[row],
            static_cast<LongLong>(row - begin - 1));
    }
  }
  return SYL_OK;
}

// Whether an argument shares a byte with the workspace.
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

syl_status CheckBatchShape(const char* function, const syl_spec_batch* batch) {
  CHECK_PTR(batch);
  CHECK(batch->struct_size == sizeof(*batch), SYL_BAD_VALUE, "batch->struct_size is %u, must be %zu",
        batch->struct_size, sizeof(*batch));
  CHECK_RANGE(batch->mode, SYL_SPEC_GREEDY, SYL_SPEC_BLOCK);
  CHECK_RANGE(batch->sequences, 0, INT32_MAX);
  CHECK_RANGE(batch->cols, 1, INT32_MAX);
  CHECK_PTR(batch->row_begin);
  CHECK(batch->row_begin[0] == 0, SYL_BAD_SHAPE, "row_begin[0] is %lld, must be 0",
        static_cast<LongLong>(batch->row_begin[0]));
  for (int64_t s = 0; s < batch->sequences; ++s) {
    const int64_t begin = batch->row_begin[s], end = batch->row_begin[s + 1];
    CHECK(end > begin && end - begin <= kSpecMostNodes, SYL_BAD_SHAPE,
          "row_begin[%lld] is %lld after %lld, must be 1..%d more", static_cast<LongLong>(s + 1),
          static_cast<LongLong>(end), static_cast<LongLong>(begin), kSpecMostNodes);
  }
  CHECK(batch->mode != SYL_SPEC_BLOCK || batch->parents == nullptr, SYL_UNSUPPORTED,
        "mode %d is for chains, not for %s", batch->mode, "parents");
  CHECK_OK(CheckSamplers(function, "samplers", batch->samplers, batch->sequences));
  if (batch->history_begin != nullptr) {
    CHECK_OK(CheckBegins(function, "history_begin", batch->history_begin, batch->sequences));
  }
  if (batch->bias_begin != nullptr) CHECK_OK(CheckBegins(function, "bias_begin", batch->bias_begin, batch->sequences));
  CHECK_RANGE(batch->end_count, 0, INT32_MAX);
  return CheckDraftShape(function, *batch);
}

syl_status CheckBatch(const char* function, const syl_spec_batch& batch) {
  const int64_t rows = SpecRows(batch);
  if (rows == 0) return SYL_OK;
  CHECK_PTR(batch.logits);
  CHECK_OK(CheckStride(function, "stride", rows, batch.cols, batch.stride));
  CHECK_OK(CheckNodes(function, batch));
  CHECK_PTR(batch.positions);
  for (int64_t s = 0; s < batch.sequences; ++s) {
    CHECK(batch.positions[s] >= 0 && batch.positions[s] <= INT64_MAX - kSpecMostNodes, SYL_BAD_VALUE,
          "positions[%lld] is %lld, must be 0..%lld", static_cast<LongLong>(s),
          static_cast<LongLong>(batch.positions[s]), static_cast<LongLong>(INT64_MAX - kSpecMostNodes));
  }
  if (batch.history_begin != nullptr) {
    CHECK_OK(CheckIds(function, "history", batch.history, batch.history_begin[0], batch.history_begin[batch.sequences],
                      batch.cols));
  }
  if (batch.bias_begin != nullptr) {
    const int64_t begin = batch.bias_begin[0], end = batch.bias_begin[batch.sequences];
    CHECK_OK(CheckIds(function, "bias_ids", batch.bias_ids, begin, end, batch.cols));
    CHECK_OK(CheckBias(function, "bias_values", batch.bias_values, begin, end));
  }
  if (batch.allowed != nullptr) {
    CHECK_OK(CheckStride(function, "allowed_stride", rows, (batch.cols + 31) / 32, batch.allowed_stride));
  }
  CHECK_OK(CheckIds(function, "end_ids", batch.end_ids, 0, batch.end_count, batch.cols));
  for (int64_t i = 0; i < 2 * rows && batch.uniforms != nullptr; ++i) {
    CHECK(batch.uniforms[i] >= 0 && batch.uniforms[i] < 1, SYL_BAD_VALUE, "uniforms[%lld] is %g, must be in [0, 1)",
          static_cast<LongLong>(i), batch.uniforms[i]);
  }
  return CheckDraft(function, batch, rows);
}

syl_status CheckResult(const char* function, const syl_spec_batch& batch, const syl_spec_result* result,
                       const void* workspace, int64_t workspace_bytes, int64_t needed) {
  CHECK_PTR(result);
  CHECK(result->struct_size == sizeof(*result), SYL_BAD_VALUE, "result->struct_size is %u, must be %zu",
        result->struct_size, sizeof(*result));
  CHECK_PTR(result->accepted);
  CHECK_PTR(result->next_token);
  CHECK_PTR(workspace);
  CHECK(workspace_bytes >= needed, SYL_WORKSPACE, "workspace_bytes is %lld, must be at least %lld",
        static_cast<LongLong>(workspace_bytes), static_cast<LongLong>(needed));
  CHECK(reinterpret_cast<uintptr_t>(workspace) % 8 == 0, SYL_BAD_VALUE, "workspace is %p, must be aligned to 8 bytes",
        workspace);
  CHECK(!OverlapsWorkspace(batch, *result, workspace, needed), SYL_OVERLAP,
        "workspace (%lld bytes) overlaps an argument", static_cast<LongLong>(needed));
  CHECK(!ResultsOverlap(*result, batch.sequences, SpecRows(batch)), SYL_OVERLAP,
        "two of the results of %lld rows overlap", static_cast<LongLong>(SpecRows(batch)));
  return SYL_OK;
}

syl_status ReportFailure(const char* function, const Failure& failure) {
  const auto row = static_cast<LongLong>(failure.row);
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

}  // namespace sylvester
