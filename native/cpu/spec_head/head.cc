#include "native/cpu/spec_head/head.h"

#include <cmath>

#include "native/common/align.h"
#include "native/common/status.h"
#include "native/cpu/spec_head/products.h"

namespace sylvester {

syl_status CheckHead(const char* function, const syl_spec_head* head) {
  const auto fail = [&](const char* name, double value, const char* must) {
    return Fail(SYL_BAD_VALUE, "%s: head->%s is %g, must be %s", function, name, value, must);
  };
  if (head == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: head is NULL", function);
  if (head->struct_size != sizeof(*head)) {
    return Fail(SYL_BAD_VALUE, "%s: head->struct_size is %u, must be %zu", function, head->struct_size, sizeof(*head));
  }
  if (head->width < 1 || head->width > 65536) return fail("width", head->width, "1..65536");
  if (head->blocks < 0 || head->blocks > 64) return fail("blocks", head->blocks, "0..64");
  if (head->tied != SYL_UNTIED_BLOCKS && head->tied != SYL_TIED_BLOCKS) return fail("tied", head->tied, "0 or 1");
  if (!std::isfinite(head->shift)) return fail("shift", head->shift, "finite");
  if (!(std::isfinite(head->scale) && head->scale > 0)) return fail("scale", head->scale, "finite and more than 0");
  return SYL_OK;
}

int64_t HeadWorkspaceBytes(const HeadLayout& layout, int64_t rows) {
  // The gradient keeps x_0 .. x_blocks, u_0 .. u_(blocks - 1), dx and du; the forward pass needs three of these.
  const int64_t matrices = 2 * layout.blocks + 3;
  return Aligned(std::min(rows, kHeadRows) * layout.width * matrices * 4) + kAlignment;
}

syl_status CheckHeadRows(const char* function, const syl_spec_head& head, const HeadRows& rows) {
  if (head.parameters == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: head->parameters is NULL", function);
  if (rows.hidden == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: hidden is NULL", function);
  if (rows.workspace == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: workspace is NULL", function);
  const auto count = static_cast<long long>(rows.rows), stride = static_cast<long long>(rows.stride);
  if (rows.rows < 0) return Fail(SYL_BAD_VALUE, "%s: rows is %lld, must not be negative", function, count);
  if (rows.stride < head.width) {
    return Fail(SYL_BAD_SHAPE, "%s: stride is %lld, must be at least %d", function, stride, head.width);
  }
  const int64_t extent = Extent(rows.rows, head.width, rows.stride);
  if (extent < 0 || extent > INT64_MAX / 4) {
    return Fail(SYL_BAD_SHAPE, "%s: stride is %lld, too large for %lld rows", function, stride, count);
  }
  const HeadLayout layout(head);
  const int64_t needed = HeadWorkspaceBytes(layout, rows.rows);
  if (rows.workspace_bytes < needed) {
    return Fail(SYL_WORKSPACE, "%s: workspace_bytes is %lld, must be at least %lld", function,
                static_cast<long long>(rows.workspace_bytes), static_cast<long long>(needed));
  }
  if (Overlaps(rows.workspace, rows.workspace_bytes, rows.hidden, extent * 4)) {
    return Fail(SYL_OVERLAP, "%s: workspace overlaps hidden", function);
  }
  if (Overlaps(rows.workspace, rows.workspace_bytes, head.parameters, layout.Count() * 4)) {
    return Fail(SYL_OVERLAP, "%s: workspace overlaps head->parameters", function);
  }
  return SYL_OK;
}

void RunHeadBlock(const syl_spec_head& head, int64_t block, const float* x, int64_t x_stride, int64_t rows, float* u,
                  float* y, syl_pool* pool) {
  const HeadLayout layout(head);
  const int64_t width = layout.width;
  const float* weight = head.parameters + layout.Weight(block);
  const float* bias = head.parameters + layout.Bias(block);
  ParallelFor(PoolFor(layout, rows, pool), (width + kOutputsPerTask - 1) / kOutputsPerTask, [&](int64_t task, int32_t) {
    const int64_t first = task * kOutputsPerTask, outputs = std::min(kOutputsPerTask, width - first);
    Run(Affine{weight + first * width, bias + first, width, outputs, x, x_stride, rows, u + first, width});
    for (int64_t r = 0; r < rows; ++r) {
      AddSilu(u + r * width + first, x + r * x_stride + first, outputs, y + r * width + first);
    }
  });
}

double HeadLogit(const syl_spec_head& head, const float* x) {
  const HeadLayout layout(head);
  float z[2];
  Run(Affine{head.parameters + layout.Output(), head.parameters + layout.OutputBias(), layout.width, 2, x, layout.width,
             1, z, 2});
  return static_cast<double>(z[1]) - z[0];
}

namespace {

void ForwardChunk(const syl_spec_head& head, const float* hidden, int64_t stride, int64_t rows, float* acceptance,
                  float* workspace, syl_pool* pool) {
  const int64_t matrix = std::min(rows, kHeadRows) * head.width;
  float *u = workspace, *y = u + matrix, *other = y + matrix;
  const float* x = hidden;
  int64_t x_stride = stride;
  for (int64_t block = 0; block < head.blocks; ++block) {
    RunHeadBlock(head, block, x, x_stride, rows, u, y, pool);
    x = y;
    x_stride = head.width;
    std::swap(y, other);
  }
  for (int64_t r = 0; r < rows; ++r) {
    const double logit = (HeadLogit(head, x + r * x_stride) + head.shift) * head.scale;
    acceptance[r] = static_cast<float>(1 / (1 + std::exp(-logit)));
  }
}

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_spec_head_parameters(const syl_spec_head* head, int64_t* count) {
  const syl_status status = CheckHead(__func__, head);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(count);
  *count = HeadLayout(*head).Count();
  return SYL_OK;
}

syl_status syl_spec_head_workspace(const syl_spec_head* head, int64_t rows, int64_t* bytes) {
  const syl_status status = CheckHead(__func__, head);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(bytes);
  SYL_REQUIRE(rows >= 0, SYL_BAD_VALUE, "rows is %lld, must not be negative", static_cast<long long>(rows));
  *bytes = HeadWorkspaceBytes(HeadLayout(*head), rows);
  return SYL_OK;
}

syl_status syl_spec_head_f32(const syl_spec_head* head, const float* hidden, int64_t stride, int64_t rows,
                             float* acceptance, void* workspace, int64_t workspace_bytes, syl_pool* pool) {
  syl_status status = CheckHead(__func__, head);
  if (status == SYL_OK) status = CheckHeadRows(__func__, *head, {hidden, stride, rows, workspace, workspace_bytes});
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(acceptance);
  const HeadLayout layout(*head);
  const auto overlaps = [&](const void* other, int64_t bytes) { return Overlaps(acceptance, rows * 4, other, bytes); };
  SYL_REQUIRE(!overlaps(hidden, Extent(rows, layout.width, stride) * 4), SYL_OVERLAP, "acceptance overlaps %s",
              "hidden");
  SYL_REQUIRE(!overlaps(head->parameters, layout.Count() * 4), SYL_OVERLAP, "acceptance overlaps %s",
              "head->parameters");
  SYL_REQUIRE(!overlaps(workspace, workspace_bytes), SYL_OVERLAP, "acceptance overlaps %s", "workspace");
  for (int64_t first = 0; first < rows; first += kHeadRows) {
    ForwardChunk(*head, hidden + first * stride, stride, std::min(kHeadRows, rows - first), acceptance + first,
                 reinterpret_cast<float*>(Aligned(workspace)), pool);
  }
  return SYL_OK;
}
