#include "native/cuda/emulator/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#ifndef SYLVESTER_EMULATOR_UCONTEXT

// syl_emulator_switch(&from.stack_pointer, to.stack_pointer): pushes the registers that a call preserves, changes
// stacks, pops them. A new fiber's stack pops zeros, the entry among them, and returns into syl_emulator_enter.
extern "C" void syl_emulator_switch(void** from, void* to);
extern "C" void syl_emulator_enter();

#ifdef __x86_64__
asm(R"(
  .text
  .p2align 4
  .hidden syl_emulator_switch
  .globl syl_emulator_switch
  .type syl_emulator_switch, @function
syl_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size syl_emulator_switch, .-syl_emulator_switch
  .p2align 4
  .hidden syl_emulator_enter
  .globl syl_emulator_enter
  .type syl_emulator_enter, @function
syl_emulator_enter:
  callq *%rbx
  ud2
  .size syl_emulator_enter, .-syl_emulator_enter
)");
namespace {
constexpr int kFrameWords = 7, kEntryWord = 4, kReturnWord = 6;
}  // namespace
#else
asm(R"(
  .text
  .p2align 4
  .hidden syl_emulator_switch
  .globl syl_emulator_switch
  .type syl_emulator_switch, %function
syl_emulator_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
  .size syl_emulator_switch, .-syl_emulator_switch
  .p2align 4
  .hidden syl_emulator_enter
  .globl syl_emulator_enter
  .type syl_emulator_enter, %function
syl_emulator_enter:
  blr x19
  brk #1
  .size syl_emulator_enter, .-syl_emulator_enter
)");
namespace {
constexpr int kFrameWords = 20, kEntryWord = 0, kReturnWord = 11;
}  // namespace
#endif

#endif

namespace sylvester::emulator {
namespace {

constexpr size_t kGuardBytes = 64 << 10;  // the largest page of any system here

#ifdef __SANITIZE_ADDRESS__
// The fiber that was switched from last: who arrives learns its stack.
Fiber* previous = nullptr;
#endif

void BeforeSwitch([[maybe_unused]] Fiber* from, [[maybe_unused]] const Fiber* to, [[maybe_unused]] bool for_good) {
#ifdef __SANITIZE_ADDRESS__
  previous = from;
  __sanitizer_start_switch_fiber(for_good ? nullptr : &from->fake_stack, to->stack, to->stack_bytes);
#endif
}

void AfterSwitch([[maybe_unused]] const Fiber* arrived) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(arrived ? arrived->fake_stack : nullptr, &previous->stack, &previous->stack_bytes);
#endif
}

void Jump(Fiber* from, Fiber* to) {
#ifdef SYLVESTER_EMULATOR_UCONTEXT
  swapcontext(&from->context, &to->context);
#else
  syl_emulator_switch(&from->stack_pointer, to->stack_pointer);
#endif
}

}  // namespace

StackPool::~StackPool() {
  for (char* stack : all_) munmap(stack - kGuardBytes, kGuardBytes + kStackBytes);
}

bool StackPool::Reserve(size_t count) {
  while (free_.size() < count) {
    void* memory =
        mmap(nullptr, kGuardBytes + kStackBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return false;
    char* stack = static_cast<char*>(memory) + kGuardBytes;
    all_.push_back(stack);
    if (mprotect(stack, kStackBytes, PROT_READ | PROT_WRITE) != 0) return false;
    free_.push_back(stack);
  }
  return true;
}

char* StackPool::Take() {
  char* stack = free_.back();
  free_.pop_back();
  return stack;
}

void StackPool::GiveAbandoned(char* stack) {
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(stack, kStackBytes);
#endif
  free_.push_back(stack);
}

void Prepare(Fiber* fiber, char* stack, void (*entry)()) {
  // Without these shifts all stacks' tops would share a few sets of the caches. A stack keeps its own, and its pages.
  const auto number = reinterpret_cast<uintptr_t>(stack) / (kGuardBytes + StackPool::kStackBytes);
  const size_t bytes = StackPool::kStackBytes - number % 32 * 4096 - number * 5 % 64 * 64;
  fiber->fake_stack = nullptr;
  fiber->stack = stack;
  fiber->stack_bytes = bytes;
#ifdef SYLVESTER_EMULATOR_UCONTEXT
  getcontext(&fiber->context);
  fiber->context.uc_stack.ss_sp = stack;
  fiber->context.uc_stack.ss_size = bytes;
  fiber->context.uc_link = nullptr;
  makecontext(&fiber->context, entry, 0);
#else
  void* frame[kFrameWords] = {};
  frame[kEntryWord] = reinterpret_cast<void*>(entry);
  frame[kReturnWord] = reinterpret_cast<void*>(syl_emulator_enter);
  fiber->stack_pointer = stack + bytes - sizeof(frame);
  std::memcpy(fiber->stack_pointer, frame, sizeof(frame));
#endif
}

void Switch(Fiber* from, Fiber* to) {
  BeforeSwitch(from, to, false);
  Jump(from, to);
  AfterSwitch(from);
}

void SwitchForGood(Fiber* from, Fiber* to) {
  BeforeSwitch(from, to, true);
  Jump(from, to);
  std::abort();
}

void Entered() { AfterSwitch(nullptr); }

}  // namespace sylvester::emulator
