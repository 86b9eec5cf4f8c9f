// A plan whose memory is refused: every allocation of syl_hadamard_new in turn.
#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cstdlib>
#include <new>

#include "tests/native/allocations.h"
#include "tests/native/hadamard/rotation.h"
#include "tests/native/testing.h"

thread_local int64_t sylvester_test::allocations_left = -1;

namespace {

using sylvester_test::allocations_left;

void* Allocate(size_t size) {
  if (allocations_left == 0) return nullptr;
  if (allocations_left > 0) --allocations_left;
  return std::malloc(size == 0 ? 1 : size);
}

// GCC would see free() after an operator new that it does not look into.
__attribute__((noinline)) void Release(void* memory) { std::free(memory); }

}  // namespace

void* operator new(size_t size) {
  void* memory = Allocate(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(size_t size, const std::nothrow_t&) noexcept { return Allocate(size); }
void* operator new[](size_t size) { return operator new(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return Allocate(size); }
void operator delete(void* memory) noexcept { Release(memory); }
void operator delete(void* memory, size_t) noexcept { Release(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { Release(memory); }
void operator delete[](void* memory) noexcept { Release(memory); }
void operator delete[](void* memory, size_t) noexcept { Release(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { Release(memory); }

namespace {

using namespace sylvester_test;

TEST(HadamardMemory, PlansRefuseWhenThereIsNone) {
  for (const int32_t base : {12, 28, 36, 40, 156}) {
    Rotation rotation = Rotation(base * 8).Family(SYL_HADAMARD_SYLVESTER, base).Count(1, 1, 3);
    rotation.Signs(2, 1).Gather(base * 9, 1, 2).Quantize(SYL_HADAMARD_I8, 8).GroupMap(3);
    const syl_hadamard_options options = rotation.Options();
    syl_hadamard* plan = nullptr;
    const int64_t refusals = RefuseAllocations(
        "syl_hadamard_new: out of memory", [&] { return syl_hadamard_new(&options, &plan); },
        [&](syl_status status) {
          EXPECT_EQ(plan == nullptr, status != SYL_OK);
          syl_hadamard_free(plan);
          plan = nullptr;
        });
    EXPECT_GT(refusals, 5) << base;
  }
}

TEST(HadamardMemory, MatricesRefuseWhenThereIsNone) {
  std::vector<float> h(144, 7);
  allocations_left = 0;
  const syl_status status = syl_hadamard_matrix(SYL_HADAMARD_SYLVESTER, 12, 12, 0, 0, h.data());
  allocations_left = -1;
  EXPECT_REFUSED(status, SYL_OUT_OF_MEMORY, "syl_hadamard_matrix: out of memory");
  EXPECT_EQ(h, std::vector<float>(144, 7));
}

}  // namespace
