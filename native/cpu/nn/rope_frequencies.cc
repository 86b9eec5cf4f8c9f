#include <sylvester/nn.h>

#include <algorithm>
#include <cmath>

#include "native/common/status.h"

namespace sylvester {
namespace {

constexpr double kPi = 3.14159265358979323846;

// YaRN (Peng et al. 2023): dimension whose wavelength makes `rotations` turns over the original context.
double CorrectionDimension(const syl_rope_scaling& s, double rotations, double dims) {
  return dims * std::log(s.original_context / (rotations * 2 * kPi)) / (2 * std::log(s.theta));
}

void Yarn(const syl_rope_scaling& s, int64_t dims, double* inv_freq) {
  const auto size = static_cast<double>(dims);
  const double low = std::max(std::floor(CorrectionDimension(s, s.beta_fast, size)), 0.0);
  double high = std::min(std::ceil(CorrectionDimension(s, s.beta_slow, size)), size - 1);
  if (low == high) high += 0.001;  // no division by zero
  for (int64_t i = 0; i < dims / 2; ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    inv_freq[i] = inv_freq[i] / s.factor * ramp + inv_freq[i] * (1 - ramp);
  }
}

// Llama 3.1: long wavelengths are stretched, short ones kept, those between interpolated.
void Llama3(const syl_rope_scaling& s, int64_t dims, double* inv_freq) {
  for (int64_t i = 0; i < dims / 2; ++i) {
    const double turns = s.original_context * inv_freq[i] / (2 * kPi);
    const double smooth = (turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
    inv_freq[i] *= std::clamp(smooth, 0.0, 1.0) + (1 - std::clamp(smooth, 0.0, 1.0)) / s.factor;
  }
}

syl_status CheckPositive(const char* function, const char* field, double value) {
  if (std::isfinite(value) && value > 0) return SYL_OK;
  return Fail(SYL_BAD_VALUE, "%s: scaling->%s is %g, must be finite and positive", function, field, value);
}

syl_status CheckScaling(const char* function, const syl_rope_scaling& s) {
  if (!(std::isfinite(s.theta) && s.theta > 1)) {
    return Fail(SYL_BAD_VALUE, "%s: scaling->theta is %g, must be finite and above 1", function, s.theta);
  }
  if (s.kind < SYL_ROPE_NONE || s.kind > SYL_ROPE_LLAMA3) {
    return Fail(SYL_BAD_VALUE, "%s: scaling->kind is %d, not a SYL_ROPE_ constant", function, s.kind);
  }
  if (s.kind == SYL_ROPE_NONE) return SYL_OK;
  syl_status status = CheckPositive(function, "factor", s.factor);
  if (status != SYL_OK || s.kind == SYL_ROPE_LINEAR || s.kind == SYL_ROPE_NTK) return status;
  status = CheckPositive(function, "original_context", s.original_context);
  if (s.kind == SYL_ROPE_LLAMA3) {
    if (status == SYL_OK) status = CheckPositive(function, "low_freq_factor", s.low_freq_factor);
    if (status == SYL_OK) status = CheckPositive(function, "high_freq_factor", s.high_freq_factor);
    if (status == SYL_OK && s.high_freq_factor <= s.low_freq_factor) {
      return Fail(SYL_BAD_VALUE, "%s: scaling->high_freq_factor is %g, must be above low_freq_factor %g", function,
                  s.high_freq_factor, s.low_freq_factor);
    }
    return status;
  }
  if (status == SYL_OK) status = CheckPositive(function, "beta_fast", s.beta_fast);
  if (status == SYL_OK) status = CheckPositive(function, "beta_slow", s.beta_slow);
  if (status == SYL_OK && s.attention_factor != 0) {
    status = CheckPositive(function, "attention_factor", s.attention_factor);
  }
  return status;
}

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_nn_rope_frequencies(const syl_rope_scaling* scaling, int64_t dims, double* inv_freq, double* magnitude) {
  SYL_REQUIRE_STRUCT(scaling);
  SYL_REQUIRE_PTR(inv_freq);
  SYL_REQUIRE_PTR(magnitude);
  SYL_REQUIRE_RANGE(dims, 2, 1024);
  SYL_REQUIRE(dims % 2 == 0, SYL_BAD_SHAPE, "dims is %lld, must be even", static_cast<long long>(dims));
  const syl_status status = CheckScaling(__func__, *scaling);
  if (status != SYL_OK) return status;

  const syl_rope_scaling& s = *scaling;
  const auto size = static_cast<double>(dims);
  double theta = s.theta;
  if (s.kind == SYL_ROPE_NTK && dims > 2) theta *= std::pow(s.factor, size / (size - 2));
  for (int64_t i = 0; i < dims / 2; ++i) inv_freq[i] = std::pow(theta, -2.0 * static_cast<double>(i) / size);
  *magnitude = 1;
  switch (s.kind) {
    case SYL_ROPE_LINEAR:
      for (int64_t i = 0; i < dims / 2; ++i) inv_freq[i] /= s.factor;
      break;
    case SYL_ROPE_YARN:
      Yarn(s, dims, inv_freq);
      *magnitude = s.attention_factor != 0 ? s.attention_factor : s.factor > 1 ? 0.1 * std::log(s.factor) + 1 : 1;
      break;
    case SYL_ROPE_LLAMA3: Llama3(s, dims, inv_freq); break;
    default: break;
  }
  return SYL_OK;
}
