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

// d = max|x| / 32512, q = x / d rounded half to even. Where d is subnormal the step counts as zero, since x / d could
// leave the range of q; where it is not finite q is 0 and d NaN, so that the whole row becomes NaN.
HWY_INLINE void QuantizeStep(const float* HWY_RESTRICT x, QuantizedStep* HWY_RESTRICT step) {
  const hn::CappedTag<float, 16> df;
  const hn::RebindToSigned<decltype(df)> di;
  const hn::Rebind<int8_t, decltype(df)> di8;
  const size_t lanes = hn::Lanes(df);

  // As integers, so that NaN is the largest of all.
  auto max_bits = hn::Zero(di);
  for (size_t i = 0; i < kBlockStep; i += lanes) {
    max_bits = hn::Max(max_bits, hn::BitCast(di, hn::Abs(hn::LoadU(df, x + i))));
  }
  const float d = hn::GetLane(hn::BitCast(df, hn::MaxOfLanes(di, max_bits))) / static_cast<float>(kLargestActivation);
  if (HWY_UNLIKELY(!(d >= std::numeric_limits<float>::min() && d <= std::numeric_limits<float>::max()))) {
    *step = {};
    if (!(d < 1)) step->d = std::numeric_limits<float>::quiet_NaN();
    return;
  }
  const auto divisor = hn::Set(df, d), unit = hn::Set(df, static_cast<float>(kHighUnit));
  for (size_t i = 0; i < kBlockStep; i += lanes) {
    const auto q = hn::Round(hn::Div(hn::LoadU(df, x + i), divisor));
    const auto high = hn::Round(hn::Div(q, unit));  // never half way: the unit is odd
    hn::StoreU(hn::DemoteTo(di8, hn::ConvertTo(di, high)), di8, step->high + i);
    hn::StoreU(hn::DemoteTo(di8, hn::ConvertTo(di, hn::NegMulAdd(high, unit, q))), di8, step->low + i);
  }
  step->d = d;
}

HWY_INLINE int32_t SumOf16(const int8_t* q) {
  const hn::Full128<uint8_t> du8;
  const auto shifted = hn::Xor(hn::LoadU(du8, reinterpret_cast<const uint8_t*>(q)), hn::Set(du8, 128));
  const auto sums = hn::SumsOf8(shifted);
  return static_cast<int32_t>(hn::GetLane(sums) + hn::ExtractLane(sums, 1)) - 16 * 128;
}

HWY_INLINE void SumStep(int32_t zero, bool halves, QuantizedStep* HWY_RESTRICT step) {
  const int32_t first = kHighUnit * SumOf16(step->high) + SumOf16(step->low);
  const int32_t second = kHighUnit * SumOf16(step->high + 16) + SumOf16(step->low + 16);
  step->sum = static_cast<float>(first + second);
  step->start[0] = -zero * (halves ? first : first + second);
  step->start[1] = -zero * second;
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
    SumStep(format.zero, format.scales == Scales::kSuperD16, steps + s * rows);
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
