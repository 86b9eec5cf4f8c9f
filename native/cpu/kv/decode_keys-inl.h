// Keys that are kept as they are before RoPE: tiles of floats, rotated by the places of their tokens in the tile. The
// rest of a token's position is the tile's, and the query is rotated back by it: R(k, t + o) q = R(k, o) R(q, -t).
#if defined(SYLVESTER_NATIVE_CPU_KV_DECODE_KEYS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_KV_DECODE_KEYS_INL_H_
#undef SYLVESTER_NATIVE_CPU_KV_DECODE_KEYS_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_KV_DECODE_KEYS_INL_H_
#endif

#include "hwy/highway.h"
#include "native/cpu/half-inl.h"
#include "native/cpu/kv/packed_keys-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Channel of the first and of the second number of pair i of a head.
struct RopePairs {
  int64_t pairs, step, second;
  explicit RopePairs(const syl_kv_geometry& geometry)
      : pairs(geometry.rope_dims / 2),
        step(geometry.interleaved ? 2 : 1),
        second(geometry.interleaved ? 1 : geometry.rope_dims / 2) {}
};

// keys: [channels of the unit][16] = s (level[q] - zero_unit z), every step exact but for the last.
template <int kBits, int kStep>
HWY_INLINE void DecodeSteps(const KvCall& call, const uint8_t* tile, VWord words, VWord upper, VCode levels,
                            int64_t channel, int64_t lane, float* keys) {
  const DVirtual d;
  VCode codes = CodesOf<kBits, kStep>(words, upper);
  if (call.Plan().options.grid == SYL_KV_LLOYD_MAX) codes = hn::TableLookupBytes(levels, codes);
  const KvSide& side = call.Layer().keys;
  const VVirtual unit = hn::Set(d, call.key_grid.zero_unit);
  const auto store = [&](auto level, int64_t byte) HWY_ATTR {
    const int64_t c = channel + 4 * kStep + byte, group = call.Layer().group_of[static_cast<size_t>(c)];
    const VVirtual zero = LoadZeros(reinterpret_cast<const int8_t*>(tile + side.zeros) + group * kKvTile + lane);
    const VVirtual value = hn::NegMulAdd(zero, unit, hn::ConvertTo(d, hn::BitCast(DSum(), level)));
    hn::StoreU(hn::Mul(value, LoadScales(tile + side.scales + group * kKvTile + lane)), d, keys + c * kKvTile + lane);
  };
  const VWord four = hn::BitCast(DWord(), codes), byte = hn::Set(DWord(), 0xffu);
  store(hn::And(four, byte), 0);
  store(hn::And(hn::ShiftRight<8>(four), byte), 1);
  store(hn::And(hn::ShiftRight<16>(four), byte), 2);
  store(hn::ShiftRight<24>(four), 3);
  if constexpr (kStep + 1 < kSteps<kBits>) {
    DecodeSteps<kBits, kStep + 1>(call, tile, words, upper, levels, channel, lane, keys);
  }
}

// Heads [begin, end); keys: [heads][head_dim][16] from the first head of all on.
template <int kBits>
HWY_NOINLINE void DecodePackedTile(const KvCall& call, const uint8_t* tile, Range heads, float* keys) {
  const int64_t head_dim = call.Plan().geometry.head_dim, head_words = head_dim / kWordCodes<kBits>;
  const VCode levels = LevelTable(call.key_grid);
  for (int64_t head = heads.begin; head < heads.end; ++head) {
    const auto* words =
        reinterpret_cast<const uint32_t*>(tile + call.Layer().keys.codes + head * call.Layer().keys.head_bytes);
    for (int64_t w = 0; w < head_words; ++w) {
      for (int64_t lane = 0; lane < kKvTile; lane += kRealLanes) {
        const VWord word = hn::LoadU(DWord(), words + w * kKvTile + lane);
        VWord upper = word;
        if constexpr (kBits == 3) {
          upper = hn::LoadU(DWord(), words + (head_words + w / 2) * kKvTile + lane);
          if (w % 2 != 0) upper = hn::ShiftRight<4>(upper);
        }
        DecodeSteps<kBits, 0>(call, tile, word, upper, levels, head * head_dim + w * kWordCodes<kBits>, lane,
                              keys - heads.begin * head_dim * kKvTile);
      }
    }
  }
}

// The unit's keys of a packed tile, rotated back and with their means, before RoPE.
HWY_INLINE void DecodeUnit(const KvCall& call, const uint8_t* tile, Range heads, const KvScratch& scratch) {
  switch (call.Layer().keys.bits) {
    case 2: DecodePackedTile<2>(call, tile, heads, scratch.keys); break;
    case 3: DecodePackedTile<3>(call, tile, heads, scratch.keys); break;
    case 4: DecodePackedTile<4>(call, tile, heads, scratch.keys); break;
    default: DecodePackedTile<8>(call, tile, heads, scratch.keys); break;
  }
  const int64_t head_dim = call.Plan().geometry.head_dim, channels = (heads.end - heads.begin) * head_dim;
  if (const syl_hadamard* unrotate = call.sequence->cache->unrotate_tiles) {
    // A unit is one rotation group.
    syl_hadamard_run_transposed(unrotate, scratch.keys, scratch.keys, 0, kKvTile, nullptr, scratch.workspace,
                                scratch.workspace_bytes);
  }
  if (!call.Layer().center_keys.empty()) {
    const DVirtual d;
    const float* center = call.Layer().center_keys.data() + heads.begin * head_dim;
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t lane = 0; lane < kKvTile; lane += kRealLanes) {
        float* key = scratch.keys + c * kKvTile + lane;
        hn::StoreU(hn::Add(hn::LoadU(d, key), hn::Set(d, center[c])), d, key);
      }
    }
  }
}

// The unit's keys of a tile of the window.
HWY_INLINE void LoadUnit(const KvCall& call, int64_t tile, Range heads, float* keys) {
  const DVirtual d;
  const int64_t head_dim = call.Plan().geometry.head_dim, ring_tiles = call.sequence->ring_tiles;
  for (int64_t head = heads.begin; head < heads.end; ++head) {
    const uint16_t* from =
        call.Halves().ring_keys.data() + (head * ring_tiles + tile % ring_tiles) * head_dim * kKvTile;
    for (int64_t i = 0; i < head_dim * kKvTile; i += kRealLanes, keys += kRealLanes) {
      hn::StoreU(LoadFloats(d, reinterpret_cast<const hwy::float16_t*>(from + i)), d, keys);
    }
  }
}

// Rotates every token of a unit's tile by its place in it.
HWY_INLINE void RotateOffsets(const KvCall& call, int64_t heads, float* keys) {
  const DVirtual d;
  const syl_kv_geometry& geometry = call.Plan().geometry;
  const RopePairs rope(geometry);
  const float* table = call.sequence->cache->rope_offsets.data();
  for (int64_t head = 0; head < heads; ++head, keys += geometry.head_dim * kKvTile) {
    for (int64_t i = 0; i < rope.pairs; ++i) {
      for (int64_t lane = 0; lane < kKvTile; lane += kRealLanes) {
        float* first = keys + i * rope.step * kKvTile + lane;
        float* second = first + rope.second * kKvTile;
        const VVirtual cosine = hn::LoadU(d, table + 2 * i * kKvTile + lane);
        const VVirtual sine = hn::LoadU(d, table + (2 * i + 1) * kKvTile + lane);
        const VVirtual a = hn::LoadU(d, first), b = hn::LoadU(d, second);
        hn::StoreU(hn::NegMulAdd(b, sine, hn::Mul(a, cosine)), d, first);
        hn::StoreU(hn::MulAdd(a, sine, hn::Mul(b, cosine)), d, second);
      }
    }
  }
}

// to[c * step] = q rotated by minus the position of a tile. cos_sin: [pairs][2].
HWY_INLINE void RotateBack(const syl_kv_geometry& geometry, const float* cos_sin, const float* HWY_RESTRICT q,
                           float* HWY_RESTRICT to, int64_t step) {
  const RopePairs rope(geometry);
  for (int64_t i = 0; i < rope.pairs; ++i) {
    const int64_t first = i * rope.step, second = first + rope.second;
    const float cosine = cos_sin[2 * i], sine = cos_sin[2 * i + 1];
    to[first * step] = q[first] * cosine + q[second] * sine;
    to[second * step] = q[second] * cosine - q[first] * sine;
  }
  for (int64_t c = geometry.rope_dims; c < geometry.head_dim; ++c) to[c * step] = q[c];
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
