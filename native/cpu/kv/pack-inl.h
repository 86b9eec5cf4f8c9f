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

// ---- Keys: words of one token ------------------------------------------------------------------------------------

// A word of a plane: its codes' bits at `shift`, eight codes at once.
template <int kPlane, int kShift>
HWY_INLINE uint32_t KeyWord(const uint8_t* codes, int64_t count) {
  constexpr uint64_t kMask = ((1u << kPlane) - 1) * uint64_t{0x0101010101010101};
  uint64_t word = 0;
  for (int64_t i = 0; i < count / 8; ++i) {
    uint64_t eight;
    std::memcpy(&eight, codes + 8 * i, sizeof(eight));
    word |= (eight >> kShift & kMask) << (2 * kPlane * i);
  }
  return static_cast<uint32_t>(word | word >> (32 - kPlane));
}

// The codes of a head into lane `token` of its words.
template <int kBits>
HWY_INLINE void PackKey(const uint8_t* HWY_RESTRICT codes, int64_t head_dim, int64_t token,
                        uint32_t* HWY_RESTRICT words) {
  constexpr int64_t kChannels = 4 * kCodesPerByte<kBits>;  // of a word
  words += token;
  for (int64_t c = 0; c < head_dim; c += kChannels, words += kKvTile) {
    if constexpr (kBits == 8) {
      std::memcpy(words, codes + c, sizeof(*words));
    } else {
      *words = KeyWord<kPlaneBits<kBits>, 0>(codes + c, kChannels);
    }
  }
  if constexpr (kBits == 3) {
    for (int64_t c = 0; c < head_dim; c += 32, words += kKvTile) {
      *words = KeyWord<1, 2>(codes + c, std::min<int64_t>(32, head_dim - c));
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
