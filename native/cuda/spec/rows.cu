#include "native/cuda/spec/kernels.h"
#include "native/cuda/spec/sequence.h"

namespace sylvester::cuda {
namespace {

// p or q of the tokens that come next.
template <typename Part>
__device__ void StoreChildren(const SpecSequence& sequence, int32_t node, double SpecNode::*field, const Part& part) {
  for (int32_t child = node + 1 + SpecBlock::Thread(); child < sequence.nodes; child += SpecBlock::Threads()) {
    if (sequence.Parent(child) == node) sequence.Node(child).*field = part(sequence.Token(child));
  }
}

__device__ void ReadTarget(const SpecBlock& block, const SpecSequence& sequence, const SpecTask& task,
                           const SpecScratch& scratch) {
  const SpecSampler& sampler = sequence.Sampler();
  const SpecLogits logits = sequence.Target(task.node, scratch);
  SpecNode& node = sequence.Node(task.node);
  SpecRow row = {};
  int32_t token = 0;
  if ((task.needs & SpecTask::kArgmax) != 0) {
    const uint64_t largest = SpecLargest(block, logits.cols, logits);
    token = SpecIdOfKey(largest);
    row.max = SpecValueOfKey(largest);
    row.failure = isfinite(row.max) ? Failure::kNone : Failure::kTargetMax;
    row.failure_value = row.max;
  } else {
    row = SpecLoadRow(block, logits, sampler, (task.needs & SpecTask::kMass) != 0, Failure::kTargetMax, scratch);
  }
  const SpecView z(logits, sampler, row);
  if (row.failure == Failure::kNone) {
    if ((task.needs & SpecTask::kDraw) != 0) {
      const int64_t position = sequence.job.batch.positions[sequence.number] + sequence.Depth(task.node);
      token = SpecDraw(block, z, sampler.fields, static_cast<uint64_t>(position));
    }
    if ((task.needs & SpecTask::kMass) != 0) {
      StoreChildren(sequence, task.node, &SpecNode::p, [&](int32_t id) { return SpecExp(z(id)); });
    }
  }
  if (SpecBlock::Thread() == 0) {
    node.target = row;
    node.token = token;
  }
}

__device__ void ReadDraft(const SpecBlock& block, const SpecSequence& sequence, const SpecTask& task,
                          const SpecScratch& scratch) {
  SpecDraftRow draft(sequence, task.node);
  draft.Change(scratch);
  const SpecRow row = draft.Read(block, scratch);
  if (row.failure == Failure::kNone) {
    StoreChildren(sequence, task.node, &SpecNode::q, [&](int32_t id) { return draft.Part(id, row); });
  }
  if (SpecBlock::Thread() == 0) sequence.Node(task.node).draft = row;
}

__global__ void __launch_bounds__(kSpecMostThreads, 1) SpecRowsKernel(SpecJob job) {
  const SpecBlock block = SpecBlock::Make();
  const SpecScratch scratch = job.Scratch(blockIdx.x);
  for (int64_t i = blockIdx.x; i < job.task_count; i += gridDim.x) {
    const SpecTask& task = job.tasks[i];
    const SpecSequence sequence(job, task.sequence);
    if ((task.needs & SpecTask::kDraft) != 0) {
      ReadDraft(block, sequence, task, scratch);
    } else {
      ReadTarget(block, sequence, task, scratch);
    }
  }
}

}  // namespace

cudaError_t LaunchSpecRows(const SpecJob& job, unsigned blocks, unsigned threads, cudaStream_t stream) {
  return Launch(SpecRowsKernel, dim3(blocks), dim3(threads), SpecBlock::kSharedBytes, stream, job);
}

}  // namespace sylvester::cuda
