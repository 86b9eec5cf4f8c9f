/* Sylvester: native inference kernels. This header includes the whole C ABI. */
#ifndef SYLVESTER_H_
#define SYLVESTER_H_

#include <sylvester/common.h>
#include <sylvester/logits.h>
#include <sylvester/nn.h>

#endif
