// Caches, and what functions of the ABI ask about their arguments.
#include "native/cpu/kv/cache.h"

#include <cinttypes>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>
#include <numeric>

#include "native/common/status.h"

namespace sylvester {
namespace {

constexpr int64_t kArenaAlignment = 64;

syl_status CheckCacheOptions(const char* function, const syl_kv_plan* plan, const syl_kv_cache_options* options,
                             int64_t* bytes) {
  const auto range = [&](const char* name, int64_t value, int64_t high) {
    return Fail(SYL_BAD_VALUE, "%s: options->%s is %" PRId64 ", must be 1..%" PRId64, function, name, value, high);
  };
  if (plan == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: plan is NULL", function);
  if (options == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: options is NULL", function);
  const syl_kv_cache_options& o = *options;
  if (o.struct_size != sizeof(o)) {
    return Fail(SYL_BAD_VALUE, "%s: options->struct_size is %u, must be %zu", function, o.struct_size, sizeof(o));
  }
  if (o.page_tokens < kKvTile || o.page_tokens > 4096 || o.page_tokens % kKvTile != 0) {
    return Fail(SYL_BAD_VALUE, "%s: options->page_tokens is %d, must be a multiple of 16, 16..4096", function,
                o.page_tokens);
  }
  if (o.pages < 1 || o.pages > int64_t{1} << 24) return range("pages", o.pages, int64_t{1} << 24);
  if (o.max_rows < 1 || o.max_rows > 65536) return range("max_rows", o.max_rows, 65536);
  const int64_t tiles = o.pages * (o.page_tokens / kKvTile);
  if (tiles > std::numeric_limits<int32_t>::max() || __builtin_mul_overflow(tiles, plan->plan->tile_bytes, bytes)) {
    return Fail(SYL_BAD_VALUE, "%s: options->pages is %" PRId64 ", too many for pages of %d tokens", function, o.pages,
                o.page_tokens);
  }
  return SYL_OK;
}

syl_status CheckArena(const char* function, const syl_kv_cache_options& options, int64_t bytes) {
  const int64_t needed = options.arena == nullptr ? 0 : bytes;
  if (options.arena_bytes < needed || (options.arena == nullptr && options.arena_bytes != 0)) {
    return Fail(SYL_BAD_VALUE, "%s: options->arena_bytes is %" PRId64 ", must be %" PRId64 "%s", function,
                options.arena_bytes, needed, options.arena == nullptr ? " without an arena" : " or more");
  }
  if (reinterpret_cast<uintptr_t>(options.arena) % kArenaAlignment != 0) {
    return Fail(SYL_BAD_VALUE, "%s: options->arena is %p, must be aligned to 64 bytes", function, options.arena);
  }
  return SYL_OK;
}

// The options are right: nothing but memory can be missing.
syl_status NewRotation(const char* function, const syl_hadamard_options& options, syl_hadamard** rotation) {
  if (syl_hadamard_new(&options, rotation) == SYL_OK) return SYL_OK;
  return Fail(SYL_OUT_OF_MEMORY, "%s: out of memory for a rotation of order %" PRId64, function, options.n);
}

syl_status MakeRotations(const char* function, syl_kv_cache* cache) {
  const KvPlan& plan = *cache->plan;
  syl_hadamard_options options;
  if (plan.options.rotate_values != SYL_KV_ROTATE_NONE) {
    if (syl_status s = KvRotation(function, plan, plan.options.rotate_values, &options)) return s;
    if (syl_status s = NewRotation(function, options, &cache->rotate_values)) return s;
  }
  if (plan.options.rotate_keys == SYL_KV_ROTATE_NONE) return SYL_OK;
  if (syl_status s = KvRotation(function, plan, plan.options.rotate_keys, &options)) return s;
  if (syl_status s = NewRotation(function, options, &cache->rotate_keys)) return s;
  if (!plan.PreRope()) return SYL_OK;
  options.count[2] = kKvTile;
  options.x_stride[2] = options.y_stride[2] = 1;
  options.x_stride[3] = options.y_stride[3] = kKvTile;
  return NewRotation(function, options, &cache->unrotate_tiles);
}

void MakeRopeTables(syl_kv_cache* cache) {
  const KvPlan& plan = *cache->plan;
  if (!plan.PreRope()) return;
  const int64_t pairs = plan.geometry.rope_dims / 2, tiles = cache->pages * cache->page_tiles;
  cache->rope_offsets.resize(pairs * 2 * kKvTile);
  cache->rope_tiles.resize(tiles * pairs * 2);
  for (int64_t i = 0; i < pairs; ++i) {
    for (int64_t t = 0; t < kKvTile; ++t) {
      const double angle = static_cast<double>(t) * plan.inv_freq[i], magnitude = plan.geometry.rope_magnitude;
      cache->rope_offsets[(2 * i) * kKvTile + t] = static_cast<float>(std::cos(angle) * magnitude);
      cache->rope_offsets[(2 * i + 1) * kKvTile + t] = static_cast<float>(std::sin(angle) * magnitude);
    }
    for (int64_t t = 0; t < tiles; ++t) {
      const double angle = static_cast<double>(t * kKvTile) * plan.inv_freq[i];
      cache->rope_tiles[(t * pairs + i) * 2] = static_cast<float>(std::cos(angle));
      cache->rope_tiles[(t * pairs + i) * 2 + 1] = static_cast<float>(std::sin(angle));
    }
  }
}

void FreeCache(syl_kv_cache* cache) {
  syl_hadamard_free(cache->rotate_keys);
  syl_hadamard_free(cache->rotate_values);
  syl_hadamard_free(cache->unrotate_tiles);
  if (cache->owns_arena) ::operator delete (cache->arena, std::align_val_t{kArenaAlignment});
  delete cache;
}

struct CacheDeleter {
  void operator()(syl_kv_cache* cache) const { FreeCache(cache); }
};

}  // namespace

syl_status CheckBatch(const char* function, const syl_kv_batch* batch, int32_t layer, int64_t* total, bool limited) {
  if (batch == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: batch is NULL", function);
  if (batch->struct_size != sizeof(*batch)) {
    return Fail(SYL_BAD_VALUE, "%s: batch->struct_size is %u, must be %zu", function, batch->struct_size,
                sizeof(*batch));
  }
  if (batch->sequences < 1) {
    return Fail(SYL_BAD_VALUE, "%s: batch->sequences is %d, must be 1 or more", function, batch->sequences);
  }
  if (batch->sequence == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: batch->sequence is NULL", function);
  if (batch->rows == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: batch->rows is NULL", function);
  int64_t rows = 0;
  for (int32_t i = 0; i < batch->sequences; ++i) {
    if (batch->sequence[i] == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: batch->sequence[%d] is NULL", function, i);
    const syl_kv_cache* cache = batch->sequence[0]->cache;
    if (batch->sequence[i]->cache != cache) {
      return Fail(SYL_BAD_VALUE, "%s: batch->sequence[%d] is of another cache than the first", function, i);
    }
    if (i == 0 && (layer < 0 || layer >= cache->plan->geometry.layers)) {
      return Fail(SYL_BAD_VALUE, "%s: layer is %d, must be 0..%d", function, layer, cache->plan->geometry.layers - 1);
    }
    const bool ring = limited && cache->plan->options.window > 0;
    const int64_t most = ring ? cache->max_rows : std::numeric_limits<int32_t>::max();
    if (batch->rows[i] < 0 || batch->rows[i] > most) {
      return Fail(SYL_BAD_VALUE, "%s: batch->rows[%d] is %" PRId64 ", must be 0..%" PRId64, function, i, batch->rows[i],
                  most);
    }
    rows += batch->rows[i];
  }
  // Marks, since comparing all pairs takes longer than a small append.
  int32_t twice = -1;
  for (int32_t i = 0; i < batch->sequences; ++i) {
    if (batch->sequence[i]->in_batch) twice = i;
    batch->sequence[i]->in_batch = true;
  }
  for (int32_t i = 0; i < batch->sequences; ++i) batch->sequence[i]->in_batch = false;
  if (twice >= 0) return Fail(SYL_BAD_VALUE, "%s: batch->sequence[%d] is there twice", function, twice);
  *total = rows;
  return SYL_OK;
}

syl_status CheckEven(const char* function, const syl_kv_sequence* sequence, int64_t* length) {
  if (sequence == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: sequence is NULL", function);
  for (size_t i = 1; i < sequence->lengths.size(); ++i) {
    if (sequence->lengths[i] != sequence->lengths[0]) {
      return Fail(SYL_BAD_VALUE, "%s: sequence has %" PRId64 " tokens in layer 0 and %" PRId64 " in layer %zu",
                  function, sequence->lengths[0], sequence->lengths[i], i);
    }
  }
  *length = sequence->lengths[0];
  return SYL_OK;
}

}  // namespace sylvester

using namespace sylvester;

syl_status syl_kv_arena_size(const syl_kv_plan* plan, const syl_kv_cache_options* options, int64_t* bytes) {
  int64_t size = 0;
  if (syl_status s = CheckCacheOptions(__func__, plan, options, &size)) return s;
  SYL_REQUIRE_PTR(bytes);
  *bytes = size;
  return SYL_OK;
}

syl_status syl_kv_cache_new(const syl_kv_plan* plan, const syl_kv_cache_options* options, syl_kv_cache** cache) {
  int64_t bytes = 0;
  if (syl_status s = CheckCacheOptions(__func__, plan, options, &bytes)) return s;
  if (syl_status s = CheckArena(__func__, *options, bytes)) return s;
  SYL_REQUIRE_PTR(cache);
  try {
    std::unique_ptr<syl_kv_cache, CacheDeleter> made(new syl_kv_cache());
    made->plan = plan->plan;
    made->page_tiles = options->page_tokens / kKvTile;
    made->pages = options->pages;
    made->max_rows = options->max_rows;
    made->page_bytes = made->page_tiles * plan->plan->tile_bytes;
    // Before the tables, which grow with it and are written: what no machine has is refused at once.
    made->arena = static_cast<uint8_t*>(options->arena);
    if (made->arena == nullptr) {
      made->arena = static_cast<uint8_t*>(::operator new (bytes, std::align_val_t{kArenaAlignment}));
      made->owns_arena = true;
    }
    if (syl_status s = MakeRotations(__func__, made.get())) return s;
    MakeRopeTables(made.get());
    for (int32_t layer = 0; layer < plan->plan->geometry.layers; ++layer) {
      for (const int32_t what : {SYL_KV_KEYS, SYL_KV_VALUES}) {
        made->quantizers.push_back(MakeKvQuantizer(*plan->plan, layer, what));
      }
    }
    made->free_pages.resize(options->pages);
    std::iota(made->free_pages.rbegin(), made->free_pages.rend(), 0);
    made->tile_users.resize(options->pages * made->page_tiles);
    made->page_users.resize(options->pages);
    *cache = made.release();
    return SYL_OK;
  } catch (const std::bad_alloc&) {
    return Fail(SYL_OUT_OF_MEMORY, "%s: out of memory for a cache of %" PRId64 " bytes", __func__, bytes);
  }
}

syl_status syl_kv_cache_free(syl_kv_cache* cache) {
  if (cache == nullptr) return SYL_OK;
  int64_t sequences;
  {
    const std::lock_guard<std::mutex> lock(cache->mutex);
    sequences = cache->sequences;
  }
  SYL_REQUIRE(sequences == 0, SYL_BAD_VALUE, "cache has %" PRId64 " sequences", sequences);
  FreeCache(cache);
  return SYL_OK;
}

syl_status syl_kv_cache_pages(const syl_kv_cache* cache, int64_t* used, int64_t* pages) {
  SYL_REQUIRE_PTR(cache);
  SYL_REQUIRE_PTR(used);
  SYL_REQUIRE_PTR(pages);
  const std::lock_guard<std::mutex> lock(cache->mutex);
  *used = cache->pages - static_cast<int64_t>(cache->free_pages.size());
  *pages = cache->pages;
  return SYL_OK;
}
