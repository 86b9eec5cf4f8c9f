#include <numeric>
#include <random>

#include "native/cuda/emulator/device_state.h"
#include "native/cuda/emulator/names.h"

namespace sylvester::emulator {
namespace {

constexpr unsigned kMaxBlockZ = 64;
constexpr unsigned kMaxGridX = 0x7fffffff, kMaxGridYZ = 65535;

bool FitsDevice(dim3 grid, dim3 block_size) {
  const auto within = [](unsigned size, unsigned most) { return size >= 1 && size <= most; };
  return within(grid.x, kMaxGridX) && within(grid.y, kMaxGridYZ) && within(grid.z, kMaxGridYZ) &&
         within(block_size.x, kMaxThreads) && within(block_size.y, kMaxThreads) && within(block_size.z, kMaxBlockZ) &&
         block_size.x * block_size.y * block_size.z <= static_cast<unsigned>(kMaxThreads);
}

// The grid's blocks in the order of the options. Random ones go round in steps that have no divisor in common with
// their number.
class BlockOrder {
 public:
  BlockOrder(uint64_t count, const Options& options) : count_(count) {
    if (options.order == Order::kReverse) next_ = step_ = count - 1;
    if (options.order == Order::kRandom) {
      std::mt19937_64 random(options.seed);
      next_ = random() % count;
      do {
        step_ = 1 + random() % count;
      } while (std::gcd(step_, count) != 1);
    }
  }

  uint64_t count() const { return count_; }
  uint64_t Next() {
    const uint64_t n = next_;
    next_ = (next_ + step_) % count_;  // no overflow: count_ < 2^63
    return n;
  }

 private:
  uint64_t count_;
  uint64_t next_ = 0;
  uint64_t step_ = 1;
};

cudaError_t SetFault(Device* device, cudaError_t error, const void* kernel, const std::string& text) {
  device->fault = error;
  device->fault_text = "kernel " + FunctionName(kernel) + ", " + text;
  return Note(error);
}

}  // namespace

cudaError_t LaunchBody(const void* kernel, dim3 grid, dim3 block_size, size_t shared_bytes, cudaStream_t stream,
                       void (*body)(void*), void* argument) {
  Device& device = TheDevice();
  const std::lock_guard<std::mutex> lock(device.mutex);
  if (device.fault != cudaSuccess) return Note(device.fault);
  if (kernel == nullptr) return Note(cudaErrorInvalidDeviceFunction);
  if (!device.HasStream(stream)) return Note(cudaErrorInvalidResourceHandle);
  if (!FitsDevice(grid, block_size)) return Note(cudaErrorInvalidConfiguration);
  const auto limit = device.shared_limits.find(kernel);
  if (shared_bytes > (limit != device.shared_limits.end() ? limit->second : kDefaultSharedBytes)) {
    return Note(cudaErrorInvalidValue);
  }

  if (!device.block) device.block = std::make_unique<Block>();
  block = device.block.get();
  if (!block->StartLaunch(grid, block_size, shared_bytes, device.options)) return Note(cudaErrorMemoryAllocation);
  BlockOrder order(uint64_t{grid.x} * grid.y * grid.z, device.options);
  for (uint64_t i = 0; i < order.count(); ++i) {
    const uint64_t n = order.Next(), row = n / grid.x;
    const uint3 index = {static_cast<unsigned>(n % grid.x), static_cast<unsigned>(row % grid.y),
                         static_cast<unsigned>(row / grid.y)};
    if (!block->Run(index, body, argument)) {
      return SetFault(&device, block->fault().error, kernel, block->fault().text);
    }
  }
  const std::string overrun = device.memory.FindOverrun();
  if (!overrun.empty()) return SetFault(&device, cudaErrorIllegalAddress, kernel, overrun);
  return cudaSuccess;
}

void SetOptions(const Options& options) {
  Device& device = TheDevice();
  const std::lock_guard<std::mutex> lock(device.mutex);
  device.options = options;
}

Options GetOptions() {
  Device& device = TheDevice();
  const std::lock_guard<std::mutex> lock(device.mutex);
  return device.options;
}

std::string FaultText() {
  Device& device = TheDevice();
  const std::lock_guard<std::mutex> lock(device.mutex);
  return device.fault_text;
}

void ClearFault() {
  Device& device = TheDevice();
  const std::lock_guard<std::mutex> lock(device.mutex);
  device.fault = cudaSuccess;
  device.fault_text.clear();
  Note(cudaSuccess);
}

}  // namespace sylvester::emulator
