// A call of syl_logits_stats_of, and what tests change in it.
#ifndef SYLVESTER_TESTS_NATIVE_LOGITS_LOGITS_CALL_H_
#define SYLVESTER_TESTS_NATIVE_LOGITS_LOGITS_CALL_H_

#include <sylvester/sylvester.h>

#include <cstdint>

namespace sylvester_test {

struct LogitsCall : syl_logits_options {
  LogitsCall(syl_dtype type_, const void* logits_, int64_t stride_, int64_t rows_, int64_t cols_)
      : syl_logits_options{}, logits(logits_), stride(stride_), rows(rows_), cols(cols_), count(rows_) {
    struct_size = sizeof(syl_logits_options);
    type = type_;
    temperature = top_p = 1;
  }

  syl_status Run(syl_logits_stats* stats, syl_pool* pool = nullptr) const {
    return syl_logits_stats_of(this, logits, unconditional, stride, rows, cols, list, streams, count, stats, pool);
  }

  const void* logits;
  const void* unconditional = nullptr;
  int64_t stride, rows, cols;
  const int32_t* list = nullptr;
  const uint64_t* streams = nullptr;
  int64_t count;
};

}  // namespace sylvester_test

#endif
