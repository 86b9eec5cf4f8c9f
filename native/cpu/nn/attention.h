// One attention call: its geometry, and the fixed shape of its sums.
#ifndef SYLVESTER_NATIVE_CPU_NN_ATTENTION_H_
#define SYLVESTER_NATIVE_CPU_NN_ATTENTION_H_

#include <sylvester/nn.h>

#include <algorithm>

#include "native/cpu/nn/cache.h"

namespace sylvester {

// Keys of one softmax. A row's blocks lie at multiples of this in the context, whatever the call: that, and adding them
// up in ascending order, makes its result independent of how the work is cut.
constexpr int64_t kBlockTokens = 256;
// (row, head) pairs of one task: they share reads of the cache.
constexpr int64_t kTilePairs = 24;

// What the keys of one block, or of all blocks so far, contribute to a pair: softmax(s) V = sum / weight.
struct Partial {
  float max;     // of the scores
  float weight;  // sum of exp(score - max); 0: no keys
};

struct Range {
  int64_t begin, end;
  bool IsEmpty() const { return begin >= end; }
};

// A pair is one query of a kv head: row pair / group, head kv_head * group + pair % group. The keys that a pair sees
// neither begin nor end before those of the pair in front of it.
struct AttentionCall {
  syl_attention shape;
  const float* q;
  int64_t q_stride;
  int64_t first;
  int64_t rows;
  const void* keys;
  const void* values;
  int64_t tokens;
  float* y;
  int64_t y_stride;

  int64_t Group() const { return shape.q_heads / shape.kv_heads; }
  int64_t Pairs() const { return rows * Group(); }
  int64_t Tiles() const { return CeilDiv(Pairs(), kTilePairs); }
  Range TilePairs(int64_t tile) const { return {tile * kTilePairs, std::min((tile + 1) * kTilePairs, Pairs())}; }

  Range VisibleKeys(int64_t pair) const {
    if (!shape.causal) return {0, tokens};
    const int64_t end = first + pair / Group() + 1;
    return {shape.window == 0 ? 0 : std::max<int64_t>(0, end - shape.window), end};
  }
  // As above, counted from the block's first key.
  Range VisibleKeys(int64_t pair, int64_t block) const {
    const Range keys = VisibleKeys(pair);
    const int64_t start = block * kBlockTokens;
    return {std::max<int64_t>(0, keys.begin - start), std::min(kBlockTokens, keys.end - start)};
  }
  // Blocks that some of the pairs see.
  Range VisibleBlocks(Range pairs) const {
    return {VisibleKeys(pairs.begin).begin / kBlockTokens, CeilDiv(VisibleKeys(pairs.end - 1).end, kBlockTokens)};
  }

  const float* Q(int64_t kv_head, int64_t pair) const { return q + pair / Group() * q_stride + Column(kv_head, pair); }
  float* Y(int64_t kv_head, int64_t pair) const { return y + pair / Group() * y_stride + Column(kv_head, pair); }

 private:
  int64_t Column(int64_t kv_head, int64_t pair) const { return (kv_head * Group() + pair % Group()) * shape.head_dim; }
};

// A result is head_dim floats of sum, then a Partial; padded, so that threads do not share cache lines.
constexpr int64_t ResultFloats(int64_t head_dim) { return (head_dim + 2 + 15) / 16 * 16; }

// Where a block's results go, one for each of the pairs that see it.
struct Results {
  float* data;     // of the first pair
  int64_t stride;  // from pair to pair

  float* Sum(int64_t pair) const { return data + pair * stride; }
  Partial* PartialOf(int64_t pair, int64_t head_dim) const { return reinterpret_cast<Partial*>(Sum(pair) + head_dim); }
};

// y of a pair from the results of its blocks, which lie side by side. (attention.cc)
void MergeBlocks(const AttentionCall& call, int64_t kv_head, int64_t pair, const Results& results);

// Fewer tiles than this leave threads idle: then blocks of keys run side by side too, and meet in the workspace. The
// choice depends on the shape alone, the result not even on the choice.
constexpr int64_t kEnoughTiles = 32;
constexpr int64_t kTasksPerThread = 8;

}  // namespace sylvester

#endif
