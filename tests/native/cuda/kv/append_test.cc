// What append leaves in tiles, rings and sinks.
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
