// Where transforms lie and who computes them changes no bit: strides, alignment, position in a batch, threads, parts.
#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <array>
#include <cstdint>
#include <vector>

#include "native/common/hadamard_plan.h"
#include "tests/native/hadamard/run.h"

namespace {

using namespace sylvester_test;

// Rotations of every kind of path: short, long, 16 bits, bases, regular, blocks, overlapped, rounds, gathers, codes.
std::vector<Rotation> Kinds(int64_t outer, int64_t middle, int64_t inner) {
  std::vector<Rotation> kinds;
  for (const syl_dtype type : kFloats) {
    for (const int64_t n : {2, 8, 16, 64, 128, 512, 2048}) kinds.push_back(Rotation(n, type));
    kinds.push_back(Rotation(24, type).Family(SYL_HADAMARD_SYLVESTER, 12));
    kinds.push_back(Rotation(640, type).Family(SYL_HADAMARD_SYLVESTER, 20));
    kinds.push_back(Rotation(64, type).Family(SYL_HADAMARD_REGULAR));
    kinds.push_back(Rotation(96, type).Family(SYL_HADAMARD_BLOCKS, 1, 0, 32));
    kinds.push_back(Rotation(100, type).Family(SYL_HADAMARD_OVERLAPPED).Rounds(2).Signs(2, 70));
    kinds.push_back(Rotation(128, type).Rounds(3).Signs(3, 71));
    kinds.push_back(Rotation(64, type).Gather(70, 5, 72).Signs(1, 73));
  }
  kinds.push_back(Rotation(128).Types(SYL_BF16, SYL_F32));
  kinds.push_back(Rotation(256).Types(SYL_F32, SYL_F16));
  for (const int32_t quantizer : {SYL_HADAMARD_I8, SYL_HADAMARD_U4, SYL_HADAMARD_U2}) {
    kinds.push_back(Rotation(128).Quantize(quantizer, 32));
    kinds.push_back(Rotation(64, SYL_BF16).Quantize(quantizer).Signs(1, 74));
  }
  for (Rotation& kind : kinds) kind.Count(outer, middle, inner);
  return kinds;
}

bool MayBeInPlace(const Rotation& rotation) {
  return !rotation.Quantized() && rotation.options.x_type == rotation.options.y_type &&
         rotation.XLength() == rotation.options.n;
}

// Gaps between rows, and strides that do not descend.
void Spread(Rotation* rotation, int64_t gap) {
  const int64_t* count = rotation->options.count;
  const int64_t x = rotation->XLength() + gap, y = rotation->YLength() + gap;
  rotation->XStride(x, count[0] * x, count[0] * count[1] * x + gap, 1);
  rotation->YStride(y, count[0] * y, count[0] * count[1] * y + gap, 1);
}

// Elements of a transform as far apart as there are transforms: lane e of all of them lie together.
void Interleave(Rotation* rotation, int64_t gap) {
  const int64_t* count = rotation->options.count;
  const int64_t inner = count[2] + gap;
  rotation->XStride(count[1] * inner * rotation->XLength(), inner * rotation->XLength(), 1, inner);
  rotation->YStride(count[1] * inner * rotation->YLength(), inner * rotation->YLength(), 1, inner);
}

class HadamardLayout : public HadamardTiers {};

INSTANTIATE_TEST_SUITE_P(Tiers, HadamardLayout, testing::ValuesIn(SupportedTiers()), TierName);

TEST_P(HadamardLayout, RowsWithGapsInAnyOrderOfStrides) {
  for (Rotation& rotation : Kinds(2, 3, 2)) {
    Spread(&rotation, 5);
    How how;
    ExpectBits(rotation, 80, how);
    if (!rotation.Quantized()) ExpectTransposedBits(rotation, 81, how);
    how.in_place = true;
    if (MayBeInPlace(rotation)) ExpectBits(rotation, 82, how);
  }
}

// Across heads: the elements of a transform are a stride apart.
TEST_P(HadamardLayout, StridedElements) {
  for (const int64_t inner : {1, 3, 16, 37}) {
    for (Rotation& rotation : Kinds(1, 2, inner)) {
      if (rotation.Quantized()) continue;
      for (const int64_t gap : {0, 2}) {
        Interleave(&rotation, gap);
        if (rotation.YExtent() > 200000) continue;
        How how;
        ExpectBits(rotation, 83, how);
        ExpectTransposedBits(rotation, 84, how);
        how.in_place = true;
        if (MayBeInPlace(rotation)) ExpectBits(rotation, 85, how);
      }
    }
  }
}

// x across heads, y in rows, and the other way; also into codes.
TEST_P(HadamardLayout, StridedElementsOnOneSide) {
  for (const Rotation& kind : Kinds(2, 1, 9)) {
    if (kind.YExtent() > 200000) continue;
    Rotation rotation = kind, interleaved = kind;
    Interleave(&interleaved, 1);
    std::copy_n(interleaved.options.x_stride, 4, rotation.options.x_stride);
    ExpectBits(rotation, 86);
    if (rotation.Quantized()) continue;
    ExpectTransposedBits(rotation, 87);
    rotation = kind;
    std::copy_n(interleaved.options.y_stride, 4, rotation.options.y_stride);
    ExpectBits(rotation, 88);
    ExpectTransposedBits(rotation, 89);
  }
}

TEST_P(HadamardLayout, AnyAlignment) {
  for (Rotation& rotation : Kinds(1, 1, 3)) {
    for (const size_t shift : {1, 2, 4, 31}) {
      How how;
      how.shift = shift;
      ExpectBits(rotation, 90, how);
      if (!rotation.Quantized()) ExpectTransposedBits(rotation, 91, how);
      how.in_place = true;
      if (MayBeInPlace(rotation)) ExpectBits(rotation, 92, how);
    }
  }
}

// One row at every place of a batch: the same result.
TEST_P(HadamardLayout, AnyPositionInABatch) {
  for (Rotation& rotation : Kinds(1, 1, 21)) {
    if (!rotation.signs.empty()) continue;  // which differ by position
    Memory memory = Fill(rotation, 93);
    const size_t row_bytes = static_cast<size_t>(rotation.XLength() * rotation.XBytes());
    for (size_t row = 1; row < 21; ++row)
      std::copy_n(memory.x.begin(), row_bytes, memory.x.begin() + static_cast<int64_t>(row * row_bytes));
    const Memory got = Rotate(rotation, memory);
    const auto y_bytes = static_cast<size_t>(rotation.YLength() * rotation.YBytes());
    for (size_t row = 1; row < 21; ++row) {
      ASSERT_EQ(std::memcmp(got.y.data(), got.y.data() + row * y_bytes, y_bytes), 0) << rotation.Name() << ", " << row;
    }
  }
}

TEST_P(HadamardLayout, AnyNumberOfThreads) {
  for (const int32_t threads : {1, 2, 3, 4}) {
    const Pool pool = NewPool(threads);
    How how;
    how.pool = pool.get();
    for (Rotation& rotation : Kinds(3, 1, 11)) {
      how.in_place = false;
      ExpectBits(rotation, 94, how);
      if (rotation.Quantized()) continue;
      ExpectTransposedBits(rotation, 95, how);
      Interleave(&rotation, 1);
      ExpectBits(rotation, 96, how);
      how.in_place = true;
      if (MayBeInPlace(rotation)) ExpectBits(rotation, 97, how);
    }
    // Long rows, fewer than threads.
    how.in_place = false;
    ExpectBits(Rotation(1 << 17).Count(1, 1, 2), 98, how);
    ExpectBits(Rotation(1 << 16, SYL_BF16), 99, how);
  }
}

// The others' memory stays as it was.
TEST_P(HadamardLayout, PartsOfABatch) {
  for (Rotation& rotation : Kinds(2, 2, 7)) {
    struct Part {
      int64_t first, count;
    };
    for (const Part& part : {Part{0, 28}, Part{0, 1}, Part{27, 1}, Part{5, 17}, Part{13, 2}, Part{3, 0}, Part{28, 0}}) {
      How how;
      how.first = part.first;
      how.count = part.count;
      ExpectBits(rotation, 100, how);
      if (!rotation.Quantized()) {
        Rotation interleaved = rotation;
        Interleave(&interleaved, 0);
        if (interleaved.YExtent() < 20000) ExpectBits(interleaved, 101, how);
      }
    }
  }
}

// x may be one vector for all transforms.
TEST_P(HadamardLayout, TransformsOfXMayShareElements) {
  for (const int64_t n : {8, 64, 512, 2048}) {
    Rotation rotation = Rotation(n).Count(1, 1, 5).Signs(5, 102);
    rotation.XStride(0, 0, 0, 1);
    ExpectBits(rotation, 103);
    rotation.XStride(0, 0, 1, 1);  // windows
    ExpectBits(rotation, 104);
  }
}

// One axis, wherever the caller puts it, two or three: each is merged or left alone.
TEST_P(HadamardLayout, AnyAxes) {
  for (const auto& count : {std::array{7, 1, 1}, {1, 7, 1}, {3, 1, 5}, {2, 3, 4}, {5, 2, 1}}) {
    for (Rotation& rotation : Kinds(count[0], count[1], count[2])) {
      if (rotation.YExtent() > 200000) continue;
      ExpectBits(rotation, 95);
      if (!rotation.Quantized()) ExpectTransposedBits(rotation, 96);
      rotation.Signs(3, 97);  // a row of signs for each inner index
      ExpectBits(rotation, 98);
    }
  }
}

TEST(HadamardAxes, MergedWhereTransformsStayTheSame) {
  const auto counts = [](const Rotation& rotation) {
    const syl_hadamard_options options = rotation.Options();
    sylvester::HadamardPlan plan;
    EXPECT_EQ(sylvester::MakeHadamardPlan("test", &options, &plan), SYL_OK);
    return std::vector<int64_t>(plan.options.count, plan.options.count + 3);
  };
  using Counts = std::vector<int64_t>;
  EXPECT_EQ(counts(Rotation(8).Count(64, 1, 1)), (Counts{1, 1, 64}));
  EXPECT_EQ(counts(Rotation(8).Count(1, 64, 1)), (Counts{1, 1, 64}));
  EXPECT_EQ(counts(Rotation(8).Count(2, 3, 4)), (Counts{1, 1, 24}));
  EXPECT_EQ(counts(Rotation(8).Count(2, 3, 4).Signs(1, 1)), (Counts{1, 1, 24}));
  EXPECT_EQ(counts(Rotation(8).Count(2, 3, 4).Signs(2, 1)), (Counts{2, 3, 4}));
  EXPECT_EQ(counts(Rotation(8).Count(2, 3, 4).YStride(100, 32, 8, 1)), (Counts{2, 1, 12}));
  EXPECT_EQ(counts(Rotation(8).Count(2, 3, 4).XStride(96, 33, 8, 1)), (Counts{2, 3, 4}));
  EXPECT_EQ(counts(Rotation(8).Count(2, 1, 4).YStride(33, 0, 8, 1)), (Counts{2, 1, 4}));
  EXPECT_EQ(counts(Rotation(8).Count(2, 3, 1).YStride(33, 9, 0, 1)), (Counts{2, 1, 3}));
}

}  // namespace
