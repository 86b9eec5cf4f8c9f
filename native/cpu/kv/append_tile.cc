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

// ---- Rows of n = 16 i numbers -------------------------------------------------------------------------------------

// y = (x - center) gain, without what is empty; unless the row is tame limited so that no sum of a rotation overflows.
template <bool kTame>
HWY_INLINE void Center(const float* x, const std::vector<float>& center, const std::vector<float>& gain, int64_t n,
                       float* y) {
  const DVirtual d;
  const auto limit = hn::Set(d, 0x1p100f), low = hn::Neg(limit);
  const float* mean = center.empty() ? nullptr : center.data();
  const float* factor = gain.empty() ? nullptr : gain.data();
  for (int64_t i = 0; i < n; i += kRealLanes) {
    auto v = hn::LoadU(d, x + i);
    if (mean != nullptr) v = hn::Sub(v, hn::LoadU(d, mean + i));
    if (factor != nullptr) v = hn::Mul(v, hn::LoadU(d, factor + i));
    hn::StoreU(kTame ? v : hn::Min(hn::Max(v, low), limit), d, y + i);
  }
}

// Rounded to nearest even, unless the row is tame saturating.
template <bool kTame>
HWY_INLINE void ToHalves(const float* x, int64_t n, uint16_t* halves) {
  const DVirtual d;
  const auto limit = hn::Set(d, 65504), low = hn::Neg(limit);
  for (int64_t i = 0; i < n; i += kRealLanes) {
    const auto v = hn::LoadU(d, x + i);
    StoreFloats(kTame ? v : hn::Min(hn::Max(v, low), limit), d, reinterpret_cast<hwy::float16_t*>(halves) + i);
  }
}

HWY_INLINE void FromHalves(const uint16_t* halves, int64_t n, float* x) {
  const DVirtual d;
  for (int64_t i = 0; i < n; i += kRealLanes) {
    hn::StoreU(LoadFloats(d, reinterpret_cast<const hwy::float16_t*>(halves) + i), d, x + i);
  }
}

// 8 x 8 halves, rows `from_step` apart, become columns.
HWY_INLINE void Transpose8(const uint16_t* from, int64_t from_step, uint16_t* to, int64_t to_step) {
  const hn::Full128<uint16_t> d;
  hn::Vec<decltype(d)> v[8], w[8];
  for (int64_t i = 0; i < 8; ++i) v[i] = hn::LoadU(d, from + i * from_step);
  // Three times: element by element of the first and the second half of all.
  const auto shuffle = [d](const auto& in, auto& out) HWY_ATTR {
    for (int64_t i = 0; i < 4; ++i) {
      out[2 * i] = hn::InterleaveLower(d, in[i], in[i + 4]);
      out[2 * i + 1] = hn::InterleaveUpper(d, in[i], in[i + 4]);
    }
  };
  shuffle(v, w);
  shuffle(w, v);
  shuffle(v, w);
  for (int64_t i = 0; i < 8; ++i) hn::StoreU(w[i], d, to + i * to_step);
}

// ---- Tiles --------------------------------------------------------------------------------------------------------

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
    first_half_ = first;
    for (int64_t t = first; t < end; ++t) {
      MakeHalves(t);
      StoreIfSink(t);
    }
    if (plan_.options.window == 0) return Pack(first, end);
    StoreInRing(first, end);
    if (tile_ < plan_.PackedTiles(append_.end)) {
      first_half_ = 0;
      LoadFromRing();
      Pack(0, kKvTile);
    }
  }

 private:
  uint16_t* KeyHalves(int64_t t) const { return scratch_.key_halves + (t - first_half_) * channels_; }
  uint16_t* ValueHalves(int64_t t) const { return scratch_.value_halves + (t - first_half_) * channels_; }

  void Rotate(const syl_hadamard* rotation, int64_t heads) const {
    if (rotation == nullptr) return;
    syl_hadamard_run(rotation, scratch_.row, scratch_.row, nullptr, nullptr, 0, heads_ / heads, nullptr,
                     scratch_.rotation, scratch_.rotation_bytes);
  }
  void RotateKeys() const {
    Rotate(cache_.rotate_keys, plan_.options.rotate_keys == SYL_KV_ROTATE_GROUP ? plan_.options.head_group : 1);
  }

  HWY_INLINE void MakeHalves(int64_t t) const {
    append_.tame_keys ? MakeKeyHalves<true>(t) : MakeKeyHalves<false>(t);
    append_.tame_values ? MakeValueHalves<true>(t) : MakeValueHalves<false>(t);
  }
  int64_t RowOf(int64_t t) const { return tile_ * kKvTile + t - append_.begin; }

  template <bool kTame>
  void MakeKeyHalves(int64_t t) const {
    const float* k = append_.k + RowOf(t) * append_.k_stride;
    if (plan_.PreRope()) return ToHalves<kTame>(k, channels_, KeyHalves(t));
    Center<kTame>(k, layer_.center_keys, layer_.gain_keys, channels_, scratch_.row);
    RotateKeys();
    ToHalves<kTame>(scratch_.row, channels_, KeyHalves(t));
  }
  template <bool kTame>
  void MakeValueHalves(int64_t t) const {
    Center<kTame>(append_.v + RowOf(t) * append_.v_stride, layer_.center_values, {}, channels_, scratch_.row);
    Rotate(cache_.rotate_values, 1);
    ToHalves<kTame>(scratch_.row, channels_, ValueHalves(t));
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

  // Tokens first .. end - 1 of the tile.
  HWY_INLINE void StoreInRing(int64_t first, int64_t end) const {
    for (int64_t h = 0; h < heads_; ++h) {
      uint16_t* keys = halves_.ring_keys.data() + RingTile(h);
      uint16_t* values = halves_.ring_values.data() + RingTile(h);
      for (int64_t t = first; t < end; ++t) {
        std::memcpy(values + t * head_dim_, ValueHalves(t) + h * head_dim_, static_cast<size_t>(head_dim_) * 2);
      }
      for (int64_t t = first; t < end;) {
        const uint16_t* from = KeyHalves(t) + h * head_dim_;
        if (t % 8 == 0 && t + 8 <= end) {
          for (int64_t c = 0; c < head_dim_; c += 8) Transpose8(from + c, channels_, keys + c * kKvTile + t, kKvTile);
          t += 8;
        } else {
          for (int64_t c = 0; c < head_dim_; ++c) keys[c * kKvTile + t] = from[c];
          ++t;
        }
      }
    }
  }

  HWY_INLINE void LoadFromRing() const {
    for (int64_t h = 0; h < heads_; ++h) {
      const uint16_t* keys = halves_.ring_keys.data() + RingTile(h);
      const uint16_t* values = halves_.ring_values.data() + RingTile(h);
      for (int64_t t = 0; t < kKvTile; ++t) {
        std::memcpy(ValueHalves(t) + h * head_dim_, values + t * head_dim_, static_cast<size_t>(head_dim_) * 2);
      }
      for (int64_t t = 0; t < kKvTile; t += 8) {
        uint16_t* to = KeyHalves(t) + h * head_dim_;
        for (int64_t c = 0; c < head_dim_; c += 8) Transpose8(keys + c * kKvTile + t, kKvTile, to + c, channels_);
      }
    }
  }

  // Tokens first .. end - 1 of the tile from their halves into its words, which are 0.
  HWY_INLINE void Pack(int64_t first, int64_t end) const {
    uint8_t* bytes = append_.sequence->Tile(append_.layer, tile_);
    for (int64_t t = first; t < end; ++t) {
      if (SinkOf(halves_, tile_ * kKvTile + t) >= 0) continue;
      PackKeys(t, bytes);
      PackValues(t, bytes);
    }
  }

  HWY_INLINE void PackKeys(int64_t t, uint8_t* bytes) const {
    const KvQuantizer& quantizer = cache_.quantizers[static_cast<size_t>(append_.layer) * 2];
    if (plan_.PreRope()) {
      FromHalves(KeyHalves(t), channels_, scratch_.row);
      Center<false>(scratch_.row, layer_.center_keys, {}, channels_, scratch_.row);
      RotateKeys();
      ToHalves<false>(scratch_.row, channels_, KeyHalves(t));
    }
    uint8_t* scales = bytes + layer_.keys.scales + t;
    auto* zeros = reinterpret_cast<int8_t*>(bytes + layer_.keys.zeros + t);
    if (quantizer.order.empty()) {
      QuantizeRow(quantizer, KeyHalves(t), CodeBytesOutput(scratch_.codes), scales, zeros);
    } else {
      const uint16_t* order = quantizer.order.data();
      for (int64_t i = 0; i < channels_; ++i) scratch_.sorted[i] = KeyHalves(t)[order[i]];
      QuantizeRow(quantizer, scratch_.sorted, CodeBytesOutput(scratch_.sorted_codes), scales, zeros);
      for (int64_t i = 0; i < channels_; ++i) scratch_.codes[order[i]] = scratch_.sorted_codes[i];
    }
    PackKeyHeads(t, bytes + layer_.keys.codes);
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
      PackKey<kBits>(scratch_.codes + h * head_dim_, head_dim_, t,
                     reinterpret_cast<uint32_t*>(codes + h * layer_.keys.head_bytes));
    }
  }

  HWY_INLINE void PackValues(int64_t t, uint8_t* bytes) const {
    switch (layer_.values.bits) {
      case 2: return PackValuesOf<2>(t, bytes);
      case 3: return PackValuesOf<3>(t, bytes);
      case 4: return PackValuesOf<4>(t, bytes);
      default: return PackValuesOf<8>(t, bytes);
    }
  }
  template <int kBits>
  void PackValuesOf(int64_t t, uint8_t* bytes) const {
    const ValueWordsOutput<kBits> words(bytes + layer_.values.codes, layer_.values.head_bytes, head_dim_, t);
    QuantizeRow(cache_.quantizers[static_cast<size_t>(append_.layer) * 2 + 1], ValueHalves(t), words,
                bytes + layer_.values.scales + t, reinterpret_cast<int8_t*>(bytes + layer_.values.zeros + t));
  }

  const KvAppend& append_;
  const KvPlan& plan_;
  const KvLayer& layer_;
  const syl_kv_cache& cache_;
  KvHalves& halves_;
  const KvAppendScratch& scratch_;
  const int64_t tile_, heads_, head_dim_, channels_;
  int64_t first_half_ = 0;  // the token whose halves come first in the scratch
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
