// The pool of tiles: who may write where.
#include <algorithm>
#include <cstring>

#include "native/common/status.h"
#include "native/cpu/kv/cache.h"

// Functions whose name ends in Locked are called with the cache's mutex held.
namespace sylvester {
namespace {

int64_t PageOf(const syl_kv_cache& cache, int32_t tile) { return tile / cache.page_tiles; }

// The first slot from `slot` on that no sequence names; page_tiles: none.
int64_t FreeSlot(const syl_kv_cache& cache, int64_t page, int64_t slot) {
  const int32_t* users = &cache.tile_users[page * cache.page_tiles];
  while (slot < cache.page_tiles && users[slot] > 0) ++slot;
  return slot;
}

int64_t FreeSlots(const syl_kv_cache& cache, int64_t page) {
  const auto users = cache.tile_users.begin() + page * cache.page_tiles;
  return std::count(users, users + cache.page_tiles, 0);
}

bool IsOpen(const syl_kv_cache& cache, int64_t page) {
  int64_t tile_users = 0;
  for (int64_t i = 0; i < cache.page_tiles; ++i) tile_users += cache.tile_users[page * cache.page_tiles + i];
  return cache.page_users[page] > tile_users;
}

void UsePageLocked(syl_kv_cache* cache, int64_t page, int32_t users) {
  cache->page_users[page] += users;
  if (cache->page_users[page] == 0) cache->free_pages.push_back(static_cast<int32_t>(page));
}

void UseTileLocked(syl_kv_cache* cache, int32_t tile, int32_t users) {
  cache->tile_users[tile] += users;
  UsePageLocked(cache, PageOf(*cache, tile), users);
}

void OpenPageLocked(syl_kv_sequence* sequence, int32_t page) {
  if (sequence->open_page >= 0) UsePageLocked(sequence->cache, sequence->open_page, -1);
  sequence->open_page = page;
  if (page >= 0) UsePageLocked(sequence->cache, page, 1);
}

// Pages that `count` tiles behind the first `tiles` ones take from the pool. Before that, the sequence goes on in the
// page of its last tile if nobody does: without that each of a chain of forks would leave a page behind.
int64_t PagesNeededLocked(syl_kv_sequence* sequence, int64_t tiles, int64_t count) {
  const syl_kv_cache& cache = *sequence->cache;
  int64_t room = sequence->open_page >= 0 ? FreeSlots(cache, sequence->open_page) : 0;
  if (room == 0 && count > 0 && tiles > 0) {
    const int64_t last = PageOf(cache, sequence->tiles[tiles - 1]), slots = FreeSlots(cache, last);
    if (slots > 0 && !IsOpen(cache, last)) {
      OpenPageLocked(sequence, static_cast<int32_t>(last));
      room = slots;
    }
  }
  return count > room ? (count - room + cache.page_tiles - 1) / cache.page_tiles : 0;
}

// The caller has seen to it that there is one.
int32_t TakeTileLocked(syl_kv_sequence* sequence) {
  syl_kv_cache* cache = sequence->cache;
  int64_t slot = sequence->open_page >= 0 ? FreeSlot(*cache, sequence->open_page, 0) : cache->page_tiles;
  if (slot == cache->page_tiles) {
    const int32_t page = cache->free_pages.back();
    cache->free_pages.pop_back();
    OpenPageLocked(sequence, page);
    slot = 0;
  }
  const auto tile = static_cast<int32_t>(sequence->open_page * cache->page_tiles + slot);
  UseTileLocked(cache, tile, 1);
  return tile;
}

// An open page without a tile goes back to the pool.
void ClosePageLocked(syl_kv_sequence* sequence) {
  if (sequence->open_page >= 0 && sequence->cache->page_users[sequence->open_page] == 1) OpenPageLocked(sequence, -1);
}

void ZeroTile(const syl_kv_cache& cache, int32_t tile) {
  for (size_t layer = 0; layer < cache.plan->layers.size(); ++layer) {
    std::memset(cache.Tile(static_cast<int32_t>(layer), tile), 0, cache.plan->layers[layer].tile_bytes);
  }
}

void CopyTile(const syl_kv_cache& cache, int32_t from, int32_t to) {
  for (int32_t layer = 0; layer < cache.plan->geometry.layers; ++layer) {
    std::memcpy(cache.Tile(layer, to), cache.Tile(layer, from), cache.plan->layers[layer].tile_bytes);
  }
}

// Makes what a tile has of later tokens 0, if it has any.
void ClearAfter(const syl_kv_cache& cache, int64_t tokens, int32_t tile) {
  for (int32_t layer = 0; layer < cache.plan->geometry.layers; ++layer) {
    ClearTokens(*cache.plan, layer, tokens % kKvTile, cache.Tile(layer, tile));
  }
}

// The tiles of a text of so many tokens that are packed wholly.
int64_t FullTiles(const KvPlan& plan, int64_t tokens) {
  return std::min(plan.PackedTiles(tokens), tokens / kKvTile);
}

// Bits of the tokens from `first` on in word `word` of a channel's values.
uint32_t LaterTokens(int64_t first, int64_t word, int32_t bits) {
  const int64_t steps = 8 / bits;
  uint32_t mask = 0;
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t j = 0; j < steps; ++j) {
      if (word * 4 * steps + 4 * j + i >= first) mask |= ((1u << bits) - 1) << (8 * i + bits * j);
    }
  }
  return mask;
}

// Of `count` uint32 words.
void ClearBits(uint8_t* words, int64_t count, uint32_t mask) {
  for (int64_t i = 0; i < count; ++i) {
    uint32_t word;
    std::memcpy(&word, words + 4 * i, sizeof(word));
    word &= ~mask;
    std::memcpy(words + 4 * i, &word, sizeof(word));
  }
}

void ClearValues(int64_t head_dim, int32_t bits, int64_t first, uint8_t* head) {
  const int32_t plane = bits == 3 ? 2 : bits;
  const int64_t words = kKvTile * plane / 32;
  for (int64_t w = 0; w < words; ++w) ClearBits(head + 4 * w * head_dim, head_dim, LaterTokens(first, w, plane));
  if (bits != 3) return;
  uint32_t mask = 0;  // steps of one channel in the low half of each byte, of another in the high half
  for (int64_t token = first; token < kKvTile; ++token) mask |= 0x11u << (8 * (token % 4) + token / 4);
  ClearBits(head + 4 * words * head_dim, (head_dim + 31) / 32 * kKvTile, mask);
}

// Of `rows` rows of 16 tokens.
void ClearColumns(uint8_t* rows, int64_t count, int64_t token_bytes, int64_t first) {
  for (int64_t i = 0; i < count; ++i) {
    std::memset(rows + (i * kKvTile + first) * token_bytes, 0, (kKvTile - first) * token_bytes);
  }
}

}  // namespace

void ClearTokens(const KvPlan& plan, int32_t layer, int64_t first, uint8_t* tile) {
  const KvLayer& of = plan.layers[layer];
  const int64_t heads = plan.geometry.kv_heads;
  ClearColumns(tile + of.keys.codes, heads * of.keys.head_bytes / (4 * kKvTile), 4, first);
  for (int64_t h = 0; h < heads; ++h) {
    ClearValues(plan.geometry.head_dim, of.values.bits, first, tile + of.values.codes + h * of.values.head_bytes);
  }
  for (const KvSide* side : {&of.keys, &of.values}) {
    ClearColumns(tile + side->scales, side->groups, 1, first);
    ClearColumns(tile + side->zeros, side->groups, 1, first);
  }
}

syl_status ReserveTiles(const char* function, const syl_kv_batch& batch, int32_t layer) {
  const auto missing = [&](int32_t i) {
    const syl_kv_sequence& sequence = *batch.sequence[i];
    const int64_t tiles = sequence.Plan().PackedTiles(sequence.lengths[layer] + batch.rows[i]);
    return std::max<int64_t>(tiles - static_cast<int64_t>(sequence.tiles.size()), 0);
  };
  syl_kv_cache* cache = batch.sequence[0]->cache;
  {
    const std::lock_guard<std::mutex> lock(cache->mutex);
    int64_t pages = 0;
    for (int32_t i = 0; i < batch.sequences; ++i) {
      pages += PagesNeededLocked(batch.sequence[i], batch.sequence[i]->tiles.size(), missing(i));
    }
    const auto free_pages = static_cast<int64_t>(cache->free_pages.size());
    if (pages > free_pages) {
      return Fail(SYL_OUT_OF_MEMORY, "%s: needs %lld pages of the cache, %lld are free", function,
                  static_cast<long long>(pages), static_cast<long long>(free_pages));
    }
    ...
  }
}

}  // namespace sylvester
