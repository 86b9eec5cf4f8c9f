// Random batches for verification, and both runs of one: on the processor and on a device.
#ifndef SYLVESTER_TESTS_NATIVE_CUDA_SPEC_BATCH_H_
#define SYLVESTER_TESTS_NATIVE_CUDA_SPEC_BATCH_H_

#include <gtest/gtest.h>
#include <sylvester/spec.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/native/cuda/hadamard/run.h"

namespace sylvester_test {

class SpecRandom {
 public:
  explicit SpecRandom(uint32_t seed) : engine_(seed) {}
  int64_t Below(int64_t n) { return static_cast<int64_t>(engine_() % static_cast<uint64_t>(n)); }
  bool OneIn(int64_t n) { return Below(n) == 0; }
  float Uniform() { return static_cast<float>(engine_() >> 40) * 0x1p-24f; }
  float Normal() { return Uniform() + Uniform() + Uniform() + Uniform() - 2; }
  template <typename T>
  T Of(std::initializer_list<T> values) {
    return values.begin()[Below(static_cast<int64_t>(values.size()))];
  }

 private:
  std::mt19937_64 engine_;
};

// What a batch is like.
struct SpecShape {
  syl_spec_mode mode;
  int64_t sequences, cols, most_candidates;
  bool tree = false;
  uint32_t seed = 1;
};

// A batch in host memory.
class SpecBatch {
 public:
  explicit SpecBatch(const SpecShape& shape) : shape_(shape), random_(shape.seed) {
    tie_ = random_.OneIn(3);
    MakeNodes();
    MakeTarget();
    MakeSamplers(&samplers_, true);
    MakeInputs();
    MakeDraft();
    batch_.draft = random_.OneIn(8) ? nullptr : &draft_;
    for (int64_t row = 0; row < rows_; ++row) tokens_.push_back(Candidate(row));
    if (log_q_.empty() && draft_.kind == SYL_DRAFT_LOGITS && random_.OneIn(2)) MakeLogQ();
    Bind();
  }
  SpecBatch(const SpecBatch&) = delete;
  SpecBatch& operator=(const SpecBatch&) = delete;

  syl_spec_batch& batch() { return batch_; }
  syl_spec_draft& draft() { return draft_; }
  const std::vector<float>& logits() const { return logits_; }
  const std::vector<float>& draft_rows() const { return draft_rows_; }
  const std::vector<uint32_t>& allowed() const { return allowed_; }
  std::vector<float>& target() { return logits_; }
  int64_t rows() const { return rows_; }

  std::string Name() const {
    return "seed " + std::to_string(shape_.seed) + ", mode " + std::to_string(shape_.mode) + ", cols " +
           std::to_string(shape_.cols) + ", draft " + std::to_string(batch_.draft == nullptr ? -1 : draft_.kind);
  }

 private:
  void MakeNodes() {
    row_begin_.push_back(0);
    for (int64_t s = 0; s < shape_.sequences; ++s) {
      const int64_t nodes = 1 + random_.Below(shape_.most_candidates + 1);
      for (int64_t i = 0; i < nodes; ++i) {
        // Trees that are deep and that have siblings.
        const int64_t parent = i == 0 ? -1 : random_.OneIn(2) ? i - 1 : random_.Below(i);
        parents_.push_back(static_cast<int32_t>(shape_.tree ? parent : i - 1));
      }
      row_begin_.push_back(row_begin_.back() + nodes);
      positions_.push_back(random_.OneIn(4) ? (int64_t{1} << 33) + s : random_.Below(1000));
    }
    rows_ = row_begin_.back();
  }

  float Logit() {
    const float value = 3 * random_.Normal();
    return tie_ ? std::round(value) : value;
  }

  void MakeTarget() {
    stride_ = shape_.cols + random_.Below(3);
    logits_.assign(static_cast<size_t>(rows_ * stride_), std::numeric_limits<float>::quiet_NaN());
    const bool holes = random_.OneIn(3);
    for (int64_t row = 0; row < rows_; ++row) {
      for (int64_t i = 0; i < shape_.cols; ++i) {
        float& logit = logits_[static_cast<size_t>(row * stride_ + i)];
        logit = Logit();
        if (holes && random_.OneIn(6)) logit = random_.OneIn(2) ? NAN : -INFINITY;
      }
      logits_[static_cast<size_t>(row * stride_ + random_.Below(shape_.cols))] = Logit();
    }
  }

  void MakeSamplers(std::vector<syl_sampler>* samplers, bool penalties) {
    const bool plain = random_.OneIn(2);
    for (int64_t s = 0; s < shape_.sequences; ++s) {
      syl_sampler sampler = {};
      sampler.struct_size = sizeof(sampler);
      sampler.temperature = random_.Of({1.0f, 0.7f, 1.3f, 2.5f});
      sampler.top_p = 1;
      sampler.repetition_penalty = 1;
      sampler.seed = static_cast<uint64_t>(random_.Below(int64_t{1} << 62));
      if (!plain) {
        if (random_.OneIn(12)) sampler.temperature = 0;
        if (random_.OneIn(3)) sampler.top_k = static_cast<int32_t>(1 + random_.Below(shape_.cols + 2));
        if (random_.OneIn(3)) sampler.top_p = random_.Of({1e-6f, 0.3f, 0.5f, 0.9f, 0.999f, 0.99999994f});
        if (random_.OneIn(3)) sampler.min_p = random_.Of({0.01f, 0.1f, 0.5f, 1.0f});
        if (penalties && random_.OneIn(3)) sampler.repetition_penalty = random_.Of({0.8f, 1.1f, 2.0f});
        if (penalties && random_.OneIn(3)) sampler.presence_penalty = random_.Of({-0.5f, 0.3f});
        if (penalties && random_.OneIn(3)) sampler.frequency_penalty = random_.Of({-0.1f, 0.2f});
      }
      samplers->push_back(sampler);
    }
  }

  int32_t AnyToken() { return static_cast<int32_t>(random_.Below(shape_.cols)); }

  void MakeInputs() {
    has_history_ = random_.OneIn(2), has_bias_ = random_.OneIn(3);
    history_begin_.push_back(random_.Below(3));
    bias_begin_.push_back(random_.Below(3));
    for (int64_t s = 0; s < shape_.sequences; ++s) {
      history_begin_.push_back(history_begin_.back() + random_.Below(12));
      bias_begin_.push_back(bias_begin_.back() + random_.Below(5));
    }
    for (int64_t i = 0; i < history_begin_.back(); ++i) history_.push_back(AnyToken());
    for (int64_t i = 0; i < bias_begin_.back(); ++i) {
      bias_ids_.push_back(AnyToken());
      bias_values_.push_back(shape_.cols > 9 && random_.OneIn(6) ? -INFINITY : Logit());
    }
    if (random_.OneIn(4)) {
      allowed_stride_ = (shape_.cols + 31) / 32 + random_.Below(2);
      for (int64_t i = 0; i < rows_ * allowed_stride_; ++i) {
        allowed_.push_back(static_cast<uint32_t>(random_.Below(int64_t{1} << 32) | random_.Below(int64_t{1} << 32)));
      }
    }
    for (int64_t i = random_.OneIn(3) ? 2 : 0; i > 0; --i) end_ids_.push_back(AnyToken());
    if (random_.OneIn(4)) {
      for (int64_t i = 0; i < 2 * rows_; ++i) uniforms_.push_back(random_.OneIn(9) ? 0 : random_.Uniform());
    }
  }

  // Logits near the target's, so that something is accepted.
  float DraftLogit(int64_t row, int32_t token, float noise) {
    const float target = logits_[static_cast<size_t>(row * stride_ + token)];
    return std::isfinite(target) ? target + noise * Logit() : Logit();
  }

  void MakeDraft() {
    draft_.struct_size = sizeof(draft_);
    draft_.kind = static_cast<syl_draft_kind>(random_.Below(4));
    draft_.siblings = static_cast<int32_t>(random_.Below(2));
    const float noise = random_.Of({0.0f, 0.1f, 0.5f});
    if (draft_.kind == SYL_DRAFT_SPARSE) {
      sparse_begin_.push_back(0);
      for (int64_t row = 0; row < rows_; ++row) {
        float sum = 0;
        const size_t begin = sparse_ids_.size();
        for (int32_t token = 0; token < shape_.cols; ++token) {
          if (token + 1 < shape_.cols || sum > 0 ? random_.OneIn(2) : false) continue;
          sparse_ids_.push_back(token);
          sparse_q_.push_back(std::exp(std::min(DraftLogit(row, token, noise), 20.0f)));
          sum += sparse_q_.back();
        }
        for (size_t i = begin; i < sparse_q_.size(); ++i) sparse_q_[i] /= sum;
        sparse_begin_.push_back(static_cast<int64_t>(sparse_ids_.size()));
      }
    } else if (draft_.kind != SYL_DRAFT_ONE_HOT) {
      const bool reduced = random_.OneIn(3);
      for (int32_t token = 0; token < shape_.cols; ++token) {
        if (!reduced || token == shape_.cols / 2 || random_.OneIn(2)) target_ids_.push_back(token);
      }
      draft_.cols = static_cast<int32_t>(target_ids_.size());
      draft_.stride = draft_.cols + random_.Below(2);
      draft_rows_.assign(static_cast<size_t>(rows_ * draft_.stride), std::numeric_limits<float>::quiet_NaN());
      for (int64_t row = 0; row < rows_; ++row) {
        float* const values = &draft_rows_[static_cast<size_t>(row * draft_.stride)];
        double sum = 0;
        for (int32_t i = 0; i < draft_.cols; ++i) {
          values[i] = DraftLogit(row, target_ids_[static_cast<size_t>(i)], noise);
          sum += std::exp(static_cast<double>(values[i]));
        }
        if (draft_.kind == SYL_DRAFT_LOGITS) continue;
        for (int32_t i = 0; i < draft_.cols; ++i) values[i] = static_cast<float>(std::exp(values[i]) / sum);
      }
      draft_.target_ids = reduced ? target_ids_.data() : nullptr;
      MakeSamplers(&draft_samplers_, !reduced);
    }
  }

  // A token that draft or target would take, or any.
  int32_t Candidate(int64_t row) {
    const auto sequence = std::upper_bound(row_begin_.begin(), row_begin_.end(), row) - row_begin_.begin() - 1;
    if (random_.OneIn(4) || row == row_begin_[static_cast<size_t>(sequence)]) return AnyToken();
    const int64_t parent = row_begin_[static_cast<size_t>(sequence)] + parents_[static_cast<size_t>(row)];
    int32_t best = 0;
    float most = -INFINITY;
    for (int tries = 0; tries < 6; ++tries) {
      const int32_t token = AnyToken();
      const float value = logits_[static_cast<size_t>(parent * stride_ + token)] + random_.Normal();
      if (value > most) most = value, best = token;
    }
    return best;
  }

  void MakeLogQ() {
    for (int64_t row = 0; row < rows_; ++row) {
      log_q_.push_back(random_.OneIn(9) ? random_.Of({-INFINITY, NAN, 0.0f, 0.5f}) : -5 * random_.Uniform());
    }
  }

  void Bind() {
    batch_.struct_size = sizeof(batch_);
    batch_.mode = shape_.mode;
    batch_.sequences = shape_.sequences;
    batch_.row_begin = row_begin_.data();
    batch_.cols = shape_.cols;
    batch_.logits = logits_.data();
    batch_.stride = stride_;
    batch_.tokens = tokens_.data();
    batch_.parents = shape_.tree ? parents_.data() : nullptr;
    batch_.samplers = samplers_.data();
    batch_.positions = positions_.data();
    batch_.history = history_.data();
    batch_.history_begin = has_history_ ? history_begin_.data() : nullptr;
    batch_.bias_ids = bias_ids_.data();
    batch_.bias_values = bias_values_.data();
    batch_.bias_begin = has_bias_ ? bias_begin_.data() : nullptr;
    batch_.allowed = allowed_.empty() ? nullptr : allowed_.data();
    batch_.allowed_stride = allowed_stride_;
    batch_.end_ids = end_ids_.data();
    batch_.end_count = static_cast<int64_t>(end_ids_.size());
    batch_.uniforms = uniforms_.empty() ? nullptr : uniforms_.data();
    draft_.rows = draft_rows_.data();
    draft_.samplers = draft_samplers_.data();
    draft_.log_q = log_q_.empty() ? nullptr : log_q_.data();
    draft_.sparse_begin = sparse_begin_.data();
    draft_.sparse_ids = sparse_ids_.data();
    draft_.sparse_q = sparse_q_.data();
  }

  SpecShape shape_;
  SpecRandom random_;
  bool tie_ = false, has_history_ = false, has_bias_ = false;
  int64_t rows_ = 0, stride_ = 0, allowed_stride_ = 0;
  std::vector<int64_t> row_begin_, positions_, history_begin_, bias_begin_, sparse_begin_;
  std::vector<int32_t> tokens_, parents_, history_, bias_ids_, end_ids_, sparse_ids_, target_ids_;
  std::vector<float> logits_, bias_values_, draft_rows_, log_q_, sparse_q_;
  std::vector<uint32_t> allowed_;
  std::vector<double> uniforms_;
  std::vector<syl_sampler> samplers_, draft_samplers_;
  syl_spec_batch batch_{};
  syl_spec_draft draft_{};
};

// What a verification says.
struct SpecOutcome {
  syl_status status = SYL_OK;
  std::string error;  // without the function's name
  std::vector<int32_t> accepted, next_token, path, flags;
  std::vector<float> acceptance;

  explicit SpecOutcome(const syl_spec_batch& batch, bool labels = true)
      : accepted(static_cast<size_t>(batch.sequences), -7),
        next_token(accepted),
        path(static_cast<size_t>(batch.row_begin[batch.sequences]), -7),
        flags(path),
        acceptance(labels ? path.size() : 0, -7.0f) {}

  void SetError(syl_status code, const char* text) {
    status = code;
    if (code != SYL_OK) error = std::string(text).substr(std::string(text).find(": ") + 2);
  }

  friend bool operator==(const SpecOutcome& a, const SpecOutcome& b) {
    return a.status == b.status && a.error == b.error && a.accepted == b.accepted && a.next_token == b.next_token &&
           a.path == b.path && a.flags == b.flags && a.acceptance.size() == b.acceptance.size() &&
           std::equal(a.acceptance.begin(), a.acceptance.end(), b.acceptance.begin(), [](float x, float y) {
             return std::memcmp(&x, &y, sizeof(x)) == 0 || (std::isnan(x) && std::isnan(y));
           });
  }
};

inline SpecOutcome VerifyOnCpu(SpecBatch& batch, bool labels = true) {
  SpecOutcome outcome(batch.batch(), labels);
  syl_spec_result result = {sizeof(result),
                            outcome.accepted.data(),
                            outcome.next_token.data(),
                            outcome.path.data(),
                            labels ? outcome.acceptance.data() : nullptr,
                            outcome.flags.data()};
  int64_t bytes = 0;
  EXPECT_EQ(syl_spec_verify_workspace(&batch.batch(), nullptr, &bytes), SYL_OK) << syl_last_error();
  std::vector<uint64_t> workspace(static_cast<size_t>(bytes / 8 + 1));
  outcome.SetError(syl_spec_verify_f32(&batch.batch(), &result, workspace.data(), bytes, nullptr), syl_last_error());
  return outcome;
}

// Device memory for one batch.
class SpecDevice {
 public:
  SpecDevice(const CudaLibrary& library, SpecBatch& batch, bool labels = true)
      : library_(library),
        outcome_(batch.batch(), labels),
        logits_(library, batch.logits()),
        draft_rows_(library, batch.draft_rows()),
        allowed_(library, batch.allowed()),
        accepted_(library, outcome_.accepted),
        next_token_(library, outcome_.next_token),
        path_(library, outcome_.path),
        flags_(library, outcome_.flags),
        acceptance_(library, outcome_.acceptance),
        call(batch.batch()),
        draft(batch.draft()) {
    call.logits = logits_.get();
    if (call.allowed != nullptr) call.allowed = allowed_.get();
    draft.rows = draft_rows_.get();
    if (call.draft != nullptr) call.draft = &draft;
    result = {sizeof(result), accepted_.get(), next_token_.get(), path_.get(), labels ? acceptance_.get() : nullptr,
              flags_.get()};
    EXPECT_EQ(library.spec_verify_workspace(&call, &bytes), SYL_OK) << library.last_error();
    EXPECT_EQ(library.malloc(bytes, &workspace), SYL_OK) << library.last_error();
  }
  ~SpecDevice() { library_.free(workspace); }
  SpecDevice(const SpecDevice&) = delete;
  SpecDevice& operator=(const SpecDevice&) = delete;

  syl_status Enqueue() { return library_.spec_verify_f32(&call, &result, workspace, bytes, nullptr); }

  SpecOutcome Verify() {
    outcome_.SetError(Enqueue(), library_.last_error());
    if (outcome_.status == SYL_OK) {
      outcome_.SetError(library_.spec_verify_wait(workspace, nullptr), library_.last_error());
    }
    outcome_.accepted = accepted_.Read();
    outcome_.next_token = next_token_.Read();
    outcome_.path = path_.Read();
    outcome_.flags = flags_.Read();
    outcome_.acceptance = acceptance_.Read();
    return outcome_;
  }

 private:
  template <typename T>
  class Array {
   public:
    Array(const CudaLibrary& library, const std::vector<T>& values)
        : size_(values.size()), bytes_(library, values.data(), values.size() * sizeof(T)) {}
    T* get() const { return static_cast<T*>(bytes_.get()); }
    std::vector<T> Read() const {
      std::vector<T> values(size_);
      if (size_ > 0) bytes_.Read(values.data());
      return values;
    }

   private:
    size_t size_;
    DeviceBytes bytes_;
  };

  const CudaLibrary& library_;
  SpecOutcome outcome_;
  Array<float> logits_, draft_rows_;
  Array<uint32_t> allowed_;
  Array<int32_t> accepted_, next_token_, path_, flags_;
  Array<float> acceptance_;

 public:
  syl_spec_batch call;
  syl_spec_draft draft;
  syl_spec_result result;
  int64_t bytes = 0;
  void* workspace = nullptr;
};

class CudaSpec : public CudaTest {};

}  // namespace sylvester_test

#endif
