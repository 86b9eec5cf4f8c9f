#include "native/cpu/kron/apply.h"

#include <cmath>

#include "native/common/status.h"
#include "native/cpu/kron/product.h"

namespace sylvester {
namespace {

syl_status CheckPacked(const char* function, const char* name, int64_t index, const void* packed) {
  if (packed == nullptr) {
    return Fail(SYL_NULL_ARGUMENT, "%s: %s[%lld] is NULL", function, name, static_cast<long long>(index));
  }
  if (reinterpret_cast<uintptr_t>(packed) % kAlignment != 0) {
    return Fail(SYL_BAD_VALUE, "%s: %s[%lld] is %p, must be aligned to %d bytes", function, name,
                static_cast<long long>(index), packed, static_cast<int>(kAlignment));
  }
  if (static_cast<const KronPacked*>(packed)->magic != kKronMagic) {
    return Fail(SYL_BAD_DATA, "%s: %s[%lld] was not made by syl_kron_pack", function, name,
                static_cast<long long>(index));
  }
  return SYL_OK;
}

// x, y and the workspace, whose rows and sizes are known. y_bytes: of what may be written.
syl_status CheckMemory(const char* function, const KronRows& r, int64_t rows, int64_t out, int64_t in, uint32_t flags,
                       const void* workspace, int64_t workspace_bytes, int64_t needed) {
  const auto number = [](int64_t value) { return static_cast<long long>(value); };
  if (r.x == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: x is NULL", function);
  if (r.y == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: y is NULL", function);
  if (rows < 0) return Fail(SYL_BAD_VALUE, "%s: rows is %lld, must not be negative", function, number(rows));
  if ((flags & ~uint32_t{SYL_KRON_ACCUMULATE}) != 0) {
    return Fail(SYL_BAD_VALUE, "%s: flags is %u, must be 0 or SYL_KRON_ACCUMULATE", function, flags);
  }
  int64_t bytes[2];
  const struct {
    const char* name;
    int64_t stride, cols;
  } sides[] = {{"x", r.x_stride, in}, {"y", r.y_stride, out}};
  for (int i = 0; i < 2; ++i) {
    if (sides[i].stride < sides[i].cols) {
      return Fail(SYL_BAD_SHAPE, "%s: %s_stride is %lld, must be at least %lld", function, sides[i].name,
                  number(sides[i].stride), number(sides[i].cols));
    }
    bytes[i] = Extent(rows, sides[i].cols, sides[i].stride);
    if (bytes[i] < 0 || bytes[i] > INT64_MAX / 4) {
      return Fail(SYL_BAD_SHAPE, "%s: %s_stride is %lld, too large for %lld rows", function, sides[i].name,
                  number(sides[i].stride), number(rows));
    }
    bytes[i] *= 4;
  }
  if (needed > 0 && workspace == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: workspace is NULL", function);
  if (workspace_bytes < needed) {
    return Fail(SYL_WORKSPACE, "%s: workspace_bytes is %lld, must be at least %lld", function, number(workspace_bytes),
                number(needed));
  }
  if (Overlaps(r.x, bytes[0], r.y, bytes[1])) return Fail(SYL_OVERLAP, "%s: y overlaps x", function);
  if (Overlaps(workspace, needed, r.x, bytes[0])) return Fail(SYL_OVERLAP, "%s: workspace overlaps x", function);
  if (Overlaps(workspace, needed, r.y, bytes[1])) return Fail(SYL_OVERLAP, "%s: workspace overlaps y", function);
  return SYL_OK;
}

// That y and the workspace leave an adapter alone.
syl_status CheckOutputs(const char* function, const KronPacked& packed, const KronRows& r, int64_t rows,
                        const void* workspace, int64_t needed) {
  if (Overlaps(r.y, Extent(rows, packed.shape.Out(), r.y_stride) * 4, &packed, packed.bytes)) {
    return Fail(SYL_OVERLAP, "%s: y overlaps packed", function);
  }
  if (Overlaps(workspace, needed, &packed, packed.bytes)) {
    return Fail(SYL_OVERLAP, "%s: workspace overlaps packed", function);
  }
  return SYL_OK;
}

}  // namespace

void ApplyKron(const KronPacked& packed, float scale, const KronRows& r, int64_t rows, bool accumulate, void* workspace,
               syl_pool* pool) {
  const KronShape& s = packed.shape;
  const int64_t chunk = KronChunkRows(s), between = s.Between();
  auto* t = reinterpret_cast<float*>(Aligned(workspace));
  for (int64_t row = 0; row < rows; row += chunk) {
    const int64_t count = std::min(chunk, rows - row);
    const float* x = r.x + row * r.x_stride;
    float* y = r.y + row * r.y_stride;
    KronProduct first{}, second{};
    if (s.IsUFirst()) {
      // S[b][k][j2][i1] from rows (b, j2), depth j1, columns (k, i1); then rows (b, i1), depth (k, j2), columns i2.
      first = {x,
               {count * s.q, s.q, r.x_stride, 1},
               s.q,
               s.n,
               packed.type,
               packed.First(),
               t,
               {count * s.q, s.q, between, s.m},
               {s.terms * s.m, s.m, s.q * s.m, 1},
               1,
               false};
      second = {t,
                {count * s.m, s.m, between, 1},
                s.m,
                s.terms * s.q,
                packed.type,
                packed.Second(),
                y,
                {count * s.m, s.m, r.y_stride, s.p},
                Uniform(s.p, 1),
                scale,
                accumulate};
    } else {
      // T[b][k][j1][i2] from rows (b, j1), depth j2, columns (k, i2); then rows (b, i2), depth (k, j1), columns i1.
      first = {x,
               {count * s.n, s.n, r.x_stride, s.q},
               1,
               s.q,
               packed.type,
               packed.First(),
               t,
               {count * s.n, s.n, between, s.p},
               {s.terms * s.p, s.p, s.n * s.p, 1},
               1,
               false};
      second = {t,
                {count * s.p, s.p, between, 1},
                s.p,
                s.terms * s.n,
                packed.type,
                packed.Second(),
                y,
                {count * s.p, s.p, r.y_stride, 1},
                Uniform(s.m, s.p),
                scale,
                accumulate};
    }
    RunProduct(first, pool);
    RunProduct(second, pool);
  }
}

}  // namespace sylvester

using namespace sylvester;

syl_status syl_kron_describe(const syl_kron* kron, syl_kron_info* info) {
  const syl_status status = CheckKron(__func__, kron, false);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_STRUCT(info);
  const KronShape shape = ShapeOf(*kron);
  info->order = shape.IsUFirst() ? SYL_KRON_U_FIRST : SYL_KRON_V_FIRST;
  info->parameters = shape.terms * (shape.m * shape.n + shape.p * shape.q);
  info->flop = 2 * std::min(shape.UFirst(), shape.VFirst());
  info->packed_bytes = KronPackedBytes(kron->type, shape);
  return SYL_OK;
}

syl_status syl_kron_pack(const syl_kron* kron, uint32_t flags, void* packed, int64_t packed_bytes) {
  const syl_status status = CheckKron(__func__, kron, true);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(packed);
  SYL_REQUIRE((flags & ~uint32_t{SYL_KRON_TRANSPOSED}) == 0, SYL_BAD_VALUE,
              "flags is %u, must be 0 or SYL_KRON_TRANSPOSED", flags);
  SYL_REQUIRE(reinterpret_cast<uintptr_t>(packed) % kAlignment == 0, SYL_BAD_VALUE,
              "packed is %p, must be aligned to %d bytes", packed, static_cast<int>(kAlignment));
  const int64_t needed = KronPackedBytes(kron->type, ShapeOf(*kron)), element = syl_dtype_block_bytes(kron->type);
  SYL_REQUIRE(packed_bytes >= needed, SYL_WORKSPACE, "packed_bytes is %lld, must be at least %lld",
              static_cast<long long>(packed_bytes), static_cast<long long>(needed));
  SYL_REQUIRE(!Overlaps(packed, needed, kron->u, kron->terms * kron->m * kron->n * element), SYL_OVERLAP,
              "packed (%p) overlaps kron->u", packed);
  SYL_REQUIRE(!Overlaps(packed, needed, kron->v, kron->terms * kron->p * kron->q * element), SYL_OVERLAP,
              "packed (%p) overlaps kron->v", packed);
  PackKron(*kron, (flags & SYL_KRON_TRANSPOSED) != 0, packed);
  return SYL_OK;
}

syl_status syl_kron_workspace(const void* packed, int64_t* bytes) {
  const syl_status status = CheckPacked(__func__, "packed", 0, packed);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(bytes);
  *bytes = KronWorkspaceBytes(static_cast<const KronPacked*>(packed)->shape);
  return SYL_OK;
}

syl_status syl_kron_apply_f32(const void* packed, float scale, const float* x, int64_t x_stride, int64_t rows,
                              uint32_t flags, float* y, int64_t y_stride, void* workspace, int64_t workspace_bytes,
                              syl_pool* pool) {
  syl_status status = CheckPacked(__func__, "packed", 0, packed);
  if (status != SYL_OK) return status;
  const auto& adapter = *static_cast<const KronPacked*>(packed);
  SYL_REQUIRE(std::isfinite(scale), SYL_BAD_VALUE, "scale is %g, must be finite", static_cast<double>(scale));
  const KronRows r{x, x_stride, y, y_stride};
  const int64_t needed = KronWorkspaceBytes(adapter.shape);
  status = CheckMemory(__func__, r, rows, adapter.shape.Out(), adapter.shape.In(), flags, workspace, workspace_bytes,
                       needed);
  if (status == SYL_OK) status = CheckOutputs(__func__, adapter, r, rows, workspace, needed);
  if (status != SYL_OK) return status;
  ApplyKron(adapter, scale, r, rows, (flags & SYL_KRON_ACCUMULATE) != 0, workspace, pool);
  return SYL_OK;
}

syl_status syl_kron_apply_segments_f32(const syl_kron_segments* segments, int64_t out, int64_t in, const float* x,
                                       int64_t x_stride, uint32_t flags, float* y, int64_t y_stride, void* workspace,
                                       int64_t workspace_bytes, syl_pool* pool) {
  SYL_REQUIRE_STRUCT(segments);
  const syl_kron_segments& all = *segments;
  SYL_REQUIRE_RANGE(segments->adapters, 0, INT32_MAX);
  SYL_REQUIRE_RANGE(segments->segments, 0, INT32_MAX);
  SYL_REQUIRE_RANGE(out, 1, INT32_MAX);
  SYL_REQUIRE_RANGE(in, 1, INT32_MAX);
  SYL_REQUIRE(all.adapters == 0 || all.packed != nullptr, SYL_NULL_ARGUMENT, "%s is NULL", "segments->packed");
  SYL_REQUIRE(all.row_begin != nullptr, SYL_NULL_ARGUMENT, "%s is NULL", "segments->row_begin");
  SYL_REQUIRE(all.segments == 0 || all.adapter != nullptr, SYL_NULL_ARGUMENT, "%s is NULL", "segments->adapter");
  SYL_REQUIRE(all.segments == 0 || all.scale != nullptr, SYL_NULL_ARGUMENT, "%s is NULL", "segments->scale");
  SYL_REQUIRE(all.row_begin[0] == 0, SYL_BAD_SHAPE, "segments->row_begin[0] is %lld, must be 0",
              static_cast<long long>(all.row_begin[0]));
  int64_t needed = 0;
  for (int32_t a = 0; a < all.adapters; ++a) {
    const syl_status status = CheckPacked(__func__, "segments->packed", a, all.packed[a]);
    if (status != SYL_OK) return status;
    const KronShape& shape = static_cast<const KronPacked*>(all.packed[a])->shape;
    SYL_REQUIRE(shape.Out() == out && shape.In() == in, SYL_BAD_SHAPE,
                "segments->packed[%d] is %lld x %lld, must be %lld x %lld", a, static_cast<long long>(shape.Out()),
                static_cast<long long>(shape.In()), static_cast<long long>(out), static_cast<long long>(in));
    needed = std::max(needed, KronWorkspaceBytes(shape));
  }
  for (int64_t s = 0; s < all.segments; ++s) {
    const auto number = static_cast<long long>(s);
    SYL_REQUIRE(all.row_begin[s + 1] >= all.row_begin[s], SYL_BAD_SHAPE,
                "segments->row_begin[%lld] is %lld, must not be below the one before", number + 1,
                static_cast<long long>(all.row_begin[s + 1]));
    SYL_REQUIRE(all.adapter[s] >= -1 && all.adapter[s] < all.adapters, SYL_BAD_VALUE,
                "segments->adapter[%lld] is %d, must be -1..%d", number, all.adapter[s], all.adapters - 1);
    SYL_REQUIRE(std::isfinite(all.scale[s]), SYL_BAD_VALUE, "segments->scale[%lld] is %g, must be finite", number,
                static_cast<double>(all.scale[s]));
  }
  const int64_t rows = all.row_begin[all.segments];
  const KronRows r{x, x_stride, y, y_stride};
  syl_status status = CheckMemory(__func__, r, rows, out, in, flags, workspace, workspace_bytes, needed);
  for (int32_t a = 0; a < all.adapters && status == SYL_OK; ++a) {
    status = CheckOutputs(__func__, *static_cast<const KronPacked*>(all.packed[a]), r, rows, workspace, needed);
  }
  if (status != SYL_OK) return status;

  const bool accumulate = (flags & SYL_KRON_ACCUMULATE) != 0;
  for (int64_t s = 0; s < all.segments; ++s) {
    const int64_t first = all.row_begin[s], count = all.row_begin[s + 1] - first;
    const KronRows part{x + first * x_stride, x_stride, y + first * y_stride, y_stride};
    if (all.adapter[s] >= 0) {
      const auto& adapter = *static_cast<const KronPacked*>(all.packed[all.adapter[s]]);
      ApplyKron(adapter, all.scale[s], part, count, accumulate, workspace, pool);
    } else if (!accumulate) {
      for (int64_t row = 0; row < count; ++row) std::fill_n(part.y + row * y_stride, out, 0.f);
    }
  }
  return SYL_OK;
}
