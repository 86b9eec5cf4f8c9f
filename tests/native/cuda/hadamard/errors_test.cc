// What the ABI of cuda.h refuses, and how; memory, streams and events.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "native/cuda/device.h"
#include "tests/native/cuda/hadamard/run.h"

namespace {

using namespace sylvester_test;

#define EXPECT_CUDA_REFUSED(call, status, text)                      \
  do {                                                               \
    EXPECT_EQ(library().call, status);                               \
    const std::string syl_text_ = library().last_error();            \
    EXPECT_NE(syl_text_.find(text), std::string::npos) << syl_text_; \
  } while (0)

class CudaAbi : public CudaHadamard {};

INSTANTIATE_TEST_SUITE_P(Runs, CudaAbi, testing::ValuesIn(CudaRuns()), CudaRunName);

TEST_P(CudaAbi, Devices) {
  EXPECT_EQ(library().abi_version(), SYL_ABI_VERSION);
  int32_t count = 0;
  ASSERT_EQ(library().device_count(&count), SYL_OK);
  ASSERT_GE(count, 1);
  syl_cuda_device info{};
  info.struct_size = sizeof(info);
  ASSERT_EQ(library().device_info(0, &info), SYL_OK);
  EXPECT_EQ(info.struct_size, sizeof(info));
  EXPECT_EQ(info.emulated, &library() == &EmulatedLibrary() ? 1 : 0);
  EXPECT_GE(info.major, 8);
  EXPECT_GE(info.multiprocessors, 1);
  EXPECT_GT(info.memory, 0);
  EXPECT_GT(std::strlen(info.name), 0u);
  EXPECT_EQ(library().device_use(0), SYL_OK);

  EXPECT_CUDA_REFUSED(device_count(nullptr), SYL_NULL_ARGUMENT, "count is NULL");
  EXPECT_CUDA_REFUSED(device_info(0, nullptr), SYL_NULL_ARGUMENT, "info is NULL");
  EXPECT_CUDA_REFUSED(device_info(count, &info), SYL_BAD_VALUE, "syl_cuda_device_info");
  EXPECT_CUDA_REFUSED(device_use(-1), SYL_BAD_VALUE, "syl_cuda_device_use");
  EXPECT_CUDA_REFUSED(device_use(count), SYL_BAD_VALUE, "CUDA error 101");
  info.struct_size = 8;
  EXPECT_CUDA_REFUSED(device_info(0, &info), SYL_BAD_VALUE, "struct_size is 8");
}

TEST_P(CudaAbi, TextsBelongToTheirThread) {
  EXPECT_CUDA_REFUSED(device_count(nullptr), SYL_NULL_ARGUMENT, "count is NULL");
  std::thread([&] { EXPECT_STREQ(library().last_error(), ""); }).join();
}

TEST_P(CudaAbi, Memory) {
  void* memory = nullptr;
  ASSERT_EQ(library().malloc(1000, &memory), SYL_OK);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % 256, 0u);
  std::vector<uint8_t> bytes(1000), back(1000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 7);
  EXPECT_EQ(library().copy(memory, bytes.data(), 1000, nullptr), SYL_OK);
  EXPECT_EQ(library().fill(static_cast<char*>(memory) + 10, 0xab, 20, nullptr), SYL_OK);
  EXPECT_EQ(library().copy(static_cast<char*>(memory) + 500, memory, 100, nullptr), SYL_OK);
  EXPECT_EQ(library().copy(back.data(), memory, 1000, nullptr), SYL_OK);
  EXPECT_EQ(library().stream_wait(nullptr), SYL_OK);
  std::memset(bytes.data() + 10, 0xab, 20);
  std::memcpy(bytes.data() + 500, bytes.data(), 100);
  EXPECT_EQ(back, bytes);
  EXPECT_EQ(library().copy(nullptr, nullptr, 0, nullptr), SYL_OK);
  EXPECT_EQ(library().fill(nullptr, 0, 0, nullptr), SYL_OK);

  EXPECT_CUDA_REFUSED(malloc(0, &memory), SYL_BAD_VALUE, "bytes is 0");
  EXPECT_CUDA_REFUSED(malloc(-1, &memory), SYL_BAD_VALUE, "bytes is -1");
  EXPECT_CUDA_REFUSED(malloc(1, nullptr), SYL_NULL_ARGUMENT, "memory is NULL");
  EXPECT_CUDA_REFUSED(malloc(int64_t{1} << 60, &memory), SYL_OUT_OF_MEMORY, "CUDA error 2");
  EXPECT_CUDA_REFUSED(copy(nullptr, bytes.data(), 1, nullptr), SYL_NULL_ARGUMENT, "to is NULL");
  EXPECT_CUDA_REFUSED(copy(memory, nullptr, 1, nullptr), SYL_NULL_ARGUMENT, "from is NULL");
  EXPECT_CUDA_REFUSED(copy(memory, bytes.data(), -1, nullptr), SYL_BAD_VALUE, "bytes is -1");
  EXPECT_CUDA_REFUSED(fill(nullptr, 0, 1, nullptr), SYL_NULL_ARGUMENT, "memory is NULL");
  EXPECT_CUDA_REFUSED(fill(memory, 256, 1, nullptr), SYL_BAD_VALUE, "byte is 256");
  EXPECT_CUDA_REFUSED(fill(memory, 0, -1, nullptr), SYL_BAD_VALUE, "bytes is -1");
  EXPECT_EQ(library().free(memory), SYL_OK);
  EXPECT_EQ(library().free(nullptr), SYL_OK);
}

TEST_P(CudaAbi, StreamsAndEvents) {
  syl_cuda_stream stream = nullptr;
  syl_cuda_event start = nullptr, end = nullptr;
  ASSERT_EQ(library().stream_new(&stream), SYL_OK);
  ASSERT_EQ(library().event_new(&start), SYL_OK);
  ASSERT_EQ(library().event_new(&end), SYL_OK);

  const Rotation rotation = Rotation(256).Count(1, 1, 4);
  ::Memory memory = Fill(rotation, 130);
  const CudaPlan plan(library(), rotation);
  const DeviceBytes x(library(), memory.x.data(), memory.x.size()), y(library(), memory.y.data(), memory.y.size());
  EXPECT_EQ(library().stream_wait(nullptr), SYL_OK);
  EXPECT_EQ(library().event_record(start, stream), SYL_OK);
  EXPECT_EQ(library().hadamard_run(plan.get(), x.get(), y.get(), nullptr, nullptr, 0, 4, nullptr, 0, stream), SYL_OK);
  EXPECT_EQ(library().event_record(end, stream), SYL_OK);
  EXPECT_EQ(library().event_wait(end), SYL_OK);
  float milliseconds = -1;
  EXPECT_EQ(library().event_elapsed(start, end, &milliseconds), SYL_OK);
  EXPECT_GE(milliseconds, 0);
  EXPECT_EQ(library().stream_wait(stream), SYL_OK);
  y.Read(memory.y.data());
  EXPECT_TRUE(SameY(memory, ReferenceRun(rotation, memory)));

  EXPECT_CUDA_REFUSED(stream_new(nullptr), SYL_NULL_ARGUMENT, "stream is NULL");
  EXPECT_CUDA_REFUSED(event_new(nullptr), SYL_NULL_ARGUMENT, "event is NULL");
  EXPECT_CUDA_REFUSED(event_record(nullptr, stream), SYL_NULL_ARGUMENT, "event is NULL");
  EXPECT_CUDA_REFUSED(event_wait(nullptr), SYL_NULL_ARGUMENT, "event is NULL");
  EXPECT_CUDA_REFUSED(event_elapsed(nullptr, end, &milliseconds), SYL_NULL_ARGUMENT, "start is NULL");
  EXPECT_CUDA_REFUSED(event_elapsed(start, nullptr, &milliseconds), SYL_NULL_ARGUMENT, "end is NULL");
  EXPECT_CUDA_REFUSED(event_elapsed(start, end, nullptr), SYL_NULL_ARGUMENT, "milliseconds is NULL");
  syl_cuda_event never = nullptr;
  ASSERT_EQ(library().event_new(&never), SYL_OK);
  EXPECT_CUDA_REFUSED(event_elapsed(start, never, &milliseconds), SYL_INTERNAL, "syl_cuda_event_elapsed");
  for (const syl_cuda_event event : {start, end, never}) EXPECT_EQ(library().event_free(event), SYL_OK);
  EXPECT_EQ(library().event_free(nullptr), SYL_OK);
  EXPECT_EQ(library().stream_free(stream), SYL_OK);
  EXPECT_EQ(library().stream_free(nullptr), SYL_OK);
}

TEST_P(CudaAbi, PlansRefused) {
  syl_hadamard_options options = Rotation(64).Options();
  syl_cuda_hadamard* plan = nullptr;
  EXPECT_CUDA_REFUSED(hadamard_new(&options, nullptr), SYL_NULL_ARGUMENT, "plan is NULL");
  EXPECT_CUDA_REFUSED(hadamard_new(nullptr, &plan), SYL_NULL_ARGUMENT, "options is NULL");
  options.n = 65;
  EXPECT_CUDA_REFUSED(hadamard_new(&options, &plan), SYL_BAD_SHAPE, "syl_cuda_hadamard_new: options->n is 65");
  options = Rotation(64, SYL_F64).Options();
  EXPECT_CUDA_REFUSED(hadamard_new(&options, &plan), SYL_UNSUPPORTED, "F64");
  options = Rotation(64).Options();
  options.base = 13;
  EXPECT_CUDA_REFUSED(hadamard_new(&options, &plan), SYL_UNSUPPORTED, "base is 13");
  options = Rotation(64).Options();
  options.rounds = 0;
  EXPECT_CUDA_REFUSED(hadamard_new(&options, &plan), SYL_BAD_VALUE, "rounds is 0");
  EXPECT_EQ(plan, nullptr);
  library().hadamard_free(nullptr);
  EXPECT_EQ(library().hadamard_workspace(nullptr, 1), 0);
}

TEST_P(CudaAbi, RunsRefused) {
  const Rotation rotation = Rotation(1 << 16).Count(1, 1, 2);
  const CudaPlan plan(library(), rotation);
  const int64_t needed = library().hadamard_workspace(plan.get(), 2);
  ASSERT_EQ(needed, 2 * 4 << 16);
  EXPECT_EQ(library().hadamard_workspace(plan.get(), 0), 0);
  EXPECT_EQ(library().hadamard_workspace(plan.get(), -1), 0);
  const std::vector<uint8_t> bytes(2 * 4 << 16);
  const DeviceBytes x(library(), bytes.data(), bytes.size()), y(library(), bytes.data(), bytes.size()),
      work(library(), bytes.data(), bytes.size());
  float scales = 0;
  const auto run = [&](const void* from, void* to, int64_t first, int64_t count, void* workspace, int64_t size) {
    return library().hadamard_run(plan.get(), from, to, nullptr, nullptr, first, count, workspace, size, nullptr);
  };
#define EXPECT_RUN_REFUSED(arguments, status, text)                  \
  do {                                                               \
    EXPECT_EQ(run arguments, status);                                \
    const std::string syl_text_ = library().last_error();            \
    EXPECT_NE(syl_text_.find(text), std::string::npos) << syl_text_; \
  } while (0)
  EXPECT_RUN_REFUSED((nullptr, y.get(), 0, 2, work.get(), needed), SYL_NULL_ARGUMENT, "x is NULL");
  EXPECT_RUN_REFUSED((x.get(), nullptr, 0, 2, work.get(), needed), SYL_NULL_ARGUMENT, "y is NULL");
  EXPECT_RUN_REFUSED((x.get(), y.get(), 0, 3, work.get(), needed), SYL_BAD_VALUE, "count is 3");
  EXPECT_RUN_REFUSED((x.get(), y.get(), -1, 1, work.get(), needed), SYL_BAD_VALUE, "first is -1");
  EXPECT_RUN_REFUSED((x.get(), y.get(), 0, 2, nullptr, needed), SYL_NULL_ARGUMENT, "workspace is NULL");
  EXPECT_RUN_REFUSED((x.get(), y.get(), 0, 2, work.get(), needed - 1), SYL_WORKSPACE, "workspace_bytes is");
  EXPECT_RUN_REFUSED((x.get(), static_cast<float*>(x.get()) + 1, 0, 2, work.get(), needed), SYL_OVERLAP,
                     "y overlaps x");
  void* const beside = static_cast<char*>(y.get()) + 2;
  EXPECT_RUN_REFUSED((x.get(), beside, 0, 1, work.get(), needed), SYL_BAD_VALUE, "must be a multiple of 4");
  EXPECT_RUN_REFUSED((beside, x.get(), 0, 1, work.get(), needed), SYL_BAD_VALUE, "x is 0x");
  EXPECT_RUN_REFUSED((x.get(), y.get(), 0, 2, y.get(), needed), SYL_OVERLAP, "workspace overlaps y");
#undef EXPECT_RUN_REFUSED
  EXPECT_CUDA_REFUSED(hadamard_run(nullptr, x.get(), y.get(), nullptr, nullptr, 0, 1, nullptr, 0, nullptr),
                      SYL_NULL_ARGUMENT, "plan is NULL");
  EXPECT_CUDA_REFUSED(hadamard_run_transposed(nullptr, y.get(), x.get(), 0, 1, nullptr, 0, nullptr), SYL_NULL_ARGUMENT,
                      "plan is NULL");
  EXPECT_CUDA_REFUSED(hadamard_run(plan.get(), x.get(), y.get(), &scales, nullptr, 0, 1, work.get(), needed, nullptr),
                      SYL_BAD_VALUE, "scales is given");

  const CudaPlan quantized(library(), Rotation(64).Quantize(SYL_HADAMARD_U4));
  EXPECT_CUDA_REFUSED(hadamard_run(quantized.get(), x.get(), y.get(), nullptr, nullptr, 0, 1, nullptr, 0, nullptr),
                      SYL_NULL_ARGUMENT, "scales is NULL");
  EXPECT_CUDA_REFUSED(hadamard_run_transposed(quantized.get(), y.get(), x.get(), 0, 1, nullptr, 0, nullptr),
                      SYL_UNSUPPORTED, "quantizer");
  Rotation shared = Rotation(64).Count(1, 1, 2);
  shared.XStride(0, 0, 0, 1);
  const CudaPlan sharing(library(), shared);
  EXPECT_CUDA_REFUSED(hadamard_run_transposed(sharing.get(), y.get(), x.get(), 0, 2, nullptr, 0, nullptr),
                      SYL_BAD_SHAPE, "share elements");
}

__global__ void WriteBesideTheArray() { sylvester::DynamicShared<int>(0, 4)[4] = 1; }

TEST(CudaEmulated, FaultsOfKernelsAreInternalErrors) {
  const CudaLibrary& library = EmulatedLibrary();
  sylvester::Launch(WriteBesideTheArray, dim3(1), dim3(1), 4 * sizeof(int), nullptr);
  EXPECT_EQ(library.stream_wait(nullptr), SYL_INTERNAL);
  EXPECT_NE(std::string(library.last_error()).find("WriteBesideTheArray"), std::string::npos) << library.last_error();
  sylvester::emulator::ClearFault();
  EXPECT_EQ(library.stream_wait(nullptr), SYL_OK);
}

// The library that nvcc built, on a machine without a driver or a device: every way in says so.
class CudaWithoutDevice : public testing::TestWithParam<const CudaLibrary*> {};

std::vector<const CudaLibrary*> LibrariesWithoutDevice() {
  const CudaLibrary* built = BuiltLibrary();
  int32_t devices = 0;
  if (built == nullptr || (built->device_count(&devices) == SYL_OK && devices > 0)) return {};
  return {built};
}

INSTANTIATE_TEST_SUITE_P(Built, CudaWithoutDevice, testing::ValuesIn(LibrariesWithoutDevice()));
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CudaWithoutDevice);

TEST_P(CudaWithoutDevice, SaysSo) {
  const CudaLibrary& library = *GetParam();
  const auto expect_unsupported = [&](syl_status status) {
    EXPECT_EQ(status, SYL_UNSUPPORTED) << library.last_error();
    const std::string text = library.last_error();
    EXPECT_TRUE(text.find("driver") != std::string::npos || text.find("device") != std::string::npos) << text;
  };
  int32_t count = 7;
  expect_unsupported(library.device_count(&count));
  EXPECT_EQ(count, 7);
  void* memory = nullptr;
  expect_unsupported(library.malloc(16, &memory));
  syl_cuda_stream stream = nullptr;
  expect_unsupported(library.stream_new(&stream));
  const syl_hadamard_options options = Rotation(64).Options();
  syl_cuda_hadamard* plan = nullptr;
  expect_unsupported(library.hadamard_new(&options, &plan));
  EXPECT_EQ(plan, nullptr);
  EXPECT_EQ(library.abi_version(), SYL_ABI_VERSION);
}

}  // namespace
