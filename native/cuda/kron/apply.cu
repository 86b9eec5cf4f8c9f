#include <sylvester/cuda.h>

#include <algorithm>
#include <cmath>

#include "native/common/align.h"
#include "native/cuda/kron/product.h"

namespace sylvester::cuda {
namespace {

constexpr int64_t kKronMostRows = 1024;  // at a time
constexpr int64_t kKronMostFloats = int64_t{1} << 28;

__global__ void KronZeroKernel(float* y, int64_t stride, int64_t columns, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) y[i / columns * stride + i % columns] = 0;
}

int64_t ChunkRows(const KronShape& shape, int64_t rows) {
  const int64_t floats = std::max(shape.Between(), shape.Out());
  return std::min(rows, std::clamp<int64_t>(kKronMostFloats / floats, 1, kKronMostRows));
}

}  // namespace

int64_t KronWorkspaceBytes(const KronShape& shape, int64_t rows) {
  const KronShape other = shape.Transposed();
  return std::max(ChunkRows(shape, rows) * shape.Between(), ChunkRows(other, rows) * other.Between()) * 4 + kAlignment;
}

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
    const auto launch = [&](const KronStep& step, const float* a, float* c, float of_scale, bool add) {
      return LaunchKronStep(step, a, kron.type, step.of_u ? kron.u : kron.v, c, of_scale, add, stream);
    };
    error = launch(steps.first, x, between, 1, false);
    if (error == cudaSuccess) error = launch(steps.second, between, y, scale, accumulate);
  }
  return error;
}

namespace {

syl_status CheckFactors(const char* function, const syl_kron* kron) {
  const syl_status status = CheckKron(function, kron, true);
  return status != SYL_OK ? status : CheckKronAligned(function, *kron);
}

syl_status CheckMemory(const char* function, const KronMemory& memory, int64_t workspace_bytes, int64_t needed) {
  if (const syl_status bad = CheckKronWorkspace(function, memory.workspace, workspace_bytes, needed)) return bad;
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
  *bytes = KronWorkspaceBytes(ShapeOf(*kron), rows);
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
  if (const syl_status bad = CheckMemory(__func__, memory, workspace_bytes, KronWorkspaceBytes(shape, rows)))
    return bad;
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
  int64_t needed = 0;
  for (int32_t a = 0; a < all.adapters; ++a) {
    if (const syl_status bad = CheckFactors(__func__, &all.kron[a])) return bad;
    const KronShape shape = ShapeOf(all.kron[a]);
    SYL_REQUIRE(shape.Out() == out && shape.In() == in, SYL_BAD_SHAPE,
                "segments->kron[%d] is %lld x %lld, must be %lld x %lld", a, static_cast<long long>(shape.Out()),
                static_cast<long long>(shape.In()), static_cast<long long>(out), static_cast<long long>(in));
    needed = std::max(needed, KronWorkspaceBytes(shape, rows));
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
