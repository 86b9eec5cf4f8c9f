// What append leaves in tiles, rings and sinks, and what dequantize makes of it.
#include <gtest/gtest.h>

#include "tests/native/cuda/kv/device.h"

namespace {

using namespace sylvester_test;

class CudaKvAppend : public CudaKv {};

INSTANTIATE_TEST_SUITE_P(Runs, CudaKvAppend, testing::ValuesIn(CudaRuns()), CudaRunName);

// Texts of their own lengths in one batch, cut in different places.
TEST_P(CudaKvAppend, HasTheBytesOfTheModel) {
  for (const KvCase& c : KvCases()) {
    SCOPED_TRACE(c.name);
    const KvModelPlan plan(c);
    KvDevice device(library(), plan, 2, 120, 40);
    device.Append({0, 1}, {5, 37});
    device.ExpectBytes();
    device.Append({1, 0}, {1, 40});
    device.Append({0}, {1});
    device.ExpectBytes();
    device.Append({0, 1}, {31, 0});
    device.Append({1, 0}, {26, 19});
    device.ExpectBytes();
  }
}

TEST_P(CudaKvAppend, TokenByToken) {
  for (const int32_t window : {0, 16, 48}) {
    KvCase c;
    c.window = window;
    c.kv_heads = 1;
    c.q_heads = 1;
    const KvModelPlan plan(c);
    KvDevice device(library(), plan, 1, 70, 1);
    for (int i = 0; i < 70; ++i) {
      device.Append({0}, {1});
      if (i % 16 == 3 || i % 16 == 15) device.ExpectBytes();
    }
  }
}

TEST_P(CudaKvAppend, IsDequantized) {
  for (const KvCase& c : KvCases()) {
    SCOPED_TRACE(c.name);
    const KvModelPlan plan(c);
    KvDevice device(library(), plan, 2, 90, 85);
    device.Append({0, 1}, {50, 85});
    const KvModel& model = device.model();
    const int64_t n = device.length(1), packed = model.plan().PackedTiles(n), d = model.d();
    for (const int side : {SYL_KV_KEYS, SYL_KV_VALUES}) {
      const Rows y = device.Dequantize(1, 1, side, 3, n - 3);
      for (int64_t t = 3; t < n; ++t) {
        const std::vector<uint8_t> tile = device.ExpectedTile(1, 1, t / 16, n);
        const bool halves = t / 16 >= packed || device.text(1).sinks[1].count(static_cast<int32_t>(t)) != 0;
        const std::vector<float>& center = model.Center(1, side);
        for (int64_t h = 0; h < model.heads(); ++h) {
          std::vector<float> x(static_cast<size_t>(d));
          for (int64_t i = 0; i < d; ++i) {
            x[i] = halves ? sylvester::FloatFromF16(device.text(1).halves[1][side][t][h * d + i])
                          : model.Decode(1, side, h, t % 16, i, tile.data());
          }
          model.Rotate(side, true, x.data());
          for (int64_t i = 0; i < d; ++i) {
            x[i] /= model.Gain(1, side, h * d + i);
            const float expected = center.empty() ? x[i] : x[i] + center[h * d + i];
            ASSERT_EQ(ToBits(y.At(t - 3)[h * d + i]), ToBits(expected)) << "token " << t << ", channel " << h * d + i;
          }
        }
      }
    }
  }
}

// What a longer text has left behind does not show.
TEST_P(CudaKvAppend, AfterTruncation) {
  for (const int32_t window : {0, 32}) {
    KvCase c;
    c.window = window;
    c.bits_keys = 3;
    c.bits_values = 3;
    const KvModelPlan plan(c);
    KvDevice device(library(), plan, 1, 100, 20);
    for (int i = 0; i < 4; ++i) device.Append({0}, {20});
    device.Truncate(0, 69);
    device.Append({0}, {2});
    device.ExpectBytes();
    device.Append({0}, {18});
    device.ExpectBytes();
  }
}

}  // namespace
