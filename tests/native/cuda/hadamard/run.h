// Runs of a rotation on a device, compared byte by byte with the reference and with the CPU library.
#ifndef SYLVESTER_TESTS_NATIVE_CUDA_HADAMARD_RUN_H_
#define SYLVESTER_TESTS_NATIVE_CUDA_HADAMARD_RUN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/native/cuda/hadamard/library.h"
#include "tests/native/hadamard/run.h"

namespace sylvester_test {

constexpr syl_dtype kCudaTypes[] = {SYL_F32, SYL_F16, SYL_BF16};

// Bytes on the device, at an address that misses any alignment by `shift`.
class DeviceBytes {
 public:
  DeviceBytes(const CudaLibrary& library, const void* bytes, size_t size, size_t shift = 0)
      : library_(library), size_(static_cast<int64_t>(size)), shift_(shift) {
    if (size == 0) return;
    EXPECT_EQ(library.malloc(size_ + static_cast<int64_t>(shift), &memory_), SYL_OK) << library.last_error();
    EXPECT_EQ(library.copy(get(), bytes, size_, nullptr), SYL_OK) << library.last_error();
  }
  ~DeviceBytes() { library_.free(memory_); }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;

  void* get() const { return memory_ == nullptr ? nullptr : static_cast<char*>(memory_) + shift_; }
  void Read(void* bytes) const {
    EXPECT_EQ(library_.copy(bytes, get(), size_, nullptr), SYL_OK) << library_.last_error();
    EXPECT_EQ(library_.stream_wait(nullptr), SYL_OK) << library_.last_error();
  }

 private:
  const CudaLibrary& library_;
  int64_t size_;
  size_t shift_;
  void* memory_ = nullptr;
};

class CudaPlan {
 public:
  CudaPlan(const CudaLibrary& library, const Rotation& rotation) : library_(library) {
    const syl_hadamard_options options = rotation.Options();
    EXPECT_EQ(library.hadamard_new(&options, &plan_), SYL_OK) << library.last_error() << ": " << rotation.Name();
  }
  ~CudaPlan() { library_.hadamard_free(plan_); }
  CudaPlan(const CudaPlan&) = delete;
  CudaPlan& operator=(const CudaPlan&) = delete;

  syl_cuda_hadamard* get() const { return plan_; }

 private:
  const CudaLibrary& library_;
  syl_cuda_hadamard* plan_ = nullptr;
};

inline Memory RotateOnDevice(const CudaLibrary& library, const Rotation& rotation, Memory memory, const How& how = {},
                             bool transposed = false) {
  const CudaPlan plan(library, rotation);
  if (plan.get() == nullptr) return memory;
  const int64_t count = how.count < 0 ? rotation.Transforms() : how.count;
  const std::vector<uint8_t> nan(static_cast<size_t>(library.hadamard_workspace(plan.get(), count)), 0xff);
  const DeviceBytes x(library, memory.x.data(), memory.x.size(), how.shift);
  const DeviceBytes separate_y(library, memory.y.data(), how.in_place ? 0 : memory.y.size(), how.shift);
  const DeviceBytes& y = how.in_place ? x : separate_y;
  const DeviceBytes scales(library, memory.scales.data(), memory.scales.size() * sizeof(float));
  const DeviceBytes zeros(library, memory.zeros.data(), memory.zeros.size() * sizeof(float));
  const DeviceBytes workspace(library, nan.data(), nan.size());
  const auto bytes = static_cast<int64_t>(nan.size());
  const syl_status status =
      transposed
          ? library.hadamard_run_transposed(plan.get(), y.get(), x.get(), how.first, count, workspace.get(), bytes,
                                            nullptr)
          : library.hadamard_run(plan.get(), x.get(), y.get(), static_cast<float*>(scales.get()),
                                 static_cast<float*>(zeros.get()), how.first, count, workspace.get(), bytes, nullptr);
  EXPECT_EQ(status, SYL_OK) << library.last_error() << ": " << rotation.Name();
  x.Read(memory.x.data());
  y.Read(memory.y.data());
  scales.Read(memory.scales.data());
  zeros.Read(memory.zeros.data());
  return memory;
}

// With one library, run in one way.
class CudaTest : public testing::TestWithParam<CudaRun> {
 protected:
  CudaTest() { sylvester::emulator::SetOptions(GetParam().options); }
  ~CudaTest() override {
    sylvester::emulator::SetOptions({});
    sylvester::emulator::ClearFault();  // one test's fault is not the next one's
  }

  const CudaLibrary& library() const { return *GetParam().library; }
};

class CudaHadamard : public CudaTest {
 protected:
  void ExpectBits(const Rotation& rotation, uint32_t seed, const How& how = {}, Values values = Values::kNormal) {
    Memory memory = Fill(rotation, seed, values);
    if (how.in_place) memory = InPlace(memory);
    const Memory got = RotateOnDevice(library(), rotation, memory, how);
    EXPECT_TRUE(SameY(got, ReferenceRun(rotation, memory, how.first, how.count)) &&
                SameY(got, Rotate(rotation, memory, how)))
        << rotation.Name() << ", seed " << seed;
  }
  void ExpectTransposedBits(const Rotation& rotation, uint32_t seed, const How& how = {}) {
    Memory memory = Fill(rotation, seed);
    if (how.in_place) memory = InPlace(memory);
    const Memory got = RotateOnDevice(library(), rotation, memory, how, true);
    EXPECT_TRUE(SameX(got, ReferenceRunTransposed(rotation, memory)) &&
                SameX(got, RotateTransposed(rotation, memory, how)))
        << "transposed " << rotation.Name() << ", seed " << seed;
  }
  // Forward and back, out of place and in place.
  void ExpectAllBits(const Rotation& rotation, uint32_t seed) {
    ExpectBits(rotation, seed);
    if (rotation.Quantized()) return;
    ExpectTransposedBits(rotation, seed + 1);
    if (rotation.XLength() != rotation.options.n || rotation.options.x_type != rotation.options.y_type) return;
    How in_place;
    in_place.in_place = true;
    ExpectBits(rotation, seed + 2, in_place);
    ExpectTransposedBits(rotation, seed + 3, in_place);
  }
};

inline std::string CudaRunName(const testing::TestParamInfo<CudaRun>& info) { return info.param.name; }

}  // namespace sylvester_test

#endif
