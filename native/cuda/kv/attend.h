// Attention over a packed cache: what its kernels share.
//
// Queries of a kv head are taken four at a time, a quad: query v of a sequence and kv head is row v / (q_heads /
// kv_heads), head v % that. A split of 512 tokens, in blocks of 256, or the tokens kept as halves, give each quad a
// partial result in the workspace: maximum of the scores, sum of the weights, sums of the values. These are merged in
// the order of the tokens, halves last.
#ifndef SYLVESTER_NATIVE_CUDA_KV_ATTEND_H_
#define SYLVESTER_NATIVE_CUDA_KV_ATTEND_H_

#include "native/cuda/kv/job.h"

namespace sylvester::cuda {

constexpr int kQuad = 4;
constexpr int kBlockTokens = 256, kBlockTiles = kBlockTokens / kTokens;
constexpr int kSplitTokens = 512;
constexpr int kProductPlaces = 32;  // channels or tokens of a product (product.h), two words a lane
constexpr int kProductWords = 64;

constexpr int kMaxUnpacked = 2048;  // rows of bidirectional attention: scores of as many halves are in shared memory

struct KvAttendJob {
  KvJob job;
  const int32_t* unpacked;  // [sequences] of bidirectional attention; NULL: causal
  int32_t max_unpacked;
  const float* q;
  float* y;
  int64_t q_stride, y_stride;
  int32_t heads_per_kv, quads;  // quads: of a sequence and kv head, at most
  int32_t window;               // of the attention; 0: none
  float scale, soft_cap;
  int32_t key_products;  // of a token's keys: each group begins a new one
  int32_t splits;        // at most, of packed tokens; the halves come behind them

  // The workspace, [sequences][kv_heads][quads] of each.
  float* queries;    // [4][head_dim] rotated
  uint32_t* digits;  // [key_products][64] words of products: columns 2 j and 2 j + 1 are the digits of query j
  float* sums;       // [4][groups] of the integers of a group
  float* factors;    // [4] query = factor * integer, times the attention's scale
  float* offsets;    // [4] what centred keys take from a score, where that matters
  float* partials;   // [splits + 1][4][head_dim + 2]: values, maximum, sum
};

// A quad of a sequence.
struct KvQuad {
  int sequence, head;
  int64_t index;  // in the workspace
  int first;      // query
  int queries;    // of the quad, 0..4
  int token;      // of row 0
  int length;     // of the sequence
};

__device__ inline KvQuad KvQuadOf(const KvAttendJob& attend, int quad) {
  const KvJob& job = attend.job;
  KvQuad of;
  of.sequence = static_cast<int>(blockIdx.z);
  of.head = static_cast<int>(blockIdx.y);
  of.index = (int64_t{of.sequence} * job.kv_heads + of.head) * attend.quads + quad;
  of.first = quad * kQuad;
  const int rows = job.row_starts[of.sequence + 1] - job.row_starts[of.sequence];
  of.queries = min(max(rows * attend.heads_per_kv - of.first, 0), kQuad);
  of.length = job.lengths[of.sequence];
  of.token = of.length - rows;
  return of;
}

// The tokens that a query sees: packed ones from begin, halves of the ring from packed to end - 1.
struct KvView {
  int begin, packed, end;
};

__device__ inline KvView KvViewOf(const KvAttendJob& attend, const KvQuad& quad, int query) {
  const bool causal = attend.unpacked == nullptr;
  KvView view;
  view.end = causal ? quad.token + (quad.first + query) / attend.heads_per_kv + 1 : quad.length;
  view.begin = attend.window == 0 ? 0 : max(view.end - attend.window, 0);
  const int tokens = causal ? view.end : view.end - attend.unpacked[quad.sequence];
  view.packed = min(KvPackedTiles(attend.job, tokens) * kTokens, view.end);
  return view;
}

__device__ inline float* KvPartial(const KvAttendJob& attend, const KvQuad& quad, int split, int query) {
  return attend.partials + ((quad.index * (attend.splits + 1) + split) * kQuad + query) * (attend.job.head_dim + 2);
}

__device__ inline float KvWarpMax(float x) {
#pragma unroll
  for (int i = 16; i > 0; i /= 2) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, i));
  return x;
}

__device__ inline float KvWarpSum(float x) {
#pragma unroll
  for (int i = 16; i > 0; i /= 2) x += __shfl_xor_sync(kAllLanes, x, i);
  return x;
}

__device__ inline float KvMinusInfinity() { return __int_as_float(static_cast<int>(0xff800000u)); }

// Score of a product q k scale.
__device__ inline float KvCapped(const KvAttendJob& attend, float score) {
  return attend.soft_cap == 0 ? score : attend.soft_cap * tanhf(score / attend.soft_cap);
}

cudaError_t LaunchKvQueries(const KvAttendJob& attend, int32_t sequences, cudaStream_t stream);
// mma: by tensor cores; the results are the same.
cudaError_t LaunchKvSplits(const KvAttendJob& attend, int32_t sequences, bool mma, cudaStream_t stream);
cudaError_t LaunchKvMerge(const KvAttendJob& attend, int32_t sequences, cudaStream_t stream);

}  // namespace sylvester::cuda

#endif
