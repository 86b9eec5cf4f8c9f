#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "native/common/tier.h"
#include "tests/native/testing.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/native/nn/exp_test.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/nn/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

// n: a multiple of 16.
void ExpAll(const float* x, int64_t n, float* y) {
  const hn::ScalableTag<float> d;
  for (int64_t i = 0; i < n; i += static_cast<int64_t>(hn::Lanes(d))) {
    hn::StoreU(ExpF32(d, hn::LoadU(d, x + i)), d, y + i);
  }
}

void ExpNonPositiveAll(const float* x, int64_t n, float* y) {
  const hn::ScalableTag<float> d;
  for (int64_t i = 0; i < n; i += static_cast<int64_t>(hn::Lanes(d))) {
    hn::StoreU(ExpNonPositiveF32(d, hn::LoadU(d, x + i)), d, y + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {

using namespace sylvester_test;

using Exp = void (*)(const float*, int64_t, float*);
constexpr Exp kExp[kTierCount] = SYL_TIERS(ExpAll);
constexpr Exp kExpNonPositive[kTierCount] = SYL_TIERS(ExpNonPositiveAll);

std::vector<float> Apply(const Exp (&table)[kTierCount], std::vector<float> x) {
  std::vector<float> y(x.size());
  table[CurrentTier()](x.data(), static_cast<int64_t>(x.size()), y.data());
  return y;
}

// Floats from all over the line: every 4099th bit pattern, and the neighbourhood of the bounds.
std::vector<float> Arguments() {
  std::vector<float> x;
  for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 4099) x.push_back(FromBits(static_cast<uint32_t>(bits)));
  for (const float center : {-104.0f, -103.972f, -88.0f, -87.68f, -87.3365f, 0.0f, 88.722839f, 89.0f}) {
    for (int step = -200; step <= 200; ++step) x.push_back(FromBits(ToBits(center) + static_cast<uint32_t>(step)));
  }
  for (const float special : {0.0f, -0.0f, kInfinity, -kInfinity, kNaN, -kNaN, 3e38f, -3e38f}) x.push_back(special);
  while (x.size() % 16 != 0) x.push_back(1);
  return x;
}

TEST(Exp, WithinOneUlpEverywhere) {
  const std::vector<float> x = Arguments();
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    const std::vector<float> y = Apply(kExp, x);
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i])) {
        ASSERT_TRUE(std::isnan(y[i])) << tier;
        continue;
      }
      const double error = UlpError(y[i], std::exp(static_cast<double>(x[i])));
      ASSERT_LE(error, IsFused(tier) ? 1.0 : 1.5) << tier << " exp(" << x[i] << ") = " << y[i];
      worst = std::max(worst, error);
    }
    RecordProperty("worst_ulp_" + tier, std::to_string(worst));
  }
}

TEST(Exp, Ends) {
  std::vector<float> x(16, 1);
  const float ends[] = {kInfinity, 1000, 88.8f, -kInfinity, -1000, -104, 0, -0.0f};
  const float want[] = {kInfinity, kInfinity, kInfinity, 0, 0, 0, 1, 1};
  std::copy(std::begin(ends), std::end(ends), x.begin());
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    const std::vector<float> y = Apply(kExp, x);
    for (size_t i = 0; i < std::size(ends); ++i) EXPECT_EQ(y[i], want[i]) << tier << " exp(" << ends[i] << ")";
  }
}

TEST(Exp, NonPositiveHasTheSameBitsUntilItIsZero) {
  std::vector<float> x = Arguments();
  for (float& value : x) value = value > 0 ? -value : value;
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    const std::vector<float> general = Apply(kExp, x), fast = Apply(kExpNonPositive, x);
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i])) {
        ASSERT_TRUE(std::isnan(fast[i]));
      } else if (x[i] < -87.69f) {
        ASSERT_EQ(fast[i], 0) << x[i];
      } else if (x[i] > -87.68f) {
        ASSERT_EQ(ToBits(fast[i]), ToBits(general[i])) << x[i];
      }
    }
  }
}

TEST(Exp, FusedTiersHaveTheSameBits) {
  const std::vector<float> x = Arguments();
  std::vector<float> first;
  for (const std::string& tier : SupportedTiers()) {
    if (!IsFused(tier)) continue;
    const TierGuard guard(tier);
    std::vector<float> y = Apply(kExp, x);
    for (float& value : y) value = std::isnan(value) ? 0 : value;
    if (first.empty()) first = y;
    EXPECT_TRUE(SameBits(y, first)) << tier;
  }
}

}  // namespace
}  // namespace sylvester
#endif
