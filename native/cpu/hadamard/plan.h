// The plan of the C ABI.
#ifndef SYLVESTER_NATIVE_CPU_HADAMARD_PLAN_H_
#define SYLVESTER_NATIVE_CPU_HADAMARD_PLAN_H_

#include "native/common/hadamard_plan.h"

namespace sylvester {

// How a run goes through a plan's transforms.
enum class HadamardPath {
  kDirect,    // from row to row without a copy
  kQuantize,  // from rows through scratch to codes
  kVertical,  // a vector's worth of transforms at once, one in each lane
  kGeneral    // each through a row of scratch
};

// The parts of a thread's scratch, in bytes from its start; the rows themselves come first.
struct HadamardScratch {
  int64_t sums;    // of quads, for a base
  int64_t sorted;  // a row, group by group
  int64_t codes;   // two rows of bytes
  int64_t bytes;   // of everything; 0: none is needed
};

}  // namespace sylvester

struct syl_hadamard : sylvester::HadamardPlan {
  sylvester::HadamardPath path;
  sylvester::HadamardScratch scratch;
  // For H_base and its transpose: [base][base / 4], which sum of a quad (z0, z1, z2, z3) an output takes:
  // bit 3: -, bit 0: z0 - z1 instead of z0 + z1, then bit 1: - instead of +, bit 2: z2 - z3 instead of z2 + z3.
  std::vector<uint8_t> patterns[2];
  // The signs again, 0 or -0 for each element, to be xored: [rounds + 1][sign_rows][n], of the type of the arithmetic.
  std::vector<float> float_signs;
  std::vector<double> double_signs;
  std::vector<int32_t> sorted;  // the elements group by group; empty without a group_map
};

#endif
