// Attention over a packed cache against plain loops in double over what the cache holds, and the independence of its
// bits from how work is cut.
#include "tests/native/kv/text.h"

namespace {

using namespace sylvester_test;

struct Case {
  std::string preset;
  int32_t bits;
  int64_t kv_heads, head_dim, group;
  int32_t window = -1;  // -1: the preset's
};

std::string Describe(const Case& c) {
  std::ostringstream text;
  text << c.preset << " " << c.bits << " bits, " << c.kv_heads << " heads x " << c.head_dim << ", " << c.group
       << " queries each, window " << c.window;
  return text.str();
}

// A plan with a calibration on other tokens, of one layer.
struct Fixture {
  explicit Fixture(const Case& c, float soft_cap = 0, int64_t sliding = 0, int32_t interleaved = 0)
      : model(c.kv_heads, c.head_dim, 1, c.group) {
    model.geometry.soft_cap = soft_cap;
    model.geometry.interleaved = interleaved;
    model.windows[0] = sliding;
    syl_kv_options options = Preset(c.preset, c.bits);
    if (c.window >= 0) options.window = c.window;
    const KvTokens other(model.geometry, 300, 900);
    const KvCalibrationPtr calibration = NewKvCalibration(model.geometry);
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

  KvModel model;
  KvPlanPtr plan{nullptr, &syl_kv_plan_free};
};

using Doubles = std::vector<double>;

// R x of one head for POST_ROPE keys, from the matrix itself.
Doubles Rotate(const Fixture& f, const float* x) {
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

struct Expected {
  Doubles y;
  double tolerance;  // of the distance between y and the result
};

// The newest token's attention in head `head`, and how far rounding may carry it. Weights are rounded by dither: each
// is off by less than a step, whose sign is as good as random; four standard deviations of a sum of coin flips.
Expected Reference(const Fixture& f, const KvText& text, const float* q_row, int64_t head) {
  const syl_kv_geometry& g = f.model.geometry;
  const sylvester::KvPlan& plan = f.Plan();
  const sylvester::KvLayer& layer = plan.layers[0];
  const int64_t d = g.head_dim, n = text.sequence()->lengths[0], channels = g.kv_heads * d;
  const int64_t kv_head = head / (g.q_heads / g.kv_heads), first = kv_head * d;
  const float* q = q_row + head * d;
  std::vector<float> keys(static_cast<size_t>(n * channels)), values(keys.size());
  EXPECT_EQ(syl_kv_dequantize_f32(text.sequence(), 0, SYL_KV_KEYS, 0, n, keys.data(), channels), SYL_OK)
      << syl_last_error();
  EXPECT_EQ(syl_kv_dequantize_f32(text.sequence(), 0, SYL_KV_VALUES, 0, n, values.data(), channels), SYL_OK);

  const int64_t packed = std::min(plan.PackedTiles(n) * 16, n);
  const int64_t groups = layer.values.groups;
  std::vector<uint8_t> codes(static_cast<size_t>(packed * channels)), scales(static_cast<size_t>(packed * groups));
  std::vector<int8_t> zeros(scales.size());
  if (packed > 0) {
    EXPECT_EQ(syl_kv_codes(text.sequence(), 0, SYL_KV_VALUES, 0, packed, codes.data(), scales.data(), zeros.data()),
              SYL_OK)
        << syl_last_error();
  }
  const auto& sinks = text.sequence()->halves[0].sink_tokens;
  const auto is_packed = [&](int64_t t) {
    return t < packed && std::find(sinks.begin(), sinks.end(), t) == sinks.end();
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
  Expected expected{Doubles(static_cast<size_t>(d), 0.0), 0};
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

// Appends token by token and compares every `every`-th.
void ExpectNearReference(const Fixture& f, const std::string& what, int64_t tokens, int64_t every,
                         const uint8_t* sinks = nullptr) {
  SCOPED_TRACE(what);
  const syl_kv_geometry& g = f.model.geometry;
  const KvTokens in(g, tokens, 77);
  KvText text(f.plan.get(), g, tokens);
  double worst = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    text.Append(in, t, 1, sinks == nullptr ? nullptr : sinks + t);
    if (testing::Test::HasFatalFailure()) return;
    if (t % every != 0 && t + 1 != tokens && t > 2) continue;
    for (const std::string& tier : SupportedTiers()) {
      const TierGuard guard(tier);
      const std::vector<float> y = text.Attend(in, t, 1);
      for (int64_t head = 0; head < g.q_heads; ++head) {
        const Expected want = Reference(f, text, in.q.At(t), head);
        double distance = 0;
        for (int64_t i = 0; i < g.head_dim; ++i) distance += std::pow(y[head * g.head_dim + i] - want.y[i], 2);
        distance = std::sqrt(distance);
        worst = std::max(worst, distance / want.tolerance);
        ASSERT_LE(distance, want.tolerance) << tier << " token " << t << " head " << head;
      }
    }
  }
  EXPECT_GT(worst, 0.001) << "the tolerance is too wide to show anything";
}

TEST(KvAttend, PresetsMatchReference) {
  const Case cases[] = {
      {"best", 2, 2, 64, 3},     {"best", 3, 2, 64, 3},      {"best", 4, 1, 128, 4},   {"best", 8, 1, 64, 1},
      {"quarot", 2, 2, 64, 2},   {"quarot", 4, 1, 96, 7},    {"turbo", 2, 1, 128, 5},  {"turbo", 3, 2, 80, 2},
      {"turbo", 4, 1, 64, 6},    {"q8", 0, 2, 64, 2},        {"q4", 0, 1, 80, 3},      {"rotatekv", 2, 4, 64, 2},
      {"rotatekv", 3, 3, 64, 2}, {"rotatekv", 4, 2, 128, 1}, {"quarot", 3, 1, 192, 2}, {"best", 2, 1, 256, 2},
  };
  for (const Case& c : cases) {
    const Fixture f(c);
    ExpectNearReference(f, Describe(c), 75, 13);
    if (HasFatalFailure()) return;
  }
}

// Integer sums as large as they get: nearly every code, query and weight is the largest one.
TEST(KvAttend, TheLargestSumsFit) {
  for (const int32_t bits : {2, 3, 4, 8}) {
    for (const char* preset : {"q4", "turbo"}) {
      if (preset == std::string("turbo") && bits == 8) continue;
      const Case c{preset, bits, 1, 256, 3};
      SCOPED_TRACE(Describe(c));
      Fixture f(c);
      syl_kv_options options = Preset(preset, preset == std::string("q4") ? 0 : bits);
      options.bits_keys = options.bits_values = bits;
      options.group_keys = options.group_values = 256;
      options.rotate_keys = options.rotate_values = SYL_KV_ROTATE_NONE;
      f.plan = NewKvPlan(f.model.geometry, options);
      constexpr int64_t kTokens = 512;
      KvTokens in(f.model.geometry, kTokens, 3);
      std::fill(in.q.data.begin(), in.q.data.end(), 1.0f);
      for (int64_t t = 0; t < kTokens; ++t) {
        // Few tokens lose against the others, unless sums are wrong.
        for (int64_t channel = 0; channel < 256; ++channel) {
          in.k.At(t)[channel] = channel == 0 ? 0 : t % 16 == 5 ? 0.5f : 1;
          in.v.At(t)[channel] = channel == 0 ? 0 : t % 16 == 5 ? -1.0f : 1;
        }
      }
      KvText text(f.plan.get(), f.model.geometry, kTokens, kTokens);
      text.Append(in, 0, kTokens);
      for (const std::string& tier : SupportedTiers()) {
        const TierGuard guard(tier);
        const std::vector<float> y = text.Attend(in, kTokens - 1, 1);
        for (int64_t head = 0; head < 3; ++head) {
          const Expected want = Reference(f, text, in.q.At(kTokens - 1), head);
          double distance = 0;
          for (int64_t i = 0; i < 256; ++i) distance += std::pow(y[head * 256 + i] - want.y[i], 2);
          EXPECT_LE(std::sqrt(distance), want.tolerance) << tier << " head " << head;
        }
      }
    }
  }
}

// Several blocks, sliding windows, soft caps, both orders of rotary pairs.
TEST(KvAttend, LongTextsMatchReference) {
  for (const char* preset : {"best", "rotatekv"}) {
    for (const int32_t bits : {2, 4}) {
      const Case c{preset, bits, 2, 64, 2};
      ExpectNearReference(Fixture(c), Describe(c), 600, 197);
      ExpectNearReference(Fixture(c, 5.0f, 0, 1), Describe(c) + " soft cap, interleaved", 120, 60);
      ExpectNearReference(Fixture(c, 0, 100), Describe(c) + " sliding", 330, 110);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(KvAttend, SinksAreReadAsHalves) {
  for (const char* preset : {"rotatekv", "best"}) {
    Case c{preset, 2, 2, 64, 2};
    const KvModel model(2, 64, 1, 2);
    syl_kv_options options = Preset(preset, 2);
    std::vector<uint8_t> sinks(100, 0);
    if (options.max_sinks > 0) {
      for (const int64_t t : {0, 15, 16, 37, 90}) sinks[static_cast<size_t>(t)] = 1;
    }
    ExpectNearReference(Fixture(c), Describe(c), 100, 17, sinks.data());
  }
}

// Rows together, in threads and beside other sequences: the bits of a row alone.
TEST(KvAttend, ARowsBitsDoNotDependOnOthers) {
  const Case cases[] = {{"best", 2, 2, 64, 3},
                        {"best", 4, 3, 64, 3},
                        {"rotatekv", 2, 4, 64, 2},
                        {"q4", 0, 2, 80, 1},
                        {"best", 2, 1, 128, 8, 16}};
  const Pool two = NewPool(2), four = NewPool(4);
  for (const Case& c : cases) {
    SCOPED_TRACE(Describe(c));
    const Fixture f(c);
    const syl_kv_geometry& g = f.model.geometry;
    constexpr int64_t kTokens = 560;
    const KvTokens in(g, kTokens, 5);
    const auto cols = static_cast<size_t>(g.q_heads * g.head_dim);
    std::vector<float> alone;
    {
      KvText text(f.plan.get(), g, kTokens);
      for (int64_t t = 0; t < kTokens; ++t) {
        text.Append(in, t, 1);
        const std::vector<float> y = text.Attend(in, t, 1, 0, t % 3 == 0 ? two.get() : nullptr);
        alone.insert(alone.end(), y.begin(), y.end());
      }
    }
    std::mt19937 random(8);
    for (syl_pool* pool : {static_cast<syl_pool*>(nullptr), two.get(), four.get()}) {
      KvText text(f.plan.get(), g, kTokens);
      for (int64_t t = 0; t < kTokens;) {
        const int64_t rows = std::min<int64_t>(1 + random() % 64, kTokens - t);
        text.Append(in, t, rows, nullptr, pool);
        const std::vector<float> y = text.Attend(in, t, rows, 0, pool);
        const std::vector<float> want(alone.begin() + static_cast<int64_t>(cols) * t,
                                      alone.begin() + static_cast<int64_t>(cols) * (t + rows));
        ASSERT_TRUE(SameBits(y, want)) << "tokens " << t << " .. " << t + rows - 1;
        t += rows;
      }
    }
  }
}

TEST(KvAttend, TiersWithFusedMultiplyAddAgree) {
  for (const Case& c : {Case{"best", 2, 2, 64, 3}, Case{"rotatekv", 2, 2, 64, 2}, Case{"turbo", 3, 1, 96, 2},
                        Case{"q8", 0, 1, 64, 5}}) {
    const Fixture f(c);
    const KvTokens in(f.model.geometry, 300, 6);
    KvText text(f.plan.get(), f.model.geometry, 300, 300);
    text.Append(in, 0, 300);
    std::vector<float> first;
    for (const std::string& tier : SupportedTiers()) {
      if (!IsFused(tier)) continue;
      const TierGuard guard(tier);
      const std::vector<float> y = text.Attend(in, 260, 40);
      if (first.empty()) first = y;
      EXPECT_TRUE(SameBits(y, first)) << Describe(c) << " " << tier;
    }
  }
}

TEST(KvAttend, ABatchOfTextsIsEachAlone) {
  const Case c{"best", 2, 2, 64, 2};
  const Fixture f(c);
  const syl_kv_geometry& g = f.model.geometry;
  const KvTokens in(g, 400, 12);
  KvText text(f.plan.get(), g, 1200);
  const int64_t lengths[] = {1, 300, 17, 64}, rows[] = {1, 3, 0, 16};
  std::vector<KvSequencePtr> owned;
  std::vector<syl_kv_sequence*> sequences;
  for (int64_t length : lengths) {
    owned.push_back(text.NewSequence());
    sequences.push_back(owned.back().get());
    for (int64_t t = 0; t < length; t += 50) {
      const int64_t some = std::min<int64_t>(50, length - t);
      const syl_kv_batch batch = {sizeof(batch), 1, &sequences.back(), &some};
      std::vector<uint8_t> workspace(1 << 20);
      ASSERT_EQ(syl_kv_append_f32(&batch, 0, in.k.At(t), in.k.stride, in.v.At(t), in.v.stride, nullptr,
                                  workspace.data(), 1 << 20, nullptr),
                SYL_OK)
          << syl_last_error();
    }
  }
  const auto attend = [&](syl_kv_sequence* const* of, int32_t count, const int64_t* of_rows, int64_t first_query) {
    const syl_kv_batch batch = {sizeof(batch), count, of, of_rows};
    int64_t bytes = 0, all = 0;
    for (int32_t i = 0; i < count; ++i) all += of_rows[i];
    EXPECT_EQ(syl_kv_attend_workspace(&batch, 0, 1, &bytes), SYL_OK) << syl_last_error();
    std::vector<uint8_t> workspace(static_cast<size_t>(bytes + 1));
    std::vector<float> y(static_cast<size_t>(all * g.q_heads * g.head_dim));
    EXPECT_EQ(syl_kv_attend_f32(&batch, 0, in.q.At(first_query), in.q.stride, y.data(), g.q_heads * g.head_dim,
                                workspace.data(), bytes, nullptr),
              SYL_OK)
        << syl_last_error();
    return y;
  };
  std::vector<float> alone;
  int64_t query = 0;
  for (int32_t i = 0; i < 4; ++i) {
    if (rows[i] == 0) continue;
    const std::vector<float> y = attend(&sequences[static_cast<size_t>(i)], 1, rows + i, query);
    alone.insert(alone.end(), y.begin(), y.end());
    query += rows[i];
  }
  EXPECT_TRUE(SameBits(attend(sequences.data(), 4, rows, 0), alone));
}

}  // namespace
