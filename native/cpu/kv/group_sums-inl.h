// Ranges and sums of groups of halves, many groups at once: what is left of each in one vector is reduced together with
// others', so that the results come out as lanes. A group has a multiple of 16 elements.
#if defined(SYLVESTER_NATIVE_CPU_KV_GROUP_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_KV_GROUP_SUMS_INL_H_
#undef SYLVESTER_NATIVE_CPU_KV_GROUP_SUMS_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_KV_GROUP_SUMS_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"
#include "native/common/kv_plan.h"
#include "native/cpu/half-inl.h"
#include "native/cpu/nn/tree_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DVirtualInt = hn::RebindToSigned<DVirtual>;
using VVirtualInt = hn::Vec<DVirtualInt>;

constexpr int64_t kGroupsAtOnce = 16;

HWY_INLINE VVirtual LoadHalves(const uint16_t* halves) {
  return LoadFloats(DVirtual(), reinterpret_cast<const hwy::float16_t*>(halves));
}

// ---- Groups and their codes ---------------------------------------------------------------------------------------

// What codes are made from, groups in lanes: y = x inverse + shift, 0 for a group without codes.
struct GroupParams {
  VVirtualInt scale, zero;
  VVirtual inverse, shift;
};

// Some groups of a row, and their parameters.
struct GroupBlock {
  int64_t count;
  int64_t first[kGroupsAtOnce], size[kGroupsAtOnce];
  HWY_ALIGN int32_t scale[kGroupsAtOnce];
  HWY_ALIGN int32_t zero[kGroupsAtOnce];
  HWY_ALIGN float inverse[kGroupsAtOnce];
  HWY_ALIGN float shift[kGroupsAtOnce];

  HWY_INLINE void SetParams(int64_t i, const GroupParams& params) {
    const DVirtual d;
    const DVirtualInt di;
    hn::Store(params.scale, di, scale + i);
    hn::Store(params.zero, di, zero + i);
    hn::Store(params.inverse, d, inverse + i);
    hn::Store(params.shift, d, shift + i);
  }
};

// y rounded and limited.
class UniformCodes {
 public:
  explicit UniformCodes(int32_t bits) : most_(hn::Set(DVirtual(), static_cast<float>((1 << bits) - 1))) {}

  HWY_INLINE VVirtualInt Of(VVirtual y) const {
    const DVirtual d;
    const DVirtualInt di;
    // Adding it leaves an integer in the lowest bits, rounded to nearest even.
    const auto magic = hn::Set(d, 0x1p23f);
    const auto rounded = hn::Add(hn::Min(hn::Max(y, hn::Zero(d)), most_), magic);
    return hn::Sub(hn::BitCast(di, rounded), hn::BitCast(di, magic));
  }

 private:
  const VVirtual most_;
};

// The number of thresholds below y.
class LloydMaxCodes {
 public:
  LloydMaxCodes(const KvGrid& grid, int32_t bits) : grid_(grid), count_((1 << bits) - 1) {}

  HWY_INLINE VVirtualInt Of(VVirtual y) const {
    const DVirtualInt di;
    auto code = hn::Zero(di);
    for (int32_t t = 0; t < count_; ++t) {
      const auto below = hn::RebindMask(di, hn::Lt(hn::Set(DVirtual(), grid_.thresholds[t]), y));
      code = hn::Sub(code, hn::VecFromMask(di, below));
    }
    return code;
  }

 private:
  const KvGrid& grid_;
  const int32_t count_;
};

// ---- Together across groups ---------------------------------------------------------------------------------------

// Of vectors of 128 bits: lane i joined with lane i + half, down to one; v[g]'s result is lane g. v has as many vectors
// as they have lanes.
template <class D, class Join>
HWY_INLINE hn::Vec<D> JoinLanes(D d, hn::Vec<D>* v, const Join& join) {
  for (size_t half = hn::MaxLanes(d) / 2; half > 0; half /= 2) {
    for (size_t g = 0; g < half; ++g) {
      v[g] = join(hn::InterleaveLower(d, v[g], v[g + half]), hn::InterleaveUpper(d, v[g], v[g + half]));
    }
  }
  return v[0];
}

struct MinOf {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Min(a, b);
  }
};
struct MaxOf {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Max(a, b);
  }
};
struct SumOf {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Add(a, b);
  }
};

// The first steps of that, down to 128 bits.
template <class D, class Join>
HWY_INLINE auto JoinTo128(D /* tag */, hn::Vec<D> v, const Join& join) {
  if constexpr (hn::MaxLanes(D()) * sizeof(hn::TFromD<D>) > 16) {
    const hn::Half<D> half;
    return JoinTo128(half, join(hn::LowerHalf(half, v), hn::UpperHalf(half, v)), join);
  } else {
    return v;
  }
}

// ---- Ranges -------------------------------------------------------------------------------------------------------

class GroupRanges {
 public:
  HWY_INLINE void Of(const uint16_t* HWY_RESTRICT x, const GroupBlock& block) {
    for (int64_t base = 0; base < kGroupsAtOnce; base += kAtOnce) {
      V8 lows[kAtOnce], highs[kAtOnce];
      for (int64_t g = 0; g < kAtOnce; ++g) {
        lows[g] = highs[g] = hn::Zero(D8());
        if (base + g < block.count) OfGroup(x + block.first[base + g], block.size[base + g], lows + g, highs + g);
      }
      const bool is_empty = base >= block.count;
      hn::Store(is_empty ? lows[0] : Ordered(D8(), JoinLanes(D8(), lows, MinOf())), D8(), low_ + base);
      hn::Store(is_empty ? highs[0] : Ordered(D8(), JoinLanes(D8(), highs, MaxOf())), D8(), high_ + base);
    }
  }
  HWY_INLINE VVirtual Low(int64_t i) const { return LoadHalves(reinterpret_cast<const uint16_t*>(low_ + i)); }
  HWY_INLINE VVirtual High(int64_t i) const { return LoadHalves(reinterpret_cast<const uint16_t*>(high_ + i)); }

 private:
  using D8 = hn::Full128<int16_t>;
  using V8 = hn::Vec<D8>;
  static constexpr int64_t kAtOnce = 8;

  // Halves as integers that have their order, and back.
  template <class D>
  static HWY_INLINE hn::Vec<D> Ordered(D d, hn::Vec<D> halves) {
    return hn::Xor(halves, hn::And(hn::ShiftRight<15>(halves), hn::Set(d, 0x7fff)));
  }

  static HWY_INLINE void OfGroup(const uint16_t* HWY_RESTRICT x, int64_t n, V8* low, V8* high) {
    const hn::CappedTag<int16_t, 16> d;
    const int64_t N = hn::MaxLanes(d);
    const auto* halves = reinterpret_cast<const int16_t*>(x);
    auto least = Ordered(d, hn::LoadU(d, halves)), most = least;
    for (int64_t i = N; i < n; i += N) {
      const auto v = Ordered(d, hn::LoadU(d, halves + i));
      least = hn::Min(least, v);
      most = hn::Max(most, v);
    }
    *low = JoinTo128(d, least, MinOf());
    *high = JoinTo128(d, most, MaxOf());
  }

  HWY_ALIGN int16_t low_[kGroupsAtOnce];
  HWY_ALIGN int16_t high_[kGroupsAtOnce];
};

// ---- Sums ---------------------------------------------------------------------------------------------------------

using D4 = hn::Full128<float>;
using V4 = hn::Vec<D4>;
constexpr int64_t kSumsAtOnce = 4;

// 16 virtual lanes down to 4, as TreeSum16 does.
HWY_INLINE V4 SumTo4(VVirtual (&v)[kVirtualVectors]) {
  for (int64_t step = kVirtualVectors / 2; step > 0; step /= 2) {
    for (int64_t i = 0; i < step; ++i) v[i] = hn::Add(v[i], v[i + step]);
  }
  return JoinTo128(DVirtual(), v[0], SumOf());
}

// Sums of squares.
struct GroupSquareSums {
  HWY_INLINE void Of(const uint16_t* HWY_RESTRICT x, const GroupBlock& block) {
    for (int64_t base = 0; base < kGroupsAtOnce; base += kSumsAtOnce) {
      V4 sums[kSumsAtOnce];
      for (int64_t g = 0; g < kSumsAtOnce; ++g) {
        const bool exists = base + g < block.count;
        sums[g] = exists ? OfGroup(x + block.first[base + g], block.size[base + g]) : hn::Zero(D4());
        n[base + g] = exists ? static_cast<float>(block.size[base + g]) : 1;
      }
      hn::Store(JoinLanes(D4(), sums, SumOf()), D4(), xx + base);
    }
  }

  HWY_ALIGN float n[kGroupsAtOnce];  // 1 for groups that do not exist
  HWY_ALIGN float xx[kGroupsAtOnce];

 private:
  static HWY_INLINE V4 OfGroup(const uint16_t* HWY_RESTRICT x, int64_t size) {
    VVirtual sum[kVirtualVectors];
    for (VVirtual& v : sum) v = hn::Zero(DVirtual());
    for (int64_t i = 0; i < size; i += kVirtualLanes) {
      for (int64_t j = 0; j < kVirtualVectors; ++j) {
        const auto v = LoadHalves(x + i + j * kRealLanes);
        sum[j] = hn::Add(sum[j], hn::Mul(v, v));
      }
    }
    return SumTo4(sum);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
