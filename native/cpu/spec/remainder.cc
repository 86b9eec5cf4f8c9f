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

template <class D>
HWY_INLINE hn::Vec<D> ProbabilityOf(D d, const ProbabilityRow& row, int64_t i) {
  const auto e = Probability<NaNs::kAreSkipped>(d, row.logits + i, hn::Set(d, row.scale.max),
                                                hn::Set(d, row.scale.inv_temperature));
  return hn::Mul(e, hn::Set(d, row.factor));
}

void Exponentials(ProbabilityRow row, int64_t count, float* p) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> d1;
  const int64_t N = hn::MaxLanes(d);
  int64_t i = 0;
  for (; i + N <= count; i += N) hn::StoreU(ProbabilityOf(d, row, i), d, p + i);
  for (; i < count; ++i) p[i] = hn::GetLane(ProbabilityOf(d1, row, i));
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

// The same of two rows of logits, without p and q in between, and without a factor of q.
struct LeftOfLogitsTerm {
  ProbabilityRow p_row, q_row;  // copies, which no store can change
  float p_factor;
  float* left;

  template <class D>
  HWY_INLINE hn::Vec<D> operator()(D d, int64_t i) const {
    // Two rows at once are more than the processor fetches ahead by itself.
    hwy::Prefetch(p_row.logits + i + kRowChunk);
    hwy::Prefetch(q_row.logits + i + kRowChunk);
    const auto difference =
        hn::Sub(hn::Mul(ProbabilityOf(d, p_row, i), hn::Set(d, p_factor)), ProbabilityOf(d, q_row, i));
    const auto result = hn::IfThenElseZero(hn::Gt(difference, hn::Zero(d)), difference);
    hn::StoreU(result, d, left + i);
    return result;
  }
};

double SubtractLogits(const ProbabilityRow& p, const ProbabilityRow& q, int64_t count, float p_factor, float* left) {
  return SumOfTerms(count, LeftOfLogitsTerm{p, q, p_factor, left});
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {

constexpr void (*kExponentials[kTierCount])(ProbabilityRow, int64_t, float*) = SYL_TIERS(Exponentials);
constexpr double (*kSubtract[kTierCount])(float*, const float*, int64_t, float, float) = SYL_TIERS(Subtract);
constexpr double (*kSubtractLogits[kTierCount])(const ProbabilityRow&, const ProbabilityRow&, int64_t, float,
                                                float*) = SYL_TIERS(SubtractLogits);

}  // namespace

void Probabilities(const ProbabilityRow& row, int64_t count, float* p) { kExponentials[CurrentTier()](row, count, p); }

int64_t Remainder::Size(int64_t chunk) const {
  return std::min(kSpecResidualChunk, target.prepared.cols - chunk * kSpecResidualChunk);
}

double Remainder::Chunk(int64_t chunk, float* p) const {
  const int64_t first = chunk * kSpecResidualChunk, size = Size(chunk);
  const SpecStep* const steps = rejections.steps;
  // The first step's factor of q is 1.
  if (const LoadedRow* const logits = draft.DenseLogits(); logits != nullptr && rejections.count == 1) {
    return kSubtractLogits[CurrentTier()](target.From(first), logits->From(first), size,
                                          static_cast<float>(steps[0].p_factor), p);
  }
  float q[kSpecResidualChunk] = {};
  const auto zero = [&](float* values, int32_t token) {
    if (token >= first && token < first + size) values[token - first] = 0;
  };
  target.Chunk(first, size, p);
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
