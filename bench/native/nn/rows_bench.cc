// nn/<kernel>/<rows>x<cols>/t<threads>: the kernels between the matrix products, their rows in the cache as in a model.
// Beside the time: GB/s read and written, and the share that is of what one memcpy of a row after the other achieves on
// one thread.
#include <benchmark/benchmark.h>
#include <sylvester/sylvester.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/native/machine.h"

namespace {

using namespace sylvester_bench;

struct Shape {
  int64_t rows, cols;
};

// Random numbers for all the arguments of one shape.
struct Arguments {
  explicit Arguments(const Shape& shape) : a(static_cast<size_t>(shape.rows * shape.cols)), b(a.size()), y(a.size()) {
    std::minstd_rand random(1);
    for (std::vector<float>* floats : {&a, &b, &y}) {
      for (float& value : *floats) value = static_cast<float>(random() % 2001) / 1000 - 1;
    }
  }
  std::vector<float> a, b, y;
};

constexpr int64_t kHeadDim = 64;

syl_status RmsNorm(const Shape& s, Arguments* args, syl_pool* pool) {
  return syl_nn_rms_norm_f32(args->a.data(), s.cols, args->b.data(), 1e-5f, s.rows, s.cols, args->y.data(), s.cols,
                             pool);
}

syl_status SwiGlu(const Shape& s, Arguments* args, syl_pool* pool) {
  return syl_nn_swiglu_f32(args->a.data(), s.cols, args->b.data(), s.cols, s.rows, s.cols, args->y.data(), s.cols,
                           pool);
}

// The numbers in the table are no cosines, which costs the same; but rotations must not grow.
syl_status Rope(const Shape& s, Arguments* args, syl_pool* pool) {
  return syl_nn_rope_f32(args->y.data(), s.cols, s.rows, s.cols / kHeadDim, kHeadDim, kHeadDim, 0, args->a.data(),
                         pool);
}

struct Kernel {
  const char* name;
  syl_status (*call)(const Shape&, Arguments*, syl_pool*);
  int64_t floats;  // read or written for one of y
};

void Run(benchmark::State& state, const Kernel& kernel, const Shape& shape, int threads) {
  Arguments args(shape);
  const double copy_seconds = BestSecondsOfMany([&] {
    for (int64_t r = 0; r < shape.rows; ++r) {
      std::memcpy(args.y.data() + r * shape.cols, args.b.data() + r * shape.cols, static_cast<size_t>(shape.cols) * 4);
      benchmark::ClobberMemory();
    }
  });
  syl_pool* raw_pool = nullptr;
  syl_pool_new(threads, &raw_pool);
  const std::unique_ptr<syl_pool, decltype(&syl_pool_free)> pool(raw_pool, &syl_pool_free);
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    if (kernel.call(shape, &args, pool.get()) != SYL_OK) state.SkipWithError(syl_last_error());
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const double row_bytes = 4.0 * static_cast<double>(shape.rows * shape.cols);
  const double bandwidth =
      static_cast<double>(kernel.floats) * row_bytes * static_cast<double>(state.iterations()) / seconds.count();
  state.counters["GB_s"] = bandwidth / 1e9;
  state.counters["of_copy_%"] = 100 * bandwidth / (2 * row_bytes / copy_seconds);
}

const bool kRegistered = [] {
  const Kernel kernels[] = {{"rms_norm", &RmsNorm, 2}, {"swiglu", &SwiGlu, 3}, {"rope", &Rope, 2}};
  // Widths of SmolLM2-135M, and of a 7B model.
  const Shape shapes[] = {{1, 576}, {1, 1536}, {1, 4096}, {1, 11008}, {512, 576}, {512, 1536}};
  for (const Kernel& kernel : kernels) {
    for (const Shape& shape : shapes) {
      for (const int threads : {1, 2}) {
        const std::string name = std::string("nn/") + kernel.name + "/" + std::to_string(shape.rows) + "x" +
                                 std::to_string(shape.cols) + "/t" + std::to_string(threads);
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
          Run(state, kernel, shape, threads);
        })->UseRealTime();
      }
    }
  }
  return true;
}();

}  // namespace
