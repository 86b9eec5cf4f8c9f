// The pool of tiles: who may write where. Functions whose name ends in Locked are called with the cache's mutex held.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "native/common/status.h"
#include "native/cpu/kv/cache.h"

namespace sylvester {
namespace {

int64_t PageOf(const syl_kv_cache& cache, int32_t tile) { return tile / cache.page_tiles; }

// Slots that no sequence names.
int64_t FreeSlots(const syl_kv_cache& cache, int64_t page) {
  const auto users = cache.tile_users.begin() + page * cache.page_tiles;
  return std::count(users, users + cache.page_tiles, 0);
}

bool IsOpen(const syl_kv_cache& cache, int64_t page) {
  const auto users = cache.tile_users.begin() + page * cache.page_tiles;
  return cache.page_users[page] > std::accumulate(users, users + cache.page_tiles, 0);
}

void UsePageLocked(syl_kv_cache* cache, int64_t page, int32_t users) {
  cache->page_users[page] += users;
  if (cache->page_users[page] == 0) cache->free_pages.push_back(static_cast<int32_t>(page));
}

void UseTileLocked(syl_kv_cache* cache, int32_t tile, int32_t users) {
  cache->tile_users[tile] += users;
  UsePageLocked(cache, PageOf(*cache, tile), users);
}

void OpenPageLocked(syl_kv_sequence* sequence, int64_t page) {
  if (sequence->open_page >= 0) UsePageLocked(sequence->cache, sequence->open_page, -1);
  sequence->open_page = static_cast<int32_t>(page);
  if (page >= 0) UsePageLocked(sequence->cache, page, 1);
}

// An open page goes back to the pool when no tile in it is in use, or the sequence has none at all.
void ClosePageLocked(syl_kv_sequence* sequence) {
  const int32_t page = sequence->open_page;
  if (page >= 0 && (sequence->tiles.empty() || sequence->cache->page_users[page] == 1)) OpenPageLocked(sequence, -1);
}

// Tiles that the sequence may take without another page.
int64_t Room(const syl_kv_sequence& sequence) {
  return sequence.open_page >= 0 ? FreeSlots(*sequence.cache, sequence.open_page) : 0;
}

// A sequence whose page is full goes on in that of its tile `last`, if nobody does: otherwise each of a chain of forks
// would leave a page behind.
void ReopenPageLocked(syl_kv_sequence* sequence, int64_t last) {
  if (last < 0 || Room(*sequence) > 0) return;
  const int64_t page = PageOf(*sequence->cache, sequence->tiles[last]);
  if (FreeSlots(*sequence->cache, page) > 0 && !IsOpen(*sequence->cache, page)) OpenPageLocked(sequence, page);
}

// Pages of the pool that a table of `tiles` tiles takes.
int64_t PagesNeededLocked(syl_kv_sequence* sequence, int64_t tiles) {
  const auto have = static_cast<int64_t>(sequence->tiles.size());
  if (tiles <= have) return 0;
  ReopenPageLocked(sequence, have - 1);
  const int64_t page_tiles = sequence->cache->page_tiles, beyond = tiles - have - Room(*sequence);
  return beyond > 0 ? (beyond + page_tiles - 1) / page_tiles : 0;
}

// The caller has seen to it that there is one.
int32_t TakeTileLocked(syl_kv_sequence* sequence) {
  syl_kv_cache* cache = sequence->cache;
  if (Room(*sequence) == 0) {
    const int32_t page = cache->free_pages.back();
    cache->free_pages.pop_back();
    OpenPageLocked(sequence, page);
  }
  auto tile = static_cast<int32_t>(sequence->open_page * cache->page_tiles);
  while (cache->tile_users[tile] > 0) ++tile;
  UseTileLocked(cache, tile, 1);
  return tile;
}

void GrowLocked(syl_kv_sequence* sequence, int64_t tiles) {
  while (static_cast<int64_t>(sequence->tiles.size()) < tiles) sequence->tiles.push_back(TakeTileLocked(sequence));
}

void CopyTile(const syl_kv_cache& cache, int32_t from, int32_t to) {
  for (int32_t layer = 0; layer < cache.plan->geometry.layers; ++layer) {
    std::memcpy(cache.Tile(layer, to), cache.Tile(layer, from), cache.plan->layers[layer].tile_bytes);
  }
}

// Packed tiles of a text of so many tokens that have 16 of them.
int64_t FullTiles(const KvPlan& plan, int64_t tokens) { return std::min(plan.PackedTiles(tokens), tokens / kKvTile); }

// Makes what the last tile has of later tokens 0.
void ClearLastTile(const syl_kv_sequence& sequence, int64_t tokens) {
  const KvPlan& plan = sequence.Plan();
  for (int64_t t = FullTiles(plan, tokens); t < plan.PackedTiles(tokens); ++t) {
    for (int32_t layer = 0; layer < plan.geometry.layers; ++layer) {
      ClearTokens(plan, layer, tokens % kKvTile, sequence.Tile(layer, t));
    }
  }
}

// Bits of tokens first .. 15 in word `word` of a channel's values.
uint32_t TokenBits(int64_t first, int64_t word, int32_t bits) {
  const int64_t steps = 8 / bits;
  uint32_t mask = 0;
  for (int64_t j = 0; j < steps; ++j) {
    for (int64_t i = 0; i < 4; ++i) {
      if (word * 4 * steps + 4 * j + i >= first) mask |= ((1u << bits) - 1) << (8 * i + bits * j);
    }
  }
  return mask;
}

// Of `count` uint32 words.
void ClearBits(uint8_t* words, int64_t count, uint32_t mask) {
  for (uint8_t* at = words; at < words + 4 * count; at += 4) {
    uint32_t word;
    std::memcpy(&word, at, sizeof(word));
    word &= ~mask;
    std::memcpy(at, &word, sizeof(word));
  }
}

void ClearValues(int64_t head_dim, int32_t bits, int64_t first, uint8_t* head) {
  const int32_t plane = bits == 3 ? 2 : bits;
  const int64_t words = kKvTile * plane / 32;
  for (int64_t w = 0; w < words; ++w) ClearBits(head + 4 * w * head_dim, head_dim, TokenBits(first, w, plane));
  if (bits != 3) return;
  uint32_t upper = 0;  // of one channel in the lower half of each byte, of another in the upper half
  for (int64_t token = first; token < kKvTile; ++token) upper |= 0x11u << (8 * (token % 4) + token / 4);
  ClearBits(head + 4 * words * head_dim, (head_dim + 31) / 32 * kKvTile, upper);
}

// Of `count` rows of 16 tokens.
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
  syl_kv_cache* cache = batch.sequence[0]->cache;
  const KvPlan& plan = *cache->plan;
  const auto tiles_then = [&](int32_t i) {
    return plan.PackedTiles(batch.sequence[i]->lengths[layer] + batch.rows[i]);
  };
  {
    const std::lock_guard<std::mutex> lock(cache->mutex);
    int64_t pages = 0;
    for (int32_t i = 0; i < batch.sequences; ++i) pages += PagesNeededLocked(batch.sequence[i], tiles_then(i));
    const auto free_pages = static_cast<int64_t>(cache->free_pages.size());
    if (pages > free_pages) {
      return Fail(SYL_OUT_OF_MEMORY, "%s: needs %lld more pages of the cache, %lld are free", function,
                  static_cast<long long>(pages), static_cast<long long>(free_pages));
    }
    for (int32_t i = 0; i < batch.sequences; ++i) GrowLocked(batch.sequence[i], tiles_then(i));
  }
  // A layer's bytes when they are about to be written, not those of all layers with the lock held.
  for (int32_t i = 0; i < batch.sequences; ++i) {
    const syl_kv_sequence& sequence = *batch.sequence[i];
    for (int64_t t = plan.PackedTiles(sequence.lengths[layer]); t < tiles_then(i); ++t) {
      std::memset(sequence.Tile(layer, t), 0, plan.layers[layer].tile_bytes);
    }
  }
  return SYL_OK;
}

bool GrowTiles(syl_kv_sequence* sequence, int64_t tiles) {
  syl_kv_cache* cache = sequence->cache;
  const std::lock_guard<std::mutex> lock(cache->mutex);
  if (PagesNeededLocked(sequence, tiles) > static_cast<int64_t>(cache->free_pages.size())) return false;
  GrowLocked(sequence, tiles);
  return true;
}

bool TruncateTiles(syl_kv_sequence* sequence, int64_t tokens) {
  syl_kv_cache* cache = sequence->cache;
  std::vector<int32_t>& tiles = sequence->tiles;
  const int64_t full = FullTiles(*cache->plan, tokens), keep = cache->plan->PackedTiles(tokens);
  {
    const std::lock_guard<std::mutex> lock(cache->mutex);
    const bool copy = keep > full && cache->tile_users[tiles[full]] > 1;
    const auto use = [&](int32_t users) {
      for (auto t = static_cast<size_t>(copy ? full : keep); t < tiles.size(); ++t) {
        UseTileLocked(cache, tiles[t], users);
      }
    };
    use(-1);
    if (copy) {
      ReopenPageLocked(sequence, full - 1);
      if (Room(*sequence) == 0 && cache->free_pages.empty()) {
        use(1);
        return false;
      }
      const int32_t copied = TakeTileLocked(sequence);
      CopyTile(*cache, tiles[full], copied);
      tiles[full] = copied;
    }
    tiles.resize(keep);
    ClosePageLocked(sequence);
  }
  ClearLastTile(*sequence, tokens);
  return true;
}

bool TruncateLayerTiles(syl_kv_sequence* sequence, int32_t layer, int64_t tokens) {
  const syl_kv_cache& cache = *sequence->cache;
  const KvPlan& plan = *cache.plan;
  const int64_t full = FullTiles(plan, tokens), before = plan.PackedTiles(sequence->lengths[layer]);
  {
    const std::lock_guard<std::mutex> lock(cache.mutex);
    for (int64_t t = full; t < before; ++t) {
      if (cache.tile_users[sequence->tiles[t]] > 1) return false;
    }
  }
  if (full < plan.PackedTiles(tokens)) ClearTokens(plan, layer, tokens % kKvTile, sequence->Tile(layer, full));
  return true;
}

bool ShareTiles(const syl_kv_sequence& from, int64_t tokens, syl_kv_sequence* to) {
  syl_kv_cache* cache = to->cache;
  const int64_t full = FullTiles(*cache->plan, tokens), tiles = cache->plan->PackedTiles(tokens);
  {
    const std::lock_guard<std::mutex> lock(cache->mutex);
    to->tiles.assign(from.tiles.begin(), from.tiles.begin() + full);
    for (const int32_t tile : to->tiles) UseTileLocked(cache, tile, 1);
    if (PagesNeededLocked(to, tiles) > static_cast<int64_t>(cache->free_pages.size())) return false;
    GrowLocked(to, tiles);
  }
  for (int64_t t = full; t < tiles; ++t) CopyTile(*cache, from.tiles[t], to->tiles[t]);
  ClearLastTile(*to, tokens);
  return true;
}

void RemoveTiles(syl_kv_sequence* sequence, int64_t first, int64_t count) {
  const std::lock_guard<std::mutex> lock(sequence->cache->mutex);
  const auto begin = sequence->tiles.begin() + first;
  for (auto tile = begin; tile != begin + count; ++tile) UseTileLocked(sequence->cache, *tile, -1);
  sequence->tiles.erase(begin, begin + count);
  ClosePageLocked(sequence);
}

}  // namespace sylvester
