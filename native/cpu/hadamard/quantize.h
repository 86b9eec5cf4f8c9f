// Scales and codes of groups: the definitions, in scalars.
#ifndef SYLVESTER_NATIVE_CPU_HADAMARD_QUANTIZE_H_
#define SYLVESTER_NATIVE_CPU_HADAMARD_QUANTIZE_H_

#include <sylvester/hadamard.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace sylvester {

// The largest code of a quantizer.
inline int32_t QuantizerLevels(int32_t quantizer) {
  return quantizer == SYL_HADAMARD_I8 ? 127 : quantizer == SYL_HADAMARD_U4 ? 15 : 3;
}

inline int32_t LowestCode(int32_t levels) { return levels == 127 ? -127 : 0; }

// What scale and zero of a group are made of.
struct GroupRange {
  int32_t magnitude = 0;  // bits of max |z|; infinity or NaN when one of the floats is
  float low = std::numeric_limits<float>::infinity();
  float high = -std::numeric_limits<float>::infinity();

  void Extend(float z) {
    const float magnitude_of_z = std::fabs(z);
    int32_t bits;
    std::memcpy(&bits, &magnitude_of_z, sizeof(bits));
    if (bits > magnitude) magnitude = bits;
    if (z < low) low = z;
    if (z > high) high = z;
  }
};

struct GroupScale {
  float scale;
  float zero;  // 0 for int8

  static GroupScale Of(const GroupRange& range, int32_t levels) {
    float largest;
    std::memcpy(&largest, &range.magnitude, sizeof(largest));
    // + 0: a zero has no sign.
    const float zero = levels == 127 ? 0.0f : range.low + 0.0f;
    const float span = levels == 127 ? largest : range.high + 0.0f - zero;
    if (std::isfinite(largest) && std::isfinite(span)) return {span / static_cast<float>(levels), zero};
    return {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::quiet_NaN()};
  }

  // The scale and its reciprocal are normal floats.
  bool IsNormal() const {
    return scale >= std::numeric_limits<float>::min() && scale <= 1 / std::numeric_limits<float>::min();
  }

  // Every code is 0 without.
  bool HasCodes() const { return std::isfinite(scale) && scale != 0; }

  // With codes only.
  int8_t Code(float z, int32_t levels) const {
    const float code = std::nearbyint((levels == 127 ? z : z - zero) / scale);
    const auto lowest = static_cast<float>(LowestCode(levels)), highest = static_cast<float>(levels);
    return static_cast<int8_t>(code < lowest ? lowest : code > highest ? highest : code);
  }
};

}  // namespace sylvester

#endif
