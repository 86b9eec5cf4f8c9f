// What the tests of several families need: tiers, pools, comparison of bits.
#ifndef SYLVESTER_TESTS_NATIVE_TESTING_H_
#define SYLVESTER_TESTS_NATIVE_TESTING_H_

#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace sylvester_test {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

inline std::vector<std::string> SupportedTiers() {
  std::istringstream names(syl_tiers_supported());
  std::vector<std::string> tiers;
  for (std::string name; names >> name;) tiers.push_back(name);
  return tiers;
}

// Tier sse4 rounds product and sum of a multiply-add separately; all others have the same bits.
inline bool IsFused(const std::string& tier) { return tier != "sse4"; }

class TierGuard {
 public:
  explicit TierGuard(const std::string& name) { EXPECT_EQ(syl_tier_force(name.c_str()), SYL_OK); }
  ~TierGuard() { syl_tier_force(nullptr); }
  TierGuard(const TierGuard&) = delete;
  TierGuard& operator=(const TierGuard&) = delete;
};

using Pool = std::unique_ptr<syl_pool, decltype(&syl_pool_free)>;

inline Pool NewPool(int32_t threads) {
  syl_pool* pool = nullptr;
  EXPECT_EQ(syl_pool_new(threads, &pool), SYL_OK) << syl_last_error();
  return Pool(pool, &syl_pool_free);
}

inline float FromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

inline uint32_t ToBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Rows with NaN in the gaps between them.
struct Rows {
  Rows(int64_t rows_, int64_t cols_, uint32_t seed, float deviation = 1, int64_t gap = 3)
      : rows(rows_), cols(cols_), stride(cols_ + gap), data(static_cast<size_t>(rows_ * (cols_ + gap)), kNaN) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, deviation);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) At(r)[c] = normal(random);
    }
  }
  float* At(int64_t row) { return data.data() + row * stride; }
  const float* At(int64_t row) const { return data.data() + row * stride; }

  int64_t rows, cols, stride;
  std::vector<float> data;
};

// |got - want| in units of the last place of a float near want.
inline double UlpError(float got, double want) {
  if (got == static_cast<float>(want)) return 0;  // infinities too
  const int exponent = want == 0 ? -126 : std::max(std::ilogb(want), -126);
  return std::fabs(got - want) / std::ldexp(1.0, exponent - 23);
}

}  // namespace sylvester_test

// A refusal that names what is wrong.
#define EXPECT_REFUSED(call, status, text)                                                      \
  do {                                                                                          \
    EXPECT_EQ(call, status);                                                                    \
    EXPECT_NE(std::string(syl_last_error()).find(text), std::string::npos) << syl_last_error(); \
  } while (0)

#endif
