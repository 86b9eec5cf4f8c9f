// nn/attention/<model>/<rows>rows/<tokens>/t<threads>: one layer, f16 cache, the last rows of a context of so many
// tokens. As in a model, layers take turns, so many that no cache holds them. Beside the time: GB/s of the cache, read
// once a call, and GFLOP/s (4 head_dim for each head, row and key), both with their share of what the machine can do.
#include <benchmark/benchmark.h>
#include <sylvester/sylvester.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/native/machine.h"

namespace {

using namespace sylvester_bench;

struct Model {
  const char* name;
  int64_t q_heads, kv_heads, head_dim;
};

void Attention(benchmark::State& state, const Model& model, int64_t rows, int64_t tokens, int threads) {
  syl_attention shape = {};
  shape.struct_size = sizeof(shape);
  shape.cache_type = SYL_F16;
  shape.q_heads = model.q_heads;
  shape.kv_heads = model.kv_heads;
  shape.head_dim = model.head_dim;
  shape.capacity = tokens;
  shape.causal = 1;
  shape.scale = 1 / std::sqrt(static_cast<float>(model.head_dim));
  int64_t key_bytes = 0, value_bytes = 0, workspace_bytes = 0;
  syl_nn_cache_size(&shape, &key_bytes, &value_bytes);
  syl_nn_attention_workspace(&shape, rows, tokens, &workspace_bytes);
  const int64_t layers = (kColdBytes + 2 * key_bytes - 1) / (2 * key_bytes);

  std::minstd_rand random(1);
  const auto fill = [&](std::vector<float>* floats) {
    for (float& value : *floats) value = static_cast<float>(random() % 2001) / 1000 - 1;
  };
  const int64_t kv_cols = model.kv_heads * model.head_dim, cols = model.q_heads * model.head_dim;
  std::vector<float> q(static_cast<size_t>(rows * cols)), y(q.size()), kv(static_cast<size_t>(tokens * kv_cols));
  fill(&q);
  fill(&kv);
  Buffer keys(layers * key_bytes), values(layers * value_bytes), workspace(workspace_bytes + 1);
  for (int64_t layer = 0; layer < layers; ++layer) {
    syl_nn_cache_append_f32(&shape, kv.data(), kv_cols, kv.data(), kv_cols, 0, tokens, keys.data + layer * key_bytes,
                            values.data + layer * value_bytes, nullptr);
  }

  syl_pool* raw_pool = nullptr;
  syl_pool_new(threads, &raw_pool);
  const std::unique_ptr<syl_pool, decltype(&syl_pool_free)> pool(raw_pool, &syl_pool_free);
  int64_t layer = 0;
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    const syl_status status = syl_nn_attention_f32(&shape, q.data(), cols, tokens - rows, rows,
                                                   keys.data + layer * key_bytes, values.data + layer * value_bytes,
                                                   tokens, y.data(), cols, workspace.data, workspace_bytes, pool.get());
    if (status != SYL_OK) state.SkipWithError(syl_last_error());
    layer = (layer + 1) % layers;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const double calls_per_second = static_cast<double>(state.iterations()) / seconds.count();
  const double read = static_cast<double>(2 * key_bytes) * calls_per_second;
  const double seen = static_cast<double>(rows) * static_cast<double>(2 * tokens - rows + 1) / 2;
  const double flop = 4 * static_cast<double>(cols) * seen * calls_per_second;
  state.counters["cache_GB_s"] = read / 1e9;
  state.counters["of_bandwidth_%"] = 100 * read / ReadBandwidth(threads);
  state.counters["GFLOP_s"] = flop / 1e9;
  if (FmaPeak(threads) > 0) state.counters["of_fma_peak_%"] = 100 * flop / FmaPeak(threads);
}

const bool kRegistered = [] {
  const Model models[] = {{"smollm2-135m", 9, 3, 64}, {"llama3-8b", 32, 8, 128}};
  const std::pair<int64_t, int64_t> sizes[] = {{1, 1024}, {1, 4096},  {1, 16384}, {1, 65536},  {4, 4096},
                                               {8, 4096}, {16, 4096}, {512, 512}, {2048, 2048}};
  for (const Model& model : models) {
    for (const auto& [rows, tokens] : sizes) {
      for (const int threads : {1, 2}) {
        const std::string name = std::string("nn/attention/") + model.name + "/" + std::to_string(rows) + "rows/" +
                                 std::to_string(tokens) + "/t" + std::to_string(threads);
        benchmark::RegisterBenchmark(name.c_str(), [=, rows = rows, tokens = tokens](benchmark::State& state) {
          Attention(state, model, rows, tokens, threads);
        })->UseRealTime();
      }
    }
  }
  return true;
}();

}  // namespace
