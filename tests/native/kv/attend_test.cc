// Attention over a packed cache against plain loops in double over what the cache holds, and the independence of its
// bits from how work is cut.
#include "tests/native/kv/attend_reference.h"

namespace {

using namespace sylvester_test;

using Case = KvAttendCase;
using Fixture = KvAttendFixture;

// Appends token by token and compares every `every`-th.
void ExpectNearReference(const Fixture& f, const std::string& what, int64_t tokens, int64_t every,
                         const uint8_t* sinks = nullptr) {
  SCOPED_TRACE(what);
  const syl_kv_geometry& g = f.model.geometry;
  const KvTokens in(g, tokens, 77);
  KvText text(f.plan.get(), g, tokens);
  double worst = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    text.Append(in, t, 1, sinks == nullptr ? nullptr : sinks + t);
    if (testing::Test::HasFatalFailure()) return;
    if (t % every != 0 && t + 1 != tokens && t > 2) continue;
    const KvSeen seen = SeenByNewest(f, text);
    for (const std::string& tier : SupportedTiers()) {
      const TierGuard guard(tier);
      const std::vector<float> y = text.Attend(in, t, 1);
      for (int64_t head = 0; head < g.q_heads; ++head) {
        const double distance = Distance(f, Reference(f, seen, in.q.At(t), head), y.data(), head);
        worst = std::max(worst, distance);
        ASSERT_LE(distance, 1) << tier << " token " << t << " head " << head;
      }
    }
  }
  EXPECT_GT(worst, 0.001) << "the tolerance is too wide to show anything";
}

TEST(KvAttend, PresetsMatchReference) {
  const Case cases[] = {
      {"best", 2, 2, 64, 3},     {"best", 3, 2, 64, 3},      {"best", 4, 1, 128, 4},   {"best", 8, 1, 64, 1},
      {"quarot", 2, 2, 64, 2},   {"quarot", 4, 1, 96, 7},    {"turbo", 2, 1, 128, 5},  {"turbo", 3, 2, 80, 2},
      {"turbo", 4, 1, 64, 6},    {"q8", 0, 2, 64, 2},        {"q4", 0, 1, 80, 3},      {"rotatekv", 2, 4, 64, 2},
      {"rotatekv", 3, 3, 64, 2}, {"rotatekv", 4, 2, 128, 1}, {"quarot", 3, 1, 192, 2}, {"best", 2, 1, 256, 2},
  };
  for (const Case& c : cases) {
    const Fixture f(c);
    ExpectNearReference(f, Describe(c), 75, 13);
    if (HasFatalFailure()) return;
  }
}

// Integer sums as large as they get: nearly every code, query and weight is the largest one.
TEST(KvAttend, TheLargestSumsFit) {
  for (const int32_t bits : {2, 3, 4, 8}) {
    for (const char* preset : {"q4", "turbo"}) {
      if (preset == std::string("turbo") && bits == 8) continue;
      const Case c{preset, bits, 1, 256, 3};
      SCOPED_TRACE(Describe(c));
      Fixture f(c);
      syl_kv_options options = Preset(preset, preset == std::string("q4") ? 0 : bits);
      options.bits_keys = options.bits_values = bits;
      options.group_keys = options.group_values = 256;
      options.rotate_keys = options.rotate_values = SYL_KV_ROTATE_NONE;
      f.plan = NewKvPlan(f.model.geometry, options);
      constexpr int64_t kTokens = 512;
      KvTokens in(f.model.geometry, kTokens, 3);
      std::fill(in.q.data.begin(), in.q.data.end(), 1.0f);
      for (int64_t t = 0; t < kTokens; ++t) {
        // Few tokens lose against the others, unless sums are wrong.
        for (int64_t channel = 0; channel < 256; ++channel) {
          in.k.At(t)[channel] = channel == 0 ? 0 : t % 16 == 5 ? 0.5f : 1;
          in.v.At(t)[channel] = channel == 0 ? 0 : t % 16 == 5 ? -1.0f : 1;
        }
      }
      KvText text(f.plan.get(), f.model.geometry, kTokens, kTokens);
      text.Append(in, 0, kTokens);
      const KvSeen seen = SeenByNewest(f, text);
      for (const std::string& tier : SupportedTiers()) {
        const TierGuard guard(tier);
        const std::vector<float> y = text.Attend(in, kTokens - 1, 1);
        for (int64_t head = 0; head < 3; ++head) {
          EXPECT_LE(Distance(f, Reference(f, seen, in.q.At(kTokens - 1), head), y.data(), head), 1)
              << tier << " head " << head;
        }
      }
    }
  }
}

// Several blocks, sliding windows, soft caps, both orders of rotary pairs.
TEST(KvAttend, LongTextsMatchReference) {
  for (const char* preset : {"best", "rotatekv"}) {
    for (const int32_t bits : {2, 4}) {
      const Case c{preset, bits, 2, 64, 2};
      ExpectNearReference(Fixture(c), Describe(c), 600, 197);
      ExpectNearReference(Fixture(c, 5.0f, 0, 1), Describe(c) + " soft cap, interleaved", 120, 60);
      ExpectNearReference(Fixture(c, 0, 100), Describe(c) + " sliding", 330, 110);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(KvAttend, SinksAreReadAsHalves) {
  for (const char* preset : {"rotatekv", "best"}) {
    Case c{preset, 2, 2, 64, 2};
    const KvModel model(2, 64, 1, 2);
    syl_kv_options options = Preset(preset, 2);
    std::vector<uint8_t> sinks(100, 0);
    if (options.max_sinks > 0) {
      for (const int64_t t : {0, 15, 16, 37, 90}) sinks[static_cast<size_t>(t)] = 1;
    }
    ExpectNearReference(Fixture(c), Describe(c), 100, 17, sinks.data());
  }
}

// Rows together, in threads and beside other sequences: the bits of a row alone.
TEST(KvAttend, ARowsBitsDoNotDependOnOthers) {
  const Case cases[] = {{"best", 2, 2, 64, 3},
                        {"best", 4, 3, 64, 3},
                        {"rotatekv", 2, 4, 64, 2},
                        {"q4", 0, 2, 80, 1},
                        {"best", 2, 1, 128, 8, 16}};
  const Pool two = NewPool(2), four = NewPool(4);
  for (const Case& c : cases) {
    SCOPED_TRACE(Describe(c));
    const Fixture f(c);
    const syl_kv_geometry& g = f.model.geometry;
    constexpr int64_t kTokens = 560;
    const KvTokens in(g, kTokens, 5);
    const auto cols = static_cast<size_t>(g.q_heads * g.head_dim);
    std::vector<float> alone;
    {
      KvText text(f.plan.get(), g, kTokens);
      for (int64_t t = 0; t < kTokens; ++t) {
        text.Append(in, t, 1);
        const std::vector<float> y = text.Attend(in, t, 1, 0, t % 3 == 0 ? two.get() : nullptr);
        alone.insert(alone.end(), y.begin(), y.end());
      }
    }
    std::mt19937 random(8);
    for (syl_pool* pool : {static_cast<syl_pool*>(nullptr), two.get(), four.get()}) {
      KvText text(f.plan.get(), g, kTokens);
      for (int64_t t = 0; t < kTokens;) {
        const int64_t rows = std::min<int64_t>(1 + random() % 64, kTokens - t);
        text.Append(in, t, rows, nullptr, pool);
        const std::vector<float> y = text.Attend(in, t, rows, 0, pool);
        const std::vector<float> want(alone.begin() + static_cast<int64_t>(cols) * t,
                                      alone.begin() + static_cast<int64_t>(cols) * (t + rows));
        ASSERT_TRUE(SameBits(y, want)) << "tokens " << t << " .. " << t + rows - 1;
        t += rows;
      }
    }
  }
}

TEST(KvAttend, TiersWithFusedMultiplyAddAgree) {
  for (const Case& c : {Case{"best", 2, 2, 64, 3}, Case{"rotatekv", 2, 2, 64, 2}, Case{"turbo", 3, 1, 96, 2},
                        Case{"q8", 0, 1, 64, 5}}) {
    const Fixture f(c);
    const KvTokens in(f.model.geometry, 300, 6);
    KvText text(f.plan.get(), f.model.geometry, 300, 300);
    text.Append(in, 0, 300);
    std::vector<float> first;
    for (const std::string& tier : SupportedTiers()) {
      if (!IsFused(tier)) continue;
      const TierGuard guard(tier);
      const std::vector<float> y = text.Attend(in, 260, 40);
      if (first.empty()) first = y;
      EXPECT_TRUE(SameBits(y, first)) << Describe(c) << " " << tier;
    }
  }
}

TEST(KvAttend, ABatchOfTextsIsEachAlone) {
  const Case c{"best", 2, 2, 64, 2};
  const Fixture f(c);
  const syl_kv_geometry& g = f.model.geometry;
  const KvTokens in(g, 400, 12);
  KvText text(f.plan.get(), g, 1200);
  const int64_t lengths[] = {1, 300, 17, 64}, rows[] = {1, 3, 0, 16};
  std::vector<KvSequencePtr> owned;
  std::vector<syl_kv_sequence*> sequences;
  for (int64_t length : lengths) {
    owned.push_back(text.NewSequence());
    sequences.push_back(owned.back().get());
    for (int64_t t = 0; t < length; t += 50) {
      const int64_t some = std::min<int64_t>(50, length - t);
      const syl_kv_batch batch = {sizeof(batch), 1, &sequences.back(), &some};
      std::vector<uint8_t> workspace(1 << 20);
      ASSERT_EQ(syl_kv_append_f32(&batch, 0, in.k.At(t), in.k.stride, in.v.At(t), in.v.stride, nullptr,
                                  workspace.data(), 1 << 20, nullptr),
                SYL_OK)
          << syl_last_error();
    }
  }
  const auto attend = [&](syl_kv_sequence* const* of, int32_t count, const int64_t* of_rows, int64_t first_query) {
    const syl_kv_batch batch = {sizeof(batch), count, of, of_rows};
    int64_t bytes = 0, all = 0;
    for (int32_t i = 0; i < count; ++i) all += of_rows[i];
    EXPECT_EQ(syl_kv_attend_workspace(&batch, 0, 1, &bytes), SYL_OK) << syl_last_error();
    std::vector<uint8_t> workspace(static_cast<size_t>(bytes + 1));
    std::vector<float> y(static_cast<size_t>(all * g.q_heads * g.head_dim));
    EXPECT_EQ(syl_kv_attend_f32(&batch, 0, in.q.At(first_query), in.q.stride, y.data(), g.q_heads * g.head_dim,
                                workspace.data(), bytes, nullptr),
              SYL_OK)
        << syl_last_error();
    return y;
  };
  std::vector<float> alone;
  int64_t query = 0;
  for (int32_t i = 0; i < 4; ++i) {
    if (rows[i] == 0) continue;
    const std::vector<float> y = attend(&sequences[static_cast<size_t>(i)], 1, rows + i, query);
    alone.insert(alone.end(), y.begin(), y.end());
    query += rows[i];
  }
  EXPECT_TRUE(SameBits(attend(sequences.data(), 4, rows, 0), alone));
}

}  // namespace
