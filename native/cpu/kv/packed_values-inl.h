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

// What is added before rounding to the nearest, one for each token of a tile: (i + 1/2) / 16 - 1/2 in the order of
// reversed bits, so that neighbours differ. Small weights, which would all round to 0, keep their sum.
alignas(64) constexpr float kDither[kKvTile] = {-0.46875f, 0.03125f, -0.21875f, 0.28125f, -0.34375f, 0.15625f,
                                                -0.09375f, 0.40625f, -0.40625f, 0.09375f, -0.15625f, 0.34375f,
                                                -0.28125f, 0.21875f, -0.03125f, 0.46875f};

HWY_INLINE void StoreLowBytes(VSum v, int8_t* to) {
#if HWY_TARGET == HWY_AVX3
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(v.raw));
#else
  const hn::Rebind<int8_t, DVirtual> d8;
  hn::StoreU(hn::DemoteTo(d8, v), d8, to);
#endif
}

// Scales and zeros of one group of values in the tiles of a block; 0 where there is none.
struct GroupParams {
  HWY_ALIGN float scales[kBlockTokens];
  HWY_ALIGN int8_t zeros[kBlockTokens];
};

HWY_INLINE void LoadParams(const uint8_t* const* tiles, int64_t scales, int64_t zeros, Range range,
                           GroupParams* params) {
  std::memset(params->zeros, 0, sizeof(params->zeros));
  for (int64_t t = range.begin; t < range.end; ++t) {
    std::memcpy(params->zeros + t * kKvTile, tiles[t] + zeros, kKvTile);
    for (int64_t lane = 0; lane < kKvTile; lane += kRealLanes) {
      hn::Store(LoadScales(tiles[t] + scales + lane), DVirtual(), params->scales + t * kKvTile + lane);
    }
  }
}

// The largest number of some tokens, none of them negative.
HWY_INLINE float MaxOfTokens(const float* x, Range tokens) {
  const DVirtual d;
  VVirtual maxima = hn::Zero(d);
  float max = 0;
  int64_t j = tokens.begin;
  for (; j < tokens.end && j % kRealLanes != 0; ++j) max = std::max(max, x[j]);
  for (; j + kRealLanes <= tokens.end; j += kRealLanes) maxima = hn::Max(maxima, hn::LoadU(d, x + j));
  for (; j < tokens.end; ++j) max = std::max(max, x[j]);
  return std::max(max, hn::GetLane(hn::MaxOfLanes(d, maxima)));
}

// Integers for p s of one pair and group: p s = factor * integer.
struct IntegerWeights {
  HWY_ALIGN int8_t digits[2][kBlockTokens];
  float factor;
  int32_t zeros;  // the sum of integer * zero
};

// The weights p of the tiles of a block; max: that of p times that of the scales in them. Those of other tiles are 0.
template <int kDigits, bool kVnni>
HWY_INLINE void RoundWeights(const float* p, float max, Range tiles, const GroupParams& params,
                             IntegerWeights* weights) {
  const DVirtual d;
  constexpr float kMost = static_cast<float>(kWeightMax[kDigits - 1]);
  const float inverse = kMost / max;
  std::memset(weights->digits, 0, kDigits * kBlockTokens);
  weights->factor = max / kMost;
  weights->zeros = 0;
  // Also where the inverse would be infinite: sums that small are 0 beside any others.
  if (!(inverse <= 0x1p126f)) {
    weights->factor = 0;
    return;
  }
  for (int64_t j = tiles.begin * kKvTile; j < tiles.end * kKvTile; j += kRealLanes) {
    const VVirtual scaled = hn::Mul(hn::LoadU(d, p + j), hn::Set(d, inverse));
    const VVirtual dither = hn::Load(d, kDither + j % kKvTile);
    // At most kMost, since the dither is below 1/2.
    const VSum rounded = hn::NearestInt(hn::MulAdd(scaled, hn::Load(d, params.scales + j), dither));
    if constexpr (kDigits == 1) {
      StoreLowBytes(rounded, weights->digits[0] + j);
    } else {
      StoreLowBytes(hn::ShiftRight<kWeightDigitBits>(rounded), weights->digits[0] + j);
      StoreLowBytes(hn::And(rounded, hn::Set(DSum(), (1 << kWeightDigitBits) - 1)), weights->digits[1] + j);
    }
  }
  const hn::Repartition<int8_t, DSum> d8;
  for (int digit = 0; digit < kDigits; ++digit) {
    VSum sum = hn::Zero(DSum());
    for (int64_t j = 0; j < kBlockTokens; j += 4 * kRealLanes) {
      const VCode codes = hn::BitCast(DCode(), hn::Load(d8, weights->digits[digit] + j));
      sum = AddCodeDot<kVnni>(sum, codes, hn::BitCast(DSum(), hn::Load(d8, params.zeros + j)));
    }
    weights->zeros = (weights->zeros << kWeightDigitBits) + hn::GetLane(hn::SumOfLanes(DSum(), sum));
  }
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
template <int kBits, bool kLevels, int kPairs, bool kVnni, int kVectors = 8>
HWY_INLINE void SumGroup(const PackedValues& values, VCode levels, Range tiles, int64_t channel, int64_t end,
                         const IntegerWeights* weights, float* out, int64_t out_step) {
  constexpr int64_t kChannels = kVectors * kRealLanes;
  if constexpr (kVectors == 1 || kVectors * kPairs * WeightDigits(kBits) <= kSumVectors) {
    for (; channel + kChannels <= end; channel += kChannels) {
      SumChannels<kBits, kLevels, kPairs, kVectors, kVnni>(values, levels, tiles, channel, weights, out, out_step);
    }
  }
  if constexpr (kVectors > 1) {
    SumGroup<kBits, kLevels, kPairs, kVnni, kVectors / 2>(values, levels, tiles, channel, end, weights, out, out_step);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
