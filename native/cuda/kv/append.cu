// Append: rows become halves, halves become codes. A block takes a tile of one kv head, keys or values; a warp takes
// its tokens one at a time.
#include "native/cuda/errors.h"
#include "native/cuda/kv/plan.h"
#include "native/cuda/kv/quantize.h"
#include "native/cuda/kv/rotate.h"

namespace sylvester::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;

struct KvAppendJob {
  KvJob job;
  const float* rows[2];
  int64_t stride[2];
};

// The block's tile. Tokens before `first` are there already, those from `end` on do not exist yet.
struct KvBlock {
  int sequence, head, side;
  int tile;
  int first, end;  // tokens of the tile, 0..16

  __device__ int Token(int i) const { return tile * kTokens + i; }
  __device__ bool Has(int i) const { return i >= first && i < end; }
};

// In shared memory.
struct KvBlockMemory {
  SharedPtr<float> rows;     // [16][head_dim]
  SharedPtr<float> scratch;  // [warps][head_dim], for bases only
  SharedPtr<uint8_t> codes;  // [16][head_dim]
};

__device__ KvBlockMemory BlockMemory(const KvJob& job, const KvSideJob& side, bool codes) {
  const auto d = static_cast<size_t>(job.head_dim);
  const size_t rows = kTokens * d, scratch = side.rotation.base > 1 ? kWarps * d : 0;
  KvBlockMemory memory = {};
  memory.rows = DynamicShared<float>(0, rows);
  memory.scratch = DynamicShared<float>(rows * sizeof(float), scratch);
  if (codes) memory.codes = DynamicShared<uint8_t>((rows + scratch) * sizeof(float), rows);
  return memory;
}

__device__ KvBlock LocateBlock() {
  KvBlock block;
  block.sequence = static_cast<int>(blockIdx.z);
  block.head = static_cast<int>(blockIdx.y) / 2;
  block.side = static_cast<int>(blockIdx.y) % 2;
  return block;
}

// The halves of a new token, as floats.
__device__ void LoadRow(const KvAppendJob& append, const KvBlock& block, int i, const KvBlockMemory& memory, int warp,
                        int lane) {
  const KvJob& job = append.job;
  const KvSideJob& side = job.side[block.side];
  const int d = job.head_dim, channel = block.head * d;
  const int row = job.row_starts[block.sequence + 1] - (job.lengths[block.sequence] - block.Token(i));
  const float* from = append.rows[block.side] + row * append.stride[block.side] + channel;
  const SharedPtr<float> to = memory.rows + i * d;
  for (int c = lane; c < d; c += warpSize) {
    float value = side.center == nullptr ? from[c] : from[c] - side.center[channel + c];
    if (side.gain != nullptr) value *= side.gain[channel + c];
    to[c] = fminf(fmaxf(value, -0x1p100f), 0x1p100f);  // no sum of a rotation overflows
  }
  __syncwarp();
  KvRotate(side.rotation, false, to, memory.scratch + warp * d, lane);
  for (int c = lane; c < d; c += warpSize) {
    const float value = to[c];
    to[c] = __half2float(__float2half_rn(fminf(fmaxf(value, -65504.0f), 65504.0f)));
  }
  __syncwarp();
}

// The tile of the ring as [16][head_dim] floats and back. Whole blocks call them.
__device__ void LoadRing(const KvJob& job, const KvBlock& block, const KvBlockMemory& memory) {
  const int d = job.head_dim;
  const __half* from = KvRingTile(job, block.side, block.sequence, block.head, block.tile);
  for (int e = static_cast<int>(threadIdx.x); e < kTokens * d; e += kThreads) {
    const int at = block.side == SYL_KV_KEYS ? e % kTokens * d + e / kTokens : e;
    memory.rows[at] = __half2float(from[e]);
  }
}

__device__ void StoreRing(const KvJob& job, const KvBlock& block, const KvBlockMemory& memory) {
  const int d = job.head_dim;
  __half* to = KvRingTile(job, block.side, block.sequence, block.head, block.tile);
  for (int e = static_cast<int>(threadIdx.x); e < kTokens * d; e += kThreads) {
    const bool keys = block.side == SYL_KV_KEYS;
    const int i = keys ? e % kTokens : e / d, c = keys ? e / kTokens : e % d;
    if (!block.Has(i)) continue;
    const float value = memory.rows[i * d + c];
    to[e] = __float2half_rn(value);
  }
}

__device__ void StoreSink(const KvJob& job, const KvBlock& block, int sink, SharedPtr<float> row, int lane) {
  __half* to = KvSinkRow(job, block.side, block.sequence, block.head, sink);
  for (int c = lane; c < job.head_dim; c += warpSize) {
    const float value = row[c];
    to[c] = __float2half_rn(value);
  }
}

// Scales and zeros to the tile, codes to shared memory; all 0 for a token that is a sink or does not exist.
__device__ void QuantizeToken(const KvJob& job, const KvBlock& block, int i, bool quantized, uint8_t* tile,
                              const KvBlockMemory& memory, int lane) {
  const KvSideJob& side = job.side[block.side];
  const int d = job.head_dim;
  for (int g = 0; g < side.groups_per_head; ++g) {
    const int begin = g * side.group, n = min(side.group, d - begin);
    const SharedPtr<float> x = memory.rows + (i * d + begin);
    const SharedPtr<uint8_t> codes = memory.codes + (i * d + begin);
    KvGroup group = {};
    if (quantized) {
      group = KvQuantizeGroup(
          side.quantizer, n, [&](int e) -> float { return x[e]; }, lane);
    }
    for (int e = lane; e < n; e += warpSize) {
      codes[e] = static_cast<uint8_t>(quantized ? group.Code(side.quantizer, x[e]) : 0);
    }
    if (lane == 0) {
      const int at = (block.head * side.groups_per_head + g) * kTokens + i;
      tile[side.scales + at] = group.scale;
      tile[side.zeros + at] = static_cast<uint8_t>(group.zero);
    }
  }
}

// Bits of a plane of `bits` codes that tokens or channels first, first + stride, ... have; `shift` below the plane.
template <typename Code>
__device__ uint32_t PackWord(int bits, int shift, const Code& code) {
  uint32_t word = 0;
  const uint32_t mask = (1u << bits) - 1;
  for (int j = 0; j < 8 / bits; ++j) {
    for (int b = 0; b < 4; ++b) word |= (code(4 * j + b) >> shift & mask) << (8 * b + bits * j);
  }
  return word;
}

// Words of 2-bit words' third bits: steps 0..3 of one and 4..7 of the other.
template <typename Code>
__device__ uint32_t PackUpper(const Code& code) {
  uint32_t word = 0;
  for (int j = 0; j < 8; ++j) {
    for (int b = 0; b < 4; ++b) word |= (code(j / 4, 4 * (j % 4) + b) >> 2 & 1) << (8 * b + j);
  }
  return word;
}

// Keys: a word belongs to one token, so tokens that are there already are left alone.
__device__ void StoreKeyCodes(const KvJob& job, const KvBlock& block, uint32_t* to, SharedPtr<uint8_t> codes) {
  const int d = job.head_dim, bits = job.side[SYL_KV_KEYS].quantizer.bits;
  const int plane = bits == 3 ? 2 : bits, per_word = 32 / plane, words = d / per_word;
  const int upper = bits == 3 ? (d + 31) / 32 : 0;
  for (int e = static_cast<int>(threadIdx.x); e < (words + upper) * kTokens; e += kThreads) {
    const int w = e / kTokens, i = e % kTokens;
    if (i < block.first) continue;
    const auto code = [&](int c) -> uint32_t {
      return c < d ? static_cast<uint32_t>(static_cast<uint8_t>(codes[i * d + c])) : 0;
    };
    to[e] = w < words ? PackWord(plane, 0, [&](int k) { return code(w * per_word + k); })
                      : PackUpper([&](int half, int k) { return code((2 * (w - words) + half) * per_word + k); });
  }
}

// Values: a word has the tokens of a channel, old ones keep their bits.
__device__ void StoreValueCodes(const KvJob& job, const KvBlock& block, uint32_t* to, SharedPtr<uint8_t> codes) {
  const int d = job.head_dim, bits = job.side[SYL_KV_VALUES].quantizer.bits;
  const int plane = bits == 3 ? 2 : bits, per_word = 32 / plane, words = kTokens / per_word;
  const int upper = bits == 3 ? (d + 31) / 32 : 0;
  const auto kept = [&](int i) { return i < block.first ? 0xffu : 0u; };
  for (int e = static_cast<int>(threadIdx.x); e < words * d + upper * kTokens; e += kThreads) {
    uint32_t word, keep;
    if (e < words * d) {
      const int w = e / d, c = e % d;
      word = PackWord(plane, 0,
                      [&](int k) -> uint32_t { return static_cast<uint8_t>(codes[(w * per_word + k) * d + c]); });
      keep = PackWord(plane, 0, [&](int k) { return kept(w * per_word + k); });
    } else {
      const int u = (e - words * d) / kTokens, lane = (e - words * d) % kTokens;
      word = PackUpper([&](int half, int i) -> uint32_t {
        const int c = 32 * u + 16 * half + lane;
        return c < d ? static_cast<uint32_t>(static_cast<uint8_t>(codes[i * d + c])) : 0;
      });
      keep = PackUpper([&](int, int i) { return kept(i); });
    }
    to[e] = keep == 0 ? word : (to[e] & keep) | word;
  }
}

// The tile's rows become codes. Whole blocks call it.
__device__ void StoreTile(const KvJob& job, const KvBlock& block, const KvBlockMemory& memory) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const KvSideJob& side = job.side[block.side];
  uint8_t* tile = KvTileBytes(job, block.sequence, block.tile);
  for (int i = warp; i < kTokens; i += kWarps) {
    if (i < block.first) {
      for (int c = lane; c < job.head_dim; c += warpSize) memory.codes[i * job.head_dim + c] = 0;
      continue;
    }
    const bool quantized = block.Has(i) && KvSinkOf(job, block.sequence, block.Token(i), lane) < 0;
    QuantizeToken(job, block, i, quantized, tile, memory, lane);
  }
  __syncthreads();
  auto* codes = reinterpret_cast<uint32_t*>(tile + side.codes + block.head * side.head_bytes);
  block.side == SYL_KV_KEYS ? StoreKeyCodes(job, block, codes, memory.codes)
                            : StoreValueCodes(job, block, codes, memory.codes);
}

// New rows to the ring or, without a window, to their tiles.
__global__ void __launch_bounds__(kThreads, 4) KvAppendKernel(KvAppendJob append) {
  const KvJob& job = append.job;
  KvBlock block = LocateBlock();
  const int length = job.lengths[block.sequence];
  const int rows = job.row_starts[block.sequence + 1] - job.row_starts[block.sequence];
  block.tile = (length - rows) / kTokens + static_cast<int>(blockIdx.x);
  block.first = max(length - rows - block.tile * kTokens, 0);
  block.end = min(length - block.tile * kTokens, kTokens);
  if (block.first >= block.end) return;

  const bool packs = job.window_tiles == 0;
  const KvBlockMemory memory = BlockMemory(job, job.side[block.side], packs);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  for (int i = warp; i < kTokens; i += kWarps) {
    if (!block.Has(i)) continue;
    LoadRow(append, block, i, memory, warp, lane);
    const int sink = KvSinkOf(job, block.sequence, block.Token(i), lane);
    if (sink >= 0) StoreSink(job, block, sink, memory.rows + i * job.head_dim, lane);
  }
  __syncthreads();
  if (packs) {
    StoreTile(job, block, memory);
  } else {
    StoreRing(job, block, memory);
  }
}

// Tiles that have left the window, out of the ring.
__global__ void __launch_bounds__(kThreads, 4) KvPackKernel(KvJob job) {
  KvBlock block = LocateBlock();
  const int length = job.lengths[block.sequence];
  const int rows = job.row_starts[block.sequence + 1] - job.row_starts[block.sequence];
  block.tile = KvPackedTiles(job, length - rows) + static_cast<int>(blockIdx.x);
  block.first = 0;
  block.end = kTokens;
  if (block.tile >= KvPackedTiles(job, length)) return;
  const KvBlockMemory memory = BlockMemory(job, job.side[block.side], true);
  LoadRing(job, block, memory);
  __syncthreads();
  StoreTile(job, block, memory);
}

size_t SharedBytes(const KvJob& job) {
  const auto d = static_cast<size_t>(job.head_dim);
  const bool bases = job.side[SYL_KV_KEYS].rotation.base > 1 || job.side[SYL_KV_VALUES].rotation.base > 1;
  return kTokens * d * (sizeof(float) + 1) + (bases ? kWarps * d * sizeof(float) : 0);
}

cudaError_t LaunchAppend(const KvAppendJob& append, const syl_cuda_kv_batch& batch, cudaStream_t stream) {
  const KvJob& job = append.job;
  const auto heads = static_cast<unsigned>(2 * job.kv_heads), sequences = static_cast<unsigned>(batch.sequences);
  const auto rows = static_cast<unsigned>(batch.max_rows);
  if (const cudaError_t error = Launch(KvAppendKernel, dim3((rows + 14) / 16 + 1, heads, sequences), dim3(kThreads),
                                       SharedBytes(job), stream, append)) {
    return error;
  }
  if (job.window_tiles == 0) return cudaSuccess;
  return Launch(KvPackKernel, dim3((rows + 15) / 16, heads, sequences), dim3(kThreads), SharedBytes(job), stream, job);
}

}  // namespace
}  // namespace sylvester::cuda

syl_status syl_cuda_kv_append_f32(const syl_cuda_kv_plan* plan, int32_t layer, const syl_cuda_kv_batch* batch,
                                  const syl_cuda_kv_halves* halves, const float* k, int64_t k_stride, const float* v,
                                  int64_t v_stride, syl_cuda_stream stream) {
  sylvester::cuda::KvAppendJob append = {};
  if (syl_status s = sylvester::cuda::MakeKvJob(__func__, plan, layer, batch, halves, &append.job)) return s;
  if (syl_status s = sylvester::cuda::CheckRows(__func__, "k", k, k_stride, plan->plan.Channels())) return s;
  if (syl_status s = sylvester::cuda::CheckRows(__func__, "v", v, v_stride, plan->plan.Channels())) return s;
  append.rows[SYL_KV_KEYS] = k;
  append.rows[SYL_KV_VALUES] = v;
  append.stride[SYL_KV_KEYS] = k_stride;
  append.stride[SYL_KV_VALUES] = v_stride;
  SYL_CUDA(sylvester::cuda::LaunchAppend(append, *batch, static_cast<cudaStream_t>(stream)));
  return SYL_OK;
}
