#include "native/cpu/logits/draw.h"

#include <algorithm>
#include <limits>

#include "native/common/tier.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/logits/draw.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/logits/gumbel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

using DNoise = hn::ScalableTag<uint64_t>;
constexpr int64_t kBlocks = HWY_LANES(uint64_t);  // Philox blocks at once, four tokens each
constexpr int64_t kTokens = 4 * kBlocks;

// Random words of four tokens a lane; words of the tokens 4b and 4b + 1, and of 4b + 2 and 4b + 3, side by side.
HWY_INLINE void Noise(const NoiseKey& key, hn::Vec<DNoise> blocks, hn::Vec<DNoise>& words01, hn::Vec<DNoise>& words23) {
  const DNoise d;
  hn::Vec<DNoise> words[4] = {blocks, hn::Set(d, key.purpose), hn::Set(d, static_cast<uint32_t>(key.position)),
                              hn::Set(d, key.position >> 32)};
  PhiloxLanes(d, words, key.seed);
  const auto low_half = hn::Set(d, 0xffffffff);
  words01 = hn::Or(hn::And(words[0], low_half), hn::ShiftLeft<32>(words[1]));
  words23 = hn::Or(hn::And(words[2], low_half), hn::ShiftLeft<32>(words[3]));
}

struct Best {
  float value = -std::numeric_limits<float>::infinity();
  int32_t token = -1;
};

// Two vectors of tokens, one after the other.
struct RowDraw {
  using D = hn::ScalableTag<float>;
  using V = hn::Vec<D>;
  using VU = hn::Vec<hn::RebindToUnsigned<D>>;

  RowDraw() {
    const DNoise dn;
    best_values = hn::Set(D(), best.value);
    // Even lanes hold the first half of the blocks, odd lanes the second: interleaved, their words are in order.
    const auto half = hn::ShiftRight<1>(hn::Iota(dn, 0));
    block_of_lane = hn::OddEven(hn::Add(half, hn::Set(dn, static_cast<uint64_t>(kBlocks / 2))), half);
  }

  // A token that wins has log2(1 - u) <= log2(E) < (z - best) log2(e). The float's bits, read as an integer, are a
  // lower bound of the logarithm. It costs a fraction of the noise itself, and nearly all tokens fail already here.
  HWY_INLINE auto MayWin(V z, VU bits) const {
    const D d;
    const hn::RebindToSigned<D> di;
    const V uniform = LeastExponential(d, bits);
    const V log2 = hn::MulAdd(hn::ConvertTo(d, hn::BitCast(di, uniform)), hn::Set(d, 0x1p-23f), hn::Set(d, -127.0f));
    // 0.01 is far above the roundings of z, noise and of this bound.
    return hn::Lt(log2, hn::MulAdd(hn::Sub(z, best_values), hn::Set(d, 1.442695f), hn::Set(d, 0.01f)));
  }

  // kTokens logits of the tokens from `first`.
  HWY_INLINE void Offer(const NoiseKey& key, const float* logits, int64_t first, const Scale& scale) {
    const D d;
    const hn::RebindToUnsigned<D> du;
    const DNoise dn;
    const int64_t N = hn::MaxLanes(d);
    hn::Vec<DNoise> words01, words23;
    Noise(key, hn::Add(hn::Set(dn, static_cast<uint64_t>(first / 4)), block_of_lane), words01, words23);
    const VU bits0 = hn::BitCast(du, hn::InterleaveLower(dn, words01, words23));
    const VU bits1 = hn::BitCast(du, hn::InterleaveUpper(dn, words01, words23));
    const V max = hn::Set(d, scale.max), factor = hn::Set(d, scale.inv_temperature);
    const V z0 = hn::Mul(hn::Sub(hn::LoadU(d, logits), max), factor);
    const V z1 = hn::Mul(hn::Sub(hn::LoadU(d, logits + N), max), factor);
    if (hn::AllFalse(d, hn::Or(MayWin(z0, bits0), MayWin(z1, bits1)))) return;
    float values[kTokens];
    hn::StoreU(hn::Add(z0, Gumbel(d, bits0)), d, values);
    hn::StoreU(hn::Add(z1, Gumbel(d, bits1)), d, values + N);
    for (int64_t i = 0; i < kTokens; ++i) {
      if (values[i] > best.value) best = {values[i], static_cast<int32_t>(first + i)};
    }
    best_values = hn::Set(d, best.value);
  }

  Best best;
  V best_values;
  hn::Vec<DNoise> block_of_lane;
};

int32_t BestOfRow(const NoiseKey& key, const float* logits, int64_t cols, const Scale& scale) {
  RowDraw draw;
  int64_t first = 0;
  for (; first + kTokens <= cols; first += kTokens) draw.Offer(key, logits + first, first, scale);
  if (first < cols) {
    float tail[kTokens];
    std::fill_n(tail, kTokens, -std::numeric_limits<float>::infinity());
    std::copy(logits + first, logits + cols, tail);
    draw.Offer(key, tail, first, scale);
  }
  return draw.best.token;
}

// Random words of kTokens tokens.
HWY_INLINE void NoiseOf(const NoiseKey& key, const int32_t* ids, uint32_t* bits) {
  const DNoise d;
  const hn::Rebind<uint32_t, DNoise> d32;
  for (int64_t first = 0; first < kTokens; first += kBlocks) {
    const auto id = hn::PromoteTo(d, hn::LoadU(d32, reinterpret_cast<const uint32_t*>(ids) + first));
    hn::Vec<DNoise> words01, words23;
    Noise(key, hn::ShiftRight<2>(id), words01, words23);
    const auto bit = [&](uint64_t mask) HWY_ATTR { return hn::Ne(hn::And(id, hn::Set(d, mask)), hn::Zero(d)); };
    const auto words = hn::IfThenElse(bit(2), words23, words01);
    uint64_t own[kBlocks];
    hn::StoreU(hn::IfThenElse(bit(1), hn::ShiftRight<32>(words), words), d, own);
    for (int64_t i = 0; i < kBlocks; ++i) bits[first + i] = static_cast<uint32_t>(own[i]);
  }
}

int64_t BestOfList(const NoiseKey& key, const float* z, const int32_t* ids, int64_t count) {
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  Best best;
  int64_t best_index = -1;
  for (int64_t first = 0; first < count; first += kTokens) {
    const int64_t size = std::min(kTokens, count - first);
    int32_t id[kTokens] = {};
    uint32_t bits[kTokens];
    float noise[kTokens];
    std::copy_n(ids + first, size, id);
    NoiseOf(key, id, bits);
    for (int64_t i = 0; i < kTokens; i += hn::MaxLanes(d)) hn::StoreU(Gumbel(d, hn::LoadU(du, bits + i)), d, noise + i);
    for (int64_t i = 0; i < size; ++i) {
      const float value = z[first + i] + noise[i];
      if (value > best.value || (value == best.value && id[i] < best.token)) {
        best = {value, id[i]};
        best_index = first + i;
      }
    }
  }
  return best_index;
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {
constexpr int32_t (*kBestOfRow[kTierCount])(const NoiseKey&, const float*, int64_t,
                                            const Scale&) = SYL_TIERS(BestOfRow);
constexpr int64_t (*kBestOfList[kTierCount])(const NoiseKey&, const float*, const int32_t*,
                                             int64_t) = SYL_TIERS(BestOfList);
}  // namespace

int32_t DrawFromRow(const NoiseKey& key, const float* logits, int64_t cols, const Scale& scale) {
  return kBestOfRow[CurrentTier()](key, logits, cols, scale);
}

int64_t DrawFromList(const NoiseKey& key, const float* z, const int32_t* ids, int64_t count) {
  return kBestOfList[CurrentTier()](key, z, ids, count);
}

}  // namespace sylvester
#endif
