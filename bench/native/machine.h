// What the machine can do at best, measured: the yardsticks of the benchmarks.
#ifndef SYLVESTER_BENCH_NATIVE_MACHINE_H_
#define SYLVESTER_BENCH_NATIVE_MACHINE_H_

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sylvester_bench {

// More than any cache holds.
constexpr int64_t kColdBytes = int64_t{160} << 20;

struct Buffer {
  explicit Buffer(int64_t bytes)
      : data(static_cast<uint8_t*>(std::aligned_alloc(4096, static_cast<size_t>((bytes + 4095) / 4096 * 4096)))) {}
  ~Buffer() { std::free(data); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  uint8_t* data;
};

// Seconds of work(t) on each of some threads at once, best of as many passes as half a second allows.
template <typename Work>
double BestSeconds(int threads, Work work) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  double best = 1e9;
  while (std::chrono::steady_clock::now() < deadline) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> workers;
    for (int t = 0; t < threads; ++t) workers.emplace_back(work, t);
    for (std::thread& worker : workers) worker.join();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

inline uint64_t ReadAll(const uint64_t* data, int64_t count) {
  uint64_t sums[8] = {};
  for (int64_t i = 0; i + 8 <= count; i += 8) {
    for (int64_t j = 0; j < 8; ++j) sums[j] += data[i + j];
  }
  uint64_t sum = 0;
  for (const uint64_t part : sums) sum += part;
  return sum;
}

// Bytes a second that threads read from memory.
inline double ReadBandwidth(int threads) {
  static std::map<int, double> measured;
  double& result = measured[threads];
  if (result == 0) {
    const Buffer buffer(kColdBytes);
    auto* data = reinterpret_cast<uint64_t*>(buffer.data);
    const int64_t words = kColdBytes / 8, share = words / threads;
    std::fill_n(data, words, 1);
    result = static_cast<double>(kColdBytes) /
             BestSeconds(threads, [=](int t) { benchmark::DoNotOptimize(ReadAll(data + t * share, share)); });
  }
  return result;
}

constexpr int64_t kPeakSteps = 1 << 18;

#if defined(__x86_64__)
__attribute__((target("avx512f"))) inline double FmaAvx512() {
  __m512 sums[12];  // apart from each other, or the compiler would find them equal
  for (int i = 0; i < 12; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 x = _mm512_set1_ps(0.5f);
  for (int64_t step = 0; step < kPeakSteps; ++step) {
#pragma GCC unroll 12
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(sum, x, x);
  }
  for (__m512& sum : sums) benchmark::DoNotOptimize(sum);
  return 12.0 * 16 * 2 * kPeakSteps;
}

__attribute__((target("avx2,fma"))) inline double FmaAvx2() {
  __m256 sums[12];  // apart from each other, or the compiler would find them equal
  for (int i = 0; i < 12; ++i) sums[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 x = _mm256_set1_ps(0.5f);
  for (int64_t step = 0; step < kPeakSteps; ++step) {
#pragma GCC unroll 12
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(sum, x, x);
  }
  for (__m256& sum : sums) benchmark::DoNotOptimize(sum);
  return 12.0 * 8 * 2 * kPeakSteps;
}
#endif

// Floating-point operations a second of fused multiply-adds in registers; 0 where it is not measured.
inline double FmaPeak(int threads) {
#if defined(__x86_64__)
  static std::map<int, double> measured;
  double& result = measured[threads];
  if (result == 0 && __builtin_cpu_supports("fma")) {
    const bool avx512 = __builtin_cpu_supports("avx512f");
    double flop = 0;
    const double seconds = BestSeconds(threads, [&](int t) {
      const double done = avx512 ? FmaAvx512() : FmaAvx2();
      if (t == 0) flop = done;
    });
    result = threads * flop / seconds;
  }
  return result;
#else
  return 0 * threads;
#endif
}

}  // namespace sylvester_bench

#endif
