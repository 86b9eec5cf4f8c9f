// Kronecker adapters on a device against the CPU library bit by bit, and against plain loops in double.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/native/cuda/kron/device.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 91;
constexpr float kScale = -0.625f;

class CudaKron : public CudaTest {
 protected:
  int64_t WorkspaceBytes(const syl_kron& kron, int64_t rows) const {
    int64_t bytes = -1;
    EXPECT_EQ(library().kron_workspace(&kron, rows, &bytes), SYL_OK) << library().last_error();
    return bytes;
  }

  // y after the call, its gaps included.
  Floats Apply(const syl_kron& host, const Floats& x, int64_t x_stride, int64_t rows, uint32_t flags, Floats y,
               int64_t y_stride) const {
    const DeviceKron factors(library(), host);
    const DeviceBytes device_x(library(), x.data(), Bytes(x)), device_y(library(), y.data(), Bytes(y));
    const std::vector<uint8_t> nan(static_cast<size_t>(WorkspaceBytes(host, rows)), 0xff);
    const DeviceBytes workspace(library(), nan.data(), nan.size(), 4);
    EXPECT_EQ(library().kron_apply_f32(&factors.kron, kScale, static_cast<const float*>(device_x.get()), x_stride, rows,
                                       flags, static_cast<float*>(device_y.get()), y_stride, workspace.get(),
                                       static_cast<int64_t>(nan.size()), nullptr),
              SYL_OK)
        << library().last_error();
    device_y.Read(y.data());
    return y;
  }

  void ExpectSame(const syl_kron& kron, const KronSizes& sizes, int64_t rows, uint32_t flags) const {
    const bool transposed = (flags & SYL_KRON_TRANSPOSED) != 0;
    const int64_t in = transposed ? sizes.Out() : sizes.In(), out = transposed ? sizes.In() : sizes.Out();
    const int64_t x_stride = in + 3, y_stride = out + 5;
    const Floats x = Normal(static_cast<size_t>(rows * x_stride), kSeed + 1);
    Floats y = Normal(static_cast<size_t>(rows * y_stride), kSeed + 2);
    const Floats got = Apply(kron, x, x_stride, rows, flags, y, y_stride);
    PackedKron packed(kron, flags & SYL_KRON_TRANSPOSED);
    std::vector<uint8_t> workspace(static_cast<size_t>(KronWorkspace(packed.Data())));
    ASSERT_EQ(syl_kron_apply_f32(packed.Data(), kScale, x.data(), x_stride, rows, flags & SYL_KRON_ACCUMULATE, y.data(),
                                 y_stride, workspace.data(), static_cast<int64_t>(workspace.size()), nullptr),
              SYL_OK)
        << syl_last_error();
    EXPECT_EQ(std::memcmp(got.data(), y.data(), Bytes(y)), 0) << sizes << ", flags " << flags << ", type " << kron.type;
  }
};

TEST_P(CudaKron, HasTheBitsOfTheCpu) {
  for (const KronSizes& sizes : kKronSizes) {
    RandomKron kron(sizes, kSeed);
    for (const uint32_t flags : {0u, 1u, 2u, 3u}) ExpectSame(kron.Native(), sizes, 3, flags);
    for (const syl_dtype type : {SYL_F16, SYL_BF16}) ExpectSame(HalfKron(kron, type).Native(), sizes, 2, 0);
  }
}

TEST_P(CudaKron, IsTheSum) {
  const KronSizes sizes = {3, 7, 5, 3, 11};
  const RandomKron kron(sizes, kSeed);
  const Doubles dense = DenseDelta(kron);
  const Floats x = Normal(static_cast<size_t>(sizes.In()), kSeed + 3);
  const Floats y = Apply(kron.Native(), x, sizes.In(), 1, 0, Floats(static_cast<size_t>(sizes.Out())), sizes.Out());
  for (size_t o = 0; o < y.size(); ++o) {
    double want = 0;
    for (size_t i = 0; i < x.size(); ++i) want += kScale * dense[o * x.size() + i] * x[i];
    EXPECT_NEAR(y[o], want, 1e-4) << o;
  }
}

// A row that is not finite changes no other, and more rows than are computed at a time are all there.
TEST_P(CudaKron, RowsAreAlone) {
  const KronSizes sizes = {2, 3, 2, 2, 5};
  const RandomKron kron(sizes, kSeed);
  const int64_t rows = GetParam().options.races ? 20 : 1030;
  Floats x = Normal(static_cast<size_t>(rows * sizes.In()), kSeed + 4);
  const Floats zero(static_cast<size_t>(rows * sizes.Out()));
  const Floats want = Apply(kron.Native(), x, sizes.In(), rows, 0, zero, sizes.Out());
  x[static_cast<size_t>(5 * sizes.In())] = std::numeric_limits<float>::infinity();
  const Floats got = Apply(kron.Native(), x, sizes.In(), rows, 0, zero, sizes.Out());
  const auto last = Apply(kron.Native(), {x.end() - sizes.In(), x.end()}, sizes.In(), 1, 0,
                          Floats(static_cast<size_t>(sizes.Out())), sizes.Out());
  EXPECT_EQ(Floats(got.end() - sizes.Out(), got.end()), last);
  for (size_t i = 0; i < got.size(); ++i) {
    if (i / static_cast<size_t>(sizes.Out()) == 5) continue;
    EXPECT_EQ(got[i], want[i]) << i;
  }
}

class CudaKronSegments : public CudaKron {};

TEST_P(CudaKronSegments, AreALoop) {
  const KronSizes of[] = {{3, 4, 2, 6, 15}, {2, 24, 1, 1, 30}};
  const RandomKron first(of[0], kSeed), second(of[1], kSeed + 1);
  const DeviceKron device_first(library(), first.Native()), device_second(library(), second.Native());
  const syl_kron adapters[] = {device_first.kron, device_second.kron};
  const int64_t begin[] = {0, 2, 2, 3, 7, 8}, rows = 8, out = 24, in = 30;
  const int32_t adapter[] = {1, 0, -1, 0, 1};
  const float scale[] = {0.5f, 1, 1, kScale, 2};
  const syl_cuda_kron_segments segments = {sizeof(segments), 2, 5, adapters, begin, adapter, scale};
  const Floats x = Normal(static_cast<size_t>(rows * in), kSeed + 5);
  PackedKron packed_first(first.Native()), packed_second(second.Native());
  const void* packed[] = {packed_first.Data(), packed_second.Data()};
  const syl_kron_segments on_cpu = {sizeof(on_cpu), 2, 5, packed, begin, adapter, scale};
  std::vector<uint8_t> memory(
      static_cast<size_t>(std::max(KronWorkspace(packed_first.Data()), KronWorkspace(packed_second.Data()))));
  const int64_t needed = std::max(WorkspaceBytes(adapters[0], rows), WorkspaceBytes(adapters[1], rows));
  for (const uint32_t flags : {0u, uint32_t{SYL_KRON_ACCUMULATE}}) {
    Floats want = Normal(static_cast<size_t>(rows * out), kSeed + 6), got = want;
    ASSERT_EQ(syl_kron_apply_segments_f32(&on_cpu, out, in, x.data(), in, flags, want.data(), out, memory.data(),
                                          static_cast<int64_t>(memory.size()), nullptr),
              SYL_OK)
        << syl_last_error();
    const DeviceBytes device_x(library(), x.data(), Bytes(x)), device_y(library(), got.data(), Bytes(got));
    const std::vector<uint8_t> nan(static_cast<size_t>(needed), 0xff);
    const DeviceBytes workspace(library(), nan.data(), nan.size());
    ASSERT_EQ(
        library().kron_apply_segments_f32(&segments, out, in, static_cast<const float*>(device_x.get()), in, flags,
                                          static_cast<float*>(device_y.get()), out, workspace.get(), needed, nullptr),
        SYL_OK)
        << library().last_error();
    device_y.Read(got.data());
    EXPECT_EQ(got, want) << "flags " << flags;
  }
}

TEST_P(CudaKron, BadArgumentsAreNamed) {
  const RandomKron kron({2, 3, 2, 2, 5}, kSeed);
  const DeviceKron factors(library(), kron.Native());
  const Floats zeros(64);
  const DeviceBytes rows(library(), zeros.data(), Bytes(zeros));
  auto* const at = static_cast<float*>(rows.get());
  struct Call {
    syl_kron kron;
    float scale = 1;
    float *x, *y;
    int64_t x_stride = 10, rows = 1, y_stride = 6, bytes;
    uint32_t flags = 0;
    void* workspace;
  };
  const auto refuse = [&](const auto& change, syl_status status, const char* text) {
    Call c;
    c.kron = factors.kron;
    c.x = at;
    c.y = at + 32;
    c.bytes = WorkspaceBytes(factors.kron, 1);
    c.workspace = at;
    change(c);
    EXPECT_EQ(library().kron_apply_f32(&c.kron, c.scale, c.x, c.x_stride, c.rows, c.flags, c.y, c.y_stride, c.workspace,
                                       c.bytes, nullptr),
              status);
    EXPECT_NE(std::string(library().last_error()).find(text), std::string::npos) << library().last_error();
  };
  refuse([](Call& c) { c.kron.terms = 0; }, SYL_BAD_VALUE, "kron->terms is 0");
  refuse([](Call& c) { c.kron.u = nullptr; }, SYL_NULL_ARGUMENT, "kron->u");
  refuse([](Call& c) { c.kron.v = static_cast<const char*>(c.kron.v) + 1; }, SYL_BAD_VALUE, "kron->v is");
  refuse([](Call& c) { c.scale = INFINITY; }, SYL_BAD_VALUE, "scale is inf");
  refuse([](Call& c) { c.x = nullptr; }, SYL_NULL_ARGUMENT, "x is NULL");
  refuse([](Call& c) { c.x_stride = 9; }, SYL_BAD_SHAPE, "x_stride is 9, must be at least 10");
  refuse([](Call& c) { c.flags = SYL_KRON_TRANSPOSED; }, SYL_BAD_SHAPE, "y_stride is 6, must be at least 10");
  refuse([](Call& c) { c.flags = 4; }, SYL_BAD_VALUE, "flags is 4");
  refuse([](Call& c) { c.rows = -1; }, SYL_BAD_VALUE, "rows is -1");
  refuse([](Call& c) { c.bytes -= 1; }, SYL_WORKSPACE, "workspace_bytes is");
  refuse([](Call& c) { c.workspace = nullptr; }, SYL_NULL_ARGUMENT, "workspace is NULL");
  refuse([](Call& c) { c.y = reinterpret_cast<float*>(reinterpret_cast<char*>(c.y) + 2); }, SYL_BAD_VALUE, "y is");
}

INSTANTIATE_TEST_SUITE_P(Runs, CudaKron, testing::ValuesIn(CudaRuns()), CudaRunName);
INSTANTIATE_TEST_SUITE_P(Runs, CudaKronSegments, testing::ValuesIn(CudaRuns()), CudaRunName);

}  // namespace
