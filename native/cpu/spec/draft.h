// q of one node: what its children were drawn from.
#ifndef SYLVESTER_NATIVE_CPU_SPEC_DRAFT_H_
#define SYLVESTER_NATIVE_CPU_SPEC_DRAFT_H_

#include <sylvester/spec.h>

#include <cstdint>

#include "native/common/spec_failure.h"
#include "native/common/spec_rules.h"
#include "native/cpu/spec/row.h"

namespace sylvester {

class DraftRow {
 public:
  DraftRow(const syl_spec_batch& batch, int64_t sequence, const RowScratch& scratch);

  SpecSiblings siblings() const { return siblings_; }

  // From now on of the node with this row. inputs: the target's. Nothing is read yet. known: totals of LOGITS from an
  // earlier Load of this row.
  void Select(int64_t row, const RowInputs& inputs, const RowTotals* known);

  // Of a child, given with its row.
  Failure Of(int64_t child_row, SpecProbability* q);

  // Before Chunk; reads the row when it has not been yet.
  Failure Load();

  // Whether LOGITS have been read, and what came out.
  bool HasTotals() const { return loaded_ && sampler_ != nullptr; }
  RowTotals totals() const { return logits_.totals(); }

  // Of LOGITS of the whole vocabulary, when they have been loaded; else nullptr.
  const LoadedRow* DenseLogits() const { return HasTotals() && ids_ == nullptr ? &logits_ : nullptr; }

  // Probabilities of the tokens first .. first + count - 1, at most kSpecResidualChunk.
  void Chunk(int64_t first, int64_t count, float* q) const;

 private:
  Failure LoadProbabilities(const float* q, int64_t count, Failure::Reason reason);
  int64_t IndexOf(int32_t token) const;

  const syl_spec_batch& batch_;
  const syl_spec_draft* draft_;
  const syl_sampler* sampler_ = nullptr;  // LOGITS
  SpecSiblings siblings_;
  RowScratch scratch_;

  int64_t row_ = 0;
  RowInputs inputs_{};
  const RowTotals* known_ = nullptr;
  bool loaded_ = false;
  LoadedRow logits_{};                    // LOGITS
  const float* probabilities_ = nullptr;  // PROBABILITIES, SPARSE
  const int32_t* ids_ = nullptr;          // of those, ascending; nullptr: all
  int64_t count_ = 0;                     // of those
  double sum_ = 0;                        // of PROBABILITIES, SPARSE
};

}  // namespace sylvester

#endif
