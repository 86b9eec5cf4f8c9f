#include <gtest/gtest.h>
#include <sylvester/hadamard.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/native/hadamard/rotation.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

// A plan that is refused with this text after "syl_hadamard_new: options->", and leaves the pointer as it was.
void ExpectRefused(const Rotation& rotation, syl_status status, const std::string& text) {
  const syl_hadamard_options options = rotation.Options();
  int untouched;
  auto* const before = reinterpret_cast<syl_hadamard*>(&untouched);
  syl_hadamard* plan = before;
  EXPECT_EQ(syl_hadamard_new(&options, &plan), status) << text;
  EXPECT_EQ(plan, before) << text;
  EXPECT_EQ(std::string(syl_last_error()).find("syl_hadamard_new: options->" + text), size_t{0}) << syl_last_error();
}

// The same for one field changed.
void ExpectRefused(Rotation rotation, syl_status status, const std::string& text,
                   const std::function<void(syl_hadamard_options*)>& change) {
  change(&rotation.options);
  ExpectRefused(rotation, status, text);
}

TEST(HadamardPlan, NullArgumentsAreRefused) {
  const syl_hadamard_options options = Rotation(8).Options();
  syl_hadamard* plan = nullptr;
  EXPECT_REFUSED(syl_hadamard_new(nullptr, &plan), SYL_NULL_ARGUMENT, "syl_hadamard_new: options is NULL");
  EXPECT_REFUSED(syl_hadamard_new(&options, nullptr), SYL_NULL_ARGUMENT, "syl_hadamard_new: plan is NULL");
  EXPECT_EQ(plan, nullptr);
  syl_hadamard_free(nullptr);
}

TEST(HadamardPlan, TheMatrixIsChecked) {
  using Options = syl_hadamard_options;
  ExpectRefused(Rotation(8), SYL_BAD_VALUE, "struct_size is 4, must be ", [](Options* o) { o->struct_size = 4; });
  ExpectRefused(Rotation(8), SYL_BAD_VALUE, "family is -1, must be 0..3", [](Options* o) { o->family = -1; });
  ExpectRefused(Rotation(8), SYL_BAD_VALUE, "family is 4, must be 0..3", [](Options* o) { o->family = 4; });
  for (const int64_t n : {int64_t{-8}, int64_t{0}, int64_t{1}, int64_t{1} << 25, kHuge}) {
    ExpectRefused(Rotation(8), SYL_BAD_VALUE, "n is " + std::to_string(n) + ", must be 2..16777216",
                  [n](Options* o) { o->n = n; });
  }
  for (const syl_dtype type : {SYL_F16, SYL_BF16}) {
    const Rotation longest(int64_t{1} << 21, type);
    ExpectRefused(longest, SYL_BAD_VALUE, "n is 2097152, must be 2..1048576");
    ExpectRefused(Rotation(longest).Types(SYL_F32, type), SYL_BAD_VALUE, "n is 2097152, must be 2..1048576");
    NewPlan(Rotation(longest).Types(SYL_F32, SYL_F32));
  }
  ExpectRefused(Rotation(12), SYL_BAD_SHAPE, "n is 12, must be 1 times a power of two");
  ExpectRefused(Rotation(36).Family(SYL_HADAMARD_SYLVESTER, 12), SYL_BAD_SHAPE, "n is 36, must be 12 times a power");
  ExpectRefused(Rotation(8).Family(SYL_HADAMARD_SYLVESTER, 12), SYL_BAD_SHAPE, "n is 8, must be 12 times a power");
  for (const int32_t base : {-12, 0, 2, 24, 116}) {
    ExpectRefused(Rotation(48).Family(SYL_HADAMARD_SYLVESTER, base), SYL_UNSUPPORTED,
                  "base is " + std::to_string(base) + ", must be 1, 12, 20,");
  }
  ExpectRefused(Rotation(16).Family(SYL_HADAMARD_REGULAR, 12), SYL_BAD_VALUE, "base is 12, must be 1 for family 1");
  ExpectRefused(Rotation(20).Family(SYL_HADAMARD_SYLVESTER, 20, SYL_HADAMARD_TABLE_QUAROT), SYL_UNSUPPORTED,
                "table is 1, which does not exist for base 20");
  ExpectRefused(Rotation(12).Family(SYL_HADAMARD_SYLVESTER, 12, 2), SYL_UNSUPPORTED, "table is 2, which");
  ExpectRefused(Rotation(16).Family(SYL_HADAMARD_REGULAR, 1, 1), SYL_UNSUPPORTED, "table is 1, which");
  for (const int64_t n : {2, 8, 12, 32}) {
    ExpectRefused(Rotation(n).Family(SYL_HADAMARD_REGULAR), SYL_BAD_SHAPE,
                  "n is " + std::to_string(n) + ", must be a power of four");
  }
  for (const int64_t block : {-2, 0, 1, 3, 6}) {
    ExpectRefused(Rotation(96).Family(SYL_HADAMARD_BLOCKS, 1, 0, block), SYL_BAD_VALUE,
                  "block is " + std::to_string(block) + ", must be a power of two, 2 or more");
  }
  ExpectRefused(Rotation(96).Family(SYL_HADAMARD_BLOCKS, 1, 0, 64), SYL_BAD_SHAPE,
                "n is 96, must be a multiple of block, which is 64");
  ExpectRefused(Rotation(64).Family(SYL_HADAMARD_SYLVESTER, 1, 0, 32), SYL_BAD_VALUE,
                "block is 32, must be 0 for family");
}

TEST(HadamardPlan, TypesScaleAndRoundsAreChecked) {
  using Options = syl_hadamard_options;
  for (const syl_dtype type : {-1, 2, 8, 29}) {
    const std::string value = std::to_string(type);
    ExpectRefused(Rotation(8).Types(type, SYL_F32), SYL_BAD_VALUE, "x_type is " + value + ", must be");
    ExpectRefused(Rotation(8).Types(SYL_F32, type), SYL_BAD_VALUE, "y_type is " + value + ", must be");
  }
  ExpectRefused(Rotation(8).Types(SYL_F64, SYL_F32), SYL_BAD_VALUE, "y_type is 0, must be F64 exactly when");
  ExpectRefused(Rotation(8).Types(SYL_F16, SYL_F64), SYL_BAD_VALUE, "y_type is 28, must be F64 exactly when");
  ExpectRefused(Rotation(8).Types(SYL_F64, SYL_F64).Quantize(SYL_HADAMARD_I8), SYL_BAD_VALUE, "x_type is F64");
  // y_type means nothing beside a quantizer.
  NewPlan(Rotation(8).Types(SYL_F32, -5).Quantize(SYL_HADAMARD_I8));
  for (const double scale : {std::nan(""), HUGE_VAL, -HUGE_VAL, 1e39}) {
    ExpectRefused(Rotation(8).Scale(scale), SYL_BAD_VALUE, "scale is ");
  }
  NewPlan(Rotation(8, SYL_F64).Scale(1e39));
  for (const int32_t rounds : {-1, 0, 17}) {
    ExpectRefused(Rotation(8).Rounds(rounds), SYL_BAD_VALUE, "rounds is " + std::to_string(rounds) + ", must be 1..16");
  }
  for (const int32_t quantizer : {-1, 4}) {
    ExpectRefused(Rotation(8), SYL_BAD_VALUE, "quantizer is " + std::to_string(quantizer) + ", must be 0..3",
                  [quantizer](Options* o) { o->quantizer = quantizer; });
  }
}

TEST(HadamardPlan, CountsAndStridesAreChecked) {
  using Options = syl_hadamard_options;
  for (int i = 0; i < 3; ++i) {
    const std::string index = "[" + std::to_string(i) + "]";
    for (const int64_t value : {int64_t{0}, -kHuge}) {
      ExpectRefused(Rotation(8), SYL_BAD_VALUE,
                    "count" + index + " is " + std::to_string(value) + ", must be 1 or more",
                    [=](Options* o) { o->count[i] = value; });
    }
    ExpectRefused(Rotation(8), SYL_BAD_VALUE, "x_stride" + index + " is -1, must be 0 or more",
                  [i](Options* o) { o->x_stride[i] = -1; });
    ExpectRefused(Rotation(8), SYL_BAD_VALUE, "y_stride" + index + " is -1, must be 0 or more",
                  [i](Options* o) { o->y_stride[i] = -1; });
    // Not an address, whatever the arithmetic does.
    ExpectRefused(Rotation(8), SYL_BAD_SHAPE, "x_stride is {", [i](Options* o) {
      o->count[i] = 3;
      o->x_stride[i] = kHuge / 2 + 1;
    });
    ExpectRefused(Rotation(8), SYL_BAD_SHAPE, "y_stride is {", [i](Options* o) {
      o->count[i] = 3;
      o->y_stride[i] = kHuge / 8 + 1;
    });
  }
  ExpectRefused(Rotation(8), SYL_BAD_VALUE, "x_stride[3] is 0, must be 1 or more",
                [](Options* o) { o->x_stride[3] = 0; });
  ExpectRefused(Rotation(8), SYL_BAD_VALUE, "y_stride[3] is 0, must be 1 or more",
                [](Options* o) { o->y_stride[3] = 0; });
  ExpectRefused(Rotation(8), SYL_BAD_SHAPE, "x_stride is {", [](Options* o) { o->x_stride[3] = kHuge / 7; });
  ExpectRefused(Rotation(8), SYL_BAD_SHAPE, "count is {", [](Options* o) {
    o->count[0] = o->count[1] = o->count[2] = int64_t{1} << 22;
    o->x_stride[0] = o->x_stride[1] = o->x_stride[2] = 0;
  });
  ExpectRefused(Rotation(8).Quantize(SYL_HADAMARD_I8, 1), SYL_BAD_SHAPE, "count is {",
                [](Options* o) { o->count[0] = int64_t{1} << 60; });
  ExpectRefused(Rotation(8).Quantize(SYL_HADAMARD_I8), SYL_BAD_VALUE, "y_stride[3] is 2, must be 1 with a quantizer",
                [](Options* o) { o->y_stride[3] = 2; });
}

TEST(HadamardPlan, TransformsOfYMustNotShareElements) {
  const std::string text = ": transforms of y share elements";
  const auto strides = [](int64_t outer, int64_t middle, int64_t inner, int64_t element) {
    return Rotation(8).Count(2, 3, 4).YStride(outer, middle, inner, element);
  };
  ExpectRefused(strides(96, 32, 7, 1), SYL_BAD_SHAPE, "y_stride is {96, 32, 7, 1}" + text);
  ExpectRefused(strides(95, 32, 8, 1), SYL_BAD_SHAPE, "y_stride is {95, 32, 8, 1}" + text);
  ExpectRefused(strides(96, 31, 8, 1), SYL_BAD_SHAPE, "y_stride is {96, 31, 8, 1}" + text);
  ExpectRefused(strides(96, 32, 0, 1), SYL_BAD_SHAPE, "y_stride is {96, 32, 0, 1}" + text);
  ExpectRefused(strides(96, 32, 1, 3), SYL_BAD_SHAPE, "y_stride is {96, 32, 1, 3}" + text);
  NewPlan(strides(96, 32, 8, 1));
  NewPlan(strides(96, 32, 1, 4));   // lanes interleaved
  NewPlan(strides(1, 2, 6, 24));    // the other way round
  NewPlan(strides(100, 33, 1, 4));  // with gaps
  // Codes are shorter than elements.
  NewPlan(Rotation(8).Count(1, 1, 4).Quantize(SYL_HADAMARD_U2).YStride(8, 8, 2, 1));
  ExpectRefused(Rotation(8).Count(1, 1, 4).Quantize(SYL_HADAMARD_U2).YStride(8, 8, 1, 1), SYL_BAD_SHAPE,
                "y_stride is {");
  // x may share: many queries of one vector.
  NewPlan(Rotation(8).Count(1, 1, 4).XStride(0, 0, 0, 1));
}

TEST(HadamardPlan, GroupsAreChecked) {
  using Options = syl_hadamard_options;
  ExpectRefused(Rotation(8), SYL_BAD_VALUE, "group is 4, must be 0 without a quantizer",
                [](Options* o) { o->group = 4; });
  for (const int64_t group : {-1, 9}) {
    ExpectRefused(Rotation(8).Quantize(SYL_HADAMARD_I8, group), SYL_BAD_VALUE,
                  "group is " + std::to_string(group) + ", must be 1..8");
  }
  ExpectRefused(Rotation(8).Quantize(SYL_HADAMARD_I8, 3), SYL_BAD_SHAPE, "group is 3, must divide n, which is 8");
  ExpectRefused(Rotation(2).Quantize(SYL_HADAMARD_U2), SYL_BAD_SHAPE,
                "n is 2, must be a multiple of 4 with quantizer 3");
  ExpectRefused(Rotation(9).Family(SYL_HADAMARD_OVERLAPPED).Quantize(SYL_HADAMARD_U4), SYL_BAD_SHAPE,
                "n is 9, must be a multiple of 2 with quantizer 2");
  Rotation mapped = Rotation(8).Quantize(SYL_HADAMARD_I8, 4).GroupMap(1);
  NewPlan(mapped);
  for (const int32_t group : {-1, 2}) {
    Rotation bad = mapped;
    bad.group_map[5] = group;
    ExpectRefused(bad, SYL_BAD_VALUE, "group_map[5] is " + std::to_string(group) + ", must be 0..1");
  }
  Rotation uneven = mapped;
  uneven.group_map = {0, 0, 0, 0, 0, 1, 1, 1};
  ExpectRefused(uneven, SYL_BAD_SHAPE, "group_map has 5 elements in group 0, must have 4");
  Rotation pointless(8);
  pointless.group_map.assign(8, 0);
  ExpectRefused(pointless, SYL_BAD_VALUE, "group_map is given, must be NULL");
}

TEST(HadamardPlan, SignsAndGatherAreChecked) {
  using Options = syl_hadamard_options;
  ExpectRefused(Rotation(8), SYL_BAD_VALUE, "sign_rows is 1, must be 0 without signs",
                [](Options* o) { o->sign_rows = 1; });
  for (const int64_t rows : {int64_t{0}, int64_t{-3}}) {
    ExpectRefused(Rotation(8).Signs(1, 1), SYL_BAD_VALUE,
                  "sign_rows is " + std::to_string(rows) + ", must be 1 or more",
                  [rows](Options* o) { o->sign_rows = rows; });
  }
  ExpectRefused(Rotation(8).Signs(1, 1), SYL_BAD_SHAPE, "sign_rows is 9223372036854775807: more bytes",
                [](Options* o) { o->sign_rows = kHuge; });

  ExpectRefused(Rotation(8), SYL_BAD_VALUE, "x_length is -8, must be 0 or more", [](Options* o) { o->x_length = -8; });
  ExpectRefused(Rotation(8), SYL_BAD_SHAPE, "x_length is 7, must be n (8) without a gather",
                [](Options* o) { o->x_length = 7; });
  Rotation gathered = Rotation(8).Gather(10, 1, 2);
  NewPlan(gathered);
  for (const int32_t index : {-2, 10}) {
    Rotation bad = gathered;
    bad.gather[3] = index;
    ExpectRefused(bad, SYL_BAD_VALUE, "gather[3] is " + std::to_string(index) + ", must be -1 or less than x_length");
  }
  Rotation twice(8);
  twice.gather = {7, 6, 5, 4, 3, 2, 1, 6};
  ExpectRefused(twice, SYL_BAD_VALUE, "gather[7] is 6, an index that came before");
  Rotation nothing(8);
  nothing.gather.assign(8, -1);
  NewPlan(nothing);
}

TEST(HadamardPlan, DescribesWhatItComesTo) {
  const auto describe = [](const Rotation& rotation) {
    syl_hadamard_info info = {};
    info.struct_size = sizeof(info);
    EXPECT_EQ(syl_hadamard_describe(NewPlan(rotation).get(), &info), SYL_OK) << syl_last_error();
    return info;
  };
  syl_hadamard_info info = describe(Rotation(96, SYL_BF16).Family(SYL_HADAMARD_SYLVESTER, 12).Count(2, 3, 4).Rounds(2));
  EXPECT_EQ(info.log2_butterflies, 3);
  EXPECT_EQ(info.transforms, 24);
  EXPECT_EQ(info.groups, 0);
  EXPECT_EQ(info.scale, 1 / std::sqrt(96.0));
  EXPECT_EQ(info.additions, 2 * 96 * (3 + 11));
  EXPECT_EQ(info.x_bytes, 192);
  EXPECT_EQ(info.y_bytes, 192);
  EXPECT_EQ(info.error_steps, 3 + (1 + 3) + 2);

  info = describe(Rotation(96).Family(SYL_HADAMARD_BLOCKS, 1, 0, 32).Gather(80, 20, 1).Quantize(SYL_HADAMARD_U4, 24));
  EXPECT_EQ(info.log2_butterflies, 5);
  EXPECT_EQ(info.groups, 4);
  EXPECT_EQ(info.scale, 1 / std::sqrt(32.0));
  EXPECT_EQ(info.additions, 96 * 5);
  EXPECT_EQ(info.x_bytes, 76 * 4);
  EXPECT_EQ(info.y_bytes, 48 + 4 * 8);
  EXPECT_EQ(info.error_steps, 5 + 2);

  info = describe(Rotation(100, SYL_F64).Family(SYL_HADAMARD_OVERLAPPED).Rounds(3).Scale(2));
  EXPECT_EQ(info.log2_butterflies, 6);
  EXPECT_EQ(info.scale, 2);
  EXPECT_EQ(info.additions, 3 * 64 * 6);
  EXPECT_EQ(info.y_bytes, 800);
  EXPECT_EQ(describe(Rotation(64).Quantize(SYL_HADAMARD_I8, 16)).y_bytes, 64 + 4 * 4);
}

TEST(HadamardPlan, DescribeRefusesWithoutWriting) {
  const Plan plan = NewPlan(Rotation(8));
  syl_hadamard_info info, before;
  std::memset(&info, 0x5a, sizeof(info));
  info.struct_size = sizeof(info);
  before = info;
  EXPECT_REFUSED(syl_hadamard_describe(nullptr, &info), SYL_NULL_ARGUMENT, "syl_hadamard_describe: plan is NULL");
  EXPECT_REFUSED(syl_hadamard_describe(plan.get(), nullptr), SYL_NULL_ARGUMENT, "syl_hadamard_describe: info is NULL");
  EXPECT_EQ(std::memcmp(&info, &before, sizeof(info)), 0);
  info.struct_size = before.struct_size = 8;
  EXPECT_REFUSED(syl_hadamard_describe(plan.get(), &info), SYL_BAD_VALUE, "info->struct_size is 8, must be");
  EXPECT_EQ(std::memcmp(&info, &before, sizeof(info)), 0);
}

TEST(HadamardMatrix, HasTheEntriesOfItsFamily) {
  const auto matrix = [](int32_t family, int64_t n, int32_t base, int64_t block) {
    std::vector<float> h(static_cast<size_t>(n * n), kNaN);
    EXPECT_EQ(syl_hadamard_matrix(family, n, base, 0, block, h.data()), SYL_OK) << syl_last_error();
    return h;
  };
  EXPECT_EQ(matrix(SYL_HADAMARD_SYLVESTER, 4, 1, 0),
            (std::vector<float>{1, 1, 1, 1, 1, -1, 1, -1, 1, 1, -1, -1, 1, -1, -1, 1}));
  EXPECT_EQ(matrix(SYL_HADAMARD_REGULAR, 4, 1, 0),
            (std::vector<float>{1, 1, 1, -1, 1, 1, -1, 1, 1, -1, 1, 1, -1, 1, 1, 1}));
  EXPECT_EQ(matrix(SYL_HADAMARD_BLOCKS, 4, 1, 2),
            (std::vector<float>{1, 1, 0, 0, 1, -1, 0, 0, 0, 0, 1, 1, 0, 0, 1, -1}));
  // Kronecker products: base (x) Sylvester, regular (x) regular, equal blocks.
  const std::vector<float> h12 = matrix(SYL_HADAMARD_SYLVESTER, 12, 12, 0),
                           h4 = matrix(SYL_HADAMARD_SYLVESTER, 4, 1, 0);
  const std::vector<float> r4 = matrix(SYL_HADAMARD_REGULAR, 4, 1, 0), r16 = matrix(SYL_HADAMARD_REGULAR, 16, 1, 0);
  const std::vector<float> h48 = matrix(SYL_HADAMARD_SYLVESTER, 48, 12, 0), b12 = matrix(SYL_HADAMARD_BLOCKS, 12, 1, 4);
  for (size_t i = 0; i < 48; ++i) {
    for (size_t j = 0; j < 48; ++j) {
      ASSERT_EQ(h48[i * 48 + j], h12[i / 4 * 12 + j / 4] * h4[i % 4 * 4 + j % 4]) << i << ", " << j;
      if (i < 16 && j < 16) {
        ASSERT_EQ(r16[i * 16 + j], r4[i / 4 * 4 + j / 4] * r4[i % 4 * 4 + j % 4]) << i << ", " << j;
      }
      if (i < 12 && j < 12) {
        ASSERT_EQ(b12[i * 12 + j], i / 4 == j / 4 ? h4[i % 4 * 4 + j % 4] : 0) << i << ", " << j;
      }
    }
  }
}

TEST(HadamardMatrix, RefusesWithoutWriting) {
  std::vector<float> h(16, 7);
  const auto refused = [&](syl_status status, const char* text, int32_t family, int64_t n, int32_t base, int32_t table,
                           int64_t block) {
    EXPECT_REFUSED(syl_hadamard_matrix(family, n, base, table, block, h.data()), status,
                   std::string("syl_hadamard_matrix: ") + text);
    EXPECT_EQ(h, std::vector<float>(16, 7));
  };
  EXPECT_REFUSED(syl_hadamard_matrix(0, 4, 1, 0, 0, nullptr), SYL_NULL_ARGUMENT, "syl_hadamard_matrix: h is NULL");
  refused(SYL_BAD_VALUE, "family is 3, must be 0..2", SYL_HADAMARD_OVERLAPPED, 4, 1, 0, 0);
  refused(SYL_BAD_VALUE, "n is 1, must be 2..4096", 0, 1, 1, 0, 0);
  refused(SYL_BAD_VALUE, "n is 8192, must be 2..4096", 0, 8192, 1, 0, 0);
  refused(SYL_BAD_SHAPE, "n is 3, must be 1 times a power of two", 0, 3, 1, 0, 0);
  refused(SYL_UNSUPPORTED, "base is 3, must be 1, 12,", 0, 3, 3, 0, 0);
  refused(SYL_UNSUPPORTED, "table is 1, which", 0, 4, 1, 1, 0);
  refused(SYL_BAD_SHAPE, "n is 8, must be a power of four", SYL_HADAMARD_REGULAR, 8, 1, 0, 0);
  refused(SYL_BAD_VALUE, "block is 0, must be a power of two", SYL_HADAMARD_BLOCKS, 4, 1, 0, 0);
}

}  // namespace
