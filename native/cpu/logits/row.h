// Passes over a row of logits.
#ifndef SYLVESTER_NATIVE_CPU_LOGITS_ROW_H_
#define SYLVESTER_NATIVE_CPU_LOGITS_ROW_H_

#include <cstdint>

namespace sylvester {

constexpr int64_t kRowChunk = 4096;  // floats; stays in the first-level cache between two passes

// How logits become z = (logit - max) * inv_temperature.
struct Scale {
  float max;
  float inv_temperature;
};

// NaN is never the largest; -inf when there is nothing else.
float MaxOfRow(const float* logits, int64_t cols);

// Index of the first of the largest logits, in one read. max: finite, or the result means nothing.
int64_t ArgmaxOfRow(const float* logits, int64_t cols, float* max);

// Index of the first logit that equals value; -1 when there is none.
int64_t FindInRow(const float* logits, int64_t cols, float value);

// Sum of exp(z), by chunks in ascending order; NaN counts as -inf. scale.max: finite, no logit is larger.
double MassOfRow(const float* logits, int64_t cols, const Scale& scale);

// Both in one read, as SpecMass in native/common/spec_rules.h adds. mass: only where max is finite.
struct RowTotals {
  float max;
  double mass;
};
RowTotals TotalsOfRow(const float* logits, int64_t cols, float inv_temperature);

// Of any floats, in the order of a row's mass. sum: NaN when one of them is.
struct RowSum {
  float least;
  double sum;
};
RowSum SumOfRow(const float* x, int64_t cols);

}  // namespace sylvester

#endif
