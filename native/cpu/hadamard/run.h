// One run of a plan, its direction resolved.
#ifndef SYLVESTER_NATIVE_CPU_HADAMARD_RUN_H_
#define SYLVESTER_NATIVE_CPU_HADAMARD_RUN_H_

#include <type_traits>

#include "native/cpu/hadamard/plan.h"

namespace sylvester {

struct HadamardEnd {
  syl_dtype type;
  int64_t element_bytes;  // of codes 1
  const int64_t* stride;
};

struct HadamardJob {
  const syl_hadamard* plan;
  bool transposed;
  const uint8_t* in;
  uint8_t* out;
  HadamardEnd from, to;
  float* scales;
  float* zeros;

  // Signs after `round` of this run, 0: before the first one. NULL without signs.
  template <typename T>
  const T* Signs(int32_t round, int64_t transform) const {
    const syl_hadamard_options& o = plan->options;
    if (o.sign_rows == 0) return nullptr;
    const int64_t row = o.sign_rows == 1 ? 0 : transform % o.count[2] % o.sign_rows;
    const int64_t index = ((transposed ? o.rounds - round : round) * o.sign_rows + row) * o.n;
    if constexpr (std::is_same_v<T, double>) {
      return plan->double_signs.data() + index;
    } else {
      return plan->float_signs.data() + index;
    }
  }
  const uint8_t* Row(int64_t transform) const { return in + plan->Offset(from.stride, transform) * from.element_bytes; }
  uint8_t* OutRow(int64_t transform) const { return out + plan->Offset(to.stride, transform) * to.element_bytes; }
};

// Transforms that the quantizing path does at once, so that their reductions and divisions overlap.
inline int64_t RowsAtOnce(int64_t n) { return n < 2048 ? 2048 / n : 1; }

// Most floats in a vector.
constexpr int64_t kMaxLanes = 16;

HadamardPath PathOf(const syl_hadamard& plan);
HadamardScratch ScratchOf(const syl_hadamard& plan);

}  // namespace sylvester

#endif
