#include "native/common/kv_plan.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <new>
#include <utility>

#include "native/common/hadamard_plan.h"
#include "native/common/status.h"

namespace sylvester {
namespace {

#define REQUIRE(condition, status, format, ...)                             \
  do {                                                                      \
    if (!(condition)) return Fail(status, "%s" format, where, __VA_ARGS__); \
  } while (0)

#define REQUIRE_RANGE(name, value, low, high)                                                                          \
  REQUIRE((value) >= (low) && (value) <= (high), SYL_BAD_VALUE, name " is %" PRId64 ", must be %" PRId64 "..%" PRId64, \
          int64_t{value}, int64_t{low}, int64_t{high})

constexpr int64_t kMaxChannels = 256 * 256;  // of a layer

// FNV-1a over little-endian bytes.
class Hash {
 public:
  template <typename T>
  void Add(T value) {
    uint8_t bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    for (const uint8_t byte : bytes) value_ = (value_ ^ byte) * 0x100000001b3;
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325;
};

uint64_t HashOf(const syl_kv_geometry& g) {
  Hash hash;
  hash.Add(g.layers);
  hash.Add(g.q_heads);
  hash.Add(g.kv_heads);
  hash.Add(g.head_dim);
  hash.Add(g.scale);
  hash.Add(g.soft_cap);
  for (int32_t i = 0; i < g.layers; ++i) hash.Add(g.windows == nullptr ? int64_t{0} : g.windows[i]);
  hash.Add(g.rope_dims);
  hash.Add(g.interleaved);
  for (int64_t i = 0; i < g.rope_dims / 2; ++i) hash.Add(g.inv_freq[i]);
  hash.Add(g.rope_magnitude);
  return hash.value();
}

bool IsBits(int32_t bits) { return bits == 2 || bits == 3 || bits == 4 || bits == 8; }

bool HasHadamard(int64_t order, int32_t* base) {
  for (const int32_t b : {1, 12, 20, 28, 36, 40, 44, 52, 60, 108, 124, 140, 156, 172}) {
    int64_t butterflies;
    if (CheckHadamardFamily("", SYL_HADAMARD_SYLVESTER, order, b, SYL_HADAMARD_TABLE_DEFAULT, 0, &butterflies) ==
        SYL_OK) {
      *base = b;
      return true;
    }
  }
  return false;
}

syl_status CheckHeadGroup(const char* where, const syl_kv_geometry& g, syl_kv_options* o) {
  if (o->rotate_keys != SYL_KV_ROTATE_GROUP) {
    REQUIRE(o->head_group == 0, SYL_BAD_VALUE, "head_group is %d, must be 0 for rotate_keys %d", o->head_group,
            o->rotate_keys);
    return SYL_OK;
  }
  int32_t base;
  REQUIRE_RANGE("head_group", o->head_group, 0, std::min(g.kv_heads, kKvMaxHeadGroup));
  if (o->head_group == 0) {
    for (const int32_t heads : {4, 3, 2, 1}) {
      if (g.kv_heads % heads == 0 && HasHadamard(heads * g.head_dim, &base)) {
        o->head_group = heads;
        break;
      }
    }
  }
  REQUIRE(o->head_group > 0 && g.kv_heads % o->head_group == 0, SYL_BAD_SHAPE,
          "head_group is %d, must divide kv_heads, which is %" PRId64, o->head_group, g.kv_heads);
  REQUIRE(HasHadamard(o->head_group * g.head_dim, &base), SYL_BAD_SHAPE,
          "head_group is %d: no Hadamard matrix of order %" PRId64, o->head_group, o->head_group * g.head_dim);
  return SYL_OK;
}

// Longer groups than there are channels are as long as these.
syl_status CheckGroup(const char* where, const char* name, int64_t channels, int32_t* group) {
  REQUIRE(*group >= 16 && *group <= kMaxChannels, SYL_BAD_VALUE, "%s is %d, must be 16..%" PRId64, name, *group,
          kMaxChannels);
  REQUIRE(*group % 16 == 0, SYL_BAD_SHAPE, "%s is %d, must be a multiple of 16", name, *group);
  *group = static_cast<int32_t>(std::min<int64_t>(*group, channels));
  return SYL_OK;
}

syl_status CheckBits(const char* where, const syl_kv_geometry& g, const syl_kv_options& o,
                     std::vector<uint8_t>* layer_bits) {
  REQUIRE(IsBits(o.bits_keys), SYL_BAD_VALUE, "bits_keys is %d, must be 2, 3, 4 or 8", o.bits_keys);
  REQUIRE(IsBits(o.bits_values), SYL_BAD_VALUE, "bits_values is %d, must be 2, 3, 4 or 8", o.bits_values);
  layer_bits->resize(static_cast<size_t>(g.layers) * 2);
  for (int32_t i = 0; i < 2 * g.layers; ++i) {
    const int32_t bits = o.layer_bits != nullptr ? o.layer_bits[i] : i % 2 == 0 ? o.bits_keys : o.bits_values;
    REQUIRE(IsBits(bits), SYL_BAD_VALUE, "layer_bits[%d][%d] is %d, must be 2, 3, 4 or 8", i / 2, i % 2, bits);
    REQUIRE(o.grid != SYL_KV_LLOYD_MAX || bits != 8, SYL_UNSUPPORTED,
            "grid is %d, LLOYD_MAX, which has no levels for 8 bits (layer %d)", o.grid, i / 2);
    (*layer_bits)[i] = static_cast<uint8_t>(bits);
  }
  return SYL_OK;
}

syl_status CheckOptions(const char* where, const syl_kv_geometry& g, KvPlan* plan) {
  syl_kv_options& o = plan->options;
  REQUIRE_RANGE("rope", o.rope, SYL_KV_POST_ROPE, SYL_KV_PRE_ROPE);
  REQUIRE_RANGE("rotate_keys", o.rotate_keys, SYL_KV_ROTATE_NONE, SYL_KV_ROTATE_GROUP);
  REQUIRE_RANGE("rotate_values", o.rotate_values, SYL_KV_ROTATE_NONE, SYL_KV_ROTATE_HEAD);
  REQUIRE_RANGE("sort", o.sort, 0, 1);
  REQUIRE_RANGE("center", o.center, 0, SYL_KV_CENTER_KEYS + SYL_KV_CENTER_VALUES);
  REQUIRE_RANGE("grid", o.grid, SYL_KV_UNIFORM, SYL_KV_LLOYD_MAX);
  REQUIRE_RANGE("clip_mode", o.clip_mode, SYL_KV_CLIP_RANGE, SYL_KV_CLIP_MIDPOINT);
  REQUIRE_RANGE("integer_zero", o.integer_zero, 0, 1);
  REQUIRE_RANGE("balance", o.balance, 0, 1);
  REQUIRE(o.clip_keys > 0 && o.clip_keys <= 1, SYL_BAD_VALUE, "clip_keys is %g, must be more than 0, 1 or less",
          static_cast<double>(o.clip_keys));
  REQUIRE(o.clip_values > 0 && o.clip_values <= 1, SYL_BAD_VALUE, "clip_values is %g, must be more than 0, 1 or less",
          static_cast<double>(o.clip_values));
  REQUIRE_RANGE("first_tokens", o.first_tokens, 0, 64);
  REQUIRE_RANGE("max_sinks", o.max_sinks, 0, 64);
  REQUIRE_RANGE("window", o.window, 0, 256);
  REQUIRE(o.window % kKvTile == 0, SYL_BAD_VALUE, "window is %d, must be a multiple of 16", o.window);

  const bool post_rope = o.rope == SYL_KV_POST_ROPE;
  REQUIRE(!post_rope || o.rotate_keys != SYL_KV_ROTATE_GROUP, SYL_UNSUPPORTED,
          "rotate_keys is %d, ROTATE_GROUP, which needs PRE_ROPE", o.rotate_keys);
  REQUIRE(!post_rope || o.sort == 0, SYL_UNSUPPORTED, "sort is %d, which needs PRE_ROPE", o.sort);
  REQUIRE(post_rope || o.balance == 0, SYL_UNSUPPORTED, "balance is %d, which needs POST_ROPE", o.balance);

  if (syl_status s = CheckHeadGroup(where, g, &o)) return s;
  const int64_t most = o.sort != 0 ? g.kv_heads * g.head_dim : g.head_dim;
  if (syl_status s = CheckGroup(where, "group_keys", most, &o.group_keys)) return s;
  if (syl_status s = CheckGroup(where, "group_values", g.head_dim, &o.group_values)) return s;
  return CheckBits(where, g, o, &plan->layer_bits);
}

int64_t HeadBytes(int64_t head_dim, int32_t bits) {
  if (bits != 3) return head_dim * kKvTile * bits / 8;
  return HeadBytes(head_dim, 2) + (head_dim + 31) / 32 * kKvTile * 4;
}

// Puts codes of both sides before scales and zeros of both.
void LayOut(const KvPlan& plan, const uint8_t* bits, KvLayer* layer) {
  const syl_kv_geometry& g = plan.geometry;
  const syl_kv_options& o = plan.options;
  KvSide* const sides[2] = {&layer->keys, &layer->values};
  const int64_t per_head = g.kv_heads * plan.GroupsPerHead(o.group_keys);
  layer->keys.groups =
      static_cast<int32_t>(o.sort != 0 ? (plan.Channels() + o.group_keys - 1) / o.group_keys : per_head);
  layer->values.groups = static_cast<int32_t>(g.kv_heads * plan.GroupsPerHead(o.group_values));
  int64_t offset = 0;
  for (int i = 0; i < 2; ++i) {
    sides[i]->bits = bits[i];
    sides[i]->head_bytes = HeadBytes(g.head_dim, bits[i]);
    sides[i]->codes = offset;
    offset += g.kv_heads * sides[i]->head_bytes;
  }
  for (KvSide* side : sides) {
    side->scales = offset;
    side->zeros = offset + side->groups * kKvTile;
    offset = side->zeros + side->groups * kKvTile;
  }
  layer->tile_bytes = (offset + 63) / 64 * 64;
}

void FillPlan(const syl_kv_geometry& g, KvPlan* plan) {
  plan->geometry = g;
  plan->windows.assign(g.layers, 0);
  if (g.windows != nullptr) plan->windows.assign(g.windows, g.windows + g.layers);
  if (g.rope_dims > 0) plan->inv_freq.assign(g.inv_freq, g.inv_freq + g.rope_dims / 2);
  plan->geometry.windows = plan->windows.data();
  plan->geometry.inv_freq = g.rope_dims > 0 ? plan->inv_freq.data() : nullptr;
  plan->options.layer_bits = plan->layer_bits.data();

  plan->layers.resize(g.layers);
  for (int32_t i = 0; i < g.layers; ++i) {
    KvLayer& layer = plan->layers[i];
    LayOut(*plan, &plan->layer_bits[2 * i], &layer);
    layer.window = plan->windows[i];
    layer.page_offset = plan->tile_bytes;
    plan->tile_bytes += layer.tile_bytes;
    if (!plan->PreRope() || plan->options.sort != 0) continue;
    layer.group_of.resize(plan->Channels());
    const int32_t group = plan->options.group_keys;
    for (int64_t c = 0; c < plan->Channels(); ++c) {
      const int64_t head = c / g.head_dim, in_head = c % g.head_dim;
      layer.group_of[c] = static_cast<uint16_t>(head * plan->GroupsPerHead(group) + in_head / group);
    }
  }
}

}  // namespace

syl_status CheckKvGeometry(const char* function, const syl_kv_geometry* geometry, uint64_t* hash) {
  if (geometry == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: geometry is NULL", function);
  char where[96];
  std::snprintf(where, sizeof(where), "%s: geometry->", function);
  const syl_kv_geometry& g = *geometry;
  REQUIRE(g.struct_size == sizeof(g), SYL_BAD_VALUE, "struct_size is %u, must be %zu", g.struct_size, sizeof(g));
  REQUIRE_RANGE("layers", g.layers, 1, 1024);
  REQUIRE_RANGE("kv_heads", g.kv_heads, 1, 256);
  REQUIRE_RANGE("q_heads", g.q_heads, 1, 1024);
  REQUIRE(g.q_heads % g.kv_heads == 0, SYL_BAD_SHAPE,
          "q_heads is %" PRId64 ", must be a multiple of kv_heads, which is %" PRId64, g.q_heads, g.kv_heads);
  REQUIRE_RANGE("head_dim", g.head_dim, 16, 256);
  REQUIRE(g.head_dim % 16 == 0, SYL_BAD_SHAPE, "head_dim is %" PRId64 ", must be a multiple of 16", g.head_dim);
  REQUIRE(std::isfinite(g.scale), SYL_BAD_VALUE, "scale is %g, must be finite", static_cast<double>(g.scale));
  REQUIRE(std::isfinite(g.soft_cap) && g.soft_cap >= 0, SYL_BAD_VALUE, "soft_cap is %g, must be 0 or more, finite",
          static_cast<double>(g.soft_cap));
  for (int32_t i = 0; g.windows != nullptr && i < g.layers; ++i) {
    REQUIRE(g.windows[i] >= 0, SYL_BAD_VALUE, "windows[%d] is %" PRId64 ", must be 0 or more", i, g.windows[i]);
  }
  REQUIRE_RANGE("rope_dims", g.rope_dims, 0, g.head_dim);
  REQUIRE(g.rope_dims % 2 == 0, SYL_BAD_SHAPE, "rope_dims is %" PRId64 ", must be even", g.rope_dims);
  REQUIRE_RANGE("interleaved", g.interleaved, 0, 1);
  REQUIRE_RANGE("reserved", g.reserved, 0, 0);
  REQUIRE(g.rope_dims == 0 || g.inv_freq != nullptr, SYL_NULL_ARGUMENT, "inv_freq is NULL for rope_dims %" PRId64,
          g.rope_dims);
  for (int64_t i = 0; i < g.rope_dims / 2; ++i) {
    REQUIRE(std::isfinite(g.inv_freq[i]), SYL_BAD_VALUE, "inv_freq[%" PRId64 "] is %g, must be finite", i,
            g.inv_freq[i]);
  }
  REQUIRE(std::isfinite(g.rope_magnitude), SYL_BAD_VALUE, "rope_magnitude is %g, must be finite", g.rope_magnitude);
  *hash = HashOf(g);
  return SYL_OK;
}

syl_status MakeKvPlan(const char* function, const syl_kv_geometry* geometry, const syl_kv_options* options,
                      KvPlan* plan) {
  uint64_t hash;
  if (syl_status s = CheckKvGeometry(function, geometry, &hash)) return s;
  if (options == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: options is NULL", function);
  char where[96];
  std::snprintf(where, sizeof(where), "%s: options->", function);
  REQUIRE(options->struct_size == sizeof(*options), SYL_BAD_VALUE, "struct_size is %u, must be %zu",
          options->struct_size, sizeof(*options));
  try {
    KvPlan made = {};
    made.options = *options;
    made.geometry_hash = hash;
    if (syl_status s = CheckOptions(where, *geometry, &made)) return s;
    FillPlan(*geometry, &made);
    *plan = std::move(made);
    return SYL_OK;
  } catch (const std::bad_alloc&) {
    return Fail(SYL_OUT_OF_MEMORY, "%s: out of memory for %d layers", function, geometry->layers);
  }
}

syl_status KvRotation(const char* function, const KvPlan& plan, int32_t rotate, syl_hadamard_options* options) {
  const int64_t heads = rotate == SYL_KV_ROTATE_GROUP ? plan.options.head_group : 1;
  syl_hadamard_options o = {};
  o.struct_size = sizeof(o);
  o.family = SYL_HADAMARD_SYLVESTER;
  o.n = heads * plan.geometry.head_dim;
  if (!HasHadamard(o.n, &o.base)) {
    return Fail(SYL_BAD_SHAPE, "%s: no Hadamard matrix of order %" PRId64, function, o.n);
  }
  o.x_type = o.y_type = SYL_F32;
  // More rows than any append has.
  o.count[0] = o.count[1] = 1;
  o.count[2] = int64_t{1} << 40;
  o.x_stride[2] = o.y_stride[2] = o.n;
  o.x_stride[3] = o.y_stride[3] = 1;
  o.rounds = 1;
  *options = o;
  return SYL_OK;
}

}  // namespace sylvester
