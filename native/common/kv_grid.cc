// Numbers of the quantiser: levels of codes, scales of eight bits.
#include <cmath>
#include <cstring>

#include "native/common/kv_plan.h"

namespace sylvester {
namespace {

// The positive half of the levels of least squared error for the normal distribution of variance 1 (Max 1960): each is
// the mean of the distribution between the midpoints to its neighbours. [log2 of the levels - 2].
constexpr double kLloydMax[3][8] = {
    {0.45278003463649201, 1.5104176084990954},
    {0.24509417894422167, 0.75600528120587728, 1.3439092785049999, 2.1519457045369873},
    {0.12839502985114701, 0.3880482994902903, 0.65675911853246338, 0.94234045648696137, 1.2562311973471772,
     1.6180463860218826, 2.0690172265313866, 2.7325895709951631},
};

constexpr uint8_t kLargest = 0xf7;  // the scale 61440

uint32_t BitsOf(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits;
}

}  // namespace

float KvPlan::Clip(int32_t what, int32_t bits) const {
  const bool keys = what == SYL_KV_KEYS;
  const int32_t more = bits - (keys ? options.bits_keys : options.bits_values);
  const float clip = keys ? options.clip_keys : options.clip_values;
  return more <= 0 ? clip : 1 - (1 - clip) / static_cast<float>(1 << more);
}

KvGrid KvPlan::Grid(int32_t bits) const {
  KvGrid grid = {};
  if (options.grid == SYL_KV_UNIFORM) {
    grid.zero_unit = options.integer_zero != 0 ? 1 : static_cast<float>(1 << bits) / 64;
    return grid;
  }
  const int32_t half = 1 << (bits - 1);
  const double* positive = kLloydMax[bits - 2];
  const double outer = positive[half - 1];
  const auto level = [&](int32_t code) {
    return 32 + 31 / outer * (code < half ? -positive[half - 1 - code] : positive[code - half]);
  };
  for (int32_t code = 0; code < 2 * half; ++code) {
    grid.levels[code] = static_cast<uint8_t>(std::lround(level(code)));
    if (code > 0) grid.thresholds[code - 1] = static_cast<float>(grid.levels[code - 1] + grid.levels[code]) / 2;
  }
  grid.zero_unit = 1;
  grid.rms_factor = static_cast<float>(outer / 31);
  return grid;
}

// Eight bits are bits 20..27 of a float whose exponent is biased by 15 instead of 127.
float KvScaleToFloat(uint8_t scale) {
  if (scale < 8) return static_cast<float>(scale) * 0x1p-17f;
  const uint32_t bits = (uint32_t{scale} + (112 << 3)) << 20;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

uint8_t KvScaleNearest(float x) {
  if (x >= 61440) return kLargest;
  if (x < 0x1p-14f) return static_cast<uint8_t>(std::nearbyint(x * 0x1p17f));
  const uint32_t bits = BitsOf(x);
  return static_cast<uint8_t>(((bits + 0x7ffff + (bits >> 20 & 1)) >> 20) - (112 << 3));
}

uint8_t KvScaleUp(float x) {
  if (x >= 61440) return kLargest;
  if (x < 0x1p-14f) return static_cast<uint8_t>(std::ceil(x * 0x1p17f));
  return static_cast<uint8_t>(((BitsOf(x) + 0xfffff) >> 20) - (112 << 3));
}

}  // namespace sylvester
