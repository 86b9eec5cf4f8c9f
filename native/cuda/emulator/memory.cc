#include "native/cuda/emulator/memory.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "native/cuda/emulator/fiber.h"

namespace sylvester::emulator {
namespace {

// AddressSanitizer guards every allocation itself, for reads as well.
constexpr size_t kGuardBytes = kAddressSanitizer ? 0 : 256;
constexpr unsigned char kGuard = 0xa5;
// What memory holds at first: NaN as a float.
constexpr int kPoison = 0xff;

}  // namespace

void* Memory::Allocate(size_t bytes) {
  size_t whole;
  if (__builtin_add_overflow(bytes, 2 * kGuardBytes, &whole)) return nullptr;
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, whole) != 0) return nullptr;
  char* const begin = static_cast<char*>(memory) + kGuardBytes;
  std::memset(memory, kGuard, kGuardBytes);
  std::memset(begin, kPoison, bytes);
  std::memset(begin + bytes, kGuard, kGuardBytes);
  blocks_[reinterpret_cast<uintptr_t>(begin)] = bytes;
  used_ += bytes;
  return begin;
}

bool Memory::Free(void* memory) {
  const auto found = blocks_.find(reinterpret_cast<uintptr_t>(memory));
  if (found == blocks_.end()) return false;
  used_ -= found->second;
  blocks_.erase(found);
  std::free(static_cast<char*>(memory) - kGuardBytes);
  return true;
}

void Memory::FreeAll() {
  while (!blocks_.empty()) Free(reinterpret_cast<void*>(blocks_.begin()->first));
}

Memory::Blocks::const_iterator Memory::Find(const void* pointer) const {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  auto found = blocks_.upper_bound(address);
  if (found == blocks_.begin()) return blocks_.end();
  --found;
  return address < found->first + found->second ? found : blocks_.end();
}

bool Memory::Holds(const void* pointer, size_t bytes) const {
  const auto found = Find(pointer);
  return found == blocks_.end() || bytes <= found->first + found->second - reinterpret_cast<uintptr_t>(pointer);
}

std::string Memory::FindOverrun() {
  const auto is_guard = [](unsigned char byte) { return byte == kGuard; };
  for (const auto& [address, bytes] : blocks_) {
    auto* const begin = reinterpret_cast<unsigned char*>(address);
    for (unsigned char* zone : {begin - kGuardBytes, begin + bytes}) {
      const unsigned char* changed = std::find_if_not(zone, zone + kGuardBytes, is_guard);
      if (changed == zone + kGuardBytes) continue;
      char text[128];
      std::snprintf(text, sizeof(text), "byte %td of an allocation of %zu bytes has been written", changed - begin,
                    static_cast<size_t>(bytes));
      std::memset(zone, kGuard, kGuardBytes);
      return text;
    }
  }
  return {};
}

}  // namespace sylvester::emulator
