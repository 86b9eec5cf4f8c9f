// The acceptance head: one row in a draft step, and the gradient of a batch.
#include <benchmark/benchmark.h>
#include <sylvester/sylvester.h>

#include <cstdint>
#include <random>
#include <vector>

namespace {

struct HeadBench {
  HeadBench(int32_t width, int32_t blocks, int64_t rows_) : rows(rows_) {
    head = {sizeof(head), width, blocks, SYL_UNTIED_BLOCKS, 0, 1, nullptr};
    int64_t count = 0, bytes = 0;
    syl_spec_head_parameters(&head, &count);
    syl_spec_head_workspace(&head, rows, &bytes);
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0, 0.02f);
    parameters.resize(static_cast<size_t>(count));
    hidden.resize(static_cast<size_t>(rows * width));
    for (float& value : parameters) value = normal(random);
    for (float& value : hidden) value = normal(random);
    head.parameters = parameters.data();
    workspace.resize(static_cast<size_t>(bytes));
  }

  syl_spec_head head;
  int64_t rows;
  std::vector<float> parameters, hidden;
  std::vector<uint8_t> workspace;
};

// Arguments: width, blocks, threads.
void BM_AcceptanceHead(benchmark::State& state) {
  HeadBench bench(static_cast<int32_t>(state.range(0)), static_cast<int32_t>(state.range(1)), 1);
  syl_pool* pool = nullptr;
  syl_pool_new(static_cast<int32_t>(state.range(2)), &pool);
  float acceptance = 0;
  for (auto step : state) {
    syl_spec_head_f32(&bench.head, bench.hidden.data(), bench.head.width, 1, &acceptance, bench.workspace.data(),
                      static_cast<int64_t>(bench.workspace.size()), pool);
    benchmark::DoNotOptimize(acceptance);
  }
  syl_pool_free(pool);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bench.parameters.size() * sizeof(float)));
}
BENCHMARK(BM_AcceptanceHead)->ArgsProduct({{96, 192, 576}, {0, 1, 3}, {1}})->ArgsProduct({{2048, 4096}, {1}, {1, 2}});

// Arguments: width, blocks; 512 rows.
void BM_AcceptanceHeadGradient(benchmark::State& state) {
  HeadBench bench(static_cast<int32_t>(state.range(0)), static_cast<int32_t>(state.range(1)), 512);
  std::vector<float> labels(512, 0.5f), gradient(bench.parameters.size());
  double loss = 0, weight = 0;
  for (auto step : state) {
    syl_spec_head_gradient_f32(&bench.head, bench.hidden.data(), bench.head.width, labels.data(), bench.rows, 1, 6,
                               gradient.data(), &loss, &weight, bench.workspace.data(),
                               static_cast<int64_t>(bench.workspace.size()), nullptr);
    benchmark::DoNotOptimize(gradient.data());
  }
  state.SetItemsProcessed(state.iterations() * bench.rows);
}
BENCHMARK(BM_AcceptanceHeadGradient)->Args({96, 1})->Args({96, 3})->Args({576, 1});

}  // namespace
