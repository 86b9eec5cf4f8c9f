// Keys and values as the newest query reads them, with the bits of the CPU. A block takes a token, its warps the kv
// heads.
#include "native/cuda/errors.h"
#include "native/cuda/kv/codes.h"
#include "native/cuda/kv/plan.h"
#include "native/cuda/kv/rotate.h"

namespace sylvester::cuda {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / 32;

struct KvReadJob {
  KvJob job;
  int32_t sequence, what, first;
  float* y;
  int64_t stride;
};

template <int kBits>
__device__ float Level(const KvQuantizer& quantizer, const KvEight& codes, int i) {
  const KvEight levels = KvLevelTable<kBits>(quantizer).Of(codes);
  return static_cast<float>(static_cast<int8_t>((i < 4 ? levels.low : levels.high) >> (8 * (i % 4)) & 0xff));
}

template <int kBits>
__device__ float LevelOf(const KvJob& job, int what, const uint32_t* codes, int i, int c) {
  const KvQuantizer& quantizer = job.side[what].quantizer;
  return what == SYL_KV_KEYS ? Level<kBits>(quantizer, KvKeyCodes<kBits>(codes, job.head_dim, i, c / 8 * 8), c % 8)
                             : Level<kBits>(quantizer, KvValueCodes<kBits>(codes, job.head_dim, c, i / 8 * 8), i % 8);
}

// A channel of a packed token.
__device__ float Decode(const KvJob& job, int what, const uint8_t* tile, int head, int i, int c) {
  const KvSideJob& side = job.side[what];
  const auto* codes = reinterpret_cast<const uint32_t*>(tile + side.codes + head * side.head_bytes);
  float level;
  switch (side.quantizer.bits) {
    case 2: level = LevelOf<2>(job, what, codes, i, c); break;
    case 3: level = LevelOf<3>(job, what, codes, i, c); break;
    case 4: level = LevelOf<4>(job, what, codes, i, c); break;
    default: level = LevelOf<8>(job, what, codes, i, c);
  }
  const int at = (head * side.groups_per_head + c / side.group) * kTokens + i;
  const float zero = static_cast<float>(static_cast<int8_t>(tile[side.zeros + at]));
  return KvScale(tile[side.scales + at]) * (level - KvZero(side.quantizer, zero));
}

__global__ void __launch_bounds__(kThreads, 8) KvReadKernel(KvReadJob read) {
  const KvJob& job = read.job;
  const KvSideJob& side = job.side[read.what];
  const int length = job.lengths[read.sequence], d = job.head_dim;
  const int token = read.first + static_cast<int>(blockIdx.x), i = token % kTokens, tile = token / kTokens;
  if (token >= length) return;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int sink = KvSinkOf(job, read.sequence, token, lane);
  const bool packed = tile < KvPackedTiles(job, length);
  const SharedPtr<float> row = DynamicShared<float>(0, static_cast<size_t>(kWarps * d)) + warp * d;
  const SharedPtr<float> scratch =
      DynamicShared<float>(kWarps * d * sizeof(float), static_cast<size_t>(kWarps * d)) + warp * d;
  for (int head = warp; head < job.kv_heads; head += kWarps) {
    for (int c = lane; c < d; c += warpSize) {
      if (sink >= 0) {
        row[c] = __half2float(KvSinkRow(job, read.what, read.sequence, head, sink)[c]);
      } else if (packed) {
        row[c] = Decode(job, read.what, KvTileBytes(job, read.sequence, tile), head, i, c);
      } else {
        const __half* halves = KvRingTile(job, read.what, read.sequence, head, tile);
        row[c] = __half2float(halves[read.what == SYL_KV_KEYS ? c * kTokens + i : i * d + c]);
      }
    }
    __syncwarp();
    KvRotate(side.rotation, true, row, scratch, lane);
    float* y = read.y + blockIdx.x * read.stride + head * d;
    for (int c = lane; c < d; c += warpSize) {
      const float value = side.gain == nullptr ? row[c] : row[c] / side.gain[head * d + c];
      y[c] = side.center == nullptr ? value : value + side.center[head * d + c];
    }
    __syncwarp();
  }
}

}  // namespace
}  // namespace sylvester::cuda

syl_status syl_cuda_kv_dequantize_f32(const syl_cuda_kv_plan* plan, int32_t layer, const syl_cuda_kv_batch* batch,
                                      const syl_cuda_kv_halves* halves, int32_t sequence, int32_t what, int64_t first,
                                      int64_t count, float* y, int64_t y_stride, syl_cuda_stream stream) {
  namespace cuda = sylvester::cuda;
  cuda::KvReadJob read = {};
  if (syl_status s = cuda::MakeKvJob(__func__, plan, layer, batch, halves, &read.job)) return s;
  SYL_REQUIRE_RANGE(sequence, 0, batch->sequences - 1);
  SYL_REQUIRE_RANGE(what, SYL_KV_KEYS, SYL_KV_VALUES);
  SYL_REQUIRE_RANGE(first, 0, batch->max_tokens);
  SYL_REQUIRE_RANGE(count, 0, batch->max_tokens - first);
  if (syl_status s = cuda::CheckRows(__func__, "y", y, y_stride, plan->plan.Channels())) return s;
  if (count == 0) return SYL_OK;
  read.sequence = sequence;
  read.what = what;
  read.first = static_cast<int32_t>(first);
  read.y = y;
  read.stride = y_stride;
  const size_t bytes = 2 * cuda::kWarps * static_cast<size_t>(plan->plan.geometry.head_dim) * sizeof(float);
  SYL_CUDA(sylvester::Launch(cuda::KvReadKernel, dim3(static_cast<unsigned>(count)), dim3(cuda::kThreads), bytes,
                             static_cast<cudaStream_t>(stream), read));
  return SYL_OK;
}
