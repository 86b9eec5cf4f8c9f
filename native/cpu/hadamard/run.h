// One run of a plan, its direction resolved.
#ifndef SYLVESTER_NATIVE_CPU_HADAMARD_RUN_H_
#define SYLVESTER_NATIVE_CPU_HADAMARD_RUN_H_

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

  // Signs after `round` of this run, 0: before the first one.
  const uint32_t* Signs(int32_t round, int64_t transform) const {
    return plan->Signs(transposed ? plan->options.rounds - round : round, transform);
  }
  const uint8_t* Row(int64_t transform) const { return in + plan->Offset(from.stride, transform) * from.element_bytes; }
  uint8_t* OutRow(int64_t transform) const { return out + plan->Offset(to.stride, transform) * to.element_bytes; }
};

// How a run goes through a plan's transforms.
enum class HadamardPath {
  kDirect,    // from row to row without a copy
  kVertical,  // a vector's worth of transforms at once, one in each lane
  kGeneral    // each through a row of scratch
};

// The parts of a thread's scratch, in bytes from its start; the row itself comes first.
struct HadamardScratch {
  int64_t sums;      // of quads, for a base
  int64_t sorted;    // a row, group by group
  int64_t codes;     // two rows of bytes
  int64_t vertical;  // kMaxLanes rows
  int64_t bytes;     // of everything; 0: none is needed
};

// Most floats in a vector.
constexpr int64_t kMaxLanes = 16;

HadamardPath PathOf(const syl_hadamard& plan);
HadamardScratch ScratchOf(const syl_hadamard& plan);

}  // namespace sylvester

#endif
