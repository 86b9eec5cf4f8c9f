// Rows from and to where the plan has them: any type, stride and gather.
#if defined(SYLVESTER_NATIVE_CPU_HADAMARD_ROW_IO_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_HADAMARD_ROW_IO_INL_H_
#undef SYLVESTER_NATIVE_CPU_HADAMARD_ROW_IO_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_HADAMARD_ROW_IO_INL_H_
#endif

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "native/cpu/hadamard/elements.h"
#include "native/cpu/hadamard/fwht-inl.h"
#include "native/cpu/hadamard/quantize-inl.h"
#include "native/cpu/hadamard/row_ends-inl.h"
#include "native/cpu/hadamard/run.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// z[i] <- z[i] * scale, negated where signs say so; signs may be NULL.
template <typename T>
void ScaleAndNegate(T* z, int64_t n, T scale, const T* signs) {
  const Tag<T> d;
  const Memory<T> memory{z};
  int64_t i = 0;
  if (signs == nullptr) {
    const Sink<T, T, false> sink{z, scale, nullptr};
    for (; i + kLanes<T> <= n; i += kLanes<T>) sink.Store(d, memory.Load(d, i), i);
  } else {
    const Sink<T, T, true> sink{z, scale, signs};
    for (; i + kLanes<T> <= n; i += kLanes<T>) sink.Store(d, memory.Load(d, i), i);
  }
  for (; i < n; ++i) z[i] = signs != nullptr && std::signbit(signs[i]) ? -(z[i] * scale) : z[i] * scale;
}

template <typename TStored, typename T>
void LoadElements(const HadamardJob& job, const TStored* x, T* z) {
  const syl_hadamard& plan = *job.plan;
  const int64_t n = plan.options.n, step = job.from.stride[3];
  int64_t i = 0;
  if (!plan.gather.empty() && !job.transposed) {
    for (; i < n; ++i) {
      const int32_t index = plan.gather[static_cast<size_t>(i)];
      z[i] = index < 0 ? T{0} : Widened(x + index * step);
    }
  } else if (step == 1) {
    const Tag<T> d;
    for (; i + kLanes<T> <= n; i += kLanes<T>) hn::StoreU(LoadFloats(d, x + i), d, z + i);
  }
  for (; i < n; ++i) z[i] = Widened(x + i * step);
}

template <typename T, typename TStored>
void StoreElements(const HadamardJob& job, const T* z, TStored* y) {
  const syl_hadamard& plan = *job.plan;
  const int64_t n = plan.options.n, step = job.to.stride[3];
  int64_t i = 0;
  if (!plan.gather.empty() && job.transposed) {
    for (int64_t e = 0; e < plan.options.x_length; ++e) Narrow(T{0}, y + e * step);
    for (; i < n; ++i) {
      const int32_t index = plan.gather[static_cast<size_t>(i)];
      if (index >= 0) Narrow(z[i], y + index * step);
    }
  } else if (step == 1) {
    const Tag<T> d;
    for (; i + kLanes<T> <= n; i += kLanes<T>) StoreFloats(hn::LoadU(d, z + i), d, y + i);
  }
  for (; i < n; ++i) Narrow(z[i], y + i * step);
}

template <typename T>
void LoadRow(const HadamardJob& job, int64_t transform, T* z) {
  const uint8_t* x = job.Row(transform);
  if constexpr (std::is_same_v<T, double>) {
    LoadElements(job, reinterpret_cast<const double*>(x), z);
  } else {
    switch (job.from.type) {
      case SYL_F32: LoadElements(job, reinterpret_cast<const float*>(x), z); break;
      case SYL_F16: LoadElements(job, reinterpret_cast<const hwy::float16_t*>(x), z); break;
      default: LoadElements(job, reinterpret_cast<const hwy::bfloat16_t*>(x), z);
    }
  }
  if (const T* signs = job.Signs<T>(0, transform)) ScaleAndNegate(z, job.plan->options.n, T{1}, signs);
}

template <typename T>
void StoreRow(const HadamardJob& job, int64_t transform, const T* z) {
  uint8_t* y = job.OutRow(transform);
  if constexpr (std::is_same_v<T, double>) {
    StoreElements(job, z, reinterpret_cast<double*>(y));
  } else {
    switch (job.to.type) {
      case SYL_F32: return StoreElements(job, z, reinterpret_cast<float*>(y));
      case SYL_F16: return StoreElements(job, z, reinterpret_cast<hwy::float16_t*>(y));
      default: return StoreElements(job, z, reinterpret_cast<hwy::bfloat16_t*>(y));
    }
  }
}

// Codes, scales and zeros of rows of one inner dimension. sorted: a row of floats, codes: two rows of bytes.
template <bool kHasZero>
HWY_INLINE void QuantizeRows(const HadamardJob& job, int64_t transform, int64_t rows, const float* z, float* sorted,
                             int8_t* codes) {
  const syl_hadamard& plan = *job.plan;
  const int64_t n = plan.options.n, size = plan.options.group, groups = plan.groups;
  const int32_t quantizer = plan.options.quantizer, levels = QuantizerLevels(quantizer);
  float* scales = job.scales + transform * groups;
  float* zeros = kHasZero ? job.zeros + transform * groups : nullptr;
  auto* out = reinterpret_cast<int8_t*>(job.OutRow(transform));
  if (plan.sorted.empty()) ScaleGroups<kHasZero>(z, rows * groups, size, levels, scales, zeros);
  for (int64_t r = 0; r < rows; ++r, z += n, scales += groups, out += job.to.stride[2]) {
    int8_t* bytes = kHasZero ? codes : out;
    if (plan.sorted.empty()) {
      EncodeGroups<kHasZero>(z, groups, size, levels, scales, zeros, bytes);
    } else {
      int8_t* sorted_codes = codes + n;
      for (int64_t i = 0; i < n; ++i) sorted[i] = z[plan.sorted[static_cast<size_t>(i)]];
      ScaleGroups<kHasZero>(sorted, groups, size, levels, scales, zeros);
      EncodeGroups<kHasZero>(sorted, groups, size, levels, scales, zeros, sorted_codes);
      for (int64_t i = 0; i < n; ++i) bytes[plan.sorted[static_cast<size_t>(i)]] = sorted_codes[i];
    }
    if (quantizer == SYL_HADAMARD_U4) {
      PackPairs(codes, n / 2, 4, out);
    } else if (quantizer == SYL_HADAMARD_U2) {
      PackPairs(codes, n / 2, 2, codes);
      PackPairs(codes, n / 4, 4, out);
    }
    if (kHasZero) zeros += groups;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#endif
