#include "native/cpu/nn/adamw.h"

#include <sylvester/nn.h>

#include <algorithm>
#include <cmath>

#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/common/tier.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/nn/adamw.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_INLINE void AdamWAt(D d, const AdamWStep& step, const AdamWState& state, int64_t i) {
  const auto g = hn::Mul(hn::Set(d, step.gradient_scale), hn::LoadU(d, state.gradient + i));
  const auto mean =
      hn::MulAdd(hn::Set(d, step.one_minus_beta1), g, hn::Mul(hn::Set(d, step.beta1), hn::LoadU(d, state.mean + i)));
  const auto square = hn::MulAdd(hn::Mul(hn::Set(d, step.one_minus_beta2), g), g,
                                 hn::Mul(hn::Set(d, step.beta2), hn::LoadU(d, state.square + i)));
  const auto root = hn::MulAdd(hn::Sqrt(square), hn::Set(d, step.root_scale), hn::Set(d, step.epsilon));
  const auto kept = hn::Mul(hn::LoadU(d, state.parameters + i), hn::Set(d, step.decay));
  hn::StoreU(mean, d, state.mean + i);
  hn::StoreU(square, d, state.square + i);
  hn::StoreU(hn::NegMulAdd(hn::Set(d, step.rate), hn::Div(mean, root), kept), d, state.parameters + i);
}

void AdamWRange(const AdamWStep& step, const AdamWState& state, int64_t begin, int64_t end) {
  const hn::ScalableTag<float> d;
  const int64_t N = hn::MaxLanes(d);
  int64_t i = begin;
  for (; i + N <= end; i += N) AdamWAt(d, step, state, i);
  for (; i < end; ++i) AdamWAt(hn::CappedTag<float, 1>(), step, state, i);
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {

constexpr void (*kAdamWRange[kTierCount])(const AdamWStep&, const AdamWState&, int64_t,
                                          int64_t) = SYL_TIERS(AdamWRange);
constexpr int64_t kElementsPerTask = 16384;

syl_status CheckOptions(const char* function, const syl_adamw& o) {
  const struct {
    const char* name;
    float value;
    bool good;
    const char* must;
  } fields[] = {
      {"learning_rate", o.learning_rate, o.learning_rate >= 0, "finite and not negative"},
      {"beta1", o.beta1, o.beta1 >= 0 && o.beta1 < 1, "at least 0 and less than 1"},
      {"beta2", o.beta2, o.beta2 >= 0 && o.beta2 < 1, "at least 0 and less than 1"},
      {"epsilon", o.epsilon, o.epsilon > 0, "finite and more than 0"},
      {"weight_decay", o.weight_decay, o.weight_decay >= 0, "finite and not negative"},
      {"gradient_scale", o.gradient_scale, true, "finite"},
  };
  for (const auto& field : fields) {
    if (!field.good || !std::isfinite(field.value)) {
      return Fail(SYL_BAD_VALUE, "%s: options->%s is %g, must be %s", function, field.name, field.value, field.must);
    }
  }
  return SYL_OK;
}

AdamWStep StepOf(const syl_adamw& o) {
  const double beta1 = o.beta1, beta2 = o.beta2, rate = o.learning_rate;
  const auto step = static_cast<double>(o.step);
  return {o.gradient_scale,
          o.beta1,
          static_cast<float>(1 - beta1),
          o.beta2,
          static_cast<float>(1 - beta2),
          static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, step))),
          o.epsilon,
          static_cast<float>(rate / (1 - std::pow(beta1, step))),
          static_cast<float>(1 - rate * o.weight_decay)};
}

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_nn_adamw_f32(const syl_adamw* options, const float* gradient, int64_t n, float* parameters, float* mean,
                            float* square, syl_pool* pool) {
  SYL_REQUIRE_STRUCT(options);
  const syl_status status = CheckOptions(__func__, *options);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_RANGE(options->step, 1, INT64_MAX);
  SYL_REQUIRE_RANGE(n, 0, INT64_MAX / 4);
  SYL_REQUIRE_PTR(gradient);
  SYL_REQUIRE_PTR(parameters);
  SYL_REQUIRE_PTR(mean);
  SYL_REQUIRE_PTR(square);
  const struct {
    const char* name;
    const float* data;
  } arrays[] = {{"gradient", gradient}, {"parameters", parameters}, {"mean", mean}, {"square", square}};
  for (const auto& a : arrays) {
    for (const auto* b = arrays; b != &a; ++b) {
      SYL_REQUIRE(!Overlaps(a.data, n * 4, b->data, n * 4), SYL_OVERLAP, "%s overlaps %s", a.name, b->name);
    }
  }
  const AdamWStep step = StepOf(*options);
  const AdamWState state{gradient, parameters, mean, square};
  ParallelFor(pool, (n + kElementsPerTask - 1) / kElementsPerTask, [&](int64_t task, int32_t) {
    const int64_t begin = task * kElementsPerTask;
    kAdamWRange[CurrentTier()](step, state, begin, std::min(begin + kElementsPerTask, n));
  });
  return SYL_OK;
}
#endif
