// What the kernels of verification are told.
#ifndef SYLVESTER_NATIVE_CUDA_SPEC_JOB_H_
#define SYLVESTER_NATIVE_CUDA_SPEC_JOB_H_

#include <sylvester/spec.h>

#include "native/common/spec_failure.h"
#include "native/common/spec_rules.h"
#include "native/cuda/device.h"

namespace sylvester::cuda {

constexpr unsigned kAllLanes = 0xffffffffu;

// A sampler and what only the host computes with the CPU's bits.
struct SpecSampler {
  syl_sampler fields;
  float inv_temperature;
  float least_z;  // of min-p; -inf: off
  bool greedy, penalises, filters;
};

// A row that is read before the sequences are walked through.
struct SpecTask {
  enum Needs : uint32_t { kArgmax = 1, kDraw = 2, kMass = 4, kDraft = 8 };

  int32_t sequence;
  int32_t node;
  uint32_t needs;  // kDraft: the draft's row, else the target's
};

// How a row's logits become z, and which tokens are left (native/common/sampler.h).
struct SpecRow {
  float max;                // of the logits
  uint64_t top_k, top_p;    // least keys of logits and of z that are kept; 0: all
  double mass;              // of exp(z) over the tokens that are kept; PROBABILITIES, SPARSE: the sum
  Failure::Reason failure;  // kNone: the row has been read and is right
  double failure_value;
};

struct SpecNode {
  SpecRow target, draft;
  int32_t token;  // argmax or draw
  double p, q;    // of the node's token after its parent, in the masses there
  double weight;  // BLOCK: of the prefix that ends here
};

struct SpecHeader {
  Failure failure;       // of the first sequence that has one
  unsigned blocks_done;  // that have walked through their sequences
};

// Where one block works.
struct SpecScratch {
  double* sums;           // of chunks of kSpecResidualChunk
  float* maxima;          // of chunks of kSpecMassChunk
  float* weights;         // of one chunk of kSpecResidualChunk
  int32_t* counts;        // of tokens in the history; nullptr without penalties
  float *target, *draft;  // changed rows; nullptr without changes
  SpecRejections* rejections;
};

struct SpecJob {
  syl_spec_batch batch;  // with device pointers
  syl_spec_draft draft;
  const SpecSampler *samplers, *draft_samplers;
  const SpecTask* tasks;
  int64_t task_count;
  SpecNode* nodes;  // one a row
  Failure* failures;
  syl_spec_result held, result;  // held until all sequences are done
  SpecHeader* header;

  // Of the block's slot: `scratch` holds offsets from here.
  uint8_t* slots;
  int64_t slot_bytes, maxima_at, weights_at, counts_at, target_at, draft_at, rejections_at;  // -1: none

  __device__ SpecScratch Scratch(int64_t slot) const {
    uint8_t* const base = slots + slot * slot_bytes;
    const auto at = [base](int64_t offset) { return offset < 0 ? nullptr : base + offset; };
    SpecScratch scratch;
    scratch.sums = reinterpret_cast<double*>(base);
    scratch.maxima = reinterpret_cast<float*>(at(maxima_at));
    scratch.weights = reinterpret_cast<float*>(at(weights_at));
    scratch.counts = reinterpret_cast<int32_t*>(at(counts_at));
    scratch.target = reinterpret_cast<float*>(at(target_at));
    scratch.draft = reinterpret_cast<float*>(at(draft_at));
    scratch.rejections = reinterpret_cast<SpecRejections*>(at(rejections_at));
    return scratch;
  }
};

}  // namespace sylvester::cuda

#endif
