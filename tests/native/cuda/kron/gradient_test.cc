// Gradients on a device against the CPU library bit by bit, and against plain loops in double.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "tests/native/cuda/kron/device.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 92;
constexpr float kScale = 0.4375f;

struct Sums {
  Sums(const KronSizes& s, int64_t rows)
      : du(Normal(s.USize(), kSeed + 3)), dv(Normal(s.VSize(), kSeed + 4)), dx(rows, s.In(), kSeed + 5) {}

  Floats du, dv;
  Rows dx;
};

class CudaKronGradient : public CudaTest {
 protected:
  int64_t WorkspaceBytes(const syl_kron& kron, int64_t rows) const {
    int64_t bytes = -1;
    EXPECT_EQ(library().kron_gradient_workspace(&kron, rows, &bytes), SYL_OK) << library().last_error();
    return bytes;
  }

  void AddOnDevice(const syl_kron& host, const Rows& x, const Rows& g, bool with_dx, Sums& sums) const {
    const DeviceKron factors(library(), host);
    const DeviceBytes device_x(library(), x.data.data(), Bytes(x.data)),
        device_g(library(), g.data.data(), Bytes(g.data));
    const DeviceBytes du(library(), sums.du.data(), Bytes(sums.du)), dv(library(), sums.dv.data(), Bytes(sums.dv));
    const DeviceBytes dx(library(), sums.dx.data.data(), Bytes(sums.dx.data));
    const std::vector<uint8_t> nan(static_cast<size_t>(WorkspaceBytes(host, x.rows)), 0xff);
    const DeviceBytes workspace(library(), nan.data(), nan.size(), 4);
    ASSERT_EQ(library().kron_gradient_f32(&factors.kron, kScale, static_cast<const float*>(device_x.get()), x.stride,
                                          static_cast<const float*>(device_g.get()), g.stride, x.rows,
                                          static_cast<float*>(du.get()), static_cast<float*>(dv.get()),
                                          with_dx ? static_cast<float*>(dx.get()) : nullptr, sums.dx.stride,
                                          workspace.get(), static_cast<int64_t>(nan.size()), nullptr),
              SYL_OK)
        << library().last_error();
    du.Read(sums.du.data());
    dv.Read(sums.dv.data());
    dx.Read(sums.dx.data.data());
  }

  void ExpectSame(const KronSizes& sizes, int64_t rows, bool with_dx) const {
    const RandomKron random(sizes, kSeed);
    const syl_kron kron = random.Native();
    const Rows x(rows, sizes.In(), kSeed + 1), g(rows, sizes.Out(), kSeed + 2);
    Sums want(sizes, rows), got(sizes, rows);
    AddOnDevice(kron, x, g, with_dx, got);
    int64_t bytes = 0;
    ASSERT_EQ(syl_kron_gradient_workspace(&kron, &bytes), SYL_OK) << syl_last_error();
    std::vector<uint8_t> workspace(static_cast<size_t>(bytes));
    ASSERT_EQ(
        syl_kron_gradient_f32(&kron, kScale, x.At(0), x.stride, g.At(0), g.stride, rows, want.du.data(), want.dv.data(),
                              with_dx ? want.dx.At(0) : nullptr, want.dx.stride, workspace.data(), bytes, nullptr),
        SYL_OK)
        << syl_last_error();
    EXPECT_TRUE(SameBits(got.du, want.du)) << sizes;
    EXPECT_TRUE(SameBits(got.dv, want.dv)) << sizes;
    EXPECT_TRUE(SameBits(got.dx.data, want.dx.data)) << sizes;
  }
};

TEST_P(CudaKronGradient, HasTheBitsOfTheCpu) {
  for (const KronSizes& sizes : kKronSizes) ExpectSame(sizes, 3, true);
}

// More rows than are summed at a time, in all and because T is large; no dx.
TEST_P(CudaKronGradient, RowsAreSummedInTheGroupsOfTheCpu) {
  ExpectSame({2, 3, 2, 2, 5}, 131, false);
  ExpectSame({5, 1, 100, 50, 1}, 5, true);
}

TEST_P(CudaKronGradient, IsTheDerivative) {
  const KronSizes s{2, 3, 4, 5, 2};
  const RandomKron kron(s, kSeed);
  const int64_t rows = 70;
  const Rows x(rows, s.In(), kSeed + 1), g(rows, s.Out(), kSeed + 2);
  Sums sums(s, rows);
  const Sums before = sums;
  AddOnDevice(kron.Native(), x, g, true, sums);
  const auto at = [](int64_t i) { return static_cast<size_t>(i); };
  Doubles du(s.USize()), dv(s.VSize());
  for (int64_t r = 0; r < rows; ++r) {
    Doubles dx(at(s.In()));
    for (int64_t k = 0; k < s.terms; ++k) {
      for (int64_t o = 0; o < s.Out(); ++o) {
        for (int64_t i = 0; i < s.In(); ++i) {
          const size_t u = at((k * s.m + o / s.p) * s.n + i / s.q), v = at((k * s.p + o % s.p) * s.q + i % s.q);
          const double weight = static_cast<double>(kScale) * g.At(r)[o];
          du[u] += weight * x.At(r)[i] * kron.v[v];
          dv[v] += weight * x.At(r)[i] * kron.u[u];
          dx[at(i)] += weight * kron.u[u] * kron.v[v];
        }
      }
    }
    for (int64_t i = 0; i < s.In(); ++i) ASSERT_NEAR(sums.dx.At(r)[i] - before.dx.At(r)[i], dx[at(i)], 1e-5);
  }
  for (size_t i = 0; i < du.size(); ++i) ASSERT_NEAR(sums.du[i] - before.du[i], du[i], 2e-4) << i;
  for (size_t i = 0; i < dv.size(); ++i) ASSERT_NEAR(sums.dv[i] - before.dv[i], dv[i], 2e-4) << i;
}

TEST_P(CudaKronGradient, BadArgumentsAreNamed) {
  const RandomKron random({2, 3, 2, 2, 5}, kSeed);
  const DeviceKron factors(library(), random.Native());
  const Floats zeros(128);
  const DeviceBytes memory(library(), zeros.data(), Bytes(zeros));
  auto* const at = static_cast<float*>(memory.get());
  struct Call {
    syl_kron kron;
    float scale = 1, *x, *g, *du, *dv, *dx;
    int64_t x_stride = 10, g_stride = 6, rows = 1, dx_stride = 10, bytes;
    void* workspace;
  };
  const auto refuse = [&](const auto& change, syl_status status, const char* text) {
    Call c;
    c.kron = factors.kron;
    c.x = at;
    c.g = at + 16;
    c.du = at + 32;
    c.dv = at + 48;
    c.dx = at + 80;
    c.bytes = WorkspaceBytes(factors.kron, 1);
    c.workspace = at;
    change(c);
    EXPECT_EQ(library().kron_gradient_f32(&c.kron, c.scale, c.x, c.x_stride, c.g, c.g_stride, c.rows, c.du, c.dv, c.dx,
                                          c.dx_stride, c.workspace, c.bytes, nullptr),
              status);
    EXPECT_NE(std::string(library().last_error()).find(text), std::string::npos) << library().last_error();
  };
  const auto misaligned = [](float* pointer) { return reinterpret_cast<float*>(reinterpret_cast<char*>(pointer) + 1); };
  refuse([](Call& c) { c.kron.terms = 0; }, SYL_BAD_VALUE, "kron->terms is 0");
  refuse([](Call& c) { c.kron.type = SYL_F16; }, SYL_UNSUPPORTED, "kron->type is");
  refuse([](Call& c) { c.kron.u = nullptr; }, SYL_NULL_ARGUMENT, "kron->u is NULL");
  refuse([](Call& c) { c.kron.v = static_cast<const char*>(c.kron.v) + 2; }, SYL_BAD_VALUE, "kron->v is");
  refuse([](Call& c) { c.scale = NAN; }, SYL_BAD_VALUE, "scale is nan");
  refuse([](Call& c) { c.x = nullptr; }, SYL_NULL_ARGUMENT, "x is NULL");
  refuse([](Call& c) { c.g = nullptr; }, SYL_NULL_ARGUMENT, "g is NULL");
  refuse([](Call& c) { c.du = nullptr; }, SYL_NULL_ARGUMENT, "du is NULL");
  refuse([](Call& c) { c.dv = nullptr; }, SYL_NULL_ARGUMENT, "dv is NULL");
  refuse([](Call& c) { c.workspace = nullptr; }, SYL_NULL_ARGUMENT, "workspace is NULL");
  refuse([](Call& c) { c.rows = -1; }, SYL_BAD_VALUE, "rows is -1");
  refuse([](Call& c) { c.x_stride = 9; }, SYL_BAD_SHAPE, "x_stride is 9");
  refuse([](Call& c) { c.g_stride = 5; }, SYL_BAD_SHAPE, "g_stride is 5");
  refuse([](Call& c) { c.dx_stride = 9; }, SYL_BAD_SHAPE, "dx_stride is 9");
  refuse([](Call& c) { c.bytes -= 1; }, SYL_WORKSPACE, "workspace_bytes is");
  refuse([&](Call& c) { c.x = misaligned(c.x); }, SYL_BAD_VALUE, ": x is");
  refuse([&](Call& c) { c.g = misaligned(c.g); }, SYL_BAD_VALUE, ": g is");
  refuse([&](Call& c) { c.du = misaligned(c.du); }, SYL_BAD_VALUE, "du is");
  refuse([&](Call& c) { c.dv = misaligned(c.dv); }, SYL_BAD_VALUE, "dv is");
  refuse([&](Call& c) { c.dx = misaligned(c.dx); }, SYL_BAD_VALUE, "dx is");
  Floats after(zeros.size());
  memory.Read(after.data());
  EXPECT_EQ(after, zeros);
  int64_t bytes = 0;
  EXPECT_EQ(library().kron_gradient_workspace(nullptr, 1, &bytes), SYL_NULL_ARGUMENT);
  EXPECT_EQ(library().kron_gradient_workspace(&factors.kron, -1, &bytes), SYL_BAD_VALUE);
  EXPECT_EQ(library().kron_gradient_workspace(&factors.kron, 1, nullptr), SYL_NULL_ARGUMENT);
}

INSTANTIATE_TEST_SUITE_P(Runs, CudaKronGradient, testing::ValuesIn(CudaRuns()), CudaRunName);

}  // namespace
