// What the ABI of cuda_kv.h refuses, and how.
#include <gtest/gtest.h>

#include "tests/native/cuda/kv/device.h"

namespace {

using namespace sylvester_test;

class CudaKvAbi : public CudaKv {
 protected:
  CudaKvAbi() : plan_(KvCase()), device_(library(), plan_, 1, 64, 8) {
    device_.Append({0}, {8});
    batch_ = std::make_unique<KvDevice::Batch>(device_, std::vector<int64_t>{0}, std::vector<int64_t>{8});
    halves_ = device_.Halves(0);
    rows_ = std::make_unique<DeviceArray<float>>(library(), std::vector<float>(8 * 256));
    EXPECT_EQ(library().kv_attend_workspace(device_.plan(), &batch_->call, &bytes_), SYL_OK);
    workspace_ =
        std::make_unique<DeviceArray<float>>(library(), std::vector<float>(static_cast<size_t>(bytes_) / 4 + 1));
  }

  void Refused(syl_status got, syl_status status, const std::string& text) {
    EXPECT_EQ(got, status) << text;
    const std::string said = library().last_error();
    EXPECT_NE(said.find(text), std::string::npos) << said << " instead of " << text;
  }
  syl_status Append(int32_t layer = 0, int64_t stride = 256) {
    return library().kv_append_f32(device_.plan(), layer, &batch_->call, &halves_, rows_->get(), stride, rows_->get(),
                                   stride, nullptr);
  }
  syl_status Attend(int32_t products = SYL_CUDA_KV_MMA, int64_t missing = 0, int64_t shift = 0) {
    return library().kv_attend_f32(device_.plan(), 0, &batch_->call, &halves_, rows_->get(), 256, rows_->get(), 256,
                                   products, workspace_->get() + shift, bytes_ - missing, nullptr);
  }
  syl_status Dequantize(int32_t sequence, int32_t what, int64_t first, int64_t count) {
    return library().kv_dequantize_f32(device_.plan(), 0, &batch_->call, &halves_, sequence, what, first, count,
                                       rows_->get(), 256, nullptr);
  }
  // A field of the batch or of the halves that is not what it must be.
  template <typename Field, typename Value>
  void Wrong(Field* field, Value value, syl_status status, const std::string& text) {
    const Field right = *field;
    *field = static_cast<Field>(value);
    Refused(Append(), status, text);
    Refused(Attend(), status, text);
    Refused(Dequantize(0, 0, 0, 1), status, text);
    *field = right;
  }

  KvModelPlan plan_;
  KvDevice device_;
  std::unique_ptr<KvDevice::Batch> batch_;
  syl_cuda_kv_halves halves_;
  int64_t bytes_ = 0;
  std::unique_ptr<DeviceArray<float>> rows_, workspace_;
};

INSTANTIATE_TEST_SUITE_P(Runs, CudaKvAbi, testing::Values(CudaRuns()[0]), CudaRunName);

TEST_P(CudaKvAbi, RefusesPlans) {
  syl_cuda_kv_plan* made = nullptr;
  std::vector<uint8_t> file = plan_.file;
  const auto bytes = static_cast<int64_t>(file.size());
  const auto make = [&] { return library().kv_plan_new(file.data(), bytes, &plan_.geometry, &made); };
  Refused(library().kv_plan_new(file.data(), bytes, &plan_.geometry, nullptr), SYL_NULL_ARGUMENT, "plan is NULL");
  Refused(library().kv_plan_new(nullptr, bytes, &plan_.geometry, &made), SYL_NULL_ARGUMENT, "file is NULL");
  Refused(library().kv_plan_new(file.data(), bytes - 1, &plan_.geometry, &made), SYL_BAD_DATA, "kv_plan_new");
  file[200] ^= 4;
  Refused(make(), SYL_BAD_DATA, "kv_plan_new");
  KvCase before_rope;
  before_rope.rope = SYL_KV_PRE_ROPE;
  const KvModelPlan other(before_rope);
  Refused(library().kv_plan_new(other.file.data(), static_cast<int64_t>(other.file.size()), &other.geometry, &made),
          SYL_UNSUPPORTED, "PRE_ROPE");
  EXPECT_EQ(made, nullptr);
  library().kv_plan_free(nullptr);
}

TEST_P(CudaKvAbi, RefusesBatchesAndHalves) {
  syl_cuda_kv_batch& b = batch_->call;
  Wrong(&b.struct_size, 8, SYL_BAD_VALUE, "batch->struct_size is 8");
  Wrong(&b.sequences, 0, SYL_BAD_VALUE, "batch->sequences is 0");
  Wrong(&b.sequences, 65536, SYL_BAD_VALUE, "batch->sequences is 65536");
  Wrong(&b.max_rows, 0, SYL_BAD_VALUE, "batch->max_rows is 0");
  Wrong(&b.max_rows, 65537, SYL_BAD_VALUE, "batch->max_rows is 65537");
  Wrong(&b.max_tokens, 0, SYL_BAD_VALUE, "batch->max_tokens is 0");
  Wrong(&b.tiles_stride, -1, SYL_BAD_VALUE, "batch->tiles_stride is -1");
  Wrong(&b.page_tiles, 257, SYL_BAD_VALUE, "batch->page_tiles is 257");
  Wrong(&b.row_starts, nullptr, SYL_NULL_ARGUMENT, "batch->row_starts is NULL");
  Wrong(&b.lengths, nullptr, SYL_NULL_ARGUMENT, "batch->lengths is NULL");
  Wrong(&b.slots, nullptr, SYL_NULL_ARGUMENT, "batch->slots is NULL");
  Wrong(&b.tiles, nullptr, SYL_NULL_ARGUMENT, "batch->tiles is NULL");
  Wrong(&b.arena, nullptr, SYL_NULL_ARGUMENT, "batch->arena is NULL");
  Wrong(&b.arena, static_cast<char*>(b.arena) + 32, SYL_BAD_VALUE, "must be a multiple of 64");
  Wrong(&halves_.struct_size, 8, SYL_BAD_VALUE, "halves->struct_size is 8");
  Wrong(&halves_.ring_tiles, 2, SYL_BAD_VALUE, "halves->ring_tiles is 2, must be 3");
  Wrong(&halves_.sink_capacity, 4, SYL_BAD_VALUE, "halves->sink_capacity is 4, must be 5..5");
  Wrong(&halves_.reserved, 1, SYL_BAD_VALUE, "halves->reserved is 1");
  Wrong(&halves_.ring_keys, nullptr, SYL_NULL_ARGUMENT, "halves->ring_keys is NULL");
  Wrong(&halves_.ring_values, nullptr, SYL_NULL_ARGUMENT, "halves->ring_values is NULL");
  Wrong(&halves_.sink_keys, nullptr, SYL_NULL_ARGUMENT, "halves->sink_keys is NULL");
  Wrong(&halves_.sink_values, nullptr, SYL_NULL_ARGUMENT, "halves->sink_values is NULL");
  Wrong(&halves_.sink_tokens, nullptr, SYL_NULL_ARGUMENT, "halves->sink_tokens is NULL");
  EXPECT_EQ(Append(), SYL_OK) << library().last_error();
  EXPECT_EQ(Attend(), SYL_OK) << library().last_error();
}

TEST_P(CudaKvAbi, RefusesArguments) {
  Refused(Append(2), SYL_BAD_VALUE, "layer is 2, must be 0..1");
  Refused(Append(0, 127), SYL_BAD_SHAPE, "the stride of k is 127");
  Refused(Attend(2), SYL_BAD_VALUE, "products is 2");
  Refused(Attend(0, 4), SYL_WORKSPACE, "workspace_bytes is");
  Refused(Attend(0, 0, 1), SYL_BAD_VALUE, "workspace is");
  Refused(Dequantize(1, 0, 0, 1), SYL_BAD_VALUE, "sequence is 1");
  Refused(Dequantize(0, 2, 0, 1), SYL_BAD_VALUE, "what is 2");
  Refused(Dequantize(0, 0, -1, 1), SYL_BAD_VALUE, "first is -1");
  Refused(Dequantize(0, 0, 1, 8), SYL_BAD_VALUE, "count is 8");
  EXPECT_EQ(Dequantize(0, 0, 8, 0), SYL_OK);
  Refused(library().kv_append_f32(nullptr, 0, &batch_->call, &halves_, nullptr, 0, nullptr, 0, nullptr),
          SYL_NULL_ARGUMENT, "plan is NULL");
  Refused(library().kv_append_f32(device_.plan(), 0, nullptr, &halves_, nullptr, 0, nullptr, 0, nullptr),
          SYL_NULL_ARGUMENT, "batch is NULL");
  Refused(library().kv_append_f32(device_.plan(), 0, &batch_->call, nullptr, nullptr, 0, nullptr, 0, nullptr),
          SYL_NULL_ARGUMENT, "halves is NULL");
  Refused(library().kv_append_f32(device_.plan(), 0, &batch_->call, &halves_, nullptr, 256, nullptr, 256, nullptr),
          SYL_NULL_ARGUMENT, "k is NULL");
  int64_t bytes = 0;
  batch_->call.max_rows = 65536;
  batch_->call.max_tokens = int64_t{1} << 30;
  Refused(library().kv_attend_workspace(device_.plan(), &batch_->call, &bytes), SYL_BAD_VALUE, "more than 2^31 blocks");
}

TEST_P(CudaKvAbi, RefusesBidirectionalAttention) {
  const DeviceArray<int32_t> none(library(), {0});
  const auto attend = [&](const syl_cuda_kv_plan* plan, int32_t layer, const int32_t* unpacked, int64_t bytes) {
    return library().kv_attend_bidirectional_f32(plan, layer, &batch_->call, unpacked, &halves_, rows_->get(), 256,
                                                 rows_->get(), 256, SYL_CUDA_KV_MMA, workspace_->get(), bytes, nullptr);
  };
  Refused(attend(nullptr, 0, none.get(), bytes_), SYL_NULL_ARGUMENT, "plan is NULL");
  Refused(attend(device_.plan(), 0, nullptr, bytes_), SYL_NULL_ARGUMENT, "unpacked is NULL");
  Refused(attend(device_.plan(), 0, none.get(), 0), SYL_WORKSPACE, "workspace_bytes is 0");
  KvCase sliding;
  sliding.attention_window = 40;
  const KvModelPlan plan(sliding);
  const KvDevice other(library(), plan, 1, 64, 8);
  Refused(attend(other.plan(), 1, none.get(), bytes_), SYL_UNSUPPORTED,
          "layer is 1, but its sliding window of 40 needs causal attention");
  batch_->call.max_rows = 2049;
  halves_.ring_tiles = 200;
  Refused(attend(device_.plan(), 0, none.get(), bytes_), SYL_BAD_VALUE, "batch->max_rows is 2049, must be 1..2048");
}

}  // namespace
