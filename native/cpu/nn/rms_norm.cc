#include <sylvester/nn.h>

#include <cmath>

#include "native/common/pool.h"
#include "native/common/tier.h"
#include "native/cpu/nn/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/nn/rms_norm.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/nn/double_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

// Squares of floats are exact in double and never overflow there.
HWY_INLINE double SumOfSquares(const float* x, int64_t cols) {
  const DoubleSum::D d;
  const DoubleSum::DFloat df;
  DoubleSum squares;
  int64_t i = 0;
  for (; i + DoubleSum::kVirtualLanes <= cols; i += DoubleSum::kVirtualLanes) {
    for (int64_t v = 0; v < DoubleSum::kVectors; ++v) {
      const auto value = hn::PromoteTo(d, hn::LoadU(df, x + i + v * DoubleSum::kLanes));
      squares.sums[v] = hn::MulAdd(value, value, squares.sums[v]);
    }
  }
  double sum = squares.Total();
  for (; i < cols; ++i) sum += static_cast<double>(x[i]) * x[i];
  return sum;
}

void RmsNormRow(const float* x, const float* weight, float eps, int64_t cols, float* y) {
  const auto scale = static_cast<float>(1.0 / std::sqrt(SumOfSquares(x, cols) / static_cast<double>(cols) + eps));
  const hn::ScalableTag<float> d;
  const int64_t N = hn::MaxLanes(d);
  const auto scales = hn::Set(d, scale);
  int64_t i = 0;
  for (; i + N <= cols; i += N) {
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
