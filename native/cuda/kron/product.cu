// All products of adapters and of their gradients are one kernel, as on the CPU: tiles of rows and columns, each
// element one chain of fused multiply-adds over the whole depth.
#include "native/cuda/hadamard/elements.h"
#include "native/cuda/kron/product.h"

namespace sylvester::cuda {
namespace {

constexpr int kKronTile = 16;              // rows, columns and depth of a tile
constexpr int kKronPitch = kKronTile + 1;  // threads of a warp read different banks

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

int64_t Tiles(int64_t count) { return (count + kKronTile - 1) / kKronTile; }

}  // namespace

cudaError_t LaunchKronStep(const KronStep& step, const float* a, syl_dtype type, const void* factors, float* c,
                           float scale, bool accumulate, cudaStream_t stream) {
  const KronCall call = {step, a, factors, c, scale, accumulate, Tiles(step.columns.count)};
  const auto blocks = static_cast<unsigned>(Tiles(step.rows.count) * call.column_tiles);
  const auto kernel = type == SYL_F32   ? KronKernel<float>
                      : type == SYL_F16 ? KronKernel<__half>
                                        : KronKernel<__nv_bfloat16>;
  return Launch(kernel, dim3(blocks), dim3(kKronTile * kKronTile), sizeof(float) * 2 * kKronTile * kKronPitch, stream,
                call);
}

syl_status CheckKronAligned(const char* function, const syl_kron& kron) {
  const int64_t element = syl_dtype_block_bytes(kron.type);
  const syl_status status = CheckAligned(function, "kron->u", kron.u, element);
  return status != SYL_OK ? status : CheckAligned(function, "kron->v", kron.v, element);
}

}  // namespace sylvester::cuda
