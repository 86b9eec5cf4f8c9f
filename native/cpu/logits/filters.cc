#include "native/cpu/logits/filters.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "native/common/half.h"
#include "native/common/sampler.h"
#include "native/common/tier.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/logits/filters.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/logits/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

// The largest of every `size` logits (in an order of no importance), and what is left over at the end, one by one.
int64_t GroupMaxima(const float* x, int64_t cols, int64_t size, float* maxima) {
  const hn::CappedTag<float, kListPadding> d;
  const int64_t N = hn::MaxLanes(d);
  const auto lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  int64_t count = 0, i = 0;
  for (; i + size * N <= cols; i += size * N, count += N) {
    auto max = lowest;
    for (int64_t j = 0; j < size; ++j) max = Larger(d, max, hn::LoadU(d, x + i + j * N));
    hn::StoreU(max, d, maxima + count);
  }
  for (; i < cols; ++i) maxima[count++] = std::isnan(x[i]) ? -std::numeric_limits<float>::infinity() : x[i];
  return count;
}

// Tokens with z >= threshold, in the order of ids. z and ids: room for kListPadding more.
int64_t AtLeast(const float* x, int64_t cols, const Scale& scale, float threshold, float* z, int32_t* ids) {
  const hn::CappedTag<float, kListPadding> d;
  const hn::RebindToSigned<decltype(d)> di;
  const int64_t N = hn::MaxLanes(d);
  const auto max = hn::Set(d, scale.max), factor = hn::Set(d, scale.inv_temperature), least = hn::Set(d, threshold);
  int64_t count = 0, i = 0;
  for (; i + N <= cols; i += N) {
    const auto value = hn::Mul(hn::Sub(hn::LoadU(d, x + i), max), factor);
    const auto mask = hn::Ge(value, least);
    if (hn::AllFalse(d, mask)) continue;
    // Not CompressStore, which is microcode on some processors.
    hn::StoreU(hn::Compress(value, mask), d, z + count);
    hn::StoreU(hn::Compress(hn::Iota(di, static_cast<int32_t>(i)), hn::RebindMask(di, mask)), di, ids + count);
    count += static_cast<int64_t>(hn::CountTrue(d, mask));
  }
  for (; i < cols; ++i) {
    z[count] = (x[i] - scale.max) * scale.inv_temperature;
    ids[count] = static_cast<int32_t>(i);
    count += z[count] >= threshold;
  }
  return count;
}

// z to exp(z).
void Exponentials(float* z, int64_t count) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> d1;
  const int64_t N = hn::MaxLanes(d);
  int64_t i = 0;
  for (; i + N <= count; i += N) hn::StoreU(ExpNonPositiveF32(d, hn::LoadU(d, z + i)), d, z + i);
  for (; i < count; ++i) hn::StoreU(ExpNonPositiveF32(d1, hn::LoadU(d1, z + i)), d1, z + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {

constexpr int64_t (*kGroupMaxima[kTierCount])(const float*, int64_t, int64_t, float*) = SYL_TIERS(GroupMaxima);
constexpr int64_t (*kAtLeast[kTierCount])(const float*, int64_t, const Scale&, float, float*,
                                          int32_t*) = SYL_TIERS(AtLeast);
constexpr void (*kExponentials[kTierCount])(float*, int64_t) = SYL_TIERS(Exponentials);

constexpr Scale kAsTheyAre{0, 1};

// A number that is larger for a larger value and, among equals, for a smaller id. No NaN.
uint64_t KeyOf(float value, int32_t id) {
  return static_cast<uint64_t>(OrderedBits(value)) << 32 | ~static_cast<uint32_t>(id);
}

float ValueOf(uint64_t key) { return FromOrderedBits(static_cast<uint32_t>(key >> 32)); }

int32_t IdOf(uint64_t key) { return static_cast<int32_t>(~static_cast<uint32_t>(key)); }

// The most probable `kept` of count tokens to the front, in any order.
void KeepMostProbable(float* z, int32_t* ids, int64_t count, int64_t kept, uint64_t* keys) {
  for (int64_t i = 0; i < count; ++i) keys[i] = KeyOf(z[i], ids[i]);
  std::nth_element(keys, keys + kept, keys + count, std::greater<>());
  for (int64_t i = 0; i < kept; ++i) {
    z[i] = ValueOf(keys[i]);
    ids[i] = IdOf(keys[i]);
  }
}

// The k-th largest of the maxima of groups is a bound that k logits reach, and with many more groups than k hardly
// more do.
void TopK(const float* logits, int64_t cols, int64_t k, TokenList* list) {
  constexpr int64_t kGroupsPerToken = 8, kLeastGroups = 256;
  auto* maxima = reinterpret_cast<float*>(list->keys);
  const int64_t size = std::max<int64_t>(1, cols / std::max(kLeastGroups, k * kGroupsPerToken));
  const int64_t groups = kGroupMaxima[CurrentTier()](logits, cols, size, maxima);
  std::nth_element(maxima, maxima + k - 1, maxima + groups, std::greater<>());
  list->count = kAtLeast[CurrentTier()](logits, cols, kAsTheyAre, maxima[k - 1], list->z, list->ids);
  if (list->count <= k) return;  // fewer where logits are NaN
  KeepMostProbable(list->z, list->ids, list->count, k, list->keys);
  list->count = k;
}

// Buckets of -z from 2^-11 to 32; what is beyond falls into the outer ones.
constexpr uint32_t kBucketsPerOctave = 64, kBuckets = 16 * kBucketsPerOctave;
constexpr uint32_t kFirstBucket = (127 - 11) * kBucketsPerOctave;

uint32_t BucketOf(float z) {
  const uint32_t bucket = (BitsOf(z) & 0x7fffffff) / ((1u << 23) / kBucketsPerOctave);
  return std::min(std::max(bucket, kFirstBucket) - kFirstBucket, kBuckets - 1);
}

// exp(z) of a list, where its keys will be.
const float* ExponentialsOf(TokenList* list) {
  auto* const e = reinterpret_cast<float*>(list->keys);
  std::copy(list->z, list->z + list->count, e);
  kExponentials[CurrentTier()](e, list->count);
  return e;
}

// Keeps the most probable tokens of the list that together have `need` units. Sorting all would cost more than the rest
// of the sampler: a histogram of the units tells the bucket in which they are reached, and only that one is sorted.
// False, and nothing is changed, where the list has fewer; `all` tokens are then enough. e: what ExponentialsOf gave.
bool KeepMass(TokenList* list, const float* e, uint64_t need, int32_t bits, bool all) {
  uint64_t units[kBuckets] = {}, sum = 0;
  for (int64_t i = 0; i < list->count; ++i) units[BucketOf(list->z[i])] += TopPUnits(e[i], bits);
  for (const uint64_t in_bucket : units) sum += in_bucket;
  if (sum < need && !all) return false;
  need = std::min(need, sum);
  uint32_t last = 0;
  while (last < kBuckets - 1 && need > units[last]) need -= units[last++];

  int64_t kept = 0, count = 0;  // before the last bucket, in it
  for (int64_t i = 0; i < list->count; ++i) {
    const uint32_t bucket = BucketOf(list->z[i]);
    const float z = list->z[i];
    const int32_t id = list->ids[i];
    if (bucket == last) list->keys[count++] = KeyOf(z, id);
    list->z[kept] = z;
    list->ids[kept] = id;
    kept += bucket < last;
  }
  std::sort(list->keys, list->keys + count, std::greater<>());
  float* const exponentials = list->z + kept;
  for (int64_t i = 0; i < count; ++i) exponentials[i] = ValueOf(list->keys[i]);
  kExponentials[CurrentTier()](exponentials, count);
  int64_t needed = 0;
  while (needed < count && need > 0) need -= std::min(need, TopPUnits(exponentials[needed++], bits));
  for (int64_t i = 0; i < needed; ++i) {
    list->z[kept + i] = ValueOf(list->keys[i]);
    list->ids[kept + i] = IdOf(list->keys[i]);
  }
  list->count = kept + needed;
  return true;
}

// Sorting a whole row would cost more than the rest of the sampler: tokens near the maximum are taken, more of them
// until their mass is enough.
void TopPOfRow(const float* logits, int64_t cols, const Scale& scale, float top_p, TokenList* list) {
  constexpr float kWidest = 88;  // beyond, exp(z) is 0
  const int32_t bits = TopPBits(cols);
  const double mass = MassOfRow(logits, cols, scale);
  const uint64_t need = TopPNeed(top_p, mass, bits);
  for (float width = 4;; width *= 1.5f) {
    const bool all = width >= kWidest;
    list->count = kAtLeast[CurrentTier()](logits, cols, scale, -width, list->z, list->ids);
    if (!all && MassOfRow(list->z, list->count, kAsTheyAre) < top_p * mass) continue;
    if (KeepMass(list, ExponentialsOf(list), need, bits, all)) return;
  }
}

// The same of a list.
void TopPOfList(int64_t cols, float top_p, TokenList* list) {
  const float* const e = ExponentialsOf(list);
  const int32_t bits = TopPBits(cols);
  uint64_t sum = 0;
  for (int64_t i = 0; i < list->count; ++i) sum += TopPUnits(e[i], bits);
  KeepMass(list, e, TopPNeed(top_p, TopPMass(sum, bits), bits), bits, true);
}

}  // namespace

void ApplyPenalties(const syl_sampler& sampler, const int32_t* history, int64_t history_count, int32_t* counts,
                    float* logits) {
  for (int64_t i = 0; i < history_count; ++i) counts[history[i]] = 0;
  for (int64_t i = 0; i < history_count; ++i) ++counts[history[i]];
  for (int64_t i = 0; i < history_count; ++i) {
    int32_t& count = counts[history[i]];
    if (count == 0) continue;  // done
    float& logit = logits[history[i]];
    logit = logit > 0 ? logit / sampler.repetition_penalty : logit * sampler.repetition_penalty;
    logit -= sampler.presence_penalty + static_cast<float>(count) * sampler.frequency_penalty;
    count = 0;
  }
}

void SelectTokens(const syl_sampler& sampler, const float* logits, int64_t cols, const Scale& scale, TokenList* list) {
  const float least = LeastZ(sampler);
  if (sampler.top_k > 0 && sampler.top_k < cols) {
    TopK(logits, cols, sampler.top_k, list);
    for (int64_t i = 0; i < list->count; ++i) list->z[i] = (list->z[i] - scale.max) * scale.inv_temperature;
    if (sampler.top_p < 1) TopPOfList(cols, sampler.top_p, list);
  } else if (sampler.top_p < 1) {
    TopPOfRow(logits, cols, scale, sampler.top_p, list);
  } else {
    list->count = kAtLeast[CurrentTier()](logits, cols, scale, least, list->z, list->ids);
    return;
  }
  int64_t kept = 0;
  for (int64_t i = 0; i < list->count; ++i) {
    if (!(list->z[i] >= least)) continue;
    list->z[kept] = list->z[i];
    list->ids[kept++] = list->ids[i];
  }
  list->count = kept;
}

}  // namespace sylvester
#endif
