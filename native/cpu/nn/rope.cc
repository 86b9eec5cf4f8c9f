#include <sylvester/nn.h>

#include <cmath>

#include "native/common/pool.h"
#include "native/common/tier.h"
#include "native/cpu/nn/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/nn/rope.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// b cos + a sin and a cos - b sin, the first product rounded, the second fused.
template <class V>
HWY_INLINE void Rotate(V& a, V& b, V cos, V sin) {
  const V new_a = hn::NegMulAdd(b, sin, hn::Mul(a, cos));
  b = hn::MulAdd(a, sin, hn::Mul(b, cos));
  a = new_a;
}

template <class D>
HWY_INLINE void RotateHalves(D d, float* a, float* b, const float* cos, const float* sin) {
  auto va = hn::LoadU(d, a), vb = hn::LoadU(d, b);
  Rotate(va, vb, hn::LoadU(d, cos), hn::LoadU(d, sin));
  hn::StoreU(va, d, a);
  hn::StoreU(vb, d, b);
}

template <class D>
HWY_INLINE void RotatePairs(D d, float* x, const float* cos, const float* sin) {
  hn::Vec<D> a, b;
  hn::LoadInterleaved2(d, x, a, b);
  Rotate(a, b, hn::LoadU(d, cos), hn::LoadU(d, sin));
  hn::StoreInterleaved2(a, b, d, x);
}

void RopeRow(float* x, int64_t heads, int64_t head_dim, int64_t dims, bool interleaved, const float* table) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> d1;
  const int64_t N = hn::MaxLanes(d), half = dims / 2;
  const float* cos = table;
  const float* sin = table + half;
  for (int64_t h = 0; h < heads; ++h, x += head_dim) {
    int64_t i = 0;
    if (interleaved) {
      for (; i + N <= half; i += N) RotatePairs(d, x + 2 * i, cos + i, sin + i);
      for (; i < half; ++i) RotateHalves(d1, x + 2 * i, x + 2 * i + 1, cos + i, sin + i);
    } else {
      for (; i + N <= half; i += N) RotateHalves(d, x + i, x + half + i, cos + i, sin + i);
      for (; i < half; ++i) RotateHalves(d1, x + i, x + half + i, cos + i, sin + i);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {
constexpr void (*kRopeRow[kTierCount])(float*, int64_t, int64_t, int64_t, bool, const float*) = SYL_TIERS(RopeRow);
constexpr int64_t kRowsPerTask = 16;

syl_status CheckDims(const char* function, int64_t dims) {
  if (dims >= 2 && dims <= 1024 && dims % 2 == 0) return SYL_OK;
  return Fail(SYL_BAD_SHAPE, "%s: dims is %lld, must be even, 2..1024", function, static_cast<long long>(dims));
}
}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_nn_rope_table_f32(const double* inv_freq, double magnitude, int64_t dims, const int32_t* positions,
                                 int64_t rows, float* table) {
  SYL_REQUIRE_PTR(inv_freq);
  SYL_REQUIRE_PTR(table);
  SYL_REQUIRE(std::isfinite(magnitude), SYL_BAD_VALUE, "magnitude is %g, must be finite", magnitude);
  SYL_REQUIRE_RANGE(rows, 0, INT32_MAX);
  const syl_status status = CheckDims(__func__, dims);
  if (status != SYL_OK) return status;
  if (rows == 0) return SYL_OK;
  SYL_REQUIRE_PTR(positions);
  for (int64_t r = 0; r < rows; ++r) {
    SYL_REQUIRE(positions[r] >= 0, SYL_BAD_VALUE, "positions[%lld] is %d, must not be negative",
                static_cast<long long>(r), positions[r]);
  }
  const int64_t table_bytes = rows * dims * 4;
  SYL_REQUIRE(!Overlaps(positions, rows * 4, table, table_bytes) && !Overlaps(inv_freq, dims * 4, table, table_bytes),
              SYL_OVERLAP, "table overlaps positions or inv_freq (rows is %lld)", static_cast<long long>(rows));
  const int64_t half = dims / 2;
  for (int64_t r = 0; r < rows; ++r, table += dims) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(positions[r]) * inv_freq[i];
      table[i] = static_cast<float>(magnitude * std::cos(angle));
      table[half + i] = static_cast<float>(magnitude * std::sin(angle));
    }
  }
  return SYL_OK;
}

syl_status syl_nn_rope_f32(float* x, int64_t x_stride, int64_t rows, int64_t heads, int64_t head_dim, int64_t dims,
                           int32_t interleaved, const float* table, syl_pool* pool) {
  SYL_REQUIRE_RANGE(heads, 1, 1 << 16);
  SYL_REQUIRE_RANGE(head_dim, 1, 1 << 16);
  syl_status status = CheckRows(__func__, {"x", x, x_stride}, rows, heads * head_dim);
  if (status == SYL_OK) status = CheckDims(__func__, dims);
  if (status != SYL_OK) return status;
  SYL_REQUIRE(dims <= head_dim, SYL_BAD_SHAPE, "dims is %lld, more than head_dim %lld", static_cast<long long>(dims),
              static_cast<long long>(head_dim));
  SYL_REQUIRE(interleaved == 0 || interleaved == 1, SYL_BAD_VALUE, "interleaved is %d, must be 0 or 1", interleaved);
  if (rows == 0) return SYL_OK;
  SYL_REQUIRE_PTR(table);
  SYL_REQUIRE(!Overlaps(table, rows * dims * 4, x, Extent(rows, heads * head_dim, x_stride) * 4), SYL_OVERLAP,
              "x overlaps table (%lld rows)", static_cast<long long>(rows));
  ParallelFor(pool, (rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task, int32_t) {
    const int64_t end = task * kRowsPerTask + kRowsPerTask;
    for (int64_t r = task * kRowsPerTask; r < end && r < rows; ++r) {
      kRopeRow[CurrentTier()](x + r * x_stride, heads, head_dim, dims, interleaved != 0, table + r * dims);
    }
  });
  return SYL_OK;
}
#endif
