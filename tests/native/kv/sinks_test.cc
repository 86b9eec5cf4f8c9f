#include <sylvester/sylvester.h>

#include <tuple>

#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

std::vector<uint8_t> FindSinks(const Rows& hidden, int64_t count) {
  std::vector<uint8_t> sinks(static_cast<size_t>(hidden.rows), 0xcc);
  EXPECT_EQ(syl_kv_find_sinks_f32(hidden.At(0), hidden.stride, hidden.rows, hidden.cols, count, sinks.data()), SYL_OK)
      << syl_last_error();
  return sinks;
}

// All elements in order.
std::vector<uint8_t> BySorting(const Rows& hidden, int64_t count) {
  std::vector<std::tuple<float, int64_t, int64_t>> all;
  for (int64_t r = 0; r < hidden.rows; ++r) {
    for (int64_t c = 0; c < hidden.cols; ++c) all.emplace_back(-std::fabs(hidden.At(r)[c]), r, c);
  }
  std::sort(all.begin(), all.end());
  std::vector<uint8_t> sinks(static_cast<size_t>(hidden.rows));
  for (int64_t i = 0; i < std::min<int64_t>(count, static_cast<int64_t>(all.size())); ++i)
    sinks[std::get<1>(all[i])] = 1;
  return sinks;
}

TEST(KvSinks, MassiveActivationsAreFound) {
  Rows hidden(300, 576, 1);
  hidden.At(0)[77] = -900;
  hidden.At(110)[501] = 850;
  hidden.At(110)[502] = 840;
  std::vector<uint8_t> want(300);
  want[0] = want[110] = 1;
  EXPECT_EQ(FindSinks(hidden, 3), want);
  want[0] = 1;
  want[110] = 0;
  EXPECT_EQ(FindSinks(hidden, 1), want);
}

TEST(KvSinks, EqualsASortOfAllElements) {
  for (const int64_t rows : {1, 2, 17, 100}) {
    for (const int64_t cols : {1, 5, 64, 65, 200}) {
      Rows hidden(rows, cols, static_cast<uint32_t>(rows * 1000 + cols));
      for (int64_t i = 0; i < rows * cols; ++i) {
        float& x = hidden.At(i / cols)[i % cols];
        if (rows == 17) x = std::round(x);  // many ties
      }
      for (const int64_t count : {0, 1, 2, 20, 1024}) {
        EXPECT_EQ(FindSinks(hidden, count), BySorting(hidden, count)) << rows << " x " << cols << ", " << count;
      }
    }
  }
}

// The lower row wins, then nothing but the row counts.
TEST(KvSinks, TiesGoToTheFirst) {
  Rows hidden(40, 70, 1, 0);
  for (int64_t r = 0; r < 40; ++r) {
    for (int64_t c = 0; c < 70; ++c) hidden.At(r)[c] = c % 2 ? -0.0f : 0.0f;
  }
  std::vector<uint8_t> want(40);
  want[0] = 1;
  EXPECT_EQ(FindSinks(hidden, 70), want);
  want[1] = 1;
  EXPECT_EQ(FindSinks(hidden, 71), want);
}

TEST(KvSinks, ErrorsNameTheArgument) {
  Rows hidden(4, 8, 1);
  std::vector<uint8_t> sinks(4, 0xcc);
  const auto find = [&](const float* x, int64_t stride, int64_t rows, int64_t cols, int64_t count, uint8_t* to) {
    return syl_kv_find_sinks_f32(x, stride, rows, cols, count, to);
  };
  const float* x = hidden.At(0);
  EXPECT_REFUSED(find(nullptr, 11, 4, 8, 1, sinks.data()), SYL_NULL_ARGUMENT, "hidden");
  EXPECT_REFUSED(find(x, 7, 4, 8, 1, sinks.data()), SYL_BAD_SHAPE, "hidden_stride");
  EXPECT_REFUSED(find(x, 11, -1, 8, 1, sinks.data()), SYL_BAD_VALUE, "rows");
  EXPECT_REFUSED(find(x, 11, 4, 0, 1, sinks.data()), SYL_BAD_VALUE, "cols");
  EXPECT_REFUSED(find(x, 11, 4, 8, -1, sinks.data()), SYL_BAD_VALUE, "count");
  EXPECT_REFUSED(find(x, 11, 4, 8, 1025, sinks.data()), SYL_BAD_VALUE, "count");
  EXPECT_REFUSED(find(x, 11, 4, 8, 1, nullptr), SYL_NULL_ARGUMENT, "sinks");
  EXPECT_REFUSED(find(x, 11, 4, 8, 1, reinterpret_cast<uint8_t*>(hidden.At(1))), SYL_OVERLAP, "sinks");
  for (const float bad : {kNaN, kInfinity, -kInfinity}) {
    hidden.At(2)[5] = bad;
    EXPECT_REFUSED(find(x, 11, 4, 8, 1, sinks.data()), SYL_BAD_DATA, "hidden[2][5]");
  }
  EXPECT_EQ(sinks, std::vector<uint8_t>(4, 0xcc));
  EXPECT_EQ(find(x, 11, 0, 8, 1, sinks.data()), SYL_OK);
}

}  // namespace
