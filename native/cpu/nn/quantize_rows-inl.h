// Rows of x into the steps of the matrix product.
#if defined(SYLVESTER_NATIVE_CPU_NN_QUANTIZE_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_QUANTIZE_ROWS_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_QUANTIZE_ROWS_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_QUANTIZE_ROWS_INL_H_
#endif

#include <algorithm>
#include <limits>

#include "hwy/highway.h"
#include "native/cpu/nn/matmul.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// d = max|x| / kLargestQ, q = x / d rounded half to even. Where d is subnormal the step counts as zero, since x / d
// could leave the range of q; where it is not finite q is 0 and d NaN, so that the whole row becomes NaN.
HWY_INLINE void QuantizeStep(const float* HWY_RESTRICT x, QuantizedStep* HWY_RESTRICT step) {
  const hn::CappedTag<float, 16> df;
  const hn::RebindToSigned<decltype(df)> di;
  const hn::Rebind<int16_t, decltype(df)> di16;
  const size_t lanes = hn::Lanes(df);

  // As integers, so that NaN is the largest of all.
  auto max_bits = hn::Zero(di);
  for (size_t i = 0; i < kBlockStep; i += lanes) {
    max_bits = hn::Max(max_bits, hn::BitCast(di, hn::Abs(hn::LoadU(df, x + i))));
  }
  const float d = hn::GetLane(hn::BitCast(df, hn::MaxOfLanes(di, max_bits))) / float{kLargestQ};
  if (HWY_UNLIKELY(!(d >= std::numeric_limits<float>::min() && d <= std::numeric_limits<float>::max()))) {
    *step = {};
    if (!(d < 1)) step->d = std::numeric_limits<float>::quiet_NaN();
    return;
  }
  const auto divisor = hn::Set(df, d);
  for (size_t i = 0; i < kBlockStep; i += lanes) {
    const auto q = hn::NearestInt(hn::Div(hn::LoadU(df, x + i), divisor));
    hn::StoreU(hn::DemoteTo(di16, q), di16, step->q + i);
  }
  step->d = d;
}

HWY_INLINE int32_t SumOf16(const int16_t* q) {
  const hn::Full128<int16_t> di16;
  const hn::Full128<int32_t> di32;
  const auto one = hn::Set(di16, 1);
  auto odd = hn::Zero(di32);
  auto even = hn::ReorderWidenMulAccumulate(di32, hn::LoadU(di16, q), one, hn::Zero(di32), odd);
  even = hn::ReorderWidenMulAccumulate(di32, hn::LoadU(di16, q + 8), one, even, odd);
  return hn::GetLane(hn::SumOfLanes(di32, hn::Add(even, odd)));
}

// Of k 16 half and up: what a pair's product contains beside the products with codes.
HWY_INLINE uint32_t PairProducts(const int16_t* q, int64_t half) {
  uint32_t sum = 0;
  for (int64_t g = half * kGroups / 2; g < (half + 1) * kGroups / 2; ++g) {
    if (IsPaired(g)) {
      sum += static_cast<uint32_t>(q[4 * g] * q[4 * g + 2]) + static_cast<uint32_t>(q[4 * g + 1] * q[4 * g + 3]);
    }
  }
  return sum;
}

HWY_INLINE void SumStep(int32_t zero, bool halves, bool pairs, QuantizedStep* HWY_RESTRICT step) {
  const int32_t sums[2] = {SumOf16(step->q), SumOf16(step->q + 16)};
  step->sum = static_cast<float>(sums[0] + sums[1]);
  uint32_t starts[2];
  for (int64_t half = 0; half < 2; ++half) {
    starts[half] = static_cast<uint32_t>(-zero * sums[half]) - (pairs ? PairProducts(step->q, half) : 0);
  }
  step->start[0] = static_cast<int32_t>(halves ? starts[0] : starts[0] + starts[1]);
  step->start[1] = static_cast<int32_t>(halves ? starts[1] : 0);
}

// Row r of the product, into its place in the chunk.
HWY_INLINE void QuantizeRow(const MatMul& mm, int64_t r) {
  const BlockFormat format = FormatOf(mm.type);
  const int64_t chunk = r / mm.chunk_rows, rows = mm.RowsOf(chunk);
  const float* x = mm.x + r * mm.x_stride;
  QuantizedStep* steps = mm.ChunkSteps<QuantizedStep>(chunk) + r % mm.chunk_rows;
  for (int64_t s = 0; s < mm.layout.steps; ++s) QuantizeStep(x + s * kBlockStep, steps + s * rows);
  // In a pass of its own: codes just stored in pieces cannot be loaded as one vector without a stall.
  for (int64_t s = 0; s < mm.layout.steps; ++s) {
    SumStep(format.zero, format.scales == Scales::kSuperD16, mm.pairs, steps + s * rows);
  }
}

HWY_INLINE void CopyRow(const MatMul& mm, int64_t r) {
  const int64_t chunk = r / mm.chunk_rows, rows = mm.RowsOf(chunk);
  const float* x = mm.x + r * mm.x_stride;
  PlainStep* step = mm.ChunkSteps<PlainStep>(chunk) + r % mm.chunk_rows;
  for (int64_t i = 0; i < mm.k; i += kPlainStep, step += rows) {
    const int64_t count = std::min(kPlainStep, mm.k - i);
    std::copy_n(x + i, count, step->x);
    std::fill(step->x + count, step->x + kPlainStep, -0.0f);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
