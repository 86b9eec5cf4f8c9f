// R of a row in shared memory, by one warp. The order of operations is that of sylvester/hadamard.h.
#ifndef SYLVESTER_NATIVE_CUDA_KV_ROTATE_H_
#define SYLVESTER_NATIVE_CUDA_KV_ROTATE_H_

#include "native/cuda/kv/job.h"

namespace sylvester::cuda {

__device__ inline void KvBase(const KvRotationJob& job, const uint32_t* signs, SharedPtr<float> from,
                              SharedPtr<float> to, int lane) {
  const int words = (job.base + 31) / 32, columns = 1 << job.log2_butterflies;
  for (int e = lane; e < job.n; e += warpSize) {
    const int i = e >> job.log2_butterflies, column = e & (columns - 1);
    float sum = 0;
    for (int quad = 0; quad < job.base / 4; ++quad) {
      const uint32_t bits = signs[i * words + quad / 8] >> (4 * (quad % 8));
      float z[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float value = from[((4 * quad + j) << job.log2_butterflies) + column];
        z[j] = __uint_as_float(__float_as_uint(value) ^ (bits >> j & 1) << 31);
      }
      sum += (z[0] + z[1]) + (z[2] + z[3]);
    }
    to[e] = sum * job.scale;
  }
}

// In place. scratch: n floats, used by bases only. The row's writes by the warp's lanes are seen by all of them before,
// and those made here afterwards.
__device__ inline void KvRotate(const KvRotationJob& job, bool transposed, SharedPtr<float> row,
                                SharedPtr<float> scratch, int lane) {
  if (job.n == 0) return;
  for (int bit = 0; bit < job.log2_butterflies; ++bit) {
    const int h = 1 << bit;
    for (int pair = lane; pair < job.n / 2; pair += warpSize) {
      const int i = (pair >> bit << (bit + 1)) | (pair & (h - 1));
      const float a = row[i], b = row[i + h];
      row[i] = a + b;
      row[i + h] = a - b;
    }
    __syncwarp();
  }
  if (job.base != 1) {
    KvBase(job, transposed ? job.base_signs_transposed : job.base_signs, row, scratch, lane);
    __syncwarp();
    for (int e = lane; e < job.n; e += warpSize) row[e] = scratch[e];
  } else {
    for (int e = lane; e < job.n; e += warpSize) row[e] *= job.scale;
  }
  __syncwarp();
}

}  // namespace sylvester::cuda

#endif
