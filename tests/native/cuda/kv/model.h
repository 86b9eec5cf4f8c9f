// A plain model of the packed cache's bytes, from native/common/kv_plan.h: one token, one channel, one bit at a time.
// Only rotations are the CPU library's.
#ifndef SYLVESTER_TESTS_NATIVE_CUDA_KV_MODEL_H_
#define SYLVESTER_TESTS_NATIVE_CUDA_KV_MODEL_H_

#include <sylvester/sylvester.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "native/common/half.h"
#include "native/common/kv_plan.h"
#include "tests/native/testing.h"

namespace sylvester_test {

using sylvester::KvGrid;
using sylvester::KvLayer;
using sylvester::KvSide;

// A plan of POST_ROPE with everything that matters here, and the file of it.
struct KvCase {
  std::string name = "best";
  int64_t kv_heads = 2, q_heads = 4, head_dim = 64;
  int32_t bits_keys = 2, bits_values = 2, group_keys = 64, group_values = 64;
  int32_t rotate = SYL_KV_ROTATE_HEAD, center = 3, grid = SYL_KV_UNIFORM, clip_mode = SYL_KV_CLIP_MIDPOINT;
  int32_t integer_zero = 0, balance = 0;
  std::vector<uint8_t> layer_bits;  // empty: bits_keys and bits_values in both layers
  float clip = 0.8f;
  int32_t first_tokens = 2, max_sinks = 3, window = 32;
  float soft_cap = 0;
  int64_t attention_window = 0;
  int32_t rope = SYL_KV_POST_ROPE;
};

inline void PrintTo(const KvCase& c, std::ostream* os) { *os << c.name; }

struct KvModelPlan {
  explicit KvModelPlan(const KvCase& c) : windows{0, c.attention_window} {
    geometry.struct_size = sizeof(geometry);
    geometry.layers = 2;
    geometry.q_heads = c.q_heads;
    geometry.kv_heads = c.kv_heads;
    geometry.head_dim = c.head_dim;
    geometry.scale = 1 / std::sqrt(static_cast<float>(c.head_dim));
    geometry.soft_cap = c.soft_cap;
    geometry.windows = windows.data();
    geometry.rope_magnitude = 1;
    syl_kv_options o = {};
    o.struct_size = sizeof(o);
    o.rope = c.rope;
    o.rotate_keys = o.rotate_values = c.rotate;
    o.center = c.center;
    o.grid = c.grid;
    o.clip_mode = c.clip_mode;
    o.integer_zero = c.integer_zero;
    o.balance = c.balance;
    o.bits_keys = c.bits_keys;
    o.bits_values = c.bits_values;
    o.group_keys = c.group_keys;
    o.group_values = c.group_values;
    o.clip_keys = o.clip_values = c.clip;
    o.first_tokens = c.first_tokens;
    o.max_sinks = c.max_sinks;
    o.window = c.window;
    if (!c.layer_bits.empty()) o.layer_bits = c.layer_bits.data();
    syl_kv_calibration* calibration = nullptr;
    if (c.center != 0 || c.balance != 0) {
      EXPECT_EQ(syl_kv_calibration_new(&geometry, &calibration), SYL_OK) << syl_last_error();
      for (int32_t layer = 0; layer < geometry.layers; ++layer) {
        const Rows k(300, Channels(), 90 + layer, 1, 0), v(300, Channels(), 95 + layer, 1, 0);
        EXPECT_EQ(syl_kv_calibration_add_f32(calibration, layer, k.data.data(), k.stride, v.data.data(), v.stride, 300),
                  SYL_OK)
            << syl_last_error();
        const Rows q(300, c.q_heads * c.head_dim, 97 + layer, 3, 0);
        EXPECT_EQ(syl_kv_calibration_add_queries_f32(calibration, layer, q.data.data(), q.stride, 300), SYL_OK)
            << syl_last_error();
      }
    }
    syl_kv_plan* made = nullptr;
    EXPECT_EQ(syl_kv_plan_new(&geometry, &o, calibration, &made), SYL_OK) << syl_last_error();
    syl_kv_calibration_free(calibration);
    plan.reset(made);
    int64_t bytes = 0;
    EXPECT_EQ(syl_kv_plan_size(made, &bytes), SYL_OK);
    file.resize(static_cast<size_t>(bytes));
    EXPECT_EQ(syl_kv_plan_save(made, file.data(), bytes), SYL_OK);
  }

  int64_t Channels() const { return geometry.kv_heads * geometry.head_dim; }
  const sylvester::KvPlan& operator*() const { return *plan->plan; }

  std::vector<int64_t> windows;
  syl_kv_geometry geometry = {};
  std::unique_ptr<syl_kv_plan, decltype(&syl_kv_plan_free)> plan{nullptr, &syl_kv_plan_free};
  std::vector<uint8_t> file;
};

// What a group of a token becomes.
struct ModelGroup {
  uint8_t scale = 0;
  int8_t zero = 0;
  std::vector<uint8_t> codes;
};

class KvModel {
 public:
  explicit KvModel(const KvModelPlan& plan)
      : plan_(*plan), heads_(plan_.geometry.kv_heads), d_(plan_.geometry.head_dim) {
    for (const int side : {SYL_KV_KEYS, SYL_KV_VALUES}) {
      syl_hadamard_options options;
      const int32_t rotate = side == SYL_KV_KEYS ? plan_.options.rotate_keys : plan_.options.rotate_values;
      if (rotate == SYL_KV_ROTATE_NONE) continue;
      EXPECT_EQ(KvRotation("test", plan_, rotate, &options), SYL_OK);
      syl_hadamard* made = nullptr;
      EXPECT_EQ(syl_hadamard_new(&options, &made), SYL_OK) << syl_last_error();
      rotation_[side].reset(made);
    }
  }

  const sylvester::KvPlan& plan() const { return plan_; }
  int64_t heads() const { return heads_; }
  int64_t d() const { return d_; }
  const KvSide& Side(int32_t layer, int side) const {
    return side == SYL_KV_KEYS ? plan_.layers[layer].keys : plan_.layers[layer].values;
  }
  int64_t Group(int side) const { return side == SYL_KV_KEYS ? plan_.options.group_keys : plan_.options.group_values; }
  const std::vector<float>& Center(int32_t layer, int side) const {
    return side == SYL_KV_KEYS ? plan_.layers[layer].center_keys : plan_.layers[layer].center_values;
  }

  float Gain(int32_t layer, int side, int64_t channel) const {
    const std::vector<float>& gain = plan_.layers[layer].gain_keys;
    return side == SYL_KV_VALUES || gain.empty() ? 1 : gain[channel];
  }

  void Rotate(int side, bool transposed, float* head) const {
    if (rotation_[side] == nullptr) return;
    const syl_hadamard* r = rotation_[side].get();
    std::vector<char> workspace(static_cast<size_t>(syl_hadamard_workspace(r, 1)));
    const auto bytes = static_cast<int64_t>(workspace.size());
    const syl_status status =
        transposed ? syl_hadamard_run_transposed(r, head, head, 0, 1, nullptr, workspace.data(), bytes)
                   : syl_hadamard_run(r, head, head, nullptr, nullptr, 0, 1, nullptr, workspace.data(), bytes);
    EXPECT_EQ(status, SYL_OK) << syl_last_error();
  }

  // A row of keys or values, [kv_heads * head_dim], as halves in the space where they are quantised.
  std::vector<uint16_t> Halves(int32_t layer, int side, const float* row) const {
    std::vector<float> x(row, row + heads_ * d_);
    const std::vector<float>& center = Center(layer, side);
    for (size_t c = 0; c < center.size(); ++c) x[c] -= center[c];
    for (int64_t c = 0; c < heads_ * d_; ++c) x[c] *= Gain(layer, side, c);
    for (int64_t h = 0; h < heads_; ++h) Rotate(side, false, x.data() + h * d_);
    std::vector<uint16_t> halves(x.size());
    for (size_t c = 0; c < x.size(); ++c) {
      halves[c] = sylvester::F16FromFloat(std::min(std::max(x[c], -65504.0f), 65504.0f));
    }
    return halves;
  }

  ModelGroup Quantize(int side, int32_t bits, const float* x, int64_t n) const {
    const syl_kv_options& o = plan_.options;
    const KvGrid grid = plan_.Grid(bits);
    ModelGroup group;
    group.codes.assign(static_cast<size_t>(n), 0);
    if (o.grid == SYL_KV_LLOYD_MAX) {
      const float sum = Sum(n, [&](int64_t i) { return x[i] * x[i]; });
      group.scale = sylvester::KvScaleNearest(std::sqrt(sum / static_cast<float>(n)) * grid.rms_factor);
      if (group.scale == 0) return group;
      group.zero = 32;
      const float inverse = 1 / sylvester::KvScaleToFloat(group.scale);
      for (int64_t i = 0; i < n; ++i) {
        for (int t = 0; t < (1 << bits) - 1; ++t) group.codes[i] += grid.thresholds[t] < x[i] * inverse + 32;
      }
      return group;
    }
    const bool keys = side == SYL_KV_KEYS;
    float cut = 1 - (keys ? o.clip_keys : o.clip_values);
    for (int32_t b = keys ? o.bits_keys : o.bits_values; b < bits; ++b) cut /= 2;
    const float clip = 1 - cut;
    const float m = static_cast<float>((1 << bits) - 1), u = grid.zero_unit;
    float lo = *std::min_element(x, x + n), hi = *std::max_element(x, x + n);
    if (o.clip_mode == SYL_KV_CLIP_RANGE) {
      lo = clip * lo;
      hi = clip * hi;
    } else {
      const float mid = (lo + hi) * 0.5f, half = (hi - lo) * 0.5f * clip;
      lo = mid - half;
      hi = mid + half;
    }
    Code(x, n, std::max((hi - lo) / m, std::max(std::fabs(lo), std::fabs(hi)) / (119 * u)), lo, u, m, &group);
    return group;
  }

  // Puts a token into its tile. quantized: false for a sink.
  void Pack(int32_t layer, const uint16_t* halves, int side, bool quantized, int64_t i, uint8_t* tile) const {
    const KvSide& s = Side(layer, side);
    const int64_t group = Group(side), groups = plan_.GroupsPerHead(static_cast<int32_t>(group));
    for (int64_t h = 0; h < heads_; ++h) {
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t n = std::min(group, d_ - g * group);
        std::vector<float> x(static_cast<size_t>(n));
        for (int64_t c = 0; c < n; ++c) x[c] = sylvester::FloatFromF16(halves[h * d_ + g * group + c]);
        ModelGroup made;
        if (quantized) made = Quantize(side, s.bits, x.data(), n);
        tile[s.scales + (h * groups + g) * 16 + i] = made.scale;
        tile[s.zeros + (h * groups + g) * 16 + i] = static_cast<uint8_t>(made.zero);
        for (int64_t c = 0; c < n; ++c) {
          SetCode(s, side, h, i, g * group + c, quantized ? made.codes[c] : 0, tile);
        }
      }
    }
  }

  // Bits of the code of a channel of a token.
  uint8_t Codes(const KvSide& s, int side, int64_t head, int64_t i, int64_t c, const uint8_t* tile) const {
    uint8_t code = 0;
    for (int b = 0; b < s.bits; ++b) {
      const int64_t bit = BitOf(s, side, i, c, b);
      code |= static_cast<uint8_t>((tile[s.codes + head * s.head_bytes + bit / 8] >> (bit % 8) & 1) << b);
    }
    return code;
  }

  // x^ of a packed token's channel.
  float Decode(int32_t layer, int side, int64_t head, int64_t i, int64_t c, const uint8_t* tile) const {
    const KvSide& s = Side(layer, side);
    const KvGrid grid = plan_.Grid(s.bits);
    const int64_t group = Group(side),
                  at = (head * plan_.GroupsPerHead(static_cast<int32_t>(group)) + c / group) * 16 + i;
    const uint8_t code = Codes(s, side, head, i, c, tile);
    const float level = plan_.options.grid == SYL_KV_LLOYD_MAX ? grid.levels[code] : code;
    return sylvester::KvScaleToFloat(tile[s.scales + at]) *
           (level - grid.zero_unit * static_cast<float>(static_cast<int8_t>(tile[s.zeros + at])));
  }

 private:
  struct FreeRotation {
    void operator()(syl_hadamard* plan) const { syl_hadamard_free(plan); }
  };

  template <typename X>
  static float Sum(int64_t n, const X& x) {
    float lanes[16] = {};
    for (int64_t i = 0; i < n; ++i) lanes[i % 16] += x(i);
    for (int width = 8; width > 0; width /= 2) {
      for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
    }
    return lanes[0];
  }

  static void Code(const float* x, int64_t n, float scale, float lo, float u, float m, ModelGroup* group) {
    group->scale = m == 255 ? sylvester::KvScaleUp(scale) : sylvester::KvScaleNearest(scale);
    group->zero = 0;
    group->codes.assign(static_cast<size_t>(n), 0);
    if (group->scale == 0) return;
    const float inverse = 1 / sylvester::KvScaleToFloat(group->scale);
    const float z = std::min(std::max(std::nearbyint((-lo * inverse) / u), -128.0f), 127.0f);
    group->zero = static_cast<int8_t>(z);
    for (int64_t i = 0; i < n; ++i) {
      group->codes[i] = static_cast<uint8_t>(std::min(std::max(std::nearbyint(x[i] * inverse + u * z), 0.0f), m));
    }
  }

  // Place of bit b of a code among the bits of a head's codes.
  int64_t BitOf(const KvSide& s, int side, int64_t i, int64_t c, int b) const {
    const bool keys = side == SYL_KV_KEYS, three = s.bits == 3;
    const int64_t plane = three ? 2 : s.bits, per_word = 32 / plane;
    const int64_t along = keys ? c : i;  // codes of a word follow each other along this
    const int64_t w = along / per_word, j = along % per_word / 4, byte = along % 4;
    if (b < plane) return 32 * (keys ? w * 16 + i : w * d_ + c) + 8 * byte + plane * j + b;
    const int64_t words = keys ? d_ / per_word * 16 : 16 / per_word * d_;
    if (keys) return 32 * (words + w / 2 * 16 + i) + 8 * byte + j + 4 * (w % 2);
    return 32 * (words + c / 32 * 16 + c % 16) + 8 * byte + j + 4 * (c % 32 / 16);
  }

  void SetCode(const KvSide& s, int side, int64_t head, int64_t i, int64_t c, uint8_t code, uint8_t* tile) const {
    for (int b = 0; b < s.bits; ++b) {
      const int64_t bit = BitOf(s, side, i, c, b);
      uint8_t& byte = tile[s.codes + head * s.head_bytes + bit / 8];
      byte = static_cast<uint8_t>((byte & ~(1 << bit % 8)) | (code >> b & 1) << bit % 8);
    }
  }

  const sylvester::KvPlan& plan_;
  int64_t heads_, d_;
  std::unique_ptr<syl_hadamard, FreeRotation> rotation_[2];
};

}  // namespace sylvester_test

#endif
