// The integer part of the matrix product of block types: half a step of codes in registers, times rows of q.
#if defined(SYLVESTER_NATIVE_CPU_NN_WEIGHT_CODES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_WEIGHT_CODES_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_WEIGHT_CODES_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_WEIGHT_CODES_INL_H_
#endif

#include "hwy/highway.h"
#include "native/cpu/nn/dot_i16-inl.h"
#include "native/cpu/nn/matmul.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

// Codes of k 16 kHalf and up, for the outputs of one vector. kPairs: groups of IsPaired() use Winograd's identity,
//
//   c0 q0 + c2 q2 = (c0 + q2) (c2 + q0) - c0 c2 - q0 q2    (and so k 1 and 3)
//
// one product for two, and additions on units that would be idle. The sums of c0 c2 and of q0 q2 concern a step alone
// and are taken off there, once for all rows or outputs.
template <int kBits, int kHalf, bool kVnni, bool kPairs>
class HalfStep {
 public:
  static constexpr int64_t kHalfGroups = kGroups / 2;

  // step: the packed codes of the vector's outputs.
  explicit HWY_INLINE HalfStep(const uint8_t* HWY_RESTRICT step) {
    Unpack<0>(step);
    Unpack<1>(step);
    Unpack<2>(step);
    Unpack<3>(step);
  }

  // sum + the products of a group's codes and row, less what pairs add. Exactly, modulo 2^32.
  HWY_INLINE VI32 AddGroup(VI32 sum, int64_t group, const QuantizedStep& row) const {
    const int64_t group_of_step = kHalf * kHalfGroups + group;
    const int16_t* q = row.q + 4 * group_of_step;
    const VI16 k01 = codes_[2 * group], k23 = codes_[2 * group + 1];
    if (kPairs && IsPaired(group_of_step)) {
      return AddDotPairs<kVnni>(sum, hn::Add(k23, SetPair(q)), hn::Add(k01, SetPair(q + 2)));
    }
    return AddDotPairs<kVnni>(AddDotPairs<kVnni>(sum, k01, q), k23, q + 2);
  }

  HWY_INLINE VI32 AddDot(VI32 sum, const QuantizedStep& row) const {
    for (int64_t g = 0; g < kHalfGroups; ++g) sum = AddGroup(sum, g, row);
    return sum;
  }

  // sum + the products of codes with codes that pairs add.
  HWY_INLINE VI32 AddPairProducts(VI32 sum) const {
    for (int64_t g = 0; g < kHalfGroups; ++g) {
      if (IsPaired(kHalf * kHalfGroups + g)) sum = AddDotPairs<kVnni>(sum, codes_[2 * g], codes_[2 * g + 1]);
    }
    return sum;
  }

 private:
  // A group's even and odd bytes.
  template <int kGroup>
  HWY_INLINE void Unpack(const uint8_t* HWY_RESTRICT step) {
    const hn::Vec<DU16> group = hn::BitCast(DU16(), LoadGroup<kGroup>(step));
    codes_[2 * kGroup] = hn::BitCast(DI16(), hn::And(group, hn::Set(DU16(), 0xff)));
    codes_[2 * kGroup + 1] = hn::BitCast(DI16(), hn::ShiftRight<8>(group));
  }

  // Shifts move bits between bytes; every mask drops what came from the neighbour.
  template <int kShift>
  static HWY_INLINE VU8 ShiftedLeft(VU8 v) {
    if constexpr (kShift >= 0) {
      return hn::BitCast(DU8(), hn::ShiftLeft<kShift>(hn::BitCast(DU16(), v)));
    } else {
      return hn::BitCast(DU8(), hn::ShiftRight<-kShift>(hn::BitCast(DU16(), v)));
    }
  }

  template <int kGroup>
  static HWY_INLINE VU8 LoadGroup(const uint8_t* HWY_RESTRICT step) {
    constexpr int kOfStep = kHalf * kHalfGroups + kGroup;
    if constexpr (kBits == 8) {
      return hn::Load(DU8(), step + kOfStep * kGroupBytes);
    } else {
      const VU8 low_bits =
          hn::And(ShiftedLeft<-4 * kHalf>(hn::Load(DU8(), step + kGroup * kGroupBytes)), hn::Set(DU8(), 0x0f));
      const uint8_t* planes = step + kHalfGroups * kGroupBytes;
      if constexpr (kBits == 5) {
        const VU8 plane = hn::Load(DU8(), planes);
        return hn::OrAnd(low_bits, ShiftedLeft<4 - kOfStep>(plane), hn::Set(DU8(), 0x10));
      } else if constexpr (kBits == 6) {
        const VU8 plane = hn::Load(DU8(), planes + kHalf * kGroupBytes);
        return hn::OrAnd(low_bits, ShiftedLeft<4 - 2 * kGroup>(plane), hn::Set(DU8(), 0x30));
      }
      return low_bits;
    }
  }

  VI16 codes_[2 * kHalfGroups];  // pairs of k in ascending order
};

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
