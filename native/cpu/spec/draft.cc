#include "native/cpu/spec/draft.h"

#include <algorithm>
#include <cmath>

namespace sylvester {

DraftRow::DraftRow(const syl_spec_batch& batch, int64_t sequence, const RowScratch& scratch)
    : batch_(batch), draft_(batch.draft), siblings_(SpecSiblings::kOneHot), scratch_(scratch) {
  if (draft_ == nullptr || draft_->kind == SYL_DRAFT_ONE_HOT) return;
  if (draft_->kind == SYL_DRAFT_LOGITS) {
    sampler_ = &draft_->samplers[sequence];
    if (IsGreedy(*sampler_)) return;
  }
  siblings_ =
      draft_->siblings == SYL_SIBLINGS_INDEPENDENT ? SpecSiblings::kIndependent : SpecSiblings::kWithoutReplacement;
  if (draft_->kind != SYL_DRAFT_SPARSE) {
    ids_ = draft_->target_ids;
    count_ = draft_->cols;
  }
}

void DraftRow::Select(int64_t row, const RowInputs& inputs, const RowTotals* known) {
  row_ = row;
  inputs_ = inputs;
  inputs_.allowed = nullptr;
  if (ids_ != nullptr) inputs_ = {};
  known_ = known;
  loaded_ = false;
}

Failure DraftRow::LoadProbabilities(const float* q, int64_t count, Failure::Reason reason) {
  probabilities_ = q;
  const RowSum total = SumOfRow(q, count);
  sum_ = total.sum;
  if (!(total.least >= 0)) return {reason, row_, total.least};
  if (!(std::fabs(sum_ - 1) <= 1e-3)) return {reason, row_, sum_};
  return {};
}

Failure DraftRow::Load() {
  if (loaded_ || siblings_ == SpecSiblings::kOneHot) return {};
  loaded_ = true;
  if (draft_->kind == SYL_DRAFT_LOGITS) {
    const float* const logits = draft_->rows + row_ * draft_->stride;
    const bool finite = LoadRow(*sampler_, inputs_, logits, count_, Need::kProbabilities, known_, &scratch_, &logits_);
    return finite ? Failure{} : Failure{Failure::kDraftMax, row_, logits_.prepared.scale.max};
  }
  if (draft_->kind == SYL_DRAFT_PROBABILITIES) {
    return LoadProbabilities(draft_->rows + row_ * draft_->stride, count_, Failure::kProbabilitySum);
  }
  const int64_t begin = draft_->sparse_begin[row_];
  ids_ = draft_->sparse_ids + begin;
  count_ = draft_->sparse_begin[row_ + 1] - begin;
  return LoadProbabilities(draft_->sparse_q + begin, count_, Failure::kSparseSum);
}

// -1 where the draft does not know the token.
int64_t DraftRow::IndexOf(int32_t token) const {
  if (ids_ == nullptr) return token;
  const int32_t* const at = std::lower_bound(ids_, ids_ + count_, token);
  return at != ids_ + count_ && *at == token ? at - ids_ : -1;
}

Failure DraftRow::Of(int64_t child_row, SpecProbability* q) {
  *q = {1, 1};
  if (siblings_ == SpecSiblings::kOneHot) return {};
  if (draft_->kind == SYL_DRAFT_LOGITS && draft_->log_q != nullptr) {
    *q = SpecFromLog(draft_->log_q[child_row]);
    return {};
  }
  if (const Failure failure = Load()) return failure;
  const int64_t index = IndexOf(batch_.tokens[child_row]);
  if (index < 0) {
    *q = {0, 1};
  } else if (draft_->kind == SYL_DRAFT_LOGITS) {
    *q = logits_.Of(index);
  } else {
    *q = {probabilities_[index], sum_};
  }
  return {};
}

void DraftRow::Chunk(int64_t first, int64_t count, float* q) const {
  const auto read = [&](int64_t begin, int64_t size, float* out) {
    if (draft_->kind == SYL_DRAFT_LOGITS) return logits_.Chunk(begin, size, out);
    const auto factor = static_cast<float>(1 / sum_);
    for (int64_t i = 0; i < size; ++i) out[i] = probabilities_[begin + i] * factor;
  };
  if (ids_ == nullptr) return read(first, count, q);
  const int32_t* const begin = std::lower_bound(ids_, ids_ + count_, first);
  const int32_t* const end = std::lower_bound(begin, ids_ + count_, first + count);
  float known[kSpecResidualChunk];
  read(begin - ids_, end - begin, known);
  std::fill_n(q, count, 0.0f);
  for (const int32_t* id = begin; id < end; ++id) q[*id - first] = known[id - begin];
}

}  // namespace sylvester
