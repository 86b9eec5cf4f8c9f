// Devices, memory, streams and events: the CUDA runtime behind status codes.
#include <sylvester/cuda.h>

#include <cstdio>

#include "native/cuda/errors.h"

namespace sylvester::cuda {

syl_status FailCuda(const char* function, const char* call, cudaError_t error) {
  cudaGetLastError();  // the error is reported here, not by the next call
  syl_status status = SYL_INTERNAL;
  switch (error) {
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice:
    case cudaErrorNoKernelImageForDevice: status = SYL_UNSUPPORTED; break;
    case cudaErrorMemoryAllocation: status = SYL_OUT_OF_MEMORY; break;
    case cudaErrorInvalidDevice: status = SYL_BAD_VALUE; break;
    default: break;
  }
  return Fail(status, "%s: %s (CUDA error %d, %s) from %s", function, cudaGetErrorString(error),
              static_cast<int>(error), cudaGetErrorName(error), call);
}

}  // namespace sylvester::cuda

int32_t syl_cuda_abi_version(void) { return SYL_ABI_VERSION; }

const char* syl_cuda_last_error(void) { return syl_last_error(); }

syl_status syl_cuda_device_count(int32_t* count) {
  SYL_REQUIRE_PTR(count);
  int devices = 0;
  SYL_CUDA(cudaGetDeviceCount(&devices));
  *count = devices;
  return SYL_OK;
}

syl_status syl_cuda_device_info(int32_t device, syl_cuda_device* info) {
  SYL_REQUIRE_STRUCT(info);
  cudaDeviceProp properties;
  SYL_CUDA(cudaGetDeviceProperties(&properties, device));
  syl_cuda_device result{};
  result.struct_size = sizeof(result);
#ifdef SYLVESTER_CUDA_EMULATOR
  result.emulated = 1;
#endif
  result.major = properties.major;
  result.minor = properties.minor;
  result.multiprocessors = properties.multiProcessorCount;
  result.memory = static_cast<int64_t>(properties.totalGlobalMem);
  std::snprintf(result.name, sizeof(result.name), "%.*s", static_cast<int>(sizeof(result.name)) - 1, properties.name);
  *info = result;
  return SYL_OK;
}

syl_status syl_cuda_device_use(int32_t device) {
  SYL_CUDA(cudaSetDevice(device));
  return SYL_OK;
}

syl_status syl_cuda_malloc(int64_t bytes, void** memory) {
  SYL_REQUIRE_PTR(memory);
  SYL_REQUIRE_RANGE(bytes, 1, INT64_MAX);
  void* allocated = nullptr;
  SYL_CUDA(cudaMalloc(&allocated, static_cast<size_t>(bytes)));
  *memory = allocated;
  return SYL_OK;
}

syl_status syl_cuda_free(void* memory) {
  SYL_CUDA(cudaFree(memory));
  return SYL_OK;
}

syl_status syl_cuda_stream_new(syl_cuda_stream* stream) {
  SYL_REQUIRE_PTR(stream);
  cudaStream_t created = nullptr;
  SYL_CUDA(cudaStreamCreateWithFlags(&created, cudaStreamNonBlocking));
  *stream = created;
  return SYL_OK;
}

syl_status syl_cuda_stream_free(syl_cuda_stream stream) {
  if (stream != nullptr) SYL_CUDA(cudaStreamDestroy(static_cast<cudaStream_t>(stream)));
  return SYL_OK;
}

syl_status syl_cuda_stream_wait(syl_cuda_stream stream) {
  SYL_CUDA(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)));
  return SYL_OK;
}

syl_status syl_cuda_copy(void* to, const void* from, int64_t bytes, syl_cuda_stream stream) {
  SYL_REQUIRE_RANGE(bytes, 0, INT64_MAX);
  if (bytes == 0) return SYL_OK;
  SYL_REQUIRE_PTR(to);
  SYL_REQUIRE_PTR(from);
  SYL_CUDA(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDefault, static_cast<cudaStream_t>(stream)));
  return SYL_OK;
}

syl_status syl_cuda_fill(void* memory, int32_t byte, int64_t bytes, syl_cuda_stream stream) {
  SYL_REQUIRE_RANGE(bytes, 0, INT64_MAX);
  SYL_REQUIRE_RANGE(byte, 0, 255);
  if (bytes == 0) return SYL_OK;
  SYL_REQUIRE_PTR(memory);
  SYL_CUDA(cudaMemsetAsync(memory, byte, static_cast<size_t>(bytes), static_cast<cudaStream_t>(stream)));
  return SYL_OK;
}

syl_status syl_cuda_event_new(syl_cuda_event* event) {
  SYL_REQUIRE_PTR(event);
  cudaEvent_t created = nullptr;
  SYL_CUDA(cudaEventCreate(&created));
  *event = created;
  return SYL_OK;
}

syl_status syl_cuda_event_free(syl_cuda_event event) {
  if (event != nullptr) SYL_CUDA(cudaEventDestroy(static_cast<cudaEvent_t>(event)));
  return SYL_OK;
}

syl_status syl_cuda_event_record(syl_cuda_event event, syl_cuda_stream stream) {
  SYL_REQUIRE_PTR(event);
  SYL_CUDA(cudaEventRecord(static_cast<cudaEvent_t>(event), static_cast<cudaStream_t>(stream)));
  return SYL_OK;
}

syl_status syl_cuda_event_wait(syl_cuda_event event) {
  SYL_REQUIRE_PTR(event);
  SYL_CUDA(cudaEventSynchronize(static_cast<cudaEvent_t>(event)));
  return SYL_OK;
}

syl_status syl_cuda_event_elapsed(syl_cuda_event start, syl_cuda_event end, float* milliseconds) {
  SYL_REQUIRE_PTR(start);
  SYL_REQUIRE_PTR(end);
  SYL_REQUIRE_PTR(milliseconds);
  float elapsed = 0;
  SYL_CUDA(cudaEventElapsedTime(&elapsed, static_cast<cudaEvent_t>(start), static_cast<cudaEvent_t>(end)));
  *milliseconds = elapsed;
  return SYL_OK;
}
