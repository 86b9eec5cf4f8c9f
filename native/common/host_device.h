// Functions that a CUDA kernel and the processor run alike.
#ifndef SYLVESTER_NATIVE_COMMON_HOST_DEVICE_H_
#define SYLVESTER_NATIVE_COMMON_HOST_DEVICE_H_

#ifdef __CUDACC__
#define SYL_HOST_DEVICE __host__ __device__
#else
#define SYL_HOST_DEVICE
#endif

#endif
