#include "native/common/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "native/common/status.h"

namespace sylvester {

syl_status CheckSampler(const char* function, const char* name, int64_t index, const syl_sampler& s) {
  const auto bad = [&](const char* field, double value, const char* range) {
    char place[32] = "->";
    if (index >= 0) std::snprintf(place, sizeof(place), "[%lld].", static_cast<long long>(index));
    return Fail(SYL_BAD_VALUE, "%s: %s%s%s is %g, must be %s", function, name, place, field, value, range);
  };
  if (s.struct_size != sizeof(s)) return bad("struct_size", s.struct_size, "sizeof(syl_sampler)");
  if (!(s.temperature >= 0 && std::isfinite(s.temperature))) return bad("temperature", s.temperature, "0 or more");
  if (s.top_k < 0) return bad("top_k", s.top_k, "0 or more");
  if (!(s.top_p > 0 && s.top_p <= 1)) return bad("top_p", s.top_p, "above 0, at most 1");
  if (!(s.min_p >= 0 && s.min_p <= 1)) return bad("min_p", s.min_p, "0 to 1");
  if (!(s.repetition_penalty > 0 && std::isfinite(s.repetition_penalty))) {
    return bad("repetition_penalty", s.repetition_penalty, "above 0");
  }
  if (!std::isfinite(s.presence_penalty)) return bad("presence_penalty", s.presence_penalty, "finite");
  if (!std::isfinite(s.frequency_penalty)) return bad("frequency_penalty", s.frequency_penalty, "finite");
  return SYL_OK;
}

syl_status CheckIds(const char* function, const char* name, const int32_t* ids, int64_t begin, int64_t end,
                    int64_t cols) {
  if (end > begin && ids == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: %s is NULL", function, name);
  for (int64_t i = begin; i < end; ++i) {
    if (ids[i] < 0 || ids[i] >= cols) {
      return Fail(SYL_BAD_VALUE, "%s: %s[%lld] is %d, must be 0..%lld", function, name, static_cast<long long>(i),
                  ids[i], static_cast<long long>(cols - 1));
    }
  }
  return SYL_OK;
}

syl_status CheckBias(const char* function, const char* name, const float* values, int64_t begin, int64_t end) {
  if (end > begin && values == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: %s is NULL", function, name);
  for (int64_t i = begin; i < end; ++i) {
    if (std::isnan(values[i]) || values[i] == std::numeric_limits<float>::infinity()) {
      return Fail(SYL_BAD_VALUE, "%s: %s[%lld] is %g, must be finite or -inf", function, name,
                  static_cast<long long>(i), values[i]);
    }
  }
  return SYL_OK;
}

bool Penalises(const syl_sampler& s) {
  return s.repetition_penalty != 1 || s.presence_penalty != 0 || s.frequency_penalty != 0;
}

float InverseTemperature(const syl_sampler& s) {
  return IsGreedy(s) ? 1 : std::min(1 / s.temperature, std::numeric_limits<float>::max());
}

float LeastZ(const syl_sampler& s) { return static_cast<float>(std::log(static_cast<double>(s.min_p))); }

}  // namespace sylvester
