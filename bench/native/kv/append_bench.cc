// kv/append/<kind>/<bits>bits/<rows>rows/t<threads>: tokens of 8 kv heads x 128 channels to one layer of a cache.
// ns_per_token is what counts: that of a token in one layer, with rotation, window and all. Rows come from the cache,
// as in a model that has just computed them.
#include <benchmark/benchmark.h>
#include <sylvester/sylvester.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/native/machine.h"

namespace {

using sylvester_bench::Buffer;

constexpr int64_t kHeads = 8, kHeadDim = 128, kChannels = kHeads * kHeadDim;
constexpr int64_t kTokens = 2048;  // then the text begins anew

// A preset without what needs a calibration: a sum and a product a channel.
syl_kv_options OptionsOf(const std::string& kind, int32_t bits) {
  syl_kv_options options = {};
  options.struct_size = sizeof(options);
  syl_kv_preset(kind.c_str(), bits, &options);
  options.center = options.sort = options.balance = 0;
  return options;
}

template <typename T, void (*kFree)(T*)>
struct Free {
  void operator()(T* t) const { kFree(t); }
};
void FreeCache(syl_kv_cache* cache) { syl_kv_cache_free(cache); }

void Append(benchmark::State& state, const std::string& kind, int32_t bits, int64_t rows, int threads) {
  syl_kv_geometry geometry = {};
  geometry.struct_size = sizeof(geometry);
  geometry.layers = 1;
  geometry.q_heads = 4 * kHeads;
  geometry.kv_heads = kHeads;
  geometry.head_dim = kHeadDim;
  geometry.scale = 1 / std::sqrt(static_cast<float>(kHeadDim));
  geometry.rope_magnitude = 1;
  const syl_kv_options kv_options = OptionsOf(kind, bits);
  syl_kv_plan* raw_plan = nullptr;
  if (syl_kv_plan_new(&geometry, &kv_options, nullptr, &raw_plan) != SYL_OK) {
    return state.SkipWithError(syl_last_error());
  }
  const std::unique_ptr<syl_kv_plan, Free<syl_kv_plan, syl_kv_plan_free>> plan(raw_plan);
  const syl_kv_cache_options options = {sizeof(options), 64, kTokens / 64 + 1, 512, nullptr, 0};
  syl_kv_cache* raw_cache = nullptr;
  syl_kv_cache_new(plan.get(), &options, &raw_cache);
  const std::unique_ptr<syl_kv_cache, Free<syl_kv_cache, FreeCache>> cache(raw_cache);
  syl_kv_sequence* raw_sequence = nullptr;
  syl_kv_sequence_new(cache.get(), &raw_sequence);
  const std::unique_ptr<syl_kv_sequence, Free<syl_kv_sequence, syl_kv_sequence_free>> sequence(raw_sequence);
  syl_pool* raw_pool = nullptr;
  syl_pool_new(threads, &raw_pool);
  const std::unique_ptr<syl_pool, Free<syl_pool, syl_pool_free>> pool(raw_pool);

  std::minstd_rand random(1);
  std::normal_distribution<float> normal;
  const int64_t row_bytes = rows * kChannels * static_cast<int64_t>(sizeof(float));
  const Buffer k_buffer(row_bytes), v_buffer(row_bytes);
  auto* k = reinterpret_cast<float*>(k_buffer.data);
  auto* v = reinterpret_cast<float*>(v_buffer.data);
  std::generate_n(k, rows * kChannels, [&] { return normal(random); });
  std::generate_n(v, rows * kChannels, [&] { return normal(random); });
  const syl_kv_batch batch = {sizeof(batch), 1, &raw_sequence, &rows};
  int64_t bytes = 0;
  syl_kv_append_workspace(&batch, threads, &bytes);
  std::vector<uint8_t> workspace(static_cast<size_t>(bytes));
  int64_t length = 0;
  for (auto _ : state) {
    if (length + rows > kTokens) {
      state.PauseTiming();
      syl_kv_truncate(sequence.get(), 0);
      length = 0;
      state.ResumeTiming();
    }
    const syl_status status =
        syl_kv_append_f32(&batch, 0, k, kChannels, v, kChannels, nullptr, workspace.data(), bytes, pool.get());
    if (status != SYL_OK) state.SkipWithError(syl_last_error());
    length += rows;
  }
  state.counters["ns_per_token"] = benchmark::Counter(
      static_cast<double>(rows) * 1e-9, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

const bool kRegistered = [] {
  const std::pair<const char*, int32_t> kinds[] = {{"quarot", 2}, {"quarot", 4},   {"turbo", 2},
                                                   {"turbo", 4},  {"rotatekv", 2}, {"q4", 4},
                                                   {"best", 2},   {"best", 3},     {"best", 4}};
  for (const auto& [kind, bits] : kinds) {
    for (const auto& [rows, threads] : {std::pair<int64_t, int>{1, 1}, {512, 1}, {512, 2}}) {
      const std::string name = std::string("kv/append/") + kind + "/" + std::to_string(bits) + "bits/" +
                               std::to_string(rows) + "rows/t" + std::to_string(threads);
      benchmark::RegisterBenchmark(name.c_str(), [=, kind = kind, bits = bits, rows = rows,
                                                  threads = threads](benchmark::State& state) {
        Append(state, kind, bits, rows, threads);
      })->UseRealTime();
    }
  }
  return true;
}();

}  // namespace
