// Transforms in place without a plan.
#include <sylvester/hadamard.h>

#include <cmath>
#include <type_traits>

#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/common/tier.h"
#include "native/cpu/hadamard/elements.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/hadamard/flat.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/hadamard/fwht-inl.h"
#include "native/cpu/hadamard/row_ends-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

// Rows of TStored, computed in T. waiting: where a long 16-bit row waits between passes.
template <typename T, typename TStored>
struct RowsInPlace {
  TStored* x;
  int64_t stride;
  T scale;
  T* waiting;
  HWY_INLINE Source<TStored, false> SourceOf(int64_t r) const { return {x + r * stride, nullptr}; }
  HWY_INLINE Sink<T, TStored, false> SinkOf(int64_t r) const { return {x + r * stride, scale, nullptr}; }
  HWY_INLINE Memory<T> MemoryOf(int64_t r) const {
    if constexpr (std::is_same_v<T, TStored>) return {x + r * stride};
    return {waiting};
  }
};

// Rows shorter than a vector: many to a vector where they follow each other.
template <typename T, typename TStored>
void ShortRows(TStored* x, int64_t rows, int64_t stride, int64_t n, T scale) {
  const Tag<T> d;
  int64_t r = 0;
  if (stride == n) {
    const Source<TStored, false> source{x, nullptr};
    const Sink<T, TStored, false> sink{x, scale, nullptr};
    for (; (r + kLanes<T> / n) <= rows; r += kLanes<T> / n) {
      sink.Store(d, LaneStages(d, source.Load(d, r * n), n), r * n);
    }
  }
  for (; r < rows; ++r) {
    TStored* row = x + r * stride;
    T z[kLanes<T>];
    for (int64_t i = 0; i < n; ++i) z[i] = Widened(row[i]);
    ScalarStages(z, n, n);
    for (int64_t i = 0; i < n; ++i) Narrow(z[i] * scale, row + i);
  }
}

template <typename TStored, typename T = Computed<TStored>>
void FlatRows(void* x, int64_t rows, int64_t stride, int64_t n, double scale) {
  const RowsInPlace<T, TStored> in_place{static_cast<TStored*>(x), stride, static_cast<T>(scale), nullptr};
  if (n < kLanes<T>) return ShortRows(in_place.x, rows, stride, n, in_place.scale);
  if constexpr (!std::is_same_v<T, TStored>) {
    if (n > kOnePass<T>) {
      HWY_ALIGN T waiting[kMaxFlat16];
      TransformRows(Tag<T>(), n, rows, RowsInPlace<T, TStored>{in_place.x, stride, in_place.scale, waiting});
      return;
    }
  }
  TransformRows(Tag<T>(), n, rows, in_place);
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {

using FlatFunction = void (*)(void* x, int64_t rows, int64_t stride, int64_t n, double scale);
constexpr FlatFunction kF32[kTierCount] = SYL_TIERS(FlatRows<float>);
constexpr FlatFunction kF64[kTierCount] = SYL_TIERS(FlatRows<double>);
constexpr FlatFunction kF16[kTierCount] = SYL_TIERS(FlatRows<hwy::float16_t>);
constexpr FlatFunction kBf16[kTierCount] = SYL_TIERS(FlatRows<hwy::bfloat16_t>);

// Elements of a task: enough to be worth a thread's while.
constexpr int64_t kTaskElements = int64_t{1} << 14;

syl_status RunFlat(const char* function, const FlatFunction (&table)[kTierCount], int64_t element_bytes, int64_t n_max,
                   void* x, int64_t rows, int64_t stride, int64_t n, double scale, syl_pool* pool) {
  const auto fail = [function](syl_status status, const char* name, long long value, const char* rule) {
    return Fail(status, "%s: %s is %lld, must be %s", function, name, value, rule);
  };
  if (x == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: x is NULL", function);
  if (rows < 0) return fail(SYL_BAD_VALUE, "rows", rows, "0 or more");
  if (n < 2 || n > n_max || (n & (n - 1)) != 0) {
    return Fail(SYL_BAD_VALUE, "%s: n is %lld, must be a power of two, 2..%lld", function, static_cast<long long>(n),
                static_cast<long long>(n_max));
  }
  if (stride < n) return fail(SYL_BAD_SHAPE, "stride", stride, "at least n");
  const int64_t extent = Extent(rows, n, stride);
  if (extent < 0 || extent > INT64_MAX / element_bytes) return fail(SYL_BAD_SHAPE, "stride", stride, "smaller");
  if (!std::isfinite(scale)) return Fail(SYL_BAD_VALUE, "%s: scale is %g, must be finite", function, scale);
  if (scale == 0) scale = 1 / std::sqrt(static_cast<double>(n));
  const FlatFunction run = table[CurrentTier()];
  const int64_t rows_per_task = n >= kTaskElements ? 1 : kTaskElements / n;
  ParallelFor(pool, (rows + rows_per_task - 1) / rows_per_task, [=](int64_t task, int32_t) {
    const int64_t first = task * rows_per_task, count = rows - first < rows_per_task ? rows - first : rows_per_task;
    run(static_cast<uint8_t*>(x) + first * stride * element_bytes, count, stride, n, scale);
  });
  return SYL_OK;
}

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_hadamard_f32(float* x, int64_t rows, int64_t stride, int64_t n, double scale, syl_pool* pool) {
  return RunFlat(__func__, kF32, 4, int64_t{1} << 24, x, rows, stride, n, scale, pool);
}

syl_status syl_hadamard_f64(double* x, int64_t rows, int64_t stride, int64_t n, double scale, syl_pool* pool) {
  return RunFlat(__func__, kF64, 8, int64_t{1} << 24, x, rows, stride, n, scale, pool);
}

syl_status syl_hadamard_f16(uint16_t* x, int64_t rows, int64_t stride, int64_t n, double scale, syl_pool* pool) {
  return RunFlat(__func__, kF16, 2, kMaxFlat16, x, rows, stride, n, scale, pool);
}

syl_status syl_hadamard_bf16(uint16_t* x, int64_t rows, int64_t stride, int64_t n, double scale, syl_pool* pool) {
  return RunFlat(__func__, kBf16, 2, kMaxFlat16, x, rows, stride, n, scale, pool);
}
#endif
