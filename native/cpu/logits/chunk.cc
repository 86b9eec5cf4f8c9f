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
#include "native/cpu/half-inl.h"
#include "native/cpu/logits/chunk-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

template <class T>
HWY_INLINE void Convert(const T* logits, const T* unconditional, float factor, int64_t cols, float* z) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> d1;
  const auto convert = [&](auto tag, int64_t i) HWY_ATTR {
    auto value = LoadFloats(tag, logits + i);
    if (unconditional != nullptr) {
      const auto u = LoadFloats(tag, unconditional + i);
      value = hn::Add(u, hn::Mul(hn::Set(tag, factor), hn::Sub(value, u)));
    }
    hn::StoreU(value, tag, z + i);
  };
  const int64_t N = hn::MaxLanes(d);
  int64_t i = 0;
  for (; i + N <= cols; i += N) convert(d, i);
  for (; i < cols; ++i) convert(d1, i);
}

// The ids among first .. first + cols - 1 to -inf.
HWY_INLINE void Exclude(const int32_t* ids, int64_t count, int64_t first, int64_t cols, float* z) {
  for (const int32_t* id = std::lower_bound(ids, ids + count, first); id < ids + count && *id < first + cols; ++id) {
    z[*id - first] = -std::numeric_limits<float>::infinity();
  }
}

HWY_INLINE bool HasAny(const int32_t* ids, int64_t count, int64_t first, int64_t cols) {
  const int32_t* id = std::lower_bound(ids, ids + count, first);
  return id < ids + count && *id < first + cols;
}

// z of one chunk, in the row itself or in the buffer.
HWY_INLINE const float* LoadChunk(const LogitsJob& job, int64_t result, int64_t first, int64_t cols, float* buffer) {
  const syl_logits_options& options = job.options;
  const int64_t at = job.RowOf(result) * job.stride + first;
  const bool excludes = HasAny(options.banned, options.banned_count, first, cols) ||
                        HasAny(options.ignored, options.ignored_count, first, cols);
  const auto convert = [&](auto type) HWY_ATTR {
    using T = decltype(type);
    Convert(static_cast<const T*>(job.logits) + at,
            job.unconditional == nullptr ? nullptr : static_cast<const T*>(job.unconditional) + at, job.factor, cols,
            buffer);
  };
  switch (options.type) {
    case SYL_F16: convert(hwy::float16_t()); break;
    case SYL_BF16: convert(hwy::bfloat16_t()); break;
    default:
      if (job.unconditional == nullptr && !excludes) return static_cast<const float*>(job.logits) + at;
      convert(float());
  }
  if (excludes) {
    Exclude(options.banned, options.banned_count, first, cols, buffer);
    Exclude(options.ignored, options.ignored_count, first, cols, buffer);
  }
  return buffer;
}

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

LogitsPart ChunkStatistics(const LogitsJob& job, int64_t result, int64_t chunk) {
  HWY_ALIGN float buffer[kLogitsChunk];
  const int64_t first = chunk * kLogitsChunk, cols = std::min(kLogitsChunk, job.cols - first);
  const float* z = LoadChunk(job, result, first, cols, buffer);
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
  const auto* next =
      static_cast<const uint8_t*>(job.logits) + (job.RowOf(result) * job.stride + first + kLogitsChunk) * bytes;
  Statistics(z, cols, job.inv_temperature, largest.index, next, kLogitsBlock * bytes, &part);
  if (job.Draws()) {
    const double log_mass = job.inv_temperature == job.inv_draw_temperature
                                ? part.sums.w + LogitsLogOnePlus(part.sums.sum)
                                : LogMass(z, cols, job.inv_draw_temperature, largest.index);
    const LogitsNoise noise = job.NoiseOf(result, static_cast<uint32_t>(chunk));
    part.best.race = log_mass + noise.gumbel;
    part.best.racer = static_cast<int32_t>(~chunk);
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

int32_t ChunkDraw(const LogitsJob& job, int64_t result, int64_t chunk) {
  HWY_ALIGN float buffer[kLogitsChunk], referred[kLogitsChunk], weights[kLogitsChunk];
  const int64_t first = chunk * kLogitsChunk, cols = std::min(kLogitsChunk, job.cols - first);
  const float* z = LoadChunk(job, result, first, cols, buffer);
  Weights visitor{Exponential(LargestOf(z, cols).max, job.inv_draw_temperature), weights};
  VisitBlocks(visitor.exponential.Refer(z, cols, referred), cols, -1, visitor);
  const double uniform = job.NoiseOf(result, static_cast<uint32_t>(chunk)).uniform;
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
constexpr LogitsPart (*kStatistics[kTierCount])(const LogitsJob&, int64_t, int64_t) = SYL_TIERS(ChunkStatistics);
constexpr int32_t (*kDraw[kTierCount])(const LogitsJob&, int64_t, int64_t) = SYL_TIERS(ChunkDraw);

float ElementOf(syl_dtype type, const void* logits, int64_t at) {
  switch (type) {
    case SYL_F16: return FloatFromF16(static_cast<const uint16_t*>(logits)[at]);
    case SYL_BF16: return FloatFromBf16(static_cast<const uint16_t*>(logits)[at]);
    default: return static_cast<const float*>(logits)[at];
  }
}

}  // namespace

LogitsPart PartOfChunk(const LogitsJob& job, int64_t result, int64_t chunk) {
  return kStatistics[CurrentTier()](job, result, chunk);
}

int32_t DrawFromChunk(const LogitsJob& job, int64_t result, int64_t chunk) {
  return kDraw[CurrentTier()](job, result, chunk);
}

float LogitOf(const LogitsJob& job, int64_t result, int64_t token) {
  const int64_t at = job.RowOf(result) * job.stride + token;
  const float logit = ElementOf(job.options.type, job.logits, at);
  if (job.unconditional == nullptr) return logit;
  const float u = ElementOf(job.options.type, job.unconditional, at);
  return u + job.factor * (logit - u);
}

}  // namespace sylvester
#endif
