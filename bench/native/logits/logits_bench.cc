// logits/stats/<rows>x<vocabulary>/t<threads> and logits/sample/<filters>/<kind of row>/<vocabulary>. Rows: "model" has
// a few likely tokens above a normal bulk, as a language model's, "flat" has none: the worst case. Each draw is at
// another position. logits/pass/<what>/<type>: 64 rows of 126464 one by one, from memory; "max" is a plain loop that
// only looks for the largest logit, the others are syl_logits_stats_of, without a draw, with one at T = 1 and at 0.9.
#include <benchmark/benchmark.h>
#include <sylvester/sylvester.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr int64_t kVocabularies[] = {49152, 151936};

std::vector<float> Row(const std::string& kind, int64_t cols) {
  std::minstd_rand random(1);
  std::normal_distribution<float> normal(0, kind == "flat" ? 0.1f : 2.5f);
  std::vector<float> row(static_cast<size_t>(cols));
  for (float& logit : row) logit = normal(random);
  if (kind == "model") {
    for (int rank = 0; rank < 30; ++rank)
      row[random() % row.size()] = 16 - 2 * std::log2(1.0f + static_cast<float>(rank));
  }
  return row;
}

void Stats(benchmark::State& state, int64_t rows, int64_t cols, int threads) {
  std::vector<float> logits;
  for (int64_t r = 0; r < rows; ++r) {
    const std::vector<float> row = Row("model", cols);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  syl_pool* raw_pool = nullptr;
  syl_pool_new(threads, &raw_pool);
  const std::unique_ptr<syl_pool, decltype(&syl_pool_free)> pool(raw_pool, &syl_pool_free);
  std::vector<syl_logits_stats> stats(static_cast<size_t>(rows));
  for (auto _ : state) {
    if (syl_logits_stats_f32(logits.data(), cols, rows, cols, stats.data(), pool.get()) != SYL_OK) {
      state.SkipWithError(syl_last_error());
    }
  }
  state.SetBytesProcessed(state.iterations() * rows * cols * 4);
}

constexpr int64_t kPassRows = 64, kPassCols = 126464;

// The compiler makes vectors of it: 32 maxima side by side.
template <class T, class ToFloat>
float PlainMax(const T* x, int64_t cols, ToFloat to_float) {
  float max[32];
  std::fill_n(max, 32, -INFINITY);
  for (int64_t i = 0; i + 32 <= cols; i += 32) {
    for (int64_t j = 0; j < 32; ++j) {
      const float value = to_float(x[i + j]);
      max[j] = value > max[j] ? value : max[j];
    }
  }
  return *std::max_element(max, max + 32);
}

float FromBf16(uint16_t half) {
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// draw_temperature < 0: only the largest logit.
void Pass(benchmark::State& state, syl_dtype type, float draw_temperature) {
  std::vector<float> logits;
  for (int64_t r = 0; r < kPassRows; ++r) {
    const std::vector<float> row = Row("model", kPassCols);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  std::vector<uint16_t> halves(logits.size());
  syl_convert_from_f32(SYL_BF16, logits.data(), static_cast<int64_t>(logits.size()), halves.data());
  syl_logits_options options = {};
  options.struct_size = sizeof(options);
  options.type = type;
  options.temperature = options.top_p = 1;
  options.draw_temperature = draw_temperature;
  const void* data = type == SYL_F32 ? static_cast<const void*>(logits.data()) : halves.data();
  int32_t row = 0;
  for (auto _ : state) {
    row = (row + 1) % kPassRows;
    if (draw_temperature < 0 && type == SYL_F32) {
      benchmark::DoNotOptimize(PlainMax(logits.data() + row * kPassCols, kPassCols, [](float value) { return value; }));
    } else if (draw_temperature < 0) {
      benchmark::DoNotOptimize(PlainMax(halves.data() + row * kPassCols, kPassCols, FromBf16));
    } else {
      syl_logits_stats stats;
      if (syl_logits_stats_of(&options, data, nullptr, kPassCols, kPassRows, kPassCols, &row, nullptr, 1, &stats,
                              nullptr) != SYL_OK) {
        state.SkipWithError(syl_last_error());
      }
      benchmark::DoNotOptimize(stats);
    }
  }
  state.SetBytesProcessed(state.iterations() * kPassCols * (type == SYL_F32 ? 4 : 2));
}

void Sample(benchmark::State& state, syl_sampler sampler, const std::string& kind, int64_t cols) {
  const std::vector<float> row = Row(kind, cols);
  int64_t bytes = 0;
  syl_logits_sample_workspace(&sampler, cols, 0, &bytes);
  std::vector<uint64_t> workspace(static_cast<size_t>(bytes / 8 + 1));
  int64_t position = 0;
  for (auto _ : state) {
    int32_t token;
    float log_probability;
    if (syl_logits_sample_f32(&sampler, row.data(), cols, nullptr, 0, nullptr, nullptr, 0, position++, workspace.data(),
                              bytes, &token, &log_probability) != SYL_OK) {
      state.SkipWithError(syl_last_error());
    }
    benchmark::DoNotOptimize(token);
  }
}

const bool kRegistered = [] {
  for (const int64_t cols : kVocabularies) {
    for (const int64_t rows : {1, 32}) {
      for (const int threads : {1, 2}) {
        const std::string name =
            "logits/stats/" + std::to_string(rows) + "x" + std::to_string(cols) + "/t" + std::to_string(threads);
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
          Stats(state, rows, cols, threads);
        })->UseRealTime();
      }
    }
  }
  for (const syl_dtype type : {SYL_F32, SYL_BF16}) {
    const std::pair<const char*, float> passes[] = {{"max", -1}, {"statistics", 0}, {"draw_1", 1}, {"draw_0.9", 0.9f}};
    for (const auto& [what, draw_temperature] : passes) {
      const std::string name = std::string("logits/pass/") + what + (type == SYL_F32 ? "/f32" : "/bf16");
      benchmark::RegisterBenchmark(
          name.c_str(), [type = type, t = draw_temperature](benchmark::State& state) { Pass(state, type, t); });
    }
  }
  struct Filters {
    const char* name;
    float temperature;
    int32_t top_k;
    float top_p, min_p;
  };
  for (const Filters& f : {Filters{"greedy", 0, 0, 1, 0},
                           {"temperature", 0.8f, 0, 1, 0},
                           {"top_k_40", 0.8f, 40, 1, 0},
                           {"top_k_1000", 0.8f, 1000, 1, 0},
                           {"top_p_0.95", 0.8f, 0, 0.95f, 0},
                           {"min_p_0.05", 0.8f, 0, 1, 0.05f},
                           {"top_k_40_top_p_0.95_min_p_0.05", 0.8f, 40, 0.95f, 0.05f}}) {
    for (const int64_t cols : kVocabularies) {
      for (const std::string kind : {"model", "flat"}) {
        syl_sampler sampler = {};
        sampler.struct_size = sizeof(sampler);
        sampler.temperature = f.temperature;
        sampler.top_k = f.top_k;
        sampler.top_p = f.top_p;
        sampler.min_p = f.min_p;
        sampler.repetition_penalty = 1;
        sampler.seed = 1;
        const std::string name = std::string("logits/sample/") + f.name + "/" + kind + "/" + std::to_string(cols);
        benchmark::RegisterBenchmark(name.c_str(),
                                     [=](benchmark::State& state) { Sample(state, sampler, kind, cols); });
      }
    }
  }
  return true;
}();

}  // namespace
