// Verification of one sequence over a vocabulary of 151,936, one thread, rows from memory: each case takes turns with
// its yardstick in one loop, on rows that no cache holds. Counters: medians in microseconds, the ratio of both medians
// and of both minima.
#include <benchmark/benchmark.h>
#include <sylvester/sylvester.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "bench/native/machine.h"
#include "native/cpu/spec/draft.h"
#include "native/cpu/spec/remainder.h"

namespace {

using namespace sylvester;

constexpr int64_t kVocabulary = 151936, kRows = sylvester_bench::kColdBytes / 4 / kVocabulary, kCandidates = 4;
constexpr int64_t kLeastPairs = 200;

// A few likely tokens above a normal bulk, as a language model's; the draft's rows are near the target's.
struct Logits {
  Logits() : target(kRows * kVocabulary * 4), draft(kRows * kVocabulary * 4) {
    std::minstd_rand random(1);
    std::normal_distribution<float> normal(0, 1);
    std::vector<float> bulk(1 << 16);
    for (float& value : bulk) value = normal(random);
    for (int64_t i = 0; i < kRows * kVocabulary; ++i) {
      const float value = 2.5f * bulk[random() % bulk.size()];
      Target(0)[i] = value;
      Draft(0)[i] = value + 0.5f * bulk[random() % bulk.size()];
    }
    for (int64_t row = 0; row < kRows; ++row) {
      for (int rank = 0; rank < 30; ++rank) {
        const auto token = static_cast<int64_t>(random() % kVocabulary);
        Target(row)[token] = Draft(row)[token] = 16 - 2 * std::log2(1.0f + static_cast<float>(rank));
        if (rank == 0) best.push_back(static_cast<int32_t>(token));
      }
    }
  }
  float* Target(int64_t row) { return reinterpret_cast<float*>(target.data) + row * kVocabulary; }
  float* Draft(int64_t row) { return reinterpret_cast<float*>(draft.data) + row * kVocabulary; }

  sylvester_bench::Buffer target, draft;
  std::vector<int32_t> best;  // of each row
};

Logits& Rows() {
  static Logits logits;
  return logits;
}

syl_sampler Sampler() {
  syl_sampler s = {};
  s.struct_size = sizeof(s);
  s.temperature = s.top_p = s.repetition_penalty = 1;
  s.seed = 1;
  return s;
}

// Calls for `candidates` after any first row. Candidates are the likeliest tokens, whose log q is -1.
struct Call {
  Call(syl_spec_mode mode, int64_t candidates, bool from_logits) : rows(candidates + 1), row_begin{0, rows} {
    tokens.resize(static_cast<size_t>(rows));
    log_q.assign(tokens.size(), -1);
    uniforms.assign(2 * tokens.size(), 0);
    draft.struct_size = sizeof(draft);
    draft.kind = from_logits ? SYL_DRAFT_LOGITS : SYL_DRAFT_ONE_HOT;
    draft.cols = kVocabulary;
    draft.stride = kVocabulary;
    draft.samplers = &sampler;
    draft.log_q = log_q.data();
    batch.struct_size = sizeof(batch);
    batch.mode = mode;
    batch.sequences = 1;
    batch.row_begin = row_begin;
    batch.cols = batch.stride = kVocabulary;
    batch.tokens = tokens.data();
    batch.samplers = &sampler;
    batch.positions = &position;
    batch.draft = &draft;
    batch.uniforms = uniforms.data();
    result.struct_size = sizeof(result);
    result.accepted = &accepted;
    result.next_token = &next_token;
    Select(0);
    int64_t bytes = 0;
    syl_spec_verify_workspace(&batch, nullptr, &bytes);
    workspace.resize(static_cast<size_t>(bytes) / 8 + 1);
  }

  void Select(int64_t first) {
    batch.logits = Rows().Target(first);
    draft.rows = Rows().Draft(first);
    for (int64_t i = 1; i < rows; ++i) tokens[static_cast<size_t>(i)] = Rows().best[static_cast<size_t>(first + i - 1)];
  }

  bool Run() {
    return syl_spec_verify_f32(&batch, &result, workspace.data(), static_cast<int64_t>(workspace.size() * 8),
                               nullptr) == SYL_OK;
  }

  int64_t rows, row_begin[2], position = 0;
  std::vector<int32_t> tokens;
  std::vector<float> log_q;
  std::vector<double> uniforms;
  syl_sampler sampler = Sampler();
  syl_spec_draft draft = {};
  syl_spec_batch batch = {};
  int32_t accepted = 0, next_token = 0;
  syl_spec_result result = {};
  std::vector<uint64_t> workspace;
};

void ReadRows(const float* rows, int64_t count) {
  benchmark::DoNotOptimize(sylvester_bench::ReadAll(reinterpret_cast<const uint64_t*>(rows), count * kVocabulary / 2));
}

// ours(row) and other(row) in turns, each on `rows` rows of its own.
template <typename Ours, typename Other>
void Alternate(benchmark::State& state, int64_t rows, Ours ours, Other other) {
  std::vector<double> own, others;
  int64_t row = 0;
  const auto time = [&](auto work) {
    if (row + rows > kRows) row = 0;
    const auto start = std::chrono::steady_clock::now();
    work(row);
    row += rows;
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  };
  for (auto step : state) {
    for (int64_t pair = 0; pair < kLeastPairs; ++pair) {
      own.push_back(time(ours));
      others.push_back(time(other));
    }
  }
  std::sort(own.begin(), own.end());
  std::sort(others.begin(), others.end());
  const double median = own[own.size() / 2], other_median = others[others.size() / 2];
  state.counters["us"] = median;
  state.counters["yardstick_us"] = other_median;
  state.counters["ratio"] = median / other_median;
  state.counters["ratio_of_minima"] = own[0] / others[0];
}

// All candidates accepted, against a read of the rows.
void Greedy(benchmark::State& state) {
  Call call(SYL_SPEC_GREEDY, kCandidates, false);
  Alternate(
      state, call.rows,
      [&](int64_t row) {
        call.Select(row);
        if (!call.Run() || call.accepted != kCandidates) state.SkipWithError("not all were accepted");
      },
      [&](int64_t row) { ReadRows(Rows().Target(row), call.rows); });
}

// One row of TOKEN: the candidate ends the text, so that nothing is drawn after it.
void TokenRow(benchmark::State& state) {
  Call call(SYL_SPEC_TOKEN, 1, false);
  call.batch.end_ids = &call.tokens[1];
  call.batch.end_count = 1;
  Alternate(
      state, 1,
      [&](int64_t row) {
        call.Select(std::min(row, kRows - 2));
        if (!call.Run() || call.next_token != -1) state.SkipWithError("not accepted");
      },
      [&](int64_t row) { ReadRows(Rows().Target(row), 1); });
}

// What is left of p and the token from it, both masses known, against a read of both rows.
void Residual(benchmark::State& state) {
  Call call(SYL_SPEC_TOKEN, 1, true);
  std::vector<RowTotals> target_totals, draft_totals;
  for (int64_t row = 0; row < kRows; ++row) {
    target_totals.push_back(TotalsOfRow(Rows().Target(row), kVocabulary, 1));
    draft_totals.push_back(TotalsOfRow(Rows().Draft(row), kVocabulary, 1));
  }
  std::vector<double> sums(static_cast<size_t>(Remainder::Chunks(kVocabulary)));
  call.draft.rows = Rows().Draft(0);
  SpecRejections rejections;
  rejections.Start(SpecSiblings::kIndependent);
  rejections.Add({1, 2}, {1, 1}, 0);
  Alternate(
      state, 1,
      [&](int64_t row) {
        const RowTotals& totals = target_totals[static_cast<size_t>(row)];
        const LoadedRow target{{Rows().Target(row), kVocabulary, {totals.max, 1}, nullptr}, 0, totals.mass};
        DraftRow draft(call.batch, 0, RowScratch());
        draft.Select(row, {}, &draft_totals[static_cast<size_t>(row)]);
        draft.Load();
        const Remainder remainder{target, draft, rejections};
        const double sum = remainder.Sum(sums.data());
        benchmark::DoNotOptimize(remainder.Choose(sums.data(), sum, 0.5));
      },
      [&](int64_t row) {
        ReadRows(Rows().Target(row), 1);
        ReadRows(Rows().Draft(row), 1);
      });
}

void Softmax(const float* logits, float* p) {
  const Scale scale{MaxOfRow(logits, kVocabulary), 1};
  Probabilities({logits, scale, 1}, kVocabulary, p);
  const auto factor = static_cast<float>(1 / SumOfRow(p, kVocabulary).sum);
  for (int64_t i = 0; i < kVocabulary; ++i) p[i] *= factor;
}

// Three of four candidates are accepted, the fourth is not. Against probabilities of every row of target and draft,
// with the same vector kernels, then the comparisons and a residual from them.
void Whole(benchmark::State& state) {
  Call call(SYL_SPEC_TOKEN, kCandidates, true);
  call.uniforms[2 * kCandidates] = 1 - 0x1p-32;
  call.uniforms[2 * kCandidates - 1] = 0.5;
  std::fill(call.log_q.begin(), call.log_q.end(), 0.0f);
  std::vector<float> p(static_cast<size_t>(call.rows * kVocabulary)), q(p.size());
  Alternate(
      state, call.rows,
      [&](int64_t row) {
        call.Select(row);
        if (!call.Run() || call.accepted != kCandidates - 1) state.SkipWithError("not three were accepted");
      },
      [&](int64_t row) {
        for (int64_t i = 0; i < call.rows; ++i) Softmax(Rows().Target(row + i), p.data() + i * kVocabulary);
        for (int64_t i = 0; i < kCandidates; ++i) Softmax(Rows().Draft(row + i), q.data() + i * kVocabulary);
        const int64_t at = (kCandidates - 1) * kVocabulary;
        double sum = 0;
        for (int64_t i = at; i < at + kVocabulary; ++i) {
          p[static_cast<size_t>(i)] = std::max(p[static_cast<size_t>(i)] - q[static_cast<size_t>(i)], 0.0f);
        }
        sum = SumOfRow(p.data() + at, kVocabulary).sum;
        int64_t token = at;
        for (double before = 0; token < at + kVocabulary - 1 && before <= 0.5 * sum; ++token) {
          before += p[static_cast<size_t>(token)];
        }
        benchmark::DoNotOptimize(token);
      });
}

BENCHMARK(Greedy)->Name("spec/verify/greedy_5_rows")->Iterations(3);
BENCHMARK(TokenRow)->Name("spec/verify/token_1_row")->Iterations(5);
BENCHMARK(Residual)->Name("spec/verify/residual_2_rows")->Iterations(5);
BENCHMARK(Whole)->Name("spec/verify/whole_3_of_4")->Iterations(1);

}  // namespace
