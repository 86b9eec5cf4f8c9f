// Attention over packed tokens, within the bound that its rounding has, against plain attention in double.
#include <gtest/gtest.h>

#include "tests/native/cuda/kv/device.h"

namespace {

using namespace sylvester_test;

class CudaKvAttend : public CudaKv {};

INSTANTIATE_TEST_SUITE_P(Runs, CudaKvAttend, testing::ValuesIn(CudaRuns()), CudaRunName);

constexpr double kUnit = 0x1p-24;          // of float arithmetic
constexpr double kHalfStep = 0.5 / 16256;  // of integers, in terms of the largest number

// A token as a query sees it: keys and values in the space of codes, and what the integers of its codes come from.
struct Seen {
  std::vector<double> key, value;
  // s |level| + s |zero|: what is multiplied and added on the way to a number.
  std::vector<double> key_parts, value_parts;
  std::vector<double> value_scale;  // of each channel; 0 for halves
};

Seen SeenToken(const KvDevice& device, int64_t text, int32_t layer, int64_t head, int64_t t, bool halves) {
  const KvModel& model = device.model();
  const int64_t d = model.d();
  Seen seen;
  std::vector<uint8_t> tile;
  if (!halves) tile = device.ExpectedTile(text, layer, t / 16, t + 1);
  for (const int side : {SYL_KV_KEYS, SYL_KV_VALUES}) {
    std::vector<double>& number = side == SYL_KV_KEYS ? seen.key : seen.value;
    std::vector<double>& parts = side == SYL_KV_KEYS ? seen.key_parts : seen.value_parts;
    const sylvester::KvSide& s = model.Side(layer, side);
    const int64_t group = model.Group(side), groups = model.plan().GroupsPerHead(static_cast<int32_t>(group));
    const float unit = model.plan().Grid(s.bits).zero_unit;
    for (int64_t c = 0; c < d; ++c) {
      if (halves) {
        number.push_back(sylvester::FloatFromF16(device.text(text).halves[layer][side][t][head * d + c]));
        parts.push_back(std::fabs(number.back()));
        if (side == SYL_KV_VALUES) seen.value_scale.push_back(0);
        continue;
      }
      const int64_t at = (head * groups + c / group) * 16 + t % 16;
      const double scale = sylvester::KvScaleToFloat(tile[s.scales + at]);
      number.push_back(model.Decode(layer, side, head, t % 16, c, tile.data()));
      // 8 bits: codes and zeros are less by 128.
      const double zero =
          std::fabs(unit * static_cast<double>(static_cast<int8_t>(tile[s.zeros + at]))) + (s.bits == 8 ? 128 : 0);
      parts.push_back(std::fabs(number.back()) + 2 * scale * zero);
      if (side == SYL_KV_VALUES) seen.value_scale.push_back(scale);
    }
  }
  return seen;
}

// One head of one row: how far y is from attention in double, and how far it may be.
struct Comparison {
  double error, bound, size;
};

// position: the last token that is seen; packed: tiles that are.
Comparison Compare(const KvDevice& device, int64_t text, int32_t layer, int64_t position, int64_t packed,
                   int64_t q_head, const float* q, const float* y) {
  const KvModel& model = device.model();
  const sylvester::KvPlan& plan = model.plan();
  const int64_t d = model.d(), head = q_head / (plan.geometry.q_heads / plan.geometry.kv_heads);
  const double scale = plan.geometry.scale, cap = plan.geometry.soft_cap;
  std::vector<float> rotated(q, q + d);
  for (int64_t c = 0; c < d; ++c) rotated[c] /= model.Gain(layer, 0, head * d + c);
  model.Rotate(SYL_KV_KEYS, false, rotated.data());
  double most = 0, offset = 0;
  for (int64_t c = 0; c < d; ++c) {
    most = std::max(most, std::fabs(static_cast<double>(rotated[c])));
    if (!model.Center(layer, 0).empty()) offset += static_cast<double>(q[c]) * model.Center(layer, 0)[head * d + c];
  }

  const int64_t window = plan.layers[layer].window;
  const int64_t first = window == 0 ? 0 : std::max(position - window + 1, int64_t{0});
  std::vector<Seen> tokens;
  std::vector<double> scores;
  double score_error = 0;
  for (int64_t t = first; t <= position; ++t) {
    const bool halves = t / 16 >= packed || device.text(text).sinks[layer].count(static_cast<int32_t>(t)) != 0;
    tokens.push_back(SeenToken(device, text, layer, head, t, halves));
    double score = offset, magnitude = 0, parts = std::fabs(offset);
    for (int64_t c = 0; c < d; ++c) {
      score += rotated[c] * tokens.back().key[c];
      magnitude += std::fabs(tokens.back().key[c]);
      parts += std::fabs(rotated[c]) * tokens.back().key_parts[c];
    }
    score *= scale;
    score_error = std::max(score_error, scale * ((halves ? 0 : most * kHalfStep * magnitude) +
                                                 (static_cast<double>(d) + 32) * kUnit * parts));
    scores.push_back(cap == 0 ? score : cap * std::tanh(score / cap));
  }
  const double top = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& s : scores) sum += s = std::exp(s - top);

  Comparison result = {};
  const double relative = std::expm1(2 * score_error) + 32 * kUnit;
  std::vector<float> wanted(static_cast<size_t>(d));
  for (int64_t c = 0; c < d; ++c) {
    double value = 0, weighted = 0, parts = 0, rounding = 0;
    // Blocks of 256 tokens have one step; the weights of a block are relative to its own maximum.
    for (int64_t block = first / 256; block <= position / 256; ++block) {
      double largest = 0, units = 0;
      for (int64_t t = std::max(first, block * 256); t <= position && t < (block + 1) * 256; ++t) {
        const Seen& seen = tokens[t - first];
        const double weight = scores[t - first] / sum;
        value += weight * seen.value[c];
        weighted += weight * std::fabs(seen.value[c]);
        parts += weight * seen.value_parts[c];
        if (seen.value_scale[c] == 0) continue;
        largest = std::max(largest, weight * seen.value_scale[c]);
        units += std::fabs(seen.value[c]) / seen.value_scale[c];
      }
      rounding += largest * (1 + relative) * kHalfStep * units;
    }
    const double bound = relative * weighted + rounding + 512 * kUnit * parts;
    result.bound += bound * bound;
    wanted[c] = static_cast<float>(value);
  }
  model.Rotate(SYL_KV_VALUES, true, wanted.data());
  for (int64_t c = 0; c < d; ++c) {
    const double center = model.Center(layer, 1).empty() ? 0 : model.Center(layer, 1)[head * d + c];
    result.error += std::pow(y[c] - (wanted[c] + center), 2);
    result.size += std::pow(wanted[c] + center, 2);
  }
  return {std::sqrt(result.error), std::sqrt(result.bound), std::sqrt(result.size)};
}

// unpacked: of bidirectional attention, or empty.
void ExpectClose(const KvDevice& device, const std::vector<int64_t>& texts, const std::vector<int64_t>& rows,
                 int32_t layer, const Rows& q, const Rows& y, const std::vector<int32_t>& unpacked = {}) {
  const sylvester::KvPlan& plan = device.model().plan();
  const int64_t d = device.model().d();
  double worst = 0;
  int64_t row = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    for (int64_t r = 0; r < rows[i]; ++r, ++row) {
      const int64_t length = device.length(texts[i]);
      const int64_t last = unpacked.empty() ? length - rows[i] + r : length - 1;
      const int64_t packed = plan.PackedTiles(unpacked.empty() ? last + 1 : length - unpacked[i]);
      for (int64_t h = 0; h < q.cols / d; ++h) {
        const Comparison c = Compare(device, texts[i], layer, last, packed, h, q.At(row) + h * d, y.At(row) + h * d);
        ASSERT_LE(c.error, c.bound) << "text " << texts[i] << ", row " << r << ", head " << h << ", of " << c.size;
        ASSERT_LT(c.bound, 0.05 * c.size + 0.01) << "the bound says nothing";
        worst = std::max(worst, c.error / c.bound);
      }
    }
  }
  EXPECT_GT(worst, 0);
}

TEST_P(CudaKvAttend, IsWithinItsBound) {
  for (const KvCase& c : KvCases()) {
    SCOPED_TRACE(c.name);
    const KvModelPlan plan(c);
    KvDevice device(library(), plan, 2, 120, 90);
    device.Append({0, 1}, {90, 70});
    device.Append({1}, {3});
    for (int32_t layer = 0; layer < 2; ++layer) {
      const Rows q(4, c.q_heads * c.head_dim, 5);
      const Rows y = device.Attend({1, 0}, {3, 1}, layer, q, SYL_CUDA_KV_MMA);
      ExpectClose(device, {1, 0}, {3, 1}, layer, q, y);
      EXPECT_TRUE(SameBits(y.data, device.Attend({1, 0}, {3, 1}, layer, q, SYL_CUDA_KV_DP4A).data));
    }
  }
}

// Several splits, with blocks that a sliding window leaves out; scores capped.
TEST_P(CudaKvAttend, OverLongTexts) {
  for (const int64_t attention_window : {0, 300}) {
    KvCase c;
    c.kv_heads = 1;
    c.q_heads = 3;
    c.head_dim = c.group_keys = c.group_values = 32;
    c.attention_window = attention_window;
    c.soft_cap = attention_window == 0 ? 0 : 3;
    const KvModelPlan plan(c);
    KvDevice device(library(), plan, 1, 1400, 500);
    for (const int64_t rows : {500, 500, 397}) device.Append({0}, {rows});
    const Rows q(3, c.q_heads * c.head_dim, 6, 2);
    for (int32_t layer = 0; layer < 2; ++layer) {
      const Rows y = device.Attend({0}, {3}, layer, q, SYL_CUDA_KV_MMA);
      ExpectClose(device, {0}, {3}, layer, q, y);
      EXPECT_TRUE(SameBits(y.data, device.Attend({0}, {3}, layer, q, SYL_CUDA_KV_DP4A).data));
      if (plan.windows[layer] == 0) continue;
      // Tiles that no window reaches are not read.
      device.Forget(0, (device.length(0) - 3 - attention_window + 1) / 16);
      EXPECT_TRUE(SameBits(y.data, device.Attend({0}, {3}, layer, q, SYL_CUDA_KV_MMA).data));
    }
  }
}

// Each row sees the cache as it was when its token was the newest: rows of one call and of calls of their own, whole
// prompts and single tokens have the same results. Query heads of a kv head fill quads.
TEST_P(CudaKvAttend, RowsDoNotSeeEachOther) {
  for (const int32_t window : {0, 16}) {
    KvCase c;
    c.kv_heads = 2;
    c.q_heads = 8;
    c.head_dim = c.group_keys = c.group_values = 32;
    c.window = window;
    const KvModelPlan plan(c);
    KvDevice whole(library(), plan, 2, 60, 60), single(library(), plan, 2, 60, 1);
    whole.Append({0, 1}, {40, 53});
    const Rows q(40, c.q_heads * c.head_dim, 8);
    const Rows y = whole.Attend({0}, {40}, 1, q, SYL_CUDA_KV_MMA);
    for (int64_t t = 0; t < 40; ++t) {
      single.Append({0}, {1});
      if (t % 13 != 2 && t < 37) continue;
      Rows one(1, q.cols, 0, 1, 0);
      std::copy(q.At(t), q.At(t) + q.cols, one.At(0));
      const Rows expected = single.Attend({0}, {1}, 1, one, SYL_CUDA_KV_MMA);
      EXPECT_EQ(std::memcmp(y.At(t), expected.At(0), static_cast<size_t>(q.cols) * sizeof(float)), 0) << "row " << t;
    }
    ExpectClose(whole, {0}, {40}, 1, q, y);
    // In a batch of two, in the other order.
    Rows both(43, q.cols, 9);
    std::copy(q.data.begin(), q.data.end(), both.At(3));
    const Rows together = whole.Attend({1, 0}, {3, 40}, 1, both, SYL_CUDA_KV_MMA);
    for (int64_t t = 0; t < 40; ++t) {
      ASSERT_EQ(std::memcmp(y.At(t), together.At(t + 3), static_cast<size_t>(q.cols) * sizeof(float)), 0)
          << "row " << t;
    }
  }
}

// Every row sees all tokens, the newest of them as halves.
TEST_P(CudaKvAttend, Bidirectional) {
  for (const KvCase& c : KvCases()) {
    SCOPED_TRACE(c.name);
    const KvModelPlan plan(c);
    KvDevice device(library(), plan, 2, 120, 90);
    device.Append({0, 1}, {60, 70});
    device.Append({0, 1}, {18, 3});
    const bool window = device.model().plan().options.window > 0;
    const std::vector<int32_t> unpacked = {window ? 3 : 0, window ? 18 : 0};
    const Rows q(23, c.q_heads * c.head_dim, 5);
    const auto attend = [&](int32_t products) {
      return device.AttendBidirectional({1, 0}, {5, 18}, unpacked, 0, q, products);
    };
    const Rows y = attend(SYL_CUDA_KV_MMA);
    ExpectClose(device, {1, 0}, {5, 18}, 0, q, y, unpacked);
    EXPECT_TRUE(SameBits(y.data, attend(SYL_CUDA_KV_DP4A).data));
    // The newest query sees all tokens either way.
    Rows newest(1, q.cols, 0, 1, 0);
    std::copy(q.At(0), q.At(0) + q.cols, newest.At(0));
    EXPECT_TRUE(SameBits(device.AttendBidirectional({0}, {1}, {0}, 0, newest, SYL_CUDA_KV_MMA).data,
                         device.Attend({0}, {1}, 0, newest, SYL_CUDA_KV_MMA).data));
  }
}

TEST_P(CudaKvAttend, BidirectionalOverLongTexts) {
  KvCase c;
  c.kv_heads = 1;
  c.q_heads = 3;
  c.head_dim = c.group_keys = c.group_values = 32;
  c.soft_cap = 3;
  const KvModelPlan plan(c);
  KvDevice device(library(), plan, 1, 1200, 500);
  for (const int64_t rows : {500, 500, 97, 3}) device.Append({0}, {rows});
  const Rows q(3, c.q_heads * c.head_dim, 6, 2);
  const Rows y = device.AttendBidirectional({0}, {3}, {3}, 0, q, SYL_CUDA_KV_MMA);
  ExpectClose(device, {0}, {3}, 0, q, y, {3});
  EXPECT_TRUE(SameBits(y.data, device.AttendBidirectional({0}, {3}, {3}, 0, q, SYL_CUDA_KV_DP4A).data));
}

}  // namespace
