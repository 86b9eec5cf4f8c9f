// nn/<rms_norm|swiglu|rope>/<rows>x<cols>/t<threads> and nn/dequantize/<type>: GB/s of everything read and written.
#include <benchmark/benchmark.h>
#include <sylvester/sylvester.h>

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr int64_t kHeadDim = 64;

struct Rows {
  int64_t rows, cols;
  std::vector<float> x, y, weight, table;
  syl_pool* pool;
};

struct Kernel {
  const char* name;
  int64_t streams;  // matrices read or written
  syl_status (*run)(Rows& r);
};

constexpr Kernel kKernels[] = {
    {"rms_norm", 2,
     [](Rows& r) {
       return syl_nn_rms_norm_f32(r.x.data(), r.cols, r.weight.data(), 1e-5f, r.rows, r.cols, r.y.data(), r.cols,
                                  r.pool);
     }},
    {"swiglu", 3,
     [](Rows& r) {
       return syl_nn_swiglu_f32(r.x.data(), r.cols, r.y.data(), r.cols, r.rows, r.cols, r.y.data(), r.cols, r.pool);
     }},
    {"rope", 2,
     [](Rows& r) {
       return syl_nn_rope_f32(r.x.data(), r.cols, r.rows, r.cols / kHeadDim, kHeadDim, kHeadDim, 0, r.table.data(),
                              r.pool);
     }},
};

void Run(benchmark::State& state, const Kernel& kernel, int64_t rows, int64_t cols, int threads) {
  std::minstd_rand random(1);
  std::normal_distribution<float> normal;
  Rows r{rows, cols, {}, {}, {}, {}, nullptr};
  for (auto* values : {&r.x, &r.y}) {
    values->resize(static_cast<size_t>(rows * cols));
    for (float& value : *values) value = normal(random);
  }
  r.weight.assign(static_cast<size_t>(cols), 1);
  r.table.assign(static_cast<size_t>(rows * kHeadDim), 0.7071f);
  syl_pool_new(threads, &r.pool);
  const std::unique_ptr<syl_pool, decltype(&syl_pool_free)> pool(r.pool, &syl_pool_free);
  for (auto _ : state) {
    if (kernel.run(r) != SYL_OK) state.SkipWithError(syl_last_error());
  }
  state.SetBytesProcessed(state.iterations() * kernel.streams * rows * cols * 4);
}

void Dequantize(benchmark::State& state, syl_dtype type) {
  constexpr int64_t kElements = 4096;
  const int64_t bytes = kElements / syl_dtype_block_size(type) * syl_dtype_block_bytes(type);
  const std::vector<uint8_t> x(static_cast<size_t>(bytes), 0x3c);
  std::vector<float> y(kElements);
  for (auto _ : state) {
    if (syl_dequantize_f32(type, x.data(), kElements, y.data()) != SYL_OK) state.SkipWithError(syl_last_error());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * (bytes + kElements * 4));
}

const bool kRegistered = [] {
  for (const Kernel& kernel : kKernels) {
    for (const auto& [rows, cols] : {std::pair{1, 576}, {1, 1536}, {1, 4096}, {512, 576}, {512, 4096}}) {
      for (const int threads : {1, 2}) {
        const std::string name = std::string("nn/") + kernel.name + "/" + std::to_string(rows) + "x" +
                                 std::to_string(cols) + "/t" + std::to_string(threads);
        benchmark::RegisterBenchmark(name.c_str(), [&, rows = rows, cols = cols, threads](benchmark::State& state) {
          Run(state, kernel, rows, cols, threads);
        })->UseRealTime();
      }
    }
  }
  const std::pair<syl_dtype, const char*> types[] = {
      {SYL_F16, "f16"},   {SYL_BF16, "bf16"}, {SYL_Q8_0, "q8_0"}, {SYL_Q4_0, "q4_0"}, {SYL_Q4_1, "q4_1"},
      {SYL_Q5_0, "q5_0"}, {SYL_Q5_1, "q5_1"}, {SYL_Q4_K, "q4_k"}, {SYL_Q5_K, "q5_k"}, {SYL_Q6_K, "q6_k"}};
  for (const auto& [type, type_name] : types) {
    benchmark::RegisterBenchmark((std::string("nn/dequantize/") + type_name).c_str(),
                                 [type = type](benchmark::State& state) { Dequantize(state, type); });
  }
  return true;
}();

}  // namespace
