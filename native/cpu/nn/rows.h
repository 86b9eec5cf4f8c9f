// Checks of functions that work on rows of floats.
#ifndef SYLVESTER_NATIVE_CPU_NN_ROWS_H_
#define SYLVESTER_NATIVE_CPU_NN_ROWS_H_

#include "native/common/status.h"

namespace sylvester {

// A matrix argument: rows x cols floats, one row every stride.
struct Rows {
  const char* name;
  const float* data;
  int64_t stride;
};

// Non-NULL, stride >= cols, size within bounds; rows >= 0 and cols >= 1.
inline syl_status CheckRows(const char* function, const Rows& m, int64_t rows, int64_t cols) {
  if (m.data == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: %s is NULL", function, m.name);
  if (rows < 0)
    return Fail(SYL_BAD_VALUE, "%s: rows is %lld, must not be negative", function, static_cast<long long>(rows));
  if (cols < 1)
    return Fail(SYL_BAD_VALUE, "%s: cols is %lld, must be at least 1", function, static_cast<long long>(cols));
  if (m.stride < cols) {
    return Fail(SYL_BAD_SHAPE, "%s: %s_stride is %lld, must be at least %lld", function, m.name,
                static_cast<long long>(m.stride), static_cast<long long>(cols));
  }
  const int64_t extent = Extent(rows, cols, m.stride);
  if (extent < 0 || extent > INT64_MAX / 4) {
    return Fail(SYL_BAD_SHAPE, "%s: %s_stride is %lld, too large for %lld rows", function, m.name,
                static_cast<long long>(m.stride), static_cast<long long>(rows));
  }
  return SYL_OK;
}

// Whether rows of two matrices of equal shape share a byte. Rows of one stride may lie between each other.
inline bool RowsOverlap(const Rows& a, const Rows& b, int64_t rows, int64_t cols) {
  if (!Overlaps(a.data, Extent(rows, cols, a.stride) * 4, b.data, Extent(rows, cols, b.stride) * 4)) return false;
  if (a.stride != b.stride || rows == 1) return true;
  // How far into a row of a, or the gap behind it, rows of b begin.
  const auto offset = static_cast<int64_t>(reinterpret_cast<uintptr_t>(b.data) - reinterpret_cast<uintptr_t>(a.data));
  const int64_t stride = a.stride * 4, bytes = cols * 4, phase = (offset % stride + stride) % stride;
  return phase < bytes || phase > stride - bytes;
}

// The same memory with the same stride, or no byte in common.
inline syl_status CheckInPlace(const char* function, const Rows& in, const Rows& out, int64_t rows, int64_t cols) {
  if (in.data == out.data && in.stride == out.stride) return SYL_OK;
  if (RowsOverlap(in, out, rows, cols))
    return Fail(SYL_OVERLAP, "%s: %s partly overlaps %s", function, out.name, in.name);
  return SYL_OK;
}

}  // namespace sylvester

#endif
