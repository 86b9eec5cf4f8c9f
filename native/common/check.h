// Checks of arguments as those of native/common/status.h, in the name of the function that was called: `function`.
// For sources of checks only, since the names are short.
#ifndef SYLVESTER_NATIVE_COMMON_CHECK_H_
#define SYLVESTER_NATIVE_COMMON_CHECK_H_

#include "native/common/status.h"

#define CHECK(condition, status, format, ...)                                    \
  do {                                                                           \
    if (!(condition)) return Fail(status, "%s: " format, function, __VA_ARGS__); \
  } while (0)
#define CHECK_PTR(p) CHECK((p) != nullptr, SYL_NULL_ARGUMENT, "%s is NULL", #p)
#define CHECK_RANGE(value, low, high)                                                                   \
  CHECK((value) >= (low) && (value) <= (high), SYL_BAD_VALUE, "%s is %lld, must be %lld..%lld", #value, \
        static_cast<long long>(value), static_cast<long long>(low), static_cast<long long>(high))
#define CHECK_OK(call)                                     \
  do {                                                     \
    if (const syl_status status_ = (call)) return status_; \
  } while (0)

#endif
