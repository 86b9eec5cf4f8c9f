#include <sylvester/nn.h>

#include <cmath>

#include "native/common/pool.h"
#include "native/common/tier.h"
#include "native/cpu/nn/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/nn/rms_norm.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/nn/tree_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

void RmsNormRow(const float* x, const float* weight, float eps, int64_t cols, float* y) {
  const DVirtual d;
  VVirtual squares[kVirtualVectors];
  for (VVirtual& v : squares) v = hn::Zero(d);
  int64_t i = 0;
  for (; i + kVirtualLanes <= cols; i += kVirtualLanes) {
    for (int64_t v = 0; v < kVirtualVectors; ++v) {
      const VVirtual value = hn::LoadU(d, x + i + v * kRealLanes);
      squares[v] = hn::MulAdd(value, value, squares[v]);
    }
  }
  float sum = TreeSum16(squares);
  for (int64_t tail = i; tail < cols; ++tail) sum += x[tail] * x[tail];
  const float scale = 1.0f / std::sqrt(sum / static_cast<float>(cols) + eps);
  const VVirtual scales = hn::Set(d, scale);
  for (i = 0; i + kRealLanes <= cols; i += kRealLanes) {
    hn::StoreU(hn::Mul(hn::Mul(hn::LoadU(d, x + i), scales), hn::LoadU(d, weight + i)), d, y + i);
  }
  for (; i < cols; ++i) y[i] = x[i] * scale * weight[i];
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {
constexpr void (*kRmsNormRow[kTierCount])(const float*, const float*, float, int64_t, float*) = SYL_TIERS(RmsNormRow);
constexpr int64_t kRowsPerTask = 16;
}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_nn_rms_norm_f32(const float* x, int64_t x_stride, const float* weight, float eps, int64_t rows,
                               int64_t cols, float* y, int64_t y_stride, syl_pool* pool) {
  const Rows in{"x", x, x_stride}, out{"y", y, y_stride};
  syl_status status = CheckRows(__func__, in, rows, cols);
  if (status == SYL_OK) status = CheckRows(__func__, out, rows, cols);
  if (status == SYL_OK) status = CheckInPlace(__func__, in, out, rows, cols);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(weight);
  SYL_REQUIRE(std::isfinite(eps) && eps >= 0, SYL_BAD_VALUE, "eps is %g, must be finite and not negative", eps);
  SYL_REQUIRE(!Overlaps(weight, cols * 4, y, Extent(rows, cols, y_stride) * 4), SYL_OVERLAP,
              "y overlaps weight (%lld columns)", static_cast<long long>(cols));
  ParallelFor(pool, (rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task, int32_t) {
    const int64_t end = task * kRowsPerTask + kRowsPerTask;
    for (int64_t r = task * kRowsPerTask; r < end && r < rows; ++r) {
      kRmsNormRow[CurrentTier()](x + r * x_stride, weight, eps, cols, y + r * y_stride);
    }
  });
  return SYL_OK;
}
#endif
