/* Sylvester: native inference kernels. This header includes the whole C ABI of the CPU library; that of CUDA is
 * <sylvester/cuda.h>. */
#ifndef SYLVESTER_H_
#define SYLVESTER_H_

#include <sylvester/common.h>
#include <sylvester/dlm.h>
#include <sylvester/hadamard.h>
#include <sylvester/kron.h>
#include <sylvester/kv.h>
#include <sylvester/logits.h>
#include <sylvester/nn.h>
#include <sylvester/spec.h>

#endif
