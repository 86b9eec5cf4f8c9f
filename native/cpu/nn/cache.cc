#include "native/cpu/nn/cache.h"

#include <cmath>
#include <cstring>

#include "native/common/half.h"
#include "native/common/pool.h"
#include "native/common/status.h"

namespace sylvester {
namespace {

constexpr int64_t kTileTokens = 16;
constexpr int64_t kMaxHeads = 1 << 16;
constexpr int64_t kMaxHeadDim = 512;
constexpr int64_t kMaxCapacity = int64_t{1} << 40;

template <typename T>
T FromFloat(float value);
template <>
float FromFloat(float value) {
  return value;
}
template <>
uint16_t FromFloat(float value) {
  return F16FromFloat(value);
}

struct AppendCall {
  const syl_attention& shape;
  const float* k;
  int64_t k_stride;
  const float* v;
  int64_t v_stride;
  int64_t first;
  int64_t rows;
  void* keys;
  void* values;
};

template <typename T>
void AppendHead(const AppendCall& call, int64_t head) {
  const int64_t head_dim = call.shape.head_dim, capacity = call.shape.capacity;
  T* keys = static_cast<T*>(call.keys) + head * capacity * head_dim;
  T* values = static_cast<T*>(call.values) + head * capacity * head_dim;
  for (int64_t row = 0; row < call.rows; ++row) {
    const int64_t token = call.first + row;
    T* key = keys + token / kTileTokens * kTileTokens * head_dim + token % kTileTokens;
    T* value = values + token * head_dim;
    const float* k = call.k + row * call.k_stride + head * head_dim;
    const float* v = call.v + row * call.v_stride + head * head_dim;
    for (int64_t i = 0; i < head_dim; ++i) {
      key[i * kTileTokens] = FromFloat<T>(k[i]);
      value[i] = FromFloat<T>(v[i]);
    }
  }
}

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
  if (a.capacity < kTileTokens || a.capacity > kMaxCapacity || a.capacity % kTileTokens != 0) {
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
  int64_t elements;
  if (__builtin_mul_overflow(a.kv_heads * a.head_dim, a.capacity * 4, &elements)) {
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
  const syl_status status = CheckAttentionShape(__func__, attention);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(k);
  SYL_REQUIRE_PTR(v);
  SYL_REQUIRE_PTR(keys);
  SYL_REQUIRE_PTR(values);
  SYL_REQUIRE_RANGE(first, 0, attention->capacity);
  SYL_REQUIRE_RANGE(rows, 0, attention->capacity - first);
  const int64_t cols = attention->kv_heads * attention->head_dim;
  SYL_REQUIRE(k_stride >= cols, SYL_BAD_SHAPE, "k_stride is %lld, must be at least %lld",
              static_cast<long long>(k_stride), static_cast<long long>(cols));
  SYL_REQUIRE(v_stride >= cols, SYL_BAD_SHAPE, "v_stride is %lld, must be at least %lld",
              static_cast<long long>(v_stride), static_cast<long long>(cols));
  const AppendCall call{*attention, k, k_stride, v, v_stride, first, rows, keys, values};
  // A head's tokens share cache lines of the keys, so that rows are not split.
  const auto append = attention->cache_type == SYL_F16 ? AppendHead<uint16_t> : AppendHead<float>;
  ParallelFor(rows >= kTileTokens ? pool : nullptr, attention->kv_heads,
              [&](int64_t head, int32_t) { append(call, head); });
  return SYL_OK;
}
