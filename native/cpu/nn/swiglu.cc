#include <sylvester/nn.h>

#include "native/common/pool.h"
#include "native/common/tier.h"
#include "native/cpu/nn/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/nn/swiglu.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/nn/silu-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

template <class D>
HWY_INLINE void SwiGluAt(D d, const float* gate, const float* up, float* y) {
  hn::StoreU(hn::Mul(Silu(d, hn::LoadU(d, gate)), hn::LoadU(d, up)), d, y);
}

void SwiGluRow(const float* gate, const float* up, int64_t cols, float* y) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> d1;
  const int64_t N = hn::MaxLanes(d);
  int64_t i = 0;
  for (; i + N <= cols; i += N) SwiGluAt(d, gate + i, up + i, y + i);
  for (; i < cols; ++i) SwiGluAt(d1, gate + i, up + i, y + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {
constexpr void (*kSwiGluRow[kTierCount])(const float*, const float*, int64_t, float*) = SYL_TIERS(SwiGluRow);
constexpr int64_t kRowsPerTask = 8;
}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_nn_swiglu_f32(const float* gate, int64_t gate_stride, const float* up, int64_t up_stride, int64_t rows,
                             int64_t cols, float* y, int64_t y_stride, syl_pool* pool) {
  const Rows gates{"gate", gate, gate_stride}, ups{"up", up, up_stride}, out{"y", y, y_stride};
  syl_status status = CheckRows(__func__, gates, rows, cols);
  if (status == SYL_OK) status = CheckRows(__func__, ups, rows, cols);
  if (status == SYL_OK) status = CheckRows(__func__, out, rows, cols);
  if (status == SYL_OK) status = CheckInPlace(__func__, gates, out, rows, cols);
  if (status == SYL_OK) status = CheckInPlace(__func__, ups, out, rows, cols);
  if (status != SYL_OK) return status;
  ParallelFor(pool, (rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task, int32_t) {
    const int64_t end = task * kRowsPerTask + kRowsPerTask;
    for (int64_t r = task * kRowsPerTask; r < end && r < rows; ++r) {
      kSwiGluRow[CurrentTier()](gate + r * gate_stride, up + r * up_stride, cols, y + r * y_stride);
    }
  });
  return SYL_OK;
}
#endif
