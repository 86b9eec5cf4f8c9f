// A plan whose memory is refused: every allocation of syl_hadamard_new in turn.
#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cstdlib>
#include <new>

#include "tests/native/hadamard/rotation.h"
#include "tests/native/testing.h"

namespace {

// Allocations of this thread that succeed before one fails; none fails when it is negative.
thread_local int64_t allocations_left = -1;

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
    int64_t refusals = 0;
    for (int64_t allowed = 0, left = 0; left == 0; ++allowed) {
      syl_hadamard* plan = nullptr;
      allocations_left = allowed;
      const syl_status status = syl_hadamard_new(&options, &plan);
      left = allocations_left;
      allocations_left = -1;
      // The buffer of a stable sort is one that the library can do without.
      if (status != SYL_OK) {
        ++refusals;
        ASSERT_EQ(plan, nullptr);
        EXPECT_REFUSED(status, SYL_OUT_OF_MEMORY, "syl_hadamard_new: out of memory");
      }
      ASSERT_TRUE(left == 0 || status == SYL_OK) << syl_last_error();
      syl_hadamard_free(plan);
    }
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
