// What the emulated device remembers between calls.
#ifndef SYLVESTER_NATIVE_CUDA_EMULATOR_DEVICE_STATE_H_
#define SYLVESTER_NATIVE_CUDA_EMULATOR_DEVICE_STATE_H_

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "native/cuda/emulator/block.h"
#include "native/cuda/emulator/memory.h"
#include "native/cuda/emulator/options.h"
#include "native/cuda/emulator/runtime.h"

struct CUstream_st {};

struct CUevent_st {
  bool timed = true;
  std::optional<std::chrono::steady_clock::time_point> time;
};

namespace sylvester::emulator {

struct Device {
  // Every call of the runtime holds it, a launch for as long as its kernel runs.
  std::mutex mutex;
  Memory memory;
  std::map<cudaStream_t, std::unique_ptr<CUstream_st>> streams;
  std::map<cudaEvent_t, std::unique_ptr<CUevent_st>> events;
  std::map<const void*, size_t> shared_limits;  // of kernels that have asked for more
  std::unique_ptr<Block> block;
  Options options;
  cudaError_t fault = cudaSuccess;
  std::string fault_text;

  bool HasStream(cudaStream_t stream) const { return stream == nullptr || streams.count(stream) != 0; }
};

Device& TheDevice();
// Remembers an error as the calling thread's last.
cudaError_t Note(cudaError_t error);

constexpr size_t kDefaultSharedBytes = 48 << 10;

}  // namespace sylvester::emulator

#endif
