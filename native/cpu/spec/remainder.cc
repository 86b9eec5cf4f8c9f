#include "native/cpu/spec/remainder.h"

#include <algorithm>

#include "native/common/tier.h"
#include "native/cpu/spec/draft.h"
#include "native/cpu/spec/row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/spec/remainder.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/logits/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

void Exponentials(const float* x, int64_t count, const Scale& scale, float factor, float* p) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> d1;
  const int64_t N = hn::MaxLanes(d);
  const auto max = hn::Set(d, scale.max), inv_temperature = hn::Set(d, scale.inv_temperature);
  const auto factors = hn::Set(d, factor);
  int64_t i = 0;
  for (; i + N <= count; i += N) {
    hn::StoreU(hn::Mul(Probability<NaNs::kAreSkipped>(d, x + i, max, inv_temperature), factors), d, p + i);
  }
  for (; i < count; ++i) {
    p[i] = factor * hn::GetLane(Probability<NaNs::kAreSkipped>(d1, x + i, hn::Set(d1, scale.max),
                                                               hn::Set(d1, scale.inv_temperature)));
  }
}

// p = max(p * p_factor - q * q_factor, 0). No multiply-add: nothing is left where both products are equal.
struct LeftTerm {
  float* p;
  const float* q;
  float p_factor, q_factor;

  template <class D>
  HWY_INLINE hn::Vec<D> operator()(D d, int64_t i) const {
    const auto difference =
        hn::Sub(hn::Mul(hn::LoadU(d, p + i), hn::Set(d, p_factor)), hn::Mul(hn::LoadU(d, q + i), hn::Set(d, q_factor)));
    const auto left = hn::IfThenElseZero(hn::Gt(difference, hn::Zero(d)), difference);
    hn::StoreU(left, d, p + i);
    return left;
  }
};

double Subtract(float* p, const float* q, int64_t count, float p_factor, float q_factor) {
  return SumOfTerms(count, LeftTerm{p, q, p_factor, q_factor});
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {

constexpr void (*kExponentials[kTierCount])(const float*, int64_t, const Scale&, float,
                                            float*) = SYL_TIERS(Exponentials);
constexpr double (*kSubtract[kTierCount])(float*, const float*, int64_t, float, float) = SYL_TIERS(Subtract);

}  // namespace

void Probabilities(const float* logits, int64_t count, const Scale& scale, float factor, float* p) {
  kExponentials[CurrentTier()](logits, count, scale, factor, p);
}

int64_t Remainder::Size(int64_t chunk) const {
  return std::min(kSpecResidualChunk, target.prepared.cols - chunk * kSpecResidualChunk);
}

double Remainder::Chunk(int64_t chunk, float* p) const {
  const int64_t first = chunk * kSpecResidualChunk, size = Size(chunk);
  float q[kSpecResidualChunk] = {};
  const auto zero = [&](float* values, int32_t token) {
    if (token >= first && token < first + size) values[token - first] = 0;
  };
  target.Chunk(first, size, p);
  const SpecStep* const steps = rejections.steps;
  if (rejections.siblings == SpecSiblings::kOneHot) {
    for (int32_t i = 0; i < rejections.count; ++i) zero(p, steps[i].token);
    return kSubtract[CurrentTier()](p, q, size, static_cast<float>(steps[0].p_factor), 0);
  }
  draft.Chunk(first, size, q);
  double sum = 0;
  for (int32_t i = 0; i < rejections.count; ++i) {
    sum = kSubtract[CurrentTier()](p, q, size, static_cast<float>(steps[i].p_factor),
                                   static_cast<float>(steps[i].q_factor));
    if (rejections.siblings == SpecSiblings::kWithoutReplacement) zero(q, steps[i].token);
  }
  return sum;
}

double Remainder::Sum(double* sums) const {
  float p[kSpecResidualChunk];
  const int64_t chunks = Chunks(target.prepared.cols);
  double sum = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    sums[chunk] = Chunk(chunk, p);
    sum += sums[chunk];
  }
  return sum;
}

int32_t Remainder::Choose(const double* sums, double sum, double u) const {
  float p[kSpecResidualChunk];
  const SpecChunkChoice choice = SpecChooseChunk(sums, Chunks(target.prepared.cols), u * sum);
  Chunk(choice.chunk, p);
  return static_cast<int32_t>(choice.chunk * kSpecResidualChunk +
                              SpecChooseToken(p, Size(choice.chunk), choice.before, u * sum));
}

}  // namespace sylvester
#endif
