#include <algorithm>
#include <new>

#include "native/common/status.h"
#include "native/cpu/kv/cache.h"

namespace sylvester {
namespace {

// Free tiles of the pages that the sequence has tiles in or may take tiles from. May throw std::bad_alloc.
int64_t FreeTiles(const syl_kv_sequence& sequence) {
  const syl_kv_cache& cache = *sequence.cache;
  std::vector<int32_t> pages;
  for (const int32_t tile : sequence.tiles) pages.push_back(static_cast<int32_t>(tile / cache.page_tiles));
  if (sequence.open_page >= 0) pages.push_back(sequence.open_page);
  std::sort(pages.begin(), pages.end());
  pages.erase(std::unique(pages.begin(), pages.end()), pages.end());

  const std::lock_guard<std::mutex> lock(cache.mutex);
  int64_t tiles = 0;
  for (const int32_t page : pages) {
    const auto users = cache.tile_users.begin() + page * cache.page_tiles;
    tiles += std::count(users, users + cache.page_tiles, 0);
  }
  return tiles;
}

void Fill(const syl_kv_sequence& sequence, int64_t tokens, syl_kv_memory* memory) {
  const KvPlan& plan = sequence.Plan();
  const int64_t layers = plan.geometry.layers, packed = std::min(tokens, plan.PackedTiles(tokens) * kKvTile);
  const int64_t layer_half_bytes = 4 * plan.Channels();  // a token's key and value
  int64_t codes = 0, params = 0, sinks = 0;
  for (const KvLayer& layer : plan.layers) {
    codes += plan.geometry.kv_heads * (layer.keys.head_bytes + layer.values.head_bytes) / kKvTile;
    params += 2 * (layer.keys.groups + layer.values.groups);
  }
  for (const KvHalves& of : sequence.halves) sinks += static_cast<int64_t>(of.sink_tokens.size());

  syl_kv_memory m = {};
  m.struct_size = sizeof(m);
  m.tokens = tokens;
  m.packed_tokens = packed;
  m.sink_tokens = (sinks + layers - 1) / layers;
  m.codes_bytes = packed * codes;
  m.params_bytes = packed * params;
  m.sink_bytes = layers * sequence.sink_capacity * layer_half_bytes;
  m.window_bytes = layers * sequence.ring_tiles * kKvTile * layer_half_bytes;
  m.table_bytes =
      static_cast<int64_t>(sizeof(sequence) + sequence.tiles.capacity() * sizeof(int32_t)) +
      layers * static_cast<int64_t>(sizeof(int64_t) + sizeof(KvHalves) + sequence.sink_capacity * sizeof(int64_t));
  const auto tiles = static_cast<int64_t>(sequence.tiles.size()) + FreeTiles(sequence);
  m.slack_bytes = tiles * plan.tile_bytes - m.codes_bytes - m.params_bytes;
  m.total_bytes = m.codes_bytes + m.params_bytes + m.sink_bytes + m.window_bytes + m.table_bytes + m.slack_bytes;
  const int64_t used = m.codes_bytes + m.params_bytes + (sinks + layers * (tokens - packed)) * layer_half_bytes;
  m.ratio_vs_f16 = used == 0 ? 1 : static_cast<double>(tokens * layers * layer_half_bytes) / static_cast<double>(used);
  *memory = m;
}

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_kv_sequence_memory(const syl_kv_sequence* sequence, syl_kv_memory* memory) {
  int64_t tokens;
  if (syl_status s = CheckEven(__func__, sequence, &tokens)) return s;
  SYL_REQUIRE_STRUCT(memory);
  try {
    Fill(*sequence, tokens, memory);
    return SYL_OK;
  } catch (const std::bad_alloc&) {
    return Fail(SYL_OUT_OF_MEMORY, "%s: out of memory for %zu tiles", __func__, sequence->tiles.size());
  }
}
