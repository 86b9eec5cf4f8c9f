#ifndef SYLVESTER_NATIVE_CPU_KV_FINITE_H_
#define SYLVESTER_NATIVE_CPU_KV_FINITE_H_

#include <sylvester/common.h>

namespace sylvester {

// BAD_DATA naming the first element of rows x cols floats that is not finite, on behalf of a function of the ABI.
// largest: the largest magnitude of all, or NULL.
syl_status CheckFinite(const char* function, const char* name, const float* x, int64_t stride, int64_t rows,
                       int64_t cols, syl_pool* pool = nullptr, float* largest = nullptr);

}  // namespace sylvester

#endif
