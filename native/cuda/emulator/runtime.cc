#include "native/cuda/emulator/runtime.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "native/cuda/emulator/device_state.h"

namespace sylvester::emulator {
namespace {

thread_local cudaError_t last_error = cudaSuccess;

Options OptionsOfEnvironment() {
  Options options;
  const char* order = std::getenv("SYLVESTER_EMULATOR_ORDER");
  const char* races = std::getenv("SYLVESTER_EMULATOR_RACES");
  if (order != nullptr && std::strcmp(order, "reverse") == 0) options.order = Order::kReverse;
  if (order != nullptr && std::strncmp(order, "random", 6) == 0) {
    options.order = Order::kRandom;
    if (order[6] == ':') options.seed = std::strtoull(order + 7, nullptr, 10);
  }
  options.races = races != nullptr && std::strcmp(races, "1") == 0;
  return options;
}

size_t HostMemory() {
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGE_SIZE));
}

// Holds the device's mutex; `error` is the sticky fault.
struct Call {
  Device& device = TheDevice();
  const std::lock_guard<std::mutex> lock{device.mutex};
  const cudaError_t error = device.fault;
};

struct ErrorText {
  cudaError_t error;
  const char* name;
  const char* text;
};

#define SYL_EMULATED_ERROR(name, number, text) {name, #name, text},
constexpr ErrorText kErrors[] = {SYL_EMULATED_ERRORS(SYL_EMULATED_ERROR)};
#undef SYL_EMULATED_ERROR

const ErrorText* Find(cudaError_t error) {
  for (const ErrorText& entry : kErrors) {
    if (entry.error == error) return &entry;
  }
  return nullptr;
}

}  // namespace

Device& TheDevice() {
  static Device& device = *[] {
    auto* made = new Device;  // never destroyed: other objects' destructors may still free memory
    made->options = OptionsOfEnvironment();
    return made;
  }();
  return device;
}

cudaError_t Note(cudaError_t error) {
  last_error = error;
  return error;
}

}  // namespace sylvester::emulator

using namespace sylvester::emulator;

// Leaves with the sticky fault, if there is one; then each error that a condition asks for.
#define SYL_EMULATED_CALL \
  const Call call;        \
  if (call.error != cudaSuccess) return Note(call.error)
#define SYL_EMULATED_REQUIRE(condition, error) \
  if (!(condition)) return Note(error)

const char* cudaGetErrorName(cudaError_t error) {
  const ErrorText* found = Find(error);
  return found != nullptr ? found->name : "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  const Call call;
  if (error != cudaSuccess && error == call.error) return call.device.fault_text.c_str();
  const ErrorText* found = Find(error);
  return found != nullptr ? found->text : "unrecognized error code";
}

cudaError_t cudaPeekAtLastError() {
  const Call call;
  return call.error != cudaSuccess ? call.error : last_error;
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  last_error = cudaSuccess;
  return error;
}

// ---- Devices --------------------------------------------------------------------------------------------------------

cudaError_t cudaGetDeviceCount(int* count) {
  SYL_EMULATED_REQUIRE(count != nullptr, cudaErrorInvalidValue);
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  SYL_EMULATED_CALL;
  SYL_EMULATED_REQUIRE(properties != nullptr, cudaErrorInvalidValue);
  SYL_EMULATED_REQUIRE(device == 0, cudaErrorInvalidDevice);
  *properties = {};
  std::snprintf(properties->name, sizeof(properties->name), "emulator");
  properties->totalGlobalMem = HostMemory();
  properties->sharedMemPerBlock = kDefaultSharedBytes;
  properties->sharedMemPerBlockOptin = kMaxSharedBytes;
  properties->sharedMemPerMultiprocessor = kMaxSharedBytes + 1024;
  properties->regsPerBlock = 65536;
  properties->warpSize = kWarpLanes;
  properties->maxThreadsPerBlock = kMaxThreads;
  properties->maxThreadsDim[0] = properties->maxThreadsDim[1] = kMaxThreads;
  properties->maxThreadsDim[2] = 64;
  properties->maxGridSize[0] = 0x7fffffff;
  properties->maxGridSize[1] = properties->maxGridSize[2] = 65535;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->multiProcessorCount = 1;
  properties->l2CacheSize = 1 << 20;
  properties->major = 9;
  properties->minor = 0;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  SYL_EMULATED_REQUIRE(value != nullptr, cudaErrorInvalidValue);
  cudaDeviceProp properties;
  const cudaError_t error = cudaGetDeviceProperties(&properties, device);
  if (error != cudaSuccess) return error;
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = properties.maxThreadsPerBlock; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = static_cast<int>(properties.sharedMemPerBlock); break;
    case cudaDevAttrWarpSize: *value = properties.warpSize; break;
    case cudaDevAttrMultiProcessorCount: *value = properties.multiProcessorCount; break;
    case cudaDevAttrL2CacheSize: *value = properties.l2CacheSize; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = properties.maxThreadsPerMultiProcessor; break;
    case cudaDevAttrComputeCapabilityMajor: *value = properties.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = properties.minor; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = static_cast<int>(properties.sharedMemPerMultiprocessor);
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(properties.sharedMemPerBlockOptin); break;
    default: return Note(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  SYL_EMULATED_CALL;
  SYL_EMULATED_REQUIRE(device == 0, cudaErrorInvalidDevice);
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  SYL_EMULATED_REQUIRE(device != nullptr, cudaErrorInvalidValue);
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  SYL_EMULATED_CALL;
  return cudaSuccess;
}

cudaError_t cudaDeviceReset() {
  const Call call;
  call.device.memory.FreeAll();
  call.device.streams.clear();
  call.device.events.clear();
  call.device.shared_limits.clear();
  call.device.fault = cudaSuccess;
  call.device.fault_text.clear();
  return Note(cudaSuccess);
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  SYL_EMULATED_CALL;
  SYL_EMULATED_REQUIRE(free != nullptr && total != nullptr, cudaErrorInvalidValue);
  *total = HostMemory();
  *free = *total - std::min(*total, call.device.memory.used());
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  SYL_EMULATED_REQUIRE(version != nullptr, cudaErrorInvalidValue);
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) { return cudaRuntimeGetVersion(version); }

// ---- Memory ---------------------------------------------------------------------------------------------------------

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  SYL_EMULATED_CALL;
  SYL_EMULATED_REQUIRE(memory != nullptr, cudaErrorInvalidValue);
  *memory = nullptr;
  if (bytes == 0) return cudaSuccess;
  SYL_EMULATED_REQUIRE(bytes <= HostMemory(), cudaErrorMemoryAllocation);
  *memory = call.device.memory.Allocate(bytes);
  SYL_EMULATED_REQUIRE(*memory != nullptr, cudaErrorMemoryAllocation);
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  SYL_EMULATED_CALL;
  SYL_EMULATED_REQUIRE(memory == nullptr || call.device.memory.Free(memory), cudaErrorInvalidValue);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  SYL_EMULATED_CALL;
  const Memory& memory = call.device.memory;
  SYL_EMULATED_REQUIRE(kind >= cudaMemcpyHostToHost && kind <= cudaMemcpyDefault, cudaErrorInvalidMemcpyDirection);
  SYL_EMULATED_REQUIRE(call.device.HasStream(stream), cudaErrorInvalidResourceHandle);
  if (bytes == 0) return cudaSuccess;
  SYL_EMULATED_REQUIRE(to != nullptr && from != nullptr, cudaErrorInvalidValue);
  SYL_EMULATED_REQUIRE(memory.Holds(to, bytes) && memory.Holds(from, bytes), cudaErrorInvalidValue);
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  SYL_EMULATED_REQUIRE(
      kind == cudaMemcpyDefault || (memory.IsDevice(to) == to_device && memory.IsDevice(from) == from_device),
      cudaErrorInvalidValue);
  std::memmove(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
}

cudaError_t cudaMemsetAsync(void* memory, int byte, size_t bytes, cudaStream_t stream) {
  SYL_EMULATED_CALL;
  SYL_EMULATED_REQUIRE(call.device.HasStream(stream), cudaErrorInvalidResourceHandle);
  if (bytes == 0) return cudaSuccess;
  SYL_EMULATED_REQUIRE(call.device.memory.IsDevice(memory) && call.device.memory.Holds(memory, bytes),
                       cudaErrorInvalidValue);
  std::memset(memory, byte, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemset(void* memory, int byte, size_t bytes) { return cudaMemsetAsync(memory, byte, bytes, nullptr); }

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  SYL_EMULATED_CALL;
  SYL_EMULATED_REQUIRE(attributes != nullptr, cudaErrorInvalidValue);
  const bool device = call.device.memory.IsDevice(pointer);
  *attributes = {};
  attributes->type = device ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered;
  attributes->device = device ? 0 : -2;
  attributes->devicePointer = device ? const_cast<void*>(pointer) : nullptr;
  attributes->hostPointer = device ? nullptr : const_cast<void*>(pointer);
  return cudaSuccess;
}

// ---- Streams and events ---------------------------------------------------------------------------------------------

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  SYL_EMULATED_CALL;
  SYL_EMULATED_REQUIRE(stream != nullptr && flags <= cudaStreamNonBlocking, cudaErrorInvalidValue);
  auto made = std::make_unique<CUstream_st>();
  *stream = made.get();
  call.device.streams[*stream] = std::move(made);
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  SYL_EMULATED_CALL;
  SYL_EMULATED_REQUIRE(call.device.streams.erase(stream) != 0, cudaErrorInvalidResourceHandle);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  SYL_EMULATED_CALL;
  SYL_EMULATED_REQUIRE(call.device.HasStream(stream), cudaErrorInvalidResourceHandle);
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) { return cudaStreamSynchronize(stream); }

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  SYL_EMULATED_CALL;
  SYL_EMULATED_REQUIRE(call.device.HasStream(stream) && call.device.events.count(event) != 0,
                       cudaErrorInvalidResourceHandle);
  SYL_EMULATED_REQUIRE(flags == 0, cudaErrorInvalidValue);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  SYL_EMULATED_CALL;
  SYL_EMULATED_REQUIRE(event != nullptr && flags <= (cudaEventBlockingSync | cudaEventDisableTiming),
                       cudaErrorInvalidValue);
  auto made = std::make_unique<CUevent_st>();
  made->timed = (flags & cudaEventDisableTiming) == 0;
  *event = made.get();
  call.device.events[*event] = std::move(made);
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  SYL_EMULATED_CALL;
  SYL_EMULATED_REQUIRE(call.device.events.erase(event) != 0, cudaErrorInvalidResourceHandle);
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  SYL_EMULATED_CALL;
  SYL_EMULATED_REQUIRE(call.device.HasStream(stream) && call.device.events.count(event) != 0,
                       cudaErrorInvalidResourceHandle);
  event->time = std::chrono::steady_clock::now();
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  SYL_EMULATED_CALL;
  SYL_EMULATED_REQUIRE(call.device.events.count(event) != 0, cudaErrorInvalidResourceHandle);
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) { return cudaEventSynchronize(event); }

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  SYL_EMULATED_CALL;
  SYL_EMULATED_REQUIRE(milliseconds != nullptr, cudaErrorInvalidValue);
  for (cudaEvent_t event : {start, end}) {
    SYL_EMULATED_REQUIRE(call.device.events.count(event) != 0 && event->timed && event->time.has_value(),
                         cudaErrorInvalidResourceHandle);
  }
  *milliseconds = std::chrono::duration<float, std::milli>(*end->time - *start->time).count();
  return cudaSuccess;
}

// ---- Kernels --------------------------------------------------------------------------------------------------------

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  SYL_EMULATED_CALL;
  SYL_EMULATED_REQUIRE(kernel != nullptr, cudaErrorInvalidDeviceFunction);
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
  SYL_EMULATED_REQUIRE(attribute == cudaFuncAttributeMaxDynamicSharedMemorySize && value >= 0 &&
                           static_cast<size_t>(value) <= kMaxSharedBytes,
                       cudaErrorInvalidValue);
  call.device.shared_limits[kernel] = static_cast<size_t>(value);
  return cudaSuccess;
}
