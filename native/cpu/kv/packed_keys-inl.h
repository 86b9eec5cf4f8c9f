// Scores of packed keys by integer products: lane = token.
#if defined(SYLVESTER_NATIVE_CPU_KV_PACKED_KEYS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_KV_PACKED_KEYS_INL_H_
#undef SYLVESTER_NATIVE_CPU_KV_PACKED_KEYS_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_KV_PACKED_KEYS_INL_H_
#endif

#include <algorithm>

#include "hwy/highway.h"
#include "native/cpu/kv/attend.h"
#include "native/cpu/kv/code_dot-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Levels of codes below 16, once in each block of a vector. By value: the words of a tile may alias anything.
HWY_INLINE VCode LevelTable(const KvGrid& grid) { return hn::LoadDup128(DCode(), grid.levels); }

// A scale's bits, shifted into a float, are the scale times 2^-112, subnormal ones included.
HWY_INLINE VVirtual LoadScales(const uint8_t* scales) {
  const DVirtual d;
  const auto bits = hn::ShiftLeft<20>(hn::PromoteTo(DWord(), hn::LoadU(hn::Rebind<uint8_t, DVirtual>(), scales)));
  return hn::Mul(hn::BitCast(d, bits), hn::Set(d, 0x1p112f));
}

HWY_INLINE VVirtual LoadZeros(const int8_t* zeros) {
  const hn::Rebind<int8_t, DVirtual> d8;
  return hn::ConvertTo(DVirtual(), hn::PromoteTo(DSum(), hn::LoadU(d8, zeros)));
}

// The packed keys of one head in one tile.
struct PackedKeys {
  const uint32_t* words;  // [words of a token][16], for 3 bits followed by the upper bits
  const uint8_t* scales;  // [groups of the head][16]
  const int8_t* zeros;
};

// After how many additions of a code and a query's digit sums must be collected: a single digit is at most 127, one of
// two at most 64.
template <int kBits, bool kLevels, bool kVnni>
constexpr int kCollectKeys = CodeSum<kVnni>::CollectAfter(kLevels ? kKvMaxLevel : (1 << kBits) - 1,
                                                          QueryDigits(kBits) == 1 ? 127 : 64);

// Queries of kPairs pairs: integers at q + pair * q_step, digits head_dim apart.
struct IntegerQueries {
  const int8_t* integers;
  int64_t step;
  const float* factors;     // [pairs]
  const float* group_sums;  // [pairs][groups]
  int64_t head_dim, group, groups;
};

// Steps kStep.. of a word for all pairs and digits.
template <int kBits, bool kLevels, int kDigits, int kPairs, bool kVnni, int kChains, int kStep>
HWY_INLINE void AddSteps(VWord words, VWord upper, VCode levels, const int8_t* q, int64_t q_step, int64_t head_dim,
                         CodeSum<kVnni> (&sums)[kPairs][kDigits][kChains]) {
  VCode codes = CodesOf<kBits, kStep>(words, upper);
  if constexpr (kLevels) codes = hn::TableLookupBytes(levels, codes);
  for (int p = 0; p < kPairs; ++p) {
    for (int digit = 0; digit < kDigits; ++digit) {
      CodeSum<kVnni>& sum = sums[p][digit][kStep % kChains];
      sum.Add(codes, q + p * q_step + digit * head_dim + 4 * kStep);
      if constexpr (kCollectKeys<kBits, kLevels, kVnni> < kSteps<kBits>) sum.Collect();
    }
  }
  if constexpr (kStep + 1 < kSteps<kBits>) {
    AddSteps<kBits, kLevels, kDigits, kPairs, kVnni, kChains, kStep + 1>(words, upper, levels, q, q_step, head_dim,
                                                                         sums);
  }
}

// scores[p][16] of a tile, kBlockTokens apart.
template <int kBits, bool kLevels, int kPairs, bool kVnni>
HWY_INLINE void ScorePackedTile(const PackedKeys& keys, const IntegerQueries& q, VCode levels, float* scores) {
  constexpr int kDigits = QueryDigits(kBits);
  // A sum waits for the one before it: several of them where pairs do not fill the pipeline.
  constexpr int kChains = std::min(kSteps<kBits>, kVnni && kPairs * kDigits <= 2   ? 4
                                                  : kVnni && kPairs * kDigits <= 4 ? 2
                                                                                   : 1);
  constexpr int64_t kCollectWords = std::max(1, kCollectKeys<kBits, kLevels, kVnni> / kSteps<kBits>);
  const DVirtual d;
  const int64_t upper_words = kBits == 3 ? q.head_dim / kWordCodes<kBits> : 0;
  for (int64_t part = 0; part < kVirtualVectors; ++part) {
    const int64_t lane = part * kRealLanes;
    VVirtual totals[kPairs];
    for (VVirtual& total : totals) total = hn::Zero(d);
    for (int64_t g = 0; g < q.groups; ++g) {
      CodeSum<kVnni> sums[kPairs][kDigits][kChains];
      const int64_t end = std::min((g + 1) * q.group, q.head_dim) / kWordCodes<kBits>;
      for (int64_t w = g * q.group / kWordCodes<kBits>; w < end;) {
        for (const int64_t stop = std::min(w + kCollectWords, end); w < stop; ++w) {
          const VWord words = hn::LoadU(DWord(), keys.words + w * kKvTile + lane);
          VWord upper = words;
          if constexpr (kBits == 3) {
            upper = hn::LoadU(DWord(), keys.words + (upper_words + w / 2) * kKvTile + lane);
            if (w % 2 != 0) upper = hn::ShiftRight<4>(upper);
          }
          AddSteps<kBits, kLevels, kDigits, kPairs, kVnni, kChains, 0>(
              words, upper, levels, q.integers + w * kWordCodes<kBits>, q.step, q.head_dim, sums);
        }
        for (auto& pair : sums) {
          for (auto& digit : pair) {
            for (CodeSum<kVnni>& sum : digit) sum.Collect();
          }
        }
      }
      const VVirtual scale = LoadScales(keys.scales + g * kKvTile + lane);
      const VVirtual zero = LoadZeros(keys.zeros + g * kKvTile + lane);
      for (int p = 0; p < kPairs; ++p) {
        VSum digits[kDigits];
        for (int digit = 0; digit < kDigits; ++digit) {
          digits[digit] = sums[p][digit][0].Total();
          for (int chain = 1; chain < kChains; ++chain) {
            digits[digit] = hn::Add(digits[digit], sums[p][digit][chain].Total());
          }
        }
        VSum sum = digits[0];
        if constexpr (kDigits == 2) sum = hn::Add(hn::ShiftLeft<7>(sum), digits[1]);
        const VVirtual centred = hn::NegMulAdd(zero, hn::Set(d, q.group_sums[p * q.groups + g]), hn::ConvertTo(d, sum));
        totals[p] = hn::MulAdd(scale, centred, totals[p]);
      }
    }
    for (int p = 0; p < kPairs; ++p) {
      hn::StoreU(hn::Mul(totals[p], hn::Set(d, q.factors[p])), d, scores + p * kBlockTokens + lane);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
