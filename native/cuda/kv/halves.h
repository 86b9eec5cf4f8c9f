// Attention over what is kept as halves: the ring behind the packed tokens, and sinks among these.
#ifndef SYLVESTER_NATIVE_CUDA_KV_HALVES_H_
#define SYLVESTER_NATIVE_CUDA_KV_HALVES_H_

#include "native/cuda/kv/attend.h"

namespace sylvester::cuda {

// The tokens of a quad: those of the ring that any of its queries sees, then all sinks.
struct KvHalfTokens {
  int first, ring, sinks;  // first token and number of the ring's, number of sinks

  __device__ int Count() const { return ring + sinks; }
};

// Most of them: four causal rows have rings that end up to three tokens apart.
__host__ __device__ inline int KvHalfTokensMost(const KvAttendJob& attend) {
  const int more = attend.max_unpacked > kQuad ? attend.max_unpacked : kQuad;
  return attend.job.window_tiles * kTokens + more + attend.job.sink_capacity;
}

__device__ inline KvHalfTokens KvHalfTokensOf(const KvAttendJob& attend, const KvQuad& quad) {
  KvHalfTokens tokens = {0, 0, attend.job.sink_capacity};
  if (attend.job.window_tiles > 0) {
    tokens.first = KvViewOf(attend, quad, 0).packed;
    tokens.ring = KvViewOf(attend, quad, quad.queries - 1).end - tokens.first;
  }
  return tokens;
}

__device__ inline const int32_t* KvSinkTokens(const KvJob& job, const KvQuad& quad) {
  return job.sink_tokens + int64_t{job.slots[quad.sequence]} * job.sink_capacity;
}

// Whether a query sees it here and not elsewhere.
__device__ inline bool KvSeesHalf(const KvView& view, int token, bool sink) {
  return token >= view.begin && (sink ? token < view.packed : token >= view.packed && token < view.end);
}

// scores[query][token]; queries [4][head_dim]. Threads take tokens of the ring, warps take sinks. Whole blocks call it.
__device__ inline void KvHalfScores(const KvAttendJob& attend, const KvQuad& quad, const KvHalfTokens& tokens,
                                    SharedPtr<const float> queries, SharedPtr<float> scores) {
  const KvJob& job = attend.job;
  const int d = job.head_dim, thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const auto store = [&](int query, int i, int token, bool sink, float product) {
    const bool seen = query < quad.queries && KvSeesHalf(KvViewOf(attend, quad, query), token, sink);
    const float offset = attend.offsets[quad.index * kQuad + query];
    scores[query * tokens.Count() + i] = seen ? KvCapped(attend, product * attend.scale + offset) : KvMinusInfinity();
  };
  for (int i = thread; i < tokens.ring; i += threads) {
    const int token = tokens.first + i;
    const __half* key = KvRingTile(job, SYL_KV_KEYS, quad.sequence, quad.head, token / kTokens) + token % kTokens;
    float product[kQuad] = {};
    for (int c = 0; c < d; ++c) {
      const float x = __half2float(key[c * kTokens]);
#pragma unroll
      for (int j = 0; j < kQuad; ++j) product[j] = fmaf(queries[j * d + c], x, product[j]);
    }
#pragma unroll
    for (int j = 0; j < kQuad; ++j) store(j, i, token, false, product[j]);
  }
  for (int sink = thread / 32; sink < tokens.sinks; sink += threads / 32) {
    const int lane = thread % 32, token = KvSinkTokens(job, quad)[sink];
    const __half* key = KvSinkRow(job, SYL_KV_KEYS, quad.sequence, quad.head, sink);
    for (int j = 0; j < kQuad; ++j) {
      float product = 0;
      for (int c = lane; c < d; c += warpSize) product = fmaf(queries[j * d + c], __half2float(key[c]), product);
      product = KvWarpSum(product);
      if (lane == 0) store(j, tokens.ring + sink, token, true, product);
    }
  }
}

// Weights in place of a query's scores; its maximum and sum go to the partial result. A warp calls it.
__device__ inline void KvHalfWeights(SharedPtr<float> scores, int count, int d, float* partial, int lane) {
  float most = KvMinusInfinity(), sum = 0;
  for (int i = lane; i < count; i += warpSize) most = fmaxf(most, scores[i]);
  most = KvWarpMax(most);
  for (int i = lane; i < count; i += warpSize) {
    const float score = scores[i], weight = score == KvMinusInfinity() ? 0 : expf(score - most);
    scores[i] = weight;
    sum += weight;
  }
  sum = KvWarpSum(sum);
  if (lane == 0) {
    partial[d] = most;
    partial[d + 1] = sum;
  }
}

__device__ inline void KvHalfValues(const KvAttendJob& attend, const KvQuad& quad, const KvHalfTokens& tokens,
                                    SharedPtr<const float> weights) {
  const KvJob& job = attend.job;
  const int d = job.head_dim, count = tokens.Count();
  for (int c = static_cast<int>(threadIdx.x); c < d; c += static_cast<int>(blockDim.x)) {
    float sum[kQuad] = {};
    for (int i = 0; i < count; ++i) {
      // Rows of sinks that no query sees may hold anything.
      float weight[kQuad], any = 0;
#pragma unroll
      for (int j = 0; j < kQuad; ++j) {
        weight[j] = weights[j * count + i];
        any += weight[j];
      }
      if (any == 0) continue;
      const int token = tokens.first + i;
      const __half* value =
          i < tokens.ring
              ? KvRingTile(job, SYL_KV_VALUES, quad.sequence, quad.head, token / kTokens) + token % kTokens * d
              : KvSinkRow(job, SYL_KV_VALUES, quad.sequence, quad.head, i - tokens.ring);
      const float x = __half2float(value[c]);
#pragma unroll
      for (int j = 0; j < kQuad; ++j) sum[j] = fmaf(weight[j], x, sum[j]);
    }
    for (int j = 0; j < quad.queries; ++j) KvPartial(attend, quad, attend.splits, j)[c] = sum[j];
  }
}

// Whole blocks of at least four warps call it. queries, scores: shared memory for [4][head_dim] and
// [4][KvHalfTokensMost].
__device__ inline void KvAttendHalves(const KvAttendJob& attend, const KvQuad& quad, SharedPtr<float> queries,
                                      SharedPtr<float> scores) {
  const int d = attend.job.head_dim, thread = static_cast<int>(threadIdx.x);
  for (int e = thread; e < kQuad * d; e += static_cast<int>(blockDim.x)) {
    queries[e] = attend.queries[quad.index * kQuad * d + e];
  }
  __syncthreads();
  const KvHalfTokens tokens = KvHalfTokensOf(attend, quad);
  KvHalfScores(attend, quad, tokens, queries, scores);
  __syncthreads();
  const int query = thread / 32;
  if (query < quad.queries) {
    KvHalfWeights(scores + query * tokens.Count(), tokens.Count(), d, KvPartial(attend, quad, attend.splits, query),
                  thread % 32);
  } else if (query < kQuad) {
    for (int i = thread % 32; i < tokens.Count(); i += warpSize) scores[query * tokens.Count() + i] = 0;
  }
  __syncthreads();
  KvHalfValues(attend, quad, tokens, scores);
}

}  // namespace sylvester::cuda

#endif
