#include <sylvester/kron.h>

#include <cmath>

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
    chunk = std::clamp<int64_t>((int64_t{1} << 16) / between, 1, 64);
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

struct Gradient {
  KronShape shape;
  const float *u, *v;
  float scale;
  const float* x;
  int64_t x_stride;
  const float* g;
  int64_t g_stride;
  float *du, *dv;
};

void AddFactorGradients(const Gradient& a, const GradientLayout& layout, int64_t rows, float* memory, syl_pool* pool) {
  const KronShape& s = a.shape;
  const int64_t all = rows * s.n * s.p;  // of one term of T or Z
  float *t = memory + layout.products, *panels = memory + layout.rows;
  // T[k][j1][b][i2]
  RunProduct({a.x,
              {rows * s.n, s.n, a.x_stride, s.q},
              1,
              s.q,
              SYL_F32,
              memory + layout.v,
              t,
              {rows * s.n, s.n, s.p, rows * s.p},
              {s.terms * s.p, s.p, all, 1},
              1,
              false},
             pool);
  PackPanels(SYL_F32, a.g, Uniform(s.m, s.p), {rows * s.p, s.p, a.g_stride, 1}, panels);
  RunProduct({t,
              Uniform(s.terms * s.n, rows * s.p),
              1,
              rows * s.p,
              SYL_F32,
              panels,
              a.du,
              {s.terms * s.n, s.n, s.m * s.n, 1},
              Uniform(s.m, s.n),
              a.scale,
              true},
             pool);
  // Z[k][b][j1][i2]
  RunProduct({a.g,
              {rows * s.p, s.p, a.g_stride, 1},
              s.p,
              s.m,
              SYL_F32,
              memory + layout.u,
              t,
              {rows * s.p, s.p, s.n * s.p, 1},
              {s.terms * s.n, s.n, all, s.p},
              1,
              false},
             pool);
  PackPanels(SYL_F32, a.x, Uniform(s.q, 1), {rows * s.n, s.n, a.x_stride, s.q}, panels);
  RunProduct({t,
              {s.terms * s.p, s.p, all, 1},
              s.p,
              rows * s.n,
              SYL_F32,
              panels,
              a.dv,
              Uniform(s.terms * s.p, s.q),
              Uniform(s.q, 1),
              a.scale,
              true},
             pool);
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
  syl_status status = CheckKron(__func__, kron, true);
  if (status != SYL_OK) return status;
  SYL_REQUIRE(kron->type == SYL_F32, SYL_UNSUPPORTED, "kron->type is %d, gradients need SYL_F32", kron->type);
  SYL_REQUIRE(std::isfinite(scale), SYL_BAD_VALUE, "scale is %g, must be finite", static_cast<double>(scale));
  SYL_REQUIRE_PTR(x);
  SYL_REQUIRE_PTR(g);
  SYL_REQUIRE_PTR(du);
  SYL_REQUIRE_PTR(dv);
  SYL_REQUIRE_PTR(workspace);
  SYL_REQUIRE(rows >= 0, SYL_BAD_VALUE, "rows is %lld, must not be negative", static_cast<long long>(rows));
  const KronShape shape = ShapeOf(*kron);
  const struct {
    const char* name;
    int64_t stride, cols;
  } strides[] = {{"x_stride", x_stride, shape.In()},
                 {"g_stride", g_stride, shape.Out()},
                 {"dx_stride", dx == nullptr ? shape.In() : dx_stride, shape.In()}};
  for (const auto& s : strides) {
    const int64_t extent = Extent(rows, s.cols, s.stride);
    SYL_REQUIRE(s.stride >= s.cols && extent >= 0 && extent <= INT64_MAX / 4, SYL_BAD_SHAPE,
                "%s is %lld, must be at least %lld and fit %lld rows", s.name, static_cast<long long>(s.stride),
                static_cast<long long>(s.cols), static_cast<long long>(rows));
  }
  const GradientLayout layout(shape);
  SYL_REQUIRE(workspace_bytes >= layout.Bytes(), SYL_WORKSPACE, "workspace_bytes is %lld, must be at least %lld",
              static_cast<long long>(workspace_bytes), static_cast<long long>(layout.Bytes()));
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
  const auto *u = static_cast<const float*>(kron->u), *v = static_cast<const float*>(kron->v);
  const KronShape& s = shape;
  PackPanels(SYL_F32, v, {s.terms * s.p, s.p, s.p * s.q, s.q}, Uniform(s.q, 1), memory + layout.v);
  PackPanels(SYL_F32, u, {s.terms * s.n, s.n, s.m * s.n, 1}, Uniform(s.m, s.n), memory + layout.u);
  for (int64_t first = 0; first < rows; first += layout.chunk) {
    const Gradient part{shape, u, v, scale, x + first * x_stride, x_stride, g + first * g_stride, g_stride, du, dv};
    AddFactorGradients(part, layout, std::min(layout.chunk, rows - first), memory, pool);
  }
  if (dx != nullptr) {
    PackKron(*kron, true, memory + layout.packed);
    ApplyKron(*reinterpret_cast<const KronPacked*>(memory + layout.packed), scale, {g, g_stride, dx, dx_stride}, rows,
              true, memory + layout.apply, pool);
  }
  return SYL_OK;
}
