#include "native/cpu/logits/prepare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "native/common/status.h"

namespace sylvester {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

void BanOthers(const uint32_t* allowed, int64_t cols, float* logits) {
  for (int64_t first = 0; first < cols; first += 32) {
    const uint32_t word = allowed[first / 32];
    const int64_t size = std::min<int64_t>(32, cols - first);
    if (word == 0) {
      std::fill_n(logits + first, size, kNever);
    } else if (word != ~uint32_t{0}) {
      for (int64_t i = 0; i < size; ++i) logits[first + i] = (word >> i & 1) != 0 ? logits[first + i] : kNever;
    }
  }
}

}  // namespace

syl_status CheckSampler(const char* function, const char* name, const syl_sampler& s) {
  if (s.struct_size != sizeof(s)) {
    return Fail(SYL_BAD_VALUE, "%s: %sstruct_size is %u, must be %zu", function, name, s.struct_size, sizeof(s));
  }
  const auto bad = [&](const char* field, double value, const char* range) {
    return Fail(SYL_BAD_VALUE, "%s: %s%s is %g, must be %s", function, name, field, value, range);
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

syl_status CheckIds(const char* function, const char* name, const int32_t* ids, int64_t begin, int64_t end,
                    int64_t cols) {
  if (end > begin && ids == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: %s is NULL", function, name);
  for (int64_t i = begin; i < end; ++i) {
    if (ids[i] < 0 || ids[i] >= cols) {
      return Fail(SYL_BAD_VALUE, "%s: %s[%lld] is %d, must be 0..%lld", function, name, static_cast<long long>(i),
                  ids[i], static_cast<long long>(cols - 1));
    }
  }
  return SYL_OK;
}

syl_status CheckBias(const char* function, const char* name, const float* values, int64_t begin, int64_t end) {
  if (end > begin && values == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: %s is NULL", function, name);
  for (int64_t i = begin; i < end; ++i) {
    if (std::isnan(values[i]) || values[i] == std::numeric_limits<float>::infinity()) {
      return Fail(SYL_BAD_VALUE, "%s: %s[%lld] is %g, must be finite or -inf", function, name,
                  static_cast<long long>(i), values[i]);
    }
  }
  return SYL_OK;
}

RowScratch::RowScratch(void* memory, int64_t cols) {
  list.count = 0;
  list.keys = static_cast<uint64_t*>(memory);
  list.z = reinterpret_cast<float*>(list.keys + cols);
  list.ids = reinterpret_cast<int32_t*>(list.z + cols + kListPadding);
  logits = reinterpret_cast<float*>(list.ids + cols + kListPadding);
}

int64_t RowScratch::Bytes(int64_t cols) { return cols * 8 + 2 * (cols + kListPadding) * 4 + cols * 4; }

bool Penalises(const syl_sampler& s) {
  return s.repetition_penalty != 1 || s.presence_penalty != 0 || s.frequency_penalty != 0;
}

float InverseTemperature(const syl_sampler& s) {
  return IsGreedy(s) ? 1 : std::min(1 / s.temperature, std::numeric_limits<float>::max());
}

const float* ChangeLogits(const syl_sampler& sampler, const RowInputs& inputs, const float* logits, int64_t cols,
                          RowScratch* scratch) {
  const bool penalises = inputs.history_count > 0 && Penalises(sampler);
  if (inputs.bias_count == 0 && !penalises && inputs.allowed == nullptr) return logits;
  std::memcpy(scratch->logits, logits, static_cast<size_t>(cols) * sizeof(float));
  for (int64_t i = 0; i < inputs.bias_count; ++i) scratch->logits[inputs.bias_ids[i]] += inputs.bias_values[i];
  // Counts take the place of the filters' ids, which come later.
  if (penalises) ApplyPenalties(sampler, inputs.history, inputs.history_count, scratch->list.ids, scratch->logits);
  if (inputs.allowed != nullptr) BanOthers(inputs.allowed, cols, scratch->logits);
  return scratch->logits;
}

Drawn DrawToken(const PreparedRow& row, const NoiseKey& key) {
  if (row.list != nullptr) {
    const int64_t index = DrawFromList(key, row.list->z, row.list->ids, row.list->count);
    return {row.list->ids[index], row.list->z[index]};
  }
  const int32_t token = DrawFromRow(key, row.logits, row.cols, row.scale);
  return {token, (row.logits[token] - row.scale.max) * row.scale.inv_temperature};
}

}  // namespace sylvester
