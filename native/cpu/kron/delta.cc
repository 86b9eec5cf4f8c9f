#include "native/cpu/kron/delta.h"

#include <sylvester/kron.h>

#include <cmath>

#include "native/common/kron_plan.h"
#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/common/tier.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/kron/delta.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/half-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

// Elements of W at w: scale sum_k u[k u_step] v[k v_step + j], added to what is there.
template <class D, typename TFactor, typename TWeight>
HWY_INLINE void DeltaAt(D d, const KronDelta& a, const TFactor* u, const TFactor* v, TWeight* w) {
  const hn::Rebind<float, D> df;
  const hn::CappedTag<float, 1> d1;
  auto sum = hn::Zero(d);
  for (int64_t k = 0; k < a.shape.terms; ++k) {
    const double factor = static_cast<double>(hn::GetLane(LoadFloats(d1, u + k * a.shape.m * a.shape.n)));
    sum = hn::MulAdd(hn::Set(d, factor), hn::PromoteTo(d, LoadFloats(df, v + k * a.shape.p * a.shape.q)), sum);
  }
  sum = hn::Mul(hn::Set(d, a.scale), sum);
  if (a.accumulate) sum = hn::Add(sum, hn::PromoteTo(d, LoadFloats(df, w)));
  StoreFloats(hn::DemoteTo(df, sum), df, w);
}

template <typename TFactor, typename TWeight>
void DeltaRow(const KronDelta& a, int64_t row) {
  const hn::ScalableTag<double> d;
  constexpr int64_t kLanes = HWY_LANES(double);
  const KronShape& s = a.shape;
  const auto* u = static_cast<const TFactor*>(a.u) + row / s.p * s.n;
  const auto* v = static_cast<const TFactor*>(a.v) + row % s.p * s.q;
  auto* w = static_cast<TWeight*>(a.w) + row * a.stride;
  for (int64_t j1 = 0; j1 < s.n; ++j1, ++u, w += s.q) {
    int64_t j = 0;
    for (; j + kLanes <= s.q; j += kLanes) DeltaAt(d, a, u, v + j, w + j);
    for (; j < s.q; ++j) DeltaAt(hn::CappedTag<double, 1>(), a, u, v + j, w + j);
  }
}

template <typename TFactor>
HWY_INLINE void DeltaRowOf(const KronDelta& a, int64_t row) {
  switch (a.type) {
    case SYL_F16: return DeltaRow<TFactor, hwy::float16_t>(a, row);
    case SYL_BF16: return DeltaRow<TFactor, hwy::bfloat16_t>(a, row);
    default: return DeltaRow<TFactor, float>(a, row);
  }
}

void RunDeltaRow(const KronDelta& a, int64_t row) {
  switch (a.factor_type) {
    case SYL_F16: return DeltaRowOf<hwy::float16_t>(a, row);
    case SYL_BF16: return DeltaRowOf<hwy::bfloat16_t>(a, row);
    default: return DeltaRowOf<float>(a, row);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {
constexpr void (*kDeltaRow[kTierCount])(const KronDelta&, int64_t) = SYL_TIERS(RunDeltaRow);
constexpr int64_t kRowsPerTask = 16;
}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_kron_delta(const syl_kron* kron, double scale, uint32_t flags, syl_dtype type, void* w, int64_t w_stride,
                          syl_pool* pool) {
  int64_t bytes;
  if (const syl_status bad = CheckKronDelta(__func__, kron, scale, flags, type, w, w_stride, &bytes)) return bad;
  const KronShape s = ShapeOf(*kron);
  const int64_t element = syl_dtype_block_bytes(kron->type);
  SYL_REQUIRE(!Overlaps(w, bytes, kron->u, s.terms * s.m * s.n * element), SYL_OVERLAP, "w (%p) overlaps kron->u", w);
  SYL_REQUIRE(!Overlaps(w, bytes, kron->v, s.terms * s.p * s.q * element), SYL_OVERLAP, "w (%p) overlaps kron->v", w);
  const KronDelta delta{s, kron->type, kron->u, kron->v, scale, (flags & SYL_KRON_ACCUMULATE) != 0, type, w, w_stride};
  const auto run = kDeltaRow[CurrentTier()];
  ParallelFor(pool, (s.Out() + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task, int32_t) {
    const int64_t end = std::min(s.Out(), (task + 1) * kRowsPerTask);
    for (int64_t row = task * kRowsPerTask; row < end; ++row) run(delta, row);
  });
  return SYL_OK;
}
#endif
