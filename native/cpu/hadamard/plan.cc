#include "native/cpu/hadamard/plan.h"

#include <new>
#include <utility>

#include "native/common/hadamard_base.h"
#include "native/common/status.h"

syl_status syl_hadamard_new(const syl_hadamard_options* options, syl_hadamard** plan) {
  SYL_REQUIRE_PTR(plan);
  sylvester::HadamardPlan made;
  if (syl_status status = sylvester::MakeHadamardPlan(__func__, options, &made)) return status;
  auto* created = new (std::nothrow) syl_hadamard{std::move(made)};
  SYL_REQUIRE(created != nullptr, SYL_OUT_OF_MEMORY, "%s", "out of memory for the plan");
  *plan = created;
  return SYL_OK;
}

void syl_hadamard_free(syl_hadamard* plan) { delete plan; }

syl_status syl_hadamard_describe(const syl_hadamard* plan, syl_hadamard_info* info) {
  SYL_REQUIRE_PTR(plan);
  return sylvester::DescribeHadamardPlan(__func__, *plan, info);
}

syl_status syl_hadamard_matrix(int32_t family, int64_t n, int32_t base, int32_t table, int64_t block, float* h) {
  SYL_REQUIRE_PTR(h);
  SYL_REQUIRE_RANGE(family, SYL_HADAMARD_SYLVESTER, SYL_HADAMARD_BLOCKS);
  SYL_REQUIRE_RANGE(n, 2, 4096);
  int64_t butterflies;
  if (syl_status status =
          sylvester::CheckHadamardFamily("syl_hadamard_matrix: ", family, n, base, table, block, &butterflies)) {
    return status;
  }
  std::vector<int8_t> m;
  try {
    m = sylvester::HadamardBase(base, table);
  } catch (const std::bad_alloc&) {
    return sylvester::Fail(SYL_OUT_OF_MEMORY, "%s: out of memory for base %d", __func__, base);
  }
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      const int64_t row = i / butterflies, column = j / butterflies, low_i = i % butterflies, low_j = j % butterflies;
      // Regular: -1 for each digit in base 4 whose two bits both differ.
      const int64_t differ = (i ^ j) & (i ^ j) >> 1 & 0x555;
      const int64_t negations = family == SYL_HADAMARD_REGULAR ? differ : low_i & low_j;
      const float sign = __builtin_popcountll(static_cast<unsigned long long>(negations)) % 2 == 1 ? -1.0f : 1.0f;
      const bool outside = family == SYL_HADAMARD_BLOCKS && row != column;
      h[i * n + j] = outside ? 0 : sign * m[row % base * base + column % base];
    }
  }
  return SYL_OK;
}
