// CUDA's error codes, by their numbers and with their texts.
#ifndef SYLVESTER_NATIVE_CUDA_EMULATOR_ERRORS_H_
#define SYLVESTER_NATIVE_CUDA_EMULATOR_ERRORS_H_

#define SYL_EMULATED_ERRORS(ERROR)                                                                           \
  ERROR(cudaSuccess, 0, "no error")                                                                          \
  ERROR(cudaErrorInvalidValue, 1, "invalid argument")                                                        \
  ERROR(cudaErrorMemoryAllocation, 2, "out of memory")                                                       \
  ERROR(cudaErrorInitializationError, 3, "initialization error")                                             \
  ERROR(cudaErrorInvalidConfiguration, 9, "invalid configuration argument")                                  \
  ERROR(cudaErrorInvalidMemcpyDirection, 21, "invalid copy direction for memcpy")                            \
  ERROR(cudaErrorStubLibrary, 34, "CUDA driver is a stub library")                                           \
  ERROR(cudaErrorInsufficientDriver, 35, "CUDA driver version is insufficient for CUDA runtime version")     \
  ERROR(cudaErrorInvalidDeviceFunction, 98, "invalid device function")                                       \
  ERROR(cudaErrorNoDevice, 100, "no CUDA-capable device is detected")                                        \
  ERROR(cudaErrorInvalidDevice, 101, "invalid device ordinal")                                               \
  ERROR(cudaErrorNoKernelImageForDevice, 209, "no kernel image is available for execution on the device")    \
  ERROR(cudaErrorUnsupportedPtxVersion, 222, "the provided PTX was compiled with an unsupported toolchain.") \
  ERROR(cudaErrorInvalidResourceHandle, 400, "invalid resource handle")                                      \
  ERROR(cudaErrorNotReady, 600, "device not ready")                                                          \
  ERROR(cudaErrorIllegalAddress, 700, "an illegal memory access was encountered")                            \
  ERROR(cudaErrorLaunchOutOfResources, 701, "too many resources requested for launch")                       \
  ERROR(cudaErrorMisalignedAddress, 716, "misaligned address")                                               \
  ERROR(cudaErrorLaunchFailure, 719, "unspecified launch failure")                                           \
  ERROR(cudaErrorNotSupported, 801, "operation not supported")                                               \
  ERROR(cudaErrorUnknown, 999, "unknown error")

#define SYL_EMULATED_ERROR(name, number, text) name = number,
enum cudaError { SYL_EMULATED_ERRORS(SYL_EMULATED_ERROR) };
#undef SYL_EMULATED_ERROR
using cudaError_t = cudaError;

#endif
