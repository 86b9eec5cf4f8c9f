#include "native/cpu/logits/row.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "native/common/spec_rules.h"
#include "native/common/tier.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/logits/row.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/logits/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

float RowMax(const float* x, int64_t cols) { return MaxOf(x, cols); }

int64_t RowFind(const float* x, int64_t cols, float value) { return FirstEqual(x, cols, value); }

int64_t RowArgmax(const float* x, int64_t cols, float* max) {
  int64_t best = 0;
  *max = -std::numeric_limits<float>::infinity();
  for (int64_t first = 0; first < cols; first += kRowChunk) {
    const float chunk_max = MaxOf(x + first, std::min(kRowChunk, cols - first));
    if (chunk_max > *max) {
      *max = chunk_max;
      best = first;
    }
  }
  return best + FirstEqual(x + best, cols - best, *max);
}

double RowMass(const float* x, int64_t cols, const Scale& scale) {
  double mass = 0;
  for (int64_t first = 0; first < cols; first += kRowChunk) {
    mass += MassOf<NaNs::kAreSkipped>(x + first, std::min(kRowChunk, cols - first), scale.max, scale.inv_temperature);
  }
  return mass;
}

void RowTotalsOf(const float* x, int64_t cols, float inv_temperature, SpecMass* mass) {
  static_assert(kRowChunk == kSpecMassChunk, "the chunks of the rules");
  for (int64_t first = 0; first < cols; first += kRowChunk) {
    const int64_t size = std::min(kRowChunk, cols - first);
    const float max = MaxOf(x + first, size);
    if (!std::isfinite(max)) {
      if (max > 0) mass->max = max;  // and no chunk is larger
      continue;
    }
    mass->Add(max, MassOf<NaNs::kAreSkipped>(x + first, size, max, inv_temperature), inv_temperature);
  }
}

struct Values {
  const float* x;

  template <class D>
  HWY_INLINE hn::Vec<D> operator()(D d, int64_t i) const {
    return hn::LoadU(d, x + i);
  }
};

float Least(const float* x, int64_t cols) {
  const hn::ScalableTag<float> d;
  const int64_t N = hn::MaxLanes(d);
  auto least = hn::Set(d, std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + N <= cols; i += N) {
    const auto value = hn::LoadU(d, x + i);
    least = hn::IfThenElse(hn::Lt(value, least), value, least);
  }
  float result = hn::GetLane(hn::MinOfLanes(d, least));
  for (; i < cols; ++i) result = std::min(result, x[i]);
  return result;
}

RowSum RowSumOf(const float* x, int64_t cols) {
  RowSum result{std::numeric_limits<float>::infinity(), 0};
  for (int64_t first = 0; first < cols; first += kRowChunk) {
    const int64_t size = std::min(kRowChunk, cols - first);
    result.sum += SumOfTerms(size, Values{x + first});
    result.least = std::min(result.least, Least(x + first, size));
  }
  return result;
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {
constexpr float (*kMax[kTierCount])(const float*, int64_t) = SYL_TIERS(RowMax);
constexpr int64_t (*kFind[kTierCount])(const float*, int64_t, float) = SYL_TIERS(RowFind);
constexpr int64_t (*kArgmax[kTierCount])(const float*, int64_t, float*) = SYL_TIERS(RowArgmax);
constexpr double (*kMass[kTierCount])(const float*, int64_t, const Scale&) = SYL_TIERS(RowMass);
constexpr void (*kTotals[kTierCount])(const float*, int64_t, float, SpecMass*) = SYL_TIERS(RowTotalsOf);
constexpr RowSum (*kSum[kTierCount])(const float*, int64_t) = SYL_TIERS(RowSumOf);
}  // namespace

float MaxOfRow(const float* logits, int64_t cols) { return kMax[CurrentTier()](logits, cols); }

int64_t FindInRow(const float* logits, int64_t cols, float value) { return kFind[CurrentTier()](logits, cols, value); }

int64_t ArgmaxOfRow(const float* logits, int64_t cols, float* max) { return kArgmax[CurrentTier()](logits, cols, max); }

double MassOfRow(const float* logits, int64_t cols, const Scale& scale) {
  return kMass[CurrentTier()](logits, cols, scale);
}

RowTotals TotalsOfRow(const float* logits, int64_t cols, float inv_temperature) {
  SpecMass mass;
  kTotals[CurrentTier()](logits, cols, inv_temperature, &mass);
  return {mass.max, mass.sum};
}

RowSum SumOfRow(const float* x, int64_t cols) { return kSum[CurrentTier()](x, cols); }

}  // namespace sylvester
#endif
