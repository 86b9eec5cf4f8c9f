// A checked acceptance head: where its parameters lie and how its work is cut.
#ifndef SYLVESTER_NATIVE_CPU_SPEC_HEAD_HEAD_H_
#define SYLVESTER_NATIVE_CPU_SPEC_HEAD_HEAD_H_

#include <sylvester/spec.h>

#include <algorithm>

#include "native/common/pool.h"

namespace sylvester {

constexpr int64_t kHeadRows = 64;  // at a time: bounds the workspace
constexpr int64_t kOutputsPerTask = 16;
// Multiplications that are worth waking threads for.
constexpr int64_t kWorthThreads = int64_t{1} << 19;

struct HeadLayout {
  explicit HeadLayout(const syl_spec_head& head) : width(head.width), blocks(head.blocks), tied(head.tied != 0) {}

  int64_t BlockSize() const { return width * width + width; }
  int64_t Weight(int64_t block) const { return tied ? 0 : block * BlockSize(); }
  int64_t Bias(int64_t block) const { return Weight(block) + width * width; }
  int64_t Output() const { return (tied ? std::min<int64_t>(blocks, 1) : blocks) * BlockSize(); }
  int64_t OutputBias() const { return Output() + 2 * width; }
  int64_t Count() const { return OutputBias() + 2; }

  int64_t width, blocks;
  bool tied;
};

// Every field but the parameters.
syl_status CheckHead(const char* function, const syl_spec_head* head);

// What both passes are given, all but the head.
struct HeadRows {
  const float* hidden;
  int64_t stride, rows;
  void* workspace;
  int64_t workspace_bytes;
};
syl_status CheckHeadRows(const char* function, const syl_spec_head& head, const HeadRows& rows);

int64_t HeadWorkspaceBytes(const HeadLayout& layout, int64_t rows);

inline syl_pool* PoolFor(const HeadLayout& layout, int64_t rows, syl_pool* pool) {
  return rows * layout.width * layout.width < kWorthThreads ? nullptr : pool;
}

// u = W x + b and y = x + silu(u) of a block; u, y: rows back to back.
void RunHeadBlock(const syl_spec_head& head, int64_t block, const float* x, int64_t x_stride, int64_t rows, float* u,
                  float* y, syl_pool* pool);

// z_1 - z_0 of a row after the blocks.
double HeadLogit(const syl_spec_head& head, const float* x);

}  // namespace sylvester

#endif
