// Tokens as their readers see them, one by one.
#include <algorithm>
#include <cstring>
#include <new>

#include "native/common/half.h"
#include "native/common/status.h"
#include "native/cpu/kv/append.h"
#include "native/cpu/nn/rows.h"

namespace sylvester {
namespace {

// Codes of one side of a layer in a tile.
class TileCodes {
 public:
  TileCodes(const KvPlan& plan, int32_t layer, int32_t what, const uint8_t* tile)
      : plan_(plan),
        layer_(plan.layers[static_cast<size_t>(layer)]),
        is_keys_(what == SYL_KV_KEYS),
        side_(is_keys_ ? layer_.keys : layer_.values),
        tile_(tile) {}

  uint8_t Code(int64_t t, int64_t head, int64_t c) const {
    const uint8_t* words = tile_ + side_.codes + head * side_.head_bytes;
    const int64_t head_dim = plan_.geometry.head_dim;
    const int32_t bits = side_.bits == 3 ? 2 : side_.bits;
    const int64_t in_word = 32 / bits;
    // Keys have their channels in a word and a word for each token, values the other way round.
    const int64_t along = is_keys_ ? c : t, across = is_keys_ ? t : c, width = is_keys_ ? kKvTile : head_dim;
    const int64_t place = along % in_word;
    uint32_t code = Word(words, along / in_word * width + across) >> (8 * (place % 4) + bits * (place / 4));
    code &= (1u << bits) - 1;
    if (side_.bits == 3) {
      const uint8_t* high = words + head_dim * kKvTile / 4;
      const int64_t bit = is_keys_ ? 8 * (c % 4) + c % 32 / 4 : 8 * (t % 4) + t / 4 + c % 32 / 16 * 4;
      code |= (Word(high, c / 32 * kKvTile + (is_keys_ ? t : c % 16)) >> bit & 1) << 2;
    }
    return static_cast<uint8_t>(code);
  }
  uint8_t Scale(int64_t t, int64_t group) const { return tile_[side_.scales + group * kKvTile + t]; }
  int8_t Zero(int64_t t, int64_t group) const { return static_cast<int8_t>(tile_[side_.zeros + group * kKvTile + t]); }
  int64_t GroupOf(int64_t head, int64_t c) const {
    const int64_t head_dim = plan_.geometry.head_dim;
    if (is_keys_ && !layer_.group_of.empty()) return layer_.group_of[static_cast<size_t>(head * head_dim + c)];
    const int32_t group = is_keys_ ? plan_.options.group_keys : plan_.options.group_values;
    return head * plan_.GroupsPerHead(group) + c / group;
  }
  int64_t groups() const { return side_.groups; }

 private:
  static uint32_t Word(const uint8_t* words, int64_t index) {
    uint32_t word;
    std::memcpy(&word, words + 4 * index, sizeof(word));
    return word;
  }

  const KvPlan& plan_;
  const KvLayer& layer_;
  const bool is_keys_;
  const KvSide& side_;
  const uint8_t* tile_;
};

class TokenReader {
 public:
  TokenReader(const syl_kv_sequence& sequence, int32_t layer, int32_t what)
      : sequence_(sequence),
        plan_(sequence.Plan()),
        layer_(layer),
        what_(what),
        halves_(sequence.halves[static_cast<size_t>(layer)]),
        grid_(plan_.Grid(what == SYL_KV_KEYS ? plan_.layers[static_cast<size_t>(layer)].keys.bits
                                             : plan_.layers[static_cast<size_t>(layer)].values.bits)),
        rotation_(what == SYL_KV_KEYS ? sequence.cache->rotate_keys : sequence.cache->rotate_values),
        row_(static_cast<size_t>(plan_.Channels())),
        workspace_(static_cast<size_t>(syl_hadamard_workspace(rotation_, 1))) {}

  void Read(int64_t token, float* y) {
    const int64_t sink = SinkOf(halves_, token);
    const bool is_packed = token / kKvTile < plan_.PackedTiles(sequence_.lengths[static_cast<size_t>(layer_)]);
    if (sink >= 0) {
      ReadSink(sink);
    } else if (is_packed) {
      ReadCodes(token);
    } else {
      ReadRing(token);
    }
    const bool is_raw = what_ == SYL_KV_KEYS && plan_.PreRope() && (sink >= 0 || !is_packed);
    if (!is_raw) Restore();
    std::copy(row_.begin(), row_.end(), y);
  }

 private:
  int64_t Heads() const { return plan_.geometry.kv_heads; }
  int64_t HeadDim() const { return plan_.geometry.head_dim; }
  float* Row(int64_t head) { return row_.data() + head * HeadDim(); }

  void ReadSink(int64_t sink) {
    const std::vector<uint16_t>& from = what_ == SYL_KV_KEYS ? halves_.sink_keys : halves_.sink_values;
    for (int64_t h = 0; h < Heads(); ++h) {
      const uint16_t* halves = from.data() + (h * sequence_.sink_capacity + sink) * HeadDim();
      std::transform(halves, halves + HeadDim(), Row(h), FloatFromF16);
    }
  }

  void ReadRing(int64_t token) {
    const bool keys = what_ == SYL_KV_KEYS;
    const int64_t tile = token / kKvTile % sequence_.ring_tiles, t = token % kKvTile;
    const std::vector<uint16_t>& from = keys ? halves_.ring_keys : halves_.ring_values;
    for (int64_t h = 0; h < Heads(); ++h) {
      const uint16_t* halves = from.data() + (h * sequence_.ring_tiles + tile) * kKvTile * HeadDim();
      for (int64_t c = 0; c < HeadDim(); ++c) {
        Row(h)[c] = FloatFromF16(halves[keys ? c * kKvTile + t : t * HeadDim() + c]);
      }
    }
  }

  void ReadCodes(int64_t token) {
    const TileCodes tile(plan_, layer_, what_, sequence_.Tile(layer_, token / kKvTile));
    const int64_t t = token % kKvTile;
    for (int64_t h = 0; h < Heads(); ++h) {
      for (int64_t c = 0; c < HeadDim(); ++c) {
        const int64_t group = tile.GroupOf(h, c);
        const uint8_t code = tile.Code(t, h, c);
        const float level = plan_.options.grid == SYL_KV_LLOYD_MAX ? grid_.levels[code] : code;
        // Exact: few bits of s, fewer than 16 of the difference.
        Row(h)[c] = KvScaleToFloat(tile.Scale(t, group)) * (level - grid_.zero_unit * tile.Zero(t, group));
      }
    }
  }

  // Out of the space of codes.
  void Restore() {
    if (rotation_ != nullptr) {
      const bool grouped = what_ == SYL_KV_KEYS && plan_.options.rotate_keys == SYL_KV_ROTATE_GROUP;
      syl_hadamard_run_transposed(rotation_, row_.data(), row_.data(), 0,
                                  Heads() / (grouped ? plan_.options.head_group : 1), nullptr, workspace_.data(),
                                  static_cast<int64_t>(workspace_.size()));
    }
    const KvLayer& layer = plan_.layers[static_cast<size_t>(layer_)];
    if (what_ == SYL_KV_KEYS) {
      for (size_t c = 0; c < layer.gain_keys.size(); ++c) row_[c] /= layer.gain_keys[c];
    }
    const std::vector<float>& center = what_ == SYL_KV_KEYS ? layer.center_keys : layer.center_values;
    for (size_t c = 0; c < center.size(); ++c) row_[c] += center[c];
  }

  const syl_kv_sequence& sequence_;
  const KvPlan& plan_;
  const int32_t layer_, what_;
  const KvHalves& halves_;
  const KvGrid grid_;
  const syl_hadamard* rotation_;
  std::vector<float> row_;
  std::vector<uint8_t> workspace_;
};

syl_status CheckTokens(const char* function, const syl_kv_sequence* sequence, int32_t layer, int32_t what,
                       int64_t first, int64_t count, bool packed) {
  if (sequence == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: sequence is NULL", function);
  const int64_t layers = sequence->Plan().geometry.layers;
  if (layer < 0 || layer >= layers) {
    return Fail(SYL_BAD_VALUE, "%s: layer is %d, must be 0..%lld", function, layer, static_cast<long long>(layers - 1));
  }
  if (what != SYL_KV_KEYS && what != SYL_KV_VALUES) {
    return Fail(SYL_BAD_VALUE, "%s: what is %d, must be SYL_KV_KEYS or SYL_KV_VALUES", function, what);
  }
  const int64_t length = sequence->lengths[static_cast<size_t>(layer)];
  const int64_t tokens = packed ? std::min(length, sequence->Plan().PackedTiles(length) * kKvTile) : length;
  if (first < 0 || first > tokens) {
    return Fail(SYL_BAD_VALUE, "%s: first is %lld, must be 0..%lld", function, static_cast<long long>(first),
                static_cast<long long>(tokens));
  }
  if (count < 0 || count > tokens - first) {
    return Fail(SYL_BAD_VALUE, "%s: count is %lld, must be 0..%lld from token %lld", function,
                static_cast<long long>(count), static_cast<long long>(tokens - first), static_cast<long long>(first));
  }
  return SYL_OK;
}

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_kv_dequantize_f32(const syl_kv_sequence* sequence, int32_t layer, int32_t what, int64_t first,
                                 int64_t count, float* y, int64_t y_stride) {
  syl_status status = CheckTokens(__func__, sequence, layer, what, first, count, false);
  if (status != SYL_OK) return status;
  status = CheckRows(__func__, {"y", y, y_stride}, count, sequence->Plan().Channels());
  if (status != SYL_OK) return status;
  try {
    TokenReader reader(*sequence, layer, what);
    for (int64_t i = 0; i < count; ++i) reader.Read(first + i, y + i * y_stride);
    return SYL_OK;
  } catch (const std::bad_alloc&) {
    return Fail(SYL_OUT_OF_MEMORY, "%s: out of memory for a row", __func__);
  }
}

syl_status syl_kv_codes(const syl_kv_sequence* sequence, int32_t layer, int32_t what, int64_t first, int64_t count,
                        uint8_t* codes, uint8_t* scales, int8_t* zeros) {
  const syl_status status = CheckTokens(__func__, sequence, layer, what, first, count, true);
  if (status != SYL_OK) return status;
  const KvPlan& plan = sequence->Plan();
  for (int64_t token = first; token < first + count; ++token) {
    const TileCodes tile(plan, layer, what, sequence->Tile(layer, token / kKvTile));
    const int64_t t = token % kKvTile;
    for (int64_t h = 0; codes != nullptr && h < plan.geometry.kv_heads; ++h) {
      for (int64_t c = 0; c < plan.geometry.head_dim; ++c) *codes++ = tile.Code(t, h, c);
    }
    for (int64_t g = 0; g < tile.groups(); ++g) {
      if (scales != nullptr) *scales++ = tile.Scale(t, g);
      if (zeros != nullptr) *zeros++ = tile.Zero(t, g);
    }
  }
  return SYL_OK;
}
