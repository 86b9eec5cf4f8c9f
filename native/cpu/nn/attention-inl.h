// Softmax attention over a float cache, one split of keys at a time.
#if defined(SYLVESTER_NATIVE_CPU_NN_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_ATTENTION_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_ATTENTION_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_ATTENTION_INL_H_
#endif

#include <cmath>
#include <cstring>
#include <limits>

#include "hwy/highway.h"
#include "native/cpu/nn/attention.h"
#include "native/cpu/nn/exp-inl.h"
#include "native/cpu/nn/tree_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The keys of a tile are the 16 virtual lanes.
static_assert(kTileTokens == kVirtualLanes);
using DF16 = DVirtual;
using VF16 = VVirtual;
constexpr int64_t kTileLanes = kRealLanes;
constexpr int64_t kTileVectors = kVirtualVectors;
constexpr int64_t kBlockVectors = kBlockTokens / kTileLanes;
// Pairs whose sums stay in registers together.
constexpr int64_t kRegisterPairs = HWY_TARGET == HWY_AVX3 ? 6 : 3;

template <class D>
HWY_INLINE hn::Vec<D> LoadCache(D d, const float* p) {
  return hn::LoadU(d, p);
}

template <class D>
HWY_INLINE hn::Vec<D> LoadCache(D d, const hwy::float16_t* p) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::float16_t, D>(), p));
}

// scores[p][...] = q[p] . K for kTiles tiles of keys, each a chain of fused multiply-adds in ascending dimension.
template <int kPairs, int64_t kTiles, typename T>
HWY_INLINE void ScoreTiles(const T* HWY_RESTRICT keys, int64_t head_dim, const float* const* HWY_RESTRICT q,
                           float* HWY_RESTRICT scores) {
  constexpr int64_t kVectors = kTiles * kTileVectors;
  const DF16 d;
  VF16 sum[kPairs][kVectors];
  for (auto& row : sum) {
    for (VF16& v : row) v = hn::Zero(d);
  }
  for (int64_t i = 0; i < head_dim; ++i) {
    VF16 key[kVectors];
    for (int64_t v = 0; v < kVectors; ++v) {
      key[v] = LoadCache(d, keys + (v / kTileVectors * head_dim + i) * kTileTokens + v % kTileVectors * kTileLanes);
    }
    for (int p = 0; p < kPairs; ++p) {
      const VF16 query = hn::Set(d, q[p][i]);
      for (int64_t v = 0; v < kVectors; ++v) sum[p][v] = hn::MulAdd(key[v], query, sum[p][v]);
    }
  }
  for (int p = 0; p < kPairs; ++p) {
    for (int64_t v = 0; v < kVectors; ++v) hn::StoreU(sum[p][v], d, scores + p * kBlockTokens + v * kTileLanes);
  }
}

template <int kPairs, typename T>
HWY_INLINE void Scores(const T* keys, int64_t tiles, int64_t head_dim, const float* const* q, float* scores) {
  // Few pairs leave the multipliers waiting for each other: two tiles at a time double the chains.
  constexpr int64_t kTiles = kPairs * 2 <= kRegisterPairs ? 2 : 1;
  int64_t tile = 0;
  for (; tile + kTiles <= tiles; tile += kTiles) {
    ScoreTiles<kPairs, kTiles>(keys + tile * kTileTokens * head_dim, head_dim, q, scores + tile * kTileTokens);
  }
  for (; tile < tiles; ++tile) {
    ScoreTiles<kPairs, 1>(keys + tile * kTileTokens * head_dim, head_dim, q, scores + tile * kTileTokens);
  }
}

// sum[p][c] += sum_j weights[p][j] V[j][c] for j in [begin, end), ascending, on kVectors vectors from dimension c.
template <int kPairs, int kVectors, class D, typename T>
HWY_INLINE void AddValues(D d, const T* HWY_RESTRICT values, int64_t head_dim, int64_t begin, int64_t end,
                          const float* HWY_RESTRICT weights, float* const* sums, int64_t c) {
  const int64_t N = hn::MaxLanes(d);
  hn::Vec<D> sum[kPairs][kVectors];
  for (int p = 0; p < kPairs; ++p) {
    for (int v = 0; v < kVectors; ++v) sum[p][v] = hn::LoadU(d, sums[p] + c + v * N);
  }
  for (int64_t j = begin; j < end; ++j) {
    hn::Vec<D> value[kVectors];
    for (int v = 0; v < kVectors; ++v) value[v] = LoadCache(d, values + j * head_dim + c + v * N);
    for (int p = 0; p < kPairs; ++p) {
      const auto weight = hn::Set(d, weights[p * kBlockTokens + j]);
      for (int v = 0; v < kVectors; ++v) sum[p][v] = hn::MulAdd(value[v], weight, sum[p][v]);
    }
  }
  for (int p = 0; p < kPairs; ++p) {
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[p][v], d, sums[p] + c + v * N);
  }
}

template <int kPairs, typename T>
HWY_INLINE void AddAllValues(const T* values, int64_t head_dim, int64_t begin, int64_t end, const float* weights,
                             float* const* sums) {
  if (begin >= end) return;
  const DF16 d;
  const hn::CappedTag<float, 8> d8;  // head_dim is a multiple of 8
  int64_t c = 0;
  for (; c + 4 * kTileLanes <= head_dim; c += 4 * kTileLanes) {
    AddValues<kPairs, 4>(d, values, head_dim, begin, end, weights, sums, c);
  }
  for (; c + kTileLanes <= head_dim; c += kTileLanes) {
    AddValues<kPairs, 1>(d, values, head_dim, begin, end, weights, sums, c);
  }
  for (; c < head_dim; c += HWY_MIN(int64_t{8}, kTileLanes)) {
    AddValues<kPairs, 1>(d8, values, head_dim, begin, end, weights, sums, c);
  }
}

HWY_INLINE VF16 SoftCap(VF16 score, float cap) {
  const DF16 d;
  const VF16 e = ExpF32(d, hn::Mul(score, hn::Set(d, 2.0f / cap)));
  // tanh(z) = 1 - 2 / (exp(2z) + 1)
  const VF16 tanh = hn::Sub(hn::Set(d, 1.0f), hn::Div(hn::Set(d, 2.0f), hn::Add(e, hn::Set(d, 1.0f))));
  return hn::Mul(hn::Set(d, cap), tanh);
}

HWY_INLINE void Scale(float* sum, int64_t head_dim, float factor) {
  const hn::CappedTag<float, 8> d;
  for (int64_t i = 0; i < head_dim; i += hn::MaxLanes(d)) {
    hn::StoreU(hn::Mul(hn::LoadU(d, sum + i), hn::Set(d, factor)), d, sum + i);
  }
}

HWY_INLINE float Exp1(float x) {
  const hn::CappedTag<float, 1> d;
  return hn::GetLane(ExpF32(d, hn::Set(d, x)));
}

// Turns the scores of keys [begin, end) of a block into weights exp(score - max) and brings the pair's partial result to
// the new maximum. Other scores become 0, whatever they are.
HWY_INLINE void WeighBlock(float* scores, int64_t begin, int64_t end, float soft_cap, Partial* partial, float* sum,
                           int64_t head_dim) {
  const DF16 d;
  const hn::RebindToSigned<DF16> di;
  const VF16 minus_infinity = hn::Set(d, -std::numeric_limits<float>::infinity());
  VF16 score[kBlockVectors];
  VF16 max = minus_infinity;
  for (int64_t v = 0; v < kBlockVectors; ++v) {
    score[v] = hn::LoadU(d, scores + v * kTileLanes);
    if (soft_cap > 0) score[v] = SoftCap(score[v], soft_cap);
    const auto key = hn::Iota(di, static_cast<int32_t>(v * kTileLanes));
    const auto seen = hn::AndNot(hn::Lt(key, hn::Set(di, static_cast<int32_t>(begin))),
                                 hn::Lt(key, hn::Set(di, static_cast<int32_t>(end))));
    score[v] = hn::IfThenElse(hn::RebindMask(d, seen), score[v], minus_infinity);
    max = hn::Max(max, score[v]);
  }
  const float block_max = hn::GetLane(hn::MaxOfLanes(d, max));
  const float new_max = block_max > partial->max ? block_max : partial->max;
  if (new_max != partial->max) {
    if (partial->weight != 0) {
      const float factor = Exp1(partial->max - new_max);
      partial->weight *= factor;
      Scale(sum, head_dim, factor);
    }
    partial->max = new_max;
  }
  VF16 total[kTileVectors];
  for (VF16& v : total) v = hn::Zero(d);
  for (int64_t v = 0; v < kBlockVectors; ++v) {
    const VF16 weight = ExpF32(d, hn::Sub(score[v], hn::Set(d, new_max)));
    hn::StoreU(weight, d, scores + v * kTileLanes);
    total[v % kTileVectors] = hn::Add(total[v % kTileVectors], weight);
  }
  partial->weight += TreeSum16(total);
}

// One block of keys for kPairs consecutive pairs.
template <int kPairs, typename T>
HWY_INLINE void AttendBlock(const AttentionCall& call, const SplitTask& task, int64_t block, int64_t first_pair) {
  const int64_t head_dim = call.shape.head_dim, first_key = block * kBlockTokens;
  const auto* keys = static_cast<const T*>(call.keys) + (task.kv_head * call.shape.capacity + first_key) * head_dim;
  const auto* values = static_cast<const T*>(call.values) + (task.kv_head * call.shape.capacity + first_key) * head_dim;
  const float* q[kPairs];
  float* sums[kPairs];
  for (int p = 0; p < kPairs; ++p) {
    q[p] = call.ScaledQ(task.kv_head, first_pair + p, task.slot);
    sums[p] = call.Sum(task.kv_head, first_pair + p, task.slot);
  }
  int64_t begin[kPairs], end[kPairs];
  int64_t common_begin = 0, common_end = kBlockTokens;
  for (int p = 0; p < kPairs; ++p) {
    begin[p] = std::max<int64_t>(0, call.FirstKey(first_pair + p) - first_key);
    end[p] = std::min(kBlockTokens, call.EndKey(first_pair + p) - first_key);
    common_begin = std::max(common_begin, begin[p]);
    common_end = std::min(common_end, end[p]);
  }
  if (end[kPairs - 1] <= 0) return;
  HWY_ALIGN float weights[kPairs * kBlockTokens];
  // Tiles past the last visible key may be past the end of the cache.
  Scores<kPairs>(keys, (end[kPairs - 1] + kTileTokens - 1) / kTileTokens, head_dim, q, weights);
  for (int p = 0; p < kPairs; ++p) {
    if (begin[p] < end[p]) {
      WeighBlock(weights + p * kBlockTokens, begin[p], end[p], call.shape.soft_cap,
                 call.PartialOf(task.kv_head, first_pair + p, task.slot), sums[p], head_dim);
    }
  }
  // Every pair adds its keys in ascending order; those that all pairs see are read once.
  common_end = std::max(common_begin, common_end);
  for (int p = 0; p < kPairs; ++p) {
    AddAllValues<1>(values, head_dim, begin[p], std::min(end[p], common_begin), weights + p * kBlockTokens, sums + p);
  }
  AddAllValues<kPairs>(values, head_dim, common_begin, common_end, weights, sums);
  for (int p = 0; p < kPairs; ++p) {
    AddAllValues<1>(values, head_dim, std::max(begin[p], common_end), end[p], weights + p * kBlockTokens, sums + p);
  }
}

template <typename T>
HWY_INLINE void AttendPairs(const AttentionCall& call, const SplitTask& task, int64_t block, int64_t pair,
                            int64_t pairs) {
  static_assert(kRegisterPairs <= 6);
  switch (pairs) {
    case 1: return AttendBlock<1, T>(call, task, block, pair);
    case 2: return AttendBlock<2, T>(call, task, block, pair);
    case 3: return AttendBlock<3, T>(call, task, block, pair);
#if HWY_TARGET == HWY_AVX3
    case 4: return AttendBlock<4, T>(call, task, block, pair);
    case 5: return AttendBlock<5, T>(call, task, block, pair);
    default: return AttendBlock<6, T>(call, task, block, pair);
#endif
  }
}

template <typename T>
HWY_NOINLINE void AttendSplitOf(const AttentionCall& call, const SplitTask& task) {
  const int64_t head_dim = call.shape.head_dim;
  for (int64_t pair = task.first_pair; pair < task.last_pair; ++pair) {
    *call.PartialOf(task.kv_head, pair, task.slot) = {-std::numeric_limits<float>::infinity(), 0.0f};
    const float* q = call.Q(task.kv_head, pair);
    float* scaled = call.ScaledQ(task.kv_head, pair, task.slot);
    for (int64_t i = 0; i < head_dim; ++i) scaled[i] = q[i] * call.shape.scale;
    std::memset(call.Sum(task.kv_head, pair, task.slot), 0, static_cast<size_t>(head_dim) * sizeof(float));
  }
  // Later pairs see no fewer keys at the end and no more at the beginning.
  const int64_t begin = std::max(task.split * kSplitTokens, call.FirstKey(task.first_pair));
  const int64_t end = std::min((task.split + 1) * kSplitTokens, call.EndKey(task.last_pair - 1));
  for (int64_t block = begin / kBlockTokens; block * kBlockTokens < end; ++block) {
    for (int64_t pair = task.first_pair; pair < task.last_pair; pair += kRegisterPairs) {
      AttendPairs<T>(call, task, block, pair, std::min(kRegisterPairs, task.last_pair - pair));
    }
  }
}

void AttendSplit(const AttentionCall& call, const SplitTask& task) {
  if (call.shape.cache_type == SYL_F16) {
    AttendSplitOf<hwy::float16_t>(call, task);
  } else {
    AttendSplitOf<float>(call, task);
  }
}

// Adds a slot's result to what earlier splits left in y and merged.
void MergeSplit(const AttentionCall& call, int64_t kv_head, int64_t pair, int64_t slot, Partial* merged) {
  const int64_t head_dim = call.shape.head_dim;
  const Partial& partial = *call.PartialOf(kv_head, pair, slot);
  const float* sum = call.Sum(kv_head, pair, slot);
  float* y = call.Y(kv_head, pair);
  if (partial.weight == 0 && !std::isnan(partial.max)) return;  // no keys
  if (merged->weight == 0) {
    std::memcpy(y, sum, static_cast<size_t>(head_dim) * sizeof(float));
    *merged = partial;
    return;
  }
  const float max = std::max(merged->max, partial.max);
  const float old_factor = Exp1(merged->max - max), new_factor = Exp1(partial.max - max);
  const hn::CappedTag<float, 8> d;
  for (int64_t i = 0; i < head_dim; i += hn::MaxLanes(d)) {
    const auto old_sum = hn::Mul(hn::LoadU(d, y + i), hn::Set(d, old_factor));
    hn::StoreU(hn::MulAdd(hn::LoadU(d, sum + i), hn::Set(d, new_factor), old_sum), d, y + i);
  }
  *merged = {max, merged->weight * old_factor + partial.weight * new_factor};
}

void FinishPair(const AttentionCall& call, int64_t kv_head, int64_t pair, const Partial& merged) {
  const hn::CappedTag<float, 8> d;
  float* y = call.Y(kv_head, pair);
  for (int64_t i = 0; i < call.shape.head_dim; i += hn::MaxLanes(d)) {
    hn::StoreU(hn::Div(hn::LoadU(d, y + i), hn::Set(d, merged.weight)), d, y + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
