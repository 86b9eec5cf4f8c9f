// What a kernel is told, and where the elements of a transform lie.
#ifndef SYLVESTER_NATIVE_CUDA_HADAMARD_JOB_H_
#define SYLVESTER_NATIVE_CUDA_HADAMARD_JOB_H_

#include <sylvester/hadamard.h>

#include "native/cuda/device.h"

namespace sylvester::cuda {

// A run, in the direction of the data: a transposed run reads the plan's y and writes its x. Pointers are to device
// memory. A transform of n elements consists of n / network networks of butterflies.
struct HadamardJob {
  const void* from;
  void* to;
  int64_t from_stride[4], to_stride[4];  // outer, middle, inner, element
  syl_dtype from_type, to_type;
  bool from_aligned, to_aligned;  // every 16 bytes of consecutive elements (4 bytes of codes) start at a multiple
  bool transposed;
  int64_t first, count;   // transforms
  int64_t middle, inner;  // the counts behind the strides; 1, 1 where transforms follow each other evenly
  int64_t n, network;
  const int32_t* load_gather;   // element e comes from from[load_gather[e]]; -1: zero
  const int32_t* store_gather;  // element e goes to to[store_gather[e]]; -1: nowhere
  const int32_t* unnamed;       // elements of `to` that store_gather does not name
  int64_t unnamed_count;
  const uint32_t* signs;  // [rounds + 1][sign_rows][sign_words]
  int64_t sign_period, sign_rows, sign_words;
  int32_t rounds;
  float scale;

  // Families without a kernel of their own (transform.cu).
  int32_t family, base, log2_butterflies;
  const uint32_t* base_signs;  // [base][(base + 31) / 32]: bit j of row i set: -1; of the transpose when transposed

  int32_t quantizer;
  int64_t group, groups;
  const int32_t* group_map;  // NULL: e / group
  const int32_t* members;    // [groups][group] elements; NULL: g * group + i
  float* scales;             // [transforms][groups]
  float* zeros;
};

// Where a transform lies.
struct HadamardPlace {
  int64_t transform;
  int64_t from, to;  // elements, or bytes of codes
  int64_t sign_row;
};

__device__ inline HadamardPlace Locate(const HadamardJob& job, int64_t transform) {
  int64_t outer = transform, middle = 0, inner = 0;
  if (job.inner > 1) {
    inner = outer % job.inner;
    outer /= job.inner;
  }
  if (job.middle > 1) {
    middle = outer % job.middle;
    outer /= job.middle;
  }
  HadamardPlace place;
  place.transform = transform;
  place.from = outer * job.from_stride[0] + middle * job.from_stride[1] + inner * job.from_stride[2];
  place.to = outer * job.to_stride[0] + middle * job.to_stride[1] + inner * job.to_stride[2];
  place.sign_row = job.sign_rows > 1 ? transform % job.sign_period % job.sign_rows : 0;
  return place;
}

// Words of the signs after `done` rounds; NULL without signs.
__device__ inline const uint32_t* SignsAfter(const HadamardJob& job, const HadamardPlace& place, int done) {
  if (job.signs == nullptr) return nullptr;
  const int64_t diagonal = job.transposed ? job.rounds - done : done;
  return job.signs + (diagonal * job.sign_rows + place.sign_row) * job.sign_words;
}

}  // namespace sylvester::cuda

#endif
