// Networks of up to 512 elements: many to a block, each in the registers of 1 to 32 lanes. Bit by bit of an element's
// index, from the lowest: place in a 16-byte access, lane, access.
#include <sylvester/hadamard.h>

#include "native/cuda/hadamard/elements.h"
#include "native/cuda/hadamard/kernels.h"
#include "native/cuda/hadamard/quantize.h"

namespace sylvester::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T, int kLog2>
struct RowShape {
  static constexpr int kLength = 1 << kLog2;
  static constexpr int kAccess = 16 / sizeof(T);
  static constexpr int kVector = kLength < kAccess ? kLength : kAccess;
  static constexpr int kLanes = kLength / kVector < 32 ? kLength / kVector : 32;
  static constexpr int kChunks = kLength / (kLanes * kVector);
  static constexpr int kRows = kThreads / kLanes;
  // 40 or 64 registers a thread: with one access in flight a thread, a multiprocessor needs the more of them.
  static constexpr int kMinBlocks = kChunks == 1 ? 6 : 4;
};

// The range of the group of each chunk's vector, known to all its lanes.
template <typename Shape>
__device__ void GroupRanges(const float (&z)[Shape::kChunks * Shape::kVector], int group,
                            ValueRange (&ranges)[Shape::kChunks]) {
#pragma unroll
  for (int c = 0; c < Shape::kChunks; ++c) {
    ranges[c] = ValueRange();
#pragma unroll
    for (int i = 0; i < Shape::kVector; ++i) ranges[c].Add(z[c * Shape::kVector + i]);
#pragma unroll
    for (int h = 1; h < Shape::kLanes; h *= 2) {
      if (group <= h * Shape::kVector) break;
      ranges[c].Merge(__shfl_xor_sync(kAllLanes, ranges[c].low, h), __shfl_xor_sync(kAllLanes, ranges[c].high, h));
    }
  }
#pragma unroll
  for (int h = 1; h < Shape::kChunks; h *= 2) {
    if (group <= h * Shape::kLanes * Shape::kVector) break;
#pragma unroll
    for (int c = 0; c < Shape::kChunks; ++c) {
      if ((c & h) == 0) {
        ranges[c].Merge(ranges[c + h].low, ranges[c + h].high);
        ranges[c + h] = ranges[c];
      }
    }
  }
}

// Packs kCount codes of kBits bits; at least a byte.
template <int kBits, int kCount>
__device__ void StorePacked(const uint32_t (&code)[kCount], bool aligned, uint8_t* to) {
  constexpr int kBytes = kBits * kCount / 8, kCodes = 8 / kBits;
  Vector<uint8_t, kBytes> packed;
#pragma unroll
  for (int b = 0; b < kBytes; ++b) {
    uint32_t byte = 0;
#pragma unroll
    for (int c = 0; c < kCodes; ++c) byte |= code[b * kCodes + c] << (c * kBits);
    packed.at[b] = static_cast<uint8_t>(byte);
  }
  if (aligned) {
    *reinterpret_cast<Vector<uint8_t, kBytes>*>(to) = packed;
  } else {
#pragma unroll
    for (int b = 0; b < kBytes; ++b) to[b] = packed.at[b];
  }
}

template <typename Shape>
__device__ void StoreGroups(const HadamardJob& job, const HadamardPlace& place, int lane, bool active,
                            const float (&z)[Shape::kChunks * Shape::kVector]) {
  constexpr int kVector = Shape::kVector;
  ValueRange ranges[Shape::kChunks];
  GroupRanges<Shape>(z, job.group, ranges);
  if (!active) return;
#pragma unroll
  for (int c = 0; c < Shape::kChunks; ++c) {
    const int e = place.start + (c * Shape::kLanes + lane) * kVector;
    const Quantization q = Quantize(job.quantizer, ranges[c]);
    if ((e & (job.group - 1)) == 0) {
      StoreQuantization(job, place.transform, e / job.group, q);
    }
    uint32_t code[kVector];
#pragma unroll
    for (int i = 0; i < kVector; ++i) code[i] = Code(job.quantizer, q, z[c * kVector + i]);
    uint8_t* to = static_cast<uint8_t*>(job.to) + place.to;
    if (job.quantizer == SYL_HADAMARD_I8) {
      StorePacked<8>(code, job.to_aligned, to + e);
    } else if (job.quantizer == SYL_HADAMARD_U4) {
      StorePacked<4>(code, job.to_aligned, to + e / 2);
    } else if constexpr (kVector >= 4) {
      StorePacked<2>(code, job.to_aligned, to + e / 4);
    }
  }
}

template <typename T, int kLog2>
__global__ void __launch_bounds__(kThreads, RowShape<T, kLog2>::kMinBlocks) RowsKernel(HadamardJob job) {
  using Shape = RowShape<T, kLog2>;
  constexpr int kVector = Shape::kVector, kLanes = Shape::kLanes, kValues = Shape::kChunks * kVector;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int64_t rows = job.count * job.pieces.value;
  for (int64_t first = int64_t{blockIdx.x} * Shape::kRows; first < rows; first += int64_t{gridDim.x} * Shape::kRows) {
    // All lanes of a warp take part in the shuffles, with rows or without.
    const int64_t row = first + threadIdx.x / kLanes;
    const bool active = row < rows;
    const HadamardPlace place = LocateNetwork(job, active ? row : first);

    float z[kValues] = {};
#pragma unroll
    for (int c = 0; c < Shape::kChunks; ++c) {
      const int e = place.start + lane * kVector + c * kLanes * kVector;
      if (active && job.from_aligned) LoadAligned<T, kVector>(job, place, e, z + c * kVector);
      if (active && !job.from_aligned) {
#pragma unroll
        for (int i = 0; i < kVector; ++i) z[c * kVector + i] = LoadElement<T>(job, place, e + i);
      }
      FlipAll<kVector>(z + c * kVector, SignsAfter(job, place, 0), place.start + lane * kVector, c * kLanes * kVector);
    }
    for (int round = 1; round <= job.rounds; ++round) {
      Butterflies<1, kVector>(z);
#pragma unroll
      for (int h = 1; h < kLanes; h *= 2) {
        const float sign = (lane & h) == 0 ? 1.0f : -1.0f;
#pragma unroll
        for (int i = 0; i < kValues; ++i) z[i] = fmaf(z[i], sign, __shfl_xor_sync(kAllLanes, z[i], h));
      }
      Butterflies<kVector, kValues>(z);
#pragma unroll
      for (int c = 0; c < Shape::kChunks; ++c) {
#pragma unroll
        for (int i = 0; i < kVector; ++i) z[c * kVector + i] *= job.scale;
        FlipAll<kVector>(z + c * kVector, SignsAfter(job, place, round), place.start + lane * kVector,
                         c * kLanes * kVector);
      }
    }
    if (job.quantizer != SYL_HADAMARD_NO_QUANTIZER) {
      StoreGroups<Shape>(job, place, lane, active, z);
    } else if (active) {
#pragma unroll
      for (int c = 0; c < Shape::kChunks; ++c) {
        const int e = place.start + (c * kLanes + lane) * kVector;
        if (job.to_aligned) {
          StoreAligned<T, kVector>(job, place, e, z + c * kVector);
        } else {
#pragma unroll
          for (int i = 0; i < kVector; ++i) StoreElement<T>(job, place, e + i, z[c * kVector + i]);
        }
      }
      StoreUnnamed<T>(job, place, lane, kLanes);
    }
  }
}

template <typename T>
HadamardLaunch Launches(int log2) {
#define ROWS(k) \
  { RowsKernel<T, k>, kThreads, RowShape<T, k>::kRows, true, true, 0 }
  constexpr HadamardLaunch kLaunches[kMaxRowLog2] = {ROWS(1), ROWS(2), ROWS(3), ROWS(4), ROWS(5),
                                                     ROWS(6), ROWS(7), ROWS(8), ROWS(9)};
#undef ROWS
  return kLaunches[log2 - 1];
}

}  // namespace

HadamardLaunch HadamardRowLaunch(syl_dtype type, int log2) {
  switch (type) {
    case SYL_F16: return Launches<__half>(log2);
    case SYL_BF16: return Launches<__nv_bfloat16>(log2);
    default: return Launches<float>(log2);
  }
}

int HadamardRowVector(syl_dtype type, int log2) {
  const int access = type == SYL_F32 ? 4 : 8;
  return log2 < 3 && 1 << log2 < access ? 1 << log2 : access;
}

}  // namespace sylvester::cuda
