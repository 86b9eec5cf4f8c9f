// What a kernel is told, and where the elements of a transform lie.
#ifndef SYLVESTER_NATIVE_CUDA_HADAMARD_JOB_H_
#define SYLVESTER_NATIVE_CUDA_HADAMARD_JOB_H_

#include <sylvester/hadamard.h>

#include "native/cuda/device.h"

namespace sylvester::cuda {

// Division of numbers below 2^63 by a number that the host knows: a product, where a division would be a call that
// costs registers. With 2^(l - 1) < d <= 2^l and m = floor(2^(63 + l) / d) + 1, d m exceeds 2^(63 + l) by 2^l at most,
// so that floor(i m / 2^(63 + l)) is the quotient.
struct Divisor {
  int64_t value;
  uint64_t factor;  // m
  int32_t shift;    // l - 1

  static Divisor Of(int64_t value) {
    int32_t log2 = 0;
    while (int64_t{1} << log2 < value) ++log2;
    const auto factor = (static_cast<unsigned __int128>(1) << (63 + log2)) / static_cast<uint64_t>(value) + 1;
    return {value, static_cast<uint64_t>(factor), log2 - 1};
  }

  __device__ int64_t Divide(int64_t i) const {
    return value == 1 ? i : static_cast<int64_t>(__umul64hi(static_cast<uint64_t>(i), factor) >> shift);
  }
  // The rest goes to *rest.
  __device__ int64_t Divide(int64_t i, int64_t* rest) const {
    const int64_t quotient = Divide(i);
    *rest = i - quotient * value;
    return quotient;
  }
};

// A run, in the direction of the data: a transposed run reads the plan's y and writes its x. Pointers are to device
// memory. A transform of n elements consists of n / network networks of butterflies.
struct HadamardJob {
  const void* from;
  void* to;
  int64_t from_stride[4], to_stride[4];  // outer, middle, inner, element
  syl_dtype from_type, to_type;
  bool from_aligned, to_aligned;  // whole vectors can be loaded and stored
  bool transposed;
  int64_t first, count;   // transforms
  Divisor middle, inner;  // the counts behind the strides; 1, 1 where transforms follow each other evenly
  int32_t n, network;
  Divisor pieces;               // n / network, for the kernels of networks
  const int32_t* load_gather;   // element e comes from from[load_gather[e]]; -1: zero
  const int32_t* store_gather;  // element e goes to to[store_gather[e]]; -1: nowhere
  const int32_t* unnamed;       // elements of `to` that store_gather does not name
  int32_t unnamed_count;
  const uint32_t* signs;  // [rounds + 1][sign_rows][sign_words]
  Divisor sign_period, sign_rows;
  int64_t sign_words;
  int32_t rounds;
  float scale;

  // Families without a kernel of their own (transform.cu).
  int32_t family, base, log2_butterflies;
  const uint32_t* base_signs;  // [base][(base + 31) / 32]: bit j of row i set: -1; of the transpose when transposed

  int32_t quantizer;
  int32_t group, groups;
  const int32_t* group_map;  // NULL: e / group
  const int32_t* members;    // [groups][group] elements; NULL: g * group + i
  float* scales;             // [transforms][groups]
  float* zeros;
};

// Where a transform lies, or a network of one.
struct HadamardPlace {
  int64_t transform;
  int64_t from, to;  // elements, or bytes of codes
  int64_t sign_row;
  int32_t start;  // the network's first element
};

__device__ inline HadamardPlace Locate(const HadamardJob& job, int64_t transform, int32_t start = 0) {
  int64_t middle, inner;
  const int64_t outer = job.middle.Divide(job.inner.Divide(transform, &inner), &middle);
  HadamardPlace place;
  place.transform = transform;
  place.start = start;
  place.from = outer * job.from_stride[0] + middle * job.from_stride[1] + inner * job.from_stride[2];
  place.to = outer * job.to_stride[0] + middle * job.to_stride[1] + inner * job.to_stride[2];
  job.sign_period.Divide(transform, &place.sign_row);
  job.sign_rows.Divide(place.sign_row, &place.sign_row);
  return place;
}

// The network of this number among those of the run.
__device__ inline HadamardPlace LocateNetwork(const HadamardJob& job, int64_t number) {
  int64_t piece;
  const int64_t transform = job.pieces.Divide(number, &piece);
  return Locate(job, job.first + transform, static_cast<int32_t>(piece) * job.network);
}

// Words of the signs after `done` rounds; NULL without signs.
__device__ inline const uint32_t* SignsAfter(const HadamardJob& job, const HadamardPlace& place, int done) {
  if (job.signs == nullptr) return nullptr;
  const int64_t diagonal = job.transposed ? job.rounds - done : done;
  return job.signs + (diagonal * job.sign_rows.value + place.sign_row) * job.sign_words;
}

}  // namespace sylvester::cuda

#endif
