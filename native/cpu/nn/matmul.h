// The matrix product between its checked arguments and its kernels.
//
// Rows of x are first put into the workspace: quantised for block types, copied for plain ones. They lie in chunks of
// up to 64 rows, [chunk][step][row of the chunk], so that a kernel unpacks the weights of a step once, keeps them in
// registers and meets the activations of all rows of the chunk in one stream. A row is computed by the same
// instructions in the same order wherever it lies: that is what makes results independent of the other rows.
#ifndef SYLVESTER_NATIVE_CPU_NN_MATMUL_H_
#define SYLVESTER_NATIVE_CPU_NN_MATMUL_H_

#include <sylvester/common.h>

#include "native/cpu/nn/weights.h"

namespace sylvester {

// The accumulators of a chunk (64 bytes a row) leave half of a first-level cache to weights and activations.
constexpr int64_t kMaxChunkRows = 64;

// |q| of the activations: a code of any type may be added without leaving 16 bits.
constexpr int32_t kLargestQ = 32767 - 255;

// Groups of 4 k that are multiplied in pairs where MatMul::pairs is set. Five of eight keep the multipliers and the
// adders of Zen 4 equally busy. A step's share of the work must be spread over some rows to pay.
constexpr int64_t kFewestRowsForPairs = 7;
constexpr bool IsPaired(int64_t group) { return 0b11011010 >> group & 1; }

// One step of one row for block types: 16 bits, since 8 would move logits by more than the choice between two tokens
// takes. d: scale of q. sum: of all q. start: -zero point * sum of q - products of q with q in pairs, modulo 2^32, over
// all 32 in start[0], or over 16 each for formats with a scale for each 16.
struct QuantizedStep {
  int16_t q[kBlockStep];
  float d;
  float sum;
  int32_t start[2];
};

// One step of one row for plain types. Past k: -0, which leaves every sum as it is.
struct PlainStep {
  float x[kPlainStep];
};

constexpr int64_t StepBytes(syl_dtype type) { return IsPlain(type) ? sizeof(PlainStep) : sizeof(QuantizedStep); }

struct MatMul {
  syl_dtype type;
  PackedLayout layout;
  const uint8_t* packed;
  int64_t n, k;
  const float* x;
  int64_t x_stride;
  int64_t m;
  const float* bias;
  bool accumulate;
  float* y;
  int64_t y_stride;
  uint8_t* steps;  // workspace
  int64_t chunk_rows;
  bool pairs;  // see IsPaired()

  int64_t Chunks() const { return (m + chunk_rows - 1) / chunk_rows; }
  int64_t RowsOf(int64_t chunk) const { return chunk + 1 < Chunks() ? chunk_rows : m - chunk * chunk_rows; }
  // [steps][RowsOf(chunk)]
  template <class Step>
  Step* ChunkSteps(int64_t chunk) const {
    return reinterpret_cast<Step*>(steps) + chunk * chunk_rows * layout.steps;
  }
};

// Bytes of the workspace, with room to align it; -1 when that overflows.
int64_t MatMulWorkspaceBytes(syl_dtype type, const PackedLayout& layout, int64_t m);

// Puts the rows of x into the workspace and says how they lie there, in chunks of at most most_chunk_rows <=
// kMaxChunkRows: then any part of y can be computed.
void PrepareMatMul(void* workspace, int64_t most_chunk_rows, MatMul* mm, syl_pool* pool);

// The part of a prepared product that one chunk of rows and some panels give, with a y of its own.
MatMul PartOfMatMul(const MatMul& mm, int64_t chunk, int64_t first_panel, int64_t panels, float* y, int64_t y_stride);

// y of the rows of one chunk at panels first .. last - 1.
void MultiplyPanels(const MatMul& mm, int64_t chunk, int64_t first, int64_t last);

}  // namespace sylvester

#endif
