#include <sylvester/cuda.h>

#include <algorithm>

#include "native/cuda/hadamard/elements.h"
#include "native/cuda/kron/product.h"

namespace sylvester::cuda {
namespace {

constexpr int kDeltaThreads = 256;
constexpr int64_t kDeltaMostBlocks = int64_t{1} << 20;

struct KronDeltaCall {
  KronShape shape;
  const void *u, *v;
  double scale;
  bool accumulate;
  void* w;
  int64_t stride;
};

// A thread takes an element of W, its sum ascending in k.
template <typename TFactor, typename TWeight>
__global__ void __launch_bounds__(kDeltaThreads) KronDeltaKernel(KronDeltaCall call) {
  const KronShape& s = call.shape;
  const int64_t in = s.In(), count = s.Out() * in, step = static_cast<int64_t>(gridDim.x) * kDeltaThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kDeltaThreads + threadIdx.x; i < count; i += step) {
    const int64_t row = i / in, column = i % in;
    const TFactor* u = static_cast<const TFactor*>(call.u) + row / s.p * s.n + column / s.q;
    const TFactor* v = static_cast<const TFactor*>(call.v) + row % s.p * s.q + column % s.q;
    double sum = 0;
    for (int64_t k = 0; k < s.terms; ++k, u += s.m * s.n, v += s.p * s.q) {
      sum = __fma_rn(static_cast<double>(ToFloat(*u)), static_cast<double>(ToFloat(*v)), sum);
    }
    TWeight* const w = static_cast<TWeight*>(call.w) + row * call.stride + column;
    sum = __dmul_rn(call.scale, sum);
    if (call.accumulate) sum = __dadd_rn(sum, static_cast<double>(ToFloat(*w)));
    *w = FromFloat<TWeight>(static_cast<float>(sum));
  }
}

using DeltaKernel = void (*)(KronDeltaCall);

template <typename TFactor>
DeltaKernel DeltaKernelOf(syl_dtype type) {
  switch (type) {
    case SYL_F16: return KronDeltaKernel<TFactor, __half>;
    case SYL_BF16: return KronDeltaKernel<TFactor, __nv_bfloat16>;
    default: return KronDeltaKernel<TFactor, float>;
  }
}

DeltaKernel DeltaKernelOf(syl_dtype factor_type, syl_dtype type) {
  switch (factor_type) {
    case SYL_F16: return DeltaKernelOf<__half>(type);
    case SYL_BF16: return DeltaKernelOf<__nv_bfloat16>(type);
    default: return DeltaKernelOf<float>(type);
  }
}

}  // namespace
}  // namespace sylvester::cuda

using namespace sylvester;
using namespace sylvester::cuda;

syl_status syl_cuda_kron_delta(const syl_kron* kron, double scale, uint32_t flags, syl_dtype type, void* w,
                               int64_t w_stride, syl_cuda_stream stream) {
  int64_t bytes;
  if (const syl_status bad = CheckKronDelta(__func__, kron, scale, flags, type, w, w_stride, &bytes)) return bad;
  if (const syl_status bad = CheckKronAligned(__func__, *kron)) return bad;
  if (const syl_status bad = CheckAligned(__func__, "w", w, syl_dtype_block_bytes(type))) return bad;
  const KronShape shape = ShapeOf(*kron);
  const int64_t blocks = (shape.Out() * shape.In() + kDeltaThreads - 1) / kDeltaThreads;
  const KronDeltaCall call = {shape, kron->u, kron->v, scale, (flags & SYL_KRON_ACCUMULATE) != 0, w, w_stride};
  SYL_CUDA(Launch(DeltaKernelOf(kron->type, type), dim3(static_cast<unsigned>(std::min(blocks, kDeltaMostBlocks))),
                  dim3(kDeltaThreads), 0, static_cast<cudaStream_t>(stream), call));
  return SYL_OK;
}
