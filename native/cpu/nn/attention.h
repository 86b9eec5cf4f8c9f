// One attention call: geometry, pointers and the fixed shape of its reduction.
#ifndef SYLVESTER_NATIVE_CPU_NN_ATTENTION_H_
#define SYLVESTER_NATIVE_CPU_NN_ATTENTION_H_

#include <sylvester/nn.h>

#include <algorithm>

namespace sylvester {

constexpr int64_t kTileTokens = 16;     // keys side by side in the cache
constexpr int64_t kBlockTokens = 64;    // keys between two updates of the running maximum
constexpr int64_t kSplitTokens = 1024;  // keys of one partial result
constexpr int64_t kTilePairs = 48;      // (row, head) pairs that share reads of the cache

// What the keys of one split, or all before it, contribute to a pair: softmax(s) V = sum / weight.
struct Partial {
  float max;     // of the scores; -infinity when there are none
  float weight;  // sum of exp(score - max)
};

// A pair is one query of a kv head: row pair / group, head kv_head * group + pair % group.
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
  // Workspace, for each kv head, pair and slot: a Partial, head_dim floats of scaled q, head_dim floats of sum. One slot
  // where splits run one after the other, one for each split where they run side by side.
  float* scratch;
  int64_t slots;

  int64_t Group() const { return shape.q_heads / shape.kv_heads; }
  int64_t Pairs() const { return rows * Group(); }
  int64_t Splits() const { return (tokens + kSplitTokens - 1) / kSplitTokens; }

  // Keys that a pair may see.
  int64_t FirstKey(int64_t pair) const {
    return shape.window == 0 ? 0 : std::max<int64_t>(0, first + pair / Group() + 1 - shape.window);
  }
  int64_t EndKey(int64_t pair) const { return shape.causal ? first + pair / Group() + 1 : tokens; }

  const float* Q(int64_t kv_head, int64_t pair) const {
    return q + pair / Group() * q_stride + (kv_head * Group() + pair % Group()) * shape.head_dim;
  }
  float* Y(int64_t kv_head, int64_t pair) const {
    return y + pair / Group() * y_stride + (kv_head * Group() + pair % Group()) * shape.head_dim;
  }

  static int64_t ScratchFloats(int64_t head_dim) { return 2 + 2 * head_dim; }
  float* Scratch(int64_t kv_head, int64_t pair, int64_t slot) const {
    return scratch + ((kv_head * Pairs() + pair) * slots + slot) * ScratchFloats(shape.head_dim);
  }
  Partial* PartialOf(int64_t kv_head, int64_t pair, int64_t slot) const {
    return reinterpret_cast<Partial*>(Scratch(kv_head, pair, slot));
  }
  float* ScaledQ(int64_t kv_head, int64_t pair, int64_t slot) const { return Scratch(kv_head, pair, slot) + 2; }
  float* Sum(int64_t kv_head, int64_t pair, int64_t slot) const {
    return Scratch(kv_head, pair, slot) + 2 + shape.head_dim;
  }
};

// Pairs first .. last-1 of a kv head over the keys of one split, into a slot.
struct SplitTask {
  int64_t kv_head;
  int64_t first_pair;
  int64_t last_pair;
  int64_t split;
  int64_t slot;
};

}  // namespace sylvester

#endif
