// Transforms in steps: bases, regular matrices, overlapped rounds, mixed types, any groups, and rows too long for a
// block.
#include <gtest/gtest.h>

#include <cstdint>

#include "tests/native/cuda/hadamard/run.h"

namespace {

using namespace sylvester_test;

class CudaHadamardTransforms : public CudaHadamard {};

INSTANTIATE_TEST_SUITE_P(Runs, CudaHadamardTransforms, testing::ValuesIn(CudaRuns()), CudaRunName);

Rotation Base(int64_t butterflies, int32_t base, syl_dtype type = SYL_F32, int32_t table = 0) {
  return Rotation(base * butterflies, type).Family(SYL_HADAMARD_SYLVESTER, base, table);
}
Rotation Regular(int64_t n, syl_dtype type = SYL_F32) { return Rotation(n, type).Family(SYL_HADAMARD_REGULAR); }
Rotation Overlapped(int64_t n, int32_t rounds, syl_dtype type = SYL_F32) {
  return Rotation(n, type).Family(SYL_HADAMARD_OVERLAPPED).Rounds(rounds);
}

TEST_P(CudaHadamardTransforms, OfEveryBase) {
  for (const int64_t butterflies : {1, 2, 8, 32}) {
    for (const int32_t base : kBases) ExpectAllBits(Base(butterflies, base).Count(1, 1, 2), 50);
    ExpectAllBits(Base(butterflies, 12, SYL_F32, SYL_HADAMARD_TABLE_QUAROT), 54);
  }
  for (const syl_dtype type : {SYL_F16, SYL_BF16}) {
    for (const int32_t base : kBases) ExpectBits(Base(4, base, type), 55);
  }
  ExpectAllBits(Base(128, 28).Count(1, 1, 2).Rounds(2).Signs(2, 56), 57);
  ExpectAllBits(Base(8, 20).Count(1, 1, 2).Gather(200, 5, 58), 59);
}

TEST_P(CudaHadamardTransforms, OfRegularMatrices) {
  for (const syl_dtype type : kCudaTypes) {
    for (int64_t n = 4; n <= 4096; n *= 4) ExpectAllBits(Regular(n, type).Count(1, 1, n <= 64 ? 3 : 1), 60);
  }
  ExpectAllBits(Regular(256).Count(1, 2, 2).Rounds(3).Signs(2, 61), 62);
}

TEST_P(CudaHadamardTransforms, OfOverlappedRounds) {
  for (const int64_t n : {2, 3, 5, 12, 31, 33, 100, 137, 768, 1000}) {
    for (const int32_t rounds : {1, 2, 3}) ExpectAllBits(Overlapped(n, rounds).Count(1, 1, 2).Signs(2, 63), 64);
    ExpectAllBits(Overlapped(n, 2, SYL_BF16), 65);
  }
  ExpectAllBits(Overlapped(100, 3).Count(1, 1, 3).Gather(120, 5, 66), 67);
}

TEST_P(CudaHadamardTransforms, OfMixedTypes) {
  for (const syl_dtype x : kCudaTypes) {
    for (const syl_dtype y : kCudaTypes) {
      if (x == y) continue;
      for (const int64_t n : {2, 16, 128, 2048}) {
        Rotation rotation = Rotation(n).Types(x, y).Count(1, 1, 3).Rounds(2).Signs(2, 68);
        ExpectAllBits(rotation, 69);
        ExpectAllBits(rotation.XStride(0, 0, 1, 5), 70);
      }
    }
  }
}

TEST_P(CudaHadamardTransforms, OfCodes) {
  for (const int32_t quantizer : {SYL_HADAMARD_I8, SYL_HADAMARD_U4, SYL_HADAMARD_U2}) {
    for (const int64_t group : {1, 3, 4, 10, 60, 120}) {
      ExpectBits(Overlapped(120, 2).Count(1, 1, 2).Quantize(quantizer, group), 71);
    }
    for (const int64_t group : {7, 64, 448}) ExpectBits(Base(16, 28).Count(1, 1, 2).Quantize(quantizer, group), 72);
    for (const int64_t group : {1, 4, 32, 512}) {
      ExpectBits(Rotation(512, SYL_F16).Quantize(quantizer, group).GroupMap(73).Signs(2, 74), 75);
    }
    ExpectBits(Regular(4096).Count(1, 1, 2).Quantize(quantizer, 2048), 76);
    ExpectBits(Rotation(96).Family(SYL_HADAMARD_BLOCKS, 1, 0, 32).Quantize(quantizer, 48), 77);
  }
}

TEST_P(CudaHadamardTransforms, OfRowsTooLongForABlock) {
  ExpectAllBits(Rotation(1 << 16).Rounds(2).Signs(1, 80), 81);
  ExpectBits(Rotation(1 << 17, SYL_BF16), 85);
  ExpectBits(Rotation(1 << 16).Quantize(SYL_HADAMARD_U4, 4096), 86);
  ExpectBits(Rotation(1 << 16).Quantize(SYL_HADAMARD_I8, 64).GroupMap(87), 88);
  ExpectAllBits(Overlapped(70000, 3).Signs(1, 89), 90);
  ExpectBits(Regular(1 << 16), 94);
  ExpectAllBits(Base(2048, 36), 95);
  ExpectAllBits(Base(512, 140), 99);
  ExpectBits(Rotation(3 << 16).Family(SYL_HADAMARD_BLOCKS, 1, 0, 1 << 16), 103);
  ExpectAllBits(Rotation(1 << 16).Gather(70000, 10, 104), 105);
}

// 16 MB of rows are in the workspace at a time.
TEST_P(CudaHadamardTransforms, OfMoreLongRowsThanTheWorkspaceHolds) {
  if (GetParam().options.races) return ExpectBits(Rotation(1 << 16, SYL_BF16).Count(1, 1, 3), 109);
  ExpectBits(Rotation(1 << 16, SYL_BF16).Count(1, 1, 66), 109);
}

}  // namespace
