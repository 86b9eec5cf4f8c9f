#include "native/common/tier.h"

#include <atomic>
#include <cstring>

#include "native/common/status.h"

namespace sylvester {
namespace {

#if defined(__aarch64__)
constexpr const char* kNames[kTierCount] = {"neon"};
bool Supported(Tier) { return true; }
#else
constexpr const char* kNames[kTierCount] = {"sse4", "avx2", "avx512", "avx512vnni"};

#if defined(SYLVESTER_NO_AVX512)
constexpr bool kAvx512Compiled = false;
#else
constexpr bool kAvx512Compiled = true;
#endif

// Exactly the features that Highway's targets are compiled with.
bool Supported(Tier tier) {
  __builtin_cpu_init();
  const bool sse4 = __builtin_cpu_supports("sse4.2");
  const bool avx2 = sse4 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("f16c");
  const bool avx512 = kAvx512Compiled && avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw");
  switch (tier) {
    case kSse4: return sse4;
    case kAvx2: return avx2;
    case kAvx512: return avx512;
    default: return avx512 && __builtin_cpu_supports("avx512vnni");
  }
}
#endif

Tier Best() {
  int tier = kTierCount - 1;
  while (tier > 0 && !Supported(static_cast<Tier>(tier))) --tier;
  return static_cast<Tier>(tier);
}

std::atomic<int> current{-1};

}  // namespace

Tier CurrentTier() {
  int tier = current.load(std::memory_order_relaxed);
  if (tier < 0) {
    int expected = -1;
    // A tier forced meanwhile by another thread wins.
    tier = Best();
    if (!current.compare_exchange_strong(expected, tier, std::memory_order_relaxed)) tier = expected;
  }
  return static_cast<Tier>(tier);
}

}  // namespace sylvester

using namespace sylvester;

const char* syl_tier(void) { return kNames[CurrentTier()]; }

const char* syl_tiers_supported(void) {
  static const struct Names {
    char text[64] = "";
    Names() {
      for (int tier = 0; tier < kTierCount; ++tier) {
        if (!Supported(static_cast<Tier>(tier))) continue;
        if (text[0] != '\0') std::strcat(text, " ");
        std::strcat(text, kNames[tier]);
      }
    }
  } names;
  return names.text;
}

syl_status syl_tier_force(const char* name) {
  if (name == nullptr) {
    current.store(Best(), std::memory_order_relaxed);
    return SYL_OK;
  }
  for (int tier = 0; tier < kTierCount; ++tier) {
    if (std::strcmp(name, kNames[tier]) != 0) continue;
    SYL_REQUIRE(Supported(static_cast<Tier>(tier)), SYL_UNSUPPORTED,
                "name is \"%s\", but this processor supports only: %s", name, syl_tiers_supported());
    current.store(tier, std::memory_order_relaxed);
    return SYL_OK;
  }
  return Fail(SYL_BAD_VALUE, "syl_tier_force: name is \"%.32s\", not a tier; this processor supports: %s", name,
              syl_tiers_supported());
}
