// Plans: checks, the arrays' way to the device, the ABI.
#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "native/cuda/errors.h"
#include "native/cuda/hadamard/plan.h"
#include "native/cuda/upload.h"

namespace sylvester::cuda {

std::vector<uint32_t> BaseSigns(const std::vector<int8_t>& base, int32_t order, bool transposed) {
  const int32_t words = (order + 31) / 32;
  std::vector<uint32_t> signs(base.empty() ? 0 : static_cast<size_t>(order * words));
  for (int32_t i = 0; i < order && !base.empty(); ++i) {
    for (int32_t j = 0; j < order; ++j) {
      if (base[transposed ? j * order + i : i * order + j] < 0) signs[i * words + j / 32] |= uint32_t{1} << j % 32;
    }
  }
  return signs;
}

namespace {

// The elements of x that the gather does not name.
std::vector<int32_t> Unnamed(const HadamardPlan& plan) {
  if (plan.gather.empty()) return {};
  std::vector<bool> named(plan.options.x_length);
  for (const int32_t index : plan.gather) {
    if (index >= 0) named[index] = true;
  }
  std::vector<int32_t> unnamed;
  for (int64_t i = 0; i < plan.options.x_length; ++i) {
    if (!named[i]) unnamed.push_back(static_cast<int32_t>(i));
  }
  return unnamed;
}

// Elements sorted by group.
std::vector<int32_t> Members(const HadamardPlan& plan) {
  std::vector<int32_t> members(plan.group_map.size());
  std::vector<int64_t> next(plan.group_map.empty() ? 0 : plan.groups);
  for (size_t g = 0; g < next.size(); ++g) next[g] = g * plan.options.group;
  for (size_t e = 0; e < members.size(); ++e) members[next[plan.group_map[e]]++] = static_cast<int32_t>(e);
  return members;
}

cudaError_t FillPlan(syl_cuda_hadamard* plan) {
  int shared_limit = 0;
  if (const cudaError_t error = cudaGetDevice(&plan->device)) return error;
  if (const cudaError_t error =
          cudaDeviceGetAttribute(&shared_limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, plan->device)) {
    return error;
  }
  if (const cudaError_t error =
          cudaDeviceGetAttribute(&plan->multiprocessors, cudaDevAttrMultiProcessorCount, plan->device)) {
    return error;
  }
  // The static arrays of the quantizer come on top.
  ChooseHadamardKernels(shared_limit - 1024, plan);
  for (const HadamardLaunch& launch : {plan->launch, plan->low_launch}) {
    if (launch.kernel == nullptr) continue;
    // The most that any plan asks of this kernel, since the setting belongs to the kernel.
    if (const cudaError_t error =
            cudaFuncSetAttribute(reinterpret_cast<const void*>(launch.kernel),
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, shared_limit - 1024)) {
      return error;
    }
  }

  const HadamardPlan& host = plan->plan;
  const std::vector<int32_t> unnamed = Unnamed(host), members = Members(host);
  plan->unnamed_count = static_cast<int32_t>(unnamed.size());
  Upload upload;
  upload.Add(host.signs, &plan->signs);
  upload.Add(host.gather, &plan->gather);
  upload.Add(unnamed, &plan->unnamed);
  upload.Add(host.group_map, &plan->group_map);
  upload.Add(members, &plan->members);
  upload.Add(BaseSigns(host.base, host.options.base, false), &plan->base_signs);
  upload.Add(BaseSigns(host.base, host.options.base, true), &plan->base_signs_transposed);
  return upload.Copy(&plan->memory);
}

// A device faults on what is not aligned, and is of no use afterwards.
syl_status CheckAlignment(const char* function, const syl_cuda_hadamard& plan, const HadamardRun& run) {
  const syl_hadamard_options& o = plan.plan.options;
  const auto bytes = [](syl_dtype type) { return type == SYL_F32 ? 4 : 2; };
  const struct {
    const char* name;
    const void* pointer;
    int bytes;
  } arguments[] = {{"x", run.x, bytes(o.x_type)},
                   {"y", run.y, o.quantizer == SYL_HADAMARD_NO_QUANTIZER ? bytes(o.y_type) : 1},
                   {"scales", run.scales, 4},
                   {"zeros", run.zeros, 4},
                   {"workspace", run.workspace, 4}};
  for (const auto& argument : arguments) {
    if (reinterpret_cast<uintptr_t>(argument.pointer) % argument.bytes != 0) {
      return Fail(SYL_BAD_VALUE, "%s: %s is %p, must be a multiple of %d", function, argument.name, argument.pointer,
                  argument.bytes);
    }
  }
  return SYL_OK;
}

syl_status Run(const char* function, const syl_cuda_hadamard* plan, const HadamardRun& run, syl_cuda_stream stream) {
  if (syl_status status = CheckHadamardRun(function, plan->plan, run)) return status;
  if (syl_status status = CheckAlignment(function, *plan, run)) return status;
  int device = 0;
  if (const cudaError_t error = cudaGetDevice(&device)) return FailCuda(function, "cudaGetDevice", error);
  if (device != plan->device) {
    return Fail(SYL_BAD_VALUE, "%s: plan is on device %d, must be on the thread's device, which is %d", function,
                plan->device, device);
  }
  const void* from = run.transposed ? run.y : run.x;
  void* to = const_cast<void*>(run.transposed ? run.x : run.y);
  const cudaError_t error = EnqueueHadamard(
      *plan, run.transposed, from, to, const_cast<float*>(run.scales), const_cast<float*>(run.zeros), run.first,
      run.count, static_cast<float*>(const_cast<void*>(run.workspace)), static_cast<cudaStream_t>(stream));
  return error == cudaSuccess ? SYL_OK : FailCuda(function, "a launch", error);
}

}  // namespace
}  // namespace sylvester::cuda

syl_status syl_cuda_hadamard_new(const syl_hadamard_options* options, syl_cuda_hadamard** plan) {
  SYL_REQUIRE_PTR(plan);
  try {
    std::unique_ptr<syl_cuda_hadamard, decltype(&syl_cuda_hadamard_free)> made(new syl_cuda_hadamard{},
                                                                               &syl_cuda_hadamard_free);
    if (syl_status status = sylvester::MakeHadamardPlan(__func__, options, &made->plan)) return status;
    const syl_dtype type = made->plan.options.x_type;
    SYL_REQUIRE(type != SYL_F64, SYL_UNSUPPORTED, "options->x_type is F64 (%d), which CUDA plans do not take", type);
    if (made->plan.options.quantizer != SYL_HADAMARD_NO_QUANTIZER) made->plan.options.y_type = type;
    if (const cudaError_t error = sylvester::cuda::FillPlan(made.get())) {
      return sylvester::cuda::FailCuda(__func__, "the plan's upload", error);
    }
    *plan = made.release();
    return SYL_OK;
  } catch (const std::bad_alloc&) {
    return sylvester::Fail(SYL_OUT_OF_MEMORY, "%s: out of host memory", __func__);
  }
}

void syl_cuda_hadamard_free(syl_cuda_hadamard* plan) {
  if (plan == nullptr) return;
  if (plan->memory != nullptr) cudaFree(plan->memory);
  delete plan;
}

int64_t syl_cuda_hadamard_workspace(const syl_cuda_hadamard* plan, int64_t count) {
  if (plan == nullptr || count < 1) return 0;
  return sylvester::cuda::HadamardWorkspaceRows(*plan, count) * plan->plan.options.n *
         static_cast<int64_t>(sizeof(float));
}

syl_status syl_cuda_hadamard_run(const syl_cuda_hadamard* plan, const void* x, void* y, float* scales, float* zeros,
                                 int64_t first, int64_t count, void* workspace, int64_t workspace_bytes,
                                 syl_cuda_stream stream) {
  SYL_REQUIRE_PTR(plan);
  const int64_t needed = syl_cuda_hadamard_workspace(plan, count);
  return sylvester::cuda::Run(__func__, plan,
                              {x, y, scales, zeros, first, count, workspace, workspace_bytes, needed, false}, stream);
}

syl_status syl_cuda_hadamard_run_transposed(const syl_cuda_hadamard* plan, const void* y, void* x, int64_t first,
                                            int64_t count, void* workspace, int64_t workspace_bytes,
                                            syl_cuda_stream stream) {
  SYL_REQUIRE_PTR(plan);
  const int64_t needed = syl_cuda_hadamard_workspace(plan, count);
  return sylvester::cuda::Run(__func__, plan,
                              {x, y, nullptr, nullptr, first, count, workspace, workspace_bytes, needed, true}, stream);
}
