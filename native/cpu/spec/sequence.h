// Verification of one sequence.
#ifndef SYLVESTER_NATIVE_CPU_SPEC_SEQUENCE_H_
#define SYLVESTER_NATIVE_CPU_SPEC_SEQUENCE_H_

#include <sylvester/spec.h>

#include <cstdint>

#include "native/common/spec_failure.h"
#include "native/common/spec_rules.h"
#include "native/cpu/spec/draft.h"
#include "native/cpu/spec/row.h"

namespace sylvester {

// What a thread needs; scratches only where rows are changed or filtered.
struct VerifyMemory {
  RowScratch target, draft;
  double* chunk_sums;
  int32_t* history;  // room for the sequence's and kSpecMostNodes more
};

// Results of one sequence; path, acceptance and flags: one a row, acceptance may be nullptr.
struct SequenceResult {
  int32_t* accepted;
  int32_t* next_token;
  int32_t* path;
  float* acceptance;
  int32_t* flags;
};

class SequenceVerifier {
 public:
  SequenceVerifier(const syl_spec_batch& batch, int64_t sequence, const VerifyMemory& memory,
                   const SequenceResult& result);

  // The result means nothing after a failure.
  Failure Run();

 private:
  static constexpr int32_t kNoNode = -1;

  // BLOCK: candidates from the first to one of them. target, draft: totals of the rows after it, once they were read.
  struct Prefix {
    double weight, uniform;
    RowTotals target, draft;
    bool draft_is_known;
  };

  Failure Match();
  Failure Tokens();
  Failure Block();
  Failure JudgeChildren(bool* descended);
  Failure FinishFromRemainder(double sum);
  Failure FinishFromTarget();

  int64_t Row(int32_t node) const { return first_row_ + node; }
  int32_t ChildAfter(int32_t parent, int32_t node) const;
  int32_t TokenOf(int32_t node) const { return batch_.tokens[Row(node)]; }
  bool Ends(int32_t token) const;
  double AcceptUniform(int32_t node, int32_t sibling) const;
  double ResidualUniform() const;

  RowInputs Inputs() const;
  Failure LoadTarget(Need need, const RowTotals* known = nullptr);
  int32_t DrawFromTarget() const;
  Failure Candidate(int32_t child, SpecProbability* p, SpecProbability* q);

  void Descend(int32_t child);
  void Cut(int32_t depth);
  void Finish(int32_t token) { *result_.next_token = token; }

  const syl_spec_batch& batch_;
  const syl_sampler& sampler_;
  const int64_t sequence_, first_row_;
  const int32_t nodes_;
  const bool greedy_;
  VerifyMemory memory_;
  SequenceResult result_;
  int64_t history_count_;

  int32_t node_ = 0;   // the last accepted
  int32_t depth_ = 0;  // of it
  LoadedRow target_{};
  DraftRow draft_;
  SpecRejections rejections_;
};

}  // namespace sylvester

#endif
