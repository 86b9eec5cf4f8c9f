// Transforms in place without a plan.
#include <sylvester/hadamard.h>

#include <algorithm>
#include <cmath>

#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/cpu/hadamard/rows.h"

namespace sylvester {
namespace {

constexpr int64_t kMaxFlat = int64_t{1} << 24;
// The floats of longer 16-bit rows would not fit on the stack.
constexpr int64_t kMaxFlat16 = int64_t{1} << 13;

syl_status RunFlat(const char* function, syl_dtype type, void* x, int64_t rows, int64_t stride, int64_t n, double scale,
                   syl_pool* pool) {
  const int64_t element_bytes = syl_dtype_block_bytes(type), n_max = element_bytes == 2 ? kMaxFlat16 : kMaxFlat;
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
  const int64_t rows_per_task = n >= kTaskElements ? 1 : kTaskElements / n;
  ParallelFor(pool, (rows + rows_per_task - 1) / rows_per_task, [=](int64_t task, int32_t) {
    const int64_t first = task * rows_per_task, count = std::min(rows - first, rows_per_task);
    HadamardRows part{};
    part.type = type;
    part.x = part.y = static_cast<uint8_t*>(x) + first * stride * element_bytes;
    part.x_step = part.y_step = stride;
    part.n = n;
    part.count = count;
    part.scale = scale;
    if (element_bytes == 2 && n > kOnePass16) {
      alignas(64) float waiting[kMaxFlat16];
      part.waiting = waiting;
      Fwht(part);
    } else {
      Fwht(part);
    }
  });
  return SYL_OK;
}

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_hadamard_f32(float* x, int64_t rows, int64_t stride, int64_t n, double scale, syl_pool* pool) {
  return RunFlat(__func__, SYL_F32, x, rows, stride, n, scale, pool);
}

syl_status syl_hadamard_f64(double* x, int64_t rows, int64_t stride, int64_t n, double scale, syl_pool* pool) {
  return RunFlat(__func__, SYL_F64, x, rows, stride, n, scale, pool);
}

syl_status syl_hadamard_f16(uint16_t* x, int64_t rows, int64_t stride, int64_t n, double scale, syl_pool* pool) {
  return RunFlat(__func__, SYL_F16, x, rows, stride, n, scale, pool);
}

syl_status syl_hadamard_bf16(uint16_t* x, int64_t rows, int64_t stride, int64_t n, double scale, syl_pool* pool) {
  return RunFlat(__func__, SYL_BF16, x, rows, stride, n, scale, pool);
}
