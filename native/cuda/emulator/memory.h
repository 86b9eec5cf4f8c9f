// The device's memory: host memory with guard zones.
#ifndef SYLVESTER_NATIVE_CUDA_EMULATOR_MEMORY_H_
#define SYLVESTER_NATIVE_CUDA_EMULATOR_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace sylvester::emulator {

class Memory {
 public:
  static constexpr size_t kAlignment = 256;

  Memory() = default;
  ~Memory() { FreeAll(); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // NULL when there is not enough.
  void* Allocate(size_t bytes);
  // False when `memory` is not what Allocate gave.
  bool Free(void* memory);
  void FreeAll();
  size_t used() const { return used_; }

  bool IsDevice(const void* pointer) const { return Find(pointer) != blocks_.end(); }
  // Host memory, or all bytes within one allocation.
  bool Holds(const void* pointer, size_t bytes) const;
  // Empty when the guard zones are as they were; else which allocation has bytes written beside it, and mends it.
  std::string FindOverrun();

 private:
  using Blocks = std::map<uintptr_t, size_t>;  // bytes by address

  Blocks::const_iterator Find(const void* pointer) const;

  Blocks blocks_;
  size_t used_ = 0;
};

}  // namespace sylvester::emulator

#endif
