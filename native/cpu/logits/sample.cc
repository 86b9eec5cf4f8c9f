#include <sylvester/logits.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "native/common/status.h"
#include "native/common/tier.h"
#include "native/cpu/logits/draw.h"
#include "native/cpu/logits/filters.h"
#include "native/cpu/logits/stats.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/logits/sample.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/logits/gumbel-inl.h"

#if HWY_ONCE
namespace sylvester {
namespace {

constexpr uint32_t kSamplePurpose = 0;

constexpr void (*kDrawFromRow[kTierCount])(const NoiseKey&, const float*, int64_t, int32_t*) = SYL_TIERS(DrawFromRow);
constexpr void (*kDrawFromCandidates[kTierCount])(const NoiseKey&, const Candidate*, int64_t,
                                                  int32_t*) = SYL_TIERS(DrawFromCandidates);

// Workspace: candidates, then the changed logits, then a copy of the history.
struct Workspace {
  Candidate* candidates;
  float* logits;
  int32_t* history;

  Workspace(void* memory, int64_t cols)
      : candidates(static_cast<Candidate*>(memory)),
        logits(reinterpret_cast<float*>(candidates + cols)),
        history(reinterpret_cast<int32_t*>(logits + cols)) {}

  static int64_t Bytes(int64_t cols, int64_t history_count) {
    return cols * static_cast<int64_t>(sizeof(Candidate) + sizeof(float)) +
           history_count * static_cast<int64_t>(sizeof(int32_t));
  }
};

syl_status CheckSampler(const char* function, const syl_sampler* sampler) {
  if (sampler == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: sampler is NULL", function);
  const syl_sampler& s = *sampler;
  if (s.struct_size != sizeof(s)) {
    return Fail(SYL_BAD_VALUE, "%s: sampler->struct_size is %u, must be %zu", function, s.struct_size, sizeof(s));
  }
  const auto bad = [&](const char* field, double value, const char* range) {
    return Fail(SYL_BAD_VALUE, "%s: sampler->%s is %g, must be %s", function, field, value, range);
  };
  if (!(s.temperature >= 0 && std::isfinite(s.temperature))) return bad("temperature", s.temperature, "0 or more");
  if (s.top_k < 0) return bad("top_k", s.top_k, "0 or more");
  if (!(s.top_p > 0 && s.top_p <= 1)) return bad("top_p", s.top_p, "above 0, at most 1");
  if (!(s.min_p >= 0 && s.min_p <= 1)) return bad("min_p", s.min_p, "0 to 1");
  if (!(s.repetition_penalty > 0 && std::isfinite(s.repetition_penalty))) {
    return bad("repetition_penalty", s.repetition_penalty, "above 0");
  }
  if (!std::isfinite(s.presence_penalty)) return bad("presence_penalty", s.presence_penalty, "finite");
  if (!std::isfinite(s.frequency_penalty)) return bad("frequency_penalty", s.frequency_penalty, "finite");
  return SYL_OK;
}

syl_status CheckCounts(const char* function, int64_t cols, int64_t history_count) {
  if (cols < 1 || cols > INT32_MAX) {
    return Fail(SYL_BAD_VALUE, "%s: cols is %lld, must be 1..%d", function, static_cast<long long>(cols), INT32_MAX);
  }
  if (history_count < 0 || history_count > INT32_MAX) {
    return Fail(SYL_BAD_VALUE, "%s: history_count is %lld, must be 0..%d", function,
                static_cast<long long>(history_count), INT32_MAX);
  }
  return SYL_OK;
}

syl_status CheckIds(const char* function, const char* name, const int32_t* ids, int64_t count, int64_t cols) {
  if (count > 0 && ids == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: %s is NULL", function, name);
  for (int64_t i = 0; i < count; ++i) {
    if (ids[i] < 0 || ids[i] >= cols) {
      return Fail(SYL_BAD_VALUE, "%s: %s[%lld] is %d, must be 0..%lld", function, name, static_cast<long long>(i),
                  ids[i], static_cast<long long>(cols - 1));
    }
  }
  return SYL_OK;
}

double LogSumExp(const Candidate* candidates, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += std::exp(static_cast<double>(candidates[i].logit) - candidates[0].logit);
  return candidates[0].logit + std::log(sum);
}

bool Penalises(const syl_sampler& s) {
  return s.repetition_penalty != 1 || s.presence_penalty != 0 || s.frequency_penalty != 0;
}

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_logits_sample_workspace(const syl_sampler* sampler, int64_t cols, int64_t history_count,
                                       int64_t* bytes) {
  syl_status status = CheckSampler(__func__, sampler);
  if (status == SYL_OK) status = CheckCounts(__func__, cols, history_count);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(bytes);
  *bytes = Workspace::Bytes(cols, history_count);
  return SYL_OK;
}

syl_status syl_logits_sample_f32(const syl_sampler* sampler, const float* logits, int64_t cols, const int32_t* history,
                                 int64_t history_count, const int32_t* bias_ids, const float* bias_values,
                                 int64_t bias_count, int64_t position, void* workspace, int64_t workspace_bytes,
                                 int32_t* token, float* log_probability) {
  syl_status status = CheckSampler(__func__, sampler);
  if (status == SYL_OK) status = CheckCounts(__func__, cols, history_count);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(logits);
  SYL_REQUIRE_PTR(token);
  SYL_REQUIRE_PTR(workspace);
  SYL_REQUIRE_RANGE(bias_count, 0, INT32_MAX);
  SYL_REQUIRE_RANGE(position, 0, INT64_MAX);
  status = CheckIds(__func__, "history", history, history_count, cols);
  if (status == SYL_OK) status = CheckIds(__func__, "bias_ids", bias_ids, bias_count, cols);
  if (status != SYL_OK) return status;
  for (int64_t i = 0; i < bias_count; ++i) {
    SYL_REQUIRE_PTR(bias_values);
    SYL_REQUIRE(!std::isnan(bias_values[i]) && bias_values[i] != std::numeric_limits<float>::infinity(), SYL_BAD_VALUE,
                "bias_values[%lld] is %g, must be finite or -infinity", static_cast<long long>(i), bias_values[i]);
  }
  const int64_t needed = Workspace::Bytes(cols, history_count);
  SYL_REQUIRE(workspace_bytes >= needed, SYL_WORKSPACE, "workspace_bytes is %lld, must be at least %lld",
              static_cast<long long>(workspace_bytes), static_cast<long long>(needed));
  SYL_REQUIRE(reinterpret_cast<uintptr_t>(workspace) % alignof(Candidate) == 0, SYL_BAD_VALUE,
              "workspace is %p, must be aligned to 4 bytes", workspace);

  const Workspace scratch(workspace, cols);
  float* row = scratch.logits;
  const float lowest = -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < cols; ++i) row[i] = std::isnan(logits[i]) ? lowest : logits[i];
  for (int64_t i = 0; i < bias_count; ++i) row[bias_ids[i]] += bias_values[i];
  if (history_count > 0 && Penalises(*sampler)) {
    std::memcpy(scratch.history, history, static_cast<size_t>(history_count) * sizeof(int32_t));
    ApplyPenalties(*sampler, scratch.history, history_count, row);
  }
  const bool greedy = sampler->temperature == 0;
  if (!greedy && sampler->temperature != 1) {
    for (int64_t i = 0; i < cols; ++i) row[i] /= sampler->temperature;
  }
  const syl_logits_stats stats = StatsOfRow(row, cols);
  SYL_REQUIRE(std::isfinite(stats.max), SYL_BAD_VALUE, "the largest of %lld logits is %g, must be finite",
              static_cast<long long>(cols), stats.max);

  const NoiseKey key{sampler->seed, static_cast<uint64_t>(position), kSamplePurpose};
  double log_sum_exp = stats.log_sum_exp;
  int32_t drawn = stats.argmax;
  if (!greedy && HasFilters(*sampler, cols)) {
    const int64_t count = SelectCandidates(*sampler, row, cols, stats.max, scratch.candidates);
    log_sum_exp = LogSumExp(scratch.candidates, count);
    kDrawFromCandidates[CurrentTier()](key, scratch.candidates, count, &drawn);
  } else if (!greedy) {
    kDrawFromRow[CurrentTier()](key, row, cols, &drawn);
  }
  *token = drawn;
  if (log_probability != nullptr) *log_probability = static_cast<float>(row[drawn] - log_sum_exp);
  return SYL_OK;
}
#endif
