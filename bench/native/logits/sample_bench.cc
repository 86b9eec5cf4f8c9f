// logits/stats/<cols> and logits/sample/<cols>/<filters>/<deviation>: one row, as after each token. Real logits of a
// language model deviate by 2 to 3. Beside the time: how often the row could be read from the cache meanwhile.
#include <benchmark/benchmark.h>
#include <sylvester/sylvester.h>

#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "bench/native/machine.h"

namespace {

using namespace sylvester_bench;

std::vector<float> RandomRow(int64_t cols, float deviation) {
  std::minstd_rand random(1);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> row(static_cast<size_t>(cols));
  for (float& logit : row) logit = normal(random);
  return row;
}

template <typename Call>
void Measure(benchmark::State& state, const std::vector<float>& row, Call call) {
  const auto* words = reinterpret_cast<const uint64_t*>(row.data());
  const auto count = static_cast<int64_t>(row.size() / 2);
  const double read_seconds = BestSecondsOfMany([=] { benchmark::DoNotOptimize(ReadAll(words, count)); });
  int64_t position = 0;
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    if (call(position++) != SYL_OK) state.SkipWithError(syl_last_error());
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  state.counters["reads_of_row"] = seconds.count() / static_cast<double>(state.iterations()) / read_seconds;
}

void Stats(benchmark::State& state, int64_t cols) {
  const std::vector<float> row = RandomRow(cols, 3);
  syl_logits_stats stats;
  Measure(state, row, [&](int64_t) { return syl_logits_stats_f32(row.data(), cols, 1, cols, &stats, nullptr); });
}

struct Case {
  const char* name;
  float temperature;
  int32_t top_k;
  float top_p, min_p, repetition_penalty;
  float deviation;
};

void Sample(benchmark::State& state, int64_t cols, const Case& c) {
  const std::vector<float> row = RandomRow(cols, c.deviation);
  syl_sampler sampler = {};
  sampler.struct_size = sizeof(sampler);
  sampler.temperature = c.temperature;
  sampler.top_k = c.top_k;
  sampler.top_p = c.top_p;
  sampler.min_p = c.min_p;
  sampler.repetition_penalty = c.repetition_penalty;
  sampler.seed = 1;
  std::vector<int32_t> history(1024);
  for (size_t i = 0; i < history.size(); ++i) history[i] = static_cast<int32_t>(i * i % static_cast<size_t>(cols));
  const auto history_count = static_cast<int64_t>(history.size());
  int64_t workspace_bytes = 0;
  syl_logits_sample_workspace(&sampler, cols, history_count, &workspace_bytes);
  const Buffer workspace(workspace_bytes);
  int32_t token;
  Measure(state, row, [&](int64_t position) {
    return syl_logits_sample_f32(&sampler, row.data(), cols, history.data(), history_count, nullptr, nullptr, 0,
                                 position, workspace.data, workspace_bytes, &token, nullptr);
  });
}

const bool kRegistered = [] {
  const Case cases[] = {
      {"greedy", 0, 0, 1, 0, 1, 3},         {"plain", 1, 0, 1, 0, 1, 3},
      {"top_k 40", 1, 40, 1, 0, 1, 3},      {"top_p 0.9", 1, 0, 0.9f, 0, 1, 3},
      {"top_p 0.9", 1, 0, 0.9f, 0, 1, 1},   {"min_p 0.05", 1, 0, 1, 0.05f, 1, 3},
      {"penalty 1.1", 1, 0, 1, 0, 1.1f, 3}, {"all", 0.8f, 40, 0.9f, 0.05f, 1.1f, 3},
  };
  for (const int64_t cols : {49152, 151936}) {
    const std::string vocabulary = std::to_string(cols);
    benchmark::RegisterBenchmark(("logits/stats/" + vocabulary).c_str(),
                                 [=](benchmark::State& state) { Stats(state, cols); });
    for (const Case& c : cases) {
      const std::string name =
          "logits/sample/" + vocabulary + "/" + c.name + "/" + std::to_string(static_cast<int>(c.deviation));
      benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) { Sample(state, cols, c); });
    }
  }
  return true;
}();

}  // namespace
