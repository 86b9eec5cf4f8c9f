// kron/<what>: adapters of a 4096 x 4096 layer on one thread. Every benchmark runs ours and its rival in turn and gives
// the least processor time of each (us, rival_us), and times = rival_us / us.
#include <benchmark/benchmark.h>
#include <sylvester/sylvester.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/native/machine.h"

#ifdef SYLVESTER_CBLAS
#include <cblas.h>
extern "C" void openblas_set_num_threads(int threads);
#endif

namespace {

using namespace sylvester_bench;

constexpr int64_t kWidth = 4096, kFactor = 64, kTerms = 8;

double ProcessorSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double Seconds(const std::function<void()>& work) {
  const double start = ProcessorSeconds();
  work();
  return ProcessorSeconds() - start;
}

struct Least {
  double ours = 1e9, rival = 1e9;
};

Least InTurn(benchmark::State& state, const std::function<void()>& ours, const std::function<void()>& rival) {
  Least least;
  for (auto _ : state) {
    least.rival = std::min(least.rival, Seconds(rival));
    least.ours = std::min(least.ours, Seconds(ours));
  }
  state.counters["us"] = 1e6 * least.ours;
  state.counters["rival_us"] = 1e6 * least.rival;
  state.counters["times"] = least.rival / least.ours;
  return least;
}

std::vector<float> Random(int64_t count) {
  static std::minstd_rand random(1);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(random() % 2001) / 1000 - 1;
  return values;
}

struct Adapter {
  Adapter(int64_t terms, int64_t m, int64_t n, int64_t p, int64_t q)
      : u(Random(terms * m * n)),
        v(Random(terms * p * q)),
        kron{sizeof(syl_kron), SYL_F32, terms, m, n, p, q, u.data(), v.data()},
        info(Describe(kron)),
        packed(info.packed_bytes) {
    syl_kron_pack(&kron, 0, packed.data, info.packed_bytes);
    syl_kron_workspace(packed.data, &workspace_bytes);
    workspace = std::make_unique<Buffer>(workspace_bytes);
  }

  static syl_kron_info Describe(const syl_kron& kron) {
    syl_kron_info info{sizeof(info), 0, 0, 0, 0};
    syl_kron_describe(&kron, &info);
    return info;
  }

  void Apply(const std::vector<float>& x, std::vector<float>& y) const {
    syl_kron_apply_f32(packed.data, 0.5f, x.data(), kWidth, static_cast<int64_t>(x.size()) / kWidth,
                       SYL_KRON_ACCUMULATE, y.data(), kWidth, workspace->data, workspace_bytes, nullptr);
  }

  std::vector<float> u, v;
  syl_kron kron;
  syl_kron_info info;
  Buffer packed;
  int64_t workspace_bytes = 0;
  std::unique_ptr<Buffer> workspace;
};

Adapter Kronecker() { return {kTerms, kFactor, kFactor, kFactor, kFactor}; }
Adapter Lora(int64_t rank = kTerms) { return {rank, kWidth, 1, 1, kWidth}; }

// A dense matrix that comes from memory: copies take turns.
struct Dense {
  Dense() {
    syl_nn_weights_size(SYL_F32, kWidth, kWidth, &bytes);
    syl_nn_matmul_workspace(SYL_F32, kWidth, kWidth, 64, &workspace_bytes);
    packed = std::make_unique<Buffer>(kCopies * bytes);
    workspace = std::make_unique<Buffer>(workspace_bytes);
    const std::vector<float> w = Random(kWidth * kWidth);
    for (int64_t copy = 0; copy < kCopies; ++copy) {
      syl_nn_weights_pack(SYL_F32, kWidth, kWidth, w.data(), kWidth * kWidth * 4, packed->data + copy * bytes, bytes,
                          nullptr);
    }
  }
  void Multiply(const std::vector<float>& x, std::vector<float>& y) {
    turn = (turn + 1) % kCopies;
    syl_nn_matmul_f32(SYL_F32, packed->data + turn * bytes, kWidth, kWidth, x.data(), kWidth,
                      static_cast<int64_t>(x.size()) / kWidth, nullptr, SYL_MATMUL_ACCUMULATE, y.data(), kWidth,
                      workspace->data, workspace_bytes, nullptr);
  }

  static constexpr int64_t kCopies = 3;
  int64_t bytes = 0, workspace_bytes = 0, turn = 0;
  std::unique_ptr<Buffer> packed, workspace;
};

void AgainstDenseDelta(benchmark::State& state) {
  const Adapter adapter = Kronecker();
  Dense dense;
  const auto x = Random(state.range(0) * kWidth);
  std::vector<float> y(x.size());
  InTurn(
      state, [&] { adapter.Apply(x, y); }, [&] { dense.Multiply(x, y); });
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"), optimize("O3")))
#endif
void Materialise(const Adapter& a, float* w) {
  for (int64_t k = 0; k < a.kron.terms; ++k) {
    const float *u = a.u.data() + k * kFactor * kFactor, *v = a.v.data() + k * kFactor * kFactor;
    for (int64_t row = 0; row < kWidth; ++row) {
      for (int64_t j1 = 0; j1 < kFactor; ++j1) {
        const float factor = u[row / kFactor * kFactor + j1];
        float* to = w + row * kWidth + j1 * kFactor;
        for (int64_t j2 = 0; j2 < kFactor; ++j2) {
          to[j2] = (k == 0 ? 0 : to[j2]) + factor * v[row % kFactor * kFactor + j2];
        }
      }
    }
  }
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"), optimize("O3,associative-math,no-signed-zeros,no-trapping-math")))
#endif
void MultiplyPlainly(const float* w, const float* x, float* y) {
  for (int64_t o = 0; o < kWidth; ++o) {
    float sum = 0;
    for (int64_t i = 0; i < kWidth; ++i) sum += w[o * kWidth + i] * x[i];
    y[o] += 0.5f * sum;
  }
}

// The dense Kronecker products of every call, as PEFT makes them, and a matrix-vector product.
void AgainstMaterialising(benchmark::State& state) {
  const Adapter adapter = Kronecker();
  const auto x = Random(kWidth);
  std::vector<float> y(x.size()), w(static_cast<size_t>(kWidth * kWidth));
  InTurn(
      state, [&] { adapter.Apply(x, y); },
      [&] {
        Materialise(adapter, w.data());
        MultiplyPlainly(w.data(), x.data(), y.data());
      });
}

void OfPeak(benchmark::State& state) {
  const Adapter adapter = Kronecker();
  const auto x = Random(state.range(0) * kWidth);
  std::vector<float> y(x.size());
  const Least least = InTurn(
      state, [&] { adapter.Apply(x, y); }, [] { FmaPeak(1); });
  const double flop = static_cast<double>(adapter.info.flop * state.range(0));
  state.counters["GFLOP_s"] = 1e-9 * flop / least.ours;
  state.counters["of_peak_%"] = 100 * flop / least.ours / FmaPeak(1);
}

#ifdef SYLVESTER_CBLAS
// Per term the two products that a Kronecker product comes to, for all rows at once, with the transposition between
// them, as written with a BLAS.
void AgainstBlas(benchmark::State& state) {
  openblas_set_num_threads(1);
  const Adapter adapter = Kronecker();
  const int64_t rows = state.range(0);
  const auto x = Random(rows * kWidth);
  std::vector<float> y(x.size()), t(x.size()), turned(x.size()), product(x.size());
  const auto n = static_cast<int>(kFactor), all = static_cast<int>(rows * kFactor);
  const auto transpose = [&](const std::vector<float>& from, std::vector<float>& to) {
    for (int64_t b = 0; b < rows; ++b) {
      for (int64_t i = 0; i < kFactor; ++i) {
        for (int64_t j = 0; j < kFactor; ++j) {
          to[static_cast<size_t>(b * kWidth + j * kFactor + i)] =
              from[static_cast<size_t>(b * kWidth + i * kFactor + j)];
        }
      }
    }
  };
  InTurn(
      state, [&] { adapter.Apply(x, y); },
      [&] {
        for (int64_t k = 0; k < kTerms; ++k) {
          const float *u = adapter.u.data() + k * kWidth, *v = adapter.v.data() + k * kWidth;
          cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, all, n, n, 1, x.data(), n, v, n, 0, t.data(), n);
          transpose(t, turned);
          cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, all, n, n, 0.5f, turned.data(), n, u, n,
                      k == 0 ? 0.f : 1.f, product.data(), n);
        }
        transpose(product, turned);
        for (size_t i = 0; i < y.size(); ++i) y[i] += turned[i];
      });
}
#endif

// LoRA of rank 8, whose factors come from memory, as those of a model's other layers have taken the caches meanwhile.
void LoraOfBandwidth(benchmark::State& state) {
  std::vector<std::unique_ptr<Adapter>> copies;
  for (int64_t bytes = 0; bytes < kColdBytes; bytes += copies.back()->info.packed_bytes) {
    copies.push_back(std::make_unique<Adapter>(state.range(0), kWidth, 1, 1, kWidth));
  }
  const Buffer memory(kColdBytes);
  const auto x = Random(kWidth);
  std::vector<float> y(x.size());
  const auto bytes = static_cast<double>(copies[0]->info.packed_bytes) * static_cast<double>(copies.size());
  std::memset(memory.data, 1, kColdBytes);
  const Least least = InTurn(
      state,
      [&] {
        for (const auto& copy : copies) copy->Apply(x, y);
      },
      [&] { benchmark::DoNotOptimize(ReadAll(reinterpret_cast<uint64_t*>(memory.data), kColdBytes / 8)); });
  state.counters["us"] = 1e6 * least.ours / static_cast<double>(copies.size());
  state.counters["of_bandwidth_%"] = 100 * (bytes / least.ours) / (static_cast<double>(kColdBytes) / least.rival);
}

// At equal parameters: how much longer the Kronecker form takes.
void AgainstLora(benchmark::State& state) {
  const Adapter adapter = Kronecker(), lora = Lora();
  const auto x = Random(state.range(0) * kWidth);
  std::vector<float> y(x.size());
  InTurn(
      state, [&] { adapter.Apply(x, y); }, [&] { lora.Apply(x, y); });
}

// A row each for 8 adapters; the rival: 8 rows for one.
void Segments(benchmark::State& state) {
  constexpr int32_t kRows = 8;
  std::vector<std::unique_ptr<Adapter>> adapters;
  std::vector<const void*> packed;
  std::vector<int64_t> begin = {0};
  std::vector<int32_t> ids;
  const std::vector<float> scale(kRows, 0.5f);
  for (int32_t i = 0; i < kRows; ++i) {
    adapters.push_back(std::make_unique<Adapter>(kTerms, kFactor, kFactor, kFactor, kFactor));
    packed.push_back(adapters.back()->packed.data);
    begin.push_back(i + 1);
    ids.push_back(i);
  }
  const auto x = Random(kRows * kWidth);
  std::vector<float> y(x.size());
  const syl_kron_segments segments{sizeof(segments), kRows,      kRows,       packed.data(),
                                   begin.data(),     ids.data(), scale.data()};
  InTurn(
      state,
      [&] {
        syl_kron_apply_segments_f32(&segments, kWidth, kWidth, x.data(), kWidth, SYL_KRON_ACCUMULATE, y.data(), kWidth,
                                    adapters[0]->workspace->data, adapters[0]->workspace_bytes, nullptr);
      },
      [&] { adapters[0]->Apply(x, y); });
}

// Randomised, 32 terms.
void Decompose(benchmark::State& state) {
  const auto w = Random(kWidth * kWidth);
  std::vector<double> sigma(32), u(32 * kWidth), v(32 * kWidth);
  double energy = 0;
  const syl_kron_decomposition d{sizeof(d), SYL_F32, kFactor, kFactor, kFactor, kFactor, 32, SYL_KRON_RANDOMIZED, 1};
  for (auto _ : state) {
    syl_kron_decompose(&d, w.data(), kWidth, sigma.data(), u.data(), v.data(), &energy, nullptr);
  }
}

BENCHMARK(AgainstDenseDelta)->Name("kron/apply/dense_delta")->Arg(1)->Arg(64)->Iterations(30);
BENCHMARK(AgainstMaterialising)->Name("kron/apply/materialise")->Iterations(10);
BENCHMARK(OfPeak)->Name("kron/apply/peak")->Arg(1)->Arg(64)->Iterations(50);
#ifdef SYLVESTER_CBLAS
BENCHMARK(AgainstBlas)->Name("kron/apply/blas")->Arg(1)->Arg(4)->Arg(64)->Iterations(30);
#endif
BENCHMARK(LoraOfBandwidth)->Name("kron/lora/bandwidth")->Arg(8)->Arg(16)->Iterations(20);
BENCHMARK(AgainstLora)->Name("kron/apply/lora")->Arg(1)->Arg(64)->Iterations(50);
BENCHMARK(Segments)->Name("kron/segments")->Iterations(50);
BENCHMARK(Decompose)->Name("kron/decompose")->Iterations(2)->Unit(benchmark::kMillisecond);

}  // namespace
