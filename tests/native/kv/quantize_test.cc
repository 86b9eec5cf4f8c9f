// What the quantiser does to numbers: errors known from elsewhere, and laws that hold whatever they are.
#include <sylvester/sylvester.h>

#include <cctype>
#include <fstream>
#include <utility>

#include "tests/native/kv/reference.h"
#include "tests/native/kv/text.h"

namespace {

using namespace sylvester_test;

// Values of one head, quantised and read again, with what they were.
struct Quantized {
  Quantized(syl_kv_options o, int64_t head_dim, const Rows& v) : model(1, head_dim, 1), tokens(model.geometry, 1, 1) {
    plan = NewKvPlan(model.geometry, o);
    tokens.k = tokens.v = v;
    text = std::make_unique<KvText>(plan.get(), model.geometry, v.rows, v.rows);
    text->Append(tokens, 0, v.rows);
    y.resize(static_cast<size_t>(v.rows * v.cols));
    codes.resize(y.size());
    const auto groups = static_cast<size_t>(plan->plan->layers[0].values.groups);
    scales.resize(v.rows * groups);
    zeros.resize(v.rows * groups);
    EXPECT_EQ(syl_kv_dequantize_f32(text->sequence(), 0, SYL_KV_VALUES, 0, v.rows, y.data(), v.cols), SYL_OK);
    EXPECT_EQ(syl_kv_codes(text->sequence(), 0, SYL_KV_VALUES, 0, v.rows, codes.data(), scales.data(), zeros.data()),
              SYL_OK);
  }

  KvModel model;
  KvTokens tokens;
  KvPlanPtr plan{nullptr, &syl_kv_plan_free};
  std::unique_ptr<KvText> text;
  std::vector<float> y;
  std::vector<uint8_t> codes, scales;
  std::vector<int8_t> zeros;
};

syl_kv_options Options(int32_t bits, int32_t group) {
  syl_kv_options o = Preset("q4");
  o.bits_keys = o.bits_values = bits;
  o.group_keys = o.group_values = group;
  return o;
}

double RelativeError(const Quantized& q, const Rows& v) {
  double error = 0, square = 0;
  for (int64_t r = 0; r < v.rows; ++r) {
    for (int64_t c = 0; c < v.cols; ++c) {
      const double x = v.At(r)[c], d = q.y[r * v.cols + c] - x;
      error += d * d;
      square += x * x;
    }
  }
  return error / square;
}

// Mean squared errors of 2 bits in groups of 128 normal numbers, computed by others' code with exact scales. Four bits
// of scale add about 1/12 (1/16)^2 of it; samples of 2^19 numbers leave 1 %.
TEST(KvQuantize, ErrorsOfNormalNumbersAreTheKnownOnes) {
  const Rows v(4096, 128, 11);
  const std::pair<float, double> integer[] = {
      {1.0f, 0.254}, {0.9f, 0.209}, {0.8f, 0.173}, {0.7f, 0.149}, {0.6f, 0.140}};
  for (const auto& [clip, want] : integer) {
    syl_kv_options o = Options(2, 128);
    o.integer_zero = 1;
    o.clip_values = clip;
    EXPECT_NEAR(RelativeError({o, 128, v}, v), want, 0.03 * want) << "integer zero, clip " << clip;
  }
  const std::pair<float, double> real[] = {{1.0f, 0.2515}, {0.9f, 0.203}, {0.8f, 0.163}, {0.7f, 0.1335}, {0.6f, 0.119}};
  for (const auto& [clip, want] : real) {
    syl_kv_options o = Options(2, 128);
    o.clip_values = clip;
    EXPECT_NEAR(RelativeError({o, 128, v}, v), want, 0.03 * want) << "clip " << clip;
  }
  syl_kv_options lloyd_max = Options(2, 128);
  lloyd_max.grid = SYL_KV_LLOYD_MAX;
  EXPECT_NEAR(RelativeError({lloyd_max, 128, v}, v), 0.1175, 0.02 * 0.1175);
}

// Unless cut: half a step from rounding, half a zero's unit, and what rounding s takes from the ends of the range.
TEST(KvQuantize, ErrorsStayWithinTheStep) {
  for (const int32_t bits : {2, 3, 4, 8}) {
    for (const int32_t integer_zero : {0, 1}) {
      syl_kv_options o = Options(bits, 64);
      o.integer_zero = integer_zero;
      const Rows v(200, 64, static_cast<uint32_t>(bits));
      const Quantized q(o, 64, v);
      const double m = (1 << bits) - 1, unit = integer_zero ? 1 : std::ldexp(1, bits - 6);
      for (int64_t r = 0; r < v.rows; ++r) {
        const double s = ScaleValue(q.scales[r]);
        for (int64_t c = 0; c < 64; ++c) {
          const double x = sylvester::FloatFromF16(sylvester::F16FromFloat(v.At(r)[c]));
          ASSERT_LE(std::fabs(q.y[r * 64 + c] - x), s * (0.5 + unit / 2 + m / 15)) << bits << " row " << r;
        }
      }
    }
  }
}

TEST(KvQuantize, PowersOfTwoScaleAndNothingElse) {
  Rows v(64, 64, 3);
  for (int64_t r = 0; r < v.rows; ++r) {
    for (int64_t c = 0; c < 64; ++c) v.At(r)[c] = std::round(v.At(r)[c] * 64) / 64;  // exact as halves, times 8 too
  }
  for (const int32_t grid : {SYL_KV_UNIFORM, SYL_KV_LLOYD_MAX}) {
    syl_kv_options o = Options(3, 32);
    o.grid = grid;
    const Quantized q(o, 64, v);
    Rows larger = v;
    for (float& x : larger.data) x *= 8;
    const Quantized q8(o, 64, larger);
    EXPECT_EQ(q8.codes, q.codes);
    EXPECT_EQ(q8.zeros, q.zeros);
    for (size_t i = 0; i < q.scales.size(); ++i) ASSERT_EQ(q8.scales[i], q.scales[i] + 3 * 8);
  }
}

TEST(KvQuantize, ConstantGroupsStayConstant) {
  for (const float value : {0.0f, -0.0f, 1.0f, -3.25f, 1e-3f, 70000.0f, -65504.0f, 1e-7f}) {
    Rows v(3, 64, 1);
    std::fill(v.data.begin(), v.data.end(), value);
    for (const int32_t bits : {2, 3, 4, 8}) {
      const Quantized q(Options(bits, 32), 64, v);
      const double x = sylvester::FloatFromF16(sylvester::F16FromFloat(std::min(value, 65504.0f)));
      for (const float y : q.y) {
        ASSERT_EQ(y, q.y[0]);
        // It is s u z with z of 119 or so: s has 4 bits, subnormal ones are off by 2^-18.
        ASSERT_NEAR(y, x, std::fabs(x) * 0.07 + 119 * std::ldexp(1, bits - 6 - 18)) << value << " bits " << bits;
      }
    }
  }
}

// ---- Groups quantised by numpy: tests/golden/make_kv.py -------------------------------------------------------------

// The text of a member's value in an object of a file without nested objects of this name; empty without one.
std::string Member(const std::string& object, const std::string& name) {
  const std::string key = "\"" + name + "\": ";
  const size_t at = object.find(key);
  if (at == std::string::npos) return "";
  const size_t begin = at + key.size();
  const size_t end = object[begin] == '[' ? object.find(']', begin) : object.find_first_of(",}", begin);
  return object.substr(begin, end - begin);
}

// Elements of an array of strings or numbers.
std::vector<std::string> Elements(const std::string& array) {
  std::vector<std::string> elements;
  std::string text;
  for (const char c : array) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-') text += c;
    if (c == ',') elements.push_back(std::exchange(text, ""));
  }
  elements.push_back(text);
  return elements;
}

TEST(KvQuantize, GroupsAreThoseOfNumpy) {
  std::ifstream file(SYLVESTER_SOURCE_DIR "/tests/golden/kv.json");
  std::stringstream all;
  all << file.rdbuf();
  const std::string text = all.str();
  const size_t cases = text.find("\"cases\": [", text.find("\"quantiser\""));
  ASSERT_NE(cases, std::string::npos);
  int compared = 0;
  for (size_t begin = text.find('{', cases); begin != std::string::npos; begin = text.find('{', begin + 1)) {
    const std::string object = text.substr(begin, text.find('}', begin) + 1 - begin);
    const auto number = [&](const char* name) { return std::strtod(Member(object, name).c_str(), nullptr); };
    const auto bits = static_cast<int32_t>(number("bits")), n = static_cast<int32_t>(number("n"));
    if (bits == 0) break;  // behind the cases
    const std::vector<std::string> halves = Elements(Member(text.substr(text.find("\"halves\"")), std::to_string(n)));
    const std::vector<std::string> codes = Elements(Member(object, "codes"));
    const std::vector<std::string> scales = Elements(Member(object, "scales"));
    const std::vector<std::string> zeros = Elements(Member(object, "zeros"));
    Rows v(static_cast<int64_t>(codes.size()), n, 1);
    for (size_t r = 0; r < codes.size(); ++r) {
      ASSERT_EQ(halves[r].size(), static_cast<size_t>(4 * n));
      for (int32_t c = 0; c < n; ++c) {
        v.At(r)[c] = sylvester::FloatFromF16(
            static_cast<uint16_t>(std::strtoul(halves[r].substr(4 * c, 4).c_str(), nullptr, 16)));
      }
    }
    syl_kv_options o = Options(bits, n);
    o.grid = Member(object, "grid") == "\"lloyd\"" ? SYL_KV_LLOYD_MAX : SYL_KV_UNIFORM;
    o.clip_mode = Member(object, "clip_mode") == "\"midpoint\"" ? SYL_KV_CLIP_MIDPOINT : SYL_KV_CLIP_RANGE;
    if (o.grid == SYL_KV_UNIFORM) o.clip_values = static_cast<float>(number("clip"));
    o.integer_zero = Member(object, "integer_zero") == "true";
    const Quantized q(o, n, v);
    const size_t digits = bits == 8 ? 2 : 1;
    for (size_t r = 0; r < codes.size(); ++r, ++compared) {
      ASSERT_EQ(q.scales[r], std::stoi(scales[r])) << object << " group " << r;
      ASSERT_EQ(q.zeros[r], std::stoi(zeros[r])) << object << " group " << r;
      for (int32_t c = 0; c < n; ++c) {
        ASSERT_EQ(q.codes[r * n + c], std::stoi(codes[r].substr(digits * c, digits), nullptr, 16))
            << object << " group " << r << " element " << c;
      }
    }
  }
  EXPECT_GE(compared, 500);
}

}  // namespace
