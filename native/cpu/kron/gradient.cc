#include <sylvester/kron.h>

#include "native/common/align.h"
#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/cpu/kron/apply.h"
#include "native/cpu/kron/packed.h"
#include "native/cpu/kron/product.h"

namespace sylvester {
namespace {

// Parts of the workspace, in floats.
struct GradientLayout {
  explicit GradientLayout(const KronShape& s) {
    const int64_t between = s.terms * s.n * s.p;
    chunk = GradientRows(s);
    const auto take = [this](int64_t floats) {
      const int64_t begin = total;
      total += Aligned(floats * 4) / 4;
      return begin;
    };
    v = take(PanelElements(s.terms * s.p, s.q));
    u = take(PanelElements(s.terms * s.n, s.m));
    rows = take(std::max(PanelElements(s.m, chunk * s.p), PanelElements(s.q, chunk * s.n)));
    products = take(chunk * between);
    packed = take(KronPackedBytes(SYL_F32, s) / 4);
    apply = take(KronWorkspaceBytes(s.Transposed()) / 4);
  }
  int64_t Bytes() const { return total * 4 + kAlignment; }

  int64_t chunk;  // rows at a time
  int64_t v, u, rows, products, packed,
      apply;  // panels of V, U and of rows; T or Z; U^T and V^T packed; their workspace
  int64_t total = 0;
};

void AddFactorGradients(const KronGradientCall& a, const KronShape& shape, const GradientLayout& layout, int64_t first,
                        int64_t rows, float* memory, syl_pool* pool) {
  const float *x = a.x + first * a.x_stride, *g = a.g + first * a.g_stride;
  float *products = memory + layout.products, *panels = memory + layout.rows;
  const KronGradientSteps steps = GradientStepsOf(shape, rows, a.x_stride, a.g_stride);
  const auto run = [&](const KronStep& step, const float* from, const float* of, float* to, bool add) {
    RunProduct({from, step.rows, step.step, step.depth.count, SYL_F32, of, to, step.to_rows, step.to_columns,
                add ? a.scale : 1, add},
               pool);
  };
  run(steps.t, x, memory + layout.v, products, false);
  PackPanels(SYL_F32, g, steps.du.columns, steps.du.depth, panels);
  run(steps.du, products, panels, a.du, true);
  run(steps.z, g, memory + layout.u, products, false);
  PackPanels(SYL_F32, x, steps.dv.columns, steps.dv.depth, panels);
  run(steps.dv, products, panels, a.dv, true);
}

struct Region {
  const char* name;
  const void* data;
  int64_t bytes;
};

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_kron_gradient_workspace(const syl_kron* kron, int64_t* bytes) {
  const syl_status status = CheckKron(__func__, kron, false);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(bytes);
  *bytes = GradientLayout(ShapeOf(*kron)).Bytes();
  return SYL_OK;
}

syl_status syl_kron_gradient_f32(const syl_kron* kron, float scale, const float* x, int64_t x_stride, const float* g,
                                 int64_t g_stride, int64_t rows, float* du, float* dv, float* dx, int64_t dx_stride,
                                 void* workspace, int64_t workspace_bytes, syl_pool* pool) {
  const KronGradientCall call{kron, scale, x, x_stride, g, g_stride, rows, du, dv, dx, dx_stride};
  if (const syl_status bad = CheckKronGradient(__func__, call)) return bad;
  const KronShape shape = ShapeOf(*kron);
  const GradientLayout layout(shape);
  if (const syl_status bad = CheckKronWorkspace(__func__, workspace, workspace_bytes, layout.Bytes())) return bad;
  const int64_t u_bytes = shape.terms * shape.m * shape.n * 4, v_bytes = shape.terms * shape.p * shape.q * 4;
  const Region regions[] = {{"du", du, u_bytes},
                            {"dv", dv, v_bytes},
                            {"dx", dx, dx == nullptr ? 0 : Extent(rows, shape.In(), dx_stride) * 4},
                            {"workspace", workspace, layout.Bytes()},
                            {"x", x, Extent(rows, shape.In(), x_stride) * 4},
                            {"g", g, Extent(rows, shape.Out(), g_stride) * 4},
                            {"kron->u", kron->u, u_bytes},
                            {"kron->v", kron->v, v_bytes}};
  constexpr int kOutputs = 4;
  for (int i = 0; i < kOutputs; ++i) {
    for (const Region* other = regions + i + 1; other != std::end(regions); ++other) {
      SYL_REQUIRE(!Overlaps(regions[i].data, regions[i].bytes, other->data, other->bytes), SYL_OVERLAP,
                  "%s overlaps %s", regions[i].name, other->name);
    }
  }

  auto* memory = reinterpret_cast<float*>(Aligned(workspace));
  // Panels of factors do not depend on rows.
  const KronGradientSteps steps = GradientStepsOf(shape, 1, x_stride, g_stride);
  PackPanels(SYL_F32, kron->v, steps.t.columns, steps.t.depth, memory + layout.v);
  PackPanels(SYL_F32, kron->u, steps.z.columns, steps.z.depth, memory + layout.u);
  for (int64_t first = 0; first < rows; first += layout.chunk) {
    AddFactorGradients(call, shape, layout, first, std::min(layout.chunk, rows - first), memory, pool);
  }
  if (dx != nullptr) {
    PackKron(*kron, true, memory + layout.packed);
    ApplyKron(*reinterpret_cast<const KronPacked*>(memory + layout.packed), scale, {g, g_stride, dx, dx_stride}, rows,
              true, memory + layout.apply, pool);
  }
  return SYL_OK;
}
