// A plan's arrays on their way to the device.
#ifndef SYLVESTER_NATIVE_CUDA_UPLOAD_H_
#define SYLVESTER_NATIVE_CUDA_UPLOAD_H_

#include <vector>

#include "native/cuda/device.h"

namespace sylvester::cuda {

// Arrays of 32-bit words, one after the other in one allocation.
class Upload {
 public:
  template <typename T>
  void Add(const std::vector<T>& array, const T** device) {
    static_assert(sizeof(T) == sizeof(uint32_t), "words");
    *device = nullptr;
    if (array.empty()) return;
    places_.push_back({reinterpret_cast<const void**>(device), words_.size()});
    const auto* words = reinterpret_cast<const uint32_t*>(array.data());
    words_.insert(words_.end(), words, words + array.size());
  }

  cudaError_t Copy(void** memory) {
    *memory = nullptr;
    if (words_.empty()) return cudaSuccess;
    const size_t bytes = words_.size() * sizeof(uint32_t);
    if (const cudaError_t error = cudaMalloc(memory, bytes)) return error;
    for (const Place& place : places_) *place.device = static_cast<uint32_t*>(*memory) + place.word;
    return cudaMemcpy(*memory, words_.data(), bytes, cudaMemcpyHostToDevice);
  }

 private:
  struct Place {
    const void** device;
    size_t word;
  };
  std::vector<Place> places_;
  std::vector<uint32_t> words_;
};

}  // namespace sylvester::cuda

#endif
