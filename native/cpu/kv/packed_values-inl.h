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

template <class D>
HWY_INLINE hn::TFromD<D> LargestLane(D d, hn::Vec<D> v) {
  if constexpr (sizeof(hn::TFromD<D>) == 1) {
    const hn::Repartition<uint16_t, D> wide;
    const auto pairs = hn::BitCast(wide, v);
    const auto maxima = hn::Max(hn::And(pairs, hn::Set(wide, 0xff)), hn::ShiftRight<8>(pairs));
    return static_cast<uint8_t>(hn::GetLane(hn::MaxOfLanes(wide, maxima)));
  } else {
    return hn::GetLane(hn::MaxOfLanes(d, v));
  }
}

// The largest of some tokens' numbers, none of them negative.
template <typename T>
HWY_INLINE T MaxOfTokens(const T* x, Range tokens) {
  const hn::CappedTag<T, kBlockTokens> d;
  const int64_t N = hn::MaxLanes(d);
  auto maxima = hn::Zero(d);
  T max = 0;
  int64_t j = tokens.begin;
  for (; j < tokens.end && j % N != 0; ++j) max = std::max(max, x[j]);
  for (; j + N <= tokens.end; j += N) maxima = hn::Max(maxima, hn::LoadU(d, x + j));
  for (; j < tokens.end; ++j) max = std::max(max, x[j]);
  return std::max(max, LargestLane(d, maxima));
}

// Scales and zeros of one group of values in a block. Where there is no tile they are 0.
struct GroupParams {
  HWY_ALIGN uint8_t scales[kBlockTokens] = {};
  HWY_ALIGN int8_t zeros[kBlockTokens] = {};
  HWY_ALIGN float shares[kBlockTokens];  // of the largest scale
  float largest;

  HWY_INLINE void Load(const uint8_t* const* tiles, int64_t scales_at, int64_t zeros_at, Range range) {
    for (int64_t t = range.begin; t < range.end; ++t) {
      std::memcpy(scales + t * kKvTile, tiles[t] + scales_at, kKvTile);
      std::memcpy(zeros + t * kKvTile, tiles[t] + zeros_at, kKvTile);
    }
  }

  // Scales become `most` for the largest one of the tokens that a pair sees, whatever the others do; those of other
  // tiles 0.
  HWY_INLINE void Share(Range tokens, float most) {
    const DVirtual d;
    const uint8_t max = MaxOfTokens(scales, tokens);
    largest = KvScaleToFloat(max);
    const VVirtual inverse = hn::Set(d, max == 0 ? 0 : most / largest);
    const int64_t begin = tokens.begin / kKvTile * kKvTile, end = CeilDiv(tokens.end, kKvTile) * kKvTile;
    std::fill(shares, shares + begin, 0.0f);
    for (int64_t j = begin; j < end; j += kRealLanes) {
      hn::Store(hn::Mul(LoadScales(scales + j), inverse), d, shares + j);
    }
    std::fill(shares + end, shares + kBlockTokens, 0.0f);
  }
};

// The weights of the tokens that a pair sees packed become 1 for the largest one, which is returned; or 0, where the
// inverse would be infinite: sums that small are 0 beside any others. The rest of their tiles is 0.
HWY_INLINE float ShareWeights(Range tokens, float* p) {
  const DVirtual d;
  const float max = MaxOfTokens(p, tokens);
  if (max == 1) return max;
  const float inverse = 1 / max;
  if (!(inverse <= 0x1p126f)) return 0;
  for (int64_t j = tokens.begin / kKvTile * kKvTile; j < tokens.end; j += kRealLanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, p + j), hn::Set(d, inverse)), d, p + j);
  }
  return max;
}

// Integers for p s of one pair and group: p s = factor * integer.
struct IntegerWeights {
  HWY_ALIGN int8_t digits[2][kBlockTokens];
  float factor;
  int32_t zeros;  // the sum of integer * zero
};

// The integer part of floats between 2^kBits and 2^(kBits + 1), less 2^kBits, in digits of kDigitBits; digit 0 is the
// lowest one. Four vectors' in one.
template <int kBits, int kDigitBits, int kDigit>
HWY_INLINE hn::Vec<hn::Repartition<int8_t, DVirtual>> DigitOf(const VVirtual (&x)[4]) {
  const DWord d;
  const hn::Repartition<uint16_t, DWord> d16;
  const DCode d8;
  // Where the digit's lowest bit is in the mantissa; it goes to that of a word's upper half.
  constexpr int kAt = 23 - kBits + kDigit * kDigitBits;
  const auto half = [=](VVirtual v) HWY_ATTR {
    const VWord bits = hn::BitCast(d, v);
    return hn::BitCast(
        d16, kAt > 16 ? hn::ShiftRight<std::max(kAt - 16, 0)>(bits) : hn::ShiftLeft<std::max(16 - kAt, 0)>(bits));
  };
  const auto low = hn::ConcatOdd(d16, half(x[1]), half(x[0])), high = hn::ConcatOdd(d16, half(x[3]), half(x[2]));
  const VCode bytes = hn::ConcatEven(d8, hn::BitCast(d8, high), hn::BitCast(d8, low));
  return hn::BitCast(hn::Repartition<int8_t, DVirtual>(), hn::And(bytes, hn::Set(d8, (1 << kDigitBits) - 1)));
}

// p: the weights of a pair in a block, 0 where it sees nothing; max: the largest one times the largest scale.
template <int kDigits, bool kVnni>
HWY_INLINE void RoundWeights(const float* p, float max, const GroupParams& params, IntegerWeights* weights) {
  const DVirtual d;
  const hn::Repartition<int8_t, DVirtual> d8;
  constexpr int kDigitBits = kDigits == 1 ? 7 : kWeightDigitBits, kBits = kDigits * kDigitBits;
  static_assert(kWeightMax[kDigits - 1] == (1 << kBits) - 1);
  constexpr float kMost = static_cast<float>(kWeightMax[kDigits - 1]);
  weights->factor = max / kMost;
  CodeSum<kVnni> zeros[kDigits];
  for (int64_t j = 0; j < kBlockTokens; j += 4 * kRealLanes) {
    // Rounded down: at most kMost, since the dither is below 1/2.
    VVirtual x[4];
    for (int i = 0; i < 4; ++i) {
      const int64_t at = j + i * kRealLanes;
      const VVirtual offset = hn::Add(hn::Load(d, kDither + at % kKvTile), hn::Set(d, kMost + 1.5f));
      x[i] = hn::MulAdd(hn::LoadU(d, p + at), hn::Load(d, params.shares + at), offset);
    }
    const VSum z = hn::BitCast(DSum(), hn::Load(d8, params.zeros + j));
    const auto digit = [&](auto bytes, int i) HWY_ATTR {
      hn::Store(bytes, d8, weights->digits[i] + j);
      zeros[i].Add(hn::BitCast(DCode(), bytes), z);
      zeros[i].Collect();
    };
    digit(DigitOf<kBits, kDigitBits, kDigits - 1>(x), 0);
    if constexpr (kDigits == 2) digit(DigitOf<kBits, kDigitBits, 0>(x), 1);
  }
  VSum sum = zeros[0].Total();
  if constexpr (kDigits == 2) sum = hn::Add(hn::ShiftLeft<kWeightDigitBits>(sum), zeros[1].Total());
  weights->zeros = hn::GetLane(hn::SumOfLanes(DSum(), sum));
}

// The packed values of one head in the tiles of a block.
struct PackedValues {
  const uint32_t* const* words;  // [tile]: [words of a channel][head_dim], for 3 bits followed by the upper bits
  int64_t head_dim;
  float zero_unit;
};

constexpr int kTileAdditions = kKvTile / 4;

// After how many additions of a code and a weight's digit sums must be collected.
template <int kBits, bool kLevels, bool kVnni>
constexpr int kCollectValues = CodeSum<kVnni>::CollectAfter(kLevels ? kKvMaxLevel : (1 << kBits) - 1,
                                                            WeightDigits(kBits) == 1 ? 127
                                                                                     : (1 << kWeightDigitBits) - 1);

template <int kBits, bool kLevels, int kPairs, int kVectors, bool kVnni, int kStep>
HWY_INLINE void AddValueSteps(const VWord (&words)[kVectors], const VWord (&upper)[kVectors], VCode levels,
                              const IntegerWeights* weights, int64_t token,
                              CodeSum<kVnni> (&sums)[kPairs][kVectors][WeightDigits(kBits)]) {
  for (int v = 0; v < kVectors; ++v) {
    VCode codes = CodesOf<kBits, kStep>(words[v], upper[v]);
    if constexpr (kLevels) codes = hn::TableLookupBytes(levels, codes);
    for (int p = 0; p < kPairs; ++p) {
      for (int digit = 0; digit < WeightDigits(kBits); ++digit) {
        CodeSum<kVnni>& sum = sums[p][v][digit];
        sum.Add(codes, weights[p].digits[digit] + token + 4 * kStep);
        if constexpr (kCollectValues<kBits, kLevels, kVnni> < kTileAdditions) sum.Collect();
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
  constexpr int64_t kCollectTiles = std::max(1, kCollectValues<kBits, kLevels, kVnni> / kTileAdditions);
  CodeSum<kVnni> sums[kPairs][kVectors][kDigits];
  for (int64_t t = tiles.begin; t < tiles.end;) {
    for (const int64_t stop = std::min(t + kCollectTiles, tiles.end); t < stop; ++t) {
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
    for (auto& pair : sums) {
      for (auto& vector : pair) {
        for (CodeSum<kVnni>& sum : vector) sum.Collect();
      }
    }
  }
  const DVirtual d;
  for (int p = 0; p < kPairs; ++p) {
    const VVirtual zero = hn::Set(d, values.zero_unit * static_cast<float>(weights[p].zeros));
    for (int v = 0; v < kVectors; ++v) {
      VSum sum = sums[p][v][0].Total();
      if constexpr (kDigits == 2) sum = hn::Add(hn::ShiftLeft<kWeightDigitBits>(sum), sums[p][v][1].Total());
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
