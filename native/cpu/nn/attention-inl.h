// Softmax attention over a float cache, block of keys by block of keys.
#if defined(SYLVESTER_NATIVE_CPU_NN_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_ATTENTION_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_ATTENTION_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_ATTENTION_INL_H_
#endif

#include <cstring>

#include "hwy/highway.h"
#include "native/cpu/nn/attention.h"
#include "native/cpu/nn/attention_block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The keys and values of a block of a kv head.
template <typename T>
struct Block {
  const T* keys;
  const T* values;
  int64_t head_dim;
  float soft_cap;
};

// A block for kPairs consecutive pairs that all see some of it.
template <int kPairs, typename T>
HWY_NOINLINE void AttendPairs(const Block<T>& block, const Range* visible, const float* q, const Results& results) {
  const int64_t head_dim = block.head_dim;
  HWY_ALIGN float weights[kPairs * kBlockTokens];
  // Tiles past the last visible key may be past the end of the cache.
  const Range tiles{visible[0].begin / kTileTokens, CeilDiv(visible[kPairs - 1].end, kTileTokens)};
  Scores<kPairs>(block.keys, tiles, head_dim, q, weights);
  // The softmax leaves time to fetch the first values.
  const uint8_t* first_values = ByteAddress(block.values + visible[0].begin * head_dim);
  for (int64_t i = 0; i < kFetchBytes; i += 64) Fetch(first_values + i);
  for (int p = 0; p < kPairs; ++p) {
    *results.PartialOf(p, head_dim) = Softmax(visible[p], block.soft_cap, weights + p * kBlockTokens);
    std::memset(results.Sum(p), 0, static_cast<size_t>(head_dim) * sizeof(float));
  }
  // Every pair adds its keys in ascending order; those that all pairs see are read once. A weight of 0 is no substitute
  // for a key not seen: its value may be infinite.
  const int64_t common_begin = visible[kPairs - 1].begin;
  const int64_t common_end = std::max(common_begin, visible[0].end);
  for (int p = 0; p < kPairs; ++p) {
    AddValues<1>(block.values, {visible[p].begin, std::min(visible[p].end, common_begin)}, head_dim,
                 weights + p * kBlockTokens, results.Sum(p), results.stride);
  }
  AddValues<kPairs>(block.values, {common_begin, common_end}, head_dim, weights, results.data, results.stride);
  for (int p = 0; p < kPairs; ++p) {
    AddValues<1>(block.values, {common_end, visible[p].end}, head_dim, weights + p * kBlockTokens, results.Sum(p),
                 results.stride);
  }
}

template <typename T>
HWY_INLINE void AttendPairs(int pairs, const Block<T>& block, const Range* visible, const float* q,
                            const Results& results) {
  switch (pairs) {
    case 1: return AttendPairs<1>(block, visible, q, results);
    case 2: return AttendPairs<2>(block, visible, q, results);
    case 3: return AttendPairs<3>(block, visible, q, results);
  }
  if constexpr (kRegisterPairs >= 6) {
    switch (pairs) {
      case 4: return AttendPairs<4>(block, visible, q, results);
      case 5: return AttendPairs<5>(block, visible, q, results);
      case 6: return AttendPairs<6>(block, visible, q, results);
    }
  }
  if constexpr (kRegisterPairs >= 8) {
    switch (pairs) {
      case 7: return AttendPairs<7>(block, visible, q, results);
      case 8: return AttendPairs<8>(block, visible, q, results);
    }
  }
}

// Scaled queries of a tile of pairs: [pair / kRegisterPairs][dimension][kRegisterPairs].
struct Queries {
  HWY_ALIGN float data[kTilePairs * kMaxHeadDim];

  Queries(const AttentionCall& call, int64_t kv_head, Range pairs) {
    for (int64_t pair = pairs.begin; pair < pairs.end; ++pair) {
      const float* q = call.Q(kv_head, pair);
      float* to = Of(pair - pairs.begin, call.shape.head_dim);
      for (int64_t i = 0; i < call.shape.head_dim; ++i) to[i * kRegisterPairs] = q[i] * call.shape.scale;
    }
  }
  float* Of(int64_t pair, int64_t head_dim) {
    return data + pair / kRegisterPairs * kRegisterPairs * head_dim + pair % kRegisterPairs;
  }
};

// One block for the pairs of one register tile; those that see none of it are left out.
template <typename T>
HWY_INLINE Range AttendRegisterTile(const AttentionCall& call, int64_t kv_head, Range pairs, int64_t block,
                                    const float* q, const Results& results) {
  Range visible[kRegisterPairs];
  Range seeing{pairs.end, pairs.begin};
  for (int64_t pair = pairs.begin; pair < pairs.end; ++pair) {
    visible[pair - pairs.begin] = call.VisibleKeys(pair, block);
    if (visible[pair - pairs.begin].IsEmpty()) continue;
    seeing.begin = std::min(seeing.begin, pair);
    seeing.end = pair + 1;
  }
  if (seeing.IsEmpty()) return seeing;
  const int64_t head_dim = call.shape.head_dim, skipped = seeing.begin - pairs.begin;
  const int64_t offset = (kv_head * call.shape.capacity + block * kBlockTokens) * head_dim;
  AttendPairs<T>(static_cast<int>(seeing.end - seeing.begin),
                 {static_cast<const T*>(call.keys) + offset, static_cast<const T*>(call.values) + offset, head_dim,
                  call.shape.soft_cap},
                 visible + skipped, q + skipped, {results.Sum(skipped), results.stride});
  return seeing;
}

template <typename T>
HWY_INLINE void AttendTileOf(const AttentionCall& call, int64_t kv_head, Range pairs) {
  const int64_t head_dim = call.shape.head_dim;
  Queries queries(call, kv_head, pairs);
  Partial merged[kTilePairs] = {};
  HWY_ALIGN float block_results[kRegisterPairs * ResultFloats(kMaxHeadDim)];
  const Results results{block_results, ResultFloats(head_dim)};
  const Range blocks = call.VisibleBlocks(pairs);
  for (int64_t block = blocks.begin; block < blocks.end; ++block) {
    for (int64_t begin = pairs.begin; begin < pairs.end; begin += kRegisterPairs) {
      const Range seeing = AttendRegisterTile<T>(call, kv_head, {begin, std::min(begin + kRegisterPairs, pairs.end)},
                                                 block, queries.Of(begin - pairs.begin, head_dim), results);
      for (int64_t pair = seeing.begin; pair < seeing.end; ++pair) {
        Merge(results.Sum(pair - begin), *results.PartialOf(pair - begin, head_dim), head_dim, call.Y(kv_head, pair),
              &merged[pair - pairs.begin]);
      }
    }
  }
  for (int64_t pair = pairs.begin; pair < pairs.end; ++pair) {
    Finish(merged[pair - pairs.begin], head_dim, call.Y(kv_head, pair));
  }
}

// All blocks for a tile of pairs.
HWY_NOINLINE void AttendTile(const AttentionCall& call, int64_t kv_head, Range pairs) {
  if (call.shape.cache_type == SYL_F16) {
    AttendTileOf<hwy::float16_t>(call, kv_head, pairs);
  } else {
    AttendTileOf<float>(call, kv_head, pairs);
  }
}

template <typename T>
HWY_INLINE void AttendBlocksOf(const AttentionCall& call, int64_t kv_head, Range pairs, Range blocks, Results results) {
  const int64_t head_dim = call.shape.head_dim;
  Queries queries(call, kv_head, pairs);
  for (int64_t block = blocks.begin; block < blocks.end; ++block, results.data += ResultFloats(head_dim)) {
    for (int64_t begin = pairs.begin; begin < pairs.end; begin += kRegisterPairs) {
      AttendRegisterTile<T>(call, kv_head, {begin, std::min(begin + kRegisterPairs, pairs.end)}, block,
                            queries.Of(begin - pairs.begin, head_dim),
                            {results.Sum(begin - pairs.begin), results.stride});
    }
  }
}

// Some blocks for a tile of pairs. A pair's results for consecutive blocks lie side by side.
HWY_NOINLINE void AttendBlocks(const AttentionCall& call, int64_t kv_head, Range pairs, Range blocks,
                               const Results& results) {
  if (call.shape.cache_type == SYL_F16) {
    AttendBlocksOf<hwy::float16_t>(call, kv_head, pairs, blocks, results);
  } else {
    AttendBlocksOf<float>(call, kv_head, pairs, blocks, results);
  }
}

// y of a pair from the results of its blocks.
HWY_NOINLINE void MergeBlocksOf(const AttentionCall& call, int64_t kv_head, int64_t pair, const Results& results) {
  const int64_t head_dim = call.shape.head_dim;
  const Range blocks = call.VisibleBlocks({pair, pair + 1});
  Partial merged{};
  float* y = call.Y(kv_head, pair);
  for (int64_t i = 0; i < blocks.end - blocks.begin; ++i) {
    Merge(results.Sum(i), *results.PartialOf(i, head_dim), head_dim, y, &merged);
  }
  Finish(merged, head_dim, y);
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
