#include "native/cpu/nn/cache.h"

#include <algorithm>
#include <cmath>

#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/common/tier.h"
#include "native/cpu/nn/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/nn/cache.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/half-inl.h"

#ifndef SYLVESTER_NATIVE_CPU_NN_APPEND_CALL_
#define SYLVESTER_NATIVE_CPU_NN_APPEND_CALL_
namespace sylvester {

struct AppendCall {
  const syl_attention& shape;
  const float* k;
  int64_t k_stride;
  const float* v;
  int64_t v_stride;
  int64_t first;
  void* keys;
  void* values;
};

}  // namespace sylvester
#endif

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <typename T>
HWY_INLINE void AppendTokensOf(const AppendCall& call, int64_t head, int64_t begin, int64_t end) {
  const hn::CappedTag<float, 8> d;
  const int64_t N = hn::MaxLanes(d);
  const int64_t head_dim = call.shape.head_dim, base = head * call.shape.capacity * head_dim;
  HWY_ALIGN T column[kMaxHeadDim];
  for (int64_t token = begin; token < end; ++token) {
    const float* k = call.k + (token - call.first) * call.k_stride + head * head_dim;
    const float* v = call.v + (token - call.first) * call.v_stride + head * head_dim;
    T* key = static_cast<T*>(call.keys) + base + token / kTileTokens * kTileTokens * head_dim + token % kTileTokens;
    T* value = static_cast<T*>(call.values) + base + token * head_dim;
    for (int64_t i = 0; i < head_dim; i += N) {
      StoreFloats(hn::LoadU(d, k + i), d, column + i);
      StoreFloats(hn::LoadU(d, v + i), d, value + i);
    }
    for (int64_t i = 0; i < head_dim; ++i) hwy::CopyBytes<sizeof(T)>(column + i, key + i * kTileTokens);
  }
}

// Tokens begin .. end-1 of a head.
HWY_NOINLINE void AppendTokens(const AppendCall& call, int64_t head, int64_t begin, int64_t end) {
  if (call.shape.cache_type == SYL_F16) {
    AppendTokensOf<hwy::float16_t>(call, head, begin, end);
  } else {
    AppendTokensOf<float>(call, head, begin, end);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {

constexpr int64_t kMaxHeads = 1 << 16;
constexpr int64_t kChunkTokens = 64;  // of one task: whole tiles, so that tasks share no cache line of the keys

constexpr void (*kAppendTokens[kTierCount])(const AppendCall&, int64_t head, int64_t begin,
                                            int64_t end) = SYL_TIERS(AppendTokens);

}  // namespace

syl_status CheckAttentionShape(const char* function, const syl_attention* attention) {
  if (attention == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: attention is NULL", function);
  const syl_attention& a = *attention;
  const auto bad = [&](syl_status status, const char* field, int64_t value, const char* rule) {
    return Fail(status, "%s: attention->%s is %lld, %s", function, field, static_cast<long long>(value), rule);
  };
  if (a.struct_size != sizeof(a)) return bad(SYL_BAD_VALUE, "struct_size", a.struct_size, "not that of syl_attention");
  if (a.cache_type != SYL_F16 && a.cache_type != SYL_F32) {
    return bad(SYL_BAD_VALUE, "cache_type", a.cache_type, "must be SYL_F16 or SYL_F32");
  }
  if (a.kv_heads < 1 || a.kv_heads > kMaxHeads) return bad(SYL_BAD_VALUE, "kv_heads", a.kv_heads, "must be 1..65536");
  if (a.q_heads < 1 || a.q_heads > kMaxHeads) return bad(SYL_BAD_VALUE, "q_heads", a.q_heads, "must be 1..65536");
  if (a.q_heads % a.kv_heads != 0) return bad(SYL_BAD_SHAPE, "q_heads", a.q_heads, "must be a multiple of kv_heads");
  if (a.head_dim < 8 || a.head_dim > kMaxHeadDim || a.head_dim % 8 != 0) {
    return bad(SYL_BAD_SHAPE, "head_dim", a.head_dim, "must be a multiple of 8, 8..512");
  }
  if (a.capacity < kTileTokens || a.capacity > kMaxTokens || a.capacity % kTileTokens != 0) {
    return bad(SYL_BAD_SHAPE, "capacity", a.capacity, "must be a multiple of 16, 16..2^40");
  }
  if (a.causal != 0 && a.causal != 1) return bad(SYL_BAD_VALUE, "causal", a.causal, "must be 0 or 1");
  if (a.window < 0) return bad(SYL_BAD_VALUE, "window", a.window, "must not be negative");
  if (a.window > 0 && a.causal == 0) return bad(SYL_BAD_VALUE, "window", a.window, "needs causal attention");
  if (!std::isfinite(a.scale))
    return Fail(SYL_BAD_VALUE, "%s: attention->scale is %g, must be finite", function, a.scale);
  if (!std::isfinite(a.soft_cap) || a.soft_cap < 0) {
    return Fail(SYL_BAD_VALUE, "%s: attention->soft_cap is %g, must be finite and not negative", function, a.soft_cap);
  }
  int64_t bytes;
  if (__builtin_mul_overflow(a.kv_heads * a.head_dim * 4, a.capacity, &bytes)) {
    return bad(SYL_BAD_SHAPE, "capacity", a.capacity, "overflows the cache's size");
  }
  return SYL_OK;
}

int64_t CacheBytes(const syl_attention& attention) {
  return attention.kv_heads * attention.capacity * attention.head_dim * (attention.cache_type == SYL_F16 ? 2 : 4);
}

}  // namespace sylvester

using namespace sylvester;

syl_status syl_nn_cache_size(const syl_attention* attention, int64_t* key_bytes, int64_t* value_bytes) {
  const syl_status status = CheckAttentionShape(__func__, attention);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(key_bytes);
  SYL_REQUIRE_PTR(value_bytes);
  *key_bytes = *value_bytes = CacheBytes(*attention);
  return SYL_OK;
}

syl_status syl_nn_cache_append_f32(const syl_attention* attention, const float* k, int64_t k_stride, const float* v,
                                   int64_t v_stride, int64_t first, int64_t rows, void* keys, void* values,
                                   syl_pool* pool) {
  syl_status status = CheckAttentionShape(__func__, attention);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(keys);
  SYL_REQUIRE_PTR(values);
  SYL_REQUIRE_RANGE(first, 0, attention->capacity);
  SYL_REQUIRE_RANGE(rows, 0, attention->capacity - first);
  const int64_t cols = attention->kv_heads * attention->head_dim, cache_bytes = CacheBytes(*attention);
  for (const Rows& in : {Rows{"k", k, k_stride}, Rows{"v", v, v_stride}}) {
    status = CheckRows(__func__, in, rows, cols);
    if (status != SYL_OK) return status;
    const int64_t bytes = Extent(rows, cols, in.stride) * 4;
    SYL_REQUIRE(!Overlaps(keys, cache_bytes, in.data, bytes), SYL_OVERLAP, "keys overlaps %s", in.name);
    SYL_REQUIRE(!Overlaps(values, cache_bytes, in.data, bytes), SYL_OVERLAP, "values overlaps %s", in.name);
  }
  SYL_REQUIRE(!Overlaps(values, cache_bytes, keys, cache_bytes), SYL_OVERLAP, "values overlaps keys, %lld bytes each",
              static_cast<long long>(cache_bytes));
  if (rows == 0) return SYL_OK;
  const AppendCall call{*attention, k, k_stride, v, v_stride, first, keys, values};
  const auto append = kAppendTokens[CurrentTier()];
  const int64_t heads = attention->kv_heads, end = first + rows, first_chunk = first / kChunkTokens;
  // A few tokens are written sooner than another thread wakes.
  ParallelFor(rows < kTileTokens ? nullptr : pool, heads * (CeilDiv(end, kChunkTokens) - first_chunk),
              [&](int64_t task, int32_t) {
                const int64_t chunk = (first_chunk + task / heads) * kChunkTokens;
                append(call, task % heads, std::max(first, chunk), std::min(end, chunk + kChunkTokens));
              });
  return SYL_OK;
}
#endif  // HWY_ONCE
