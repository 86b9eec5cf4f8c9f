#include "native/common/logits_check.h"

#include <cmath>
#include <limits>

#include "native/common/check.h"
#include "native/common/logits_job.h"

namespace sylvester {
namespace {

using LongLong = long long;

syl_status CheckIdCount(const char* function, const char* name, int64_t count, int64_t cols) {
  CHECK(count >= 0 && count <= cols, SYL_BAD_VALUE, "options->%s_count is %lld, must be 0..cols", name,
        static_cast<LongLong>(count));
  return SYL_OK;
}

syl_status CheckIds(const char* function, const char* name, const int32_t* ids, int64_t count, int64_t cols) {
  CHECK_OK(CheckIdCount(function, name, count, cols));
  CHECK(ids != nullptr || count == 0, SYL_NULL_ARGUMENT, "options->%s is NULL", name);
  for (int64_t i = 0; i < count; ++i) {
    CHECK(ids[i] >= 0 && ids[i] < cols && (i == 0 || ids[i] > ids[i - 1]), SYL_BAD_VALUE,
          "options->%s[%lld] is %d, must be 0..cols-1 and above the one before", name, static_cast<LongLong>(i),
          ids[i]);
  }
  return SYL_OK;
}

syl_status CheckStruct(const char* function, const syl_logits_options* options) {
  CHECK_PTR(options);
  CHECK(options->struct_size == sizeof(*options), SYL_BAD_VALUE, "options->struct_size is %u, must be %zu",
        options->struct_size, sizeof(*options));
  return SYL_OK;
}

syl_status CheckOptions(const char* function, const syl_logits_options& options, int64_t cols) {
  CHECK(options.type == SYL_F32 || options.type == SYL_F16 || options.type == SYL_BF16, SYL_BAD_VALUE,
        "options->type is %d, must be F32, F16 or BF16", options.type);
  CHECK(std::isfinite(options.guidance), SYL_BAD_VALUE, "options->guidance is %g, must be finite", options.guidance);
  CHECK(options.temperature > 0 && std::isfinite(options.temperature), SYL_BAD_VALUE,
        "options->temperature is %g, must be above 0", options.temperature);
  CHECK(options.draw_temperature >= 0 && std::isfinite(options.draw_temperature), SYL_BAD_VALUE,
        "options->draw_temperature is %g, must be 0 or more", options.draw_temperature);
  CHECK(options.step <= INT32_MAX, SYL_BAD_VALUE, "options->step is %u, must be below 2^31", options.step);
  CHECK(options.top_k >= 0, SYL_BAD_VALUE, "options->top_k is %d, must be 0 or more", options.top_k);
  CHECK(options.top_p > 0 && options.top_p <= 1, SYL_BAD_VALUE, "options->top_p is %g, must be above 0, at most 1",
        options.top_p);
  CHECK_OK(CheckIds(function, "banned", options.banned, options.banned_count, cols));
  return CheckIds(function, "ignored", options.ignored, options.ignored_count, cols);
}

}  // namespace

LogitsJob::LogitsJob(const syl_logits_options& options_, const void* logits_, const void* unconditional_,
                     int64_t stride_, int64_t cols_)
    : options(options_),
      logits(logits_),
      unconditional(unconditional_),
      stride(stride_),
      cols(cols_),
      factor(options_.guidance + 1),
      inv_temperature(std::fmin(1 / options_.temperature, std::numeric_limits<float>::max())),
      inv_draw_temperature(std::fmin(1 / options_.draw_temperature, std::numeric_limits<float>::max())) {}

syl_status CheckLogitsSizes(const char* function, const syl_logits_options* options, int64_t cols, int64_t count) {
  CHECK_OK(CheckStruct(function, options));
  CHECK_RANGE(cols, 1, INT32_MAX);
  CHECK_RANGE(count, 0, INT32_MAX);
  CHECK_OK(CheckIdCount(function, "banned", options->banned_count, cols));
  return CheckIdCount(function, "ignored", options->ignored_count, cols);
}

syl_status CheckLogitsOptions(const char* function, const syl_logits_options* options, int64_t cols) {
  CHECK_OK(CheckStruct(function, options));
  return CheckOptions(function, *options, cols);
}

syl_status CheckLogitsStride(const char* function, int64_t rows, int64_t cols, int64_t stride) {
  const int64_t extent = Extent(rows, cols, stride);
  CHECK(stride >= cols && extent >= 0 && extent <= INT64_MAX / 128, SYL_BAD_SHAPE,
        "stride is %lld, must be at least cols %lld and fit %lld rows", static_cast<LongLong>(stride),
        static_cast<LongLong>(cols), static_cast<LongLong>(rows));
  return SYL_OK;
}

syl_status CheckLogitsCall(const char* function, const syl_logits_options* options, const void* logits, int64_t stride,
                           int64_t rows, int64_t cols, const int32_t* list, int64_t count,
                           const syl_logits_stats* stats) {
  CHECK_OK(CheckStruct(function, options));
  CHECK_PTR(logits);
  CHECK_PTR(stats);
  CHECK_RANGE(cols, 1, INT32_MAX);
  CHECK_OK(CheckOptions(function, *options, cols));
  CHECK_RANGE(rows, 0, INT32_MAX);
  CHECK_OK(CheckLogitsStride(function, rows, cols, stride));
  CHECK_RANGE(count, 0, INT32_MAX);
  CHECK(list != nullptr || count == rows, SYL_BAD_VALUE, "count is %lld, must be rows, %lld, without a list",
        static_cast<LongLong>(count), static_cast<LongLong>(rows));
  return SYL_OK;
}

syl_status CheckLogitsRow(const char* function, int64_t at, int32_t row, int64_t rows) {
  CHECK(row >= 0 && row < rows, SYL_BAD_VALUE, "list[%lld] is %d, must be 0..%lld", static_cast<LongLong>(at), row,
        static_cast<LongLong>(rows - 1));
  return SYL_OK;
}

syl_status CheckLogitsResult(const char* function, int64_t row, int64_t result, const syl_logits_stats& stats) {
  CHECK(LogitsIsSound(stats), SYL_BAD_DATA, "row %lld, result %lld: %s (largest %g)", static_cast<LongLong>(row),
        static_cast<LongLong>(result),
        std::isnan(stats.log_sum_exp) ? "a logit is NaN" : "largest logit or quotient not finite", stats.max);
  return SYL_OK;
}

}  // namespace sylvester
