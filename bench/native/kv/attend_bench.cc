// kv/attend/<model>/<cache>/<rows>rows/<tokens>/t<threads>: attention of one layer over a cache of halves and over
// packed ones, which alternate in one process. As in a model, layers take turns, so many that no cache of the processor
// holds them. Beside the time: nanoseconds a cached token, GB/s of what is read, and its share of the bandwidth.
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

std::vector<float> Random(int64_t count, uint32_t seed) {
  std::minstd_rand random(seed);
  std::vector<float> floats(static_cast<size_t>(count));
  for (float& value : floats) value = static_cast<float>(random() % 2001) / 1000 - 1;
  return floats;
}

constexpr int64_t kFillRows = 64;

// Runs attend(layer) for the layers in turn.
template <typename Attend>
void Measure(benchmark::State& state, int64_t layers, int64_t layer_bytes, int64_t tokens, int threads,
             const Attend& attend) {
  int64_t layer = 0;
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    if (attend(static_cast<int32_t>(layer)) != SYL_OK) state.SkipWithError(syl_last_error());
    layer = (layer + 1) % layers;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const double calls = static_cast<double>(state.iterations()) / seconds.count();
  const double read = static_cast<double>(layer_bytes) * calls;
  state.counters["ns_a_token"] = 1e9 / calls / static_cast<double>(tokens);
  state.counters["cache_GB_s"] = read / 1e9;
  state.counters["of_bandwidth_%"] = 100 * read / ReadBandwidth(threads);
}

void Halves(benchmark::State& state, const Model& model, int64_t rows, int64_t tokens, syl_pool* pool, int threads) {
  syl_attention shape = {sizeof(shape),
                         SYL_F16,
                         model.q_heads,
                         model.kv_heads,
                         model.head_dim,
                         tokens,
                         0,
                         1,
                         1 / std::sqrt(static_cast<float>(model.head_dim)),
                         0};
  int64_t key_bytes = 0, value_bytes = 0, workspace_bytes = 0;
  syl_nn_cache_size(&shape, &key_bytes, &value_bytes);
  syl_nn_attention_workspace(&shape, rows, tokens, &workspace_bytes);
  const int64_t layers = (kColdBytes + 2 * key_bytes - 1) / (2 * key_bytes);
  const int64_t kv_cols = model.kv_heads * model.head_dim, cols = model.q_heads * model.head_dim;
  const std::vector<float> kv = Random(kFillRows * kv_cols, 1), q = Random(rows * cols, 2);
  std::vector<float> y(q.size());
  const Buffer keys(layers * key_bytes), values(layers * value_bytes), workspace(workspace_bytes + 1);
  for (int64_t layer = 0; layer < layers; ++layer) {
    for (int64_t t = 0; t < tokens; t += kFillRows) {
      syl_nn_cache_append_f32(&shape, kv.data(), kv_cols, kv.data(), kv_cols, t, kFillRows,
                              keys.data + layer * key_bytes, values.data + layer * value_bytes, nullptr);
    }
  }
  Measure(state, layers, 2 * key_bytes, tokens, threads, [&](int32_t layer) {
    return syl_nn_attention_f32(&shape, q.data(), cols, tokens - rows, rows, keys.data + layer * key_bytes,
                                values.data + layer * value_bytes, tokens, y.data(), cols, workspace.data,
                                workspace_bytes, pool);
  });
}

struct Packed {
  Packed(const Model& model, const char* preset, int32_t bits, int64_t tokens) {
    syl_kv_options options = {};
    options.struct_size = sizeof(options);
    syl_kv_preset(preset, bits, &options);
    // Nothing to calibrate on; a sum and a product a channel cost nothing here.
    options.center = options.sort = options.balance = 0;
    std::vector<double> inv_freq(static_cast<size_t>(model.head_dim / 2));
    for (size_t i = 0; i < inv_freq.size(); ++i) {
      inv_freq[i] = std::pow(1e4, -2.0 * static_cast<double>(i) / static_cast<double>(model.head_dim));
    }
    syl_kv_geometry geometry = {};
    geometry.struct_size = sizeof(geometry);
    geometry.layers = 1;
    geometry.q_heads = model.q_heads;
    geometry.kv_heads = model.kv_heads;
    geometry.head_dim = model.head_dim;
    geometry.scale = 1 / std::sqrt(static_cast<float>(model.head_dim));
    geometry.rope_dims = model.head_dim;
    geometry.inv_freq = inv_freq.data();
    geometry.rope_magnitude = 1;
    if (syl_kv_plan_new(&geometry, &options, nullptr, &plan) != SYL_OK) return;
    syl_kv_plan_info info = {};
    info.struct_size = sizeof(info);
    syl_kv_plan_describe(plan, &info);
    layer_bytes = tokens / 16 * info.tile_bytes;
    layers = static_cast<int32_t>(std::min<int64_t>(1024, (kColdBytes + layer_bytes - 1) / layer_bytes));
    syl_kv_plan_free(plan);
    plan = nullptr;
    geometry.layers = layers;
    if (syl_kv_plan_new(&geometry, &options, nullptr, &plan) != SYL_OK) return;
    const syl_kv_cache_options cache_options = {sizeof(cache_options), 256, tokens / 256 + 1, kFillRows, nullptr, 0};
    if (syl_kv_cache_new(plan, &cache_options, &cache) != SYL_OK) return;
    if (syl_kv_sequence_new(cache, &sequence) != SYL_OK) return;
    const int64_t kv_cols = model.kv_heads * model.head_dim, rows = kFillRows;
    const std::vector<float> kv = Random(rows * kv_cols, 1);
    const syl_kv_batch batch = {sizeof(batch), 1, &sequence, &rows};
    int64_t bytes = 0;
    syl_kv_append_workspace(&batch, 1, &bytes);
    const Buffer workspace(bytes + 1);
    for (int32_t layer = 0; layer < layers; ++layer) {
      for (int64_t t = 0; t < tokens; t += kFillRows) {
        if (syl_kv_append_f32(&batch, layer, kv.data(), kv_cols, kv.data(), kv_cols, nullptr, workspace.data, bytes,
                              nullptr) != SYL_OK) {
          return;
        }
      }
    }
    ready = true;
  }
  ~Packed() {
    syl_kv_sequence_free(sequence);
    if (cache != nullptr) syl_kv_cache_free(cache);
    syl_kv_plan_free(plan);
  }

  syl_kv_plan* plan = nullptr;
  syl_kv_cache* cache = nullptr;
  syl_kv_sequence* sequence = nullptr;
  int64_t layer_bytes = 0;
  int32_t layers = 0;
  bool ready = false;
};

void Codes(benchmark::State& state, const Model& model, const char* preset, int32_t bits, int64_t rows, int64_t tokens,
           syl_pool* pool, int threads) {
  const Packed packed(model, preset, bits, tokens);
  if (!packed.ready) return state.SkipWithError(syl_last_error());
  const int64_t cols = model.q_heads * model.head_dim;
  const std::vector<float> q = Random(rows * cols, 2);
  std::vector<float> y(q.size());
  const syl_kv_batch batch = {sizeof(batch), 1, &packed.sequence, &rows};
  int64_t bytes = 0;
  syl_kv_attend_workspace(&batch, 0, threads, &bytes);
  const Buffer workspace(bytes + 1);
  Measure(state, packed.layers, packed.layer_bytes, tokens, threads, [&](int32_t layer) {
    return syl_kv_attend_f32(&batch, layer, q.data(), cols, y.data(), cols, workspace.data, bytes, pool);
  });
}

const bool kRegistered = [] {
  const Model models[] = {{"smollm2-135m", 9, 3, 64}, {"llama3-8b", 32, 8, 128}};
  const struct {
    const char* name;
    const char* preset;
    int32_t bits;
  } caches[] = {{"f16", nullptr, 0}, {"best2", "best", 2},         {"best3", "best", 3},  {"best4", "best", 4},
                {"q8", "q8", 0},     {"rotatekv2", "rotatekv", 2}, {"turbo2", "turbo", 2}};
  const std::pair<int64_t, int64_t> sizes[] = {{1, 256}, {1, 4096}, {1, 32768}, {8, 4096}, {64, 4096}};
  for (const Model& model : models) {
    for (const auto& [rows, tokens] : sizes) {
      for (const int threads : {1, 2}) {
        for (const auto& cache : caches) {
          const std::string name = std::string("kv/attend/") + model.name + "/" + cache.name + "/" +
                                   std::to_string(rows) + "rows/" + std::to_string(tokens) + "/t" +
                                   std::to_string(threads);
          benchmark::RegisterBenchmark(name.c_str(), [=, rows = rows, tokens = tokens](benchmark::State& state) {
            syl_pool* pool = nullptr;
            syl_pool_new(threads, &pool);
            const std::unique_ptr<syl_pool, decltype(&syl_pool_free)> owned(pool, &syl_pool_free);
            if (cache.preset == nullptr) return Halves(state, model, rows, tokens, pool, threads);
            Codes(state, model, cache.preset, cache.bits, rows, tokens, pool, threads);
          })->UseRealTime();
        }
      }
    }
  }
  return true;
}();

}  // namespace
