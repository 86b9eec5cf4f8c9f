// Functions whose memory is refused. The operators new of the test program are in hadamard/memory_test.cc.
#ifndef SYLVESTER_TESTS_NATIVE_ALLOCATIONS_H_
#define SYLVESTER_TESTS_NATIVE_ALLOCATIONS_H_

#include "tests/native/testing.h"

namespace sylvester_test {

// (__thread, since what GCC calls for a thread_local of another file looks like a NULL pointer to its sanitizer.)
// Allocations of this thread that succeed before one fails; none fails when it is negative.
extern __thread int64_t allocations_left;

// Refuses each allocation of run in turn, until there is none left to refuse; run must then say so in `text` and
// succeed only where it can do without. Counts refusals. after is called with each status, with memory.
template <typename Run, typename After>
int64_t RefuseAllocations(const char* text, Run run, After after) {
  int64_t refusals = 0;
  for (int64_t allowed = 0, left = 0; left == 0; ++allowed) {
    allocations_left = allowed;
    const syl_status status = run();
    left = allocations_left;
    allocations_left = -1;
    if (status != SYL_OK) {
      ++refusals;
      EXPECT_REFUSED(status, SYL_OUT_OF_MEMORY, text);
    }
    after(status);
    EXPECT_TRUE(left == 0 || status == SYL_OK) << syl_last_error();
    if (testing::Test::HasFailure()) break;
  }
  return refusals;
}

}  // namespace sylvester_test

#endif
