// Codes, a byte each, into the words of a tile; native/common/kv_plan.h has their layout.
#if defined(SYLVESTER_NATIVE_CPU_KV_PACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_KV_PACK_INL_H_
#undef SYLVESTER_NATIVE_CPU_KV_PACK_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_KV_PACK_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "native/common/kv_plan.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Bits of a code in the first plane, codes in a byte of it.
template <int kBits>
constexpr int kPlaneBits = kBits == 3 ? 2 : kBits;
template <int kBits>
constexpr int kCodesPerByte = 8 / kPlaneBits<kBits>;

// Four codes in a word.
HWY_INLINE uint32_t FourCodes(const uint8_t* codes) {
  uint32_t four;
  std::memcpy(&four, codes, sizeof(four));
  return four;
}

// ---- Keys: words of one token ------------------------------------------------------------------------------------

// The codes of a head into lane `token` of its words.
template <int kBits>
HWY_INLINE void PackKey(const uint8_t* HWY_RESTRICT codes, int64_t head_dim, int64_t token,
                        uint32_t* HWY_RESTRICT words) {
  constexpr int kSteps = kCodesPerByte<kBits>, kShift = kPlaneBits<kBits>;
  constexpr uint32_t kMask = ((1u << kShift) - 1) * 0x01010101u;
  const int64_t count = head_dim / (4 * kSteps);
  words += token;
  for (int64_t w = 0; w < count; ++w) {
    uint32_t word = 0;
    for (int j = 0; j < kSteps; ++j) word |= (FourCodes(codes + 4 * (w * kSteps + j)) & kMask) << (kShift * j);
    words[w * kKvTile] = word;
  }
  if constexpr (kBits == 3) {
    words += count * kKvTile;
    for (int64_t c = 0; c < head_dim; c += 32, words += kKvTile) {
      const int64_t steps = std::min<int64_t>(8, (head_dim - c) / 4);
      uint32_t word = 0;
      for (int64_t j = 0; j < steps; ++j) word |= (FourCodes(codes + c + 4 * j) >> 2 & 0x01010101u) << j;
      *words = word;
    }
  }
}

// ---- Values: words of 16 channels --------------------------------------------------------------------------------

// Joins codes of tokens first .. end - 1, `step` bytes from token to token, to the words of a head, which hold zeros
// for them.
template <int kBits>
HWY_INLINE void PackValues(const uint8_t* HWY_RESTRICT codes, int64_t step, int64_t first, int64_t end,
                           int64_t head_dim, uint32_t* HWY_RESTRICT words) {
  const hn::CappedTag<uint32_t, 16> d;
  const hn::Rebind<uint8_t, decltype(d)> d8;
  const int64_t N = hn::MaxLanes(d);
  constexpr int kShift = kPlaneBits<kBits>;
  constexpr int64_t kTokens = 4 * kCodesPerByte<kBits>;  // of a word
  const auto mask = hn::Set(d, (1u << kShift) - 1);
  const auto codes_of = [&](int64_t token, int64_t c)
                            HWY_ATTR { return hn::PromoteTo(d, hn::LoadU(d8, codes + (token - first) * step + c)); };
  for (int64_t w = first / kTokens; w * kTokens < end; ++w) {
    const int64_t begin_of_word = std::max(first, w * kTokens), end_of_word = std::min(end, (w + 1) * kTokens);
    uint32_t* row = words + w * head_dim;
    for (int64_t c = 0; c < head_dim; c += N) {
      auto word = hn::LoadU(d, row + c);
      for (int64_t t = begin_of_word; t < end_of_word; ++t) {
        const int shift = static_cast<int>(8 * (t % 4) + kShift * (t % kTokens / 4));
        word = hn::Or(word, hn::ShiftLeftSame(hn::And(codes_of(t, c), mask), shift));
      }
      hn::StoreU(word, d, row + c);
    }
  }
  if constexpr (kBits == 3) {
    uint32_t* high = words + head_dim;
    for (int64_t c = 0; c < head_dim; c += N) {
      // The first and the second 16 of 32 channels share a vector.
      uint32_t* row = high + c / 32 * kKvTile + c % 16;
      const int second = static_cast<int>(c % 32 / 16 * 4);
      auto word = hn::LoadU(d, row);
      for (int64_t t = first; t < end; ++t) {
        const int shift = static_cast<int>(8 * (t % 4) + t / 4) + second;
        word = hn::Or(word, hn::ShiftLeftSame(hn::ShiftRight<2>(codes_of(t, c)), shift));
      }
      hn::StoreU(word, d, row);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
