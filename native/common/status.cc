#include "native/common/status.h"

#include <cstdarg>
#include <cstdio>

namespace sylvester {
namespace {
thread_local char last_error[512] = "";
}  // namespace

syl_status Fail(syl_status status, const char* format, ...) {
  va_list args;
  va_start(args, format);
  std::vsnprintf(last_error, sizeof(last_error), format, args);
  va_end(args);
  return status;
}

}  // namespace sylvester

const char* syl_status_message(syl_status status) {
  switch (status) {
    case SYL_OK: return "success";
    case SYL_NULL_ARGUMENT: return "a required pointer is NULL";
    case SYL_BAD_VALUE: return "an argument is outside its range";
    case SYL_BAD_SHAPE: return "sizes or strides do not fit each other or the element type";
    case SYL_OVERLAP: return "an output overlaps an input";
    case SYL_WORKSPACE: return "the workspace or an output buffer is too small";
    case SYL_UNSUPPORTED: return "not supported by this build, processor or element type";
    case SYL_OUT_OF_MEMORY: return "out of memory";
    case SYL_BAD_DATA: return "malformed data";
    case SYL_INTERNAL: return "internal error";
    default: return "unknown status code";
  }
}

const char* syl_last_error(void) { return sylvester::last_error; }

int32_t syl_abi_version(void) { return SYL_ABI_VERSION; }

const char* syl_version(void) { return SYLVESTER_VERSION; }
