#include "native/cpu/hadamard/run.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "native/common/align.h"
#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/common/tier.h"
#include "native/cpu/hadamard/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/hadamard/run.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/hadamard/base-inl.h"
#include "native/cpu/hadamard/fwht-inl.h"
#include "native/cpu/hadamard/regular-inl.h"
#include "native/cpu/hadamard/row_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// ---- A transform in each lane --------------------------------------------------------------------------------------

// Element i / kLanes of kLanes transforms, `step` elements apart. In scratch they are z[n][kLanes], so that a transform
// of n kLanes elements without the stages inside vectors is kLanes transforms of n.
struct Columns {
  uint8_t* memory;
  syl_dtype type;
  int64_t step;
  float scale;         // of what is stored
  const float* signs;  // or NULL

  template <class D>
  HWY_INLINE hn::Vec<D> Load(D d, int64_t i) const {
    const int64_t element = i / kLanes<float>, index = element * step;
    const auto v = type == SYL_F32   ? LoadFloats(d, reinterpret_cast<const float*>(memory) + index)
                   : type == SYL_F16 ? LoadFloats(d, reinterpret_cast<const hwy::float16_t*>(memory) + index)
                                     : LoadFloats(d, reinterpret_cast<const hwy::bfloat16_t*>(memory) + index);
    return signs == nullptr ? v : hn::Xor(v, hn::Set(d, signs[element]));
  }

  template <class D>
  HWY_INLINE void Store(D d, hn::Vec<D> v, int64_t i) const {
    const int64_t element = i / kLanes<float>, index = element * step;
    const auto scaled = hn::Mul(v, hn::Set(d, scale));
    const auto out = signs == nullptr ? scaled : hn::Xor(scaled, hn::Set(d, signs[element]));
    switch (type) {
      case SYL_F32: return StoreFloats(out, d, reinterpret_cast<float*>(memory) + index);
      case SYL_F16: return StoreFloats(out, d, reinterpret_cast<hwy::float16_t*>(memory) + index);
      default: return StoreFloats(out, d, reinterpret_cast<hwy::bfloat16_t*>(memory) + index);
    }
  }
};

// n >= 4 elements: the first pass reads from source, the last one writes to sink.
void TransformColumns(const Columns& source, float* z, int64_t n, const Columns& sink) {
  const Tag<float> d;
  const Memory<float> memory{z};
  const int64_t all = n * kLanes<float>;
  int bits = 0;
  while (int64_t{1} << bits < n) ++bits;
  const int first = (bits + 1) / 2 < kPassBits ? (bits + 1) / 2 : kPassBits;
  int64_t h = kLanes<float>;
  for (int64_t block = 0; block < all; block += h << first) Pass(first, d, source, block, h, memory);
  h <<= first;
  bits -= first;
  for (; bits > kPassBits; bits -= kPassBits, h <<= kPassBits) {
    for (int64_t block = 0; block < all; block += h << kPassBits) Pass(kPassBits, d, memory, block, h, memory);
  }
  Pass(bits, d, memory, 0, h, sink);
}

// kLanes transforms of one inner dimension.
void VerticalRows(const HadamardJob& job, int64_t transform, float* z) {
  const syl_hadamard_options& o = job.plan->options;
  const auto scale = static_cast<float>(o.scale);
  Columns source{const_cast<uint8_t*>(job.Row(transform)), job.from.type, job.from.stride[3], 1,
                 job.Signs<float>(0, transform)};
  for (int32_t round = 1; round <= o.rounds; ++round) {
    const float* signs = job.Signs<float>(round, transform);
    const Columns sink = round == o.rounds
                             ? Columns{job.OutRow(transform), job.to.type, job.to.stride[3], scale, signs}
                             : Columns{reinterpret_cast<uint8_t*>(z), SYL_F32, kLanes<float>, scale, signs};
    TransformColumns(source, z, o.n, sink);
    source = {reinterpret_cast<uint8_t*>(z), SYL_F32, kLanes<float>, 1, nullptr};
  }
}

// ---- Through a row of scratch --------------------------------------------------------------------------------------

template <typename T>
constexpr syl_dtype kTypeOf = std::is_same_v<T, double> ? SYL_F64 : SYL_F32;

// Transforms of n elements that follow each other in z.
template <typename T>
void Butterflies(T* z, int64_t n, int64_t count, T scale) {
  HadamardRows rows{};
  rows.type = kTypeOf<T>;
  rows.x = rows.y = z;
  rows.x_step = rows.y_step = rows.n = n;
  rows.count = count;
  rows.scale = scale;
  Fwht(rows);
}

template <typename T>
void Round(const HadamardJob& job, int32_t round, int64_t transform, T* z, T* sums) {
  const syl_hadamard& plan = *job.plan;
  const syl_hadamard_options& o = plan.options;
  const T* signs = job.Signs<T>(round, transform);
  const auto scale = static_cast<T>(o.scale);
  switch (o.family) {
    case SYL_HADAMARD_REGULAR: RegularTransform(z, o.n); return ScaleAndNegate(z, o.n, scale, signs);
    case SYL_HADAMARD_OVERLAPPED: {
      // Rounds of a transposed run come in reverse.
      const bool first = (job.transposed ? o.rounds - round + 1 : round) % 2 == 1;
      Butterflies(z + (first ? 0 : o.n - plan.butterflies), plan.butterflies, 1, scale);
      break;
    }
    default:
      if (o.base != 1) {
        if (plan.butterflies > 1) Butterflies(z, plan.butterflies, o.base, T{1});
        BaseStep(z, plan.butterflies, o.base, plan.patterns[job.transposed].data(), sums);
        return ScaleAndNegate(z, o.n, scale, signs);
      }
      Butterflies(z, plan.butterflies, o.n / plan.butterflies, scale);
  }
  if (signs != nullptr) ScaleAndNegate(z, o.n, T{1}, signs);
}

void Quantize(const HadamardJob& job, int64_t transform, int64_t count, const HadamardScratch& parts,
              uint8_t* scratch) {
  const auto* z = reinterpret_cast<const float*>(scratch);
  auto* sorted = reinterpret_cast<float*>(scratch + parts.sorted);
  auto* codes = reinterpret_cast<int8_t*>(scratch + parts.codes);
  if (job.plan->options.quantizer == SYL_HADAMARD_I8) {
    QuantizeRows<false>(job, transform, count, z, sorted, codes);
  } else {
    QuantizeRows<true>(job, transform, count, z, sorted, codes);
  }
}

template <typename T>
void GeneralRow(const HadamardJob& job, int64_t transform, const HadamardScratch& parts, uint8_t* scratch) {
  auto* z = reinterpret_cast<T*>(scratch);
  LoadRow(job, transform, z);
  for (int32_t round = 1; round <= job.plan->options.rounds; ++round) {
    Round(job, round, transform, z, reinterpret_cast<T*>(scratch + parts.sums));
  }
  if constexpr (std::is_same_v<T, float>) {
    if (job.plan->options.quantizer != SYL_HADAMARD_NO_QUANTIZER) return Quantize(job, transform, 1, parts, scratch);
  }
  StoreRow(job, transform, z);
}

// ---- From row to row -----------------------------------------------------------------------------------------------

// The Sylvester transforms of one inner dimension from a transform on.
HadamardRows RowsOf(const HadamardJob& job, int64_t transform, int64_t count) {
  const syl_hadamard_options& o = job.plan->options;
  const int64_t inner = transform % o.count[2];
  const bool is_double = o.x_type == SYL_F64;
  const auto signs = [&](int32_t round) -> const void* {
    if (is_double) return job.Signs<double>(round, transform - inner);
    return job.Signs<float>(round, transform - inner);
  };
  return {o.x_type,
          job.Row(transform),
          job.OutRow(transform),
          job.from.stride[2],
          job.to.stride[2],
          o.n,
          count,
          o.scale,
          nullptr,
          signs(0),
          signs(1),
          inner,
          o.sign_rows,
          o.n};
}

void DirectRows(const HadamardJob& job, int64_t transform, int64_t count, float* waiting) {
  const syl_hadamard_options& o = job.plan->options;
  if (o.family != SYL_HADAMARD_BLOCKS) {
    HadamardRows rows = RowsOf(job, transform, count);
    rows.waiting = waiting;
    return Fwht(rows);
  }
  // The blocks of a transform are its rows.
  for (int64_t t = transform; t < transform + count; ++t) {
    HadamardRows rows = RowsOf(job, t, o.n / o.block);
    rows.waiting = waiting;
    rows.x_step = rows.y_step = rows.signs_step = rows.n = o.block;
    if (o.sign_rows > 1) {
      // As though this transform were the first.
      const int64_t row = rows.first_signs % o.sign_rows * o.n * (o.x_type == SYL_F64 ? 8 : 4);
      rows.before = static_cast<const uint8_t*>(rows.before) + row;
      rows.after = static_cast<const uint8_t*>(rows.after) + row;
    }
    rows.first_signs = 0;
    rows.period = o.n / o.block;
    Fwht(rows);
  }
}

void RowsToScratch(const HadamardJob& job, int64_t transform, int64_t count, float* z) {
  HadamardRows rows = RowsOf(job, transform, count);
  rows.y = z;
  rows.y_step = rows.n;
  Fwht(rows);
}

// --------------------------------------------------------------------------------------------------------------------

void RunTransforms(const HadamardJob& job, int64_t first, int64_t count, uint8_t* scratch) {
  const syl_hadamard_options& o = job.plan->options;
  const HadamardPath path = job.plan->path;
  const HadamardScratch& parts = job.plan->scratch;
  for (int64_t t = first, end = first + count; t < end;) {
    const int64_t row = std::min(o.count[2] - t % o.count[2], end - t);
    if (path == HadamardPath::kDirect) {
      DirectRows(job, t, row, reinterpret_cast<float*>(scratch));
      t += row;
    } else if (path == HadamardPath::kQuantize) {
      const int64_t rows = std::min(row, RowsAtOnce(o.n));
      RowsToScratch(job, t, rows, reinterpret_cast<float*>(scratch));
      Quantize(job, t, rows, parts, scratch);
      t += rows;
    } else if (path == HadamardPath::kVertical && row >= kLanes<float>) {
      VerticalRows(job, t, reinterpret_cast<float*>(scratch));
      t += kLanes<float>;
    } else if (o.x_type == SYL_F64) {
      GeneralRow<double>(job, t++, parts, scratch);
    } else {
      GeneralRow<float>(job, t++, parts, scratch);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {

constexpr void (*kRunTransforms[kTierCount])(const HadamardJob&, int64_t, int64_t, uint8_t*) = SYL_TIERS(RunTransforms);

// Longest transform of the vertical path: its rows should stay in the second-level cache.
constexpr int64_t kMaxVertical = int64_t{1} << 12;

int64_t WorkspaceOf(const syl_hadamard& plan, int32_t threads) {
  const int64_t bytes = plan.scratch.bytes;
  return bytes == 0 ? 0 : bytes * threads + kAlignment;
}

syl_status Run(const char* function, HadamardJob job, const HadamardRun& run, syl_pool* pool, void* workspace) {
  const syl_status status = CheckHadamardRun(function, *job.plan, run);
  if (status != SYL_OK || run.count == 0) return status;
  const int64_t bytes = job.plan->scratch.bytes;
  uint8_t* scratch = bytes == 0 ? nullptr : Aligned(workspace);
  const auto run_transforms = kRunTransforms[CurrentTier()];
  // Columns of the vertical path go together.
  const int64_t per_task = std::max(kTaskElements / job.plan->options.n / kMaxLanes * kMaxLanes,
                                    job.plan->path == HadamardPath::kVertical ? kMaxLanes : int64_t{1});
  ParallelFor(pool, (run.count + per_task - 1) / per_task, [&](int64_t task, int32_t worker) {
    const int64_t done = task * per_task;
    run_transforms(job, run.first + done, std::min(per_task, run.count - done), scratch + worker * bytes);
  });
  return SYL_OK;
}

}  // namespace

HadamardPath PathOf(const syl_hadamard& plan) {
  const syl_hadamard_options& o = plan.options;
  const bool quantized = o.quantizer != SYL_HADAMARD_NO_QUANTIZER, single = o.base == 1 && o.rounds == 1;
  const bool contiguous = o.x_stride[3] == 1 && o.y_stride[3] == 1;
  if (!plan.gather.empty() || (o.family != SYL_HADAMARD_SYLVESTER && o.family != SYL_HADAMARD_BLOCKS)) {
    return HadamardPath::kGeneral;
  }
  if (single && contiguous && !quantized && o.x_type == o.y_type) return HadamardPath::kDirect;
  if (o.family == SYL_HADAMARD_BLOCKS || o.base != 1) return HadamardPath::kGeneral;
  if (single && contiguous && quantized && o.x_type == SYL_F32) return HadamardPath::kQuantize;
  if (!quantized && o.x_stride[2] == 1 && o.y_stride[2] == 1 && o.x_type != SYL_F64 && o.sign_rows <= 1 && o.n >= 4 &&
      o.n <= kMaxVertical) {
    return HadamardPath::kVertical;
  }
  return HadamardPath::kGeneral;
}

HadamardScratch ScratchOf(const syl_hadamard& plan) {
  const syl_hadamard_options& o = plan.options;
  const HadamardPath path = plan.path;
  const bool is_double = o.x_type == SYL_F64, quantized = o.quantizer != SYL_HADAMARD_NO_QUANTIZER;
  const bool in_place = path == HadamardPath::kDirect && (is_double || o.x_type == SYL_F32);
  HadamardScratch parts{};
  if (in_place || (path == HadamardPath::kDirect && o.block <= kOnePass16)) return parts;
  const int64_t rows = path == HadamardPath::kQuantize   ? RowsAtOnce(o.n)
                       : path == HadamardPath::kVertical ? kMaxLanes
                                                         : 1;
  parts.sums = Aligned(rows * o.n * (is_double ? 8 : 4));
  parts.sorted = parts.sums + (o.base == 1 ? 0 : o.base / 4 * 16 * kAlignment);
  parts.codes = parts.sorted + (plan.sorted.empty() ? 0 : Aligned(o.n * 4));
  parts.bytes = parts.codes + (quantized ? Aligned(o.n * 2) : 0);
  return parts;
}

}  // namespace sylvester

using namespace sylvester;

int64_t syl_hadamard_workspace(const syl_hadamard* plan, int32_t threads) {
  return plan == nullptr ? 0 : WorkspaceOf(*plan, std::max(threads, 1));
}

syl_status syl_hadamard_run(const syl_hadamard* plan, const void* x, void* y, float* scales, float* zeros,
                            int64_t first, int64_t count, syl_pool* pool, void* workspace, int64_t workspace_bytes) {
  SYL_REQUIRE_PTR(plan);
  const syl_hadamard_options& o = plan->options;
  const int64_t needed = WorkspaceOf(*plan, Threads(pool));
  const bool quantized = o.quantizer != SYL_HADAMARD_NO_QUANTIZER;
  const HadamardJob job{plan,
                        false,
                        static_cast<const uint8_t*>(x),
                        static_cast<uint8_t*>(y),
                        {o.x_type, syl_dtype_block_bytes(o.x_type), o.x_stride},
                        {o.y_type, quantized ? 1 : syl_dtype_block_bytes(o.y_type), o.y_stride},
                        scales,
                        zeros};
  return Run(__func__, job, {x, y, scales, zeros, first, count, workspace, workspace_bytes, needed, false}, pool,
             workspace);
}

syl_status syl_hadamard_run_transposed(const syl_hadamard* plan, const void* y, void* x, int64_t first, int64_t count,
                                       syl_pool* pool, void* workspace, int64_t workspace_bytes) {
  SYL_REQUIRE_PTR(plan);
  const syl_hadamard_options& o = plan->options;
  const int64_t needed = WorkspaceOf(*plan, Threads(pool));
  const HadamardJob job{plan,
                        true,
                        static_cast<const uint8_t*>(y),
                        static_cast<uint8_t*>(x),
                        {o.y_type, syl_dtype_block_bytes(o.y_type), o.y_stride},
                        {o.x_type, syl_dtype_block_bytes(o.x_type), o.x_stride},
                        nullptr,
                        nullptr};
  return Run(__func__, job, {x, y, nullptr, nullptr, first, count, workspace, workspace_bytes, needed, true}, pool,
             workspace);
}
#endif
