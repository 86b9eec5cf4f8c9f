#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <vector>

#include "tests/native/testing.h"

namespace {

struct Answer {
  uint32_t counter[4], key[2], out[4];
};

// The known answers for philox4x32 with 10 rounds that its authors publish (Random123, kat_vectors).
constexpr Answer kAnswers[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

TEST(Philox, KnownAnswers) {
  for (const Answer& answer : kAnswers) {
    uint32_t out[4];
    ASSERT_EQ(syl_philox4x32(answer.counter, answer.key, out), SYL_OK);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(out[i], answer.out[i]) << std::hex << answer.counter[0] << " word " << i;
  }
}

TEST(Philox, OutputMayBeTheCounter) {
  uint32_t words[4] = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};
  ASSERT_EQ(syl_philox4x32(words, kAnswers[2].key, words), SYL_OK);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(words[i], kAnswers[2].out[i]);
}

TEST(Philox, NullIsRefusedAndNamed) {
  uint32_t words[4] = {};
  EXPECT_REFUSED(syl_philox4x32(nullptr, words, words), SYL_NULL_ARGUMENT, "counter");
  EXPECT_REFUSED(syl_philox4x32(words, nullptr, words), SYL_NULL_ARGUMENT, "key");
  EXPECT_REFUSED(syl_philox4x32(words, words, nullptr), SYL_NULL_ARGUMENT, "out");
}

}  // namespace
