// Fibers: flows of control that hand the processor to each other by name. A few lines of assembly on x86-64 and
// AArch64, ucontext elsewhere; AddressSanitizer is told of each switch.
#ifndef SYLVESTER_NATIVE_CUDA_EMULATOR_FIBER_H_
#define SYLVESTER_NATIVE_CUDA_EMULATOR_FIBER_H_

#include <cstddef>
#include <vector>

#if !defined(SYLVESTER_EMULATOR_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define SYLVESTER_EMULATOR_UCONTEXT
#endif
#ifdef SYLVESTER_EMULATOR_UCONTEXT
#include <ucontext.h>
#endif

namespace sylvester::emulator {

#ifdef __SANITIZE_ADDRESS__
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

// Where a flow of control goes on; a default one takes up the caller's when it is first switched from.
struct Fiber {
#ifdef SYLVESTER_EMULATOR_UCONTEXT
  ucontext_t context;
#else
  void* stack_pointer = nullptr;
#endif
  // AddressSanitizer's.
  void* fake_stack = nullptr;
  const void* stack = nullptr;
  size_t stack_bytes = 0;
};

// Stacks of kStackBytes with an unmapped page below each: an overflow is a segmentation fault.
class StackPool {
 public:
  static constexpr size_t kStackBytes = 256 << 10;

  StackPool() = default;
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  // Makes the next `count` calls of Take() possible; false when the system has no memory.
  bool Reserve(size_t count);
  char* Take();
  void Give(char* stack) { free_.push_back(stack); }
  // The same for a stack whose fiber was left in the middle.
  void GiveAbandoned(char* stack);

 private:
  std::vector<char*> all_, free_;
};

// Makes `fiber` call entry(), which must not return, on `stack`.
void Prepare(Fiber* fiber, char* stack, void (*entry)());
void Switch(Fiber* from, Fiber* to);
// The same where nobody will switch back to `from`.
[[noreturn]] void SwitchForGood(Fiber* from, Fiber* to);
// An entry calls it first.
void Entered();

}  // namespace sylvester::emulator

#endif
