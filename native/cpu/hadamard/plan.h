// The plan of the C ABI.
#ifndef SYLVESTER_NATIVE_CPU_HADAMARD_PLAN_H_
#define SYLVESTER_NATIVE_CPU_HADAMARD_PLAN_H_

#include "native/common/hadamard_plan.h"

struct syl_hadamard : sylvester::HadamardPlan {
  // For H_base and its transpose: [base][base / 4], which sum of a quad (z0, z1, z2, z3) an output takes:
  // bit 3: -, bit 0: z0 - z1 instead of z0 + z1, then bit 1: - instead of +, bit 2: z2 - z3 instead of z2 + z3.
  std::vector<uint8_t> patterns[2];
  // The signs again, 0 or -0 for each element, to be xored: [rounds + 1][sign_rows][n], of the type of the arithmetic.
  std::vector<float> float_signs;
  std::vector<double> double_signs;
  std::vector<int32_t> sorted;  // the elements group by group; empty without a group_map
};

#endif
