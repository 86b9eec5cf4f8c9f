// The sums of the CPU: rows in the same groups, so that the factors' gradients have its bits.
#include <sylvester/cuda.h>

#include <algorithm>

#include "native/common/align.h"
#include "native/cuda/kron/product.h"

namespace sylvester::cuda {
namespace {

int64_t GradientWorkspaceBytes(const KronShape& s, int64_t rows) {
  const int64_t products = std::min(GradientRows(s), rows) * s.terms * s.n * s.p * 4 + kAlignment;
  return std::max(products, KronWorkspaceBytes(s, rows));
}

cudaError_t LaunchGradients(const KronGradientCall& call, void* workspace, cudaStream_t stream) {
  const syl_kron& kron = *call.kron;
  const KronShape shape = ShapeOf(kron);
  auto* const products = reinterpret_cast<float*>(Aligned(workspace));
  const int64_t chunk = GradientRows(shape);
  for (int64_t first = 0; first < call.rows; first += chunk) {
    const KronGradientSteps steps =
        GradientStepsOf(shape, std::min(chunk, call.rows - first), call.x_stride, call.g_stride);
    const float *x = call.x + first * call.x_stride, *g = call.g + first * call.g_stride;
    const struct {
      const KronStep& step;
      const float* a;
      const void* factors;
      float* c;
      bool add;
    } launches[] = {{steps.t, x, kron.v, products, false},
                    {steps.du, products, g, call.du, true},
                    {steps.z, g, kron.u, products, false},
                    {steps.dv, products, x, call.dv, true}};
    for (const auto& l : launches) {
      const cudaError_t error =
          LaunchKronStep(l.step, l.a, SYL_F32, l.factors, l.c, l.add ? call.scale : 1, l.add, stream);
      if (error != cudaSuccess) return error;
    }
  }
  if (call.dx == nullptr) return cudaSuccess;
  return LaunchKron(kron, true, call.scale, {call.g, call.g_stride, call.dx, call.dx_stride, workspace}, 0, call.rows,
                    true, stream);
}

}  // namespace
}  // namespace sylvester::cuda

using namespace sylvester;
using namespace sylvester::cuda;

syl_status syl_cuda_kron_gradient_workspace(const syl_kron* kron, int64_t rows, int64_t* bytes) {
  if (const syl_status bad = CheckKron(__func__, kron, false)) return bad;
  SYL_REQUIRE_RANGE(rows, 0, INT64_MAX);
  SYL_REQUIRE_PTR(bytes);
  *bytes = GradientWorkspaceBytes(ShapeOf(*kron), rows);
  return SYL_OK;
}

syl_status syl_cuda_kron_gradient_f32(const syl_kron* kron, float scale, const float* x, int64_t x_stride,
                                      const float* g, int64_t g_stride, int64_t rows, float* du, float* dv, float* dx,
                                      int64_t dx_stride, void* workspace, int64_t workspace_bytes,
                                      syl_cuda_stream stream) {
  const KronGradientCall call{kron, scale, x, x_stride, g, g_stride, rows, du, dv, dx, dx_stride};
  if (const syl_status bad = CheckKronGradient(__func__, call)) return bad;
  if (const syl_status bad = CheckKronAligned(__func__, *kron)) return bad;
  const struct {
    const char* name;
    const void* pointer;
  } arrays[] = {{"x", x}, {"g", g}, {"du", du}, {"dv", dv}, {"dx", dx}};
  for (const auto& array : arrays) {
    if (const syl_status bad = CheckAligned(__func__, array.name, array.pointer, 4)) return bad;
  }
  const int64_t needed = GradientWorkspaceBytes(ShapeOf(*kron), rows);
  if (const syl_status bad = CheckKronWorkspace(__func__, workspace, workspace_bytes, needed)) return bad;
  SYL_CUDA(LaunchGradients(call, workspace, static_cast<cudaStream_t>(stream)));
  return SYL_OK;
}
