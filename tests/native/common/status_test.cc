#include "native/common/status.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>

#include "tests/native/testing.h"

namespace {

TEST(Status, EveryCodeHasItsMessage) {
  std::set<std::string> messages;
  for (syl_status status = SYL_OK; status <= SYL_INTERNAL; ++status) messages.insert(syl_status_message(status));
  EXPECT_EQ(messages.size(), static_cast<size_t>(SYL_INTERNAL + 1));
  const std::string unknown = syl_status_message(12345);
  EXPECT_EQ(messages.count(unknown), 0u);
  EXPECT_EQ(unknown, syl_status_message(-1));
}

TEST(Status, LastErrorBelongsToTheThread) {
  EXPECT_REFUSED(syl_tier_force("first"), SYL_BAD_VALUE, "first");
  std::thread other([] {
    EXPECT_STREQ(syl_last_error(), "");
    EXPECT_REFUSED(syl_tier_force("second"), SYL_BAD_VALUE, "second");
  });
  other.join();
  EXPECT_NE(std::string(syl_last_error()).find("first"), std::string::npos) << syl_last_error();
}

TEST(Status, LastErrorSurvivesASuccess) {
  EXPECT_REFUSED(syl_tier_force("no tier"), SYL_BAD_VALUE, "no tier");
  EXPECT_EQ(syl_tier_force(nullptr), SYL_OK);
  EXPECT_NE(std::string(syl_last_error()).find("no tier"), std::string::npos);
}

TEST(Status, LongTextIsCut) {
  const std::string name(100000, 'x');
  EXPECT_EQ(syl_tier_force(name.c_str()), SYL_BAD_VALUE);
  EXPECT_LT(std::string(syl_last_error()).size(), 512u);
}

TEST(Status, Versions) {
  EXPECT_EQ(syl_abi_version(), SYL_ABI_VERSION);
  EXPECT_STREQ(syl_version(), SYLVESTER_VERSION);
}

TEST(Checks, Overlap) {
  char bytes[16];
  EXPECT_TRUE(sylvester::Overlaps(bytes, 8, bytes + 7, 1));
  EXPECT_TRUE(sylvester::Overlaps(bytes + 7, 1, bytes, 8));
  EXPECT_TRUE(sylvester::Overlaps(bytes, 16, bytes + 4, 4));
  EXPECT_FALSE(sylvester::Overlaps(bytes, 8, bytes + 8, 8));
  EXPECT_FALSE(sylvester::Overlaps(bytes + 8, 8, bytes, 8));
  EXPECT_FALSE(sylvester::Overlaps(bytes, 0, bytes, 8));
}

TEST(Checks, Extent) {
  EXPECT_EQ(sylvester::Extent(0, 5, 7), 0);
  EXPECT_EQ(sylvester::Extent(1, 5, 7), 5);
  EXPECT_EQ(sylvester::Extent(3, 5, 7), 19);
  EXPECT_EQ(sylvester::Extent(3, 5, INT64_MAX / 2 + 1), -1);
  EXPECT_EQ(sylvester::Extent(2, INT64_MAX, 1), -1);
}

}  // namespace
