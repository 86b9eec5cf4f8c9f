#include "native/cpu/logits/chunk.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "native/common/half.h"
#include "native/common/tier.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/logits/chunk.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/logits/chunk-inl.h"
#include "native/cpu/logits/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

HWY_INLINE void Statistics(const float* z, int64_t cols, float inv_temperature, int64_t argmax, const void* next,
                           int64_t block_bytes, LogitsPart* part) {
  HWY_ALIGN float buffer[kLogitsChunk];
  const Exponential exponential(part->best.max, inv_temperature);
  BlockSums<true> sums(exponential, next, block_bytes);
  VisitBlocks(exponential.Refer(z, cols, buffer), cols, argmax, sums);
  part->best.second = exponential.IsIdentity() ? hn::GetLane(hn::MaxOfLanes(BlockSums<true>::D(), sums.second))
                                               : std::max(MaxOf(z, argmax), MaxOf(z + argmax + 1, cols - argmax - 1));
  part->sums.sum = sums.sum.Total() / exponential.OfTop();
  part->sums.weighted = sums.weighted.Total() / exponential.OfTop();
}

// Logarithm of the sum of exp(z inv_temperature); the largest is at argmax.
HWY_INLINE double LogMass(const float* z, int64_t cols, float inv_temperature, int64_t argmax) {
  HWY_ALIGN float buffer[kLogitsChunk];
  const Exponential exponential(z[argmax], inv_temperature);
  BlockSums<false> sums(exponential, nullptr, 0);
  VisitBlocks(exponential.Refer(z, cols, buffer), cols, argmax, sums);
  return z[argmax] * inv_temperature + LogitsLogOnePlus(sums.sum.Total() / exponential.OfTop());
}

LogitsPart ChunkStatistics(const LogitsJob& job, int64_t result, const ChunkLogits& chunk) {
  HWY_ALIGN float buffer[kLogitsChunk];
  const int64_t first = chunk.First(), cols = chunk.Cols(job);
  const float* z = LoadChunk(job, chunk, buffer);
  const Largest largest = LargestOf(z, cols);
  LogitsPart part;
  part.best.max = largest.max;
  if (largest.index >= 0) part.best.argmax = part.sums.argmax = static_cast<int32_t>(first + largest.index);
  part.sums.w = largest.max * job.inv_temperature;
  if (!std::isfinite(part.sums.w)) {
    const bool has_nan = std::any_of(z, z + cols, [](float value) { return value != value; });
    if (has_nan) part.sums.sum = std::numeric_limits<double>::quiet_NaN();
    // Several infinities: no second is known, and none is needed.
    return part;
  }
  const int64_t bytes = job.options.type == SYL_F32 ? 4 : 2;
  const auto* next = static_cast<const uint8_t*>(chunk.logits) + kLogitsChunk * bytes;
  Statistics(z, cols, job.inv_temperature, largest.index, next, kLogitsBlock * bytes, &part);
  if (job.Draws()) {
    const double log_mass = job.inv_temperature == job.inv_draw_temperature
                                ? part.sums.w + LogitsLogOnePlus(part.sums.sum)
                                : LogMass(z, cols, job.inv_draw_temperature, largest.index);
    const LogitsNoise noise = job.NoiseOf(result, static_cast<uint32_t>(chunk.index));
    part.best.race = log_mass + noise.gumbel;
    part.best.racer = static_cast<int32_t>(~chunk.index);
  }
  return part;
}

// exp(w) of a chunk's columns.
struct Weights {
  HWY_INLINE void Block(const float* x) {
    const hn::ScalableTag<float> d;
    for (int64_t i = 0; i < kLogitsBlock; i += hn::MaxLanes(d)) {
      hn::StoreU(exponential.Of(d, exponential.Clamp(d, hn::LoadU(d, x + i))), d, at + i);
    }
    at += kLogitsBlock;
  }

  const Exponential exponential;
  float* at;
};

int32_t ChunkDraw(const LogitsJob& job, int64_t result, const ChunkLogits& chunk) {
  HWY_ALIGN float buffer[kLogitsChunk], referred[kLogitsChunk], weights[kLogitsChunk];
  const int64_t first = chunk.First(), cols = chunk.Cols(job);
  const float* z = LoadChunk(job, chunk, buffer);
  Weights visitor{Exponential(LargestOf(z, cols).max, job.inv_draw_temperature), weights};
  VisitBlocks(visitor.exponential.Refer(z, cols, referred), cols, -1, visitor);
  const double uniform = job.NoiseOf(result, static_cast<uint32_t>(chunk.index)).uniform;
  const int64_t blocks = (cols + kLogitsBlock - 1) / kLogitsBlock;
  double sums[kLogitsChunk / kLogitsBlock] = {};
  for (int64_t i = 0; i < kLogitsBlock; ++i) {
    for (int64_t b = 0; b < blocks; ++b) sums[b] += static_cast<double>(weights[b * kLogitsBlock + i]);
  }
  return static_cast<int32_t>(first + LogitsChooseToken(weights, sums, blocks, uniform));
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {
constexpr LogitsPart (*kStatistics[kTierCount])(const LogitsJob&, int64_t,
                                                const ChunkLogits&) = SYL_TIERS(ChunkStatistics);
constexpr int32_t (*kDraw[kTierCount])(const LogitsJob&, int64_t, const ChunkLogits&) = SYL_TIERS(ChunkDraw);

const void* At(const LogitsJob& job, const void* logits, int64_t at) {
  const int64_t bytes = job.options.type == SYL_F32 ? 4 : 2;
  return logits == nullptr ? nullptr : static_cast<const uint8_t*>(logits) + at * bytes;
}

float ElementOf(syl_dtype type, const void* logits, int64_t at) {
  switch (type) {
    case SYL_F16: return FloatFromF16(static_cast<const uint16_t*>(logits)[at]);
    case SYL_BF16: return FloatFromBf16(static_cast<const uint16_t*>(logits)[at]);
    default: return static_cast<const float*>(logits)[at];
  }
}

}  // namespace

ChunkLogits ChunkOf(const LogitsJob& job, int64_t result, int64_t index) {
  const int64_t at = job.RowOf(result) * job.stride + index * kLogitsChunk;
  return {index, At(job, job.logits, at), At(job, job.unconditional, at)};
}

LogitsPart PartOfChunk(const LogitsJob& job, int64_t result, const ChunkLogits& chunk) {
  return kStatistics[CurrentTier()](job, result, chunk);
}

int32_t DrawFromChunk(const LogitsJob& job, int64_t result, const ChunkLogits& chunk) {
  return kDraw[CurrentTier()](job, result, chunk);
}

float LogitOf(const LogitsJob& job, const ChunkLogits& chunk, int64_t token) {
  const int64_t at = token - chunk.First();
  float z = ElementOf(job.options.type, chunk.logits, at);
  if (chunk.unconditional != nullptr) {
    const float u = ElementOf(job.options.type, chunk.unconditional, at);
    z = u + job.factor * (z - u);
  }
  return z < job.cut ? -std::numeric_limits<float>::infinity() : z;
}

}  // namespace sylvester
#endif
