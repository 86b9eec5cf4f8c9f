// Transforms of rows: the kernel that every path of this family shares.
#ifndef SYLVESTER_NATIVE_CPU_HADAMARD_ROWS_H_
#define SYLVESTER_NATIVE_CPU_HADAMARD_ROWS_H_

#include <sylvester/common.h>

#include <cstdint>

namespace sylvester {

// y[r] = D_after (scale H (D_before x[r])), r < count, H of n = 2^k elements. x and y are disjoint or the same rows.
struct HadamardRows {
  syl_dtype type;  // of x and y: F32, F64, F16, BF16
  const void* x;
  void* y;
  int64_t x_step, y_step;  // elements between rows
  int64_t n, count;
  double scale;
  float* waiting;  // n floats for 16-bit rows that take several passes: n > kOnePass16
  // Signs, NULL for none: 0 or -0 for each element, in the type of the arithmetic. Row r has those at
  // (first_signs + r) % period * signs_step.
  const void* before;
  const void* after;
  int64_t first_signs, period, signs_step;
};

// Elements of a thread's task: enough to be worth its while.
constexpr int64_t kTaskElements = int64_t{1} << 14;

// Longest 16-bit row that needs no `waiting` on any tier.
constexpr int64_t kOnePass16 = 64;

void Fwht(const HadamardRows& rows);

}  // namespace sylvester

#endif
