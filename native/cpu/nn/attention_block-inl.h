// Attention over one block of keys: scores, softmax, sums of values; and how blocks are merged.
#if defined(SYLVESTER_NATIVE_CPU_NN_ATTENTION_BLOCK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_ATTENTION_BLOCK_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_ATTENTION_BLOCK_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_ATTENTION_BLOCK_INL_H_
#endif

#include <cstring>
#include <limits>

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "native/cpu/half-inl.h"
#include "native/cpu/nn/attention.h"
#include "native/cpu/nn/exp-inl.h"
#include "native/cpu/nn/tree_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The keys of a tile are the virtual lanes.
static_assert(kTileTokens == kVirtualLanes);

// Registers for sums, beside those for operands; and pairs that share a loaded key or value.
#if HWY_TARGET == HWY_AVX3
constexpr int kSumVectors = 24, kRegisterPairs = 6;
#elif HWY_TARGET == HWY_AVX2
constexpr int kSumVectors = 12, kRegisterPairs = 6;
#elif HWY_TARGET == HWY_SSE4
constexpr int kSumVectors = 12, kRegisterPairs = 3;
#else
constexpr int kSumVectors = 24, kRegisterPairs = 6;
#endif
static_assert(kTilePairs % kRegisterPairs == 0);

// Values are summed run by run: a long head_dim does not fit into registers and passes over a run several times, which
// then has to be in the first cache.
constexpr int64_t kRunTokens = 32;
// How far in front values are fetched; keys are a group of tiles in front.
constexpr int64_t kFetchBytes = 8192;

// Into the second cache: the first has too few outstanding misses to keep memory busy.
HWY_INLINE void Fetch(const uint8_t* p) { __builtin_prefetch(p, /*write=*/0, /*locality=*/2); }

// The largest power of two up to `most` that leaves the sums of kPairs pairs in registers.
constexpr int VectorsInRegisters(int pairs, int vectors_each, int most) {
  int n = most;
  while (n > 1 && n * pairs * vectors_each > kSumVectors) n /= 2;
  return n;
}

// c[p][v] (+)= sum_k a[k][v] b[k][p], each sum a chain of fused multiply-adds in ascending k. Vectors v lie side by
// side in c and, in groups of kGroup, in a. Fetches as much from `ahead` as it reads from a: the processor by itself
// foresees too little, since the streams are short and the sums between them long.
template <int kPairs, int kVectors, int kGroup, int kStepB, int kPairStepB, bool kAdd, class D, typename T>
HWY_INLINE void OuterProducts(D d, const T* HWY_RESTRICT a, int64_t step_a, int64_t group_step_a,
                              const float* HWY_RESTRICT b, int64_t n, float* HWY_RESTRICT c, int64_t pair_step_c,
                              const uint8_t* ahead, int64_t step_ahead) {
  using V = hn::Vec<D>;
  const int64_t N = hn::MaxLanes(d);
  constexpr int kLines = (kVectors * static_cast<int>(hn::MaxLanes(D()) * sizeof(T)) + 63) / 64;
  V sum[kPairs][kVectors];
  for (int p = 0; p < kPairs; ++p) {
    for (int v = 0; v < kVectors; ++v) sum[p][v] = kAdd ? hn::LoadU(d, c + p * pair_step_c + v * N) : hn::Zero(d);
  }
  for (int64_t k = 0; k < n; ++k, ahead += step_ahead) {
    for (int line = 0; line < kLines; ++line) Fetch(ahead + line * 64);
    // The shorter side stays in registers while the other one passes.
    if constexpr (kPairs < kVectors) {
      V weight[kPairs];
      for (int p = 0; p < kPairs; ++p) weight[p] = hn::Set(d, b[k * kStepB + p * kPairStepB]);
      for (int v = 0; v < kVectors; ++v) {
        const V x = LoadFloats(d, a + k * step_a + v / kGroup * group_step_a + v % kGroup * N);
        for (int p = 0; p < kPairs; ++p) sum[p][v] = hn::MulAdd(x, weight[p], sum[p][v]);
      }
    } else {
      V x[kVectors];
      for (int v = 0; v < kVectors; ++v)
        x[v] = LoadFloats(d, a + k * step_a + v / kGroup * group_step_a + v % kGroup * N);
      for (int p = 0; p < kPairs; ++p) {
        const V weight = hn::Set(d, b[k * kStepB + p * kPairStepB]);
        for (int v = 0; v < kVectors; ++v) sum[p][v] = hn::MulAdd(x[v], weight, sum[p][v]);
      }
    }
  }
  for (int p = 0; p < kPairs; ++p) {
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[p][v], d, c + p * pair_step_c + v * N);
  }
}

template <typename T>
HWY_INLINE const uint8_t* ByteAddress(const T* p) {
  return reinterpret_cast<const uint8_t*>(p);
}

// scores[p][j] = q[p] . K[j] for kTiles tiles of keys.
template <int kPairs, int kTiles, typename T>
HWY_INLINE void ScoreTiles(const T* keys, int64_t head_dim, const float* q, float* scores) {
  const int64_t tile_step = head_dim * kTileTokens;
  OuterProducts<kPairs, kTiles * kVirtualVectors, kVirtualVectors, kRegisterPairs, 1, false>(
      DVirtual(), keys, kTileTokens, tile_step, q, head_dim, scores, kBlockTokens,
      ByteAddress(keys + kTiles * tile_step), kTiles * kTileTokens * static_cast<int64_t>(sizeof(T)));
}

// The same for tiles [tiles.begin, tiles.end) of a block. q: [dimension][kRegisterPairs].
template <int kPairs, typename T>
HWY_INLINE void Scores(const T* keys, Range tiles, int64_t head_dim, const float* q, float* scores) {
  constexpr int kTiles = VectorsInRegisters(kPairs, kVirtualVectors, 4);
  int64_t tile = tiles.begin;
  for (; tile + kTiles <= tiles.end; tile += kTiles) {
    ScoreTiles<kPairs, kTiles>(keys + tile * kTileTokens * head_dim, head_dim, q, scores + tile * kTileTokens);
  }
  for (; tile < tiles.end; ++tile) {
    ScoreTiles<kPairs, 1>(keys + tile * kTileTokens * head_dim, head_dim, q, scores + tile * kTileTokens);
  }
}

// sums[p] += sum_j weights[p][j] V[j] over n keys, for as many of the dimensions from `dim` as fill kVectors vectors.
// Returns the next dimension.
template <int kPairs, int kVectors, class D, typename T>
HWY_INLINE int64_t AddRun(D d, const T* values, int64_t n, int64_t head_dim, int64_t dim, const float* weights,
                          float* sums, int64_t sum_step) {
  if constexpr (kVectors <= VectorsInRegisters(kPairs, 1, 8)) {
    constexpr int64_t kDims = kVectors * hn::MaxLanes(D());
    for (; dim + kDims <= head_dim; dim += kDims) {
      OuterProducts<kPairs, kVectors, kVectors, 1, kBlockTokens, true>(
          d, values + dim, head_dim, 0, weights, n, sums + dim, sum_step, ByteAddress(values + dim) + kFetchBytes,
          head_dim * static_cast<int64_t>(sizeof(T)));
    }
  }
  return dim;
}

// sums[p] += sum_j weights[p][j] V[j] over the given keys.
template <int kPairs, typename T>
HWY_INLINE void AddValues(const T* values, Range keys, int64_t head_dim, const float* weights, float* sums,
                          int64_t sum_step) {
  const DVirtual d;
  const hn::CappedTag<float, 8> d8;  // head_dim is a multiple of 8
  for (int64_t begin = keys.begin; begin < keys.end; begin += kRunTokens) {
    const int64_t n = std::min(kRunTokens, keys.end - begin);
    const T* run = values + begin * head_dim;
    int64_t dim = 0;
    dim = AddRun<kPairs, 8>(d, run, n, head_dim, dim, weights + begin, sums, sum_step);
    dim = AddRun<kPairs, 4>(d, run, n, head_dim, dim, weights + begin, sums, sum_step);
    dim = AddRun<kPairs, 2>(d, run, n, head_dim, dim, weights + begin, sums, sum_step);
    dim = AddRun<kPairs, 1>(d, run, n, head_dim, dim, weights + begin, sums, sum_step);
    AddRun<kPairs, 1>(d8, run, n, head_dim, dim, weights + begin, sums, sum_step);
  }
}

// scores[j] becomes exp(scores[j] - max) for the keys in range; the others of the tiles they lie in become 0.
HWY_INLINE Partial Softmax(Range keys, float soft_cap, float* HWY_RESTRICT scores) {
  const DVirtual d;
  const int64_t begin = keys.begin / kTileTokens * kTileTokens, end = CeilDiv(keys.end, kTileTokens) * kTileTokens;
  if (soft_cap > 0) {
    const auto cap = hn::Set(d, soft_cap);
    for (int64_t j = begin; j < end; j += kRealLanes) {
      hn::StoreU(hn::Mul(cap, hn::Tanh(d, hn::Div(hn::LoadU(d, scores + j), cap))), d, scores + j);
    }
  }
  std::fill(scores + begin, scores + keys.begin, -std::numeric_limits<float>::infinity());
  std::fill(scores + keys.end, scores + end, -std::numeric_limits<float>::infinity());
  auto maxima = hn::LoadU(d, scores + begin);
  for (int64_t j = begin + kRealLanes; j < end; j += kRealLanes) maxima = hn::Max(maxima, hn::LoadU(d, scores + j));
  const auto max = hn::MaxOfLanes(d, maxima);
  VVirtual total[kVirtualVectors];
  for (VVirtual& v : total) v = hn::Zero(d);
  for (int64_t j = begin; j < end; j += kTileTokens) {
    for (int64_t v = 0; v < kVirtualVectors; ++v) {
      float* p = scores + j + v * kRealLanes;
      const VVirtual weight = ExpNonPositiveF32(d, hn::Sub(hn::LoadU(d, p), max));
      hn::StoreU(weight, d, p);
      total[v] = hn::Add(total[v], weight);
    }
  }
  return {hn::GetLane(max), TreeSum16(total)};
}

// Adds a block's result for a pair to what earlier blocks left in y and merged.
HWY_INLINE void Merge(const float* sum, const Partial& partial, int64_t head_dim, float* y, Partial* merged) {
  if (merged->weight == 0) {
    std::memcpy(y, sum, static_cast<size_t>(head_dim) * sizeof(float));
    *merged = partial;
    return;
  }
  // The larger maximum stays: its factor is 1.
  const hn::CappedTag<float, 8> d;
  const bool grows = partial.max > merged->max;
  const auto factor = ExpNonPositiveF32(d, hn::Set(d, grows ? merged->max - partial.max : partial.max - merged->max));
  const auto one = hn::Set(d, 1.0f);
  const auto old_factor = grows ? factor : one, new_factor = grows ? one : factor;
  for (int64_t i = 0; i < head_dim; i += hn::MaxLanes(d)) {
    const auto old_sum = hn::Mul(hn::LoadU(d, y + i), old_factor);
    hn::StoreU(hn::MulAdd(hn::LoadU(d, sum + i), new_factor, old_sum), d, y + i);
  }
  *merged = {grows ? partial.max : merged->max,
             merged->weight * hn::GetLane(old_factor) + partial.weight * hn::GetLane(new_factor)};
}

HWY_INLINE void Finish(const Partial& merged, int64_t head_dim, float* y) {
  const hn::CappedTag<float, 8> d;
  for (int64_t i = 0; i < head_dim; i += hn::MaxLanes(d)) {
    hn::StoreU(hn::Div(hn::LoadU(d, y + i), hn::Set(d, merged.weight)), d, y + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
