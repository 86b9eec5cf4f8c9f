// Arguments of statistics of logits.
#ifndef SYLVESTER_NATIVE_COMMON_LOGITS_CHECK_H_
#define SYLVESTER_NATIVE_COMMON_LOGITS_CHECK_H_

#include <sylvester/logits.h>

namespace sylvester {

// What the workspace depends on.
syl_status CheckLogitsSizes(const char* function, const syl_logits_options* options, int64_t cols, int64_t count);

// Of syl_logits_stats_of, for rows of that many columns.
syl_status CheckLogitsOptions(const char* function, const syl_logits_options* options, int64_t cols);

// All of a call of syl_logits_stats_of but the numbers in its list and what overlaps.
syl_status CheckLogitsCall(const char* function, const syl_logits_options* options, const void* logits, int64_t stride,
                           int64_t rows, int64_t cols, const int32_t* list, int64_t count,
                           const syl_logits_stats* stats);

syl_status CheckLogitsStride(const char* function, int64_t rows, int64_t cols, int64_t stride);

// SYL_OK for a row that is one of them.
syl_status CheckLogitsRow(const char* function, int64_t at, int32_t row, int64_t rows);

// SYL_OK for a result that probabilities can be taken from.
syl_status CheckLogitsResult(const char* function, int64_t row, int64_t result, const syl_logits_stats& stats);

}  // namespace sylvester

#endif
