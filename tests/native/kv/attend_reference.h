// Attention over a packed cache in plain loops in double over what the cache holds.
#ifndef SYLVESTER_TESTS_NATIVE_KV_ATTEND_REFERENCE_H_
#define SYLVESTER_TESTS_NATIVE_KV_ATTEND_REFERENCE_H_

#include "tests/native/kv/text.h"

namespace sylvester_test {

struct KvAttendCase {
  std::string preset;
  int32_t bits;
  int64_t kv_heads, head_dim, group;
  int32_t window = -1;  // -1: the preset's
};

inline std::string Describe(const KvAttendCase& c) {
  std::ostringstream text;
  text << c.preset << " " << c.bits << " bits, " << c.kv_heads << " heads x " << c.head_dim << ", " << c.group
       << " queries each, window " << c.window;
  return text.str();
}

// A plan with a calibration on other tokens, of one layer.
struct KvAttendFixture {
  explicit KvAttendFixture(const KvAttendCase& c, float soft_cap = 0, int64_t sliding = 0, int32_t interleaved = 0)
      : model(c.kv_heads, c.head_dim, 1, c.group) {
    model.geometry.soft_cap = soft_cap;
    model.geometry.interleaved = interleaved;
    model.windows[0] = sliding;
    calibration = NewKvCalibration(model.geometry);
    syl_kv_options options = Preset(c.preset, c.bits);
    if (c.window >= 0) options.window = c.window;
    const KvTokens other(model.geometry, 300, 900);
    EXPECT_EQ(syl_kv_calibration_add_f32(calibration.get(), 0, other.k.At(0), other.k.stride, other.v.At(0),
                                         other.v.stride, 300),
              SYL_OK)
        << syl_last_error();
    // Of other sizes than keys, channel by channel.
    Rows queries = other.q;
    for (int64_t r = 0; r < queries.rows; ++r) {
      for (int64_t c0 = 0; c0 < queries.cols; ++c0) queries.At(r)[c0] *= 0.25f + static_cast<float>(c0 % 7);
    }
    EXPECT_EQ(syl_kv_calibration_add_queries_f32(calibration.get(), 0, queries.At(0), queries.stride, 300), SYL_OK);
    plan = NewKvPlan(model.geometry, options, calibration.get());
  }
  const sylvester::KvPlan& Plan() const { return *plan->plan; }
  // The same plan with another window.
  KvPlanPtr WithWindow(int32_t window) const {
    syl_kv_options options = Plan().options;
    options.window = window;
    return NewKvPlan(model.geometry, options, calibration.get());
  }

  KvModel model;
  KvCalibrationPtr calibration{nullptr, &syl_kv_calibration_free};
  KvPlanPtr plan{nullptr, &syl_kv_plan_free};
};

using Doubles = std::vector<double>;

// R x of one head for POST_ROPE keys, from the matrix itself.
inline Doubles Rotate(const KvAttendFixture& f, const float* x) {
  const int64_t n = f.model.geometry.head_dim;
  Doubles y(x, x + n);
  if (f.Plan().options.rotate_keys == SYL_KV_ROTATE_NONE) return y;
  syl_hadamard_options options = {};
  EXPECT_EQ(sylvester::KvRotation("test", f.Plan(), SYL_KV_ROTATE_HEAD, &options), SYL_OK);
  std::vector<float> h(static_cast<size_t>(n * n));
  EXPECT_EQ(syl_hadamard_matrix(options.family, n, options.base, options.table, options.block, h.data()), SYL_OK);
  for (int64_t i = 0; i < n; ++i) {
    y[i] = 0;
    for (int64_t j = 0; j < n; ++j) y[i] += h[i * n + j] * x[j] / std::sqrt(static_cast<double>(n));
  }
  return y;
}

// What a query reads: all tokens, the first `packed` of them as codes unless they are sinks.
struct KvSeen {
  int64_t tokens, packed;
  std::vector<float> keys, values;  // [tokens][channels]
  std::vector<uint8_t> codes, scales;
  std::vector<int8_t> zeros;
  std::vector<int64_t> sinks;
};

// What the newest query does.
inline KvSeen SeenByNewest(const KvAttendFixture& f, const KvText& text) {
  const syl_kv_geometry& g = f.model.geometry;
  const sylvester::KvPlan& plan = f.Plan();
  const int64_t n = text.sequence()->lengths[0], channels = g.kv_heads * g.head_dim;
  const int64_t groups = plan.layers[0].values.groups;
  KvSeen seen{n, std::min(plan.PackedTiles(n) * 16, n), {}, {}, {}, {}, {}, text.sequence()->halves[0].sink_tokens};
  seen.keys.resize(static_cast<size_t>(n * channels));
  seen.values.resize(seen.keys.size());
  if (n > 0) {
    EXPECT_EQ(syl_kv_dequantize_f32(text.sequence(), 0, SYL_KV_KEYS, 0, n, seen.keys.data(), channels), SYL_OK)
        << syl_last_error();
    EXPECT_EQ(syl_kv_dequantize_f32(text.sequence(), 0, SYL_KV_VALUES, 0, n, seen.values.data(), channels), SYL_OK);
  }
  seen.codes.resize(static_cast<size_t>(seen.packed * channels));
  seen.scales.resize(static_cast<size_t>(seen.packed * groups));
  seen.zeros.resize(seen.scales.size());
  if (seen.packed > 0) {
    EXPECT_EQ(syl_kv_codes(text.sequence(), 0, SYL_KV_VALUES, 0, seen.packed, seen.codes.data(), seen.scales.data(),
                           seen.zeros.data()),
              SYL_OK)
        << syl_last_error();
  }
  return seen;
}

struct KvExpected {
  Doubles y;
  double tolerance;  // of the distance between y and the result
};

// Attention of a query that sees all of it in head `head`, but for what is before the layer's sliding window, and how
// far rounding may carry it. Weights are rounded by dither: each is off by less than a step, whose sign is as good as
// random; four standard deviations of a sum of coin flips.
inline KvExpected Reference(const KvAttendFixture& f, const KvSeen& seen, const float* q_row, int64_t head) {
  const syl_kv_geometry& g = f.model.geometry;
  const sylvester::KvPlan& plan = f.Plan();
  const sylvester::KvLayer& layer = plan.layers[0];
  const int64_t d = g.head_dim, n = seen.tokens, channels = g.kv_heads * d, packed = seen.packed;
  const int64_t kv_head = head / (g.q_heads / g.kv_heads), first = kv_head * d, groups = layer.values.groups;
  const float* q = q_row + head * d;
  const std::vector<float>&keys = seen.keys, &values = seen.values;
  const std::vector<uint8_t>&codes = seen.codes, &scales = seen.scales;
  const std::vector<int8_t>& zeros = seen.zeros;
  const auto is_packed = [&](int64_t t) {
    return t < packed && std::find(seen.sinks.begin(), seen.sinks.end(), t) == seen.sinks.end();
  };

  // The query as integers, which packed keys meet.
  const auto gain = [&](int64_t c) { return layer.gain_keys.empty() ? 1 : layer.gain_keys[first + c]; };
  std::vector<float> unbalanced(q, q + d);
  for (int64_t c = 0; c < d; ++c) unbalanced[c] /= gain(c);
  const Doubles exact = plan.PreRope() ? Doubles(q, q + d) : Rotate(f, unbalanced.data());
  Doubles rounded = exact;
  if (!plan.PreRope()) {
    double max = 0;
    for (const double x : exact) max = std::max(max, std::fabs(x));
    const double step = max / (layer.keys.bits <= 3 ? 127 : 8191);
    for (double& x : rounded) x = std::nearbyint(x / step) * step;
  }
  Doubles scores(static_cast<size_t>(n), -INFINITY);
  double largest = 0;
  for (int64_t t = layer.window > 0 ? std::max<int64_t>(0, n - layer.window) : 0; t < n; ++t) {
    std::vector<float> key(keys.begin() + t * channels + first, keys.begin() + t * channels + first + d);
    Doubles k(key.begin(), key.end());
    if (plan.PreRope()) {
      for (int64_t i = 0; i < g.rope_dims / 2; ++i) {
        const int64_t a = g.interleaved ? 2 * i : i, b = g.interleaved ? 2 * i + 1 : i + g.rope_dims / 2;
        const double angle = static_cast<double>(t) * f.model.inv_freq[i], x = k[a], y = k[b];
        k[a] = x * std::cos(angle) - y * std::sin(angle);
        k[b] = y * std::cos(angle) + x * std::sin(angle);
      }
    } else {
      if (!layer.center_keys.empty()) {
        for (int64_t i = 0; i < d; ++i) key[i] -= layer.center_keys[first + i];
      }
      for (int64_t i = 0; i < d; ++i) key[i] *= gain(i);
      k = Rotate(f, key.data());
    }
    double score = 0, size = 0;
    for (int64_t i = 0; i < d; ++i) {
      score += (is_packed(t) ? rounded : exact)[i] * k[i] * g.scale;
      size += std::fabs(exact[i] * k[i]) * g.scale;
    }
    // A cap sees the scores of the keys themselves.
    if (g.soft_cap > 0 && !plan.PreRope() && !layer.center_keys.empty()) {
      for (int64_t i = 0; i < d; ++i) score += double{q[i]} * layer.center_keys[first + i] * g.scale;
    }
    scores[t] = g.soft_cap > 0 ? g.soft_cap * std::tanh(score / g.soft_cap) : score;
    largest = std::max(largest, size);
  }
  const double top = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  KvExpected expected{Doubles(static_cast<size_t>(d), 0.0), 0};
  double sizes = 0;
  for (int64_t t = 0; t < n; ++t) {
    const double p = std::exp(scores[t] - top);
    total += p;
    double norm = 0;
    for (int64_t i = 0; i < d; ++i) {
      const double v = values[t * channels + first + i];
      expected.y[i] += p * v;
      norm += v * v;
    }
    sizes += p * std::sqrt(norm);
  }
  for (double& y : expected.y) y /= total;

  double variance = 0;
  const sylvester::KvGrid grid = plan.Grid(layer.values.bits);
  const int64_t per_head = groups / g.kv_heads, group = plan.options.group_values;
  for (int64_t block = 0; block < packed; block += 256) {
    for (int64_t i = 0; i < per_head; ++i) {
      double weight = 0, scale = 0, squares = 0;
      for (int64_t t = block; t < std::min(block + 256, packed); ++t) {
        if (!is_packed(t)) continue;
        const int64_t at = t * groups + kv_head * per_head + i;
        weight = std::max(weight, std::exp(scores[t] - top) / total);
        scale = std::max<double>(scale, sylvester::KvScaleToFloat(scales[at]));
        for (int64_t c = i * group; c < std::min((i + 1) * group, d); ++c) {
          const uint8_t code = codes[t * channels + first + c];
          const double level = plan.options.grid == SYL_KV_LLOYD_MAX ? grid.levels[code] : code;
          squares += std::pow(level - grid.zero_unit * zeros[at], 2);
        }
      }
      const double step = weight * scale / (layer.values.bits <= 3 ? 127 : 4095);
      variance += step * step * squares / 4;
    }
  }
  // Halves and floats: scores are off by roundings of their terms, and weights by as much relatively.
  expected.tolerance = 4 * std::sqrt(variance) + sizes / total * (largest * 20 + 60) * 0x1p-24;
  return expected;
}

// The distance of a result from it, relative to what is allowed.
inline double Distance(const KvAttendFixture& f, const KvExpected& want, const float* y_row, int64_t head) {
  const int64_t d = f.model.geometry.head_dim;
  double squares = 0;
  for (int64_t i = 0; i < d; ++i) squares += std::pow(y_row[head * d + i] - want.y[i], 2);
  return std::sqrt(squares) / want.tolerance;
}

}  // namespace sylvester_test

#endif
