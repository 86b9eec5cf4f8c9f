#include "tests/native/cuda/hadamard/library.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

namespace sylvester_test {

const CudaLibrary& EmulatedLibrary() {
#define SYLVESTER_LINKED(name) &syl_cuda_##name,
  static const CudaLibrary library = {SYLVESTER_CUDA_FUNCTIONS(SYLVESTER_LINKED)};
#undef SYLVESTER_LINKED
  return library;
}

const CudaLibrary* BuiltLibrary() {
#ifdef SYLVESTER_CUDA_LIBRARY
  static const CudaLibrary library = [] {
    void* const handle = dlopen(SYLVESTER_CUDA_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    const auto symbol = [&](const char* name) {
      void* const found = handle == nullptr ? nullptr : dlsym(handle, name);
      if (found == nullptr) {
        std::fprintf(stderr, "%s\n", dlerror());
        std::exit(1);
      }
      return found;
    };
#define SYLVESTER_LOADED(name) reinterpret_cast<decltype(&syl_cuda_##name)>(symbol("syl_cuda_" #name)),
    return CudaLibrary{SYLVESTER_CUDA_FUNCTIONS(SYLVESTER_LOADED)};
#undef SYLVESTER_LOADED
  }();
  return &library;
#else
  return nullptr;
#endif
}

std::vector<CudaRun> CudaRuns() {
  using sylvester::emulator::Order;
  std::vector<CudaRun> runs = {{"Emulated", &EmulatedLibrary(), {Order::kForward, 0, false}},
                               {"EmulatedRandomRaces", &EmulatedLibrary(), {Order::kRandom, 20, true}}};
  int32_t devices = 0;
  const CudaLibrary* built = BuiltLibrary();
  if (built != nullptr && built->device_count(&devices) == SYL_OK && devices > 0) runs.push_back({"Device", built, {}});
  return runs;
}

}  // namespace sylvester_test
