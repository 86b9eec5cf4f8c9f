// What a .cu file includes for CUDA: the toolkit's headers under nvcc, and in a build with SYLVESTER_CUDA_EMULATOR the
// emulator, which lets the host's compiler build the same file. Beyond CUDA's own names there are
//
//   Launch(kernel, grid, block, shared_bytes, stream, args...)   in place of <<<>>>; arguments convert as in a call
//   DynamicShared<T>(byte_offset, count)                         an array in the launch's dynamic shared memory
//   StaticShared(array)                                          a view of `__shared__ T array[n]`
//   SharedPtr<T>, SharedCast<U>(pointer)                         what both give, and the same bytes as U
//
// A SharedPtr is a plain T* under nvcc. In the emulator each access through it is checked: bounds, alignment and, if
// asked for, races. So that both compilers take the same source, an element is read into a variable of its own type
// (`float4 v = p[i];`, never `auto` or `p[i].x`) and written whole.
//
// The emulator's build needs -Wno-unknown-pragmas for `#pragma unroll`.
#ifndef SYLVESTER_NATIVE_CUDA_DEVICE_H_
#define SYLVESTER_NATIVE_CUDA_DEVICE_H_

#include <cstddef>
#include <cstdint>

#ifdef SYLVESTER_CUDA_EMULATOR

#include "native/cuda/emulator/emulator.h"

#else

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

namespace sylvester {

template <typename T>
struct KernelArgument {
  using Type = T;
};

// The type comes from the kernel alone. A launch's error is also the thread's last error, as CUDA has it.
template <typename... Params>
cudaError_t Launch(void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                   typename KernelArgument<Params>::Type... args) {
  static_assert((sizeof(Params) + ... + 0) <= 4096, "a kernel's parameters have 4 KB");
  void* pointers[] = {const_cast<void*>(static_cast<const void*>(&args))..., nullptr};
  return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block, pointers, shared_bytes, stream);
}

#ifdef __CUDACC__

template <typename T>
using SharedPtr = T*;

template <typename T>
__device__ __forceinline__ T* DynamicShared(size_t byte_offset, size_t /*count*/) {
  extern __shared__ __align__(16) unsigned char dynamic_shared[];
  return reinterpret_cast<T*>(dynamic_shared + byte_offset);
}

template <typename T, size_t n>
__device__ __forceinline__ T* StaticShared(T (&array)[n]) {
  return array;
}

template <typename U, typename T>
__device__ __forceinline__ U* SharedCast(T* pointer) {
  return reinterpret_cast<U*>(pointer);
}

#endif

}  // namespace sylvester

#endif

#endif
