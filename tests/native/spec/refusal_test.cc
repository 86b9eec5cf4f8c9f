// Every error that sylvester/spec.h documents, and that nothing has been written then.
#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/native/spec/problem.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

// Two texts with everything that a call may have.
SpecProblem Everything(syl_draft_kind kind) {
  SpecProblem p;
  p.cols = 6;
  p.kind = kind;
  p.tree = true;
  p.has_masks = true;
  p.has_log_q = false;
  p.ends = {5};
  for (int32_t t = 0; t < 2; ++t) {
    SpecText text;
    text.history = {1, 2};
    text.bias = {{3, 0.5f}};
    text.sampler.presence_penalty = 0.1f;
    for (int32_t i = 0; i < 3; ++i) {
      SpecNode node;
      node.token = i == 0 ? -1 : i;
      node.parent = i - 1;
      node.logits = {0, 1, 2, 0, 1, 2};
      node.draft = kind == SYL_DRAFT_PROBABILITIES ? std::vector<float>{0.25f, 0.25f, 0.25f, 0.25f, 0, 0} : node.logits;
      node.sparse = {{1, 0.5f}, {4, 0.5f}};
      node.accept_u = 1 - 0x1p-32;  // what is rejected reads most
      text.nodes.push_back(node);
    }
    p.texts.push_back(text);
  }
  return p;
}

using Change = std::function<void(SpecCall&)>;

void ExpectRefused(syl_draft_kind kind, syl_status status, const std::string& text, const Change& change) {
  SCOPED_TRACE(text);
  SpecCall call(Everything(kind));
  call.Prepare();
  const SpecOutcome untouched = call.outcome;
  change(call);
  EXPECT_REFUSED(call.Run(), status, text);
  EXPECT_TRUE(call.outcome == untouched);
  EXPECT_NE(std::string(syl_last_error()).find("syl_spec_verify_f32"), std::string::npos) << syl_last_error();
}

TEST(SpecRefusal, TheProblemItselfIsSound) {
  for (const syl_draft_kind kind : {SYL_DRAFT_ONE_HOT, SYL_DRAFT_LOGITS, SYL_DRAFT_PROBABILITIES, SYL_DRAFT_SPARSE}) {
    SpecCall call(Everything(kind));
    call.Verify();
  }
}

TEST(SpecRefusal, Batch) {
  const auto refused = [](syl_status status, const char* text, const Change& change) {
    ExpectRefused(SYL_DRAFT_ONE_HOT, status, text, change);
  };
  refused(SYL_BAD_VALUE, "batch->struct_size is 0", [](SpecCall& c) { c.batch.struct_size = 0; });
  refused(SYL_BAD_VALUE, "batch->struct_size is 4294967295", [](SpecCall& c) { c.batch.struct_size = UINT32_MAX; });
  refused(SYL_BAD_VALUE, "mode is -1", [](SpecCall& c) { c.batch.mode = -1; });
  refused(SYL_BAD_VALUE, "mode is 4", [](SpecCall& c) { c.batch.mode = 4; });
  refused(SYL_BAD_VALUE, "sequences is -1", [](SpecCall& c) { c.batch.sequences = -1; });
  refused(SYL_BAD_VALUE, "cols is 0", [](SpecCall& c) { c.batch.cols = 0; });
  refused(SYL_BAD_VALUE, "cols is 2147483648", [](SpecCall& c) { c.batch.cols = int64_t{1} << 31; });
  refused(SYL_NULL_ARGUMENT, "row_begin is NULL", [](SpecCall& c) { c.batch.row_begin = nullptr; });
  refused(SYL_BAD_SHAPE, "row_begin[0] is 1", [](SpecCall& c) { c.row_begin[0] = 1; });
  refused(SYL_BAD_SHAPE, "row_begin[1] is 0", [](SpecCall& c) { c.row_begin[1] = 0; });
  refused(SYL_BAD_SHAPE, "row_begin[1] is 257", [](SpecCall& c) { c.row_begin[1] = 257; });
  refused(SYL_BAD_SHAPE, "row_begin[2] is -9223372036854775808", [](SpecCall& c) { c.row_begin[2] = INT64_MIN; });
  refused(SYL_BAD_SHAPE, "row_begin[2] is 9223372036854775807", [](SpecCall& c) { c.row_begin[2] = INT64_MAX; });
  refused(SYL_UNSUPPORTED, "not for parents", [](SpecCall& c) { c.batch.mode = SYL_SPEC_BLOCK; });
  refused(SYL_NULL_ARGUMENT, "logits is NULL", [](SpecCall& c) { c.batch.logits = nullptr; });
  refused(SYL_BAD_SHAPE, "stride is 5", [](SpecCall& c) { c.batch.stride = 5; });
  refused(SYL_BAD_SHAPE, "stride is 9223372036854775807", [](SpecCall& c) { c.batch.stride = INT64_MAX; });
  refused(SYL_NULL_ARGUMENT, "tokens is NULL", [](SpecCall& c) { c.batch.tokens = nullptr; });
  refused(SYL_BAD_VALUE, "tokens[1] is 6", [](SpecCall& c) { c.tokens[1] = 6; });
  refused(SYL_BAD_VALUE, "tokens[5] is -1", [](SpecCall& c) { c.tokens[5] = -1; });
  refused(SYL_BAD_VALUE, "parents[2] is 2", [](SpecCall& c) { c.parents[2] = 2; });
  refused(SYL_BAD_VALUE, "parents[4] is -1", [](SpecCall& c) { c.parents[4] = -1; });
  refused(SYL_NULL_ARGUMENT, "samplers is NULL", [](SpecCall& c) { c.batch.samplers = nullptr; });
  refused(SYL_BAD_VALUE, "samplers[1].struct_size is 3", [](SpecCall& c) { c.samplers[1].struct_size = 3; });
  refused(SYL_BAD_VALUE, "samplers[1].temperature is -1", [](SpecCall& c) { c.samplers[1].temperature = -1; });
  refused(SYL_BAD_VALUE, "samplers[0].temperature is nan", [](SpecCall& c) { c.samplers[0].temperature = kNaN; });
  refused(SYL_BAD_VALUE, "samplers[0].top_k is -1", [](SpecCall& c) { c.samplers[0].top_k = -1; });
  refused(SYL_BAD_VALUE, "samplers[0].top_p is 0", [](SpecCall& c) { c.samplers[0].top_p = 0; });
  refused(SYL_BAD_VALUE, "samplers[0].min_p is 1.5", [](SpecCall& c) { c.samplers[0].min_p = 1.5f; });
  refused(SYL_BAD_VALUE, "samplers[0].repetition_penalty is 0",
          [](SpecCall& c) { c.samplers[0].repetition_penalty = 0; });
  refused(SYL_NULL_ARGUMENT, "positions is NULL", [](SpecCall& c) { c.batch.positions = nullptr; });
  refused(SYL_BAD_VALUE, "positions[1] is -1", [](SpecCall& c) { c.positions[1] = -1; });
  refused(SYL_BAD_VALUE, "positions[0] is 9223372036854775807", [](SpecCall& c) { c.positions[0] = INT64_MAX; });
  refused(SYL_BAD_SHAPE, "history_begin[0] is -1", [](SpecCall& c) { c.history_begin[0] = -1; });
  refused(SYL_BAD_SHAPE, "history_begin[2] is -9223372036854775808",
          [](SpecCall& c) { c.history_begin[2] = INT64_MIN; });
  refused(SYL_BAD_SHAPE, "history_begin[1] is 9223372036854775807",
          [](SpecCall& c) { c.history_begin[1] = INT64_MAX; });
  refused(SYL_NULL_ARGUMENT, "history is NULL", [](SpecCall& c) { c.batch.history = nullptr; });
  refused(SYL_BAD_VALUE, "history[3] is 6", [](SpecCall& c) { c.history[3] = 6; });
  refused(SYL_BAD_SHAPE, "bias_begin[1] is -1 after 0", [](SpecCall& c) { c.bias_begin[1] = -1; });
  refused(SYL_NULL_ARGUMENT, "bias_ids is NULL", [](SpecCall& c) { c.batch.bias_ids = nullptr; });
  refused(SYL_NULL_ARGUMENT, "bias_values is NULL", [](SpecCall& c) { c.batch.bias_values = nullptr; });
  refused(SYL_BAD_VALUE, "bias_ids[1] is -2", [](SpecCall& c) { c.bias_ids[1] = -2; });
  refused(SYL_BAD_VALUE, "bias_values[0] is inf", [](SpecCall& c) { c.bias_values[0] = kInfinity; });
  refused(SYL_BAD_VALUE, "bias_values[1] is nan", [](SpecCall& c) { c.bias_values[1] = kNaN; });
  refused(SYL_BAD_SHAPE, "allowed_stride is 0", [](SpecCall& c) { c.batch.allowed_stride = 0; });
  refused(SYL_BAD_VALUE, "end_count is -1", [](SpecCall& c) { c.batch.end_count = -1; });
  refused(SYL_NULL_ARGUMENT, "end_ids is NULL", [](SpecCall& c) { c.batch.end_ids = nullptr; });
  refused(SYL_BAD_VALUE, "end_ids[0] is 6", [](SpecCall& c) { c.ends[0] = 6; });
  refused(SYL_BAD_VALUE, "uniforms[3] is 1", [](SpecCall& c) { c.uniforms[3] = 1; });
  refused(SYL_BAD_VALUE, "uniforms[11] is nan", [](SpecCall& c) { c.uniforms[11] = kNaN; });
}

TEST(SpecRefusal, Rows) {
  const auto refused = [](syl_draft_kind kind, const char* text, const Change& change) {
    ExpectRefused(kind, SYL_BAD_VALUE, text, change);
  };
  const auto fill = [](float value) {
    return [value](SpecCall& c) { std::fill_n(c.logits.begin() + 3 * c.batch.stride, 6, value); };
  };
  for (const syl_spec_mode mode : {SYL_SPEC_GREEDY, SYL_SPEC_EXACT, SYL_SPEC_TOKEN}) {
    const auto in_mode = [&](const Change& change) {
      return [=](SpecCall& c) {
        c.batch.mode = mode;
        change(c);
      };
    };
    refused(SYL_DRAFT_ONE_HOT, "logit of row 3 is -inf", in_mode(fill(-kInfinity)));
    refused(SYL_DRAFT_ONE_HOT, "logit of row 3 is -inf", in_mode(fill(kNaN)));
    refused(SYL_DRAFT_ONE_HOT, "logit of row 3 is inf",
            in_mode([](SpecCall& c) { c.logits[static_cast<size_t>(3 * c.batch.stride + 5)] = kInfinity; }));
    refused(SYL_DRAFT_ONE_HOT, "logit of row 3 is -inf", in_mode([](SpecCall& c) {
              for (int64_t w = 0; w < c.batch.allowed_stride; ++w) {
                c.allowed[static_cast<size_t>(3 * c.batch.allowed_stride + w)] = 0;
              }
            }));
  }
  refused(SYL_DRAFT_LOGITS, "draft->rows' row 0 is inf", [](SpecCall& c) { c.draft_rows[2] = kInfinity; });
  refused(SYL_DRAFT_LOGITS, "draft->rows' row 3 is -inf",
          [](SpecCall& c) { std::fill_n(c.draft_rows.begin() + 3 * c.draft.stride, 6, -kInfinity); });
  const char* const kRows = "draft->rows of row 0 have a sum or a term of ";
  refused(SYL_DRAFT_PROBABILITIES, kRows, [](SpecCall& c) { c.draft_rows[0] = 0.2f; });
  refused(SYL_DRAFT_PROBABILITIES, kRows, [](SpecCall& c) { c.draft_rows[0] = kNaN; });
  refused(SYL_DRAFT_PROBABILITIES, kRows, [](SpecCall& c) { c.draft_rows[0] = kInfinity; });
  refused(SYL_DRAFT_PROBABILITIES, kRows, [](SpecCall& c) {
    c.draft_rows[0] = -0.25f;
    c.draft_rows[4] = 0.5f;
  });
  const char* const kSparse = "draft->sparse_q of row 3 have a sum or a term of ";
  refused(SYL_DRAFT_SPARSE, kSparse, [](SpecCall& c) { c.sparse_q[6] = 0.6f; });
  refused(SYL_DRAFT_SPARSE, kSparse, [](SpecCall& c) { c.sparse_q[7] = kNaN; });
  refused(SYL_DRAFT_SPARSE, "draft->sparse_q of row 0", [](SpecCall& c) {
    std::fill_n(c.sparse_begin.begin() + 1, 6, 0);  // no token has any probability
  });
}

TEST(SpecRefusal, Draft) {
  const auto refused = [](syl_draft_kind kind, syl_status status, const char* text, const Change& change) {
    ExpectRefused(kind, status, text, change);
  };
  constexpr syl_draft_kind kLogits = SYL_DRAFT_LOGITS, kDense = SYL_DRAFT_PROBABILITIES, kSparse = SYL_DRAFT_SPARSE;
  static const int32_t ids[] = {0, 2, 1}, outside[] = {0, 1, 6};
  refused(kDense, SYL_BAD_VALUE, "draft->struct_size is 7", [](SpecCall& c) { c.draft.struct_size = 7; });
  refused(kDense, SYL_BAD_VALUE, "draft->kind is 4", [](SpecCall& c) { c.draft.kind = 4; });
  refused(kDense, SYL_BAD_VALUE, "draft->kind is -1", [](SpecCall& c) { c.draft.kind = -1; });
  refused(kDense, SYL_BAD_VALUE, "draft->siblings is 2", [](SpecCall& c) { c.draft.siblings = 2; });
  refused(kDense, SYL_BAD_VALUE, "draft->cols is 0", [](SpecCall& c) { c.draft.cols = 0; });
  refused(kDense, SYL_BAD_VALUE, "draft->cols is 7", [](SpecCall& c) { c.draft.cols = 7; });
  refused(kDense, SYL_BAD_SHAPE, "draft->cols is 3", [](SpecCall& c) { c.draft.cols = 3; });
  refused(kDense, SYL_NULL_ARGUMENT, "draft->rows is NULL", [](SpecCall& c) { c.draft.rows = nullptr; });
  refused(kDense, SYL_BAD_SHAPE, "draft->stride is -6", [](SpecCall& c) { c.draft.stride = -6; });
  refused(kDense, SYL_BAD_VALUE, "draft->target_ids[2] is 1 after 2", [](SpecCall& c) {
    c.draft.cols = 3;
    c.draft.target_ids = ids;
  });
  refused(kDense, SYL_BAD_VALUE, "draft->target_ids[2] is 6", [](SpecCall& c) {
    c.draft.cols = 3;
    c.draft.target_ids = outside;
  });
  refused(kLogits, SYL_NULL_ARGUMENT, "draft->samplers is NULL", [](SpecCall& c) { c.draft.samplers = nullptr; });
  refused(kLogits, SYL_BAD_VALUE, "draft->samplers[1].top_p is 2", [](SpecCall& c) { c.draft_samplers[1].top_p = 2; });
  refused(kLogits, SYL_UNSUPPORTED, "draft->samplers[0] has penalties", [](SpecCall& c) {
    c.draft.cols = 2;
    c.draft.target_ids = ids;
    c.draft_samplers[0].frequency_penalty = 1;
  });
  refused(kSparse, SYL_NULL_ARGUMENT, "draft->sparse_begin is NULL",
          [](SpecCall& c) { c.draft.sparse_begin = nullptr; });
  refused(kSparse, SYL_BAD_SHAPE, "draft->sparse_begin[0] is -1", [](SpecCall& c) { c.sparse_begin[0] = -1; });
  refused(kSparse, SYL_BAD_SHAPE, "draft->sparse_begin[2] is 0 after 2", [](SpecCall& c) { c.sparse_begin[2] = 0; });
  refused(kSparse, SYL_BAD_SHAPE, "draft->sparse_begin[1] is -9223372036854775808",
          [](SpecCall& c) { c.sparse_begin[1] = INT64_MIN; });
  refused(kSparse, SYL_NULL_ARGUMENT, "draft->sparse_ids is NULL", [](SpecCall& c) { c.draft.sparse_ids = nullptr; });
  refused(kSparse, SYL_NULL_ARGUMENT, "draft->sparse_q is NULL", [](SpecCall& c) { c.draft.sparse_q = nullptr; });
  refused(kSparse, SYL_BAD_VALUE, "draft->sparse_ids[1] is 1 after 1", [](SpecCall& c) { c.sparse_ids[1] = 1; });
  refused(kSparse, SYL_BAD_VALUE, "draft->sparse_ids[0] is 9", [](SpecCall& c) { c.sparse_ids[0] = 9; });
}

TEST(SpecRefusal, ResultAndWorkspace) {
  const auto refused = [](syl_status status, const char* text, const Change& change) {
    ExpectRefused(SYL_DRAFT_SPARSE, status, text, change);
  };
  refused(SYL_BAD_VALUE, "result->struct_size is 0", [](SpecCall& c) { c.result.struct_size = 0; });
  refused(SYL_NULL_ARGUMENT, "result->accepted is NULL", [](SpecCall& c) { c.result.accepted = nullptr; });
  refused(SYL_NULL_ARGUMENT, "result->next_token is NULL", [](SpecCall& c) { c.result.next_token = nullptr; });
  refused(SYL_WORKSPACE, "workspace_bytes is ", [](SpecCall& c) { --c.bytes; });
  refused(SYL_WORKSPACE, "workspace_bytes is -9223372036854775808", [](SpecCall& c) { c.bytes = INT64_MIN; });
  refused(SYL_OVERLAP, "two of the results", [](SpecCall& c) { c.result.next_token = c.result.accepted + 1; });
  refused(SYL_OVERLAP, "two of the results", [](SpecCall& c) { c.result.flags = c.result.path + 5; });
  // Each argument in the workspace, where it would be overwritten.
  const std::vector<Change> moved = {
      [](SpecCall& c) { c.batch.logits = reinterpret_cast<float*>(c.workspace.data()); },
      [](SpecCall& c) { c.result.accepted = reinterpret_cast<int32_t*>(c.workspace.data()); },
      [](SpecCall& c) { c.result.acceptance = reinterpret_cast<float*>(c.workspace.data()) + 3; },
      [](SpecCall& c) { c.batch.allowed = reinterpret_cast<uint32_t*>(c.workspace.data()); }};
  for (const Change& move : moved) refused(SYL_OVERLAP, "overlaps an argument", move);
  const auto copied = [&](auto pointer_of, auto source_of) {
    refused(SYL_OVERLAP, "overlaps an argument", [=](SpecCall& c) {
      const auto& source = source_of(c);
      std::memcpy(c.workspace.data(), source.data(), source.size() * sizeof(source[0]));
      pointer_of(c) = reinterpret_cast<std::remove_reference_t<decltype(pointer_of(c))>>(c.workspace.data());
    });
  };
  copied(
      [](SpecCall & c) -> auto& { return c.batch.row_begin; }, [](SpecCall & c) -> auto& { return c.row_begin; });
  copied(
      [](SpecCall & c) -> auto& { return c.batch.tokens; }, [](SpecCall & c) -> auto& { return c.tokens; });
  copied(
      [](SpecCall & c) -> auto& { return c.batch.parents; }, [](SpecCall & c) -> auto& { return c.parents; });
  copied(
      [](SpecCall & c) -> auto& { return c.batch.samplers; }, [](SpecCall & c) -> auto& { return c.samplers; });
  copied(
      [](SpecCall & c) -> auto& { return c.batch.positions; }, [](SpecCall & c) -> auto& { return c.positions; });
  copied(
      [](SpecCall & c) -> auto& { return c.batch.history; }, [](SpecCall & c) -> auto& { return c.history; });
  copied(
      [](SpecCall & c) -> auto& { return c.batch.history_begin; },
      [](SpecCall & c) -> auto& { return c.history_begin; });
  copied(
      [](SpecCall & c) -> auto& { return c.batch.bias_ids; }, [](SpecCall & c) -> auto& { return c.bias_ids; });
  copied(
      [](SpecCall & c) -> auto& { return c.batch.bias_values; }, [](SpecCall & c) -> auto& { return c.bias_values; });
  copied(
      [](SpecCall & c) -> auto& { return c.batch.bias_begin; }, [](SpecCall & c) -> auto& { return c.bias_begin; });
  copied(
      [](SpecCall & c) -> auto& { return c.batch.end_ids; }, [](SpecCall & c) -> auto& { return c.ends; });
  copied(
      [](SpecCall & c) -> auto& { return c.batch.uniforms; }, [](SpecCall & c) -> auto& { return c.uniforms; });
  copied(
      [](SpecCall & c) -> auto& { return c.draft.sparse_begin; }, [](SpecCall & c) -> auto& { return c.sparse_begin; });
  copied(
      [](SpecCall & c) -> auto& { return c.draft.sparse_ids; }, [](SpecCall & c) -> auto& { return c.sparse_ids; });
  copied(
      [](SpecCall & c) -> auto& { return c.draft.sparse_q; }, [](SpecCall & c) -> auto& { return c.sparse_q; });
}

TEST(SpecRefusal, PointersOfTheCallItself) {
  SpecCall call(Everything(SYL_DRAFT_ONE_HOT));
  call.Prepare();
  auto* const workspace = call.workspace.data();
  EXPECT_REFUSED(syl_spec_verify_f32(nullptr, &call.result, workspace, call.bytes, nullptr), SYL_NULL_ARGUMENT,
                 "batch is NULL");
  EXPECT_REFUSED(syl_spec_verify_f32(&call.batch, nullptr, workspace, call.bytes, nullptr), SYL_NULL_ARGUMENT,
                 "result is NULL");
  EXPECT_REFUSED(syl_spec_verify_f32(&call.batch, &call.result, nullptr, call.bytes, nullptr), SYL_NULL_ARGUMENT,
                 "workspace is NULL");
  EXPECT_REFUSED(
      syl_spec_verify_f32(&call.batch, &call.result, reinterpret_cast<uint8_t*>(workspace) + 4, call.bytes, nullptr),
      SYL_BAD_VALUE, "must be aligned to 8 bytes");
  int64_t bytes = 77;
  EXPECT_REFUSED(syl_spec_verify_workspace(nullptr, nullptr, &bytes), SYL_NULL_ARGUMENT, "batch is NULL");
  EXPECT_REFUSED(syl_spec_verify_workspace(&call.batch, nullptr, nullptr), SYL_NULL_ARGUMENT, "bytes is NULL");
  call.batch.mode = 9;
  EXPECT_REFUSED(syl_spec_verify_workspace(&call.batch, nullptr, &bytes), SYL_BAD_VALUE, "mode is 9");
  EXPECT_EQ(bytes, 77);
}

// No sequence is no error, and needs hardly any argument.
TEST(SpecRefusal, NothingToDo) {
  const int64_t none = 0;
  syl_spec_batch batch = {};
  batch.struct_size = sizeof(batch);
  batch.cols = 1;
  batch.row_begin = &none;
  syl_spec_result result = {};
  result.struct_size = sizeof(result);
  int32_t unused[2] = {77, 77};
  result.accepted = unused;
  result.next_token = unused + 1;
  int64_t bytes = 0;
  const Pool pool = NewPool(3);
  ASSERT_EQ(syl_spec_verify_workspace(&batch, pool.get(), &bytes), SYL_OK) << syl_last_error();
  std::vector<uint64_t> workspace(static_cast<size_t>(bytes) / 8 + 1);
  EXPECT_EQ(syl_spec_verify_f32(&batch, &result, workspace.data(), bytes, pool.get()), SYL_OK) << syl_last_error();
  EXPECT_EQ(unused[0], 77);
}

}  // namespace
