// A row of logits as a distribution, by one block: steps 1 to 7 of sylvester/logits.h, as native/cpu/spec/row.h. All
// threads call these.
#ifndef SYLVESTER_NATIVE_CUDA_SPEC_ROW_H_
#define SYLVESTER_NATIVE_CUDA_SPEC_ROW_H_

#include "native/common/sampler.h"
#include "native/cuda/spec/block.h"
#include "native/cuda/spec/math.h"

namespace sylvester::cuda {

constexpr float kSpecNever = -__builtin_inff();

__device__ inline uint64_t SpecKey(float value, int64_t id) {
  return static_cast<uint64_t>(OrderedBits(value)) << 32 | ~static_cast<uint32_t>(id);
}
__device__ inline int32_t SpecIdOfKey(uint64_t key) { return static_cast<int32_t>(~static_cast<uint32_t>(key)); }
__device__ inline float SpecValueOfKey(uint64_t key) {
  const auto bits = static_cast<uint32_t>(key >> 32);
  return __uint_as_float(bits >> 31 != 0 ? bits & 0x7fffffff : ~bits);
}

// Logits after steps 1 and 2, and what is allowed of them.
struct SpecLogits {
  const float* values;
  const uint32_t* allowed;  // nullptr: all
  int64_t cols;

  __device__ float operator()(int64_t i) const {
    const float value = values[i];
    const bool counts = value == value && (allowed == nullptr || (allowed[i / 32] >> (i % 32) & 1) != 0);
    return counts ? value : kSpecNever;
  }
};

// z of a row that has been read; -inf for tokens that filters have dropped.
struct SpecView {
  SpecLogits logits;
  float max, inv_temperature, least_z;
  uint64_t top_k, top_p;
  bool filters;

  __device__ SpecView(const SpecLogits& from, const SpecSampler& sampler, const SpecRow& row)
      : logits(from),
        max(row.max),
        inv_temperature(sampler.inv_temperature),
        least_z(sampler.least_z),
        top_k(row.top_k),
        top_p(row.top_p),
        filters(sampler.filters) {}

  __device__ float operator()(int64_t i) const {
    const float logit = logits(i), z = (logit - max) * inv_temperature;
    if (!filters) return z;
    return z >= least_z && SpecKey(logit, i) >= top_k && SpecKey(z, i) >= top_p ? z : kSpecNever;
  }
};

// Step 3 orders logits, step 5 what that has left by z.
template <typename Values>
struct SpecTopK {
  const Values& values;

  __device__ uint64_t Key(int64_t i) const { return SpecKey(values(i), i); }
  __device__ uint64_t Weight(uint32_t /*value*/) const { return 1; }
};
struct SpecTopP {
  const SpecView& z;
  int32_t bits;

  __device__ uint64_t Key(int64_t i) const { return SpecKey(z(i), i); }
  __device__ uint64_t Weight(uint32_t value) const {
    return TopPUnits(SpecExpF32(SpecValueOfKey(static_cast<uint64_t>(value) << 32)), bits);
  }
};

template <typename Values>
__device__ uint64_t SpecLargest(const SpecBlock& block, int64_t count, const Values& values) {
  uint64_t largest = 0;
  for (int64_t i = SpecBlock::Thread(); i < count; i += SpecBlock::Threads()) {
    const uint64_t key = SpecKey(values(i), i);
    largest = key > largest ? key : largest;
  }
  return block.Max(largest);
}

// SpecMass of exp((value - max) inv_temperature): the chunks' exponentials are made side by side.
template <typename Values>
__device__ double SpecMassOf(int64_t cols, float inv_temperature, const Values& values, const SpecScratch& scratch,
                             float* max) {
  const int64_t chunks = (cols + kSpecMassChunk - 1) / kSpecMassChunk;
  float chunk_max = 0;
  __syncthreads();  // earlier readers of the sums
  SpecChunkSums(
      cols, kSpecMassChunk, scratch.sums,
      [&](int64_t c, int64_t first, int64_t size, int lane, unsigned half) {
        uint32_t most = 0;
        for (int64_t i = first + lane; i < first + size; i += kSpecLanes) {
          const uint32_t bits = OrderedBits(values(i));
          most = bits > most ? bits : most;
        }
        most = __reduce_max_sync(half, most);
        chunk_max = SpecValueOfKey(static_cast<uint64_t>(most) << 32);
        scratch.maxima[c] = chunk_max;
      },
      [&](int64_t i) { return SpecExpF32((values(i) - chunk_max) * inv_temperature); });
  __syncthreads();
  SpecMass mass;
  for (int64_t c = 0; c < chunks; ++c) mass.Add(scratch.maxima[c], scratch.sums[c], inv_temperature);
  *max = mass.max;
  return mass.sum;
}

// Steps 3 to 6 and the mass. The row's max is finite.
__device__ inline void SpecFilter(const SpecBlock& block, const SpecLogits& logits, const SpecSampler& sampler,
                                  const SpecScratch& scratch, SpecRow* row) {
  const int64_t cols = logits.cols;
  const syl_sampler& fields = sampler.fields;
  const bool top_k = fields.top_k > 0 && fields.top_k < cols;
  if (top_k) row->top_k = SpecLeastKey(block, cols, static_cast<uint64_t>(fields.top_k), SpecTopK<SpecLogits>{logits});
  if (!(fields.top_p < 1)) return;
  SpecView z(logits, sampler, *row);
  z.least_z = kSpecNever;  // step 6 comes later
  const int32_t bits = TopPBits(cols);
  uint64_t units = 0;
  for (int64_t i = SpecBlock::Thread(); i < cols; i += SpecBlock::Threads()) units += TopPUnits(SpecExpF32(z(i)), bits);
  units = block.Sum(units);
  double mass = TopPMass(units, bits);
  if (!top_k) {
    __syncthreads();  // earlier readers of the sums
    SpecChunkSums(cols, kSpecMassChunk, scratch.sums, SpecNoBegin(), [&](int64_t i) { return SpecExpF32(z(i)); });
    __syncthreads();
    mass = SpecTotal(scratch.sums, (cols + kSpecMassChunk - 1) / kSpecMassChunk);
  }
  const uint64_t need = TopPNeed(fields.top_p, mass, bits);
  row->top_p = SpecLeastKey(block, cols, need < units ? need : units, SpecTopP{z, bits});
}

// Reads a row. mass: whether it is needed.
__device__ inline SpecRow SpecLoadRow(const SpecBlock& block, const SpecLogits& logits, const SpecSampler& sampler,
                                      bool mass, Failure::Reason failure, const SpecScratch& scratch) {
  SpecRow row = {};
  if (mass && !sampler.filters) {
    row.mass = SpecMassOf(logits.cols, sampler.inv_temperature, logits, scratch, &row.max);
  } else {
    row.max = SpecValueOfKey(SpecLargest(block, logits.cols, logits));
  }
  if (!isfinite(row.max)) {
    row.failure = failure;
    row.failure_value = row.max;
    return row;
  }
  if (!sampler.filters) return row;
  SpecFilter(block, logits, sampler, scratch, &row);
  if (mass) {
    float max;
    row.mass = SpecMassOf(logits.cols, 1, SpecView(logits, sampler, row), scratch, &max);
  }
  return row;
}

// Step 7.
__device__ inline int32_t SpecDraw(const SpecBlock& block, const SpecView& z, const syl_sampler& sampler,
                                   uint64_t position) {
  const uint32_t key[2] = {static_cast<uint32_t>(sampler.seed), static_cast<uint32_t>(sampler.seed >> 32)};
  uint64_t best = 0;
  for (int64_t first = 4 * SpecBlock::Thread(); first < z.logits.cols; first += 4 * SpecBlock::Threads()) {
    const uint32_t counter[4] = {static_cast<uint32_t>(first / 4), sampler.purpose, static_cast<uint32_t>(position),
                                 static_cast<uint32_t>(position >> 32)};
    uint32_t words[4];
    Philox4x32(counter, key, words);
    for (int j = 0; j < 4 && first + j < z.logits.cols; ++j) {
      const float value = z(first + j);
      if (!(value > kSpecNever)) continue;
      const uint64_t offer = SpecKey(value + SpecGumbel(words[j]), first + j);
      best = offer > best ? offer : best;
    }
  }
  return SpecIdOfKey(block.Max(best));
}

}  // namespace sylvester::cuda

#endif
