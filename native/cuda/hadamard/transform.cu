// Any transform in steps over a row of floats: the bases, the regular matrix, overlapped rounds, mixed element types,
// any groups. A row lies in shared memory and one block takes all steps, or, where it does not fit, in global memory
// and a step is a launch.
#include <sylvester/hadamard.h>

#include "native/cuda/hadamard/elements.h"
#include "native/cuda/hadamard/kernels.h"
#include "native/cuda/hadamard/quantize.h"

namespace sylvester::cuda {
namespace {

constexpr int kMaxThreads = 512;
constexpr int kBaseScratch = 4096;  // floats: columns of a base at a time

struct SharedRow {
  SharedPtr<float> data;
  // Distances that are powers of two would meet in one bank.
  __device__ static int Slot(int e) { return e ^ (e >> 5 & 31); }
  __device__ float operator[](int e) const { return data[Slot(e)]; }
  __device__ void Set(int e, float value) const { data[Slot(e)] = value; }
};

struct GlobalRow {
  float* data;
  __device__ float operator[](int e) const { return data[e]; }
  __device__ void Set(int e, float value) const { data[e] = value; }
};

// The share of a thread in a step.
struct Workers {
  int worker, workers;  // threads
  int block, blocks;
};

// The elements that a round transforms.
struct Window {
  int start, length;
};

__device__ Window WindowOf(const HadamardJob& job, int round) {
  if (job.family != SYL_HADAMARD_OVERLAPPED) return {0, job.n};
  const int number = job.transposed ? job.rounds + 1 - round : round;
  return {number % 2 == 1 ? 0 : job.n - job.network, job.network};
}

template <typename Row>
__device__ void Load(const HadamardJob& job, const HadamardPlace& place, const Row& row, const Workers& w) {
  const uint32_t* signs = SignsAfter(job, place, 0);
  for (int e = w.worker; e < job.n; e += w.workers) {
    float z;
    switch (job.from_type) {
      case SYL_F16: z = LoadElement<__half>(job, place, e); break;
      case SYL_BF16: z = LoadElement<__nv_bfloat16>(job, place, e); break;
      default: z = LoadElement<float>(job, place, e);
    }
    FlipAll<1>(&z, signs, e);
    row.Set(e, z);
  }
}

template <int kStages, bool kRegular, typename Row>
__device__ void Stages(const HadamardJob& job, const Row& row, int round, int bit, const Workers& w) {
  constexpr int kValues = 1 << kStages;
  const Window window = WindowOf(job, round);
  for (int i = w.worker; i < window.length >> kStages; i += w.workers) {
    const int low = i & ((1 << bit) - 1), first = window.start + low + ((i >> bit) << (bit + kStages));
    float z[kValues];
#pragma unroll
    for (int j = 0; j < kValues; ++j) z[j] = row[first + (j << bit)];
    if constexpr (kRegular) {
      RegularDigits(z);
    } else {
      Butterflies<1, kValues>(z);
    }
#pragma unroll
    for (int j = 0; j < kValues; ++j) row.Set(first + (j << bit), z[j]);
  }
}

template <typename Row>
__device__ void Stages(const HadamardJob& job, const Row& row, int round, int bit, int stages, const Workers& w) {
  if (job.family == SYL_HADAMARD_REGULAR) {
    stages == 4 ? Stages<4, true>(job, row, round, bit, w) : Stages<2, true>(job, row, round, bit, w);
    return;
  }
  switch (stages) {
    case 4: Stages<4, false>(job, row, round, bit, w); break;
    case 3: Stages<3, false>(job, row, round, bit, w); break;
    case 2: Stages<2, false>(job, row, round, bit, w); break;
    default: Stages<1, false>(job, row, round, bit, w);
  }
}

// Outputs 4 i .. 4 i + 3 of a column of the base; z: its inputs, `stride` apart.
__device__ void BaseOutputs(const HadamardJob& job, SharedPtr<float> z, int stride, int i, float (&out)[4]) {
  const int words = (job.base + 31) / 32;
  for (int quad = 0; quad < job.base / 4; ++quad) {
    float in[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) in[j] = z[(4 * quad + j) * stride];
#pragma unroll
    for (int o = 0; o < 4; ++o) {
      const uint32_t bits = job.base_signs[(4 * i + o) * words + quad / 8] >> (4 * (quad % 8));
      out[o] += (Flip(in[0], bits) + Flip(in[1], bits >> 1)) + (Flip(in[2], bits >> 2) + Flip(in[3], bits >> 3));
    }
  }
}

// Whole blocks call it. scratch: kBaseScratch floats.
template <typename Row>
__device__ void Base(const HadamardJob& job, const Row& row, SharedPtr<float> scratch, const Workers& w) {
  const int columns = 1 << job.log2_butterflies;
  int log2_chunk = 0;
  while (log2_chunk < job.log2_butterflies && job.base << (log2_chunk + 1) <= kBaseScratch) ++log2_chunk;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x), chunk = 1 << log2_chunk;
  for (int first = w.block << log2_chunk; first < columns; first += w.blocks << log2_chunk) {
    for (int i = thread; i < job.base << log2_chunk; i += threads) {
      scratch[i] = row[((i >> log2_chunk) << job.log2_butterflies) + first + (i & (chunk - 1))];
    }
    __syncthreads();
    for (int i = thread; i < (job.base / 4) << log2_chunk; i += threads) {
      const int column = i & (chunk - 1), quad = i >> log2_chunk;
      float out[4] = {};
      BaseOutputs(job, scratch + column, chunk, quad, out);
#pragma unroll
      for (int o = 0; o < 4; ++o) {
        row.Set(((4 * quad + o) << job.log2_butterflies) + first + column, out[o]);
      }
    }
    __syncthreads();
  }
}

__device__ float Scaled(const HadamardJob& job, const Window& window, int e, float z, const uint32_t* signs) {
  if (e - window.start >= 0 && e - window.start < window.length) z *= job.scale;
  FlipAll<1>(&z, signs, e);
  return z;
}

template <typename Row>
__device__ void Scale(const HadamardJob& job, const HadamardPlace& place, const Row& row, int round, const Workers& w) {
  const Window window = WindowOf(job, round);
  const uint32_t* signs = SignsAfter(job, place, round);
  for (int e = w.worker; e < job.n; e += w.workers) row.Set(e, Scaled(job, window, e, row[e], signs));
}

template <typename T, typename Row>
__device__ void StoreAs(const HadamardJob& job, const HadamardPlace& place, const Row& row, const Workers& w) {
  const Window window = WindowOf(job, job.rounds);
  const uint32_t* signs = SignsAfter(job, place, job.rounds);
  for (int e = w.worker; e < job.n; e += w.workers) {
    StoreElement<T>(job, place, e, Scaled(job, window, e, row[e], signs));
  }
  StoreUnnamed<T>(job, place, w.worker, w.workers);
}

// With the scale and the signs of the last round.
template <typename Row>
__device__ void Store(const HadamardJob& job, const HadamardPlace& place, const Row& row, const Workers& w) {
  switch (job.to_type) {
    case SYL_F16: StoreAs<__half>(job, place, row, w); break;
    case SYL_BF16: StoreAs<__nv_bfloat16>(job, place, row, w); break;
    default: StoreAs<float>(job, place, row, w);
  }
}

__global__ void __launch_bounds__(kMaxThreads, 1) TransformKernel(HadamardJob job) {
  const int slots = (job.n + 31) / 32 * 32;
  const SharedRow row = {DynamicShared<float>(0, static_cast<size_t>(slots))};
  const SharedPtr<float> scratch = DynamicShared<float>(static_cast<size_t>(slots) * sizeof(float),
                                                        job.base == 1 ? 0 : static_cast<size_t>(kBaseScratch));
  const Workers w = {static_cast<int>(threadIdx.x), static_cast<int>(blockDim.x), 0, 1};
  const bool quantized = job.quantizer != SYL_HADAMARD_NO_QUANTIZER;
  for (int64_t t = blockIdx.x; t < job.count; t += gridDim.x) {
    const HadamardPlace place = Locate(job, job.first + t);
    Load(job, place, row, w);
    __syncthreads();
    for (int round = 1; round <= job.rounds; ++round) {
      for (int bit = 0; bit < job.log2_butterflies; bit += kStepStages) {
        Stages(job, row, round, bit, min(kStepStages, job.log2_butterflies - bit), w);
        __syncthreads();
      }
      if (job.base != 1) Base(job, row, scratch, w);
      if (round < job.rounds || quantized) {
        Scale(job, place, row, round, w);
        __syncthreads();
      }
    }
    if (quantized) {
      StoreQuantizations(job, place, row, job.n, 0, 1);
      __syncthreads();
      StoreCodes(job, place, row, job.n, w.worker, w.workers);
    } else {
      Store(job, place, row, w);
    }
    __syncthreads();  // before the next row comes into shared memory
  }
}

// Blocks of a row along x, rows along y.
__global__ void __launch_bounds__(kMaxThreads)
    StepKernel(HadamardJob job, HadamardStepArguments arguments, float* rows) {
  __shared__ float scratch[kBaseScratch];
  const int block = static_cast<int>(blockIdx.x), blocks = static_cast<int>(gridDim.x);
  const int threads = static_cast<int>(blockDim.x);
  const Workers w = {block * threads + static_cast<int>(threadIdx.x), blocks * threads, block, blocks};
  for (int64_t t = blockIdx.y; t < job.count; t += gridDim.y) {
    const HadamardPlace place = Locate(job, job.first + t);
    const GlobalRow row = {rows + t * job.n};
    switch (arguments.step) {
      case HadamardStep::kLoad: Load(job, place, row, w); break;
      case HadamardStep::kStages: Stages(job, row, arguments.round, arguments.bit, arguments.stages, w); break;
      case HadamardStep::kBase: Base(job, row, StaticShared(scratch), w); break;
      case HadamardStep::kScale: Scale(job, place, row, arguments.round, w); break;
      case HadamardStep::kStore: Store(job, place, row, w); break;
      case HadamardStep::kQuantize: StoreQuantizations(job, place, row, job.n, w.block, w.blocks); break;
      case HadamardStep::kCode: StoreCodes(job, place, row, job.n, w.worker, w.workers); break;
    }
  }
}

}  // namespace

HadamardLaunch HadamardTransformLaunch(int64_t n, int32_t base) {
  int threads = 32;
  while (threads < kMaxThreads && threads * 8 < n) threads *= 2;
  const int64_t slots = (n + 31) / 32 * 32 + (base == 1 ? 0 : kBaseScratch);
  return {TransformKernel, threads, 1, false, true, slots * static_cast<int64_t>(sizeof(float))};
}

cudaError_t LaunchHadamardStep(const HadamardJob& job, const HadamardStepArguments& arguments, float* rows, int blocks,
                               cudaStream_t stream) {
  const int64_t most = (int64_t{job.n} + kMaxThreads - 1) / kMaxThreads;
  const auto y = static_cast<unsigned>(job.count < 65535 ? job.count : 65535);
  const int64_t x = blocks / y < 1 ? 1 : blocks / y;
  return Launch(StepKernel, dim3(static_cast<unsigned>(x < most ? x : most), y), dim3(kMaxThreads), 0, stream, job,
                arguments, rows);
}

}  // namespace sylvester::cuda
