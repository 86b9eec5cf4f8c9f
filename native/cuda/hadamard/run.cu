// Which kernels a plan runs, and their launches.
#include <algorithm>

#include "native/cuda/hadamard/plan.h"

namespace sylvester::cuda {
namespace {

constexpr int kLowLog2 = 13;                      // network of the lowest stages of long rows
constexpr int64_t kWorkspaceFloats = 1 << 22;     // of a long plan: 16 MB stay in the second-level cache
constexpr int64_t kBlocksPerMultiprocessor = 32;  // of kernels that loop
constexpr int64_t kMaxGrid = 0x7fffffff;          // blocks of a launch

bool IsPowerOfTwo(int64_t n) { return (n & (n - 1)) == 0; }

// Whether the kernels that keep networks in registers can do this plan.
bool HasNetworkKernel(const HadamardPlan& plan) {
  const syl_hadamard_options& o = plan.options;
  const bool quantized = o.quantizer != SYL_HADAMARD_NO_QUANTIZER;
  const int64_t network = plan.butterflies;
  if (o.base != 1 || o.family == SYL_HADAMARD_REGULAR || o.n % network != 0) return false;
  if (!quantized && o.x_type != o.y_type) return false;
  // In place, a network would read what another has written.
  if (o.n != network && !plan.gather.empty()) return false;
  if (!quantized) return true;
  if (plan.log2_butterflies > kMaxRowLog2) return o.n == network || (plan.group_map.empty() && network % o.group == 0);
  const int64_t vector = HadamardRowVector(o.x_type, plan.log2_butterflies);
  const int64_t codes = HadamardCodesPerByte(o.quantizer);
  return plan.group_map.empty() && IsPowerOfTwo(o.group) && o.group <= network && o.group >= vector && vector >= codes;
}

HadamardLaunch NetworkLaunch(syl_dtype type, int log2) {
  return log2 <= kMaxRowLog2 ? HadamardRowLaunch(type, log2) : HadamardBlockLaunch(type, log2);
}

// Transforms are one stride apart, whichever of the counts they belong to. Without a sign the products cannot overflow.
bool IsEven(const HadamardPlan& plan, const int64_t* stride, int64_t* even) {
  const int64_t* count = plan.options.count;
  *even = count[2] > 1 ? stride[2] : count[1] > 1 ? stride[1] : stride[0];
  const auto inner = static_cast<uint64_t>(count[2]) * static_cast<uint64_t>(*even);
  return (count[1] == 1 || static_cast<uint64_t>(stride[1]) == inner) &&
         (count[0] == 1 || static_cast<uint64_t>(stride[0]) == static_cast<uint64_t>(count[1]) * inner);
}

bool IsAligned(const void* memory, const int64_t* stride, int64_t element_bytes, int64_t alignment) {
  bool aligned = reinterpret_cast<uintptr_t>(memory) % alignment == 0 && stride[3] == 1;
  for (int i = 0; i < 3; ++i) aligned = aligned && stride[i] * element_bytes % alignment == 0;
  return aligned;
}

HadamardJob MakeJob(const syl_cuda_hadamard& plan, bool transposed, const void* from, void* to, float* scales,
                    float* zeros, int64_t first, int64_t count) {
  const syl_hadamard_options& o = plan.plan.options;
  const bool quantized = o.quantizer != SYL_HADAMARD_NO_QUANTIZER;
  HadamardJob job = {};
  job.from = from;
  job.to = to;
  job.transposed = transposed;
  std::copy_n(transposed ? o.y_stride : o.x_stride, 4, job.from_stride);
  std::copy_n(transposed ? o.x_stride : o.y_stride, 4, job.to_stride);
  job.from_type = transposed ? o.y_type : o.x_type;
  job.to_type = transposed ? o.x_type : o.y_type;
  (transposed ? job.store_gather : job.load_gather) = plan.gather;
  job.unnamed = plan.unnamed;
  job.unnamed_count = transposed ? plan.unnamed_count : 0;
  // The vectors of the kernels: 16 bytes or a network; 8 codes of 8 bits at most.
  const int64_t from_bytes = job.from_type == SYL_F32 ? 4 : 2, to_bytes = job.to_type == SYL_F32 ? 4 : 2;
  const int64_t network = plan.plan.butterflies;
  job.from_aligned = job.load_gather == nullptr &&
                     IsAligned(from, job.from_stride, from_bytes, std::min(network * from_bytes, int64_t{16}));
  job.to_aligned = quantized ? IsAligned(to, job.to_stride, 1, 8)
                             : job.store_gather == nullptr &&
                                   IsAligned(to, job.to_stride, to_bytes, std::min(network * to_bytes, int64_t{16}));
  job.first = first;
  job.count = count;
  job.middle = Divisor::Of(o.count[1]);
  job.inner = Divisor::Of(o.count[2]);
  int64_t from_even, to_even;
  if (IsEven(plan.plan, job.from_stride, &from_even) && IsEven(plan.plan, job.to_stride, &to_even)) {
    job.from_stride[0] = from_even;
    job.to_stride[0] = to_even;
    job.middle = job.inner = Divisor::Of(1);
  }
  job.n = static_cast<int32_t>(o.n);
  job.network = static_cast<int32_t>(network);
  job.pieces = Divisor::Of(std::max(o.n / job.network, int64_t{1}));
  job.signs = plan.signs;
  job.sign_period = Divisor::Of(o.count[2]);
  job.sign_rows = Divisor::Of(std::max(o.sign_rows, int64_t{1}));
  job.sign_words = plan.plan.sign_words;
  job.rounds = o.rounds;
  job.scale = static_cast<float>(o.scale);
  job.family = o.family;
  job.base = o.base;
  job.log2_butterflies = plan.plan.log2_butterflies;
  job.base_signs = transposed ? plan.base_signs_transposed : plan.base_signs;
  job.quantizer = o.quantizer;
  job.group = static_cast<int32_t>(o.group);
  job.groups = static_cast<int32_t>(plan.plan.groups);
  job.group_map = plan.group_map;
  job.members = plan.members;
  job.scales = scales;
  job.zeros = zeros;
  return job;
}

cudaError_t LaunchJob(const syl_cuda_hadamard& plan, const HadamardLaunch& launch, const HadamardJob& job, int64_t rows,
                      cudaStream_t stream) {
  const int64_t blocks = (rows + launch.rows - 1) / launch.rows;
  const int64_t most = plan.multiprocessors * kBlocksPerMultiprocessor;
  const auto grid = static_cast<unsigned>(launch.loops ? std::min(blocks, most) : blocks);
  return Launch(launch.kernel, dim3(grid), dim3(static_cast<unsigned>(launch.threads)),
                static_cast<size_t>(launch.shared_bytes), stream, job);
}

// The stages below low_log2 of a round, in place on rows of floats.
cudaError_t LaunchLowStages(const syl_cuda_hadamard& plan, const HadamardJob& job, int round, float* rows,
                            cudaStream_t stream) {
  const int32_t network = 1 << plan.low_log2;
  const bool windowed = job.family == SYL_HADAMARD_OVERLAPPED;
  const int number = job.transposed ? job.rounds + 1 - round : round;
  HadamardJob low = {};
  low.n = windowed ? job.network : job.n;
  low.network = network;
  low.to = rows + (windowed && number % 2 == 0 ? job.n - job.network : 0);
  low.from = low.to;
  low.from_stride[0] = low.to_stride[0] = job.n;
  low.from_stride[3] = low.to_stride[3] = 1;
  low.from_type = low.to_type = SYL_F32;
  low.from_aligned = low.to_aligned = IsAligned(low.to, low.to_stride, sizeof(float), 16);
  low.count = job.count;
  low.middle = low.inner = low.sign_period = low.sign_rows = Divisor::Of(1);
  low.pieces = Divisor::Of(low.n / network);
  low.rounds = 1;
  low.scale = 1;
  return LaunchJob(plan, plan.low_launch, low, low.count * (low.n / network), stream);
}

cudaError_t LaunchSteps(const syl_cuda_hadamard& plan, const HadamardJob& job, float* rows, cudaStream_t stream) {
  const bool quantized = job.quantizer != SYL_HADAMARD_NO_QUANTIZER;
  const int blocks = plan.multiprocessors * 4;
  cudaError_t error = cudaSuccess;
  const auto step = [&](HadamardStep what, int round = 0, int bit = 0, int stages = 0) {
    if (error == cudaSuccess) error = LaunchHadamardStep(job, {what, round, bit, stages}, rows, blocks, stream);
  };
  step(HadamardStep::kLoad);
  for (int round = 1; round <= job.rounds; ++round) {
    if (plan.low_log2 > 0 && error == cudaSuccess) error = LaunchLowStages(plan, job, round, rows, stream);
    for (int bit = plan.low_log2; bit < job.log2_butterflies; bit += kStepStages) {
      step(HadamardStep::kStages, round, bit, std::min(kStepStages, job.log2_butterflies - bit));
    }
    if (job.base != 1) step(HadamardStep::kBase, round);
    if (round < job.rounds || quantized) step(HadamardStep::kScale, round);
  }
  if (quantized) {
    step(HadamardStep::kQuantize);
    step(HadamardStep::kCode);
  } else {
    step(HadamardStep::kStore);
  }
  return error;
}

}  // namespace

void ChooseHadamardKernels(int64_t shared_limit, syl_cuda_hadamard* plan) {
  const syl_hadamard_options& o = plan->plan.options;
  const int log2 = plan->plan.log2_butterflies;
  plan->launch = {};
  plan->low_log2 = 0;
  if (HasNetworkKernel(plan->plan) && log2 <= kMaxBlockLog2) {
    plan->launch = NetworkLaunch(o.x_type, log2);
    if (plan->launch.shared_bytes <= shared_limit) return;
  }
  plan->launch = HadamardTransformLaunch(o.n, o.base);
  if (plan->launch.shared_bytes <= shared_limit) return;
  plan->launch = {};
  if (o.family != SYL_HADAMARD_REGULAR && log2 > kMaxRowLog2) {
    plan->low_log2 = std::min(log2, kLowLog2);
    plan->low_launch = HadamardBlockLaunch(SYL_F32, plan->low_log2);
  }
}

int64_t HadamardWorkspaceRows(const syl_cuda_hadamard& plan, int64_t count) {
  if (plan.launch.kernel != nullptr) return 0;
  return std::min(count, std::max(kWorkspaceFloats / plan.plan.options.n, int64_t{1}));
}

cudaError_t EnqueueHadamard(const syl_cuda_hadamard& plan, bool transposed, const void* from, void* to, float* scales,
                            float* zeros, int64_t first, int64_t count, float* workspace, cudaStream_t stream) {
  HadamardJob job = MakeJob(plan, transposed, from, to, scales, zeros, first, count);
  const bool in_steps = plan.launch.kernel == nullptr;
  const int64_t pieces = plan.launch.networks ? job.pieces.value : 1;
  const int64_t most = in_steps ? HadamardWorkspaceRows(plan, count) : kMaxGrid / pieces;
  for (int64_t done = 0; done < count; done += most) {
    job.first = first + done;
    job.count = std::min(most, count - done);
    if (const cudaError_t error = in_steps ? LaunchSteps(plan, job, workspace, stream)
                                           : LaunchJob(plan, plan.launch, job, job.count * pieces, stream)) {
      return error;
    }
  }
  return cudaSuccess;
}

}  // namespace sylvester::cuda
