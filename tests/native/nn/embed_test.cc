#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <vector>

#include "tests/native/nn/file_weights.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;
using sylvester_tests::FileWeights;

constexpr uint32_t kSeed = 34;
constexpr int64_t kVocab = 11, kCols = 512;

class Embed : public ::testing::TestWithParam<sylvester_tests::TypeName> {
 protected:
  bool IsPlain() const { return sylvester_tests::IsPlainType(GetParam().type); }

  static double Magnitude(const FileWeights& table, int64_t row, int64_t i) {
    const auto weight = table.Get(row, i);
    return std::fabs(static_cast<double>(weight.scale) * weight.code);
  }
};

TEST_P(Embed, RowsOfTheTable) {
  std::mt19937 random(kSeed);
  const FileWeights table = FileWeights::Random(GetParam().type, kVocab, kCols, random);
  const std::vector<int32_t> ids = {3, 0, 10, 3, 7};
  Rows y(5, kCols, 0);
  for (float& value : y.data) value = kNaN;
  ASSERT_EQ(syl_nn_embed_f32(table.type(), table.data(), kVocab, kCols, ids.data(), 5, y.At(0), y.stride), SYL_OK)
      << syl_last_error();
  for (int64_t r = 0; r < 5; ++r) {
    const int64_t id = ids[static_cast<size_t>(r)];
    for (int64_t i = 0; i < kCols; ++i) {
      // The result's rounding, and that of the product before a minimum is added.
      const double want = table.Exact(id, i), rounding = std::fabs(want) + (IsPlain() ? 0 : Magnitude(table, id, i));
      ASSERT_NEAR(y.At(r)[i], want, IsPlain() ? 0 : std::ldexp(rounding, -24)) << "row " << r << " element " << i;
    }
    for (int64_t i = kCols; i < y.stride; ++i) ASSERT_TRUE(std::isnan(y.At(r)[i])) << "written beside the row";
  }
}

INSTANTIATE_TEST_SUITE_P(Nn, Embed, ::testing::ValuesIn(sylvester_tests::kTypes),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(EmbedArguments, BadOnesAreRefusedAndNothingIsWritten) {
  std::vector<float> table(4 * 32, 1), y(4 * 32, 7);
  std::vector<int32_t> ids = {0, 3, 1};
  const auto embed = [&](syl_dtype type, const void* t, int64_t vocab, int64_t cols, const int32_t* i, int64_t rows,
                         float* out,
                         int64_t stride) { return syl_nn_embed_f32(type, t, vocab, cols, i, rows, out, stride); };
  EXPECT_REFUSED(embed(5, table.data(), 4, 32, ids.data(), 3, y.data(), 32), SYL_BAD_VALUE, "type is 5");
  EXPECT_REFUSED(embed(SYL_F32, nullptr, 4, 32, ids.data(), 3, y.data(), 32), SYL_NULL_ARGUMENT, "table is NULL");
  EXPECT_REFUSED(embed(SYL_F32, table.data(), 4, 32, nullptr, 3, y.data(), 32), SYL_NULL_ARGUMENT, "ids is NULL");
  EXPECT_REFUSED(embed(SYL_F32, table.data(), 4, 32, ids.data(), 3, nullptr, 32), SYL_NULL_ARGUMENT, "y is NULL");
  EXPECT_REFUSED(embed(SYL_F32, table.data(), 0, 32, ids.data(), 3, y.data(), 32), SYL_BAD_VALUE, "vocab is 0");
  EXPECT_REFUSED(embed(SYL_F32, table.data(), 4, 0, ids.data(), 3, y.data(), 32), SYL_BAD_VALUE, "cols is 0");
  EXPECT_REFUSED(embed(SYL_Q8_0, table.data(), 4, 33, ids.data(), 3, y.data(), 33), SYL_BAD_SHAPE, "cols is 33");
  EXPECT_REFUSED(embed(SYL_F32, table.data(), 4, INT64_MAX / 8, ids.data(), 1, y.data(), INT64_MAX / 8), SYL_BAD_SHAPE,
                 "cols is");
  EXPECT_REFUSED(embed(SYL_F32, table.data(), 4, 32, ids.data(), 3, y.data(), 31), SYL_BAD_SHAPE, "y_stride is 31");
  EXPECT_REFUSED(embed(SYL_F32, table.data(), 4, 32, ids.data(), -1, y.data(), 32), SYL_BAD_VALUE, "rows is -1");
  EXPECT_REFUSED(embed(SYL_F32, table.data(), 3, 32, ids.data(), 3, y.data(), 32), SYL_BAD_VALUE, "ids[1] is 3");
  ids[2] = -1;
  EXPECT_REFUSED(embed(SYL_F32, table.data(), 4, 32, ids.data(), 3, y.data(), 32), SYL_BAD_VALUE, "ids[2] is -1");
  EXPECT_REFUSED(embed(SYL_F32, table.data(), 4, 32, ids.data(), 2, table.data() + 64, 32), SYL_OVERLAP, "table");
  // Otherwise the first row would turn checked ids into others.
  std::vector<float> rows(96);
  EXPECT_REFUSED(embed(SYL_F32, table.data(), 4, 32, reinterpret_cast<int32_t*>(rows.data() + 4), 3, rows.data(), 32),
                 SYL_OVERLAP, "ids");
  EXPECT_EQ(embed(SYL_F32, table.data(), 4, 32, nullptr, 0, y.data(), 32), SYL_OK);
  for (const float value : y) EXPECT_EQ(value, 7);
  for (const float value : table) EXPECT_EQ(value, 1);
}

}  // namespace
