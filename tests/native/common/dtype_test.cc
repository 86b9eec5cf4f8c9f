#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

struct BlockType {
  syl_dtype type;
  const char* name;
  int64_t size, bytes;
};

// Sizes as the gguf package tells them (GGML_QUANT_SIZES).
constexpr BlockType kBlockTypes[] = {
    {SYL_Q4_0, "q4_0", 32, 18},   {SYL_Q4_1, "q4_1", 32, 20},   {SYL_Q5_0, "q5_0", 32, 22},
    {SYL_Q5_1, "q5_1", 32, 24},   {SYL_Q8_0, "q8_0", 32, 34},   {SYL_Q4_K, "q4_k", 256, 144},
    {SYL_Q5_K, "q5_k", 256, 176}, {SYL_Q6_K, "q6_k", 256, 210},
};

std::string ReadGolden(const std::string& name) {
  std::ifstream file(std::string(SYLVESTER_SOURCE_DIR "/tests/golden/quants/") + name, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_FALSE(bytes.empty()) << name;
  return bytes;
}

class DType : public ::testing::TestWithParam<BlockType> {};

TEST_P(DType, BlockSizes) {
  EXPECT_EQ(syl_dtype_block_size(GetParam().type), GetParam().size);
  EXPECT_EQ(syl_dtype_block_bytes(GetParam().type), GetParam().bytes);
}

// tests/golden/make_quants.py: blocks and what gguf makes of them.
TEST_P(DType, DequantizesBitForBitAsGguf) {
  const auto [type, name, size, bytes] = GetParam();
  const std::string blocks = ReadGolden(std::string(name) + ".bin"), want = ReadGolden(std::string(name) + ".f32");
  const auto n = static_cast<int64_t>(want.size() / sizeof(float));
  ASSERT_EQ(static_cast<int64_t>(blocks.size()), n / size * bytes);
  // Also from an odd address, and nothing beside the result.
  for (const size_t offset : {0, 1}) {
    const std::string moved = std::string(offset, 'x') + blocks;
    std::vector<float> got(static_cast<size_t>(n) + 1, kNaN);
    ASSERT_EQ(syl_dequantize_f32(type, moved.data() + offset, n, got.data()), SYL_OK) << syl_last_error();
    for (int64_t i = 0; i < n; ++i) {
      float value;
      std::memcpy(&value, want.data() + i * 4, 4);
      ASSERT_EQ(ToBits(got[static_cast<size_t>(i)]), ToBits(value)) << name << " element " << i;
    }
    ASSERT_TRUE(std::isnan(got.back()));
  }
}

TEST_P(DType, PartOfABlockIsRefused) {
  const std::vector<uint8_t> block(static_cast<size_t>(GetParam().bytes));
  std::vector<float> y(static_cast<size_t>(GetParam().size), 7);
  EXPECT_REFUSED(syl_dequantize_f32(GetParam().type, block.data(), GetParam().size - 1, y.data()), SYL_BAD_SHAPE,
                 "n is");
  for (const float value : y) EXPECT_EQ(value, 7);
}

INSTANTIATE_TEST_SUITE_P(, DType, ::testing::ValuesIn(kBlockTypes),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(PlainDType, Sizes) {
  for (const auto& [type, bytes] :
       {std::pair{SYL_F32, 4}, std::pair{SYL_F16, 2}, std::pair{SYL_BF16, 2}, std::pair{SYL_F64, 8}}) {
    EXPECT_EQ(syl_dtype_block_size(type), 1);
    EXPECT_EQ(syl_dtype_block_bytes(type), bytes);
  }
  for (const syl_dtype unknown : {-1, 4, 5, 9, 10, 11, 15, 29, 31, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(syl_dtype_block_size(unknown), 0) << unknown;
    EXPECT_EQ(syl_dtype_block_bytes(unknown), 0) << unknown;
  }
}

TEST(PlainDType, FloatKeepsItsBits) {
  const std::vector<float> x = {1.5f, -0.0f, kInfinity, FromBits(0x7f800001), FromBits(1)};
  std::vector<float> y(x.size());
  ASSERT_EQ(syl_dequantize_f32(SYL_F32, x.data(), 5, y.data()), SYL_OK);
  EXPECT_TRUE(SameBits(x, y));
}

TEST(PlainDType, DoubleIsRoundedOnce) {
  const std::vector<double> x = {1.5, -0.0, 1 + 0x1p-24, 1 + 0x3p-24, 1 + 0x1p-24 + 0x1p-50, 1e300};
  std::vector<float> y(x.size());
  ASSERT_EQ(syl_dequantize_f32(SYL_F64, x.data(), 6, y.data()), SYL_OK);
  EXPECT_TRUE(SameBits(y, {1.5f, -0.0f, 1.0f, 1 + 0x1p-22f, 1 + 0x1p-23f, kInfinity}));
}

TEST(PlainDType, BadArgumentsAreRefusedAndNamed) {
  float floats[8] = {};
  uint16_t halves[8] = {};
  EXPECT_REFUSED(syl_dequantize_f32(SYL_F16, nullptr, 8, floats), SYL_NULL_ARGUMENT, "x is NULL");
  EXPECT_REFUSED(syl_dequantize_f32(SYL_F16, halves, 8, nullptr), SYL_NULL_ARGUMENT, "y is NULL");
  EXPECT_REFUSED(syl_dequantize_f32(99, halves, 8, floats), SYL_BAD_VALUE, "type is 99");
  EXPECT_REFUSED(syl_dequantize_f32(SYL_F16, halves, -1, floats), SYL_BAD_SHAPE, "n is -1");
  EXPECT_REFUSED(syl_dequantize_f32(SYL_F16, halves, INT64_MAX, floats), SYL_BAD_SHAPE, "n is 9223372036854775807");
  EXPECT_REFUSED(syl_dequantize_f32(SYL_F16, floats, 8, floats), SYL_OVERLAP, "y overlaps x");
  // Halves of the first four floats end where the last four floats begin.
  EXPECT_EQ(syl_dequantize_f32(SYL_F16, floats, 4, floats + 2), SYL_OK) << syl_last_error();
  EXPECT_REFUSED(syl_dequantize_f32(SYL_F16, floats, 5, floats + 2), SYL_OVERLAP, "y overlaps x");
  EXPECT_REFUSED(syl_convert_from_f32(SYL_F16, nullptr, 8, halves), SYL_NULL_ARGUMENT, "x is NULL");
  EXPECT_REFUSED(syl_convert_from_f32(SYL_F16, floats, 8, nullptr), SYL_NULL_ARGUMENT, "y is NULL");
  EXPECT_REFUSED(syl_convert_from_f32(SYL_Q8_0, floats, 8, halves), SYL_BAD_VALUE, "type is 8");
  EXPECT_REFUSED(syl_convert_from_f32(SYL_BF16, floats, -8, halves), SYL_BAD_SHAPE, "n is -8");
  EXPECT_REFUSED(syl_convert_from_f32(SYL_BF16, floats, 8, floats + 7), SYL_OVERLAP, "y overlaps x");
  EXPECT_EQ(syl_convert_from_f32(SYL_BF16, floats, 0, halves), SYL_OK);
}

}  // namespace
