// The kernels, and what a launch of each needs.
#ifndef SYLVESTER_NATIVE_CUDA_HADAMARD_KERNELS_H_
#define SYLVESTER_NATIVE_CUDA_HADAMARD_KERNELS_H_

#include "native/cuda/device.h"
#include "native/cuda/hadamard/job.h"

namespace sylvester::cuda {

using HadamardKernel = void (*)(HadamardJob);

// How a kernel is launched over rows: the networks or the transforms of a job.
struct HadamardLaunch {
  HadamardKernel kernel;
  int32_t threads;
  int32_t rows;          // of a block at a time
  bool networks;         // rows are networks
  bool loops;            // takes any number of rows with any grid; others a block a row
  int64_t shared_bytes;  // dynamic
};

// Networks of 2^log2 elements in registers, for from_type = to_type (or codes of groups that are powers of two, of
// HadamardRowVector elements or more and within a network). 1 <= log2 <= kMaxRowLog2.
constexpr int kMaxRowLog2 = 9;
HadamardLaunch HadamardRowLaunch(syl_dtype type, int log2);
int HadamardRowVector(syl_dtype type, int log2);

// Networks of 2^log2 elements in the registers of a block, for from_type = to_type (or codes of groups within a
// network). kMaxRowLog2 < log2 <= kMaxBlockLog2.
constexpr int kMaxBlockLog2 = 15;
HadamardLaunch HadamardBlockLaunch(syl_dtype type, int log2);

// Any transform, one to a block, in shared memory.
HadamardLaunch HadamardTransformLaunch(int64_t n, int32_t base);

// Any transform by one launch a step over rows of n floats in global memory. The caller sets the order.
enum class HadamardStep { kLoad, kStages, kBase, kScale, kStore, kQuantize, kCode };
struct HadamardStepArguments {
  HadamardStep step;
  int32_t round;        // kStages, kBase, kScale: 1, 2, ...
  int32_t bit, stages;  // kStages: the distances 2^bit ... 2^(bit + stages - 1)
};
constexpr int kStepStages = 4;  // most stages of a step
cudaError_t LaunchHadamardStep(const HadamardJob& job, const HadamardStepArguments& arguments, float* rows, int blocks,
                               cudaStream_t stream);

}  // namespace sylvester::cuda

#endif
