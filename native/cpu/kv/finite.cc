#include "native/cpu/kv/finite.h"

#include <cmath>

#include "native/common/status.h"
#include "native/common/tier.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/kv/finite.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

bool AllFinite(const float* x, int64_t n) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = hn::MaxLanes(d);
  const hn::RebindToSigned<decltype(d)> di;
  // As integers, magnitudes have the order of the floats, infinity and NaN above all.
  auto largest = hn::Zero(di);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) largest = hn::Max(largest, hn::BitCast(di, hn::Abs(hn::LoadU(d, x + i))));
  bool finite = hn::AllTrue(di, hn::Lt(largest, hn::Set(di, 0x7f800000)));
  for (; i < n; ++i) finite &= std::isfinite(x[i]);
  return finite;
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {
constexpr bool (*kAllFinite[kTierCount])(const float*, int64_t) = SYL_TIERS(AllFinite);
}  // namespace

syl_status CheckFinite(const char* function, const char* name, const float* x, int64_t stride, int64_t rows,
                       int64_t cols) {
  for (int64_t r = 0; r < rows; ++r, x += stride) {
    if (kAllFinite[CurrentTier()](x, cols)) continue;
    int64_t c = 0;
    while (std::isfinite(x[c])) ++c;
    return Fail(SYL_BAD_DATA, "%s: %s[%lld][%lld] is %g, must be finite", function, name, static_cast<long long>(r),
                static_cast<long long>(c), x[c]);
  }
  return SYL_OK;
}

}  // namespace sylvester
#endif
