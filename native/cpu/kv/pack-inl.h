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

// ---- Keys: words of one token -------------------------------------------------------------------------------------

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

// ---- Outputs of Encode --------------------------------------------------------------------------------------------

// A byte for each code.
class CodeBytesOutput {
 public:
  explicit CodeBytesOutput(uint8_t* codes) : codes_(codes) {}

  CodeBytesOutput At(int64_t first) const { return CodeBytesOutput(codes_ + first); }

  template <class V>
  HWY_INLINE void Store(int64_t i, V codes) const {
    const hn::RebindToUnsigned<hn::DFromV<V>> du;
    const hn::Rebind<uint8_t, decltype(du)> d8;
    hn::StoreU(hn::TruncateTo(d8, hn::BitCast(du, codes)), d8, codes_ + i);
  }

 private:
  uint8_t* codes_;
};

// Into the words of values, which hold zeros for this token.
template <int kBits>
class ValueWordsOutput {
 public:
  ValueWordsOutput(uint8_t* heads, int64_t head_bytes, int64_t head_dim, int64_t token)
      : heads_(heads), head_bytes_(head_bytes), head_dim_(head_dim), token_(token) {}

  class Group {
   public:
    Group(uint32_t* words, uint32_t* high, int64_t channel, int64_t token)
        : words_(words), high_(high), channel_(channel), token_(token) {}

    template <class V>
    HWY_INLINE void Store(int64_t i, V codes) const {
      const hn::RebindToUnsigned<hn::DFromV<V>> d;
      const auto code = hn::BitCast(d, codes);
      if constexpr (kBits == 3) {
        // The first and the second 16 of 32 channels share a vector.
        const int64_t c = channel_ + i;
        Join(d, hn::ShiftRight<2>(code), token_ / 4 + c % 32 / 16 * 4, high_ + c / 32 * kKvTile + c % 16);
        Join(d, hn::And(code, hn::Set(d, 3)), kPlaneBits<kBits> * (token_ % kTokens / 4), words_ + i);
      } else {
        Join(d, code, kPlaneBits<kBits> * (token_ % kTokens / 4), words_ + i);
      }
    }

   private:
    template <class D>
    HWY_INLINE void Join(D d, hn::Vec<D> code, int64_t bit, uint32_t* words) const {
      const auto shifted = hn::ShiftLeftSame(code, static_cast<int>(8 * (token_ % 4) + bit));
      hn::StoreU(hn::Or(hn::LoadU(d, words), shifted), d, words);
    }

    uint32_t* words_;
    uint32_t* high_;
    int64_t channel_, token_;
  };

  Group At(int64_t first) const {
    auto* words = reinterpret_cast<uint32_t*>(heads_ + first / head_dim_ * head_bytes_);
    const int64_t channel = first % head_dim_;
    return {words + token_ / kTokens * head_dim_ + channel, words + head_dim_, channel, token_};
  }

 private:
  static constexpr int64_t kTokens = 4 * kCodesPerByte<kBits>;  // of a word

  uint8_t* heads_;
  int64_t head_bytes_, head_dim_, token_;
};

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
