#include "native/cpu/logits/row.h"

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

double RowMass(const float* x, int64_t cols, const Scale& scale) {
  return MassOf<NaNs::kAreSkipped>(x, cols, scale.max, scale.inv_temperature);
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {
constexpr float (*kMax[kTierCount])(const float*, int64_t) = SYL_TIERS(RowMax);
constexpr int64_t (*kFind[kTierCount])(const float*, int64_t, float) = SYL_TIERS(RowFind);
constexpr double (*kMass[kTierCount])(const float*, int64_t, const Scale&) = SYL_TIERS(RowMass);
}  // namespace

float MaxOfRow(const float* logits, int64_t cols) { return kMax[CurrentTier()](logits, cols); }

int64_t FindInRow(const float* logits, int64_t cols, float value) { return kFind[CurrentTier()](logits, cols, value); }

double MassOfRow(const float* logits, int64_t cols, const Scale& scale) {
  return kMass[CurrentTier()](logits, cols, scale);
}

}  // namespace sylvester
#endif
