// Pages and sequences of a packed cache: where a token's bytes are. What they mean: native/common/kv_plan.h.
#ifndef SYLVESTER_NATIVE_CPU_KV_CACHE_H_
#define SYLVESTER_NATIVE_CPU_KV_CACHE_H_

#include <sylvester/kv.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "native/common/kv_plan.h"
#include "native/cpu/kv/quantize.h"

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
  int64_t oldest = 0;  // first token of the ring that still is what was appended; starts a tile
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
  // R on rows of contiguous floats, any number of them, in place; NULL: keys (values) are not rotated.
  syl_hadamard* rotate_keys;
  syl_hadamard* rotate_values;
  std::vector<sylvester::KvQuantizer> quantizers;  // [layers][2], of keys and of values
  // PRE_ROPE: R of keys on the columns of a decoded tile of one rotation group, [heads][head_dim][16 tokens]; or NULL.
  syl_hadamard* unrotate_tiles;
  // PRE_ROPE: cos, sin of in-tile offsets 0..15, [rope_dims / 2][2][16 tokens] floats, magnitude included.
  std::vector<float> rope_offsets;
  // PRE_ROPE: cos, sin of the positions 16 i, without magnitude, [pages * page_tiles][rope_dims / 2][2].
  std::vector<float> rope_tiles;

  mutable std::mutex mutex;  // of what follows
  int64_t sequences;
  std::vector<int32_t> free_pages;
  std::vector<int32_t> tile_users;  // [pages * page_tiles] sequences whose table names the tile
  std::vector<int32_t> page_users;  // [pages] the sum of its tiles', plus one for a sequence that it is open for

  uint8_t* Tile(int32_t layer, int32_t index) const {
    const sylvester::KvLayer& of = plan->layers[layer];
    const int64_t page = index / page_tiles, slot = index % page_tiles;
    return arena + page * page_bytes + of.page_offset * page_tiles + slot * of.tile_bytes;
  }
};

// A tile of all layers is named by page * page_tiles + slot. Only full tiles are shared, so that no tile that will be
// written ever is. Tile t of a text has the tokens from 16 t on, which is their position too.
struct syl_kv_sequence {
  syl_kv_cache* cache;
  std::vector<int32_t> tiles;               // of the text's packed tiles; reserved for all pages
  std::vector<int64_t> lengths;             // [layers] tokens appended
  std::vector<sylvester::KvHalves> halves;  // [layers]
  int64_t ring_tiles;                       // 0 without a window
  int64_t sink_capacity;                    // first_tokens + max_sinks
  int32_t open_page;                        // whose free slots the sequence may take; -1: none
  bool in_batch;                            // while a batch is checked

  const sylvester::KvPlan& Plan() const { return *cache->plan; }
  uint8_t* Tile(int32_t layer, int64_t tile) const { return cache->Tile(layer, tiles[tile]); }

  // The least length > 0 at which a text like this one has all halves of the layer in the ring: it can be cut to that,
  // and a query can be its newest token.
  int64_t Truncatable(int32_t layer) const {
    const int64_t oldest = halves[layer].oldest;
    return oldest == 0 ? 1 : oldest + (Plan().WindowTiles() - 1) * sylvester::kKvTile;
  }

  // Most of the layer's newest tokens that can be read as halves together with the window of those before them.
  int64_t MostUnpacked(int32_t layer) const {
    if (ring_tiles == 0) return 0;
    return halves[layer].oldest == 0 ? lengths[layer] : lengths[layer] - Truncatable(layer);
  }

  // Counts tokens whose bytes append has written.
  void Advance(int32_t layer, int64_t rows) {
    lengths[layer] += rows;
    const int64_t tiles = (lengths[layer] + sylvester::kKvTile - 1) / sylvester::kKvTile;
    int64_t& oldest = halves[layer].oldest;
    if (ring_tiles > 0) oldest = std::max(oldest, (tiles - ring_tiles) * sylvester::kKvTile);
  }
};

namespace sylvester {

// ---- tiles.cc ------------------------------------------------------------------------------------------------------

// Room for the batch's rows in `layer`: the tables get the tiles that will be packed then, zeroed. All or nothing.
syl_status ReserveTiles(const char* function, const syl_kv_batch& batch, int32_t layer);

// The same for a sequence that is to have `tiles` tiles; false without enough free pages.
bool GrowTiles(syl_kv_sequence* sequence, int64_t tiles);

// Gives back all tiles but those of the first `tokens` tokens, and makes what the last one of these has of later tokens
// 0; it is copied first if it is shared: false, with nothing changed, without a free page for that.
bool TruncateTiles(syl_kv_sequence* sequence, int64_t tokens);

// Makes what one layer has behind the first `tokens` tokens 0 in the tile where they end; false, with nothing changed,
// when another sequence reads a tile that the layer would write again.
bool TruncateLayerTiles(syl_kv_sequence* sequence, int32_t layer, int64_t tokens);

// The empty sequence `to` gets the first `tokens` tokens of `from`: full tiles are shared, the others copied; false,
// with nothing changed, without a free page for that.
bool ShareTiles(const syl_kv_sequence& from, int64_t tokens, syl_kv_sequence* to);

// Gives back tiles first .. first + count - 1; later ones take their places.
void RemoveTiles(syl_kv_sequence* sequence, int64_t first, int64_t count);

// Makes tokens `first` .. 15 of a layer's tile 0: codes, scales and zeros.
void ClearTokens(const KvPlan& plan, int32_t layer, int64_t first, uint8_t* tile);

// ---- cache.cc ------------------------------------------------------------------------------------------------------

// Checks a batch on behalf of a function of the ABI: struct, pointers, layer, rows, one cache, no sequence twice.
// limited: of a plan with a window at most max_rows. total: rows.
syl_status CheckBatch(const char* function, const syl_kv_batch* batch, int32_t layer, int64_t* total,
                      bool limited = true);

// All layers have the same length.
syl_status CheckEven(const char* function, const syl_kv_sequence* sequence, int64_t* length);

// ---- sequence.cc ---------------------------------------------------------------------------------------------------

struct FreeSequence {
  void operator()(syl_kv_sequence* sequence) const { syl_kv_sequence_free(sequence); }
};
using SequencePointer = std::unique_ptr<syl_kv_sequence, FreeSequence>;

// Without tokens; counted by the cache. Throws std::bad_alloc.
SequencePointer NewSequence(syl_kv_cache* cache);

}  // namespace sylvester

#endif
