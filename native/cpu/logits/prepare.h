// A row of logits on its way to the draw: steps 1, 2 and 7 of sylvester/logits.h, for the sampler and
// for the verification of drafts.
#ifndef SYLVESTER_NATIVE_CPU_LOGITS_PREPARE_H_
#define SYLVESTER_NATIVE_CPU_LOGITS_PREPARE_H_

#include <sylvester/logits.h>

#include <cstdint>

#include "native/common/sampler.h"
#include "native/cpu/logits/draw.h"
#include "native/cpu/logits/filters.h"
#include "native/cpu/logits/row.h"

namespace sylvester {

// What changes a row's logits.
struct RowInputs {
  const int32_t* history;
  int64_t history_count;
  const int32_t* bias_ids;
  const float* bias_values;
  int64_t bias_count;
  const uint32_t* allowed;  // a bit a token; nullptr: all are
};

// Memory for a changed row and for the filters.
struct RowScratch {
  TokenList list;
  float* logits;

  RowScratch() = default;
  RowScratch(void* memory, int64_t cols);
  static int64_t Bytes(int64_t cols);
};

// Steps 1 and 2, and tokens that are not allowed to -inf. Returns the logits themselves when nothing changes them.
const float* ChangeLogits(const syl_sampler& sampler, const RowInputs& inputs, const float* logits, int64_t cols,
                          RowScratch* scratch);

// A row after step 6.
struct PreparedRow {
  const float* logits;
  int64_t cols;
  Scale scale;            // max: finite
  const TokenList* list;  // tokens that filters have left; nullptr: all
};

struct Drawn {
  int32_t token;
  float z;
};

Drawn DrawToken(const PreparedRow& row, const NoiseKey& key);

}  // namespace sylvester

#endif
