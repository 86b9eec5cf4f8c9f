#include <algorithm>

#include "native/common/tier.h"
#include "native/cpu/kv/attend.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/kv/queries.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/nn/tree_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// One query to integers: [digits][head_dim].
void RoundQuery(const KvCall& call, const float* q, int8_t* integers, float* factor, float* group_sums) {
  const DVirtual d;
  const hn::RebindToSigned<DVirtual> di;
  const hn::Rebind<int8_t, DVirtual> d8;
  const int64_t head_dim = call.view.shape.head_dim, group = call.Plan().options.group_keys;
  const int digits = QueryDigits(call.Layer().keys.bits);
  auto maxima = hn::Zero(d);
  for (int64_t c = 0; c < head_dim; c += kRealLanes) maxima = hn::Max(maxima, hn::Abs(hn::LoadU(d, q + c)));
  const float max = hn::GetLane(hn::MaxOfLanes(d, maxima)), most = static_cast<float>(kQueryMax[digits - 1]);
  float inverse = most / max;
  *factor = max / most * call.view.shape.scale;
  if (!(inverse <= 0x1p126f)) inverse = *factor = 0;  // as good as 0
  for (int64_t g = 0; g * group < head_dim; ++g) {
    auto sums = hn::Zero(di);
    for (int64_t c = g * group; c < std::min((g + 1) * group, head_dim); c += kRealLanes) {
      const auto rounded = hn::NearestInt(hn::Mul(hn::LoadU(d, q + c), hn::Set(d, inverse)));
      sums = hn::Add(sums, rounded);
      if (digits == 1) {
        hn::StoreU(hn::DemoteTo(d8, rounded), d8, integers + c);
      } else {
        // A lower digit of -64 .. 63.
        const auto upper = hn::ShiftRight<7>(hn::Add(rounded, hn::Set(di, 64)));
        hn::StoreU(hn::DemoteTo(d8, upper), d8, integers + c);
        hn::StoreU(hn::DemoteTo(d8, hn::Sub(rounded, hn::ShiftLeft<7>(upper))), d8, integers + head_dim + c);
      }
    }
    group_sums[g] = static_cast<float>(hn::GetLane(hn::SumOfLanes(di, sums))) * call.key_grid.zero_unit;
  }
}

void PrepareQueries(const KvCall& call, int64_t row) {
  const DVirtual d;
  const syl_attention& shape = call.view.shape;
  const int64_t groups = call.Layer().keys.groups / shape.kv_heads;
  const int64_t bytes = QueryDigits(call.Layer().keys.bits) * shape.head_dim;
  for (int64_t i = row * shape.q_heads; i < (row + 1) * shape.q_heads; ++i) {
    float* q = call.queries.floats + i * shape.head_dim;
    if (!call.Plan().PreRope()) {
      RoundQuery(call, q, call.queries.integers + i * bytes, call.queries.factors + i,
                 call.queries.group_sums + i * groups);
    }
    for (int64_t c = 0; c < shape.head_dim; c += kRealLanes) {
      hn::StoreU(hn::Mul(hn::LoadU(d, q + c), hn::Set(d, shape.scale)), d, q + c);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {
constexpr void (*kPrepareQueries[kTierCount])(const KvCall&, int64_t) = SYL_TIERS(PrepareQueries);
}  // namespace

void KvPrepareQueries(const KvCall& call, int64_t row) { kPrepareQueries[CurrentTier()](call, row); }

}  // namespace sylvester
#endif
