// logits/product/<fused|unfused>/<type>/<n>x<k>/m<rows>/t<threads>: statistics of the rows of a head's output,
// syl_logits_stats_product_f32 against syl_nn_matmul_f32 and then syl_logits_stats_of. Shapes: the heads of the
// embedded diffusion model, of SmolLM2-135M, and of LLaDA-8B.
#include <benchmark/benchmark.h>
#include <sylvester/sylvester.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/native/machine.h"

namespace {

using namespace sylvester_bench;

struct Case {
  bool fused;
  syl_dtype type;
  int64_t n, k, m;
  int threads;
};

void Product(benchmark::State& state, const Case& c) {
  int64_t bytes = 0, fused_bytes = 0, matmul_bytes = 0;
  syl_logits_options options = {};
  options.struct_size = sizeof(options);
  options.temperature = options.top_p = 1;
  syl_nn_weights_size(c.type, c.n, c.k, &bytes);
  syl_logits_stats_product_workspace(&options, c.type, c.n, c.k, c.m, 0, c.threads, &fused_bytes);
  syl_nn_matmul_workspace(c.type, c.n, c.k, c.m, &matmul_bytes);
  Buffer packed(bytes), workspace(c.fused ? fused_bytes : matmul_bytes);
  {
    // Small random bytes are valid weights of every type: finite, and neither zero nor subnormal for the most part.
    std::vector<uint8_t> src(static_cast<size_t>(c.n * c.k / syl_dtype_block_size(c.type)) *
                             static_cast<size_t>(syl_dtype_block_bytes(c.type)));
    std::minstd_rand random(1);
    for (uint8_t& b : src) b = static_cast<uint8_t>(16 + random() % 16);
    syl_nn_weights_pack(c.type, c.n, c.k, src.data(), static_cast<int64_t>(src.size()), packed.data, bytes, nullptr);
  }
  std::minstd_rand random(2);
  std::vector<float> x(static_cast<size_t>(c.m * c.k)), y(c.fused ? 0 : static_cast<size_t>(c.m * c.n));
  for (float& value : x) value = static_cast<float>(random() % 2001) / 1000 - 1;
  std::vector<syl_logits_stats> stats(static_cast<size_t>(c.m));
  syl_pool* raw_pool = nullptr;
  syl_pool_new(c.threads, &raw_pool);
  const std::unique_ptr<syl_pool, decltype(&syl_pool_free)> pool(raw_pool, &syl_pool_free);
  for (auto _ : state) {
    syl_status status;
    if (c.fused) {
      status = syl_logits_stats_product_f32(&options, c.type, packed.data, c.n, c.k, x.data(), nullptr, c.k, c.m,
                                            nullptr, stats.data(), workspace.data, fused_bytes, pool.get());
    } else {
      status = syl_nn_matmul_f32(c.type, packed.data, c.n, c.k, x.data(), c.k, c.m, nullptr, 0, y.data(), c.n,
                                 workspace.data, matmul_bytes, pool.get());
      if (status == SYL_OK) {
        status = syl_logits_stats_of(&options, y.data(), nullptr, c.n, c.m, c.n, nullptr, nullptr, c.m, stats.data(),
                                     pool.get());
      }
    }
    if (status != SYL_OK) state.SkipWithError(syl_last_error());
  }
  state.counters["per_logit"] = benchmark::Counter(static_cast<double>(state.iterations() * c.m * c.n),
                                                   benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

const bool kRegistered = [] {
  const struct {
    int64_t n, k;
    syl_dtype type;
    const char* name;
  } heads[] = {{768, 192, SYL_F16, "f16"}, {49152, 576, SYL_Q8_0, "q8_0"}, {126464, 4096, SYL_Q4_0, "q4_0"}};
  for (const auto& head : heads) {
    for (const int64_t m : {1, 16, 64}) {
      for (const int threads : {1, 2}) {
        for (const bool fused : {true, false}) {
          const std::string name = std::string("logits/product/") + (fused ? "fused" : "unfused") + "/" + head.name +
                                   "/" + std::to_string(head.n) + "x" + std::to_string(head.k) + "/m" +
                                   std::to_string(m) + "/t" + std::to_string(threads);
          const Case c{fused, head.type, head.n, head.k, m, threads};
          benchmark::RegisterBenchmark(name.c_str(), [c](benchmark::State& state) {
            Product(state, c);
          })->UseRealTime();
        }
      }
    }
  }
  return true;
}();

}  // namespace
