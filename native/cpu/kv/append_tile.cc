#include <algorithm>
#include <cstring>

#include "native/common/tier.h"
#include "native/cpu/kv/append.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/kv/append_tile.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/half-inl.h"
#include "native/cpu/kv/pack-inl.h"
#include "native/cpu/kv/quantize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// ---- Rows of n = 16 i numbers --------------------------------------------------------------------------------------

// y = x - center, or x; limited so that no sum of a rotation overflows.
HWY_INLINE void Center(const float* x, const std::vector<float>& center, int64_t n, float* y) {
  const DVirtual d;
  const auto limit = hn::Set(d, 0x1p100f), low = hn::Neg(limit);
  for (int64_t i = 0; i < n; i += kRealLanes) {
    auto v = hn::LoadU(d, x + i);
    if (!center.empty()) v = hn::Sub(v, hn::LoadU(d, center.data() + i));
    hn::StoreU(hn::Min(hn::Max(v, low), limit), d, y + i);
  }
}

// Rounded to nearest even, saturating.
HWY_INLINE void ToHalves(const float* x, int64_t n, uint16_t* halves) {
  const DVirtual d;
  const auto limit = hn::Set(d, 65504), low = hn::Neg(limit);
  for (int64_t i = 0; i < n; i += kRealLanes) {
    StoreFloats(hn::Min(hn::Max(hn::LoadU(d, x + i), low), limit), d, reinterpret_cast<hwy::float16_t*>(halves) + i);
  }
}

HWY_INLINE void FromHalves(const uint16_t* halves, int64_t n, float* x) {
  const DVirtual d;
  for (int64_t i = 0; i < n; i += kRealLanes) {
    hn::StoreU(LoadFloats(d, reinterpret_cast<const hwy::float16_t*>(halves) + i), d, x + i);
  }
}

// ---- Tiles
// -----------------------------------------------------------------------------------------------------------

class TileAppender {
 public:
  TileAppender(const KvAppend& append, int64_t tile, const KvAppendScratch& scratch)
      : append_(append),
        plan_(append.Plan()),
        layer_(plan_.layers[static_cast<size_t>(append.layer)]),
        cache_(*append.sequence->cache),
        halves_(append.sequence->halves[static_cast<size_t>(append.layer)]),
        scratch_(scratch),
        tile_(tile),
        heads_(plan_.geometry.kv_heads),
        head_dim_(plan_.geometry.head_dim),
        channels_(plan_.Channels()) {}

  HWY_INLINE void Run() {
    const int64_t base = tile_ * kKvTile;
    const int64_t first = std::max<int64_t>(append_.begin - base, 0), end = std::min(append_.end - base, kKvTile);
    for (int64_t t = first; t < end; ++t) {
      MakeHalves(t);
      StoreIfSink(t);
    }
    if (plan_.options.window == 0) return Pack(first, end);
    for (int64_t t = first; t < end; ++t) StoreInRing(t);
    if (tile_ < plan_.PackedTiles(append_.end)) {
      for (int64_t t = 0; t < kKvTile; ++t) LoadFromRing(t);
      Pack(0, kKvTile);
    }
  }

 private:
  uint16_t* KeyHalves(int64_t t) const { return scratch_.key_halves + t * channels_; }
  uint16_t* ValueHalves(int64_t t) const { return scratch_.value_halves + t * channels_; }

  void Rotate(const syl_hadamard* rotation, int64_t heads) const {
    if (rotation == nullptr) return;
    syl_hadamard_run(rotation, scratch_.row, scratch_.row, nullptr, nullptr, 0, heads_ / heads, nullptr,
                     scratch_.rotation, scratch_.rotation_bytes);
  }
  void RotateKeys() const {
    Rotate(cache_.rotate_keys, plan_.options.rotate_keys == SYL_KV_ROTATE_GROUP ? plan_.options.head_group : 1);
  }

  HWY_INLINE void MakeHalves(int64_t t) const {
    const int64_t row = tile_ * kKvTile + t - append_.begin;
    const float *k = append_.k + row * append_.k_stride, *v = append_.v + row * append_.v_stride;
    if (plan_.PreRope()) {
      ToHalves(k, channels_, KeyHalves(t));
    } else {
      Center(k, layer_.center_keys, channels_, scratch_.row);
      RotateKeys();
      ToHalves(scratch_.row, channels_, KeyHalves(t));
    }
    Center(v, layer_.center_values, channels_, scratch_.row);
    Rotate(cache_.rotate_values, 1);
    ToHalves(scratch_.row, channels_, ValueHalves(t));
  }

  void StoreIfSink(int64_t t) const {
    const int64_t sink = SinkOf(halves_, tile_ * kKvTile + t);
    if (sink < 0) return;
    for (int64_t h = 0; h < heads_; ++h) {
      const int64_t to = (h * append_.sequence->sink_capacity + sink) * head_dim_;
      std::memcpy(halves_.sink_keys.data() + to, KeyHalves(t) + h * head_dim_, static_cast<size_t>(head_dim_) * 2);
      std::memcpy(halves_.sink_values.data() + to, ValueHalves(t) + h * head_dim_, static_cast<size_t>(head_dim_) * 2);
    }
  }

  int64_t RingTile(int64_t head) const {
    const int64_t tiles = append_.sequence->ring_tiles;
    return (head * tiles + tile_ % tiles) * kKvTile * head_dim_;
  }

  void StoreInRing(int64_t t) const {
    for (int64_t h = 0; h < heads_; ++h) {
      const uint16_t* key = KeyHalves(t) + h * head_dim_;
      uint16_t* column = halves_.ring_keys.data() + RingTile(h) + t;
      for (int64_t c = 0; c < head_dim_; ++c) column[c * kKvTile] = key[c];
      std::memcpy(halves_.ring_values.data() + RingTile(h) + t * head_dim_, ValueHalves(t) + h * head_dim_,
                  static_cast<size_t>(head_dim_) * 2);
    }
  }

  void LoadFromRing(int64_t t) const {
    for (int64_t h = 0; h < heads_; ++h) {
      uint16_t* key = KeyHalves(t) + h * head_dim_;
      const uint16_t* column = halves_.ring_keys.data() + RingTile(h) + t;
      for (int64_t c = 0; c < head_dim_; ++c) key[c] = column[c * kKvTile];
      std::memcpy(ValueHalves(t) + h * head_dim_, halves_.ring_values.data() + RingTile(h) + t * head_dim_,
                  static_cast<size_t>(head_dim_) * 2);
    }
  }

  // Tokens first .. end - 1 of the tile from their halves into its words.
  HWY_INLINE void Pack(int64_t first, int64_t end) const {
    const KvQuantizer& keys = cache_.quantizers[static_cast<size_t>(append_.layer) * 2];
    const KvQuantizer& values = cache_.quantizers[static_cast<size_t>(append_.layer) * 2 + 1];
    uint8_t* bytes = append_.sequence->Tile(append_.layer, tile_);
    for (int64_t t = first; t < end; ++t) {
      uint8_t* value_codes = scratch_.value_codes + (t - first) * channels_;
      if (SinkOf(halves_, tile_ * kKvTile + t) >= 0) {
        std::memset(value_codes, 0, static_cast<size_t>(channels_));
        continue;
      }
      if (plan_.PreRope()) {
        FromHalves(KeyHalves(t), channels_, scratch_.row);
        Center(scratch_.row, layer_.center_keys, channels_, scratch_.row);
        RotateKeys();
        ToHalves(scratch_.row, channels_, KeyHalves(t));
      }
      QuantizeRow(keys, KeyHalves(t), scratch_.sorted, scratch_.sorted_codes, scratch_.key_codes,
                  bytes + layer_.keys.scales + t, reinterpret_cast<int8_t*>(bytes + layer_.keys.zeros + t));
      PackKeyHeads(t, bytes + layer_.keys.codes);
      QuantizeRow(values, ValueHalves(t), nullptr, nullptr, value_codes, bytes + layer_.values.scales + t,
                  reinterpret_cast<int8_t*>(bytes + layer_.values.zeros + t));
    }
    PackValueHeads(first, end, bytes + layer_.values.codes);
  }

  void PackKeyHeads(int64_t t, uint8_t* codes) const {
    switch (layer_.keys.bits) {
      case 2: return PackKeyHeadsOf<2>(t, codes);
      case 3: return PackKeyHeadsOf<3>(t, codes);
      case 4: return PackKeyHeadsOf<4>(t, codes);
      default: return PackKeyHeadsOf<8>(t, codes);
    }
  }
  template <int kBits>
  void PackKeyHeadsOf(int64_t t, uint8_t* codes) const {
    for (int64_t h = 0; h < heads_; ++h) {
      PackKey<kBits>(scratch_.key_codes + h * head_dim_, head_dim_, t,
                     reinterpret_cast<uint32_t*>(codes + h * layer_.keys.head_bytes));
    }
  }

  void PackValueHeads(int64_t first, int64_t end, uint8_t* codes) const {
    switch (layer_.values.bits) {
      case 2: return PackValueHeadsOf<2>(first, end, codes);
      case 3: return PackValueHeadsOf<3>(first, end, codes);
      case 4: return PackValueHeadsOf<4>(first, end, codes);
      default: return PackValueHeadsOf<8>(first, end, codes);
    }
  }
  template <int kBits>
  void PackValueHeadsOf(int64_t first, int64_t end, uint8_t* codes) const {
    for (int64_t h = 0; h < heads_; ++h) {
      PackValues<kBits>(scratch_.value_codes + h * head_dim_, channels_, first, end, head_dim_,
                        reinterpret_cast<uint32_t*>(codes + h * layer_.values.head_bytes));
    }
  }

  const KvAppend& append_;
  const KvPlan& plan_;
  const KvLayer& layer_;
  const syl_kv_cache& cache_;
  KvHalves& halves_;
  const KvAppendScratch& scratch_;
  const int64_t tile_, heads_, head_dim_, channels_;
};

void AppendToTile(const KvAppend& append, int64_t tile, const KvAppendScratch& scratch) {
  TileAppender(append, tile, scratch).Run();
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {

constexpr void (*kAppendToTile[kTierCount])(const KvAppend&, int64_t, const KvAppendScratch&) = SYL_TIERS(AppendToTile);

}  // namespace

void AppendTile(const KvAppend& append, int64_t tile, const KvAppendScratch& scratch) {
  kAppendToTile[CurrentTier()](append, tile, scratch);
}

int64_t SinkOf(const KvHalves& halves, int64_t token) {
  const std::vector<int64_t>& sinks = halves.sink_tokens;
  const auto found = std::lower_bound(sinks.begin(), sinks.end(), token);
  return found != sinks.end() && *found == token ? found - sinks.begin() : -1;
}

}  // namespace sylvester
#endif
