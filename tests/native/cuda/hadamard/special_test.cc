// NaN, infinities and zeros: they stay in their transform, and in their group.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/native/cuda/hadamard/run.h"

namespace {

using namespace sylvester_test;

class CudaHadamardSpecial : public CudaHadamard {
 protected:
  // The bits of the reference; where that is NaN, any NaN.
  void ExpectSame(const Rotation& rotation, const Memory& memory) {
    const Memory got = RotateOnDevice(library(), rotation, memory), want = ReferenceRun(rotation, memory);
    ExpectSame(got.scales, want.scales, rotation);
    ExpectSame(got.zeros, want.zeros, rotation);
    if (rotation.Quantized()) {
      EXPECT_EQ(got.y, want.y) << rotation.Name();
      return;
    }
    for (int64_t i = 0; i < rotation.YExtent(); ++i) {
      const double a = LoadElement(rotation.options.y_type, got.y.data(), i);
      const double b = LoadElement(rotation.options.y_type, want.y.data(), i);
      ASSERT_TRUE(std::isnan(b) ? std::isnan(a) : a == b && std::signbit(a) == std::signbit(b))
          << rotation.Name() << " at " << i << ": " << a << ", " << b;
    }
  }

 private:
  static void ExpectSame(const std::vector<float>& got, const std::vector<float>& want, const Rotation& rotation) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_TRUE(std::isnan(want[i]) ? std::isnan(got[i]) : ToBits(got[i]) == ToBits(want[i]))
          << rotation.Name() << " at " << i << ": " << got[i] << ", " << want[i];
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Runs, CudaHadamardSpecial, testing::ValuesIn(CudaRuns()), CudaRunName);

TEST_P(CudaHadamardSpecial, NanAndInfinityStayInTheirTransform) {
  for (const int32_t quantizer : {SYL_HADAMARD_NO_QUANTIZER, SYL_HADAMARD_I8, SYL_HADAMARD_U4, SYL_HADAMARD_U2}) {
    for (const float special : {kNaN, -kNaN, kInfinity, -kInfinity}) {
      for (const int64_t n : {4, 64, 512, 1024, 2048}) {
        for (const syl_dtype type : kCudaTypes) {
          const Rotation rotation = Rotation(n, type).Count(1, 1, 3).Quantize(quantizer);
          Memory memory = Fill(rotation, 120);
          StoreElement(type, memory.x.data(), n + n / 2 + 1, special);
          ExpectSame(rotation, memory);
        }
      }
      const Rotation base = Rotation(96).Family(SYL_HADAMARD_SYLVESTER, 12).Count(1, 1, 3).Quantize(quantizer);
      Memory memory = Fill(base, 121);
      StoreElement(SYL_F32, memory.x.data(), 100, special);
      ExpectSame(base, memory);
    }
  }
}

// Blocks of two keep what is in a group together: groups with and without something special.
TEST_P(CudaHadamardSpecial, GroupsWithNanInfinityAndZeros) {
  constexpr float kMost = std::numeric_limits<float>::max();
  for (const int32_t quantizer : {SYL_HADAMARD_I8, SYL_HADAMARD_U4, SYL_HADAMARD_U2}) {
    for (const int64_t group : {4, 16, 64}) {
      for (const float special : {kNaN, kInfinity, -kInfinity, kMost, 0.0f, -0.0f}) {
        for (const bool mapped : {false, true}) {
          Rotation rotation = Rotation(64).Family(SYL_HADAMARD_BLOCKS, 1, 0, 2).Scale(1).Count(1, 1, 3);
          rotation.Quantize(quantizer, group);
          if (mapped) rotation.GroupMap(122);
          Memory memory = Fill(rotation, 123);
          for (int64_t i = 64; i < 128; i += 2) {
            const bool is_special = special == 0 ? i < 96 : i == 80;
            StoreElement(SYL_F32, memory.x.data(), i, is_special ? special : static_cast<float>(i));
            StoreElement(SYL_F32, memory.x.data(), i + 1, special == kMost && i == 80 ? kMost / 8 : 0);
          }
          ExpectSame(rotation, memory);
        }
      }
    }
  }
}

}  // namespace
