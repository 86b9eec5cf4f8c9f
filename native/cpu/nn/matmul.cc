#include "native/cpu/nn/matmul.h"

#include <sylvester/nn.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "native/common/align.h"
#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/common/tier.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/nn/matmul.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/nn/matmul-inl.h"

#if HWY_ONCE
namespace sylvester {
namespace {

constexpr void (*kPrepareRows[kTierCount])(const MatMul&, int64_t first, int64_t last) = SYL_TIERS(PrepareRows);
using MultiplyFunction = void (*)(const MatMul&, int64_t chunk, int64_t first, int64_t last);
constexpr MultiplyFunction kMultiply[kTierCount] = SYL_TIERS_VNNI(Multiply, MultiplyVnni);
constexpr MultiplyFunction kMultiplyPairs[kTierCount] = SYL_TIERS_VNNI(Multiply, MultiplyVnniPairs);

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Balanced, so that the last chunk is not a small one.
int64_t ChunkRows(int64_t m, int64_t most) { return m == 0 ? 1 : CeilDiv(m, CeilDiv(m, most)); }

// Bytes from the first to the last element of rows x cols floats; -1 when that overflows.
int64_t FloatBytes(int64_t rows, int64_t cols, int64_t stride) {
  int64_t bytes;
  const int64_t extent = Extent(rows, cols, stride);
  return extent < 0 || __builtin_mul_overflow(extent, sizeof(float), &bytes) ? -1 : bytes;
}

// Splits `total` equal pieces of work among the threads: some tasks for each, to even out their speeds, but none so
// small that handing it out costs more than it saves.
int64_t PiecesPerTask(int64_t total, int64_t cost_of_piece, int32_t threads) {
  constexpr int64_t kTasksPerThread = 8;
  constexpr int64_t kMinTaskCost = 1 << 15;
  if (threads == 1) return total;
  return std::max(CeilDiv(total, threads * kTasksPerThread), CeilDiv(kMinTaskCost, cost_of_piece));
}

void Run(const MatMul& mm, syl_pool* pool) {
  const int64_t chunks = mm.Chunks();
  const int64_t cost = mm.layout.panel_bytes * (1 + mm.chunk_rows / 4);
  const int64_t panels_per_task =
      std::min(mm.layout.panels, PiecesPerTask(mm.layout.panels * chunks, cost, Threads(pool)));
  const int64_t tasks_per_chunk = CeilDiv(mm.layout.panels, panels_per_task);
  ParallelFor(pool, chunks * tasks_per_chunk, [&](int64_t task, int32_t) {
    const int64_t first = task % tasks_per_chunk * panels_per_task;
    MultiplyPanels(mm, task / tasks_per_chunk, first, std::min(mm.layout.panels, first + panels_per_task));
  });
}

}  // namespace

int64_t MatMulWorkspaceBytes(syl_dtype type, const PackedLayout& layout, int64_t m) {
  int64_t bytes;
  if (__builtin_mul_overflow(m, layout.steps * StepBytes(type), &bytes) ||
      __builtin_add_overflow(bytes, kPackedAlignment - 1, &bytes)) {
    return -1;
  }
  return bytes;
}

void PrepareMatMul(void* workspace, int64_t most_chunk_rows, MatMul* mm, syl_pool* pool) {
  const Tier tier = CurrentTier();
  mm->steps = Aligned(workspace);
  mm->chunk_rows = ChunkRows(mm->m, most_chunk_rows);
  mm->pairs = mm->m >= kFewestRowsForPairs && kMultiplyPairs[tier] != kMultiply[tier];
  // Costs are in bytes read; a weight used for many rows costs about as much as one more read for every four rows.
  const int64_t rows_per_task = PiecesPerTask(mm->m, mm->k * static_cast<int64_t>(sizeof(float)), Threads(pool));
  ParallelFor(pool, CeilDiv(mm->m, rows_per_task), [&](int64_t task, int32_t) {
    const int64_t first = task * rows_per_task;
    kPrepareRows[tier](*mm, first, std::min(mm->m, first + rows_per_task));
  });
}

MatMul PartOfMatMul(const MatMul& mm, int64_t chunk, int64_t first_panel, int64_t panels, float* y, int64_t y_stride) {
  MatMul part = mm;
  part.layout.panels = panels;
  part.packed += first_panel * mm.layout.panel_bytes;
  part.n = std::min(mm.n - first_panel * kPanelRows, panels * kPanelRows);
  part.steps += chunk * mm.chunk_rows * mm.layout.steps * StepBytes(mm.type);
  part.m = part.chunk_rows = mm.RowsOf(chunk);
  part.y = y;
  part.y_stride = y_stride;
  return part;
}

void MultiplyPanels(const MatMul& mm, int64_t chunk, int64_t first, int64_t last) {
  (mm.pairs ? kMultiplyPairs : kMultiply)[CurrentTier()](mm, chunk, first, last);
}

}  // namespace sylvester

using namespace sylvester;

syl_status syl_nn_matmul_workspace(syl_dtype type, int64_t n, int64_t k, int64_t m, int64_t* bytes) {
  SYL_REQUIRE_PTR(bytes);
  PackedLayout layout{};
  const syl_status status = LayOutWeights(__func__, type, n, k, &layout);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_RANGE(m, 0, INT32_MAX);
  const int64_t needed = MatMulWorkspaceBytes(type, layout, m);
  SYL_REQUIRE(needed >= 0, SYL_BAD_SHAPE, "m is %lld and k is %lld: the workspace's size overflows",
              static_cast<long long>(m), static_cast<long long>(k));
  *bytes = needed;
  return SYL_OK;
}

syl_status syl_nn_matmul_f32(syl_dtype type, const void* packed, int64_t n, int64_t k, const float* x, int64_t x_stride,
                             int64_t m, const float* bias, uint32_t flags, float* y, int64_t y_stride, void* workspace,
                             int64_t workspace_bytes, syl_pool* pool) {
  SYL_REQUIRE_PTR(packed);
  SYL_REQUIRE_PTR(x);
  SYL_REQUIRE_PTR(y);
  SYL_REQUIRE_PTR(workspace);
  MatMul mm;
  const syl_status status = LayOutWeights(__func__, type, n, k, &mm.layout);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_RANGE(m, 0, INT32_MAX);
  SYL_REQUIRE(x_stride >= k, SYL_BAD_SHAPE, "x_stride is %lld, must be at least k, %lld",
              static_cast<long long>(x_stride), static_cast<long long>(k));
  SYL_REQUIRE(y_stride >= n, SYL_BAD_SHAPE, "y_stride is %lld, must be at least n, %lld",
              static_cast<long long>(y_stride), static_cast<long long>(n));
  SYL_REQUIRE((flags & ~uint32_t{SYL_MATMUL_ACCUMULATE}) == 0, SYL_BAD_VALUE,
              "flags is %u, must be 0 or SYL_MATMUL_ACCUMULATE", flags);
  SYL_REQUIRE(reinterpret_cast<uintptr_t>(packed) % kPackedAlignment == 0, SYL_BAD_VALUE,
              "packed is %p, must be aligned to %d bytes", packed, static_cast<int>(kPackedAlignment));
  const int64_t x_bytes = FloatBytes(m, k, x_stride), y_bytes = FloatBytes(m, n, y_stride);
  SYL_REQUIRE(x_bytes >= 0, SYL_BAD_SHAPE, "x_stride is %lld and m is %lld: the size of x overflows",
              static_cast<long long>(x_stride), static_cast<long long>(m));
  SYL_REQUIRE(y_bytes >= 0, SYL_BAD_SHAPE, "y_stride is %lld and m is %lld: the size of y overflows",
              static_cast<long long>(y_stride), static_cast<long long>(m));
  const int64_t needed = MatMulWorkspaceBytes(type, mm.layout, m);
  SYL_REQUIRE(needed >= 0 && workspace_bytes >= needed, SYL_WORKSPACE,
              "workspace_bytes is %lld, must be what syl_nn_matmul_workspace tells",
              static_cast<long long>(workspace_bytes));
  SYL_REQUIRE(!Overlaps(y, y_bytes, x, x_bytes), SYL_OVERLAP, "y (%p) overlaps x (%p)", static_cast<void*>(y),
              static_cast<const void*>(x));
  SYL_REQUIRE(!Overlaps(y, y_bytes, packed, mm.layout.bytes), SYL_OVERLAP, "y (%p) overlaps packed (%p)",
              static_cast<void*>(y), packed);
  SYL_REQUIRE(bias == nullptr || !Overlaps(y, y_bytes, bias, n * static_cast<int64_t>(sizeof(float))), SYL_OVERLAP,
              "y (%p) overlaps bias (%p)", static_cast<void*>(y), static_cast<const void*>(bias));
  SYL_REQUIRE(!Overlaps(workspace, needed, y, y_bytes) && !Overlaps(workspace, needed, x, x_bytes), SYL_OVERLAP,
              "workspace (%p) overlaps x (%p) or y (%p)", workspace, static_cast<const void*>(x),
              static_cast<void*>(y));
  if (m == 0) return SYL_OK;

  mm.type = type;
  mm.packed = static_cast<const uint8_t*>(packed);
  mm.n = n;
  mm.k = k;
  mm.x = x;
  mm.x_stride = x_stride;
  mm.m = m;
  mm.bias = bias;
  mm.accumulate = (flags & SYL_MATMUL_ACCUMULATE) != 0;
  mm.y = y;
  mm.y_stride = y_stride;
  PrepareMatMul(workspace, kMaxChunkRows, &mm, pool);
  Run(mm, pool);
  return SYL_OK;
}
#endif
