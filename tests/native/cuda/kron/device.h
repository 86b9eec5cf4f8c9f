// Factors and rows of Kronecker adapters on a device.
#ifndef SYLVESTER_TESTS_NATIVE_CUDA_KRON_DEVICE_H_
#define SYLVESTER_TESTS_NATIVE_CUDA_KRON_DEVICE_H_

#include <random>

#include "tests/native/cuda/hadamard/run.h"
#include "tests/native/kron/reference.h"

namespace sylvester_test {

inline Floats Normal(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  Floats values(count);
  for (float& value : values) value = normal(random);
  return values;
}

inline size_t Bytes(const Floats& floats) { return floats.size() * sizeof(float); }

// Factors in device memory.
struct DeviceKron {
  DeviceKron(const CudaLibrary& library, const syl_kron& host)
      : element(host.type == SYL_F32 ? 4 : 2),
        u(library, host.u, static_cast<size_t>(host.terms * host.m * host.n) * element),
        v(library, host.v, static_cast<size_t>(host.terms * host.p * host.q) * element),
        kron(host) {
    kron.u = u.get();
    kron.v = v.get();
  }

  size_t element;
  DeviceBytes u, v;
  syl_kron kron;
};

}  // namespace sylvester_test

#endif
