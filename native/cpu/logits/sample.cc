#include <sylvester/logits.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "native/common/status.h"
#include "native/cpu/logits/draw.h"
#include "native/cpu/logits/filters.h"
#include "native/cpu/logits/row.h"

namespace sylvester {
namespace {

// Workspace: scratch of the filters, then the changed logits.
struct Workspace {
  TokenList list;
  float* logits;

  Workspace(void* memory, int64_t cols) {
    list.count = 0;
    list.keys = static_cast<uint64_t*>(memory);
    list.z = reinterpret_cast<float*>(list.keys + cols);
    list.ids = reinterpret_cast<int32_t*>(list.z + cols + kListPadding);
    logits = reinterpret_cast<float*>(list.ids + cols + kListPadding);
  }

  static int64_t Bytes(int64_t cols) { return cols * 8 + 2 * (cols + kListPadding) * 4 + cols * 4; }
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
  *bytes = Workspace::Bytes(cols);
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
                "bias_values[%lld] is %g, must be finite or -inf", static_cast<long long>(i), bias_values[i]);
  }
  const int64_t needed = Workspace::Bytes(cols);
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

  Workspace scratch(workspace, cols);
  const bool penalises = history_count > 0 && Penalises(*sampler);
  if (bias_count > 0 || penalises) {
    std::memcpy(scratch.logits, logits, static_cast<size_t>(cols) * sizeof(float));
    logits = scratch.logits;
    for (int64_t i = 0; i < bias_count; ++i) scratch.logits[bias_ids[i]] += bias_values[i];
    if (penalises) ApplyPenalties(*sampler, history, history_count, scratch.list.ids, scratch.logits);
  }
  const float max = MaxOfRow(logits, cols);
  SYL_REQUIRE(std::isfinite(max), SYL_BAD_VALUE, "the largest of %lld logits is %g, must be finite",
              static_cast<long long>(cols), max);

  const NoiseKey key{sampler->seed, static_cast<uint64_t>(position), sampler->purpose};
  const bool greedy = sampler->temperature == 0;
  const Scale scale{max, greedy ? 1 : std::min(1 / sampler->temperature, std::numeric_limits<float>::max())};
  int32_t drawn;
  float z;
  double mass = 1;
  if (!greedy && HasFilters(*sampler, cols)) {
    TokenList& list = scratch.list;
    SelectTokens(*sampler, logits, cols, scale, &list);
    const int64_t index = DrawFromList(key, list.z, list.ids, list.count);
    drawn = list.ids[index];
    z = list.z[index];
    if (log_probability != nullptr) mass = MassOfRow(list.z, list.count, {0, 1});
  } else {
    drawn = static_cast<int32_t>(greedy ? FindInRow(logits, cols, max) : DrawFromRow(key, logits, cols, scale));
    z = (logits[drawn] - max) * scale.inv_temperature;
    if (log_probability != nullptr) mass = MassOfRow(logits, cols, scale);
  }
  *token = drawn;
  if (log_probability != nullptr) *log_probability = static_cast<float>(z - std::log(mass));
  return SYL_OK;
}
