// What the emulator's tests share: a fresh device each, arrays on it, all ways to run a kernel.
#ifndef SYLVESTER_TESTS_NATIVE_CUDA_EMULATOR_EMULATOR_TESTING_H_
#define SYLVESTER_TESTS_NATIVE_CUDA_EMULATOR_EMULATOR_TESTING_H_

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "native/cuda/device.h"

namespace sylvester_test {

using sylvester::DynamicShared;
using sylvester::Launch;
using sylvester::SharedCast;
using sylvester::SharedPtr;
using sylvester::StaticShared;
using sylvester::emulator::FaultText;
using sylvester::emulator::Options;
using sylvester::emulator::Order;
using sylvester::emulator::SetOptions;

constexpr unsigned kFullMask = 0xffffffff;

class EmulatorTest : public ::testing::Test {
 protected:
  void SetUp() override { Fresh(); }
  void TearDown() override { Fresh(); }

  static void Fresh() {
    cudaDeviceReset();
    SetOptions({});
  }
};

// Device memory that starts with the values of a vector.
template <typename T>
class Array {
 public:
  explicit Array(const std::vector<T>& values) : size_(values.size()) {
    EXPECT_EQ(cudaMalloc(&data_, size_ * sizeof(T)), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
  }
  explicit Array(size_t size) : Array(std::vector<T>(size)) {}
  ~Array() { cudaFree(data_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  T* get() const { return data_; }
  std::vector<T> Read() const {
    std::vector<T> values(size_);
    EXPECT_EQ(cudaMemcpy(values.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return values;
  }

 private:
  size_t size_;
  T* data_ = nullptr;
};

inline std::vector<Options> AllOptions() {
  std::vector<Options> all;
  for (const bool races : {false, true}) {
    all.push_back({Order::kForward, 0, races});
    all.push_back({Order::kReverse, 0, races});
    for (uint64_t seed = 1; seed <= 5; ++seed) all.push_back({Order::kRandom, seed, races});
  }
  return all;
}

inline std::string Describe(const Options& options) {
  const char* orders[] = {"forward", "reverse", "random"};
  return std::string(orders[static_cast<int>(options.order)]) + ", seed " + std::to_string(options.seed) +
         (options.races ? ", races" : "");
}

// Runs launch() in every way; each must succeed.
template <typename F>
void ExpectAlwaysRuns(F launch) {
  for (const Options& options : AllOptions()) {
    SetOptions(options);
    ASSERT_EQ(launch(), cudaSuccess) << Describe(options) << ": " << FaultText();
  }
}

// launch() must fail with `error` and a text that has all the pieces; the device is usable afterwards.
template <typename F>
void ExpectFault(F launch, cudaError_t error, std::initializer_list<const char*> pieces) {
  EXPECT_EQ(launch(), error);
  const std::string text = FaultText();
  for (const char* piece : pieces) EXPECT_NE(text.find(piece), std::string::npos) << piece << " is not in: " << text;
  EXPECT_EQ(cudaGetErrorString(error), text);
  EXPECT_EQ(cudaDeviceSynchronize(), error) << "the error is not sticky";
  sylvester::emulator::ClearFault();
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

// The same with every order, with or without the check for races.
template <typename F>
void ExpectAlwaysFaults(F launch, cudaError_t error, std::initializer_list<const char*> pieces,
                        bool races_only = false) {
  for (const Options& options : AllOptions()) {
    if (races_only && !options.races) continue;
    SCOPED_TRACE(Describe(options));
    SetOptions(options);
    ExpectFault(launch, error, pieces);
  }
}

}  // namespace sylvester_test

#endif
