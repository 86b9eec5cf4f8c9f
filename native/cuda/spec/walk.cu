// Goes through a sequence's tree as native/cpu/spec/sequence.cc does. All threads of a block go the same way; what is
// kept is written by its first thread.
#include "native/cuda/spec/kernels.h"
#include "native/cuda/spec/sequence.h"

namespace sylvester::cuda {
namespace {

class SpecWalk {
 public:
  __device__ SpecWalk(const SpecBlock& block, const SpecScratch& scratch, const SpecSequence& sequence)
      : block_(block),
        scratch_(scratch),
        tree_(sequence),
        job_(sequence.job),
        greedy_(job_.batch.mode == SYL_SPEC_GREEDY || sequence.Sampler().greedy),
        siblings_(sequence.Siblings()),
        rejections_(*scratch.rejections) {}

  __device__ Failure Run() {
    const int64_t first = tree_.first_row;
    for (int32_t i = SpecBlock::Thread(); i < tree_.nodes; i += SpecBlock::Threads()) {
      job_.held.path[first + i] = kSpecNoNode;
      job_.held.flags[first + i] = 0;
      job_.held.acceptance[first + i] = nanf("");
    }
    __syncthreads();
    Failure failure;
    if (greedy_ || job_.batch.mode == SYL_SPEC_EXACT) {
      failure = Match();
    } else {
      failure = job_.batch.mode == SYL_SPEC_BLOCK ? Block() : Tokens();
    }
    if (First()) {
      job_.held.accepted[tree_.number] = depth_;
      job_.held.next_token[tree_.number] = next_;
    }
    return failure;
  }

 private:
  __device__ static bool First() { return SpecBlock::Thread() == 0; }
  __device__ bool Labels() const { return job_.result.acceptance != nullptr; }
  __device__ void Label(int32_t node, double value) const {
    if (First()) job_.held.acceptance[tree_.Row(node)] = static_cast<float>(value);
  }
  __device__ void Flag(int32_t node, int32_t flag) const {
    if (First()) job_.held.flags[tree_.Row(node)] |= flag;
  }

  __device__ void Descend(int32_t child) {
    if (First()) job_.held.path[tree_.first_row + depth_] = child;
    ++depth_;
    node_ = child;
  }

  // ---- Random numbers ----

  __device__ SpecUniforms Uniforms() const {
    return {tree_.Sampler().fields.seed, static_cast<uint64_t>(job_.batch.positions[tree_.number] + depth_)};
  }
  // Of a child of node_.
  __device__ double AcceptUniform(int32_t child, int32_t sibling) const {
    if (job_.batch.uniforms != nullptr) return job_.batch.uniforms[2 * tree_.Row(child)];
    return Uniforms().Accept(depth_ + 1, sibling);
  }
  __device__ double ResidualUniform() const {
    if (job_.batch.uniforms != nullptr) return job_.batch.uniforms[2 * tree_.Row(node_) + 1];
    return Uniforms().Residual();
  }

  // ---- Rows ----

  __device__ Failure Check(const SpecRow& row) const {
    Failure failure;
    failure.reason = row.failure;
    failure.row = tree_.Row(node_);
    failure.value = row.failure_value;
    return failure;
  }
  __device__ Failure CheckTarget() const { return Check(tree_.Node(node_).target); }

  __device__ bool DraftIsRead() const { return job_.draft.kind != SYL_DRAFT_LOGITS || job_.draft.log_q == nullptr; }

  // The draft's row of node_, which may not have been read yet.
  __device__ Failure LoadDraft() {
    if (siblings_ == SpecSiblings::kOneHot) return {};
    if (!DraftIsRead() && late_draft_ != node_) {
      late_draft_ = node_;
      SpecDraftRow draft(tree_, node_);
      draft.Change(scratch_);
      const SpecRow row = draft.Read(block_, scratch_);
      if (First()) tree_.Node(node_).draft = row;
      __syncthreads();
    }
    return Check(tree_.Node(node_).draft);
  }

  // p and q of a child of node_.
  __device__ Failure Candidate(int32_t child, SpecProbability* p, SpecProbability* q) const {
    const SpecNode &own = tree_.Node(child), &parent = tree_.Node(node_);
    Failure failure;
    *p = {own.p, parent.target.mass};
    *q = {1, 1};
    if (siblings_ != SpecSiblings::kOneHot && !DraftIsRead()) {
      *q = SpecFromLog(job_.draft.log_q[tree_.Row(child)]);
    } else if (siblings_ != SpecSiblings::kOneHot) {
      failure = Check(parent.draft);
      if (failure) return failure;
      *q = {own.q, own.q > 0 ? parent.draft.mass : 1};
    }
    if (Labels()) Label(child, SpecRatio(*p, *q));
    if (!(q->part > 0)) Flag(child, SYL_SPEC_Q_IS_ZERO);
    return failure;
  }

  // ---- What rejections leave ----

  // Calls use(weight), the function that gives what is left of a token.
  template <typename Use>
  __device__ void WithWeights(const Use& use) {
    const SpecRow& target_row = tree_.Node(node_).target;
    const SpecView z(tree_.Target(node_, scratch_), tree_.Sampler(), target_row);
    const auto p_factor = static_cast<float>(1 / target_row.mass);
    const SpecStep* const steps = rejections_.steps;
    const int32_t count = rejections_.count;
    if (siblings_ == SpecSiblings::kOneHot) {
      const auto factor = static_cast<float>(steps[0].p_factor);
      use([&](int64_t i) {
        for (int32_t s = 0; s < count; ++s) {
          if (steps[s].token == i) return 0.0f;
        }
        return p_factor * SpecExpF32(z(i)) * factor;
      });
      return;
    }
    SpecDraftRow draft(tree_, node_);
    draft.Change(scratch_);
    const SpecRow& draft_row = tree_.Node(node_).draft;
    const auto q_factor = static_cast<float>(1 / draft_row.mass);
    use([&](int64_t i) {
      float p = p_factor * SpecExpF32(z(i)), q = draft.Probability(i, draft_row, q_factor);
      for (int32_t s = 0; s < count; ++s) {
        p = p * static_cast<float>(steps[s].p_factor) - q * static_cast<float>(steps[s].q_factor);
        p = p > 0 ? p : 0;
        if (siblings_ == SpecSiblings::kWithoutReplacement && steps[s].token == i) q = 0;
      }
      return p;
    });
  }

  __device__ int64_t Chunks() const { return (job_.batch.cols + kSpecResidualChunk - 1) / kSpecResidualChunk; }

  // With p's own sum 1.
  __device__ double SumOfRemainder() {
    __syncthreads();  // the rejections, and earlier readers of the sums
    WithWeights([&](const auto& weight) {
      SpecChunkSums(job_.batch.cols, kSpecResidualChunk, scratch_.sums, SpecNoBegin(), weight);
    });
    __syncthreads();
    return SpecTotal(scratch_.sums, Chunks());
  }

  __device__ int32_t ChooseFromRemainder(double sum) {
    const double target = ResidualUniform() * sum;
    const SpecChunkChoice choice = SpecChooseChunk(scratch_.sums, Chunks(), target);
    const int64_t first = choice.chunk * kSpecResidualChunk;
    const int64_t size =
        min(static_cast<long long>(kSpecResidualChunk), static_cast<long long>(job_.batch.cols - first));
    WithWeights([&](const auto& weight) {
      for (int64_t i = SpecBlock::Thread(); i < size; i += SpecBlock::Threads()) {
        scratch_.weights[i] = weight(first + i);
      }
    });
    __syncthreads();
    return static_cast<int32_t>(first + SpecChooseToken(scratch_.weights, size, choice.before, target));
  }

  __device__ void FinishFromRemainder(double sum) {
    if (sum > kSpecEmpty) {
      next_ = ChooseFromRemainder(sum);
      return;
    }
    Flag(node_, SYL_SPEC_RESIDUAL_IS_EMPTY);
    const SpecView z(tree_.Target(node_, scratch_), tree_.Sampler(), tree_.Node(node_).target);
    next_ =
        SpecDraw(block_, z, tree_.Sampler().fields, static_cast<uint64_t>(job_.batch.positions[tree_.number] + depth_));
  }

  // ---- GREEDY and EXACT ----

  __device__ Failure Match() {
    for (;;) {
      if (const Failure failure = CheckTarget()) return failure;
      const int32_t token = tree_.Node(node_).token;
      int32_t child = tree_.ChildAfter(node_, node_);
      for (; child != kSpecNoNode; child = tree_.ChildAfter(node_, child)) {
        const bool matches = tree_.Token(child) == token;
        if (Labels() && !greedy_) {
          SpecProbability p, q;
          if (const Failure failure = Candidate(child, &p, &q)) return failure;
        } else if (Labels()) {
          Label(child, matches ? 1 : 0);
        }
        if (matches) break;
      }
      if (child != kSpecNoNode) Descend(child);
      if (child == kSpecNoNode) next_ = token;
      if (child == kSpecNoNode || tree_.Ends(token)) return {};
    }
  }

  // ---- TOKEN ----

  __device__ Failure Tokens() {
    for (bool descended = true; descended;) {
      if (tree_.ChildAfter(node_, node_) == kSpecNoNode) {
        next_ = tree_.Node(node_).token;
        return CheckTarget();
      }
      if (const Failure failure = JudgeChildren(&descended)) return failure;
      if (descended && tree_.Ends(tree_.Token(node_))) return {};
    }
    return {};
  }

  // Goes down to the child that is accepted; else finishes.
  __device__ Failure JudgeChildren(bool* descended) {
    *descended = false;
    if (const Failure failure = CheckTarget()) return failure;
    const bool one_hot = siblings_ == SpecSiblings::kOneHot;
    __syncthreads();  // earlier readers of the rejections
    if (First()) rejections_.Start(siblings_);
    double left = 1;
    int32_t sibling = 0;
    for (int32_t child = tree_.ChildAfter(node_, node_); child != kSpecNoNode;
         child = tree_.ChildAfter(node_, child), ++sibling) {
      __syncthreads();  // the rejections
      const int32_t token = tree_.Token(child);
      SpecProbability p, q;
      if (const Failure failure = Candidate(child, &p, &q)) return failure;
      if (SpecAccepts(AcceptUniform(child, sibling), rejections_.Target(p, q, token), rejections_.Draft(q, token))) {
        Descend(child);
        *descended = true;
        return {};
      }
      __syncthreads();  // readers of the rejections
      if (First()) rejections_.Add(p, q, token);
      if (one_hot) continue;
      if (const Failure failure = LoadDraft()) return failure;
      left = SumOfRemainder();
      if (First()) rejections_.left = left;
      if (!(left > kSpecEmpty)) break;
    }
    FinishFromRemainder(one_hot ? SumOfRemainder() : left);
    return {};
  }

  // ---- BLOCK ----

  __device__ void Cut(int32_t depth) { node_ = depth_ = depth; }

  __device__ Failure Block() {
    int32_t block = 0;  // candidates; none counts after an end
    while (block + 1 < tree_.nodes && (block == 0 || !tree_.Ends(tree_.Token(block)))) ++block;
    int32_t likely = 0;  // longest prefix that can be accepted
    for (double weight = 1; likely < block; ++likely) {
      Cut(likely);
      if (First()) tree_.Node(likely).weight = weight;
      if (const Failure failure = CheckTarget()) return failure;
      SpecProbability p, q;
      if (const Failure failure = Candidate(likely + 1, &p, &q)) return failure;
      weight = SpecPrefixWeight(weight, p, q);
      if (First()) tree_.Node(likely + 1).weight = weight;
      if (!(weight > 0)) break;
    }
    __syncthreads();
    // From the longest on, since the longest that is accepted counts.
    int32_t accepted = likely;
    double left = 0;
    for (; accepted > 0 || accepted < block; --accepted) {
      const double weight = tree_.Node(accepted).weight;
      double uniform = 0;
      if (accepted > 0) {
        Cut(accepted - 1);
        uniform = AcceptUniform(accepted, 0);
        if (!SpecMayAcceptPrefix(uniform, weight)) continue;
      }
      if (accepted == block) break;
      Cut(accepted);
      if (const Failure failure = LoadDraft()) return failure;
      __syncthreads();  // earlier readers of the rejections
      if (First()) rejections_.StartBlock(siblings_, weight, tree_.Token(accepted + 1));
      left = SumOfRemainder();
      if (accepted == 0 || SpecAcceptsPrefix(uniform, weight, left)) break;
    }
    Cut(accepted);
    for (int32_t i = SpecBlock::Thread(); i < accepted; i += SpecBlock::Threads()) {
      job_.held.path[tree_.first_row + i] = i + 1;
    }
    if (accepted < block) {
      FinishFromRemainder(left);
      return {};
    }
    if (accepted > 0 && tree_.Ends(tree_.Token(accepted))) return {};
    next_ = tree_.Node(accepted).token;
    return CheckTarget();
  }

  const SpecBlock& block_;
  const SpecScratch& scratch_;
  const SpecSequence& tree_;
  const SpecJob& job_;
  const bool greedy_;
  const SpecSiblings siblings_;
  SpecRejections& rejections_;

  int32_t node_ = 0;   // the last accepted
  int32_t depth_ = 0;  // of it
  int32_t next_ = -1;
  int32_t late_draft_ = kSpecNoNode;  // whose draft has been read here
};

// Copies what has been held back, unless a sequence has failed.
__device__ void Publish(const SpecJob& job) {
  const int64_t sequences = job.batch.sequences, rows = job.batch.row_begin[sequences];
  const int64_t thread = SpecBlock::Thread(), threads = SpecBlock::Threads();
  bool failed = false;
  for (int64_t s = thread; s < sequences; s += threads) failed = failed || job.failures[s];
  if (__syncthreads_or(failed)) {
    if (thread > 0) return;
    int64_t s = 0;
    while (!job.failures[s]) ++s;
    job.header->failure = job.failures[s];
    return;
  }
  for (int64_t s = thread; s < sequences; s += threads) {
    job.result.accepted[s] = job.held.accepted[s];
    job.result.next_token[s] = job.held.next_token[s];
  }
  for (int64_t i = thread; i < rows; i += threads) {
    if (job.result.path != nullptr) job.result.path[i] = job.held.path[i];
    if (job.result.acceptance != nullptr) job.result.acceptance[i] = job.held.acceptance[i];
    if (job.result.flags != nullptr) job.result.flags[i] = job.held.flags[i];
  }
}

// Fewer threads, which need more registers.
constexpr unsigned kWalkThreads = 512;

__global__ void __launch_bounds__(kWalkThreads, 1) SpecWalkKernel(SpecJob job) {
  const SpecBlock block = SpecBlock::Make();
  const SpecScratch scratch = job.Scratch(blockIdx.x);
  for (int64_t s = blockIdx.x; s < job.batch.sequences; s += gridDim.x) {
    const SpecSequence sequence(job, s);
    const Failure failure = SpecWalk(block, scratch, sequence).Run();
    if (SpecBlock::Thread() == 0) job.failures[s] = failure;
  }
  __threadfence();
  __syncthreads();
  unsigned done = 0;
  if (SpecBlock::Thread() == 0) done = atomicAdd(&job.header->blocks_done, 1u);
  if (!__syncthreads_or(done == gridDim.x - 1 && SpecBlock::Thread() == 0)) return;
  __threadfence();
  Publish(job);
}

}  // namespace

cudaError_t LaunchSpecWalk(const SpecJob& job, unsigned blocks, unsigned threads, cudaStream_t stream) {
  return Launch(SpecWalkKernel, dim3(blocks), dim3(threads < kWalkThreads ? threads : kWalkThreads),
                SpecBlock::kSharedBytes, stream, job);
}

}  // namespace sylvester::cuda
