#include <algorithm>
#include <cinttypes>
#include <new>

#include "native/common/status.h"
#include "native/cpu/kv/cache.h"

namespace sylvester {
namespace {

// Of all layers.
int64_t Truncatable(const syl_kv_sequence& sequence) {
  int64_t tokens = 1;
  for (int32_t i = 0; i < sequence.Plan().geometry.layers; ++i) tokens = std::max(tokens, sequence.Truncatable(i));
  return tokens;
}

// `tokens` are what can be cut to, of a length whose window allows `least` of them.
syl_status CheckTokens(const char* function, int64_t tokens, int64_t least, int64_t length) {
  if (tokens < 0 || tokens > length) {
    return Fail(SYL_BAD_VALUE, "%s: tokens is %" PRId64 ", must be 0..%" PRId64, function, tokens, length);
  }
  if (tokens > 0 && tokens < least) {
    return Fail(SYL_BAD_VALUE, "%s: tokens is %" PRId64 ", must be 0 or, for the window, %" PRId64 "..%" PRId64,
                function, tokens, least, length);
  }
  return SYL_OK;
}

// The same of a sequence.
syl_status CheckCut(const char* function, const syl_kv_sequence* sequence, int64_t tokens) {
  int64_t length;
  if (syl_status s = CheckEven(function, sequence, &length)) return s;
  return CheckTokens(function, tokens, Truncatable(*sequence), length);
}

// What is not in tiles.
void CutHalves(syl_kv_sequence* sequence, int32_t layer, int64_t tokens) {
  sequence->lengths[layer] = tokens;
  KvHalves& of = sequence->halves[layer];
  if (tokens == 0) of.oldest = 0;
  of.sink_tokens.resize(std::lower_bound(of.sink_tokens.begin(), of.sink_tokens.end(), tokens) -
                        of.sink_tokens.begin());
}

// The same of all layers.
void CutHalves(syl_kv_sequence* sequence, int64_t tokens) {
  for (int32_t i = 0; i < sequence->Plan().geometry.layers; ++i) CutHalves(sequence, i, tokens);
}

syl_status NoPage(const char* function) {
  return Fail(SYL_OUT_OF_MEMORY, "%s: needs a page of the cache for a tile that another sequence reads; none is free",
              function);
}

}  // namespace

SequencePointer NewSequence(syl_kv_cache* cache) {
  const KvPlan& plan = *cache->plan;
  const auto layers = static_cast<size_t>(plan.geometry.layers);
  auto made = std::make_unique<syl_kv_sequence>();
  made->cache = cache;
  made->open_page = -1;
  made->sink_capacity = plan.options.first_tokens + plan.options.max_sinks;
  if (plan.options.window > 0) {
    made->ring_tiles = (cache->max_rows + plan.options.window - 1 + kKvTile - 1) / kKvTile;
  }
  made->tiles.reserve(cache->tile_users.size());
  made->lengths.resize(layers);
  made->halves.resize(layers);
  for (KvHalves& of : made->halves) {
    of.ring_keys.resize(plan.Channels() * made->ring_tiles * kKvTile);
    of.ring_values.resize(of.ring_keys.size());
    of.sink_keys.resize(plan.Channels() * made->sink_capacity);
    of.sink_values.resize(of.sink_keys.size());
    of.sink_tokens.reserve(made->sink_capacity);
  }
  const std::lock_guard<std::mutex> lock(cache->mutex);
  ++cache->sequences;
  return SequencePointer(made.release());
}

}  // namespace sylvester

using namespace sylvester;

syl_status syl_kv_sequence_new(syl_kv_cache* cache, syl_kv_sequence** sequence) {
  SYL_REQUIRE_PTR(cache);
  SYL_REQUIRE_PTR(sequence);
  try {
    *sequence = NewSequence(cache).release();
    return SYL_OK;
  } catch (const std::bad_alloc&) {
    return Fail(SYL_OUT_OF_MEMORY, "%s: out of memory for a sequence", __func__);
  }
}

void syl_kv_sequence_free(syl_kv_sequence* sequence) {
  if (sequence == nullptr) return;
  TruncateTiles(sequence, 0);
  {
    const std::lock_guard<std::mutex> lock(sequence->cache->mutex);
    --sequence->cache->sequences;
  }
  delete sequence;
}

syl_status syl_kv_length(const syl_kv_sequence* sequence, int32_t layer, int64_t* tokens) {
  SYL_REQUIRE_PTR(sequence);
  SYL_REQUIRE_PTR(tokens);
  SYL_REQUIRE_RANGE(layer, 0, sequence->lengths.size() - 1);
  *tokens = sequence->lengths[layer];
  return SYL_OK;
}

syl_status syl_kv_fork(const syl_kv_sequence* sequence, int64_t tokens, syl_kv_sequence** fork) {
  if (syl_status s = CheckCut(__func__, sequence, tokens)) return s;
  SYL_REQUIRE_PTR(fork);
  try {
    SequencePointer made = NewSequence(sequence->cache);
    if (!ShareTiles(*sequence, tokens, made.get())) return NoPage(__func__);
    for (size_t i = 0; i < made->halves.size(); ++i) {
      KvHalves& to = made->halves[i];
      const KvHalves& from = sequence->halves[i];
      to.ring_keys = from.ring_keys;
      to.ring_values = from.ring_values;
      to.sink_keys = from.sink_keys;
      to.sink_values = from.sink_values;
      to.sink_tokens.assign(from.sink_tokens.begin(), from.sink_tokens.end());
      to.oldest = from.oldest;
    }
    CutHalves(made.get(), tokens);
    *fork = made.release();
    return SYL_OK;
  } catch (const std::bad_alloc&) {
    return Fail(SYL_OUT_OF_MEMORY, "%s: out of memory for a sequence", __func__);
  }
}

syl_status syl_kv_truncate(syl_kv_sequence* sequence, int64_t tokens) {
  if (syl_status s = CheckCut(__func__, sequence, tokens)) return s;
  if (tokens == sequence->lengths[0]) return SYL_OK;
  if (!TruncateTiles(sequence, tokens)) return NoPage(__func__);
  CutHalves(sequence, tokens);
  return SYL_OK;
}

syl_status syl_kv_truncate_layer(syl_kv_sequence* sequence, int32_t layer, int64_t tokens) {
  SYL_REQUIRE_PTR(sequence);
  SYL_REQUIRE_RANGE(layer, 0, sequence->lengths.size() - 1);
  const int64_t length = sequence->lengths[layer];
  if (syl_status s = CheckTokens(__func__, tokens, sequence->Truncatable(layer), length)) return s;
  if (tokens == length) return SYL_OK;
  SYL_REQUIRE(TruncateLayerTiles(sequence, layer, tokens), SYL_BAD_VALUE,
              "tokens is %" PRId64 ", but another sequence has a tile of those behind them", tokens);
  CutHalves(sequence, layer, tokens);
  return SYL_OK;
}

syl_status syl_kv_truncatable(const syl_kv_sequence* sequence, int64_t* tokens) {
  int64_t length;
  if (syl_status s = CheckEven(__func__, sequence, &length)) return s;
  SYL_REQUIRE_PTR(tokens);
  *tokens = std::min(Truncatable(*sequence), length);
  return SYL_OK;
}

syl_status syl_kv_remove(syl_kv_sequence* sequence, int64_t first, int64_t count) {
  int64_t length;
  if (syl_status s = CheckEven(__func__, sequence, &length)) return s;
  const KvPlan& plan = sequence->Plan();
  SYL_REQUIRE(plan.PreRope(), SYL_UNSUPPORTED, "the plan's rope is %d, must be PRE_ROPE", plan.options.rope);
  const int64_t packed = std::min(plan.PackedTiles(length) * kKvTile, length);
  SYL_REQUIRE_RANGE(first, 0, packed);
  SYL_REQUIRE_RANGE(count, 0, packed - first);
  SYL_REQUIRE(first % kKvTile == 0 && count % kKvTile == 0, SYL_BAD_VALUE,
              "first is %" PRId64 ", count %" PRId64 ", must be multiples of 16", first, count);
  for (const KvHalves& of : sequence->halves) {
    const auto sink = std::lower_bound(of.sink_tokens.begin(), of.sink_tokens.end(), first);
    SYL_REQUIRE(sink == of.sink_tokens.end() || *sink >= first + count, SYL_BAD_VALUE,
                "first is %" PRId64 ", count %" PRId64 ", but token %" PRId64 " is a sink", first, count, *sink);
  }
  if (count == 0) return SYL_OK;

  RemoveTiles(sequence, first / kKvTile, count / kKvTile);
  for (int64_t& tokens : sequence->lengths) tokens -= count;
  const int64_t tile = plan.geometry.head_dim * kKvTile, ring = sequence->ring_tiles * tile;
  const int64_t shift = ring == 0 ? 0 : count / kKvTile % sequence->ring_tiles * tile;
  for (KvHalves& of : sequence->halves) {
    for (int64_t& token : of.sink_tokens) token -= token >= first ? count : 0;
    if (ring == 0) continue;
    // Rows of tile t become those of tile t - count / 16; those before the removed ones are lost.
    of.oldest = std::max(of.oldest, first + count) - count;
    for (std::vector<uint16_t>* rows : {&of.ring_keys, &of.ring_values}) {
      for (auto head = rows->begin(); head != rows->end(); head += ring) std::rotate(head, head + shift, head + ring);
    }
  }
  return SYL_OK;
}
