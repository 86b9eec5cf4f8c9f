// Pages and sequences of a packed cache: where a token's bytes are. What they mean: native/common/kv_plan.h.
#ifndef SYLVESTER_NATIVE_CPU_KV_CACHE_H_
#define SYLVESTER_NATIVE_CPU_KV_CACHE_H_

#include <sylvester/kv.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "native/common/kv_plan.h"

namespace sylvester {

// Tokens kept as halves, of one layer. Keys are in "query space", where a query meets them: rotated and centred
// for POST_ROPE plans, as they were appended (before RoPE, neither centred nor rotated) for PRE_ROPE plans. Values are
// centred and rotated in both.
//
// Rows of the window are a ring of tiles, tile t at t % ring_tiles, laid out as the float cache of nn.h:
//   ring_keys    [kv_heads][ring_tiles][head_dim][16]
//   ring_values  [kv_heads][ring_tiles][16][head_dim]
// Sinks are rows:
//   sink_keys, sink_values  [kv_heads][capacity][head_dim], sink i at sink_tokens[i], ascending
struct KvHalves {
  std::vector<uint16_t> ring_keys, ring_values;
  std::vector<uint16_t> sink_keys, sink_values;
  std::vector<int64_t> sink_tokens;
};

}  // namespace sylvester

// The opaque types of the ABI.

struct syl_kv_cache {
  std::shared_ptr<const sylvester::KvPlan> plan;
  int64_t page_tiles;
  int64_t pages;
  int64_t max_rows;
  int64_t page_bytes;  // page_tiles * plan->tile_bytes
  uint8_t* arena;      // [pages][page_bytes], 64-byte aligned
  bool owns_arena;
  syl_hadamard* rotate_keys;  // NULL: keys (values) are not rotated
  syl_hadamard* rotate_values;
  // PRE_ROPE: cos, sin of in-tile offsets 0..15, [rope_dims / 2][2][16 tokens] floats, magnitude included.
  std::vector<float> rope_offsets;

  std::mutex mutex;  // of what follows
  int64_t sequences;
  std::vector<int32_t> free_pages;
  std::vector<int32_t> tile_users;  // [pages * page_tiles] sequences whose table names the tile
  std::vector<int32_t> page_users;  // [pages] the sum of its tiles', plus one for a sequence that it is open for
};

// A tile of all layers is named by page * page_tiles + slot.
struct syl_kv_sequence {
  syl_kv_cache* cache;
  std::vector<int32_t> tiles;          // of the text's tiles that have room in a page; reserved for all pages
  std::vector<int64_t> tile_position;  // of the first token of each tile, for PRE_ROPE; 16 t until something is removed
  std::vector<int64_t> lengths;        // [layers] tokens appended
  std::vector<sylvester::KvHalves> halves;  // [layers]
  int64_t ring_tiles;                       // 0 without a window
  int64_t sink_capacity;                    // first_tokens + max_sinks
  int64_t oldest_half;                      // first token of the ring that still is what was appended
  int32_t open_page;                        // whose free slots the sequence may take; -1: none

  const sylvester::KvPlan& Plan() const { return *cache->plan; }
  uint8_t* Tile(int32_t layer, int64_t tile) const {
    const sylvester::KvLayer& of = Plan().layers[layer];
    const int64_t index = tiles[tile], page = index / cache->page_tiles, slot = index % cache->page_tiles;
    return cache->arena + page * cache->page_bytes + of.page_offset * cache->page_tiles + slot * of.tile_bytes;
  }
};

namespace sylvester {

// Room for `rows` more tokens of each of the batch's sequences in `layer`: their tables get the tiles that will be
// packed then, zeroed, and no tile that is about to be written is shared with another sequence. All or nothing.
// (tiles.cc)
syl_status ReserveTiles(const char* function, const syl_kv_batch& batch, int32_t layer);

// Checks a batch on behalf of a function of the ABI: struct, pointers, rows, one cache, no sequence twice. total: rows.
syl_status CheckBatch(const char* function, const syl_kv_batch* batch, int32_t layer, int64_t* total);

// All layers have the same length.
syl_status CheckEven(const char* function, const syl_kv_sequence* sequence, int64_t* length);

}  // namespace sylvester

#endif
