// Both products of an adapter are one kernel, as on the CPU: tiles of rows and columns, each element one chain of fused
// multiply-adds over the whole depth.
#include <sylvester/cuda.h>

#include <algorithm>
#include <cmath>

#include "native/common/align.h"
#include "native/common/kron_plan.h"
#include "native/cuda/errors.h"
#include "native/cuda/hadamard/elements.h"

namespace sylvester::cuda {
namespace {

constexpr int kKronTile = 16;              // rows, columns and depth of a tile
constexpr int kKronPitch = kKronTile + 1;  // threads of a warp read different banks
constexpr int64_t kKronMostRows = 1024;    // at a time
constexpr int64_t kKronMostFloats = int64_t{1} << 28;

struct KronCall {
  KronStep step;
  const float* a;
  const void* factors;
  float* c;
  float scale;
  bool accumulate;
  int64_t column_tiles;
};

template <typename T>
__global__ void __launch_bounds__(kKronTile* kKronTile) KronKernel(KronCall call) {
  const auto rows = DynamicShared<float>(0, kKronTile * kKronPitch);
  const auto columns = DynamicShared<float>(sizeof(float) * kKronTile * kKronPitch, kKronTile * kKronPitch);
  const KronStep& step = call.step;
  const int x = static_cast<int>(threadIdx.x) % kKronTile, y = static_cast<int>(threadIdx.x) / kKronTile;
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) / call.column_tiles * kKronTile;
  const int64_t first_column = static_cast<int64_t>(blockIdx.x) % call.column_tiles * kKronTile;
  // What the thread loads: row y and column y of the tiles, at depth x.
  const bool has_row = first_row + y < step.rows.count, has_column = first_column + y < step.columns.count;
  const float* const a = call.a + (has_row ? step.rows.At(first_row + y) : 0);
  const T* const b = static_cast<const T*>(call.factors) + (has_column ? step.columns.At(first_column + y) : 0);
  float sum = 0;
  for (int64_t first = 0; first < step.depth.count; first += kKronTile) {
    const int64_t left = step.depth.count - first;
    const int depth = left < kKronTile ? static_cast<int>(left) : kKronTile;
    if (x < depth) {
      if (has_row) rows[y * kKronPitch + x] = a[(first + x) * step.step];
      if (has_column) columns[y * kKronPitch + x] = ToFloat(b[step.depth.At(first + x)]);
    }
    __syncthreads();
    if (first_row + y < step.rows.count && first_column + x < step.columns.count) {
      for (int d = 0; d < depth; ++d) {
        const float value = rows[y * kKronPitch + d], factor = columns[x * kKronPitch + d];
        sum = __fmaf_rn(value, factor, sum);
      }
    }
    __syncthreads();
  }
  if (first_row + y >= step.rows.count || first_column + x >= step.columns.count) return;
  float* const c = call.c + step.to_rows.At(first_row + y) + step.to_columns.At(first_column + x);
  *c = call.accumulate ? __fmaf_rn(call.scale, sum, *c) : __fmul_rn(call.scale, sum);
}

__global__ void KronZeroKernel(float* y, int64_t stride, int64_t columns, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) y[i / columns * stride + i % columns] = 0;
}

int64_t Tiles(int64_t count) { return (count + kKronTile - 1) / kKronTile; }

cudaError_t LaunchStep(const syl_kron& kron, const KronStep& step, const float* a, float* c, float scale,
                       bool accumulate, cudaStream_t stream) {
  const KronCall call = {step, a, step.of_u ? kron.u : kron.v, c, scale, accumulate, Tiles(step.columns.count)};
  const auto blocks = static_cast<unsigned>(Tiles(step.rows.count) * call.column_tiles);
  const auto kernel = kron.type == SYL_F32   ? KronKernel<float>
                      : kron.type == SYL_F16 ? KronKernel<__half>
                                             : KronKernel<__nv_bfloat16>;
  return Launch(kernel, dim3(blocks), dim3(kKronTile * kKronTile), sizeof(float) * 2 * kKronTile * kKronPitch, stream,
                call);
}

int64_t ChunkRows(const KronShape& shape, int64_t rows) {
  const int64_t floats = std::max(shape.Between(), shape.Out());
  return std::min(rows, std::clamp<int64_t>(kKronMostFloats / floats, 1, kKronMostRows));
}

int64_t WorkspaceBytes(const KronShape& shape, int64_t rows) {
  const KronShape other = shape.Transposed();
  return std::max(ChunkRows(shape, rows) * shape.Between(), ChunkRows(other, rows) * other.Between()) * 4 + kAlignment;
}

struct KronMemory {
  const float* x;
  int64_t x_stride;
  float* y;
  int64_t y_stride;
  void* workspace;
};

cudaError_t LaunchKron(const syl_kron& kron, bool transposed, float scale, const KronMemory& memory, int64_t first,
                       int64_t rows, bool accumulate, cudaStream_t stream) {
  const KronShape shape = transposed ? ShapeOf(kron).Transposed() : ShapeOf(kron);
  auto* const between = reinterpret_cast<float*>(Aligned(memory.workspace));
  const int64_t chunk = ChunkRows(shape, rows);
  cudaError_t error = cudaSuccess;
  for (int64_t row = 0; row < rows && error == cudaSuccess; row += chunk) {
    const KronSteps steps = StepsOf(shape, transposed, std::min(chunk, rows - row), memory.x_stride, memory.y_stride);
    const float* x = memory.x + (first + row) * memory.x_stride;
    float* y = memory.y + (first + row) * memory.y_stride;
    error = LaunchStep(kron, steps.first, x, between, 1, false, stream);
    if (error == cudaSuccess) error = LaunchStep(kron, steps.second, between, y, scale, accumulate, stream);
  }
  return error;
}

syl_status CheckAligned(const char* function, const char* name, const void* pointer, int64_t bytes) {
  if (reinterpret_cast<uintptr_t>(pointer) % static_cast<uintptr_t>(bytes) == 0) return SYL_OK;
  return Fail(SYL_BAD_VALUE, "%s: %s is %p, must be aligned to %d bytes", function, name, pointer,
              static_cast<int>(bytes));
}

syl_status CheckFactors(const char* function, const syl_kron* kron) {
  syl_status status = CheckKron(function, kron, true);
  const int64_t element = status == SYL_OK ? syl_dtype_block_bytes(kron->type) : 1;
  if (status == SYL_OK) status = CheckAligned(function, "kron->u", kron->u, element);
  if (status == SYL_OK) status = CheckAligned(function, "kron->v", kron->v, element);
  return status;
}

syl_status CheckMemory(const char* function, const KronMemory& memory, int64_t workspace_bytes, int64_t needed) {
  if (memory.workspace == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: workspace is NULL", function);
  if (workspace_bytes < needed) {
    return Fail(SYL_WORKSPACE, "%s: workspace_bytes is %lld, must be at least %lld", function,
                static_cast<long long>(workspace_bytes), static_cast<long long>(needed));
  }
  const syl_status status = CheckAligned(function, "x", memory.x, 4);
  return status != SYL_OK ? status : CheckAligned(function, "y", memory.y, 4);
}

}  // namespace
}  // namespace sylvester::cuda

using namespace sylvester;
using namespace sylvester::cuda;

syl_status syl_cuda_kron_workspace(const syl_kron* kron, int64_t rows, int64_t* bytes) {
  if (const syl_status bad = CheckKron(__func__, kron, false)) return bad;
  SYL_REQUIRE_RANGE(rows, 0, INT64_MAX);
  SYL_REQUIRE_PTR(bytes);
  *bytes = WorkspaceBytes(ShapeOf(*kron), rows);
  return SYL_OK;
}

syl_status syl_cuda_kron_apply_f32(const syl_kron* kron, float scale, const float* x, int64_t x_stride, int64_t rows,
                                   uint32_t flags, float* y, int64_t y_stride, void* workspace, int64_t workspace_bytes,
                                   syl_cuda_stream stream) {
  if (const syl_status bad = CheckFactors(__func__, kron)) return bad;
  SYL_REQUIRE(std::isfinite(scale), SYL_BAD_VALUE, "scale is %g, must be finite", static_cast<double>(scale));
  const bool transposed = (flags & SYL_KRON_TRANSPOSED) != 0;
  const KronShape shape = transposed ? ShapeOf(*kron).Transposed() : ShapeOf(*kron);
  int64_t extents[2];
  if (const syl_status bad = CheckKronRows(__func__, x, x_stride, y, y_stride, rows, shape.Out(), shape.In(), flags,
                                           SYL_KRON_ACCUMULATE | SYL_KRON_TRANSPOSED, extents)) {
    return bad;
  }
  const KronMemory memory = {x, x_stride, y, y_stride, workspace};
  if (const syl_status bad = CheckMemory(__func__, memory, workspace_bytes, WorkspaceBytes(shape, rows))) return bad;
  SYL_CUDA(LaunchKron(*kron, transposed, scale, memory, 0, rows, (flags & SYL_KRON_ACCUMULATE) != 0,
                      static_cast<cudaStream_t>(stream)));
  return SYL_OK;
}

syl_status syl_cuda_kron_apply_segments_f32(const syl_cuda_kron_segments* segments, int64_t out, int64_t in,
                                            const float* x, int64_t x_stride, uint32_t flags, float* y,
                                            int64_t y_stride, void* workspace, int64_t workspace_bytes,
                                            syl_cuda_stream stream) {
  SYL_REQUIRE_STRUCT(segments);
  const syl_cuda_kron_segments& all = *segments;
  if (const syl_status bad = CheckKronSegments(__func__, all.adapters, all.segments, all.kron, "kron", all.row_begin,
                                               all.adapter, all.scale, out, in)) {
    return bad;
  }
  const int64_t rows = all.row_begin[all.segments];
  int64_t needed = kAlignment;
  for (int32_t a = 0; a < all.adapters; ++a) {
    if (const syl_status bad = CheckFactors(__func__, &all.kron[a])) return bad;
    const KronShape shape = ShapeOf(all.kron[a]);
    SYL_REQUIRE(shape.Out() == out && shape.In() == in, SYL_BAD_SHAPE,
                "segments->kron[%d] is %lld x %lld, must be %lld x %lld", a, static_cast<long long>(shape.Out()),
                static_cast<long long>(shape.In()), static_cast<long long>(out), static_cast<long long>(in));
    needed = std::max(needed, WorkspaceBytes(shape, rows));
  }
  int64_t extents[2];
  if (const syl_status bad =
          CheckKronRows(__func__, x, x_stride, y, y_stride, rows, out, in, flags, SYL_KRON_ACCUMULATE, extents)) {
    return bad;
  }
  const KronMemory memory = {x, x_stride, y, y_stride, workspace};
  if (const syl_status bad = CheckMemory(__func__, memory, workspace_bytes, needed)) return bad;
  const auto to = static_cast<cudaStream_t>(stream);
  const bool accumulate = (flags & SYL_KRON_ACCUMULATE) != 0;
  constexpr unsigned kThreads = 256;
  for (int64_t s = 0; s < all.segments; ++s) {
    const int64_t first = all.row_begin[s], count = all.row_begin[s + 1] - first;
    if (all.adapter[s] >= 0) {
      SYL_CUDA(LaunchKron(all.kron[all.adapter[s]], false, all.scale[s], memory, first, count, accumulate, to));
    } else if (!accumulate && count > 0) {
      SYL_CUDA(Launch(KronZeroKernel, dim3(static_cast<unsigned>((count * out + kThreads - 1) / kThreads)),
                      dim3(kThreads), 0, to, y + first * y_stride, y_stride, out, count * out));
    }
  }
  return SYL_OK;
}
