// Merging on a device against the CPU library byte by byte, and against plain loops in double.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "tests/native/cuda/kron/device.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 93;
constexpr double kScale = -0.3;

class CudaKronDelta : public CudaTest {
 protected:
  std::vector<uint8_t> Delta(const syl_kron& host, double scale, uint32_t flags, syl_dtype type, std::vector<uint8_t> w,
                             int64_t stride) const {
    const DeviceKron factors(library(), host);
    const DeviceBytes device_w(library(), w.data(), w.size());
    EXPECT_EQ(library().kron_delta(&factors.kron, scale, flags, type, device_w.get(), stride, nullptr), SYL_OK)
        << library().last_error();
    device_w.Read(w.data());
    return w;
  }

  // Weights with gaps that nothing may write.
  static std::vector<uint8_t> Weights(const KronSizes& sizes, syl_dtype type) {
    const Rows base(sizes.Out(), sizes.In(), kSeed + 1);
    std::vector<uint8_t> w(base.data.size() * (type == SYL_F32 ? 4 : 2));
    if (type == SYL_F32) {
      std::memcpy(w.data(), base.data.data(), w.size());
    } else {
      EXPECT_EQ(syl_convert_from_f32(type, base.data.data(), static_cast<int64_t>(base.data.size()), w.data()), SYL_OK);
    }
    return w;
  }

  void ExpectSame(const syl_kron& kron, const KronSizes& sizes, uint32_t flags, syl_dtype type) const {
    std::vector<uint8_t> want = Weights(sizes, type);
    const int64_t stride = sizes.In() + 3;
    const std::vector<uint8_t> got = Delta(kron, kScale, flags, type, want, stride);
    ASSERT_EQ(syl_kron_delta(&kron, kScale, flags, type, want.data(), stride, nullptr), SYL_OK) << syl_last_error();
    EXPECT_TRUE(got == want) << sizes << ", flags " << flags << ", types " << kron.type << " " << type;
  }
};

TEST_P(CudaKronDelta, HasTheBytesOfTheCpu) {
  for (const KronSizes& sizes : kKronSizes) {
    if (sizes.Out() * sizes.In() > 60000) continue;  // for time
    RandomKron random(sizes, kSeed);
    for (const syl_dtype type : {SYL_F32, SYL_F16, SYL_BF16}) {
      for (const uint32_t flags : {0u, uint32_t{SYL_KRON_ACCUMULATE}}) ExpectSame(random.Native(), sizes, flags, type);
    }
    for (const syl_dtype factors : {SYL_F16, SYL_BF16}) {
      const HalfKron half(random, factors);
      for (const syl_dtype type : {SYL_F32, SYL_F16, SYL_BF16}) ExpectSame(half.Native(), sizes, 1, type);
    }
  }
}

// What rounds to infinity or to a subnormal half does so as on the CPU.
TEST_P(CudaKronDelta, LargeAndSmallNumbersAreThoseOfTheCpu) {
  const KronSizes sizes{1, 4, 4, 4, 4};
  RandomKron random(sizes, kSeed);
  for (const float of_u : {1e30f, 3e5f, 1e-5f, 1e-25f}) {
    RandomKron scaled = random;
    for (float& value : scaled.u) value *= of_u;
    for (const syl_dtype type : {SYL_F32, SYL_F16, SYL_BF16}) ExpectSame(scaled.Native(), sizes, 0, type);
  }
}

TEST_P(CudaKronDelta, IsTheRoundedSumAndGoesAway) {
  const KronSizes s{3, 7, 5, 3, 11};
  const RandomKron kron(s, kSeed);
  const Doubles dense = DenseDelta(kron);
  const std::vector<uint8_t> base = Weights(s, SYL_F32);
  const int64_t stride = s.In() + 3;
  const std::vector<uint8_t> merged = Delta(kron.Native(), kScale, 1, SYL_F32, base, stride);
  const std::vector<uint8_t> back = Delta(kron.Native(), -kScale, 1, SYL_F32, merged, stride);
  for (int64_t o = 0; o < s.Out(); ++o) {
    for (int64_t i = 0; i < s.In(); ++i) {
      const auto value = [&](const std::vector<uint8_t>& w) {
        float number;
        std::memcpy(&number, w.data() + (o * stride + i) * 4, 4);
        return number;
      };
      const double want = value(base) + kScale * dense[static_cast<size_t>(o * s.In() + i)];
      ASSERT_LE(UlpError(value(merged), want), 0.501) << o << " " << i;
      ASSERT_NEAR(value(back), value(base), 1e-5) << o << " " << i;
    }
  }
}

TEST_P(CudaKronDelta, BadArgumentsAreNamed) {
  const RandomKron random({2, 3, 2, 2, 5}, kSeed);
  const DeviceKron factors(library(), random.Native());
  const Floats zeros(64);
  const DeviceBytes memory(library(), zeros.data(), Bytes(zeros));
  struct Call {
    syl_kron kron;
    double scale = 1;
    uint32_t flags = 0;
    syl_dtype type = SYL_F32;
    void* w;
    int64_t stride = 10;
  };
  const auto refuse = [&](const auto& change, syl_status status, const char* text) {
    Call c;
    c.kron = factors.kron;
    c.w = memory.get();
    change(c);
    EXPECT_EQ(library().kron_delta(&c.kron, c.scale, c.flags, c.type, c.w, c.stride, nullptr), status);
    EXPECT_NE(std::string(library().last_error()).find(text), std::string::npos) << library().last_error();
  };
  refuse([](Call& c) { c.kron.m = 0; }, SYL_BAD_VALUE, "kron->m is 0");
  refuse([](Call& c) { c.kron.v = nullptr; }, SYL_NULL_ARGUMENT, "kron->v is NULL");
  refuse([](Call& c) { c.kron.u = static_cast<const char*>(c.kron.u) + 1; }, SYL_BAD_VALUE, "kron->u is");
  refuse([](Call& c) { c.scale = INFINITY; }, SYL_BAD_VALUE, "scale is inf");
  refuse([](Call& c) { c.flags = SYL_KRON_TRANSPOSED; }, SYL_BAD_VALUE, "flags is 2");
  refuse([](Call& c) { c.type = SYL_Q8_0; }, SYL_BAD_VALUE, "type is 8");
  refuse([](Call& c) { c.w = nullptr; }, SYL_NULL_ARGUMENT, "w is NULL");
  refuse([](Call& c) { c.w = static_cast<char*>(c.w) + 2; }, SYL_BAD_VALUE, "w is");
  refuse([](Call& c) { c.stride = 9; }, SYL_BAD_SHAPE, "w_stride is 9, must be at least 10");
  refuse([](Call& c) { c.stride = INT64_MAX / 2; }, SYL_BAD_SHAPE, "w_stride is");
  Floats after(zeros.size());
  memory.Read(after.data());
  EXPECT_EQ(after, zeros);
}

INSTANTIATE_TEST_SUITE_P(Runs, CudaKronDelta, testing::ValuesIn(CudaRuns()), CudaRunName);

}  // namespace
