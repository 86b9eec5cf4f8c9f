#include "native/cpu/spec/sequence.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "native/cpu/spec/remainder.h"

namespace sylvester {

SequenceVerifier::SequenceVerifier(const syl_spec_batch& batch, int64_t sequence, const VerifyMemory& memory,
                                   const SequenceResult& result)
    : batch_(batch),
      sampler_(batch.samplers[sequence]),
      sequence_(sequence),
      first_row_(batch.row_begin[sequence]),
      nodes_(static_cast<int32_t>(batch.row_begin[sequence + 1] - first_row_)),
      greedy_(batch.mode == SYL_SPEC_GREEDY || IsGreedy(sampler_)),
      memory_(memory),
      result_(result),
      history_count_(0),
      draft_(batch, sequence, memory.draft) {
  if (batch.history_begin != nullptr) {
    const int64_t begin = batch.history_begin[sequence];
    history_count_ = batch.history_begin[sequence + 1] - begin;
    std::copy_n(batch.history + begin, history_count_, memory_.history);
  }
  *result_.accepted = 0;
  std::fill_n(result_.path, nodes_, kNoNode);
  std::fill_n(result_.flags, nodes_, 0);
  if (result_.acceptance != nullptr) {
    std::fill_n(result_.acceptance, nodes_, std::numeric_limits<float>::quiet_NaN());
  }
}

Failure SequenceVerifier::Run() {
  if (greedy_ || batch_.mode == SYL_SPEC_EXACT) return Match();
  return batch_.mode == SYL_SPEC_BLOCK ? Block() : Tokens();
}

// ---- The tree ----

// The first child of `parent` behind `node`.
int32_t SequenceVerifier::ChildAfter(int32_t parent, int32_t node) const {
  if (batch_.parents == nullptr) return node <= parent && parent + 1 < nodes_ ? parent + 1 : kNoNode;
  for (++node; node < nodes_; ++node) {
    if (batch_.parents[Row(node)] == parent) return node;
  }
  return kNoNode;
}

bool SequenceVerifier::Ends(int32_t token) const {
  return std::find(batch_.end_ids, batch_.end_ids + batch_.end_count, token) != batch_.end_ids + batch_.end_count;
}

void SequenceVerifier::Descend(int32_t child) {
  result_.path[depth_++] = child;
  *result_.accepted = depth_;
  memory_.history[history_count_++] = TokenOf(child);
  node_ = child;
}

// ---- Random numbers ----

double SequenceVerifier::AcceptUniform(int32_t node, int32_t sibling) const {
  if (batch_.uniforms != nullptr) return batch_.uniforms[2 * Row(node)];
  const auto position = static_cast<uint64_t>(batch_.positions[sequence_] + depth_);
  return SpecUniforms{sampler_.seed, position}.Accept(depth_ + 1, sibling);
}

double SequenceVerifier::ResidualUniform() const {
  if (batch_.uniforms != nullptr) return batch_.uniforms[2 * Row(node_) + 1];
  return SpecUniforms{sampler_.seed, static_cast<uint64_t>(batch_.positions[sequence_] + depth_)}.Residual();
}

// ---- Rows ----

RowInputs SequenceVerifier::Inputs() const {
  RowInputs inputs{memory_.history, history_count_, nullptr, nullptr, 0, nullptr};
  if (batch_.bias_begin != nullptr) {
    const int64_t begin = batch_.bias_begin[sequence_];
    inputs.bias_ids = batch_.bias_ids + begin;
    inputs.bias_values = batch_.bias_values + begin;
    inputs.bias_count = batch_.bias_begin[sequence_ + 1] - begin;
  }
  if (batch_.allowed != nullptr) inputs.allowed = batch_.allowed + Row(node_) * batch_.allowed_stride;
  return inputs;
}

Failure SequenceVerifier::LoadTarget(Need need, const RowTotals* known) {
  const bool finite = LoadRow(sampler_, Inputs(), batch_.logits + Row(node_) * batch_.stride, batch_.cols, need, known,
                              &memory_.target, &target_);
  return finite ? Failure{} : Failure{Failure::kTargetMax, Row(node_), target_.prepared.scale.max};
}

int32_t SequenceVerifier::DrawFromTarget() const {
  const auto position = static_cast<uint64_t>(batch_.positions[sequence_] + depth_);
  return DrawToken(target_.prepared, {sampler_.seed, position, sampler_.purpose}).token;
}

// p and q of a child of node_, whose rows are loaded and selected.
Failure SequenceVerifier::Candidate(int32_t child, SpecProbability* p, SpecProbability* q) {
  *p = target_.Of(TokenOf(child));
  const Failure failure = draft_.Of(Row(child), q);
  if (result_.acceptance != nullptr) result_.acceptance[child] = static_cast<float>(SpecRatio(*p, *q));
  if (!(q->part > 0)) result_.flags[child] |= SYL_SPEC_Q_IS_ZERO;
  return failure;
}

Failure SequenceVerifier::FinishFromTarget() {
  if (const Failure failure = LoadTarget(Need::kDraw)) return failure;
  Finish(DrawFromTarget());
  return {};
}

// sum: of what is left, whose chunks are in memory_.chunk_sums.
Failure SequenceVerifier::FinishFromRemainder(double sum) {
  if (sum > kSpecEmpty) {
    Finish(Remainder{target_, draft_, rejections_}.Choose(memory_.chunk_sums, sum, ResidualUniform()));
  } else {
    result_.flags[node_] |= SYL_SPEC_RESIDUAL_IS_EMPTY;
    Finish(DrawFromTarget());
  }
  return {};
}

// ---- GREEDY and EXACT ----

Failure SequenceVerifier::Match() {
  const bool labels = result_.acceptance != nullptr && !greedy_;
  for (;;) {
    if (const Failure failure = LoadTarget(greedy_ ? Need::kArgmax : labels ? Need::kProbabilities : Need::kDraw)) {
      return failure;
    }
    const auto token = greedy_ ? static_cast<int32_t>(target_.argmax) : DrawFromTarget();
    if (labels) draft_.Select(Row(node_), Inputs(), nullptr);
    int32_t child = ChildAfter(node_, node_);
    for (; child != kNoNode; child = ChildAfter(node_, child)) {
      const bool matches = TokenOf(child) == token;
      if (labels) {
        SpecProbability p, q;
        if (const Failure failure = Candidate(child, &p, &q)) return failure;
      } else if (result_.acceptance != nullptr) {
        result_.acceptance[child] = matches ? 1 : 0;
      }
      if (matches) break;
    }
    if (child != kNoNode) Descend(child);
    if (child == kNoNode || Ends(token)) {
      Finish(child == kNoNode ? token : -1);
      return {};
    }
  }
}

// ---- TOKEN ----

Failure SequenceVerifier::Tokens() {
  for (bool descended = true; descended;) {
    if (ChildAfter(node_, node_) == kNoNode) return FinishFromTarget();
    if (const Failure failure = JudgeChildren(&descended)) return failure;
    if (descended && Ends(TokenOf(node_))) {
      Finish(-1);
      return {};
    }
  }
  return {};
}

// Goes down to the child that is accepted; else finishes.
Failure SequenceVerifier::JudgeChildren(bool* descended) {
  *descended = false;
  if (const Failure failure = LoadTarget(Need::kProbabilities)) return failure;
  draft_.Select(Row(node_), Inputs(), nullptr);
  rejections_.Start(draft_.siblings());
  const bool one_hot = draft_.siblings() == SpecSiblings::kOneHot;
  const Remainder remainder{target_, draft_, rejections_};
  int32_t sibling = 0;
  for (int32_t child = ChildAfter(node_, node_); child != kNoNode; child = ChildAfter(node_, child), ++sibling) {
    const int32_t token = TokenOf(child);
    SpecProbability p, q;
    if (const Failure failure = Candidate(child, &p, &q)) return failure;
    if (SpecAccepts(AcceptUniform(child, sibling), rejections_.Target(p, q, token), rejections_.Draft(q, token))) {
      Descend(child);
      *descended = true;
      return {};
    }
    rejections_.Add(p, q, token);
    if (one_hot) continue;
    if (const Failure failure = draft_.Load()) return failure;
    rejections_.left = remainder.Sum(memory_.chunk_sums);
    if (!(rejections_.left > kSpecEmpty)) break;
  }
  return FinishFromRemainder(one_hot ? remainder.Sum(memory_.chunk_sums) : rejections_.left);
}

// ---- BLOCK ----

// In a chain, whose candidates are all in the history: the first `depth` are accepted.
void SequenceVerifier::Cut(int32_t depth) {
  history_count_ += depth - depth_;
  node_ = depth_ = depth;
}

Failure SequenceVerifier::Block() {
  int32_t block = 0;  // candidates; none counts after an end
  while (block + 1 < nodes_ && (block == 0 || !Ends(TokenOf(block)))) {
    memory_.history[history_count_ + block] = TokenOf(block + 1);
    ++block;
  }
  std::array<Prefix, kSpecMostNodes> prefixes;
  prefixes[0].weight = 1;
  int32_t likely = 0;  // longest prefix that can be accepted
  for (; likely < block; ++likely) {
    Prefix& before = prefixes[likely];
    Prefix& prefix = prefixes[likely + 1];
    Cut(likely);
    if (const Failure failure = LoadTarget(Need::kProbabilities)) return failure;
    draft_.Select(Row(node_), Inputs(), nullptr);
    SpecProbability p, q;
    if (const Failure failure = Candidate(likely + 1, &p, &q)) return failure;
    prefix.weight = SpecPrefixWeight(before.weight, p, q);
    prefix.uniform = AcceptUniform(likely + 1, 0);
    before.target = target_.totals();
    before.draft_is_known = draft_.HasTotals();
    if (before.draft_is_known) before.draft = draft_.totals();
    if (!(prefix.weight > 0)) break;
  }
  // From the longest on, since the longest that is accepted counts.
  int32_t accepted = likely;
  double left = 0;
  for (; accepted > 0 || accepted < block; --accepted) {
    const Prefix& prefix = prefixes[accepted];
    if (accepted > 0 && !SpecMayAcceptPrefix(prefix.uniform, prefix.weight)) continue;
    if (accepted == block) break;
    Cut(accepted);
    if (const Failure failure = LoadTarget(Need::kProbabilities, &prefix.target)) return failure;
    draft_.Select(Row(node_), Inputs(), prefix.draft_is_known ? &prefix.draft : nullptr);
    if (const Failure failure = draft_.Load()) return failure;
    rejections_.StartBlock(draft_.siblings(), prefix.weight, TokenOf(accepted + 1));
    left = Remainder{target_, draft_, rejections_}.Sum(memory_.chunk_sums);
    if (accepted == 0 || SpecAcceptsPrefix(prefix.uniform, prefix.weight, left)) break;
  }
  Cut(accepted);
  *result_.accepted = accepted;
  std::iota(result_.path, result_.path + accepted, 1);
  if (accepted < block) return FinishFromRemainder(left);
  if (accepted == 0 || !Ends(TokenOf(accepted))) return FinishFromTarget();
  Finish(-1);
  return {};
}

}  // namespace sylvester
