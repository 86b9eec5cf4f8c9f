// Passes over a row of logits.
#ifndef SYLVESTER_NATIVE_CPU_LOGITS_ROW_H_
#define SYLVESTER_NATIVE_CPU_LOGITS_ROW_H_

#include <cstdint>

namespace sylvester {

// How logits become z = (logit - max) * inv_temperature.
struct Scale {
  float max;
  float inv_temperature;
};

// NaN is never the largest; -inf when there is nothing else.
float MaxOfRow(const float* logits, int64_t cols);

// Index of the first logit that equals value; -1 when there is none.
int64_t FindInRow(const float* logits, int64_t cols, float value);

// Sum of exp(z); NaN counts as -inf. scale.max: finite, no logit is larger.
double MassOfRow(const float* logits, int64_t cols, const Scale& scale);

}  // namespace sylvester

#endif
