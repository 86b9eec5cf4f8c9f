#include "native/cpu/logits/cut.h"

#include <algorithm>
#include <limits>

#include "native/common/sampler.h"
#include "native/common/tier.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/logits/cut.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/logits/load-inl.h"
#include "native/cpu/logits/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

// visit(z, cols) for each chunk.
template <class Visit>
HWY_INLINE void VisitChunks(const LogitsJob& job, int64_t result, Visit visit) {
  HWY_ALIGN float buffer[kLogitsChunk];
  for (int64_t index = 0; index < job.Chunks(); ++index) {
    const ChunkLogits chunk = ChunkOf(job, result, index);
    visit(LoadChunk(job, chunk, buffer), chunk.Cols(job));
  }
}

// A token is one.
struct TopK {
  HWY_INLINE void Load(const float* /* z */, int64_t /* cols */) {}
  HWY_INLINE uint64_t Of(int64_t /* i */) const { return 1; }
  uint64_t Need(uint64_t /* whole */) const { return k; }

  uint64_t k;
};

// A token is its probability in units of TopPUnits.
struct TopP {
  HWY_INLINE void Load(const float* z, int64_t cols) {
    const hn::ScalableTag<float> d;
    const hn::CappedTag<float, 1> d1;
    const auto load = [&](auto tag, int64_t i) HWY_ATTR {
      hn::StoreU(Probability<NaNs::kAreSkipped>(tag, z + i, hn::Set(tag, max), hn::Set(tag, inv_temperature)), tag,
                 e + i);
    };
    const int64_t N = hn::MaxLanes(d);
    int64_t i = 0;
    for (; i + N <= cols; i += N) load(d, i);
    for (; i < cols; ++i) load(d1, i);
  }
  HWY_INLINE uint64_t Of(int64_t i) const { return TopPUnits(e[i], bits); }
  uint64_t Need(uint64_t whole) const { return TopPNeed(p, TopPMass(whole, bits), bits); }

  float p, max, inv_temperature;
  int32_t bits;
  float e[kLogitsChunk] = {};
};

// The z at which the largest ones, in descending order, reach what is needed. Its bits are found from the upper ones
// to the lower ones: a histogram tells in which bucket the need is reached, the next read looks into that one only.
template <class Weigh>
HWY_INLINE float Reach(const LogitsJob& job, int64_t result, Weigh weigh) {
  constexpr int kBits = 11;
  uint32_t prefix = 0;
  uint64_t need = 0;
  for (int unknown = 32; unknown > 0;) {
    const int bits = std::min(kBits, unknown), shift = unknown - bits;
    const uint32_t buckets = 1u << bits;
    uint64_t sums[1 << kBits] = {}, whole = 0;
    VisitChunks(job, result, [&](const float* z, int64_t cols) HWY_ATTR {
      weigh.Load(z, cols);
      for (int64_t i = 0; i < cols; ++i) {
        const uint64_t ordered = OrderedBits(z[i]);
        if (ordered >> unknown == prefix) sums[ordered >> shift & (buckets - 1)] += weigh.Of(i);
      }
    });
    for (uint32_t b = 0; b < buckets; ++b) whole += sums[b];
    if (unknown == 32) need = weigh.Need(whole);
    uint32_t bucket = buckets - 1;
    while (need > sums[bucket]) need -= sums[bucket--];
    prefix = prefix << bits | bucket;
    unknown = shift;
  }
  return FromOrderedBits(prefix);
}

float RowCut(const LogitsJob& job, int64_t result) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  float max = kNone, cut = kNone;
  VisitChunks(job, result, [&](const float* z, int64_t cols) HWY_ATTR { max = std::max(max, MaxOf(z, cols)); });
  if (max == kNone) return kNone;
  if (job.HasTopP()) cut = Reach(job, result, TopP{job.options.top_p, max, job.inv_temperature, TopPBits(job.cols)});
  if (job.HasTopK()) cut = std::max(cut, Reach(job, result, TopK{static_cast<uint64_t>(job.options.top_k)}));
  return cut;
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {
constexpr float (*kCut[kTierCount])(const LogitsJob&, int64_t) = SYL_TIERS(RowCut);
}  // namespace

float CutOfRow(const LogitsJob& job, int64_t result) { return kCut[CurrentTier()](job, result); }

}  // namespace sylvester
#endif
