// Errors of the C ABI: a status code plus a text that names function, argument and value.
#ifndef SYLVESTER_NATIVE_COMMON_STATUS_H_
#define SYLVESTER_NATIVE_COMMON_STATUS_H_

#include <sylvester/common.h>

#include <cstddef>

namespace sylvester {

// Records the text for syl_last_error() and returns `status`.
syl_status Fail(syl_status status, const char* format, ...) __attribute__((format(printf, 2, 3)));

// [a, a + a_bytes) and [b, b + b_bytes) share a byte.
inline bool Overlaps(const void* a, int64_t a_bytes, const void* b, int64_t b_bytes) {
  const auto a0 = reinterpret_cast<uintptr_t>(a);
  const auto b0 = reinterpret_cast<uintptr_t>(b);
  return a_bytes > 0 && b_bytes > 0 && a0 < b0 + static_cast<uintptr_t>(b_bytes) &&
         b0 < a0 + static_cast<uintptr_t>(a_bytes);
}

// Elements from the first to one past the last of rows x cols with a row stride; -1 when that overflows.
inline int64_t Extent(int64_t rows, int64_t cols, int64_t stride) {
  int64_t extent;
  if (rows == 0) return 0;
  if (__builtin_mul_overflow(rows - 1, stride, &extent) || __builtin_add_overflow(extent, cols, &extent)) return -1;
  return extent;
}

}  // namespace sylvester

// Argument checks; used at the top of an ABI function, before the first byte is written.
#define SYL_REQUIRE_PTR(p)                                                                           \
  do {                                                                                               \
    if ((p) == nullptr) return ::sylvester::Fail(SYL_NULL_ARGUMENT, "%s: %s is NULL", __func__, #p); \
  } while (0)

#define SYL_REQUIRE(condition, status, format, ...)                                           \
  do {                                                                                        \
    if (!(condition)) return ::sylvester::Fail(status, "%s: " format, __func__, __VA_ARGS__); \
  } while (0)

#define SYL_REQUIRE_RANGE(value, low, high)                                                                       \
  do {                                                                                                            \
    const auto syl_value_ = static_cast<long long>(value);                                                        \
    const auto syl_low_ = static_cast<long long>(low), syl_high_ = static_cast<long long>(high);                  \
    if (syl_value_ < syl_low_ || syl_value_ > syl_high_)                                                          \
      return ::sylvester::Fail(SYL_BAD_VALUE, "%s: %s is %lld, must be %lld..%lld", __func__, #value, syl_value_, \
                               syl_low_, syl_high_);                                                              \
  } while (0)

// The caller's versioned struct is the one this library knows.
#define SYL_REQUIRE_STRUCT(pointer)                                                                         \
  do {                                                                                                      \
    SYL_REQUIRE_PTR(pointer);                                                                               \
    if ((pointer)->struct_size != sizeof(*(pointer)))                                                       \
      return ::sylvester::Fail(SYL_BAD_VALUE, "%s: %s->struct_size is %u, must be %zu", __func__, #pointer, \
                               (pointer)->struct_size, sizeof(*(pointer)));                                 \
  } while (0)

#endif
