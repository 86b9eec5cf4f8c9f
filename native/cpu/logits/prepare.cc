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

RowScratch::RowScratch(void* memory, int64_t cols) {
  list.count = 0;
  list.keys = static_cast<uint64_t*>(memory);
  list.z = reinterpret_cast<float*>(list.keys + cols);
  list.ids = reinterpret_cast<int32_t*>(list.z + cols + kListPadding);
  logits = reinterpret_cast<float*>(list.ids + cols + kListPadding);
}

int64_t RowScratch::Bytes(int64_t cols) { return cols * 8 + 2 * (cols + kListPadding) * 4 + cols * 4; }

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
