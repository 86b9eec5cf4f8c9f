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
  int64_t bytes[2];
  if (const syl_status bad =
          CheckKronRows(function, r.x, r.x_stride, r.y, r.y_stride, rows, out, in, flags, SYL_KRON_ACCUMULATE, bytes)) {
    return bad;
  }
  if (const syl_status bad = CheckKronWorkspace(function, workspace, workspace_bytes, needed)) return bad;
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
  const int64_t chunk = KronChunkRows(s);
  auto* t = reinterpret_cast<float*>(Aligned(workspace));
  for (int64_t row = 0; row < rows; row += chunk) {
    const int64_t count = std::min(chunk, rows - row);
    const float* x = r.x + row * r.x_stride;
    float* y = r.y + row * r.y_stride;
    const KronSteps steps = StepsOf(s, false, count, r.x_stride, r.y_stride);
    const auto product = [&](const KronStep& step, const float* a, const uint8_t* panels, float* c, float of_scale,
                             bool add) {
      return KronProduct{a, step.rows,    step.step,       step.depth.count, packed.type, panels,
                         c, step.to_rows, step.to_columns, of_scale,         add};
    };
    RunProduct(product(steps.first, x, packed.First(), t, 1, false), pool);
    RunProduct(product(steps.second, t, packed.Second(), y, scale, accumulate), pool);
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
  syl_status status = CheckKronSegments(__func__, all.adapters, all.segments, all.packed, "packed", all.row_begin,
                                        all.adapter, all.scale, out, in);
  if (status != SYL_OK) return status;
  int64_t needed = 0;
  for (int32_t a = 0; a < all.adapters; ++a) {
    status = CheckPacked(__func__, "segments->packed", a, all.packed[a]);
    if (status != SYL_OK) return status;
    const KronShape& shape = static_cast<const KronPacked*>(all.packed[a])->shape;
    SYL_REQUIRE(shape.Out() == out && shape.In() == in, SYL_BAD_SHAPE,
                "segments->packed[%d] is %lld x %lld, must be %lld x %lld", a, static_cast<long long>(shape.Out()),
                static_cast<long long>(shape.In()), static_cast<long long>(out), static_cast<long long>(in));
    needed = std::max(needed, KronWorkspaceBytes(shape));
  }
  const int64_t rows = all.row_begin[all.segments];
  const KronRows r{x, x_stride, y, y_stride};
  status = CheckMemory(__func__, r, rows, out, in, flags, workspace, workspace_bytes, needed);
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
