// Sums of packed values by integer products: lane = channel.
#if defined(SYLVESTER_NATIVE_CPU_KV_PACKED_VALUES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_KV_PACKED_VALUES_INL_H_
#undef SYLVESTER_NATIVE_CPU_KV_PACKED_VALUES_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_KV_PACKED_VALUES_INL_H_
#endif

#include <algorithm>
#include <cstring>

#include "hwy/highway.h"
#include "native/cpu/kv/packed_keys-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kBlockTiles = kBlockTokens / kKvTile;

// Thresholds of rounding, one for each token of a tile: in the order of reversed bits, so that neighbours differ. Small
// weights, which rounding to nearest would all make 0, keep their sum.
alignas(64) constexpr float kDither[kKvTile] = {0.03125f, 0.53125f, 0.28125f, 0.78125f, 0.15625f, 0.65625f,
                                                0.40625f, 0.90625f, 0.09375f, 0.59375f, 0.34375f, 0.84375f,
                                                0.21875f, 0.71875f, 0.46875f, 0.96875f};

// Integers for p s of one pair and group: p s = factor * integer.
struct IntegerWeights {
  HWY_ALIGN int8_t digits[2][kBlockTokens];
  float factor;
  int32_t zeros;  // the sum of integer * zero
};

// Weights p of the tiles [mine.begin, mine.end) of a block; those of the other tiles of [all.begin, all.end) are 0.
// scales and zeros of tile t of the block: tile_scales[t], tile_zeros[t].
template <int kDigits>
HWY_INLINE void RoundWeights(const float* p, Range mine, Range all, const uint8_t* const* tile_scales,
                             const int8_t* const* tile_zeros, IntegerWeights* weights) {
  const DVirtual d;
  for (int digit = 0; digit < kDigits; ++digit) {
    std::memset(weights->digits[digit] + all.begin * kKvTile, 0, static_cast<size_t>((all.end - all.begin) * kKvTile));
  }
  HWY_ALIGN float products[kBlockTokens];
  VVirtual maxima = hn::Zero(d);
  for (int64_t t = mine.begin; t < mine.end; ++t) {
    for (int64_t lane = 0; lane < kKvTile; lane += kRealLanes) {
      const VVirtual product = hn::Mul(hn::LoadU(d, p + t * kKvTile + lane), LoadScales(tile_scales[t] + lane));
      hn::Store(product, d, products + t * kKvTile + lane);
      maxima = hn::Max(maxima, product);
    }
  }
  const float max = hn::GetLane(hn::MaxOfLanes(d, maxima));
  constexpr float kMost = static_cast<float>(kWeightMax[kDigits - 1]);
  const float inverse = kMost / max;
  // Also where the inverse would be infinite: sums that small are 0 beside any others.
  if (!(inverse <= 0x1p126f)) {
    weights->factor = 0;
    weights->zeros = 0;
    return;
  }
  weights->factor = max / kMost;
  const hn::Rebind<int8_t, DVirtual> d8;
  VSum zeros = hn::Zero(DSum());
  for (int64_t t = mine.begin; t < mine.end; ++t) {
    for (int64_t lane = 0; lane < kKvTile; lane += kRealLanes) {
      const VVirtual dithered =
          hn::MulAdd(hn::Load(d, products + t * kKvTile + lane), hn::Set(d, inverse), hn::Load(d, kDither + lane));
      const VSum rounded = hn::Min(hn::ConvertTo(DSum(), dithered), hn::Set(DSum(), kWeightMax[kDigits - 1]));
      zeros = hn::Add(zeros, hn::Mul(rounded, hn::PromoteTo(DSum(), hn::LoadU(d8, tile_zeros[t] + lane))));
      int8_t* to = weights->digits[0] + t * kKvTile + lane;
      if constexpr (kDigits == 1) {
        hn::StoreU(hn::DemoteTo(d8, rounded), d8, to);
      } else {
        hn::StoreU(hn::DemoteTo(d8, hn::ShiftRight<kWeightDigitBits>(rounded)), d8, to);
        hn::StoreU(hn::DemoteTo(d8, hn::And(rounded, hn::Set(DSum(), (1 << kWeightDigitBits) - 1))), d8,
                   to + kBlockTokens);
      }
    }
  }
  weights->zeros = hn::GetLane(hn::SumOfLanes(DSum(), zeros));
}

// The packed values of one head in the tiles of a block.
struct PackedValues {
  const uint32_t* const* words;  // [tile]: [words of a channel][head_dim], for 3 bits followed by the upper bits
  int64_t head_dim;
  float zero_unit;
};

template <int kBits, bool kLevels, int kPairs, int kVectors, bool kVnni, int kStep>
HWY_INLINE void AddValueSteps(const VWord (&words)[kVectors], const VWord (&upper)[kVectors], VCode levels,
                              const IntegerWeights* weights, int64_t token,
                              VSum (&sums)[kPairs][kVectors][WeightDigits(kBits)]) {
  for (int v = 0; v < kVectors; ++v) {
    VCode codes = CodesOf<kBits, kStep>(words[v], upper[v]);
    if constexpr (kLevels) codes = hn::TableLookupBytes(levels, codes);
    for (int p = 0; p < kPairs; ++p) {
      for (int digit = 0; digit < WeightDigits(kBits); ++digit) {
        sums[p][v][digit] = AddCodeDot<kVnni>(sums[p][v][digit], codes, weights[p].digits[digit] + token + 4 * kStep);
      }
    }
  }
  if constexpr (kStep + 1 < kSteps<kBits>) {
    AddValueSteps<kBits, kLevels, kPairs, kVectors, kVnni, kStep + 1>(words, upper, levels, weights, token, sums);
  }
}

// out[p][c] = sum_t p s (level - zero_unit zero) for kVectors vectors of channels from `channel` on, over some tiles.
template <int kBits, bool kLevels, int kPairs, int kVectors, bool kVnni>
HWY_INLINE void SumChannels(const PackedValues& values, VCode levels, Range tiles, int64_t channel,
                            const IntegerWeights* weights, float* out, int64_t out_step) {
  constexpr int kDigits = WeightDigits(kBits);
  constexpr int kWords = kKvTile / kWordCodes<kBits>;
  VSum sums[kPairs][kVectors][kDigits];
  for (auto& pair : sums) {
    for (auto& vector : pair) {
      for (VSum& sum : vector) sum = hn::Zero(DSum());
    }
  }
  for (int64_t t = tiles.begin; t < tiles.end; ++t) {
    for (int64_t w = 0; w < kWords; ++w) {
      VWord words[kVectors], upper[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        const int64_t c = channel + v * kRealLanes;
        words[v] = upper[v] = hn::LoadU(DWord(), values.words[t] + w * values.head_dim + c);
        if constexpr (kBits == 3) {
          upper[v] = hn::LoadU(DWord(), values.words[t] + values.head_dim + c / 32 * kKvTile + c % kKvTile);
          if (c / kKvTile % 2 != 0) upper[v] = hn::ShiftRight<4>(upper[v]);
        }
      }
      AddValueSteps<kBits, kLevels, kPairs, kVectors, kVnni, 0>(words, upper, levels, weights,
                                                                t * kKvTile + w * kWordCodes<kBits>, sums);
    }
  }
  const DVirtual d;
  for (int p = 0; p < kPairs; ++p) {
    const VVirtual zero = hn::Set(d, values.zero_unit * static_cast<float>(weights[p].zeros));
    for (int v = 0; v < kVectors; ++v) {
      VSum sum = sums[p][v][0];
      if constexpr (kDigits == 2) sum = hn::Add(hn::ShiftLeft<kWeightDigitBits>(sum), sums[p][v][1]);
      hn::StoreU(hn::Mul(hn::Sub(hn::ConvertTo(d, sum), zero), hn::Set(d, weights[p].factor)), d,
                 out + p * out_step + channel + v * kRealLanes);
    }
  }
}

// The same for the channels [channel, end) of a group, a multiple of 16.
template <int kBits, bool kLevels, int kPairs, bool kVnni>
HWY_INLINE void SumGroup(const PackedValues& values, VCode levels, Range tiles, int64_t channel, int64_t end,
                         const IntegerWeights* weights, float* out, int64_t out_step) {
  // Sums that fit into registers; 16 channels are 1, 2 or 4 vectors.
  constexpr int kMost = kSumVectors / (kPairs * WeightDigits(kBits));
  constexpr int kVectors = kMost >= 8 ? 8 : kMost >= 4 ? 4 : kMost >= 2 ? 2 : 1;
  for (; channel + kVectors * kRealLanes <= end; channel += kVectors * kRealLanes) {
    SumChannels<kBits, kLevels, kPairs, kVectors, kVnni>(values, levels, tiles, channel, weights, out, out_step);
  }
  for (; channel < end; channel += kRealLanes) {
    SumChannels<kBits, kLevels, kPairs, 1, kVnni>(values, levels, tiles, channel, weights, out, out_step);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
