// Softmax attention over a packed cache, block of keys by block of keys: packed tiles, the window, sinks.
#if defined(SYLVESTER_NATIVE_CPU_KV_ATTEND_BLOCKS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_KV_ATTEND_BLOCKS_INL_H_
#undef SYLVESTER_NATIVE_CPU_KV_ATTEND_BLOCKS_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_KV_ATTEND_BLOCKS_INL_H_
#endif

#include <algorithm>
#include <cstring>

#include "hwy/highway.h"
#include "native/cpu/kv/attend.h"
#include "native/cpu/nn/attention_block-inl.h"
// In this order.
#include "native/cpu/kv/decode_keys-inl.h"
#include "native/cpu/kv/packed_keys-inl.h"
#include "native/cpu/kv/packed_values-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Half = hwy::float16_t;

constexpr int kMaxSinks = 128;  // first_tokens + max_sinks

// Tiles in front of the one at work whose keys are fetched; values are fetched while the keys of their block are
// scored. The integer products are too short for the processor to look ahead by itself.
constexpr int64_t kTilesAhead = 4;

HWY_INLINE void FetchBytes(const uint8_t* p, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) Fetch(p + i);
}

// The packed tiles of a block and those that follow it.
struct TileBytes {
  const uint8_t* tiles[kBlockTiles + kTilesAhead];

  TileBytes(const KvCall& call, int64_t block) {
    const auto end = static_cast<int64_t>(call.sequence->tiles.size());
    for (int64_t t = 0; t < kBlockTiles + kTilesAhead; ++t) {
      const int64_t tile = block * kBlockTiles + t;
      tiles[t] = tile < end ? call.sequence->Tile(call.layer, tile) : nullptr;
    }
  }
};

HWY_INLINE Range Intersection(Range a, Range b) { return {std::max(a.begin, b.begin), std::min(a.end, b.end)}; }

// kPairs consecutive pairs of a kv head in a block. Tiles are counted from the block's first one, tokens too.
struct BlockPairs {
  const KvCall& call;
  int64_t head, first_pair, block;
  const TileBytes& bytes;
  const Range* visible;  // [pairs] tokens
  float* scores;         // [pairs][kBlockTokens]

  int64_t FirstTile() const { return block * kBlockTiles; }
  Range Tiles(int pair) const { return {visible[pair].begin / kKvTile, CeilDiv(visible[pair].end, kKvTile)}; }
  int64_t Packed(int pair) const {
    return std::max<int64_t>(0, std::min(call.PackedTiles(first_pair + pair) - FirstTile(), kBlockTiles));
  }
  // What a pair sees as codes and as halves.
  Range PackedTiles(int pair) const { return Intersection(Tiles(pair), {0, Packed(pair)}); }
  Range HalfTiles(int pair) const { return Intersection(Tiles(pair), {Packed(pair), kBlockTiles}); }
  int64_t HeadDim() const { return call.view.shape.head_dim; }

  const Half* RingKeys(int64_t tile) const { return Ring(call.Halves().ring_keys, tile); }
  const Half* RingValues(int64_t tile) const { return Ring(call.Halves().ring_values, tile); }
  const Half* SinkKey(int64_t sink) const { return Sink(call.Halves().sink_keys, sink); }
  const Half* SinkValue(int64_t sink) const { return Sink(call.Halves().sink_values, sink); }
  // Whether a pair reads a sink as such: it sees it, and not in its window.
  bool UsesSink(int pair, int64_t token) const {
    return token >= visible[pair].begin && token < visible[pair].end && token / kKvTile < Packed(pair);
  }

 private:
  const Half* Ring(const std::vector<uint16_t>& halves, int64_t tile) const {
    const int64_t ring_tiles = call.sequence->ring_tiles;
    return reinterpret_cast<const Half*>(halves.data()) +
           (head * ring_tiles + (FirstTile() + tile) % ring_tiles) * HeadDim() * kKvTile;
  }
  const Half* Sink(const std::vector<uint16_t>& halves, int64_t sink) const {
    return reinterpret_cast<const Half*>(halves.data()) + (head * call.sequence->sink_capacity + sink) * HeadDim();
  }
};

// ---- Scores, POST_ROPE ---------------------------------------------------------------------------------------------

template <int kBits, bool kLevels, int kPairs, bool kVnni>
HWY_NOINLINE void ScorePackedTiles(const BlockPairs& block, int pair, Range tiles) {
  const KvCall& call = block.call;
  const KvSide& side = call.Layer().keys;
  const int64_t head_dim = block.HeadDim(), groups = side.groups / call.view.shape.kv_heads;
  const VCode levels = LevelTable(call.key_grid);
  // The queries of one row and head lie side by side, those of the next row do not.
  HWY_ALIGN int8_t integers[kPairs * QueryDigits(kBits) * kMaxHeadDim];
  float factors[kPairs], group_sums[kPairs * 16];
  const int64_t bytes = QueryDigits(kBits) * head_dim;
  for (int p = 0; p < kPairs; ++p) {
    const int64_t i = call.QueryIndex(block.head, block.first_pair + pair + p);
    std::memcpy(integers + p * bytes, call.queries.integers + i * bytes, static_cast<size_t>(bytes));
    factors[p] = call.queries.factors[i];
    std::memcpy(group_sums + p * groups, call.queries.group_sums + i * groups,
                static_cast<size_t>(groups) * sizeof(float));
  }
  const IntegerQueries q{integers, bytes, factors, group_sums, head_dim, call.Plan().options.group_keys, groups};
  const int64_t codes = side.codes + block.head * side.head_bytes;
  const int64_t params = block.head * groups * kKvTile, params_bytes = groups * kKvTile;
  const KvSide& values = call.Layer().values;
  const int64_t value_params = values.groups / call.view.shape.kv_heads * kKvTile;
  for (int64_t t = tiles.begin; t < tiles.end; ++t) {
    const uint8_t* tile = block.bytes.tiles[t];
    if (const uint8_t* ahead = block.bytes.tiles[t + kTilesAhead]) {
      FetchBytes(ahead + codes, side.head_bytes);
      FetchBytes(ahead + side.scales + params, params_bytes);
      FetchBytes(ahead + side.zeros + params, params_bytes);
    }
    FetchBytes(tile + values.codes + block.head * values.head_bytes, values.head_bytes);
    FetchBytes(tile + values.scales + block.head * value_params, value_params);
    FetchBytes(tile + values.zeros + block.head * value_params, value_params);
    ScorePackedTile<kBits, kLevels, kPairs, kVnni>(
        {reinterpret_cast<const uint32_t*>(tile + codes), tile + side.scales + params,
         reinterpret_cast<const int8_t*>(tile + side.zeros) + params},
        q, levels, block.scores + pair * kBlockTokens + t * kKvTile);
  }
}

template <int kPairs, bool kVnni>
HWY_INLINE void ScorePackedTiles(const BlockPairs& block, int pair, Range tiles) {
  if (tiles.IsEmpty()) return;
  if (block.call.Plan().options.grid == SYL_KV_LLOYD_MAX) {
    for (int p = pair; p < pair + kPairs; ++p) {
      switch (block.call.Layer().keys.bits) {
        case 2: ScorePackedTiles<2, true, 1, kVnni>(block, p, tiles); break;
        case 3: ScorePackedTiles<3, true, 1, kVnni>(block, p, tiles); break;
        default: ScorePackedTiles<4, true, 1, kVnni>(block, p, tiles); break;
      }
    }
    return;
  }
  switch (block.call.Layer().keys.bits) {
    case 2: return ScorePackedTiles<2, false, kPairs, kVnni>(block, pair, tiles);
    case 3: return ScorePackedTiles<3, false, kPairs, kVnni>(block, pair, tiles);
    case 4: return ScorePackedTiles<4, false, kPairs, kVnni>(block, pair, tiles);
    default: return ScorePackedTiles<8, false, kPairs, kVnni>(block, pair, tiles);
  }
}

// Sum of q[i] k[i], in 16 lanes.
template <typename T>
HWY_INLINE float Dot(const float* q, const T* k, int64_t n) {
  const DVirtual d;
  VVirtual sums[kVirtualVectors];
  for (VVirtual& sum : sums) sum = hn::Zero(d);
  for (int64_t i = 0; i < n; i += kVirtualLanes) {
    for (int64_t v = 0; v < kVirtualVectors; ++v) {
      const int64_t at = i + v * kRealLanes;
      sums[v] = hn::MulAdd(hn::LoadU(d, q + at), LoadFloats(d, k + at), sums[v]);
    }
  }
  return TreeSum16(sums);
}

// q: the pairs' queries, [head_dim][kRegisterPairs].
template <int kPairs, bool kVnni>
HWY_INLINE void ScoreBlock(const BlockPairs& block, const float* q) {
  const KvCall& call = block.call;
  // A later pair sees neither fewer tiles nor fewer packed ones. Without a window all are packed that any sees.
  const Range tiles{block.Tiles(0).begin, block.Tiles(kPairs - 1).end};
  const int64_t packed = block.Packed(call.sequence->ring_tiles == 0 ? kPairs - 1 : 0);
  for (int64_t t = std::max(packed, tiles.begin); t < tiles.end; ++t) {
    Scores<kPairs>(block.RingKeys(t), {0, 1}, block.HeadDim(), q, block.scores + t * kKvTile);
  }
  ScorePackedTiles<kPairs, kVnni>(block, 0, Intersection(tiles, {0, packed}));
  for (int p = 1; p < kPairs; ++p) {
    ScorePackedTiles<1, kVnni>(block, p, Intersection(block.Tiles(p), {packed, block.Packed(p)}));
  }
  const std::vector<int64_t>& sinks = call.Halves().sink_tokens;
  for (size_t i = 0; i < sinks.size(); ++i) {
    const int64_t token = sinks[i] - block.block * kBlockTokens;
    for (int p = 0; p < kPairs; ++p) {
      if (!block.UsesSink(p, token)) continue;
      const float* row = call.queries.floats + call.QueryIndex(block.head, block.first_pair + p) * block.HeadDim();
      block.scores[p * kBlockTokens + token] = Dot(row, block.SinkKey(static_cast<int64_t>(i)), block.HeadDim());
    }
  }
}

// ---- Values --------------------------------------------------------------------------------------------------------

template <int kBits, bool kLevels, int kPairs, bool kVnni>
HWY_NOINLINE void SumPackedValues(const BlockPairs& block, int pair, Range tiles, const Results& results) {
  const KvCall& call = block.call;
  const KvSide& side = call.Layer().values;
  const int64_t head_dim = block.HeadDim(), groups = side.groups / call.view.shape.kv_heads;
  const int64_t group = call.Plan().options.group_values;
  const VCode levels = LevelTable(call.value_grid);
  const uint32_t* words[kBlockTiles];
  for (int64_t t = tiles.begin; t < tiles.end; ++t) {
    words[t] = reinterpret_cast<const uint32_t*>(block.bytes.tiles[t] + side.codes + block.head * side.head_bytes);
  }
  const PackedValues values{words, head_dim, call.value_grid.zero_unit};
  constexpr float kMost = static_cast<float>(kWeightMax[WeightDigits(kBits) - 1]);
  Range own[kPairs];  // tokens
  float p_max[kPairs];
  for (int p = 0; p < kPairs; ++p) {
    own[p] = Intersection(block.visible[pair + p], {0, block.Packed(pair + p) * kKvTile});
    const Range seen = block.Tiles(pair + p);
    float* weights = block.scores + (pair + p) * kBlockTokens;
    std::fill(weights, weights + seen.begin * kKvTile, 0.0f);
    std::fill(weights + seen.end * kKvTile, weights + kBlockTokens, 0.0f);
    p_max[p] = ShareWeights(own[p], weights);
  }
  GroupParams params;
  IntegerWeights weights[kPairs];
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t offset = (block.head * groups + g) * kKvTile;
    params.Load(block.bytes.tiles, side.scales + offset, side.zeros + offset, tiles);
    for (int p = 0; p < kPairs; ++p) {
      // Mostly they see the same.
      if (p == 0 || own[p].begin != own[p - 1].begin || own[p].end != own[p - 1].end) params.Share(own[p], kMost);
      RoundWeights<WeightDigits(kBits), kVnni>(block.scores + (pair + p) * kBlockTokens, p_max[p] * params.largest,
                                               params, weights + p);
    }
    SumGroup<kBits, kLevels, kPairs, kVnni>(values, levels, tiles, g * group, std::min((g + 1) * group, head_dim),
                                            weights, results.Sum(pair), results.stride);
  }
}

template <int kPairs, bool kVnni>
HWY_INLINE void SumPackedValues(const BlockPairs& block, Range tiles, const Results& results) {
  if (block.call.Plan().options.grid == SYL_KV_LLOYD_MAX) {
    for (int p = 0; p < kPairs; ++p) {
      switch (block.call.Layer().values.bits) {
        case 2: SumPackedValues<2, true, 1, kVnni>(block, p, tiles, results); break;
        case 3: SumPackedValues<3, true, 1, kVnni>(block, p, tiles, results); break;
        default: SumPackedValues<4, true, 1, kVnni>(block, p, tiles, results); break;
      }
    }
    return;
  }
  switch (block.call.Layer().values.bits) {
    case 2: return SumPackedValues<2, false, kPairs, kVnni>(block, 0, tiles, results);
    case 3: return SumPackedValues<3, false, kPairs, kVnni>(block, 0, tiles, results);
    case 4: return SumPackedValues<4, false, kPairs, kVnni>(block, 0, tiles, results);
    default: return SumPackedValues<8, false, kPairs, kVnni>(block, 0, tiles, results);
  }
}

// Softmax of the block's scores and the sum of the values, for pairs that all see some of it.
template <int kPairs, bool kVnni>
HWY_NOINLINE void SumBlock(const BlockPairs& block, const Results& results) {
  const int64_t head_dim = block.HeadDim();
  if (const float* offsets = block.call.queries.offsets) {
    for (int p = 0; p < kPairs; ++p) {
      const float offset = offsets[block.call.QueryIndex(block.head, block.first_pair + p)];
      float* scores = block.scores + p * kBlockTokens;
      for (int64_t j = block.visible[p].begin; j < block.visible[p].end; ++j) scores[j] += offset;
    }
  }
  for (int p = 0; p < kPairs; ++p) {
    *results.PartialOf(p, head_dim) =
        Softmax(block.visible[p], block.call.view.shape.soft_cap, block.scores + p * kBlockTokens);
  }
  // Sinks leave the weights of packed tokens, or these would be rounded by the steps of theirs.
  const std::vector<int64_t>& sinks = block.call.Halves().sink_tokens;
  float sink_weights[kPairs][kMaxSinks];
  for (size_t i = 0; i < sinks.size(); ++i) {
    const int64_t token = sinks[i] - block.block * kBlockTokens;
    for (int p = 0; p < kPairs; ++p) {
      sink_weights[p][i] = 0;
      if (block.UsesSink(p, token)) std::swap(sink_weights[p][i], block.scores[p * kBlockTokens + token]);
    }
  }
  const Range packed{block.Tiles(0).begin, std::min(block.Tiles(kPairs - 1).end, block.Packed(kPairs - 1))};
  if (packed.IsEmpty()) {
    for (int p = 0; p < kPairs; ++p) std::memset(results.Sum(p), 0, static_cast<size_t>(head_dim) * sizeof(float));
  } else {
    SumPackedValues<kPairs, kVnni>(block, packed, results);
  }
  for (size_t i = 0; i < sinks.size(); ++i) {
    for (int p = 0; p < kPairs; ++p) {
      if (!block.UsesSink(p, sinks[i] - block.block * kBlockTokens)) continue;
      AddValues<1>(block.SinkValue(static_cast<int64_t>(i)), {0, 1}, head_dim, &sink_weights[p][i], results.Sum(p),
                   results.stride);
    }
  }
  for (int p = 0; p < kPairs; ++p) {
    const Range halves = block.HalfTiles(p);
    for (int64_t t = halves.begin; t < halves.end; ++t) {
      const Range tokens = Intersection(block.visible[p], {t * kKvTile, (t + 1) * kKvTile});
      AddValues<1>(block.RingValues(t), {tokens.begin - t * kKvTile, tokens.end - t * kKvTile}, head_dim,
                   block.scores + p * kBlockTokens + t * kKvTile, results.Sum(p), results.stride);
    }
  }
}

// ---- Pairs of a head -----------------------------------------------------------------------------------------------

// f.template Run<kPairs>() for a number of pairs only known at run time.
template <class F>
HWY_INLINE void ForPairs(int pairs, const F& f) {
  switch (pairs) {
    case 1: return f.template Run<1>();
    case 2: return f.template Run<2>();
    case 3: return f.template Run<3>();
  }
  if constexpr (kRegisterPairs >= 6) {
    switch (pairs) {
      case 4: return f.template Run<4>();
      case 5: return f.template Run<5>();
      case 6: return f.template Run<6>();
    }
  }
}

template <bool kVnni>
struct ScorePairs {
  const BlockPairs& block;
  const float* q;
  template <int kPairs>
  HWY_INLINE void Run() const {
    ScoreBlock<kPairs, kVnni>(block, q);
  }
};

template <bool kVnni>
struct SumPairs {
  const BlockPairs& block;
  const Results& results;
  template <int kPairs>
  HWY_INLINE void Run() const {
    SumBlock<kPairs, kVnni>(block, results);
  }
};

// Scores of some pairs in one tile of floats; q as above.
struct ScoreFloats {
  const float* keys;
  int64_t head_dim;
  const float* q;
  float* scores;
  template <int kPairs>
  HWY_INLINE void Run() const {
    Scores<kPairs>(keys, {0, 1}, head_dim, q, scores);
  }
};

// The pairs of a register tile that see some of a block, and what.
struct Seeing {
  Range visible[kRegisterPairs];
  Range pairs;

  Seeing(const KvCall& call, Range all, int64_t block) : pairs{all.end, all.begin} {
    for (int64_t pair = all.begin; pair < all.end; ++pair) {
      const Range tokens = call.view.VisibleKeys(pair, block);
      if (tokens.IsEmpty()) continue;
      pairs.begin = std::min(pairs.begin, pair);
      pairs.end = pair + 1;
      visible[pair - pairs.begin] = tokens;
    }
  }
  int Count() const { return static_cast<int>(pairs.end - pairs.begin); }
};

// ---- Scores, PRE_ROPE ----------------------------------------------------------------------------------------------

// One decoded tile for the pairs of a head that see it.
HWY_INLINE void ScoreDecodedTile(const KvCall& call, int64_t head, Range pairs, int64_t tile, const float* keys,
                                 float* scores) {
  const syl_kv_geometry& geometry = call.Plan().geometry;
  const int64_t head_dim = geometry.head_dim, block = tile / kBlockTiles;
  const float* cos_sin = call.sequence->cache->rope_tiles.data() + tile * geometry.rope_dims;
  const Range tokens{tile * kKvTile, (tile + 1) * kKvTile};
  HWY_ALIGN float q[kMaxHeadDim * kRegisterPairs];
  for (int64_t begin = pairs.begin; begin < pairs.end; begin += kRegisterPairs) {
    const int64_t end = std::min(begin + kRegisterPairs, pairs.end);
    if (Intersection({call.view.VisibleKeys(begin).begin, call.view.VisibleKeys(end - 1).end}, tokens).IsEmpty()) {
      continue;
    }
    for (int64_t pair = begin; pair < end; ++pair) {
      RotateBack(geometry, cos_sin, call.queries.floats + call.QueryIndex(head, pair) * head_dim, q + (pair - begin),
                 kRegisterPairs);
    }
    ForPairs(static_cast<int>(end - begin),
             ScoreFloats{keys, head_dim, q,
                         scores + (begin - pairs.begin) * kBlockTokens + (tile - block * kBlockTiles) * kKvTile});
  }
}

// Scores of a unit's heads with a block: [head][pair][kBlockTokens].
HWY_NOINLINE void ScoreUnitPreRope(const KvCall& call, Range heads, Range pairs, int64_t block, const TileBytes& bytes,
                                   const KvScratch& scratch) {
  const syl_kv_geometry& geometry = call.Plan().geometry;
  const int64_t head_dim = geometry.head_dim, count = heads.end - heads.begin;
  const Range tokens{std::max(call.view.VisibleKeys(pairs.begin).begin, block * kBlockTokens),
                     std::min(call.view.VisibleKeys(pairs.end - 1).end, (block + 1) * kBlockTokens)};
  for (int64_t tile = tokens.begin / kKvTile; tile < CeilDiv(tokens.end, kKvTile); ++tile) {
    // Earlier rows may still read as halves what later ones read packed.
    int64_t split = pairs.begin;
    if (call.sequence->ring_tiles > 0) {
      while (split < pairs.end && call.PackedTiles(split) <= tile) ++split;
    }
    for (const bool packed : {false, true}) {
      const Range some = packed ? Range{split, pairs.end} : Range{pairs.begin, split};
      if (some.IsEmpty()) continue;
      if (packed) {
        DecodeUnit(call, bytes.tiles[tile - block * kBlockTiles], heads, scratch);
      } else {
        LoadUnit(call, tile, heads, scratch.keys);
      }
      RotateOffsets(call, count, scratch.keys);
      for (int64_t h = 0; h < count; ++h) {
        ScoreDecodedTile(call, heads.begin + h, some, tile, scratch.keys + h * head_dim * kKvTile,
                         scratch.scores + (h * kTilePairs + some.begin - pairs.begin) * kBlockTokens);
      }
    }
  }
  // Sinks, one by one.
  const std::vector<int64_t>& sinks = call.Halves().sink_tokens;
  const RopePairs rope(geometry);
  for (size_t i = 0; i < sinks.size(); ++i) {
    const int64_t token = sinks[i], tile = token / kKvTile, offset = token % kKvTile;
    if (token / kBlockTokens != block) continue;
    const float* offsets = call.sequence->cache->rope_offsets.data() + offset;
    const float* cos_sin = call.sequence->cache->rope_tiles.data() + tile * geometry.rope_dims;
    for (int64_t h = 0; h < count; ++h) {
      HWY_ALIGN float key[kMaxHeadDim];
      HWY_ALIGN float q[kMaxHeadDim];
      const BlockPairs at{call, heads.begin + h, 0, block, bytes, nullptr, nullptr};
      const Half* halves = at.SinkKey(static_cast<int64_t>(i));
      for (int64_t c = 0; c < head_dim; c += kRealLanes) {
        hn::Store(LoadFloats(DVirtual(), halves + c), DVirtual(), key + c);
      }
      for (int64_t r = 0; r < rope.pairs; ++r) {
        float *first = key + r * rope.step, *second = first + rope.second;
        const float cosine = offsets[2 * r * kKvTile], sine = offsets[(2 * r + 1) * kKvTile], a = *first;
        *first = a * cosine - *second * sine;
        *second = *second * cosine + a * sine;
      }
      for (int64_t pair = pairs.begin; pair < pairs.end; ++pair) {
        const Range visible = call.view.VisibleKeys(pair);
        if (token < visible.begin || token >= visible.end || tile >= call.PackedTiles(pair)) continue;
        RotateBack(geometry, cos_sin, call.queries.floats + call.QueryIndex(heads.begin + h, pair) * head_dim, q, 1);
        scratch.scores[(h * kTilePairs + pair - pairs.begin) * kBlockTokens + token - block * kBlockTokens] =
            Dot(q, key, head_dim);
      }
    }
  }
}

// ---- Tasks ---------------------------------------------------------------------------------------------------------

// One block for the pairs of a tile in all heads of a unit. add(head, seeing pairs, results) takes a register tile's
// results; where(head, pair) says where those of a pair and the ones behind it go.
template <bool kVnni, class Where, class Add>
HWY_INLINE void AttendUnit(const KvCall& call, int64_t unit, Range pairs, int64_t block, const KvScratch& scratch,
                           const Where& where, const Add& add) {
  const int64_t unit_heads = UnitHeads(call.Plan()), head_dim = call.view.shape.head_dim;
  const Range heads{unit * unit_heads, (unit + 1) * unit_heads};
  const bool pre_rope = call.Plan().PreRope();
  const TileBytes bytes(call, block);
  if (pre_rope) ScoreUnitPreRope(call, heads, pairs, block, bytes, scratch);
  for (int64_t head = heads.begin; head < heads.end; ++head) {
    float* scores = scratch.scores + (head - heads.begin) * kTilePairs * kBlockTokens;
    for (int64_t begin = pairs.begin; begin < pairs.end; begin += kRegisterPairs) {
      const Seeing seeing(call, {begin, std::min(begin + kRegisterPairs, pairs.end)}, block);
      if (seeing.pairs.IsEmpty()) continue;
      const BlockPairs some{call,
                            head,
                            seeing.pairs.begin,
                            block,
                            bytes,
                            seeing.visible,
                            scores + (seeing.pairs.begin - pairs.begin) * kBlockTokens};
      if (!pre_rope) {
        HWY_ALIGN float q[kMaxHeadDim * kRegisterPairs];
        // Only the window meets them.
        if (!some.HalfTiles(0).IsEmpty() || !some.HalfTiles(seeing.Count() - 1).IsEmpty()) {
          for (int p = 0; p < seeing.Count(); ++p) {
            const float* row = call.queries.floats + call.QueryIndex(head, seeing.pairs.begin + p) * head_dim;
            for (int64_t c = 0; c < head_dim; ++c) q[c * kRegisterPairs + p] = row[c];
          }
        }
        ForPairs(seeing.Count(), ScorePairs<kVnni>{some, q});
      }
      const Results results = where(head, seeing.pairs.begin);
      ForPairs(seeing.Count(), SumPairs<kVnni>{some, results});
      add(head, seeing.pairs, results);
    }
  }
}

template <bool kVnni>
HWY_INLINE void AttendTileOf(const KvCall& call, int64_t unit, Range pairs, const KvScratch& scratch) {
  const int64_t head_dim = call.view.shape.head_dim, unit_heads = UnitHeads(call.Plan()), first = unit * unit_heads;
  HWY_ALIGN float block_results[kRegisterPairs * ResultFloats(kMaxHeadDim)];
  Partial merged[kKvMaxHeadGroup][kTilePairs] = {};
  const Range blocks = call.view.VisibleBlocks(pairs);
  for (int64_t block = blocks.begin; block < blocks.end; ++block) {
    AttendUnit<kVnni>(
        call, unit, pairs, block, scratch,
        [&](int64_t, int64_t) HWY_ATTR {
          return Results{block_results, ResultFloats(head_dim)};
        },
        [&](int64_t head, Range seeing, const Results& results) HWY_ATTR {
          for (int64_t pair = seeing.begin; pair < seeing.end; ++pair) {
            Merge(results.Sum(pair - seeing.begin), *results.PartialOf(pair - seeing.begin, head_dim), head_dim,
                  call.view.Y(head, pair), &merged[head - first][pair - pairs.begin]);
          }
        });
  }
  for (int64_t head = first; head < first + unit_heads; ++head) {
    for (int64_t pair = pairs.begin; pair < pairs.end; ++pair) {
      Finish(merged[head - first][pair - pairs.begin], head_dim, call.view.Y(head, pair));
    }
  }
}

template <bool kVnni>
HWY_INLINE void AttendBlocksOf(const KvCall& call, int64_t unit, Range pairs, Range blocks, Results results,
                               int64_t head_stride, const KvScratch& scratch) {
  const int64_t head_dim = call.view.shape.head_dim, first = unit * UnitHeads(call.Plan());
  for (int64_t block = blocks.begin; block < blocks.end; ++block, results.data += ResultFloats(head_dim)) {
    AttendUnit<kVnni>(
        call, unit, pairs, block, scratch,
        [&](int64_t head, int64_t pair) HWY_ATTR {
          return Results{results.Sum(pair - pairs.begin) + (head - first) * head_stride, results.stride};
        },
        [](int64_t, Range, const Results&) HWY_ATTR {});
  }
}

HWY_NOINLINE void AttendUnitTile(const KvCall& call, int64_t unit, Range pairs, const KvScratch& scratch) {
  AttendTileOf<false>(call, unit, pairs, scratch);
}
HWY_NOINLINE void AttendUnitBlocks(const KvCall& call, int64_t unit, Range pairs, Range blocks, const Results& results,
                                   int64_t head_stride, const KvScratch& scratch) {
  AttendBlocksOf<false>(call, unit, pairs, blocks, results, head_stride, scratch);
}
#if HWY_TARGET == HWY_AVX3
HWY_NOINLINE void AttendUnitTileVnni(const KvCall& call, int64_t unit, Range pairs, const KvScratch& scratch) {
  AttendTileOf<true>(call, unit, pairs, scratch);
}
HWY_NOINLINE void AttendUnitBlocksVnni(const KvCall& call, int64_t unit, Range pairs, Range blocks,
                                       const Results& results, int64_t head_stride, const KvScratch& scratch) {
  AttendBlocksOf<true>(call, unit, pairs, blocks, results, head_stride, scratch);
}
#endif

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
