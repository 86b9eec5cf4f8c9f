// A sequence's tree, the rows of its nodes and what its draft drew from.
#ifndef SYLVESTER_NATIVE_CUDA_SPEC_SEQUENCE_H_
#define SYLVESTER_NATIVE_CUDA_SPEC_SEQUENCE_H_

#include "native/cuda/spec/row.h"

namespace sylvester::cuda {

constexpr int32_t kSpecNoNode = -1;

struct SpecSequence {
  const SpecJob& job;
  int64_t number, first_row;
  int32_t nodes;

  __device__ SpecSequence(const SpecJob& of, int64_t sequence)
      : job(of),
        number(sequence),
        first_row(of.batch.row_begin[sequence]),
        nodes(static_cast<int32_t>(of.batch.row_begin[sequence + 1] - first_row)) {}

  __device__ int64_t Row(int32_t node) const { return first_row + node; }
  __device__ SpecNode& Node(int32_t node) const { return job.nodes[Row(node)]; }
  __device__ int32_t Token(int32_t node) const { return job.batch.tokens[Row(node)]; }
  __device__ const SpecSampler& Sampler() const { return job.samplers[number]; }

  __device__ int32_t Parent(int32_t node) const {
    return job.batch.parents == nullptr ? node - 1 : job.batch.parents[Row(node)];
  }
  // The first child of `parent` behind `node`.
  __device__ int32_t ChildAfter(int32_t parent, int32_t node) const {
    if (job.batch.parents == nullptr) return node <= parent && parent + 1 < nodes ? parent + 1 : kSpecNoNode;
    for (++node; node < nodes; ++node) {
      if (Parent(node) == parent) return node;
    }
    return kSpecNoNode;
  }
  __device__ int32_t Depth(int32_t node) const {
    int32_t depth = 0;
    for (; node > 0; node = Parent(node)) ++depth;
    return depth;
  }
  __device__ bool Ends(int32_t token) const {
    for (int64_t i = 0; i < job.batch.end_count; ++i) {
      if (job.batch.end_ids[i] == token) return true;
    }
    return false;
  }

  // Where siblings stand to each other, and whether there is a q at all.
  __device__ SpecSiblings Siblings() const {
    if (job.draft.kind == SYL_DRAFT_ONE_HOT) return SpecSiblings::kOneHot;
    if (job.draft.kind == SYL_DRAFT_LOGITS && job.draft_samplers[number].greedy) return SpecSiblings::kOneHot;
    return job.draft.siblings == SYL_SIBLINGS_INDEPENDENT ? SpecSiblings::kIndependent
                                                          : SpecSiblings::kWithoutReplacement;
  }

  // Steps 1 and 2 for a node's row. `changed` takes it when something changes; whole blocks call it.
  __device__ const float* Change(int32_t node, const SpecSampler& sampler, const float* logits, int64_t cols,
                                 float* changed, int32_t* counts) const;

  __device__ SpecLogits Target(int32_t node, const SpecScratch& scratch) const {
    const syl_spec_batch& b = job.batch;
    const float* logits =
        Change(node, Sampler(), b.logits + Row(node) * b.stride, b.cols, scratch.target, scratch.counts);
    return {logits, b.allowed == nullptr ? nullptr : b.allowed + Row(node) * b.allowed_stride, b.cols};
  }
};

__device__ inline const float* SpecSequence::Change(int32_t node, const SpecSampler& sampler, const float* logits,
                                                    int64_t cols, float* changed, int32_t* counts) const {
  const syl_spec_batch& b = job.batch;
  const int thread = SpecBlock::Thread(), threads = SpecBlock::Threads();
  const int64_t bias_begin = b.bias_begin == nullptr ? 0 : b.bias_begin[number];
  const int64_t bias_end = b.bias_begin == nullptr ? 0 : b.bias_begin[number + 1];
  const int64_t begin = b.history_begin == nullptr ? 0 : b.history_begin[number];
  const int64_t before = b.history_begin == nullptr ? 0 : b.history_begin[number + 1] - begin;
  const int64_t history = before + Depth(node);
  const bool penalises = history > 0 && sampler.penalises;
  if (bias_begin == bias_end && !penalises) return logits;
  __syncthreads();  // earlier readers
  for (int64_t i = thread; i < cols; i += threads) changed[i] = logits[i];
  __syncthreads();
  // A token's biases are added in their order, by one thread.
  for (int64_t i = bias_begin; i < bias_end; ++i) {
    if (b.bias_ids[i] % threads == thread) changed[b.bias_ids[i]] += b.bias_values[i];
  }
  if (penalises) {
    const auto token = [&](int64_t i) {
      if (i < before) return b.history[begin + i];
      int32_t at = node;
      for (; i > before; --i) at = Parent(at);
      return Token(at);
    };
    for (int64_t i = thread; i < history; i += threads) counts[token(i)] = 0;
    __syncthreads();
    for (int64_t i = thread; i < history; i += threads) atomicAdd(counts + token(i), 1);
    __syncthreads();
    for (int64_t i = thread; i < history; i += threads) {
      const int32_t id = token(i), count = atomicExch(counts + id, 0);
      if (count == 0) continue;  // done
      const syl_sampler& s = sampler.fields;
      float logit = changed[id];
      logit = logit > 0 ? logit / s.repetition_penalty : logit * s.repetition_penalty;
      changed[id] = logit - (s.presence_penalty + static_cast<float>(count) * s.frequency_penalty);
    }
  }
  __syncthreads();
  return changed;
}

// q of one node: what its children were drawn from.
class SpecDraftRow {
 public:
  __device__ SpecDraftRow(const SpecSequence& of, int32_t node)
      : sequence_(of), draft_(of.job.draft), row_(of.Row(node)), node_(node), ids_(nullptr), count_(draft_.cols) {
    if (draft_.kind == SYL_DRAFT_SPARSE) {
      const int64_t begin = draft_.sparse_begin[row_];
      ids_ = draft_.sparse_ids + begin;
      values_ = draft_.sparse_q + begin;
      count_ = draft_.sparse_begin[row_ + 1] - begin;
    } else {
      ids_ = draft_.target_ids;
      values_ = draft_.rows + row_ * draft_.stride;
    }
  }

  // Before anything else, by the whole block. Logits of a reduced vocabulary have neither bias nor penalties.
  __device__ void Change(const SpecScratch& scratch) {
    if (draft_.kind != SYL_DRAFT_LOGITS || ids_ != nullptr) return;
    values_ = sequence_.Change(node_, sequence_.job.draft_samplers[sequence_.number], values_, count_, scratch.draft,
                               scratch.counts);
  }

  // What is known of the row from now on, by the whole block; then in Node().draft.
  __device__ SpecRow Read(const SpecBlock& block, const SpecScratch& scratch) const {
    if (draft_.kind == SYL_DRAFT_LOGITS) {
      return SpecLoadRow(block, Logits(), sequence_.job.draft_samplers[sequence_.number], true, Failure::kDraftMax,
                         scratch);
    }
    SpecRow row = {};
    uint32_t most = 0;  // of -q
    for (int64_t i = SpecBlock::Thread(); i < count_; i += SpecBlock::Threads()) {
      const float negative = -values_[i];
      if (!(negative == negative)) continue;
      most = OrderedBits(negative) > most ? OrderedBits(negative) : most;
    }
    const uint64_t largest = block.Max(static_cast<uint64_t>(most) << 32);
    const float least = largest == 0 ? 0 : -SpecValueOfKey(largest);
    __syncthreads();  // earlier readers of the sums
    SpecChunkSums(count_, kSpecMassChunk, scratch.sums, SpecNoBegin(), [&](int64_t i) { return values_[i]; });
    __syncthreads();
    row.mass = SpecTotal(scratch.sums, (count_ + kSpecMassChunk - 1) / kSpecMassChunk);
    if (least >= 0 && fabs(row.mass - 1) <= 1e-3) return row;
    row.failure = draft_.kind == SYL_DRAFT_SPARSE ? Failure::kSparseSum : Failure::kProbabilitySum;
    row.failure_value = least >= 0 ? row.mass : least;
    return row;
  }

  // Of a token, in the row's mass; 0 where the draft does not know it.
  __device__ double Part(int32_t token, const SpecRow& row) const {
    const int64_t index = IndexOf(token);
    if (index < 0) return 0;
    return draft_.kind == SYL_DRAFT_LOGITS ? SpecExp(View(row)(index)) : values_[index];
  }

  // The probability, as residuals have it.
  __device__ float Probability(int64_t token, const SpecRow& row, float factor) const {
    const int64_t index = IndexOf(static_cast<int32_t>(token));
    if (index < 0) return 0;
    return draft_.kind == SYL_DRAFT_LOGITS ? factor * SpecExpF32(View(row)(index)) : values_[index] * factor;
  }

 private:
  __device__ SpecLogits Logits() const { return {values_, nullptr, count_}; }
  __device__ SpecView View(const SpecRow& row) const {
    return SpecView(Logits(), sequence_.job.draft_samplers[sequence_.number], row);
  }

  __device__ int64_t IndexOf(int32_t token) const {
    if (ids_ == nullptr) return token;
    int64_t low = 0, high = count_;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (ids_[middle] < token) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low < count_ && ids_[low] == token ? low : -1;
  }

  const SpecSequence& sequence_;
  const syl_spec_draft& draft_;
  int64_t row_;
  int32_t node_;
  const int32_t* ids_;  // ascending; nullptr: all
  const float* values_;
  int64_t count_;
};

}  // namespace sylvester::cuda

#endif
