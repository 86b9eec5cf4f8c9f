// Bidirectional attention over a packed cache against plain loops in double, and against causal attention where the two
// are the same.
#include "tests/native/kv/attend_reference.h"

namespace {

using namespace sylvester_test;

constexpr int64_t kMaxRows = 64;  // of a KvText

// A text of `tokens` tokens, the newest `unpacked` of them appended at once, and what its queries read: the tokens
// before those as they are without them, and those as halves.
struct Bidirectional {
  Bidirectional(const KvAttendFixture& f, int64_t tokens, int64_t of_these, const uint8_t* sinks = nullptr)
      : in(f.model.geometry, tokens, 77), unpacked(of_these), text(f.plan.get(), f.model.geometry, tokens) {
    const syl_kv_geometry& g = f.model.geometry;
    const int64_t first = tokens - unpacked, channels = g.kv_heads * g.head_dim;
    const auto append = [&](int64_t from, int64_t rows) {
      text.Append(in, from, rows, sinks == nullptr ? nullptr : sinks + from);
    };
    for (int64_t t = 0; t < first; t += kMaxRows) append(t, std::min(kMaxRows, first - t));
    seen = SeenByNewest(f, text);
    if (unpacked == 0) return;
    append(first, unpacked);
    // A cache with a longer window keeps all of them as halves.
    const KvPlanPtr longer = f.WithWindow(static_cast<int32_t>((unpacked + 31) / 16 * 16));
    KvText halves(longer.get(), g, tokens);
    for (int64_t t = 0; t < tokens; t += kMaxRows) halves.Append(in, t, std::min(kMaxRows, tokens - t));
    seen.tokens = tokens;
    seen.keys.resize(static_cast<size_t>(tokens * channels));
    seen.values.resize(seen.keys.size());
    for (const auto& [what, to] : {std::pair(SYL_KV_KEYS, &seen.keys), std::pair(SYL_KV_VALUES, &seen.values)}) {
      EXPECT_EQ(syl_kv_dequantize_f32(halves.sequence(), 0, what, first, unpacked,
                                      &(*to)[static_cast<size_t>(first * channels)], channels),
                SYL_OK)
          << syl_last_error();
    }
  }

  KvTokens in;
  int64_t unpacked;
  KvText text;
  KvSeen seen;
};

void ExpectNearReference(const KvAttendFixture& f, const std::string& what, int64_t tokens, int64_t unpacked,
                         int64_t every, const uint8_t* sinks = nullptr) {
  SCOPED_TRACE(what + ", " + std::to_string(unpacked) + " of " + std::to_string(tokens) + " unpacked");
  const syl_kv_geometry& g = f.model.geometry;
  Bidirectional b(f, tokens, unpacked, sinks);
  if (testing::Test::HasFailure()) return;
  double worst = 0;
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    const std::vector<float> y = b.text.AttendBidirectional(b.in, 0, tokens, unpacked);
    for (int64_t row = 0; row < tokens; row += every) {
      for (int64_t head = 0; head < g.q_heads; ++head) {
        const KvExpected want = Reference(f, b.seen, b.in.q.At(row), head);
        const double distance = Distance(f, want, &y[static_cast<size_t>(row * g.q_heads * g.head_dim)], head);
        worst = std::max(worst, distance);
        ASSERT_LE(distance, 1) << tier << " row " << row << " head " << head;
      }
    }
  }
  EXPECT_GT(worst, 0.001) << "the tolerance is too wide to show anything";
}

bool HasWindow(const KvAttendFixture& f) { return f.Plan().options.window > 0; }

TEST(KvAttendBidirectional, PresetsMatchReference) {
  const KvAttendCase cases[] = {
      {"best", 2, 2, 64, 3},     {"best", 3, 2, 64, 3},      {"best", 4, 1, 128, 4},   {"best", 8, 1, 64, 1},
      {"quarot", 2, 2, 64, 2},   {"quarot", 4, 1, 96, 7},    {"turbo", 2, 1, 128, 5},  {"turbo", 3, 2, 80, 2, 16},
      {"turbo", 4, 1, 64, 6},    {"q8", 0, 2, 64, 2},        {"q4", 0, 1, 80, 3, 16},  {"rotatekv", 2, 4, 64, 2},
      {"rotatekv", 3, 3, 64, 2}, {"rotatekv", 4, 2, 128, 1}, {"quarot", 3, 1, 192, 2}, {"rotatekv", 2, 2, 64, 2, 32},
      {"best", 2, 1, 256, 2},
  };
  for (const KvAttendCase& c : cases) {
    const KvAttendFixture f(c);
    for (const int64_t unpacked : {0, 1, 29, 64}) {
      if (unpacked == 0 || HasWindow(f)) ExpectNearReference(f, Describe(c), 107, unpacked, 53);
      if (HasFatalFailure()) return;
    }
  }
}

// Several blocks of keys, soft caps, both orders of rotary pairs; and a text of which nothing is packed.
TEST(KvAttendBidirectional, LongTextsMatchReference) {
  for (const char* preset : {"best", "rotatekv"}) {
    for (const int32_t bits : {2, 4}) {
      const KvAttendCase c{preset, bits, 2, 64, 2, 32};
      ExpectNearReference(KvAttendFixture(c), Describe(c), 600, 50, 150);
      ExpectNearReference(KvAttendFixture(c, 5.0f, 0, 1), Describe(c) + " soft cap, interleaved", 120, 40, 60);
      ExpectNearReference(KvAttendFixture(c), Describe(c), 60, 60, 20);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(KvAttendBidirectional, SinksAreReadAsHalves) {
  const KvAttendCase c{"rotatekv", 2, 2, 64, 2, 32};
  const KvAttendFixture f(c);
  std::vector<uint8_t> sinks(100, 0);
  for (const int64_t t : {0, 15, 16, 37, 90}) sinks[static_cast<size_t>(t)] = 1;
  for (const int64_t unpacked : {0, 20, 64}) ExpectNearReference(f, Describe(c), 100, unpacked, 17, sinks.data());
}

// The newest query sees all tokens either way.
TEST(KvAttendBidirectional, IsCausalAttentionOfTheNewestToken) {
  for (const KvAttendCase& c : {KvAttendCase{"best", 2, 2, 64, 3}, KvAttendCase{"rotatekv", 2, 4, 64, 2},
                                KvAttendCase{"q4", 0, 2, 80, 1}, KvAttendCase{"turbo", 3, 1, 96, 2, 16}}) {
    const KvAttendFixture f(c);
    for (const int64_t tokens : {1, 15, 16, 100, 530}) {
      Bidirectional b(f, tokens, 0);
      EXPECT_TRUE(SameBits(b.text.AttendBidirectional(b.in, tokens - 1, 1, 0), b.text.Attend(b.in, tokens - 1, 1)))
          << Describe(c) << ", " << tokens << " tokens";
    }
  }
}

// Rows together, in threads, beside other sequences, and when the newest tokens have come and gone: the bits of a row.
TEST(KvAttendBidirectional, ARowsBitsDoNotDependOnOthers) {
  const KvAttendCase cases[] = {
      {"best", 2, 2, 64, 3}, {"best", 4, 3, 64, 3}, {"rotatekv", 2, 4, 64, 2, 32}, {"q4", 0, 2, 80, 1}};
  const Pool two = NewPool(2), four = NewPool(4);
  for (const KvAttendCase& c : cases) {
    SCOPED_TRACE(Describe(c));
    const KvAttendFixture f(c);
    const int64_t unpacked = HasWindow(f) ? 60 : 0;
    constexpr int64_t kTokens = 560;
    Bidirectional b(f, kTokens, unpacked);
    std::vector<float> alone;
    for (int64_t row = 0; row < kTokens; ++row) {
      const std::vector<float> y =
          b.text.AttendBidirectional(b.in, row, 1, unpacked, row % 3 == 0 ? two.get() : nullptr);
      alone.insert(alone.end(), y.begin(), y.end());
    }
    for (syl_pool* pool : {static_cast<syl_pool*>(nullptr), two.get(), four.get()}) {
      ASSERT_TRUE(SameBits(b.text.AttendBidirectional(b.in, 0, kTokens, unpacked, pool), alone));
    }
    if (unpacked == 0) continue;
    // Other tokens in their place, then they themselves in two appends.
    ASSERT_EQ(syl_kv_truncate(b.text.sequence(), kTokens - unpacked), SYL_OK) << syl_last_error();
    b.text.Append(b.in, 0, unpacked);
    ASSERT_FALSE(SameBits(b.text.AttendBidirectional(b.in, 0, kTokens, unpacked), alone));
    ASSERT_EQ(syl_kv_truncate(b.text.sequence(), kTokens - unpacked), SYL_OK) << syl_last_error();
    b.text.Append(b.in, kTokens - unpacked, 23);
    b.text.Append(b.in, kTokens - unpacked + 23, unpacked - 23);
    ASSERT_TRUE(SameBits(b.text.AttendBidirectional(b.in, 0, kTokens, unpacked), alone));
  }
}

TEST(KvAttendBidirectional, TiersWithFusedMultiplyAddAgree) {
  for (const KvAttendCase& c : {KvAttendCase{"best", 2, 2, 64, 3}, KvAttendCase{"rotatekv", 2, 2, 64, 2, 32}}) {
    const KvAttendFixture f(c);
    Bidirectional b(f, 300, 50);
    std::vector<float> first;
    for (const std::string& tier : SupportedTiers()) {
      if (!IsFused(tier)) continue;
      const TierGuard guard(tier);
      const std::vector<float> y = b.text.AttendBidirectional(b.in, 0, 300, 50);
      if (first.empty()) first = y;
      EXPECT_TRUE(SameBits(y, first)) << Describe(c) << " " << tier;
    }
  }
}

TEST(KvAttendBidirectional, ABatchOfTextsIsEachAlone) {
  const KvAttendFixture f({"best", 2, 2, 64, 2});
  const KvTokens in(f.model.geometry, 400, 12);
  KvText text(f.plan.get(), f.model.geometry, 1200);
  const std::vector<int64_t> lengths = {1, 300, 17, 64}, rows = {5, 3, 0, 70}, unpacked = {0, 40, 17, 64};
  std::vector<KvSequencePtr> owned;
  std::vector<syl_kv_sequence*> sequences;
  for (const int64_t length : lengths) {
    owned.push_back(text.NewSequence());
    sequences.push_back(owned.back().get());
    std::vector<uint8_t> workspace(1 << 20);
    for (int64_t t = 0; t < length; t += kMaxRows) {
      const int64_t some = std::min(kMaxRows, length - t);
      const syl_kv_batch batch = {sizeof(batch), 1, &sequences.back(), &some};
      ASSERT_EQ(syl_kv_append_f32(&batch, 0, in.k.At(t), in.k.stride, in.v.At(t), in.v.stride, nullptr,
                                  workspace.data(), 1 << 20, nullptr),
                SYL_OK)
          << syl_last_error();
    }
  }
  std::vector<float> alone;
  for (size_t i = 0, query = 0; i < 4; query += static_cast<size_t>(rows[i++])) {
    if (rows[i] == 0) continue;
    const std::vector<float> y =
        text.AttendBidirectional({sequences[i]}, in, static_cast<int64_t>(query), {rows[i]}, {unpacked[i]});
    alone.insert(alone.end(), y.begin(), y.end());
  }
  EXPECT_TRUE(SameBits(text.AttendBidirectional(sequences, in, 0, rows, unpacked), alone));
}

struct Call {
  std::vector<syl_kv_sequence*> sequences;
  std::vector<int64_t> rows, unpacked;
  int32_t layer = 0;
  bool without_unpacked = false;
};

// The error of both functions; nothing is written.
void ExpectRefused(const KvTokens& in, const Call& c, syl_status status, const std::string& message) {
  const syl_kv_batch batch = {sizeof(batch), static_cast<int32_t>(c.sequences.size()), c.sequences.data(),
                              c.rows.data()};
  const int64_t* unpacked = c.without_unpacked ? nullptr : c.unpacked.data();
  int64_t bytes = 7;
  EXPECT_REFUSED(syl_kv_attend_bidirectional_workspace(&batch, c.layer, unpacked, 1, &bytes), status, message);
  EXPECT_EQ(bytes, 7);
  std::vector<uint8_t> workspace(1 << 20);
  std::vector<float> y(1 << 16, 3.0f);
  EXPECT_REFUSED(syl_kv_attend_bidirectional_f32(&batch, c.layer, unpacked, in.q.At(0), in.q.stride, y.data(), 256,
                                                 workspace.data(), 1 << 20, nullptr),
                 status, message);
  EXPECT_EQ(std::count(y.begin(), y.end(), 3.0f), 1 << 16);
}

TEST(KvAttendBidirectional, RefusesBadArguments) {
  const KvAttendFixture f({"best", 2, 2, 64, 2});
  Bidirectional b(f, 200, 64);
  syl_kv_sequence* const text = b.text.sequence();
  const KvSequencePtr empty = b.text.NewSequence();
  ExpectRefused(b.in, {{text}, {3}, {0}, 0, true}, SYL_NULL_ARGUMENT, "unpacked is NULL");
  ExpectRefused(b.in, {{text}, {3}, {0}, 1}, SYL_BAD_VALUE, "layer is 1, must be 0..0");
  ExpectRefused(b.in, {{text}, {-1}, {0}}, SYL_BAD_VALUE, "rows[0] is -1, must be 0..2147483647");
  ExpectRefused(b.in, {{text}, {3}, {-1}}, SYL_BAD_VALUE, "unpacked[0] is -1, must be 0..");
  ExpectRefused(b.in, {{text, empty.get()}, {3, 1}, {64, 0}}, SYL_BAD_VALUE,
                "rows[1] is 1, must be 0 for a sequence without tokens");
  ExpectRefused(b.in, {{text, empty.get()}, {3, 0}, {64, 1}}, SYL_BAD_VALUE,
                "unpacked[1] is 1, must be 0..0 for the sequence's 0 tokens");
  int64_t least = 0;
  ASSERT_EQ(syl_kv_truncatable(text, &least), SYL_OK);
  ASSERT_LE(least, 200 - 64);
  b.text.AttendBidirectional(b.in, 0, 3, 200 - least);
  ExpectRefused(b.in, {{text}, {3}, {200 - least + 1}}, SYL_BAD_VALUE,
                "unpacked[0] is " + std::to_string(201 - least) + ", must be 0.." + std::to_string(200 - least) +
                    " for the sequence's 200 tokens");

  // Workspace and queries, as causal attention.
  const int64_t rows = 2, unpacked = 64;
  const syl_kv_batch batch = {sizeof(batch), 1, &text, &rows};
  int64_t bytes = 0;
  EXPECT_REFUSED(syl_kv_attend_bidirectional_workspace(&batch, 0, &unpacked, 0, &bytes), SYL_BAD_VALUE,
                 "threads is 0, must be 1..256");
  EXPECT_REFUSED(syl_kv_attend_bidirectional_workspace(&batch, 0, &unpacked, 1, nullptr), SYL_NULL_ARGUMENT,
                 "bytes is NULL");
  ASSERT_EQ(syl_kv_attend_bidirectional_workspace(&batch, 0, &unpacked, 1, &bytes), SYL_OK) << syl_last_error();
  std::vector<uint8_t> workspace(static_cast<size_t>(bytes));
  std::vector<float> y(2 * 256);
  const auto attend = [&](const float* q, float* to, void* scratch, int64_t scratch_bytes) {
    return syl_kv_attend_bidirectional_f32(&batch, 0, &unpacked, q, b.in.q.stride, to, 256, scratch, scratch_bytes,
                                           nullptr);
  };
  EXPECT_REFUSED(attend(b.in.q.At(0), y.data(), workspace.data(), bytes - 1), SYL_WORKSPACE, "workspace_bytes is");
  EXPECT_REFUSED(attend(b.in.q.At(0), y.data(), nullptr, bytes), SYL_NULL_ARGUMENT, "workspace is NULL");
  EXPECT_REFUSED(attend(nullptr, y.data(), workspace.data(), bytes), SYL_NULL_ARGUMENT, "q is NULL");
  EXPECT_REFUSED(attend(b.in.q.At(0), b.in.q.At(1), workspace.data(), bytes), SYL_OVERLAP, "y overlaps q");
  b.in.q.At(1)[3] = INFINITY;
  EXPECT_REFUSED(attend(b.in.q.At(0), y.data(), workspace.data(), bytes), SYL_BAD_DATA, "q");
}

TEST(KvAttendBidirectional, RefusesPlansAndSequencesWithoutTheHalves) {
  const KvAttendFixture packed({"q8", 0, 2, 64, 2});
  Bidirectional all(packed, 40, 0);
  ExpectRefused(all.in, {{all.text.sequence()}, {3}, {1}}, SYL_BAD_VALUE,
                "unpacked[0] is 1, must be 0..0 for the sequence's 40 tokens");
  const KvAttendFixture sliding({"best", 2, 2, 64, 2}, 0, 100);
  KvText text(sliding.plan.get(), sliding.model.geometry, 64);
  const KvTokens in(sliding.model.geometry, 64, 5);
  text.Append(in, 0, 64);
  ExpectRefused(in, {{text.sequence()}, {3}, {0}}, SYL_UNSUPPORTED,
                "layer is 0, but its sliding window of 100 needs causal attention");
  // A copy has the window of the newest token only.
  const KvAttendFixture f({"best", 2, 2, 64, 2});
  Bidirectional b(f, 200, 64);
  std::vector<uint8_t> file;
  int64_t bytes = 0;
  ASSERT_EQ(syl_kv_save_size(b.text.sequence(), &bytes), SYL_OK);
  file.resize(static_cast<size_t>(bytes));
  ASSERT_EQ(syl_kv_save(b.text.sequence(), file.data(), bytes), SYL_OK);
  syl_kv_sequence* loaded = nullptr;
  ASSERT_EQ(syl_kv_load(b.text.cache(), file.data(), bytes, &loaded), SYL_OK) << syl_last_error();
  const KvSequencePtr owner(loaded, &syl_kv_sequence_free);
  ExpectRefused(b.in, {{loaded}, {3}, {9}}, SYL_BAD_VALUE, "unpacked[0] is 9, must be 0..8");
  EXPECT_TRUE(
      SameBits(b.text.AttendBidirectional({loaded}, b.in, 0, {3}, {8}), b.text.AttendBidirectional(b.in, 0, 3, 8)));
}

}  // namespace
