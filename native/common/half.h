// 16-bit floats, bit by bit.
#ifndef SYLVESTER_NATIVE_COMMON_HALF_H_
#define SYLVESTER_NATIVE_COMMON_HALF_H_

#include <cstdint>
#include <cstring>

namespace sylvester {

inline float FloatFromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

inline uint32_t BitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float FloatFromBf16(uint16_t h) { return FloatFromBits(static_cast<uint32_t>(h) << 16); }

inline float FloatFromF16(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
  const uint32_t magnitude = h & 0x7fff;
  // A half's bits, shifted into a float, are the half times 2^-112, subnormals included.
  const float scaled = FloatFromBits(magnitude << 13) * FloatFromBits(0x77800000);  // 2^112
  // Infinity and NaN have become 2^16 and more: only the exponent's bits are missing. No branch, so that loops are
  // vectorised.
  const uint32_t special = magnitude >= 0x7c00 ? 0x7f800000 : 0;
  return FloatFromBits(BitsOf(scaled) | special | sign);
}

// Round to nearest even; NaN becomes a quiet NaN.
inline uint16_t Bf16FromFloat(float value) {
  const uint32_t bits = BitsOf(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline uint16_t F16FromFloat(float value) {
  const uint32_t bits = BitsOf(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);  // rounds to 2^16 or more
  if (magnitude < 0x38800000) {
    // Subnormal: adding 0.5 lets the float's own rounding drop the bits below 2^-24.
    return static_cast<uint16_t>(sign | (BitsOf(FloatFromBits(magnitude) + 0.5f) - BitsOf(0.5f)));
  }
  return static_cast<uint16_t>(sign | (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13);
}

}  // namespace sylvester

#endif
