// A chunk's logits as floats: with guidance, without the tokens that do not count.
#if defined(SYLVESTER_NATIVE_CPU_LOGITS_LOAD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_LOGITS_LOAD_INL_H_
#undef SYLVESTER_NATIVE_CPU_LOGITS_LOAD_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_LOGITS_LOAD_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <limits>

#include "hwy/highway.h"
#include "native/cpu/half-inl.h"
#include "native/cpu/logits/chunk.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

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

// Logits below the cut to -inf.
HWY_INLINE void Cut(float cut, int64_t cols, float* z) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> d1;
  const auto drop = [&](auto tag, int64_t i) HWY_ATTR {
    const auto value = hn::LoadU(tag, z + i), none = hn::Set(tag, -std::numeric_limits<float>::infinity());
    hn::StoreU(hn::IfThenElse(hn::Lt(value, hn::Set(tag, cut)), none, value), tag, z + i);
  };
  const int64_t N = hn::MaxLanes(d);
  int64_t i = 0;
  for (; i + N <= cols; i += N) drop(d, i);
  for (; i < cols; ++i) drop(d1, i);
}

HWY_INLINE bool HasAny(const int32_t* ids, int64_t count, int64_t first, int64_t cols) {
  const int32_t* id = std::lower_bound(ids, ids + count, first);
  return id < ids + count && *id < first + cols;
}

// z of a chunk, where its logits are or in the buffer.
HWY_INLINE const float* LoadChunk(const LogitsJob& job, const ChunkLogits& chunk, float* buffer) {
  const syl_logits_options& options = job.options;
  const int64_t first = chunk.First(), cols = chunk.Cols(job);
  const bool excludes = HasAny(options.banned, options.banned_count, first, cols) ||
                        HasAny(options.ignored, options.ignored_count, first, cols);
  const bool cuts = job.cut > -std::numeric_limits<float>::infinity();
  const auto convert = [&](auto type) HWY_ATTR {
    using T = decltype(type);
    Convert(static_cast<const T*>(chunk.logits), static_cast<const T*>(chunk.unconditional), job.factor, cols, buffer);
  };
  switch (options.type) {
    case SYL_F16: convert(hwy::float16_t()); break;
    case SYL_BF16: convert(hwy::bfloat16_t()); break;
    default:
      if (chunk.unconditional == nullptr && !excludes && !cuts) return static_cast<const float*>(chunk.logits);
      convert(float());
  }
  if (excludes) {
    Exclude(options.banned, options.banned_count, first, cols, buffer);
    Exclude(options.ignored, options.ignored_count, first, cols, buffer);
  }
  if (cuts) Cut(job.cut, cols, buffer);
  return buffer;
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
