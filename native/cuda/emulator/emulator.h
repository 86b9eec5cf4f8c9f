// CUDA for the host's compiler: see native/cuda/device.h.
#ifndef SYLVESTER_NATIVE_CUDA_EMULATOR_EMULATOR_H_
#define SYLVESTER_NATIVE_CUDA_EMULATOR_EMULATOR_H_

#include "native/cuda/emulator/atomic.h"
#include "native/cuda/emulator/half.h"
#include "native/cuda/emulator/intrinsics.h"
#include "native/cuda/emulator/options.h"
#include "native/cuda/emulator/runtime.h"
#include "native/cuda/emulator/shared.h"
#include "native/cuda/emulator/types.h"
#include "native/cuda/emulator/warp.h"

namespace sylvester {

template <typename... Params>
cudaError_t Launch(void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                   emulator::Just<Params>... args) {
  static_assert((sizeof(Params) + ... + 0) <= 4096, "a kernel's parameters have 4 KB");
  auto call = [&] { kernel(args...); };
  const auto body = [](void* argument) { (*static_cast<decltype(call)*>(argument))(); };
  return emulator::LaunchBody(reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, stream, body, &call);
}

}  // namespace sylvester

#endif
