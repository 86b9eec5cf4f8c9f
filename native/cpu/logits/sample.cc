#include <sylvester/logits.h>

#include <cmath>

#include "native/common/status.h"
#include "native/cpu/logits/prepare.h"

namespace sylvester {
namespace {

syl_status CheckCall(const char* function, const syl_sampler* sampler, int64_t cols, int64_t history_count) {
  if (sampler == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: sampler is NULL", function);
  if (const syl_status status = CheckSampler(function, "sampler", -1, *sampler)) return status;
  if (cols < 1 || cols > INT32_MAX) {
    return Fail(SYL_BAD_VALUE, "%s: cols is %lld, must be 1..%d", function, static_cast<long long>(cols), INT32_MAX);
  }
  if (history_count < 0 || history_count > INT32_MAX) {
    return Fail(SYL_BAD_VALUE, "%s: history_count is %lld, must be 0..%d", function,
                static_cast<long long>(history_count), INT32_MAX);
  }
  return SYL_OK;
}

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_logits_sample_workspace(const syl_sampler* sampler, int64_t cols, int64_t history_count,
                                       int64_t* bytes) {
  if (const syl_status status = CheckCall(__func__, sampler, cols, history_count)) return status;
  SYL_REQUIRE_PTR(bytes);
  *bytes = RowScratch::Bytes(cols);
  return SYL_OK;
}

syl_status syl_logits_sample_f32(const syl_sampler* sampler, const float* logits, int64_t cols, const int32_t* history,
                                 int64_t history_count, const int32_t* bias_ids, const float* bias_values,
                                 int64_t bias_count, int64_t position, void* workspace, int64_t workspace_bytes,
                                 int32_t* token, float* log_probability) {
  syl_status status = CheckCall(__func__, sampler, cols, history_count);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(logits);
  SYL_REQUIRE_PTR(token);
  SYL_REQUIRE_PTR(workspace);
  SYL_REQUIRE_RANGE(bias_count, 0, INT32_MAX);
  SYL_REQUIRE_RANGE(position, 0, INT64_MAX);
  status = CheckIds(__func__, "history", history, 0, history_count, cols);
  if (status == SYL_OK) status = CheckIds(__func__, "bias_ids", bias_ids, 0, bias_count, cols);
  if (status == SYL_OK) status = CheckBias(__func__, "bias_values", bias_values, 0, bias_count);
  if (status != SYL_OK) return status;
  const int64_t needed = RowScratch::Bytes(cols);
  SYL_REQUIRE(workspace_bytes >= needed, SYL_WORKSPACE, "workspace_bytes is %lld, must be at least %lld",
              static_cast<long long>(workspace_bytes), static_cast<long long>(needed));
  SYL_REQUIRE(reinterpret_cast<uintptr_t>(workspace) % alignof(uint64_t) == 0, SYL_BAD_VALUE,
              "workspace is %p, must be aligned to 8 bytes", workspace);
  // Ids must stay what has been checked.
  SYL_REQUIRE(!Overlaps(workspace, needed, logits, cols * 4) &&
                  !Overlaps(workspace, needed, sampler, sizeof(*sampler)) &&
                  !Overlaps(workspace, needed, history, history_count * 4) &&
                  !Overlaps(workspace, needed, bias_ids, bias_count * 4) &&
                  !Overlaps(workspace, needed, bias_values, bias_count * 4),
              SYL_OVERLAP, "workspace (%lld bytes) overlaps an input", static_cast<long long>(needed));

  RowScratch scratch(workspace, cols);
  logits = ChangeLogits(*sampler, {history, history_count, bias_ids, bias_values, bias_count, nullptr}, logits, cols,
                        &scratch);
  const bool greedy = IsGreedy(*sampler), filters = !greedy && HasFilters(*sampler, cols);
  const float inv_temperature = InverseTemperature(*sampler);
  RowTotals totals{0, 1};
  int64_t argmax = 0;
  if (log_probability != nullptr && !filters) {
    totals = TotalsOfRow(logits, cols, inv_temperature);
  } else if (!greedy) {
    totals.max = MaxOfRow(logits, cols);
  }
  if (greedy) argmax = ArgmaxOfRow(logits, cols, &totals.max);
  SYL_REQUIRE(std::isfinite(totals.max), SYL_BAD_VALUE, "the largest of %lld logits is %g, must be finite",
              static_cast<long long>(cols), totals.max);

  Drawn drawn{static_cast<int32_t>(argmax), 0};
  if (!greedy) {
    const Scale scale{totals.max, inv_temperature};
    if (filters) {
      SelectTokens(*sampler, logits, cols, scale, &scratch.list);
      if (log_probability != nullptr) totals.mass = MassOfRow(scratch.list.z, scratch.list.count, {0, 1});
    }
    drawn = DrawToken({logits, cols, scale, filters ? &scratch.list : nullptr},
                      {sampler->seed, static_cast<uint64_t>(position), sampler->purpose});
  }
  *token = drawn.token;
  if (log_probability != nullptr) *log_probability = static_cast<float>(drawn.z - std::log(totals.mass));
  return SYL_OK;
}
