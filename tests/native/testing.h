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
