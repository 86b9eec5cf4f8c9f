// What verification refuses: with the processor's status and text.
#include <gtest/gtest.h>

#include <functional>

#include "tests/native/cuda/spec/batch.h"

namespace {

using namespace sylvester_test;

class CudaSpecErrors : public CudaSpec {
 protected:
  using Change = std::function<void(syl_spec_batch&, syl_spec_draft&)>;

  // A batch with everything in it, of this kind of draft.
  void SetUp() override {
    for (uint32_t seed = 1; batch_ == nullptr; ++seed) {
      SpecShape shape{SYL_SPEC_TOKEN, 3, 40, 4, true, seed};
      batch_ = std::make_unique<SpecBatch>(shape);
      const syl_spec_batch& b = batch_->batch();
      const bool full = b.draft != nullptr && b.draft->kind == SYL_DRAFT_SPARSE && b.history_begin != nullptr &&
                        b.bias_begin != nullptr && b.allowed != nullptr && b.end_count > 0 && b.uniforms != nullptr &&
                        batch_->rows() > 6;
      if (!full) batch_.reset();
    }
    ASSERT_EQ(VerifyOnCpu(*batch_).status, SYL_OK) << syl_last_error();
    device_ = std::make_unique<SpecDevice>(library(), *batch_);
  }

  void Refused(syl_status status, const std::string& text, const Change& change) {
    SpecDevice& d = *device_;
    const syl_spec_batch call = d.call, host = batch_->batch();
    const syl_spec_draft draft = d.draft, host_draft = batch_->draft();
    change(d.call, d.draft);
    change(batch_->batch(), batch_->draft());
    EXPECT_EQ(d.Enqueue(), status) << text;
    const std::string said = library().last_error();
    EXPECT_NE(said.find("syl_cuda_spec_verify_f32: "), std::string::npos) << said;
    EXPECT_NE(said.find(text), std::string::npos) << said << " instead of " << text;
    EXPECT_EQ(Cpu(), status) << text;
    const std::string cpu = syl_last_error();
    EXPECT_EQ(said.substr(said.find(": ")), cpu.substr(cpu.find(": ")));
    d.call = call, d.draft = draft;
    batch_->batch() = host, batch_->draft() = host_draft;
  }

  // Only here.
  void Refused(syl_status got, syl_status status, const std::string& text) {
    EXPECT_EQ(got, status) << text;
    EXPECT_NE(std::string(library().last_error()).find(text), std::string::npos)
        << library().last_error() << " instead of " << text;
  }

  syl_status Cpu() {
    std::vector<int32_t> words(static_cast<size_t>(2 * batch_->rows()));
    const syl_spec_result result = {sizeof(result), words.data(), words.data() + batch_->rows(),
                                    nullptr,        nullptr,      nullptr};
    std::vector<uint64_t> workspace(size_t{1} << 16);
    return syl_spec_verify_f32(&batch_->batch(), &result, workspace.data(), int64_t{1} << 19, nullptr);
  }

  std::unique_ptr<SpecBatch> batch_;
  std::unique_ptr<SpecDevice> device_;
};

INSTANTIATE_TEST_SUITE_P(Libraries, CudaSpecErrors, testing::ValuesIn(CudaRuns()), CudaRunName);

TEST_P(CudaSpecErrors, OfBatches) {
  const auto refused = [&](syl_status status, const std::string& text, const std::function<void(syl_spec_batch&)>& f) {
    Refused(status, text, [&](syl_spec_batch& b, syl_spec_draft&) { f(b); });
  };
  refused(SYL_BAD_VALUE, "batch->struct_size is 8", [](auto& b) { b.struct_size = 8; });
  refused(SYL_BAD_VALUE, "mode is 4", [](auto& b) { b.mode = 4; });
  refused(SYL_BAD_VALUE, "sequences is -1", [](auto& b) { b.sequences = -1; });
  refused(SYL_BAD_VALUE, "cols is 0", [](auto& b) { b.cols = 0; });
  refused(SYL_NULL_ARGUMENT, "row_begin is NULL", [](auto& b) { b.row_begin = nullptr; });
  const std::vector<int64_t> begins = {0, 2, 2, 5}, many = {0, 257, 258, 259};
  refused(SYL_BAD_SHAPE, "row_begin[2] is 2 after 2", [&](auto& b) { b.row_begin = begins.data(); });
  refused(SYL_BAD_SHAPE, "row_begin[1] is 257 after 0", [&](auto& b) { b.row_begin = many.data(); });
  refused(SYL_UNSUPPORTED, "mode 3 is for chains", [](auto& b) { b.mode = SYL_SPEC_BLOCK; });
  refused(SYL_NULL_ARGUMENT, "samplers is NULL", [](auto& b) { b.samplers = nullptr; });
  refused(SYL_BAD_SHAPE, "stride is 39", [](auto& b) { b.stride = 39; });
  refused(SYL_NULL_ARGUMENT, "logits is NULL", [](auto& b) { b.logits = nullptr; });
  refused(SYL_NULL_ARGUMENT, "tokens is NULL", [](auto& b) { b.tokens = nullptr; });
  const std::vector<int32_t> tokens(static_cast<size_t>(batch_->rows()), 40), parents(tokens.size(), 7);
  refused(SYL_BAD_VALUE, "is 40, must be 0..39", [&](auto& b) { b.tokens = tokens.data(); });
  refused(SYL_BAD_VALUE, "is 7, must be 0..0", [&](auto& b) { b.parents = parents.data(); });
  refused(SYL_NULL_ARGUMENT, "positions is NULL", [](auto& b) { b.positions = nullptr; });
  const std::vector<int64_t> positions = {0, -1, 0};
  refused(SYL_BAD_VALUE, "positions[1] is -1", [&](auto& b) { b.positions = positions.data(); });
  const std::vector<int32_t> history(256, 40);  // more than the batch has
  refused(SYL_BAD_VALUE, "is 40, must be 0..39", [&](auto& b) { b.history = history.data(); });
  refused(SYL_NULL_ARGUMENT, "history is NULL", [](auto& b) { b.history = nullptr; });
  refused(SYL_NULL_ARGUMENT, "bias_ids is NULL", [](auto& b) { b.bias_ids = nullptr; });
  const std::vector<float> bias(64, INFINITY);
  refused(SYL_BAD_VALUE, "is inf, must be finite or -inf", [&](auto& b) { b.bias_values = bias.data(); });
  refused(SYL_BAD_SHAPE, "allowed_stride is 1", [](auto& b) { b.allowed_stride = 1; });
  refused(SYL_BAD_VALUE, "end_count is -1", [](auto& b) { b.end_count = -1; });
  refused(SYL_BAD_VALUE, "end_ids[0] is 40", [&](auto& b) { b.end_ids = tokens.data(), b.end_count = 1; });
  const std::vector<double> uniforms(static_cast<size_t>(2 * batch_->rows()), 1);
  refused(SYL_BAD_VALUE, "uniforms[0] is 1", [&](auto& b) { b.uniforms = uniforms.data(); });
  const syl_sampler cold = {sizeof(cold), -1, 0, 1, 0, 1, 0, 0, 0, 0};
  const std::vector<syl_sampler> samplers(3, cold);
  refused(SYL_BAD_VALUE, "samplers[0].temperature is -1", [&](auto& b) { b.samplers = samplers.data(); });
}

TEST_P(CudaSpecErrors, OfDrafts) {
  const auto refused = [&](syl_status status, const std::string& text, const std::function<void(syl_spec_draft&)>& f) {
    Refused(status, text, [&](syl_spec_batch&, syl_spec_draft& d) { f(d); });
  };
  refused(SYL_BAD_VALUE, "draft->struct_size is 8", [](auto& d) { d.struct_size = 8; });
  refused(SYL_BAD_VALUE, "draft->kind is 4", [](auto& d) { d.kind = 4; });
  refused(SYL_BAD_VALUE, "draft->siblings is 2", [](auto& d) { d.siblings = 2; });
  refused(SYL_NULL_ARGUMENT, "draft->sparse_begin is NULL", [](auto& d) { d.sparse_begin = nullptr; });
  refused(SYL_NULL_ARGUMENT, "draft->sparse_ids is NULL", [](auto& d) { d.sparse_ids = nullptr; });
  refused(SYL_NULL_ARGUMENT, "draft->sparse_q is NULL", [](auto& d) { d.sparse_q = nullptr; });
  const std::vector<int32_t> same(static_cast<size_t>(40 * batch_->rows()), 3);
  refused(SYL_BAD_VALUE, "is 3 after 3, must be ascending", [&](auto& d) { d.sparse_ids = same.data(); });
  refused(SYL_BAD_SHAPE, "draft->cols is 39, must be cols 40",
          [](auto& d) { d.kind = SYL_DRAFT_PROBABILITIES, d.cols = 39; });
  refused(SYL_NULL_ARGUMENT, "draft->samplers is NULL",
          [](auto& d) { d.kind = SYL_DRAFT_LOGITS, d.samplers = nullptr; });
}

TEST_P(CudaSpecErrors, OfMemory) {
  SpecDevice& d = *device_;
  int64_t bytes = 0;
  Refused(library().spec_verify_workspace(nullptr, &bytes), SYL_NULL_ARGUMENT, "batch is NULL");
  Refused(library().spec_verify_workspace(&d.call, nullptr), SYL_NULL_ARGUMENT, "bytes is NULL");
  Refused(library().spec_verify_f32(&d.call, nullptr, d.workspace, d.bytes, nullptr), SYL_NULL_ARGUMENT,
          "result is NULL");
  Refused(library().spec_verify_f32(&d.call, &d.result, nullptr, d.bytes, nullptr), SYL_NULL_ARGUMENT,
          "workspace is NULL");
  Refused(library().spec_verify_f32(&d.call, &d.result, d.workspace, d.bytes - 1, nullptr), SYL_WORKSPACE,
          "workspace_bytes is");
  Refused(library().spec_verify_f32(&d.call, &d.result, static_cast<char*>(d.workspace) + 4, d.bytes, nullptr),
          SYL_BAD_VALUE, "must be aligned to 8 bytes");
  Refused(library().spec_verify_wait(nullptr, nullptr), SYL_NULL_ARGUMENT, "workspace is NULL");
  const auto wrong = [&](auto& field, auto value, syl_status status, const std::string& text) {
    const auto right = field;
    field = value;
    Refused(d.Enqueue(), status, text);
    field = right;
  };
  wrong(d.result.struct_size, 8u, SYL_BAD_VALUE, "result->struct_size is 8");
  wrong(d.result.accepted, nullptr, SYL_NULL_ARGUMENT, "result->accepted is NULL");
  wrong(d.result.next_token, nullptr, SYL_NULL_ARGUMENT, "result->next_token is NULL");
  wrong(d.result.path, d.result.accepted, SYL_OVERLAP, "two of the results");
  wrong(d.result.flags, static_cast<int32_t*>(d.workspace), SYL_OVERLAP, "overlaps an argument");
  const auto odd = [](auto* p) {
    return reinterpret_cast<decltype(p)>(const_cast<char*>(reinterpret_cast<const char*>(p)) + 2);
  };
  wrong(d.call.logits, odd(d.call.logits), SYL_BAD_VALUE, "logits is");
  wrong(d.call.allowed, odd(d.call.allowed), SYL_BAD_VALUE, "allowed is");
  wrong(d.result.flags, odd(d.result.flags), SYL_BAD_VALUE, "result->flags is");
  const syl_status ok = d.Enqueue();
  EXPECT_EQ(ok, SYL_OK) << library().last_error();
  EXPECT_TRUE(d.Verify() == VerifyOnCpu(*batch_));
}

// What only the kernels see; then nothing is written.
class CudaSpecFailures : public CudaSpec {
 protected:
  // Three chains of one candidate over four tokens; the second and the third have a wrong row.
  void Refused(const syl_spec_draft& draft, const std::vector<float>& logits, const std::vector<float>& rows,
               const std::string& text) {
    const std::vector<int64_t> begins = {0, 2, 4, 6}, positions = {0, 0, 0};
    const std::vector<int32_t> tokens = {0, 1, 0, 1, 0, 1};
    const std::vector<syl_sampler> samplers(3, syl_sampler{sizeof(syl_sampler), 1, 0, 1, 0, 1, 0, 0, 5, 0});
    const DeviceBytes device_logits(library(), logits.data(), logits.size() * 4);
    const DeviceBytes device_rows(library(), rows.data(), rows.size() * 4);
    const std::vector<int32_t> untouched(6, -7);
    const DeviceBytes accepted(library(), untouched.data(), 12), next(library(), untouched.data(), 12),
        path(library(), untouched.data(), 24);
    syl_spec_draft d = draft;
    d.struct_size = sizeof(d), d.cols = 4, d.stride = 4, d.samplers = samplers.data();
    syl_spec_batch b = {};
    b.struct_size = sizeof(b), b.mode = SYL_SPEC_TOKEN, b.sequences = 3, b.row_begin = begins.data(), b.cols = 4;
    b.stride = 4, b.tokens = tokens.data(), b.samplers = samplers.data(), b.positions = positions.data(), b.draft = &d;
    syl_spec_result result = {sizeof(result),
                              static_cast<int32_t*>(accepted.get()),
                              static_cast<int32_t*>(next.get()),
                              static_cast<int32_t*>(path.get()),
                              nullptr,
                              nullptr};
    b.logits = static_cast<const float*>(device_logits.get());
    d.rows = static_cast<const float*>(device_rows.get());
    int64_t bytes = 0;
    ASSERT_EQ(library().spec_verify_workspace(&b, &bytes), SYL_OK) << library().last_error();
    const std::vector<uint8_t> zeros(static_cast<size_t>(bytes));
    const DeviceBytes workspace(library(), zeros.data(), zeros.size());
    ASSERT_EQ(library().spec_verify_f32(&b, &result, workspace.get(), bytes, nullptr), SYL_OK);
    EXPECT_EQ(library().spec_verify_wait(workspace.get(), nullptr), SYL_BAD_VALUE);
    const std::string said = library().last_error();
    EXPECT_NE(said.find(text), std::string::npos) << said << " instead of " << text;
    for (const DeviceBytes* kept : {&accepted, &next, &path}) {
      std::vector<int32_t> words(kept == &path ? 6 : 3);
      kept->Read(words.data());
      for (const int32_t word : words) EXPECT_EQ(word, -7);
    }
    // The same on the processor.
    std::vector<int32_t> words(6);
    result = {sizeof(result), words.data(), words.data() + 3, nullptr, nullptr, nullptr};
    b.logits = logits.data();
    d.rows = rows.data();
    std::vector<uint64_t> memory(4096);
    EXPECT_EQ(syl_spec_verify_f32(&b, &result, memory.data(), 4096 * 8, nullptr), SYL_BAD_VALUE);
    const std::string cpu = syl_last_error();
    EXPECT_EQ(said.substr(said.find(": ")), cpu.substr(cpu.find(": ")));
  }
};

INSTANTIATE_TEST_SUITE_P(Libraries, CudaSpecFailures, testing::ValuesIn(CudaRuns()), CudaRunName);

TEST_P(CudaSpecFailures, LeaveResultsAlone) {
  const std::vector<float> good(24, 0.25f);
  const auto with = [&](size_t row, float value) {
    std::vector<float> rows = good;
    for (const size_t at : {row, row + 2}) std::fill_n(rows.begin() + static_cast<int64_t>(4 * at), 4, value);
    return rows;
  };
  syl_spec_draft draft = {};
  Refused(draft, with(2, -INFINITY), good, "the largest allowed logit of row 2 is -inf");
  Refused(draft, with(2, INFINITY), good, "the largest allowed logit of row 2 is inf");
  draft.kind = SYL_DRAFT_LOGITS;
  Refused(draft, good, with(2, INFINITY), "the largest logit of draft->rows' row 2 is inf");
  draft.kind = SYL_DRAFT_PROBABILITIES;
  Refused(draft, good, with(2, 0.5f), "draft->rows of row 2 have a sum or a term of 2");
  Refused(draft, good, with(2, -0.25f), "draft->rows of row 2 have a sum or a term of -0.25");
  const std::vector<int64_t> begins = {0, 1, 1, 2, 2, 3, 3};
  const std::vector<int32_t> ids = {1, 1, 1};
  const std::vector<float> q = {1, 0.5f, 1};
  draft.kind = SYL_DRAFT_SPARSE;
  draft.sparse_begin = begins.data(), draft.sparse_ids = ids.data(), draft.sparse_q = q.data();
  Refused(draft, good, good, "draft->sparse_q of row 2 have a sum or a term of 0.5");
}

}  // namespace
