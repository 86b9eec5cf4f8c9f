// A checked description of Hadamard transforms: what the CPU and the CUDA plans share.
#ifndef SYLVESTER_NATIVE_COMMON_HADAMARD_PLAN_H_
#define SYLVESTER_NATIVE_COMMON_HADAMARD_PLAN_H_

#include <sylvester/hadamard.h>

#include <cstdint>
#include <vector>

namespace sylvester {

struct HadamardPlan {
  // As the caller gave it, except that axes are merged where they can be and defaults filled in: x_length, block (the
  // length of one butterfly network times base: n, block or w), group and scale are never 0, sign_rows is 0 without
  // signs. The array pointers are NULL.
  syl_hadamard_options options;
  int64_t butterflies;             // 2^k, the length of one network without its base
  int32_t log2_butterflies;        // k
  int64_t transforms;              // product of counts
  int64_t groups;                  // n / group; 0 without a quantizer
  bool same_layout;                // x and y have one type and the same strides: y may be x
  bool x_rows_disjoint;            // transforms of x share no element
  std::vector<uint32_t> signs;     // [rounds + 1][sign_rows][sign_words]
  int64_t sign_words;              // ceil(n / 32)
  std::vector<int32_t> gather;     // empty: the identity
  std::vector<int32_t> group_map;  // empty: e / group
  std::vector<int8_t> base;        // [base][base] +1 or -1; empty for base 1

  // Elements (codes: bytes) from transform 0 to a transform.
  int64_t Offset(const int64_t* stride, int64_t transform) const {
    // Most plans have one axis, and divisions take time.
    if (transform < options.count[2]) return transform * stride[2];
    const int64_t inner = transform % options.count[2], outer = transform / options.count[2];
    return outer / options.count[1] * stride[0] + outer % options.count[1] * stride[1] + inner * stride[2];
  }
};

// What the matrix alone determines: family, n, base, table and block. butterflies: the plan's. where begins error
// texts, up to the name of the argument.
syl_status CheckHadamardFamily(const char* where, int32_t family, int64_t n, int32_t base, int32_t table, int64_t block,
                               int64_t* butterflies);

// Checks everything and fills the plan; function names the caller in error texts.
syl_status MakeHadamardPlan(const char* function, const syl_hadamard_options* options, HadamardPlan* plan);

// Fills info from a plan.
syl_status DescribeHadamardPlan(const char* function, const HadamardPlan& plan, syl_hadamard_info* info);

// The arguments of a run: pointers, first, count, overlap, workspace. needed: bytes of workspace. For a transposed run
// x is still the plan's x. Non-null scales and zeros are required exactly as the quantizer needs them.
struct HadamardRun {
  const void* x;
  const void* y;
  const float* scales;
  const float* zeros;
  int64_t first, count;
  const void* workspace;
  int64_t workspace_bytes, needed;
  bool transposed;
};
syl_status CheckHadamardRun(const char* function, const HadamardPlan& plan, const HadamardRun& run);

// Codes of a quantizer in one byte.
inline int64_t HadamardCodesPerByte(int32_t quantizer) {
  return quantizer == SYL_HADAMARD_U2 ? 4 : quantizer == SYL_HADAMARD_U4 ? 2 : 1;
}

// Bytes of codes of one transform of a plan with a quantizer.
int64_t HadamardCodeBytes(const HadamardPlan& plan);

}  // namespace sylvester

#endif
