/* Sylvester on CUDA: devices, memory, streams, and the CUDA twins of the kernels. This is the header of a library of
 * its own, libsylvester_cuda, so that the CPU library never needs a driver. libsylvester_cuda_emu has the same
 * functions and runs the same kernels on the host, for tests.
 *
 * Kernel calls only enqueue work on a stream: they neither wait nor allocate. Results have the bits of the CPU library.
 * Pointers to elements are device pointers (memory that the device can reach), aligned to their element type: others
 * are BAD_VALUE, and so is running a plan on another device than its own. A fault of a kernel shows up in a later call,
 * usually syl_cuda_stream_wait, as SYL_INTERNAL.
 */
#ifndef SYLVESTER_CUDA_H_
#define SYLVESTER_CUDA_H_

#include <sylvester/common.h>
#include <sylvester/hadamard.h>

#ifdef __cplusplus
extern "C" {
#endif

/* SYL_ABI_VERSION this library was built with. */
SYL_API int32_t syl_cuda_abi_version(void);
/* Text of the calling thread's last failed syl_cuda_* call; empty after none. */
SYL_API const char* syl_cuda_last_error(void);

/* ---- Devices, memory, streams --------------------------------------------------------------------------------------
 * Errors: NULL_ARGUMENT, BAD_VALUE, OUT_OF_MEMORY, UNSUPPORTED (no driver, no device, a device too old), INTERNAL (any
 * other answer of the CUDA runtime; the text quotes it). */

typedef struct syl_cuda_device {
  uint32_t struct_size; /* sizeof(syl_cuda_device) */
  int32_t emulated;     /* 1: the host emulator */
  int32_t major, minor; /* compute capability */
  int32_t multiprocessors;
  int32_t reserved;
  int64_t memory; /* bytes */
  char name[128];
} syl_cuda_device;

SYL_API syl_status syl_cuda_device_count(int32_t* count);
SYL_API syl_status syl_cuda_device_info(int32_t device, syl_cuda_device* info);
/* The device of the calling thread's following calls; 0 at first. */
SYL_API syl_status syl_cuda_device_use(int32_t device);

/* bytes >= 1; at least 256-byte aligned. */
SYL_API syl_status syl_cuda_malloc(int64_t bytes, void** memory);
SYL_API syl_status syl_cuda_free(void* memory);

/* A cudaStream_t; NULL is the default stream. */
typedef void* syl_cuda_stream;
SYL_API syl_status syl_cuda_stream_new(syl_cuda_stream* stream);
SYL_API syl_status syl_cuda_stream_free(syl_cuda_stream stream);
/* Waits until all work of the stream is done. */
SYL_API syl_status syl_cuda_stream_wait(syl_cuda_stream stream);
/* Enqueues a copy between any two of host and device memory. Host memory must stay as it is until the stream has come
 * to it. */
SYL_API syl_status syl_cuda_copy(void* to, const void* from, int64_t bytes, syl_cuda_stream stream);
SYL_API syl_status syl_cuda_fill(void* memory, int32_t byte, int64_t bytes, syl_cuda_stream stream);

/* A cudaEvent_t. */
typedef void* syl_cuda_event;
SYL_API syl_status syl_cuda_event_new(syl_cuda_event* event);
SYL_API syl_status syl_cuda_event_free(syl_cuda_event event);
SYL_API syl_status syl_cuda_event_record(syl_cuda_event event, syl_cuda_stream stream);
SYL_API syl_status syl_cuda_event_wait(syl_cuda_event event);
/* Milliseconds between two recorded events that have both been reached. */
SYL_API syl_status syl_cuda_event_elapsed(syl_cuda_event start, syl_cuda_event end, float* milliseconds);

/* ---- hadamard ------------------------------------------------------------------------------------------------------
 */

/* A plan on the calling thread's device: the twin of syl_hadamard, with the same options, semantics and errors, except
 * that SYL_F64 is UNSUPPORTED. The arrays of the options are host memory. */
typedef struct syl_cuda_hadamard syl_cuda_hadamard;

SYL_API syl_status syl_cuda_hadamard_new(const syl_hadamard_options* options, syl_cuda_hadamard** plan);
SYL_API void syl_cuda_hadamard_free(syl_cuda_hadamard* plan);

/* Bytes of device workspace that a run over `count` transforms needs; 0 for a NULL plan. */
SYL_API int64_t syl_cuda_hadamard_workspace(const syl_cuda_hadamard* plan, int64_t count);

SYL_API syl_status syl_cuda_hadamard_run(const syl_cuda_hadamard* plan, const void* x, void* y, float* scales,
                                         float* zeros, int64_t first, int64_t count, void* workspace,
                                         int64_t workspace_bytes, syl_cuda_stream stream);
SYL_API syl_status syl_cuda_hadamard_run_transposed(const syl_cuda_hadamard* plan, const void* y, void* x,
                                                    int64_t first, int64_t count, void* workspace,
                                                    int64_t workspace_bytes, syl_cuda_stream stream);

#ifdef __cplusplus
}
#endif

#include <sylvester/cuda_kron.h>
#include <sylvester/cuda_kv.h>
#include <sylvester/cuda_logits.h>
#include <sylvester/cuda_spec.h>

#endif
