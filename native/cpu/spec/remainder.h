// What rejected candidates leave of a target's row: max(p - q, 0) and what follows from it
// (native/common/spec_rules.h).
#ifndef SYLVESTER_NATIVE_CPU_SPEC_REMAINDER_H_
#define SYLVESTER_NATIVE_CPU_SPEC_REMAINDER_H_

#include <cstdint>

#include "native/common/spec_rules.h"
#include "native/cpu/logits/row.h"

namespace sylvester {

class DraftRow;
struct LoadedRow;

// Logits whose probabilities are factor * exp(z); 0 for NaN.
struct ProbabilityRow {
  const float* logits;
  Scale scale;
  float factor;
};

void Probabilities(const ProbabilityRow& row, int64_t count, float* p);

struct Remainder {
  const LoadedRow& target;
  const DraftRow& draft;  // loaded, unless ONE_HOT
  const SpecRejections& rejections;

  static int64_t Chunks(int64_t cols) { return (cols + kSpecResidualChunk - 1) / kSpecResidualChunk; }

  // Sum over all tokens, with p's own sum 1. sums: of chunks.
  double Sum(double* sums) const;

  // The token at u * Sum(), never one of which nothing is left.
  int32_t Choose(const double* sums, double sum, double u) const;

 private:
  int64_t Size(int64_t chunk) const;
  double Chunk(int64_t chunk, float* p) const;
};

}  // namespace sylvester

#endif
