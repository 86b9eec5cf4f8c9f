// The libraries with the functions of sylvester/cuda.h: the emulated one, linked into this program, and, in a build
// with nvcc (SYLVESTER_CUDA_LIBRARY), the other one.
#ifndef SYLVESTER_TESTS_NATIVE_CUDA_HADAMARD_LIBRARY_H_
#define SYLVESTER_TESTS_NATIVE_CUDA_HADAMARD_LIBRARY_H_

#include <sylvester/cuda.h>

#include <string>
#include <vector>

#include "native/cuda/emulator/options.h"

namespace sylvester_test {

#define SYLVESTER_CUDA_FUNCTIONS(X) \
  X(abi_version)                    \
  X(last_error)                     \
  X(device_count)                   \
  X(device_info)                    \
  X(device_use)                     \
  X(malloc)                         \
  X(free)                           \
  X(stream_new)                     \
  X(stream_free)                    \
  X(stream_wait)                    \
  X(copy)                           \
  X(fill)                           \
  X(event_new)                      \
  X(event_free)                     \
  X(event_record)                   \
  X(event_wait)                     \
  X(event_elapsed)                  \
  X(hadamard_new)                   \
  X(hadamard_free)                  \
  X(hadamard_workspace)             \
  X(hadamard_run)                   \
  X(hadamard_run_transposed)        \
  X(kron_workspace)                 \
  X(kron_apply_f32)                 \
  X(kron_apply_segments_f32)        \
  X(kron_delta)                     \
  X(kron_gradient_workspace)        \
  X(kron_gradient_f32)              \
  X(kv_plan_new)                    \
  X(kv_plan_free)                   \
  X(kv_append_f32)                  \
  X(kv_attend_workspace)            \
  X(kv_attend_f32)                  \
  X(kv_attend_bidirectional_f32)    \
  X(kv_dequantize_f32)              \
  X(spec_verify_workspace)          \
  X(spec_verify_f32)                \
  X(spec_verify_wait)               \
  X(logits_stats_workspace)         \
  X(logits_stats_of)                \
  X(logits_stats_wait)              \
  X(dlm_select)                     \
  X(dlm_select_wait)

struct CudaLibrary {
#define SYLVESTER_FIELD(name) decltype(&syl_cuda_##name) name;
  SYLVESTER_CUDA_FUNCTIONS(SYLVESTER_FIELD)
#undef SYLVESTER_FIELD
};

const CudaLibrary& EmulatedLibrary();
// NULL in a build without nvcc. Ends the program when there is one that cannot be loaded.
const CudaLibrary* BuiltLibrary();

// A library and, emulated, how its kernels run.
struct CudaRun {
  std::string name;
  const CudaLibrary* library;
  sylvester::emulator::Options options;
};

// The emulated library, plainly and in random order with the search for races; and the built one where there is a GPU.
std::vector<CudaRun> CudaRuns();

}  // namespace sylvester_test

#endif
