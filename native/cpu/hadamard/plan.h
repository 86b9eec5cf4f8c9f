// The plan of the C ABI.
#ifndef SYLVESTER_NATIVE_CPU_HADAMARD_PLAN_H_
#define SYLVESTER_NATIVE_CPU_HADAMARD_PLAN_H_

#include "native/common/hadamard_plan.h"

struct syl_hadamard : sylvester::HadamardPlan {};

#endif
