// What the Hadamard benchmarks are held against: other people's ways, and what the processor can do at best.
#ifndef SYLVESTER_BENCH_NATIVE_HADAMARD_YARDSTICKS_H_
#define SYLVESTER_BENCH_NATIVE_HADAMARD_YARDSTICKS_H_

#include <sylvester/sylvester.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "bench/native/machine.h"

namespace sylvester_bench {

// The textbook loop, as the compiler vectorises it for AVX2.
__attribute__((target("avx2"), optimize("O3"))) inline void TextbookFwht(float* x, int64_t n) {
  for (int64_t h = 1; h < n; h *= 2) {
    for (int64_t i = 0; i < n; i += 2 * h) {
      for (int64_t j = i; j < i + h; ++j) {
        const float a = x[j], b = x[j + h];
        x[j] = a + b;
        x[j + h] = a - b;
      }
    }
  }
}

#if defined(__x86_64__)
// Radix 2 with AVX2: a sweep over the row for each stage, those within a vector by permutations.
__attribute__((target("avx2"))) inline void Radix2Fwht(float* x, int64_t n) {
  const __m256 signs1 = _mm256_setr_ps(0, -0.f, 0, -0.f, 0, -0.f, 0, -0.f);
  const __m256 signs2 = _mm256_setr_ps(0, 0, -0.f, -0.f, 0, 0, -0.f, -0.f);
  const __m256 signs4 = _mm256_setr_ps(0, 0, 0, 0, -0.f, -0.f, -0.f, -0.f);
  for (int64_t i = 0; i < n; i += 8) {
    __m256 v = _mm256_loadu_ps(x + i);
    v = _mm256_add_ps(_mm256_permute_ps(v, 0xb1), _mm256_xor_ps(v, signs1));
    v = _mm256_add_ps(_mm256_permute_ps(v, 0x4e), _mm256_xor_ps(v, signs2));
    v = _mm256_add_ps(_mm256_permute2f128_ps(v, v, 1), _mm256_xor_ps(v, signs4));
    _mm256_storeu_ps(x + i, v);
  }
  for (int64_t h = 8; h < n; h *= 2) {
    for (int64_t i = 0; i < n; i += 2 * h) {
      for (int64_t j = i; j < i + h; j += 8) {
        const __m256 a = _mm256_loadu_ps(x + j), b = _mm256_loadu_ps(x + j + h);
        _mm256_storeu_ps(x + j, _mm256_add_ps(a, b));
        _mm256_storeu_ps(x + j + h, _mm256_sub_ps(a, b));
      }
    }
  }
}

// Absolute maximum, division and rounding with AVX2: codes and scale of one row.
__attribute__((target("avx2"))) inline float PlainQuantize(const float* z, int64_t n, int8_t* codes) {
  const __m256 sign = _mm256_set1_ps(-0.f);
  __m256 largest = _mm256_setzero_ps();
  for (int64_t i = 0; i < n; i += 8) largest = _mm256_max_ps(largest, _mm256_andnot_ps(sign, _mm256_loadu_ps(z + i)));
  float lanes[8];
  _mm256_storeu_ps(lanes, largest);
  float scale = 0;
  for (const float lane : lanes) scale = lane > scale ? lane : scale;
  scale /= 127;
  const __m256 divisor = _mm256_set1_ps(scale);
  for (int64_t i = 0; i < n; i += 32) {
    __m256i q[4];
    for (int64_t j = 0; j < 4; ++j) q[j] = _mm256_cvtps_epi32(_mm256_div_ps(_mm256_loadu_ps(z + i + 8 * j), divisor));
    const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    const __m256i ordered = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + i), ordered);
  }
  return scale;
}

// GCC's own headers leave the registers behind masked shuffles undefined.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

// Rounds of the mix that a row in registers is made of: per vector log2(lanes) shuffles and as many fused
// multiply-adds, three additions and a multiplication. In the loops 12 vectors are independent of each other.
__attribute__((target("avx512f"))) inline double MixAvx512() {
  __m512 v[12];
  for (int i = 0; i < 12; ++i) v[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 c = _mm512_set1_ps(0.5f);
  for (int64_t step = 0; step < kPeakSteps / 8; ++step) {
#pragma GCC unroll 12
    for (__m512& x : v) {
      x = _mm512_fmadd_ps(x, c, _mm512_permute_ps(x, 0xb1));
      x = _mm512_fmadd_ps(x, c, _mm512_permute_ps(x, 0x4e));
      x = _mm512_fmadd_ps(x, c, _mm512_shuffle_f32x4(x, x, 0xb1));
      x = _mm512_fmadd_ps(x, c, _mm512_shuffle_f32x4(x, x, 0x4e));
      x = _mm512_mul_ps(_mm512_add_ps(_mm512_sub_ps(_mm512_add_ps(x, c), c), c), c);
    }
  }
  for (__m512& x : v) benchmark::DoNotOptimize(x);
  return 12.0 * 12 * (kPeakSteps / 8);
}

__attribute__((target("avx2,fma"))) inline double MixAvx2() {
  __m256 v[12];
  for (int i = 0; i < 12; ++i) v[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 c = _mm256_set1_ps(0.5f);
  for (int64_t step = 0; step < kPeakSteps / 8; ++step) {
#pragma GCC unroll 12
    for (__m256& x : v) {
      x = _mm256_fmadd_ps(x, c, _mm256_permute_ps(x, 0xb1));
      x = _mm256_fmadd_ps(x, c, _mm256_permute_ps(x, 0x4e));
      x = _mm256_fmadd_ps(x, c, _mm256_permute2f128_ps(x, x, 1));
      x = _mm256_mul_ps(_mm256_add_ps(_mm256_sub_ps(_mm256_add_ps(x, c), c), c), c);
    }
  }
  for (__m256& x : v) benchmark::DoNotOptimize(x);
  return 12.0 * 10 * (kPeakSteps / 8);
}
#pragma GCC diagnostic pop
#endif

// Floats in a vector of the tier in use; 0 where no limit is measured.
inline int64_t TierLanes() {
  return std::strncmp(syl_tier(), "avx512", 6) == 0 ? 16 : std::strcmp(syl_tier(), "avx2") == 0 ? 8 : 0;
}

// Instructions a second of that mix on vectors of some lanes.
inline double MixRate(int64_t lanes) {
#if defined(__x86_64__)
  static std::map<int64_t, double> measured;
  double& result = measured[lanes];
  if (result == 0) {
    double done = 0;
    const double seconds = BestSeconds(1, [&](int) { done = lanes == 16 ? MixAvx512() : MixAvx2(); });
    result = done / seconds;
  }
  return result;
#else
  return 0 * lanes;
#endif
}

// Seconds that one row of n floats takes at least: per vector a shuffle and a fused multiply-add for each stage within
// it, an addition for each other stage, and the scale. 0 where no limit is measured.
inline double InstructionBound(int64_t n) {
  const int64_t lanes = TierLanes();
  if (lanes == 0 || n < lanes) return 0;
  const double within = std::log2(lanes), others = std::log2(n) - within;
  return static_cast<double>(n / lanes) * (2 * within + others + 1) / MixRate(lanes);
}

// Seconds that work() takes, best of as many rounds of some repeats as half a second allows.
template <typename Work>
double SecondsOf(Work work, int64_t repeats) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  double best = 1e9;
  while (std::chrono::steady_clock::now() < deadline) {
    const auto start = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < repeats; ++i) work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best / static_cast<double>(repeats);
}

}  // namespace sylvester_bench

#endif
