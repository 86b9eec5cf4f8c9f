// Packed weights: how a matrix W (n outputs x k inputs) lies in memory for the matrix product.
//
// 16 output rows make a panel, so that a vector lane is an output and sums never cross lanes. A panel is a run of steps
// along k; it is contiguous, and so are the panels: a matrix-vector product reads one stream. Rows past n are zero.
//
//   plain types   step = 8 k:  [8 k][16 rows] elements of the file's type; k past the end is zero
//   block types   step = 32 k: codes; behind the codes of all steps the panel's scales, padded to 64 bytes
//
// Codes are unsigned and lie in groups of 4 k, of the order 0 2 1 3: a group is [16 rows][4 k] = 64 bytes once
// unpacked, and its even and odd bytes are the operands of 16-bit dot products over k 0 1 and 2 3. A step has groups
// 0..7:
//   8 bits  group g in 64 bytes (Q8_0: q + 128)
//   4 bits  4 x 64 bytes: group j in the low nibbles, group j + 4 in the high ones
//   5 bits  as 4 bits, then 64 bytes: the fifth bit of group g is bit g
//   6 bits  as 4 bits, then 2 x 64 bytes: the upper bits of group g are bits 2 (g % 4) and up of plane g / 4
// Scales of a block of the file, each for 16 rows:
//   Q8_0 Q4_0 Q5_0  f16 d            Q4_K Q5_K  f16 d, f16 dmin, then per step u8 sc, u8 m
//   Q4_1 Q5_1       f16 d, f16 m     Q6_K       f16 d, then per 16 k i8 sc
#ifndef SYLVESTER_NATIVE_CPU_NN_WEIGHTS_H_
#define SYLVESTER_NATIVE_CPU_NN_WEIGHTS_H_

#include <sylvester/common.h>

namespace sylvester {

constexpr int64_t kPanelRows = 16;
constexpr int64_t kPackedAlignment = 64;
constexpr int64_t kPlainStep = 8;
constexpr int64_t kBlockStep = 32;  // also the block of the quantised activations
constexpr int64_t kGroups = 8;      // groups of 4 k in a block step
constexpr int64_t kGroupBytes = 64;
constexpr int64_t kSuperSteps = 8;  // steps in a block of a K type

enum class Scales {
  kD,         // w = d (code - zero)
  kDM,        // w = d code + m
  kSuperDM,   // w = (d sc) code - (dmin m)
  kSuperD16,  // w = (d sc) (code - zero), one sc for each 16 k
};

struct BlockFormat {
  int bits;  // of a code
  int zero;  // the code of weight 0
  Scales scales;

  constexpr bool IsSuper() const { return scales == Scales::kSuperDM || scales == Scales::kSuperD16; }
  constexpr bool HasMin() const { return scales == Scales::kDM || scales == Scales::kSuperDM; }
  constexpr int64_t Steps() const { return IsSuper() ? kSuperSteps : 1; }  // in a block of the file
  constexpr int64_t CodeBytes() const { return bits * kBlockStep * kPanelRows / 8; }
  constexpr int64_t ScaleBytes() const {
    return kPanelRows * ((HasMin() ? 2 : 1) * 2 + (IsSuper() ? 2 * kSuperSteps : 0));
  }
};

constexpr bool IsPlain(syl_dtype type) { return type == SYL_F32 || type == SYL_F16 || type == SYL_BF16; }

// For block types.
constexpr BlockFormat FormatOf(syl_dtype type) {
  switch (type) {
    case SYL_Q4_0: return {4, 8, Scales::kD};
    case SYL_Q4_1: return {4, 0, Scales::kDM};
    case SYL_Q5_0: return {5, 16, Scales::kD};
    case SYL_Q5_1: return {5, 0, Scales::kDM};
    case SYL_Q8_0: return {8, 128, Scales::kD};
    case SYL_Q4_K: return {4, 0, Scales::kSuperDM};
    case SYL_Q5_K: return {5, 0, Scales::kSuperDM};
    default: return {6, 32, Scales::kSuperD16};  // SYL_Q6_K
  }
}

struct PackedLayout {
  int64_t panels;
  int64_t panel_bytes;
  int64_t bytes;  // panels * panel_bytes
  int64_t steps;  // in a panel
  int64_t step_k;
  int64_t step_bytes;    // of elements or codes
  int64_t scale_offset;  // in a panel; steps * step_bytes
};

// Checks type, n and k on behalf of the named function of the ABI and fills in the layout.
syl_status LayOutWeights(const char* function, syl_dtype type, int64_t n, int64_t k, PackedLayout* layout);

}  // namespace sylvester

#endif
