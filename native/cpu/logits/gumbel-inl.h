// Gumbel noise from Philox: G = -log(E), E = -log(1 - v), v uniform with 48 bits.
//
// The counter is (position low, position high, purpose, token / 2), the key the seed; words 0 and 1 belong to the even
// token, 2 and 3 to the odd one. v = (word0 >> 8) 2^-24 + (word1 >> 8) 2^-48: a small v, which makes a large G, keeps
// all of float's precision.
#if defined(SYLVESTER_NATIVE_CPU_LOGITS_GUMBEL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_LOGITS_GUMBEL_INL_H_
#undef SYLVESTER_NATIVE_CPU_LOGITS_GUMBEL_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_LOGITS_GUMBEL_INL_H_
#endif

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "native/common/philox.h"
#include "native/cpu/logits/draw.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Low and high halves of a * b, lane by lane.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void MulWide(D d, V a, V b, V& low, V& high) {
  const hn::Repartition<uint64_t, D> d64;
  const auto even = hn::MulEven(a, b);
  const auto odd = hn::MulEven(hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(d64, a))),
                               hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(d64, b))));
  low = hn::Mul(a, b);
  high = hn::OddEven(hn::BitCast(d, odd), hn::BitCast(d, hn::ShiftRight<32>(even)));
}

// Philox4x32-10 on one counter a lane.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void PhiloxLanes(D d, V (&c)[4], uint64_t seed) {
  auto k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round, k0 += kPhiloxW0, k1 += kPhiloxW1) {
    V low0, high0, low1, high1;
    MulWide(d, hn::Set(d, kPhiloxM0), c[0], low0, high0);
    MulWide(d, hn::Set(d, kPhiloxM1), c[2], low1, high1);
    c[0] = hn::Xor(hn::Xor(high1, c[1]), hn::Set(d, k0));
    c[2] = hn::Xor(hn::Xor(high0, c[3]), hn::Set(d, k1));
    c[1] = low1;
    c[3] = low0;
  }
}

template <class D, class VU = hn::Vec<hn::RebindToUnsigned<D>>>
HWY_INLINE hn::Vec<D> GumbelOfWords(D d, VU word0, VU word1) {
  const hn::RebindToSigned<D> di;
  const auto high = hn::ConvertTo(d, hn::BitCast(di, hn::ShiftRight<8>(word0)));
  const auto low = hn::ConvertTo(d, hn::BitCast(di, hn::ShiftRight<8>(word1)));
  auto v = hn::MulAdd(high, hn::Set(d, 0x1p-24f), hn::Mul(low, hn::Set(d, 0x1p-48f)));
  v = hn::Min(hn::Max(v, hn::Set(d, 0x1p-49f)), hn::Set(d, 1 - 0x1p-24f));
  return hn::Neg(hn::Log(d, hn::Neg(hn::Log1p(d, hn::Neg(v)))));
}

// The noise of one token: the same bits as in the lanes.
HWY_INLINE float GumbelOfToken(const NoiseKey& key, int32_t token) {
  const uint32_t counter[4] = {static_cast<uint32_t>(key.position), static_cast<uint32_t>(key.position >> 32),
                               key.purpose, static_cast<uint32_t>(token) / 2};
  const uint32_t seed[2] = {static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32)};
  uint32_t words[4];
  Philox4x32(counter, seed, words);
  const hn::CappedTag<float, 1> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const uint32_t* own = words + token % 2 * 2;
  return hn::GetLane(GumbelOfWords(d, hn::Set(du, own[0]), hn::Set(du, own[1])));
}

// Best of the candidates; ties go to the smaller id.
void DrawFromCandidates(const NoiseKey& key, const Candidate* candidates, int64_t count, int32_t* token) {
  float best = 0;
  *token = -1;
  for (int64_t i = 0; i < count; ++i) {
    const float value = candidates[i].logit + GumbelOfToken(key, candidates[i].token);
    if (*token < 0 || value > best || (value == best && candidates[i].token < *token)) {
      best = value;
      *token = candidates[i].token;
    }
  }
}

// Best of a whole row.
void DrawFromRow(const NoiseKey& key, const float* logits, int64_t cols, int32_t* token) {
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const int64_t N = hn::MaxLanes(d);
  auto best = hn::Set(d, -std::numeric_limits<float>::infinity());
  auto best_token = hn::Zero(du);
  int64_t first = 0;
  for (; first + 2 * N <= cols; first += 2 * N) {
    hn::Vec<decltype(d)> logit[2];
    hn::LoadInterleaved2(d, logits + first, logit[0], logit[1]);
    hn::Vec<decltype(du)> words[4] = {hn::Set(du, static_cast<uint32_t>(key.position)),
                                      hn::Set(du, static_cast<uint32_t>(key.position >> 32)), hn::Set(du, key.purpose),
                                      hn::Iota(du, static_cast<uint32_t>(first / 2))};
    PhiloxLanes(du, words, key.seed);
    for (int odd = 0; odd < 2; ++odd) {
      const auto value = hn::Add(logit[odd], GumbelOfWords(d, words[2 * odd], words[2 * odd + 1]));
      const auto ids =
          hn::Add(hn::Set(du, static_cast<uint32_t>(first + odd)), hn::Add(hn::Iota(du, 0), hn::Iota(du, 0)));
      const auto better = hn::Gt(value, best);
      best = hn::IfThenElse(better, value, best);
      best_token = hn::IfThenElse(hn::RebindMask(du, better), ids, best_token);
    }
  }
  float values[HWY_LANES(float)];
  uint32_t ids[HWY_LANES(float)];
  hn::StoreU(best, d, values);
  hn::StoreU(best_token, du, ids);
  float best_value = -std::numeric_limits<float>::infinity();
  *token = -1;
  const auto offer = [&](float value, int32_t id) {
    if (value > best_value || (value == best_value && id < *token)) {
      best_value = value;
      *token = id;
    }
  };
  if (first > 0) {
    for (int64_t lane = 0; lane < N; ++lane) offer(values[lane], static_cast<int32_t>(ids[lane]));
  }
  for (int64_t i = first; i < cols; ++i) {
    const auto id = static_cast<int32_t>(i);
    offer(logits[i] + GumbelOfToken(key, id), id);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
