#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <fstream>
#include <string>

namespace {

TEST(Tier, BestIsTheLastSupportedOne) {
  ASSERT_EQ(syl_tier_force(nullptr), SYL_OK);
  const std::string supported = syl_tiers_supported();
  EXPECT_EQ(supported.substr(supported.find_last_of(' ') + 1), syl_tier());
}

#if defined(__x86_64__) && defined(__linux__)
// The kernel's own list of features, read independently of the library's detection.
TEST(Tier, AgreesWithProcCpuinfo) {
  std::ifstream cpuinfo("/proc/cpuinfo");
  std::string line, flags;
  while (std::getline(cpuinfo, line)) {
    if (line.rfind("flags", 0) == 0) {
      flags = line + " ";
      break;
    }
  }
  const auto has = [&](const char* flag) { return flags.find(std::string(" ") + flag + " ") != std::string::npos; };
  std::string expected = "sse4";
  if (has("avx2") && has("fma") && has("bmi1") && has("bmi2") && has("f16c")) {
    expected += " avx2";
    if (has("avx512f") && has("avx512vl") && has("avx512dq") && has("avx512bw")) {
      expected += " avx512";
      if (has("avx512_vnni")) expected += " avx512vnni";
    }
  }
  EXPECT_EQ(expected, syl_tiers_supported());
}
#endif

TEST(Tier, UnknownNameIsRefusedAndNamed) {
  const std::string before = syl_tier();
  EXPECT_EQ(syl_tier_force("avx1024"), SYL_BAD_VALUE);
  EXPECT_NE(std::string(syl_last_error()).find("avx1024"), std::string::npos) << syl_last_error();
  EXPECT_EQ(before, syl_tier());
}

}  // namespace
