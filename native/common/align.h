// Parts of a workspace start at cache lines.
#ifndef SYLVESTER_NATIVE_COMMON_ALIGN_H_
#define SYLVESTER_NATIVE_COMMON_ALIGN_H_

#include <cstdint>

namespace sylvester {

constexpr int64_t kAlignment = 64;

constexpr int64_t Aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// The first aligned byte of memory that has kAlignment bytes more than are needed.
inline uint8_t* Aligned(void* memory) {
  const auto address = reinterpret_cast<uintptr_t>(memory);
  return static_cast<uint8_t*>(memory) + (kAlignment - address % kAlignment) % kAlignment;
}

}  // namespace sylvester

#endif
