// Element types of files: block sizes and the plain conversion to float.
#ifndef SYLVESTER_NATIVE_COMMON_DTYPE_H_
#define SYLVESTER_NATIVE_COMMON_DTYPE_H_

#include <sylvester/common.h>

namespace sylvester {

// y[i] = float(x[i]); no checks. n is a multiple of the type's block size.
void Dequantize(syl_dtype type, const void* x, int64_t n, float* y);

}  // namespace sylvester

#endif
