// The packed bytes, from the words of native/common/kv_plan.h alone: a number, a code, a bit at a time. Rotations are
// the library's, which have tests of their own.
#ifndef SYLVESTER_TESTS_NATIVE_KV_REFERENCE_H_
#define SYLVESTER_TESTS_NATIVE_KV_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "native/common/half.h"
#include "native/common/kv_plan.h"
#include "tests/native/testing.h"

namespace sylvester_test {

using sylvester::KvGrid;
using sylvester::KvLayer;
using sylvester::KvPlan;
using sylvester::KvSide;

inline double ScaleValue(int scale) {
  const int exponent = scale >> 3, fraction = scale & 7;
  return exponent == 0 ? std::ldexp(fraction / 8.0, -14) : std::ldexp(1 + fraction / 8.0, exponent - 15);
}

// The least of all scales that is not below x, or the largest.
inline uint8_t ScaleAbove(float x) {
  static const std::vector<double> values = [] {
    std::vector<double> all;
    for (int scale = 0; scale <= 0xf7; ++scale) all.push_back(ScaleValue(scale));
    return all;
  }();
  const auto above = std::lower_bound(values.begin(), values.end(), static_cast<double>(x));
  return static_cast<uint8_t>(above == values.end() ? 0xf7 : above - values.begin());
}

// The nearest of all scales, the even one of two.
inline uint8_t NearestScale(float x) {
  const int scale = ScaleAbove(x);
  if (scale == 0 || x >= 61440) return static_cast<uint8_t>(scale);
  const double up = ScaleValue(scale) - x, down = x - ScaleValue(scale - 1);
  return static_cast<uint8_t>(up < down || (up == down && scale % 2 == 0) ? scale : scale - 1);
}

struct KvReferenceGroup {
  uint8_t scale = 0;
  int8_t zero = 0;
  std::vector<uint8_t> codes;
};

class ReferenceQuantizer {
 public:
  ReferenceQuantizer(const syl_kv_options& options, const KvGrid& grid, int32_t bits, float clip)
      : options_(options), grid_(grid), m_((1 << bits) - 1), clip_(clip) {}

  KvReferenceGroup Quantize(const std::vector<float>& x) const {
    KvReferenceGroup group;
    group.codes.resize(x.size());
    const auto n = static_cast<float>(x.size());
    if (options_.grid == SYL_KV_LLOYD_MAX) {
      std::vector<float> squares;
      for (const float v : x) squares.push_back(v * v);
      group.scale = NearestScale(std::sqrt(Sum16(squares) / n) * grid_.rms_factor);
      if (group.scale == 0) return group;
      group.zero = 32;
      const float inverse = 1 / static_cast<float>(ScaleValue(group.scale));
      for (size_t i = 0; i < x.size(); ++i) {
        const float product = x[i] * inverse, y = product + 32;
        for (int t = 0; t < m_; ++t) group.codes[i] += grid_.thresholds[t] < y;
      }
      return group;
    }
    float lo = *std::min_element(x.begin(), x.end()), hi = *std::max_element(x.begin(), x.end());
    if (options_.clip_mode == SYL_KV_CLIP_RANGE) {
      lo = clip_ * lo;
      hi = clip_ * hi;
    } else {
      const float sum = lo + hi, middle = sum * 0.5f, width = hi - lo, reach = width * 0.5f * clip_;
      lo = middle - reach;
      hi = middle + reach;
    }
    const float u = grid_.zero_unit, least = std::max(std::fabs(lo), std::fabs(hi)) / (119 * u);
    SetCodes(x, std::max((hi - lo) / static_cast<float>(m_), least), lo, &group);
    return group;
  }

 private:
  static float Sum16(const std::vector<float>& terms) {
    float lanes[16] = {};
    for (size_t i = 0; i < terms.size(); ++i) lanes[i % 16] += terms[i];
    for (int step = 8; step > 0; step /= 2) {
      for (int i = 0; i < step; ++i) lanes[i] += lanes[i + step];
    }
    return lanes[0];
  }

  void SetCodes(const std::vector<float>& x, float step, float lo, KvReferenceGroup* group) const {
    *group = {m_ == 255 ? ScaleAbove(step) : NearestScale(step), 0, std::vector<uint8_t>(x.size())};
    if (group->scale == 0) return;
    const float u = grid_.zero_unit, inverse = 1 / static_cast<float>(ScaleValue(group->scale));
    const float product = -lo * inverse, z = std::nearbyint(product / u);
    group->zero = static_cast<int8_t>(std::min(std::max(z, -128.0f), 127.0f));
    for (size_t i = 0; i < x.size(); ++i) {
      const float scaled = x[i] * inverse, y = scaled + u * group->zero;
      group->codes[i] = static_cast<uint8_t>(std::min(std::max(std::nearbyint(y), 0.0f), static_cast<float>(m_)));
    }
  }

  const syl_kv_options& options_;
  const KvGrid grid_;
  const int m_;
  const float clip_;
};

// One token of one side of a layer.
struct KvReferenceToken {
  std::vector<uint16_t> halves;  // as they are kept
  std::vector<uint8_t> codes;    // [channels]
  std::vector<uint8_t> scales;   // [groups]
  std::vector<int8_t> zeros;
};

class KvReference {
 public:
  explicit KvReference(const KvPlan& plan) : plan_(plan) {
    for (const int32_t what : {SYL_KV_KEYS, SYL_KV_VALUES}) {
      const int32_t rotate = what == SYL_KV_KEYS ? plan.options.rotate_keys : plan.options.rotate_values;
      if (rotate == SYL_KV_ROTATE_NONE) continue;
      syl_hadamard_options options;
      EXPECT_EQ(KvRotation("test", plan, rotate, &options), SYL_OK);
      order_[what] = options.n;
      syl_hadamard* made = nullptr;
      EXPECT_EQ(syl_hadamard_new(&options, &made), SYL_OK) << syl_last_error();
      rotation_[what].reset(made);
    }
  }

  const KvSide& Side(int32_t layer, int32_t what) const {
    return what == SYL_KV_KEYS ? plan_.layers[layer].keys : plan_.layers[layer].values;
  }

  KvReferenceToken Token(int32_t layer, int32_t what, const float* row) const {
    const bool raw = what == SYL_KV_KEYS && plan_.PreRope();
    std::vector<float> x(row, row + plan_.Channels());
    if (raw) {
      RoundToHalves(&x);
      KvReferenceToken token = Quantized(layer, what, Rotated(layer, what, x));
      for (size_t c = 0; c < x.size(); ++c) token.halves[c] = sylvester::F16FromFloat(x[c]);
      return token;
    }
    return Quantized(layer, what, Rotated(layer, what, x));
  }

  int64_t GroupOf(int32_t layer, int32_t what, int64_t channel) const {
    const std::vector<uint16_t>& group_of = plan_.layers[layer].group_of;
    if (what == SYL_KV_KEYS && !group_of.empty()) return group_of[channel];
    const int32_t group = what == SYL_KV_KEYS ? plan_.options.group_keys : plan_.options.group_values;
    const int64_t d = plan_.geometry.head_dim, groups = (d + group - 1) / group;
    return channel / d * groups + channel % d / group;
  }

  // The bytes of a tile whose token t is keys[t], values[t]; fewer than 16 for an open tile. Empty codes: a sink.
  std::vector<uint8_t> Tile(int32_t layer, const std::vector<KvReferenceToken>& keys,
                            const std::vector<KvReferenceToken>& values) const {
    std::vector<uint8_t> tile(plan_.layers[layer].tile_bytes);
    const int64_t d = plan_.geometry.head_dim;
    for (const int32_t what : {SYL_KV_KEYS, SYL_KV_VALUES}) {
      const KvSide& side = Side(layer, what);
      const std::vector<KvReferenceToken>& tokens = what == SYL_KV_KEYS ? keys : values;
      for (size_t t = 0; t < tokens.size(); ++t) {
        for (size_t c = 0; c < tokens[t].codes.size(); ++c) {
          uint8_t* head = tile.data() + side.codes + static_cast<int64_t>(c) / d * side.head_bytes;
          if (what == SYL_KV_KEYS) {
            SetKeyCode(head, side.bits, d, c % d, t, tokens[t].codes[c]);
          } else {
            SetValueCode(head, side.bits, d, c % d, t, tokens[t].codes[c]);
          }
        }
        for (size_t g = 0; g < tokens[t].scales.size(); ++g) {
          tile[side.scales + 16 * g + t] = tokens[t].scales[g];
          tile[side.zeros + 16 * g + t] = static_cast<uint8_t>(tokens[t].zeros[g]);
        }
      }
    }
    return tile;
  }

 private:
  static void RoundToHalves(std::vector<float>* x) {
    for (float& v : *x) {
      v = sylvester::FloatFromF16(sylvester::F16FromFloat(std::min(std::max(v, -65504.0f), 65504.0f)));
    }
  }

  // As halves.
  std::vector<float> Rotated(int32_t layer, int32_t what, std::vector<float> x) const {
    const KvLayer& of = plan_.layers[layer];
    const std::vector<float>& center = what == SYL_KV_KEYS ? of.center_keys : of.center_values;
    for (size_t c = 0; c < x.size(); ++c) {
      if (!center.empty()) x[c] -= center[c];
      if (what == SYL_KV_KEYS && !of.gain_keys.empty()) x[c] *= of.gain_keys[c];
      x[c] = std::min(std::max(x[c], -0x1p100f), 0x1p100f);
    }
    if (rotation_[what] != nullptr) {
      const syl_hadamard* r = rotation_[what].get();
      std::vector<char> workspace(static_cast<size_t>(syl_hadamard_workspace(r, 1)));
      EXPECT_EQ(syl_hadamard_run(r, x.data(), x.data(), nullptr, nullptr, 0, plan_.Channels() / order_[what], nullptr,
                                 workspace.data(), static_cast<int64_t>(workspace.size())),
                SYL_OK)
          << syl_last_error();
    }
    RoundToHalves(&x);
    return x;
  }

  KvReferenceToken Quantized(int32_t layer, int32_t what, const std::vector<float>& x) const {
    const KvSide& side = Side(layer, what);
    const syl_kv_options& o = plan_.options;
    float clip = what == SYL_KV_KEYS ? o.clip_keys : o.clip_values;
    if (side.bits != (what == SYL_KV_KEYS ? o.bits_keys : o.bits_values)) clip = 1;
    const ReferenceQuantizer quantizer(o, plan_.Grid(side.bits), side.bits, clip);
    KvReferenceToken token;
    token.codes.resize(x.size());
    for (const float v : x) token.halves.push_back(sylvester::F16FromFloat(v));
    std::vector<std::vector<size_t>> channels(side.groups);
    for (size_t c = 0; c < x.size(); ++c) channels[GroupOf(layer, what, static_cast<int64_t>(c))].push_back(c);
    for (const std::vector<size_t>& of : channels) {
      std::vector<float> numbers;
      for (const size_t c : of) numbers.push_back(x[c]);
      const KvReferenceGroup group = quantizer.Quantize(numbers);
      for (size_t i = 0; i < of.size(); ++i) token.codes[of[i]] = group.codes[i];
      token.scales.push_back(group.scale);
      token.zeros.push_back(group.zero);
    }
    return token;
  }

  static void SetBit(uint8_t* words, int64_t word, int64_t bit, int value) {
    words[4 * word + bit / 8] = static_cast<uint8_t>(words[4 * word + bit / 8] | value << (bit % 8));
  }
  // `bits` bits of code i + 4 j of a word.
  static void SetCode(uint8_t* words, int64_t word, int bits, int64_t place, int code) {
    const int64_t i = place % 4, j = place / 4;
    for (int b = 0; b < bits; ++b) SetBit(words, word, 8 * i + bits * j + b, code >> b & 1);
  }

  static void SetKeyCode(uint8_t* words, int bits, int64_t d, int64_t c, int64_t t, int code) {
    const int plane = bits == 3 ? 2 : bits;
    SetCode(words, c / (32 / plane) * 16 + t, plane, c % (32 / plane), code);
    // Steps 0..3 of the first of two words, then those of the second.
    if (bits == 3) SetBit(words + d * 4, c / 32 * 16 + t, 8 * (c % 4) + c % 32 / 4, code >> 2);
  }

  static void SetValueCode(uint8_t* words, int bits, int64_t d, int64_t c, int64_t t, int code) {
    const int plane = bits == 3 ? 2 : bits;
    SetCode(words, t / (32 / plane) * d + c, plane, t % (32 / plane), code);
    if (bits != 3) return;
    const bool second = c % 32 >= 16;
    SetBit(words + d * 4, c / 32 * 16 + c % 16, 8 * (t % 4) + t / 4 + (second ? 4 : 0), code >> 2);
  }

  struct FreeRotation {
    void operator()(syl_hadamard* rotation) const { syl_hadamard_free(rotation); }
  };

  const KvPlan& plan_;
  std::unique_ptr<syl_hadamard, FreeRotation> rotation_[2];
  int64_t order_[2] = {};
};

}  // namespace sylvester_test

#endif
