// What a reader of tokens gets: halves as they are, codes as the formula says, rotated back by R^T in double.
#include <sylvester/sylvester.h>

#include "tests/native/kv/reference.h"
#include "tests/native/kv/text.h"

namespace {

using namespace sylvester_test;

syl_kv_options Options(int32_t rope, int32_t rotate_keys, int32_t window) {
  syl_kv_options o = Preset("q4");
  o.rope = rope;
  o.rotate_keys = rotate_keys;
  o.rotate_values = rotate_keys == SYL_KV_ROTATE_NONE ? SYL_KV_ROTATE_NONE : SYL_KV_ROTATE_HEAD;
  o.center = SYL_KV_CENTER_KEYS + SYL_KV_CENTER_VALUES;
  o.balance = rope == SYL_KV_POST_ROPE;
  o.bits_keys = 3;
  o.bits_values = 2;
  o.first_tokens = 2;
  o.max_sinks = 3;
  o.window = window;
  return o;
}

struct Setting {
  Setting(const syl_kv_options& options, int64_t kv_heads, int64_t head_dim, int64_t count)
      : model(kv_heads, head_dim, 1), tokens(model.geometry, count, 5), mask(static_cast<size_t>(count)) {
    const KvCalibrationPtr calibration = NewKvCalibration(model.geometry);
    const KvTokens seen(model.geometry, 256, 8);
    EXPECT_EQ(
        syl_kv_calibration_add_f32(calibration.get(), 0, seen.k.At(0), seen.k.stride, seen.v.At(0), seen.v.stride, 256),
        SYL_OK);
    EXPECT_EQ(syl_kv_calibration_add_queries_f32(calibration.get(), 0, seen.q.At(0), seen.q.stride, 256), SYL_OK);
    plan = NewKvPlan(model.geometry, options, calibration.get());
    for (const int64_t sink : {7, 20}) mask[sink] = 1;
    text = std::make_unique<KvText>(plan.get(), model.geometry, count, count);
    text->Append(tokens, 0, count, mask.data());
  }

  std::vector<float> Dequantized(int32_t what, int64_t first, int64_t count) const {
    std::vector<float> y(static_cast<size_t>(count * model.Channels()), kNaN);
    EXPECT_EQ(syl_kv_dequantize_f32(text->sequence(), 0, what, first, count, y.data(), model.Channels()), SYL_OK)
        << syl_last_error();
    return y;
  }
  const KvPlan& Plan() const { return *plan->plan; }

  KvModel model;
  KvTokens tokens;
  std::vector<uint8_t> mask;
  KvPlanPtr plan{nullptr, &syl_kv_plan_free};
  std::unique_ptr<KvText> text;
};

// R^T x / gain + center in double, and how far a float's rotation may be from it.
std::vector<double> Restored(const KvPlan& plan, int32_t what, const std::vector<double>& x, double* error) {
  const int32_t rotate = what == SYL_KV_KEYS ? plan.options.rotate_keys : plan.options.rotate_values;
  std::vector<double> y = x;
  *error = 0;
  if (rotate != SYL_KV_ROTATE_NONE) {
    syl_hadamard_options options;
    EXPECT_EQ(KvRotation("test", plan, rotate, &options), SYL_OK);
    const int64_t n = options.n;
    std::vector<float> h(static_cast<size_t>(n * n));
    EXPECT_EQ(syl_hadamard_matrix(SYL_HADAMARD_SYLVESTER, n, options.base, SYL_HADAMARD_TABLE_DEFAULT, 0, h.data()),
              SYL_OK);
    for (size_t first = 0; first < x.size(); first += n) {
      double magnitude = 0;
      for (int64_t i = 0; i < n; ++i) magnitude += std::fabs(x[first + i]);
      // 25 additions at most, as hadamard.h has it.
      *error = std::max(*error, 64 * 0x1p-24 * magnitude / std::sqrt(static_cast<double>(n)));
      for (int64_t i = 0; i < n; ++i) {
        double sum = 0;
        for (int64_t j = 0; j < n; ++j) sum += static_cast<double>(h[j * n + i]) * x[first + j];
        y[first + i] = sum / std::sqrt(static_cast<double>(n));
      }
    }
  }
  const std::vector<float>& gain = plan.layers[0].gain_keys;
  float least = 1;
  for (size_t c = 0; what == SYL_KV_KEYS && c < gain.size(); ++c) {
    y[c] /= gain[c];
    least = std::min(least, gain[c]);
  }
  *error /= least;
  const std::vector<float>& center = what == SYL_KV_KEYS ? plan.layers[0].center_keys : plan.layers[0].center_values;
  for (size_t c = 0; c < center.size(); ++c) {
    y[c] += center[c];
    *error = std::max(*error, 0x1p-22 * std::fabs(y[c]));
  }
  return y;
}

void ExpectTokens(const Setting& setting) {
  const KvPlan& plan = setting.Plan();
  const KvReference reference(plan);
  const int64_t tokens = setting.tokens.k.rows, packed = plan.PackedTiles(tokens) * 16;
  for (const int32_t what : {SYL_KV_KEYS, SYL_KV_VALUES}) {
    const std::vector<float> y = setting.Dequantized(what, 0, tokens);
    const bool raw = what == SYL_KV_KEYS && plan.PreRope();
    const KvGrid grid = plan.Grid(reference.Side(0, what).bits);
    for (int64_t t = 0; t < tokens; ++t) {
      const float* row = what == SYL_KV_KEYS ? setting.tokens.k.At(t) : setting.tokens.v.At(t);
      const KvReferenceToken token = reference.Token(0, what, row);
      const bool halves = t >= packed || setting.mask[t] != 0 || t < plan.options.first_tokens;
      std::vector<double> x(token.codes.size());
      for (size_t c = 0; c < x.size(); ++c) {
        const int64_t group = reference.GroupOf(0, what, static_cast<int64_t>(c));
        const double level = plan.options.grid == SYL_KV_LLOYD_MAX ? grid.levels[token.codes[c]] : token.codes[c];
        x[c] = halves ? sylvester::FloatFromF16(token.halves[c])
                      : ScaleValue(token.scales[group]) * (level - grid.zero_unit * token.zeros[group]);
      }
      double error = 0;
      const std::vector<double> want = halves && raw ? x : Restored(plan, what, x, &error);
      for (size_t c = 0; c < x.size(); ++c) {
        ASSERT_NEAR(y[t * x.size() + c], want[c], error) << "what " << what << " token " << t << " channel " << c;
      }
    }
  }
}

TEST(KvDequantize, EveryTokenIsWhatItWasPackedAs) {
  for (const int32_t window : {0, 32}) {
    for (const int32_t grid : {SYL_KV_UNIFORM, SYL_KV_LLOYD_MAX}) {
      for (const int32_t rotate : {SYL_KV_ROTATE_NONE, SYL_KV_ROTATE_HEAD}) {
        SCOPED_TRACE(window * 100 + grid * 10 + rotate);
        syl_kv_options o = Options(SYL_KV_POST_ROPE, rotate, window);
        o.grid = grid;
        ExpectTokens({o, 2, 64, 70});
      }
    }
    syl_kv_options o = Options(SYL_KV_PRE_ROPE, SYL_KV_ROTATE_GROUP, window);
    o.sort = 1;
    ExpectTokens({o, 3, 64, 70});
    ExpectTokens({o, 2, 80, 70});
    ExpectTokens({Options(SYL_KV_PRE_ROPE, SYL_KV_ROTATE_NONE, window), 1, 96, 70});
  }
}

// Without rotation and mean, halves come back as they are; eight bits come close.
TEST(KvDequantize, HalvesAreExactAndCodesWithinAStep) {
  syl_kv_options o = Options(SYL_KV_POST_ROPE, SYL_KV_ROTATE_NONE, 16);
  o.center = o.balance = 0;
  o.bits_keys = o.bits_values = 8;
  const Setting setting(o, 2, 64, 60);
  const std::vector<float> y = setting.Dequantized(SYL_KV_KEYS, 0, 60);
  for (int64_t t = 0; t < 60; ++t) {
    for (int64_t c = 0; c < 128; ++c) {
      const float x = setting.tokens.k.At(t)[c], got = y[t * 128 + c];
      if (t < 2 || t >= 48 || setting.mask[t] != 0) {
        ASSERT_EQ(got, sylvester::FloatFromF16(sylvester::F16FromFloat(x))) << "token " << t << " channel " << c;
      } else {
        float lo = x, hi = x;
        for (int64_t i = c / 32 * 32; i < c / 32 * 32 + 32; ++i) {
          lo = std::min(lo, setting.tokens.k.At(t)[i]);
          hi = std::max(hi, setting.tokens.k.At(t)[i]);
        }
        // Half a step, which is rounded to 4 bits and thereby up to 1/16 smaller than the range needs: then the ends,
        // 128 steps from the middle, are cut by 8 steps; zeros add 2 steps.
        const float step = std::max(hi - lo, std::max(std::fabs(lo), std::fabs(hi)) * 255 / 119 / 4) / 255;
        ASSERT_NEAR(got, x, 20 * step) << "token " << t << " channel " << c;
      }
    }
  }
}

TEST(KvDequantize, CodesAreThoseOfTheReference) {
  for (const int32_t window : {0, 16}) {
    syl_kv_options o = Options(SYL_KV_PRE_ROPE, SYL_KV_ROTATE_GROUP, window);
    o.sort = 1;
    const Setting setting(o, 2, 80, 70);
    const KvReference reference(setting.Plan());
    const int64_t packed = std::min<int64_t>(70, setting.Plan().PackedTiles(70) * 16), cols = setting.model.Channels();
    for (const int32_t what : {SYL_KV_KEYS, SYL_KV_VALUES}) {
      const int64_t groups = reference.Side(0, what).groups;
      const auto count = static_cast<size_t>(packed);
      std::vector<uint8_t> codes(count * cols), scales(count * groups);
      std::vector<int8_t> zeros(count * groups);
      ASSERT_EQ(syl_kv_codes(setting.text->sequence(), 0, what, 0, packed, codes.data(), scales.data(), zeros.data()),
                SYL_OK)
          << syl_last_error();
      for (int64_t t = 0; t < packed; ++t) {
        KvReferenceToken token =
            reference.Token(0, what, what == SYL_KV_KEYS ? setting.tokens.k.At(t) : setting.tokens.v.At(t));
        if (t < 2 || setting.mask[t] != 0)
          token = {{}, std::vector<uint8_t>(cols), std::vector<uint8_t>(groups), std::vector<int8_t>(groups)};
        ASSERT_EQ(std::vector<uint8_t>(&codes[t * cols], &codes[t * cols] + cols), token.codes) << t;
        ASSERT_EQ(std::vector<uint8_t>(&scales[t * groups], &scales[t * groups] + groups), token.scales) << t;
        ASSERT_EQ(std::vector<int8_t>(&zeros[t * groups], &zeros[t * groups] + groups), token.zeros) << t;
      }
      // Any part, any output alone.
      std::vector<int8_t> some(static_cast<size_t>(5 * groups));
      ASSERT_EQ(syl_kv_codes(setting.text->sequence(), 0, what, 30, 5, nullptr, nullptr, some.data()), SYL_OK);
      EXPECT_TRUE(std::equal(some.begin(), some.end(), zeros.begin() + 30 * groups));
      EXPECT_TRUE(SameBits(setting.Dequantized(what, 33, 4), [&] {
        const std::vector<float> all = setting.Dequantized(what, 0, 70);
        return std::vector<float>(all.begin() + 33 * cols, all.begin() + 37 * cols);
      }()));
    }
  }
}

TEST(KvDequantize, ErrorsNameTheArgument) {
  const Setting setting(Options(SYL_KV_POST_ROPE, SYL_KV_ROTATE_HEAD, 16), 2, 64, 40);
  const syl_kv_sequence* sequence = setting.text->sequence();
  const int64_t cols = setting.model.Channels();
  std::vector<float> y(static_cast<size_t>(40 * cols), 3);
  const auto read = [&](const syl_kv_sequence* s, int32_t layer, int32_t what, int64_t first, int64_t count, float* to,
                        int64_t stride) { return syl_kv_dequantize_f32(s, layer, what, first, count, to, stride); };
  EXPECT_REFUSED(read(nullptr, 0, 0, 0, 1, y.data(), cols), SYL_NULL_ARGUMENT, "sequence");
  EXPECT_REFUSED(read(sequence, -1, 0, 0, 1, y.data(), cols), SYL_BAD_VALUE, "layer");
  EXPECT_REFUSED(read(sequence, 1, 0, 0, 1, y.data(), cols), SYL_BAD_VALUE, "layer");
  EXPECT_REFUSED(read(sequence, 0, 2, 0, 1, y.data(), cols), SYL_BAD_VALUE, "what");
  EXPECT_REFUSED(read(sequence, 0, 0, -1, 1, y.data(), cols), SYL_BAD_VALUE, "first");
  EXPECT_REFUSED(read(sequence, 0, 0, 41, 0, y.data(), cols), SYL_BAD_VALUE, "first");
  EXPECT_REFUSED(read(sequence, 0, 0, 0, 41, y.data(), cols), SYL_BAD_VALUE, "count");
  EXPECT_REFUSED(read(sequence, 0, 0, 1, INT64_MAX, y.data(), cols), SYL_BAD_VALUE, "count");
  EXPECT_REFUSED(read(sequence, 0, 0, 0, 1, nullptr, cols), SYL_NULL_ARGUMENT, "y is NULL");
  EXPECT_REFUSED(read(sequence, 0, 0, 0, 1, y.data(), cols - 1), SYL_BAD_SHAPE, "y_stride");
  EXPECT_EQ(y, std::vector<float>(y.size(), 3));
  // 32 tokens are packed.
  std::vector<uint8_t> codes(static_cast<size_t>(40 * cols), 9);
  EXPECT_REFUSED(syl_kv_codes(sequence, 0, 0, 0, 33, codes.data(), nullptr, nullptr), SYL_BAD_VALUE, "count");
  EXPECT_REFUSED(syl_kv_codes(sequence, 0, 0, 33, 0, codes.data(), nullptr, nullptr), SYL_BAD_VALUE, "first");
  EXPECT_REFUSED(syl_kv_codes(nullptr, 0, 0, 0, 1, codes.data(), nullptr, nullptr), SYL_NULL_ARGUMENT, "sequence");
  EXPECT_EQ(codes, std::vector<uint8_t>(codes.size(), 9));
}

}  // namespace
