// nn/matmul/<type>/<n>x<k>/m<rows>/t<threads>. For few rows the weights come from memory, as in a model: so many copies
// of the matrix take turns that no cache holds them. Beside the time: GB/s of packed weights, the share of the
// machine's read bandwidth that is, and GFLOP/s (2 n k m per product).
#include <benchmark/benchmark.h>
#include <sylvester/sylvester.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/native/machine.h"

namespace {

using namespace sylvester_bench;

constexpr int64_t kFewRows = 16;

struct Case {
  syl_dtype type;
  int64_t n, k, m;
  int threads;
};

void MatMul(benchmark::State& state, const Case& c) {
  int64_t bytes = 0, workspace_bytes = 0;
  syl_nn_weights_size(c.type, c.n, c.k, &bytes);
  syl_nn_matmul_workspace(c.type, c.n, c.k, c.m, &workspace_bytes);
  const int64_t copies = c.m > kFewRows ? 1 : (kColdBytes + bytes - 1) / bytes;

  // Small random bytes are valid weights of every type: finite, and neither zero nor subnormal for the most part.
  const int64_t src_bytes = c.n * c.k / syl_dtype_block_size(c.type) * syl_dtype_block_bytes(c.type);
  std::vector<uint8_t> src(static_cast<size_t>(src_bytes));
  std::minstd_rand random(1);
  for (uint8_t& b : src) b = static_cast<uint8_t>(16 + random() % 16);
  Buffer packed(copies * bytes), workspace(workspace_bytes);
  for (int64_t copy = 0; copy < copies; ++copy) {
    syl_nn_weights_pack(c.type, c.n, c.k, src.data(), src_bytes, packed.data + copy * bytes, bytes, nullptr);
  }
  std::vector<float> x(static_cast<size_t>(c.m * c.k)), y(static_cast<size_t>(c.m * c.n));
  for (float& value : x) value = static_cast<float>(random() % 2001) / 1000 - 1;

  syl_pool* raw_pool = nullptr;
  syl_pool_new(c.threads, &raw_pool);
  const std::unique_ptr<syl_pool, decltype(&syl_pool_free)> pool(raw_pool, &syl_pool_free);
  int64_t copy = 0;
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    const syl_status status = syl_nn_matmul_f32(c.type, packed.data + copy * bytes, c.n, c.k, x.data(), c.k, c.m,
                                                nullptr, 0, y.data(), c.n, workspace.data, workspace_bytes, pool.get());
    if (status != SYL_OK) state.SkipWithError(syl_last_error());
    copy = (copy + 1) % copies;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const double products_per_second = static_cast<double>(state.iterations()) / seconds.count();
  const double read = static_cast<double>(bytes) * products_per_second;
  state.counters["weights_GB_s"] = read / 1e9;
  state.counters["of_bandwidth_%"] = 100 * read / ReadBandwidth(c.threads);
  state.counters["GFLOP_s"] = 2e-9 * static_cast<double>(c.n * c.k * c.m) * products_per_second;
}

const bool kRegistered = [] {
  struct Type {
    syl_dtype type;
    const char* name;
  };
  const Type types[] = {{SYL_F32, "f32"},   {SYL_F16, "f16"},   {SYL_BF16, "bf16"}, {SYL_Q8_0, "q8_0"},
                        {SYL_Q4_0, "q4_0"}, {SYL_Q4_1, "q4_1"}, {SYL_Q5_0, "q5_0"}, {SYL_Q5_1, "q5_1"},
                        {SYL_Q4_K, "q4_k"}, {SYL_Q5_K, "q5_k"}, {SYL_Q6_K, "q6_k"}};
  // SmolLM2-135M: attention output, q k v, gate and up, down, head; a layer of a 7B model.
  const std::pair<int64_t, int64_t> shapes[] = {{576, 576},  {960, 576},   {3072, 576},
                                                {576, 1536}, {49152, 576}, {4096, 4096}};
  for (const Type& type : types) {
    for (auto [n, k] : shapes) {
      const int64_t block = syl_dtype_block_size(type.type);
      k = (k + block - 1) / block * block;
      for (const int64_t m : {1, 4, 512}) {
        for (const int threads : {1, 2}) {
          const std::string name = std::string("nn/matmul/") + type.name + "/" + std::to_string(n) + "x" +
                                   std::to_string(k) + "/m" + std::to_string(m) + "/t" + std::to_string(threads);
          benchmark::RegisterBenchmark(name.c_str(), [c = Case{type.type, n, k, m, threads}](benchmark::State& state) {
            MatMul(state, c);
          })->UseRealTime();
        }
      }
    }
  }
  benchmark::AddCustomContext("tier", syl_tier());
  for (const int threads : {1, 2}) {
    benchmark::AddCustomContext("read_bandwidth_t" + std::to_string(threads),
                                std::to_string(ReadBandwidth(threads) / 1e9) + " GB/s");
  }
  return true;
}();

}  // namespace
