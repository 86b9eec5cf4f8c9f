// Verification described node by node, and the call of it.
#ifndef SYLVESTER_TESTS_NATIVE_SPEC_PROBLEM_H_
#define SYLVESTER_TESTS_NATIVE_SPEC_PROBLEM_H_

#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "tests/native/testing.h"

namespace sylvester_test {

inline syl_sampler SpecSampler(float temperature = 1, uint64_t seed = 0x123456789abcdef0) {
  syl_sampler s = {};
  s.struct_size = sizeof(s);
  s.temperature = temperature;
  s.top_p = 1;
  s.repetition_penalty = 1;
  s.seed = seed;
  return s;
}

struct SpecNode {
  int32_t token = -1, parent = -1;
  std::vector<float> logits;
  std::vector<bool> allowed;                      // empty: all
  std::vector<float> draft;                       // LOGITS, PROBABILITIES
  std::vector<std::pair<int32_t, float>> sparse;  // SPARSE
  float log_q = 0;
  double accept_u = 0, residual_u = 0;
};

struct SpecText {
  std::vector<SpecNode> nodes;
  syl_sampler sampler = SpecSampler(), draft_sampler = SpecSampler();
  int64_t position = 0;
  std::vector<int32_t> history;
  std::vector<std::pair<int32_t, float>> bias;
};

struct SpecProblem {
  syl_spec_mode mode = SYL_SPEC_TOKEN;
  int64_t cols = 0;
  std::vector<SpecText> texts;
  bool tree = false, has_log_q = false, has_masks = false, has_uniforms = true;
  syl_draft_kind kind = SYL_DRAFT_ONE_HOT;
  int32_t siblings = SYL_SIBLINGS_INDEPENDENT;
  std::vector<int32_t> target_ids;  // empty: all
  std::vector<int32_t> ends;
};

struct SpecOutcome {
  std::vector<int32_t> accepted, next_token, path, flags;
  std::vector<float> acceptance;

  bool operator==(const SpecOutcome& o) const {
    return accepted == o.accepted && next_token == o.next_token && path == o.path && flags == o.flags &&
           SameBits(acceptance, o.acceptance);
  }
};

// The arrays of a problem. Rows lie apart, with NaN between them.
class SpecCall {
 public:
  explicit SpecCall(const SpecProblem& p) {
    const size_t cols = static_cast<size_t>(p.cols), gap = 3, words = (cols + 31) / 32 + 1;
    const size_t draft_cols = p.target_ids.empty() ? cols : p.target_ids.size();
    row_begin.push_back(0);
    history_begin.push_back(0);
    bias_begin.push_back(0);
    sparse_begin.push_back(0);
    for (const SpecText& text : p.texts) {
      for (const SpecNode& node : text.nodes) {
        logits.insert(logits.end(), node.logits.begin(), node.logits.end());
        logits.insert(logits.end(), gap, kNaN);
        tokens.push_back(node.token);
        parents.push_back(node.parent);
        for (size_t w = 0; w < words; ++w) {
          uint32_t word = node.allowed.empty() ? ~uint32_t{0} : 0;
          for (size_t b = 0; b < 32 && w * 32 + b < node.allowed.size(); ++b) {
            word |= static_cast<uint32_t>(node.allowed[w * 32 + b]) << b;
          }
          allowed.push_back(word);
        }
        std::vector<float> row = node.draft;
        row.resize(draft_cols + gap, kNaN);
        draft_rows.insert(draft_rows.end(), row.begin(), row.end());
        log_q.push_back(node.log_q);
        for (const auto& [id, q] : node.sparse) {
          sparse_ids.push_back(id);
          sparse_q.push_back(q);
        }
        sparse_begin.push_back(static_cast<int64_t>(sparse_ids.size()));
        uniforms.push_back(node.accept_u);
        uniforms.push_back(node.residual_u);
      }
      row_begin.push_back(static_cast<int64_t>(tokens.size()));
      samplers.push_back(text.sampler);
      draft_samplers.push_back(text.draft_sampler);
      positions.push_back(text.position);
      history.insert(history.end(), text.history.begin(), text.history.end());
      history_begin.push_back(static_cast<int64_t>(history.size()));
      for (const auto& [id, value] : text.bias) {
        bias_ids.push_back(id);
        bias_values.push_back(value);
      }
      bias_begin.push_back(static_cast<int64_t>(bias_ids.size()));
    }
    ends = p.ends;
    target_ids = p.target_ids;
    batch.struct_size = sizeof(batch);
    batch.mode = p.mode;
    batch.sequences = static_cast<int64_t>(p.texts.size());
    batch.row_begin = row_begin.data();
    batch.cols = p.cols;
    batch.logits = logits.data();
    batch.stride = static_cast<int64_t>(cols + gap);
    batch.tokens = tokens.data();
    batch.parents = p.tree ? parents.data() : nullptr;
    batch.samplers = samplers.data();
    batch.positions = positions.data();
    batch.history = history.data();
    batch.history_begin = history_begin.data();
    batch.bias_ids = bias_ids.data();
    batch.bias_values = bias_values.data();
    batch.bias_begin = bias_begin.data();
    batch.allowed = p.has_masks ? allowed.data() : nullptr;
    batch.allowed_stride = static_cast<int64_t>(words);
    batch.end_ids = ends.data();
    batch.end_count = static_cast<int64_t>(ends.size());
    batch.draft = &draft;
    batch.uniforms = p.has_uniforms ? uniforms.data() : nullptr;
    draft.struct_size = sizeof(draft);
    draft.kind = p.kind;
    draft.siblings = p.siblings;
    draft.cols = static_cast<int32_t>(draft_cols);
    draft.rows = draft_rows.data();
    draft.stride = static_cast<int64_t>(draft_cols + gap);
    draft.samplers = draft_samplers.data();
    draft.log_q = p.has_log_q ? log_q.data() : nullptr;
    draft.sparse_begin = sparse_begin.data();
    draft.sparse_ids = sparse_ids.data();
    draft.sparse_q = sparse_q.data();
    draft.target_ids = p.target_ids.empty() ? nullptr : target_ids.data();
    outcome.accepted.assign(p.texts.size(), kUntouched);
    outcome.next_token.assign(p.texts.size(), kUntouched);
    outcome.path.assign(tokens.size(), kUntouched);
    outcome.flags.assign(tokens.size(), kUntouched);
    outcome.acceptance.assign(tokens.size(), kUntouched);
    result.struct_size = sizeof(result);
    result.accepted = outcome.accepted.data();
    result.next_token = outcome.next_token.data();
    result.path = outcome.path.data();
    result.acceptance = outcome.acceptance.data();
    result.flags = outcome.flags.data();
  }
  SpecCall(const SpecCall&) = delete;
  SpecCall& operator=(const SpecCall&) = delete;

  // Sizes the workspace; again after a change of what it depends on.
  void Prepare(syl_pool* pool_ = nullptr) {
    pool = pool_;
    ASSERT_EQ(syl_spec_verify_workspace(&batch, pool, &bytes), SYL_OK) << syl_last_error();
    workspace.assign(static_cast<size_t>(bytes) / 8 + 9, kSentinel);
  }

  syl_status Run() { return syl_spec_verify_f32(&batch, &result, workspace.data(), bytes, pool); }

  const SpecOutcome& Verify(syl_pool* pool_ = nullptr) {
    Prepare(pool_);
    EXPECT_EQ(Run(), SYL_OK) << syl_last_error();
    const auto* end = reinterpret_cast<const uint8_t*>(workspace.data()) + bytes;
    for (int i = 0; i < 64; ++i) EXPECT_EQ(end[i], 0xcd) << "written behind the workspace";
    return outcome;
  }

  static constexpr int32_t kUntouched = 77;
  static constexpr uint64_t kSentinel = 0xcdcdcdcdcdcdcdcd;

  std::vector<int64_t> row_begin, positions, history_begin, bias_begin, sparse_begin;
  std::vector<float> logits, bias_values, draft_rows, log_q, sparse_q;
  std::vector<int32_t> tokens, parents, history, bias_ids, sparse_ids, ends, target_ids;
  std::vector<uint32_t> allowed;
  std::vector<syl_sampler> samplers, draft_samplers;
  std::vector<double> uniforms;
  syl_spec_draft draft = {};
  syl_spec_batch batch = {};
  syl_spec_result result = {};
  SpecOutcome outcome;
  syl_pool* pool = nullptr;
  int64_t bytes = 0;
  std::vector<uint64_t> workspace;
};

}  // namespace sylvester_test

#endif
