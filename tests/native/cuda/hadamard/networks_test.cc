// The kernels that keep networks in registers: every length, type, layout, rounds, signs, gathers, codes.
#include <gtest/gtest.h>

#include <cstdint>

#include "tests/native/cuda/hadamard/run.h"

namespace {

using namespace sylvester_test;

class CudaHadamardNetworks : public CudaHadamard {};

INSTANTIATE_TEST_SUITE_P(Runs, CudaHadamardNetworks, testing::ValuesIn(CudaRuns()), CudaRunName);

// More rows than the grid takes at a time, the last warp without rows for all its lanes.
int64_t SomeRows(int64_t n) { return n <= 8 ? 300 : n <= 64 ? 37 : n <= 512 ? 9 : n <= 4096 ? 2 : 1; }

TEST_P(CudaHadamardNetworks, OfEveryLengthAndType) {
  for (const syl_dtype type : kCudaTypes) {
    for (int64_t n = 2; n <= 32768; n *= 2) {
      ExpectAllBits(Rotation(n, type).Count(1, 1, SomeRows(n)), 1);
    }
  }
}

TEST_P(CudaHadamardNetworks, MoreRowsThanTheGridTakesAtATime) {
  ExpectBits(Rotation(512).Count(1, 1, 32 * 8 + 5), 5);
  ExpectBits(Rotation(1024).Count(1, 1, 33), 6);
  ExpectBits(Rotation(128, SYL_BF16).Count(1, 1, 32 * 16 + 1), 7);
}

TEST_P(CudaHadamardNetworks, OfRoundsWithSigns) {
  for (const syl_dtype type : kCudaTypes) {
    for (const int64_t n : {2, 8, 32, 64, 256, 512, 1024, 2048, 8192}) {
      for (const int32_t rounds : {1, 2, 3}) {
        ExpectAllBits(Rotation(n, type).Count(1, 2, n <= 64 ? 5 : 1).Rounds(rounds).Signs(3, 8), 9);
      }
    }
    ExpectBits(Rotation(16384, type).Rounds(2).Signs(1, 10), 11);
  }
}

TEST_P(CudaHadamardNetworks, RowsWithGapsInAnyOrderOfStrides) {
  for (const syl_dtype type : kCudaTypes) {
    for (const int64_t n : {4, 64, 512, 1024}) {
      for (const int64_t gap : {3, 8}) {
        Rotation rotation = Rotation(n, type).Count(2, 3, 2).Signs(2, 12);
        rotation.XStride(n + gap, 2 * (n + gap), 6 * (n + gap), 1).YStride(n + gap, 2 * (n + gap), 6 * (n + gap), 1);
        ExpectAllBits(rotation, 13);
      }
    }
  }
}

// Across heads, on either side or both.
TEST_P(CudaHadamardNetworks, StridedElements) {
  for (const syl_dtype type : kCudaTypes) {
    for (const int64_t n : {8, 128, 512, 1024, 4096}) {
      const Rotation rows = Rotation(n, type).Count(1, 2, 3);
      Rotation both = rows, x_only = rows, y_only = rows;
      both.XStride(0, 4 * n, 1, 4).YStride(0, 4 * n, 1, 4);
      x_only.XStride(0, 4 * n, 1, 4);
      y_only.YStride(0, 4 * n, 1, 4);
      ExpectAllBits(both, 14);
      ExpectBits(x_only, 15);
      ExpectBits(y_only, 16);
      ExpectTransposedBits(x_only, 17);
    }
  }
}

TEST_P(CudaHadamardNetworks, AnyAlignment) {
  for (const syl_dtype type : kCudaTypes) {
    for (const int64_t n : {8, 256, 2048}) {
      How how;
      for (const size_t shift : {4, 8}) {
        how.shift = shift;
        ExpectBits(Rotation(n, type).Count(1, 1, 2), 18, how);
        ExpectBits(Rotation(n, type).Count(1, 1, 2).Quantize(SYL_HADAMARD_U4, 8), 19, how);
      }
    }
  }
}

TEST_P(CudaHadamardNetworks, OfGathers) {
  struct Case {
    int64_t n, x_length, zeros;
  };
  for (const Case& c : {Case{8, 8, 0}, Case{64, 300, 0}, Case{64, 50, 14}, Case{512, 600, 7}, Case{1024, 1024, 0},
                        Case{4096, 5000, 100}, Case{16, 20, 16}}) {
    for (const syl_dtype type : kCudaTypes) {
      ExpectAllBits(Rotation(c.n, type).Count(1, 1, 3).Gather(c.x_length, c.zeros, 20).Signs(2, 21), 22);
    }
  }
}

TEST_P(CudaHadamardNetworks, OfBlocks) {
  struct Case {
    int64_t n, block;
  };
  for (const Case& c : {Case{6, 2}, Case{12, 4}, Case{96, 32}, Case{192, 64}, Case{1536, 512}, Case{3072, 1024}}) {
    for (const syl_dtype type : kCudaTypes) {
      Rotation blocks = Rotation(c.n, type).Family(SYL_HADAMARD_BLOCKS, 1, 0, c.block);
      ExpectAllBits(blocks.Count(1, 2, 2).Rounds(2).Signs(2, 23), 24);
      ExpectBits(blocks.Count(1, 1, 2).Quantize(SYL_HADAMARD_I8, c.block), 25);
    }
  }
  // A gather crosses blocks.
  Rotation gathered = Rotation(192).Family(SYL_HADAMARD_BLOCKS, 1, 0, 64).Count(1, 1, 2).Gather(192, 0, 26);
  ExpectAllBits(gathered, 27);
}

TEST_P(CudaHadamardNetworks, PartsOfABatch) {
  for (const int64_t n : {32, 512, 1024}) {
    for (const int64_t first : {0, 1, 5}) {
      How how;
      how.first = first;
      how.count = 7 - first;
      ExpectBits(Rotation(n).Count(2, 2, 2).Signs(2, 28), 29, how);
      ExpectBits(Rotation(n).Count(2, 2, 2).Quantize(SYL_HADAMARD_U4, 16), 30, how);
      how.count = 0;
      ExpectBits(Rotation(n).Count(2, 2, 2), 31, how);
    }
  }
}

// One vector for all transforms, and windows of it.
TEST_P(CudaHadamardNetworks, TransformsOfXMayShareElements) {
  for (const int64_t n : {8, 512, 2048}) {
    Rotation rotation = Rotation(n).Count(1, 1, 5).Signs(5, 32);
    ExpectBits(rotation.XStride(0, 0, 0, 1), 33);
    ExpectBits(rotation.XStride(0, 0, 1, 1), 34);
  }
}

TEST_P(CudaHadamardNetworks, OfCodes) {
  for (const int32_t quantizer : {SYL_HADAMARD_I8, SYL_HADAMARD_U4, SYL_HADAMARD_U2}) {
    for (const syl_dtype type : kCudaTypes) {
      for (int64_t n = 4; n <= 1024; n *= 2) {
        for (int64_t group = 1; group <= n; group *= n > 32 ? 8 : 2) {
          ExpectBits(Rotation(n, type).Count(1, 1, n <= 64 ? 9 : 2).Quantize(quantizer, group), 35);
        }
        ExpectBits(Rotation(n, type).Count(1, 1, 3).Quantize(quantizer).Signs(2, 36), 37);
      }
      for (const int64_t group : {4, 2048, 8192}) ExpectBits(Rotation(8192, type).Quantize(quantizer, group), 38);
    }
    ExpectBits(Rotation(2048).Quantize(quantizer, 64).GroupMap(39), 40);
  }
}

TEST_P(CudaHadamardNetworks, OfExtremeValues) {
  for (const Values values : {Values::kTiny, Values::kPositive, Values::kOutliers, Values::kIntegers}) {
    for (const int32_t quantizer : {SYL_HADAMARD_NO_QUANTIZER, SYL_HADAMARD_I8, SYL_HADAMARD_U4, SYL_HADAMARD_U2}) {
      for (const syl_dtype type : kCudaTypes) {
        ExpectBits(Rotation(64, type).Count(1, 1, 5).Quantize(quantizer), 41, {}, values);
        ExpectBits(Rotation(1024, type).Quantize(quantizer), 42, {}, values);
      }
    }
  }
}

}  // namespace
