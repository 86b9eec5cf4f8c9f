// What becomes of a text: forks, cuts, removed tokens; and who has which pages meanwhile.
#include <gtest/gtest.h>

#include <thread>

#include "native/cpu/kv/cache.h"
#include "tests/native/kv/store.h"

namespace {

using namespace sylvester_test;

syl_kv_memory MemoryOf(const KvSequencePtr& sequence) {
  syl_kv_memory memory = {};
  memory.struct_size = sizeof(memory);
  EXPECT_EQ(syl_kv_sequence_memory(sequence.get(), &memory), SYL_OK) << syl_last_error();
  return memory;
}

KvTokenList First(const KvTokenList& tokens, int64_t count) { return {tokens.begin(), tokens.begin() + count}; }

KvTokenList operator+(KvTokenList a, const KvTokenList& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class KvSequence : public testing::TestWithParam<int> {
 protected:
  const std::unique_ptr<KvCase> of_ = NewKvCase(GetParam());
};

TEST_P(KvSequence, AppendsInPartsAreOneAppend) {
  const KvStore store(*of_);
  const KvTokenList tokens = TokensFrom(1, 93);
  const KvSequencePtr whole = store.Make(tokens);
  for (const int64_t step : {1, 3, 16, 31}) ASSERT_NO_FATAL_FAILURE(ExpectSame(store, store.Make(tokens, step), whole));
}

// In particular nothing is left of the codes, scales and zeros of tokens in a tile that stays.
TEST_P(KvSequence, CutIsAsIfTheRestHadNeverBeen) {
  const KvStore store(*of_, {64, 32, 65});
  const KvTokenList tokens = TokensFrom(1, 65);
  for (int64_t length = 0; length <= 65; ++length) {
    SCOPED_TRACE(length);
    const KvSequencePtr sequence = store.Make(tokens), want = store.Make(First(tokens, length));
    ASSERT_EQ(syl_kv_truncate(sequence.get(), length), SYL_OK) << syl_last_error();
    ASSERT_NO_FATAL_FAILURE(ExpectSame(store, sequence, want));
    const KvTokenList other = TokensFrom(1000, 30);
    for (const KvSequencePtr* of : {&sequence, &want}) ASSERT_EQ(store.Append({of->get()}, {other}), SYL_OK);
    ASSERT_NO_FATAL_FAILURE(ExpectSame(store, sequence, want));
  }
}

TEST_P(KvSequence, ForksDoNotSeeEachOther) {
  const KvStore store(*of_);
  const KvTokenList tokens = TokensFrom(1, 40), left = TokensFrom(100, 30), right = TokensFrom(200, 30);
  for (const int64_t length : {0, 1, 15, 16, 32, 33, 40}) {
    SCOPED_TRACE(length);
    const KvSequencePtr source = store.Make(tokens), fork = store.Fork(source, length);
    ASSERT_EQ(store.Append({source.get(), fork.get()}, {left, right}), SYL_OK);
    ASSERT_NO_FATAL_FAILURE(ExpectSame(store, source, store.Make(tokens + left)));
    ASSERT_NO_FATAL_FAILURE(ExpectSame(store, fork, store.Make(First(tokens, length) + right)));
  }
}

TEST_P(KvSequence, CutOfASharedTileLeavesItToTheOthers) {
  const KvStore store(*of_);
  const KvTokenList tokens = TokensFrom(1, 64), others = TokensFrom(100, 40);
  const KvSequencePtr source = store.Make(tokens), fork = store.Fork(source, 64);
  ASSERT_EQ(syl_kv_truncate(source.get(), 39), SYL_OK) << syl_last_error();
  ASSERT_EQ(store.Append({source.get()}, {others}), SYL_OK);
  ASSERT_NO_FATAL_FAILURE(ExpectSame(store, fork, store.Make(tokens)));
  ASSERT_NO_FATAL_FAILURE(ExpectSame(store, source, store.Make(First(tokens, 39) + others)));
}

// Branches of a tree, one after the other in each layer: each sees the trunk and itself, and none leaves a trace.
TEST_P(KvSequence, BranchesOfALayerAreForgottenOneByOne) {
  const KvStore store(*of_, {64, 32, 65});
  for (const int64_t length : {1, 15, 16, 17, 32, 70}) {
    const KvTokenList trunk = TokensFrom(1, length);
    const KvSequencePtr sequence = store.Make(trunk);
    for (int32_t layer = 0; layer < of_->Layers(); ++layer) {
      for (const int64_t from : {0, 1, 5, 18, 3}) {
        SCOPED_TRACE(testing::Message() << length << " tokens, layer " << layer << ", branch at " << from);
        const KvTokenList shared = TokensFrom(500, from), branch = TokensFrom(1000 * (1 + from), 20 - from);
        ASSERT_EQ(syl_kv_truncate_layer(sequence.get(), layer, length), SYL_OK) << syl_last_error();
        ASSERT_EQ(store.AppendLayer({sequence.get()}, {shared + TokensFrom(9000, 7)}, layer), SYL_OK);
        ASSERT_EQ(syl_kv_truncate_layer(sequence.get(), layer, length + from), SYL_OK) << syl_last_error();
        ASSERT_EQ(store.AppendLayer({sequence.get()}, {branch}, layer), SYL_OK);
        const KvSequencePtr want = store.Make(trunk + shared + branch);
        ASSERT_TRUE(SameBits(store.Attend(sequence, layer, 20), store.Attend(want, layer, 20)));
      }
    }
    ASSERT_EQ(syl_kv_truncate(sequence.get(), length), SYL_OK) << syl_last_error();
    ASSERT_NO_FATAL_FAILURE(ExpectSame(store, sequence, store.Make(trunk)));
    ASSERT_EQ(store.Append({sequence.get()}, {TokensFrom(300, 30)}), SYL_OK);
    ASSERT_NO_FATAL_FAILURE(ExpectSame(store, sequence, store.Make(trunk + TokensFrom(300, 30))));
  }
}

TEST(KvLayer, OnlyWhatNobodyElseReadsIsForgotten) {
  const auto of = NewKvCase(0);
  const KvStore store(*of);
  const KvSequencePtr text = store.Make(TokensFrom(1, 40));
  {
    const KvSequencePtr fork = store.Fork(text, 40);
    ASSERT_EQ(store.Append({text.get()}, {TokensFrom(100, 5)}), SYL_OK);
    EXPECT_REFUSED(syl_kv_truncate_layer(text.get(), 1, 31), SYL_BAD_VALUE, "another sequence has a tile");
    EXPECT_EQ(syl_kv_truncate_layer(text.get(), 1, 32), SYL_OK) << syl_last_error();
  }
  EXPECT_EQ(syl_kv_truncate_layer(text.get(), 1, 31), SYL_OK) << syl_last_error();
  EXPECT_REFUSED(syl_kv_truncate(text.get(), 31), SYL_BAD_VALUE, "45 tokens in layer 0 and 31 in layer 1");
  EXPECT_REFUSED(syl_kv_truncate_layer(text.get(), 1, 32), SYL_BAD_VALUE, "tokens is 32, must be 0..31");
  EXPECT_REFUSED(syl_kv_truncate_layer(text.get(), 2, 1), SYL_BAD_VALUE, "layer is 2, must be 0..1");
  EXPECT_REFUSED(syl_kv_truncate_layer(nullptr, 0, 0), SYL_NULL_ARGUMENT, "sequence");
  ASSERT_EQ(syl_kv_truncate_layer(text.get(), 0, 31), SYL_OK) << syl_last_error();
  ASSERT_NO_FATAL_FAILURE(ExpectSame(store, text, store.Make(TokensFrom(1, 31))));

  const auto window = NewKvCase(1);
  const KvStore recent(*window);
  const KvSequencePtr windowed = recent.Make(TokensFrom(1, 200));
  EXPECT_REFUSED(syl_kv_truncate_layer(windowed.get(), 0, 100), SYL_BAD_VALUE, "must be 0 or, for the window, ");
  EXPECT_EQ(syl_kv_truncate_layer(windowed.get(), 0, 0), SYL_OK);
}

TEST_P(KvSequence, ALayerMayBeAheadOfTheOthers) {
  const KvStore store(*of_);
  const KvTokenList tokens = TokensFrom(1, 300);
  const KvSequencePtr sequence = store.New();
  for (int32_t layer = 0; layer < of_->Layers(); ++layer) {
    for (int64_t i = 0; i < 300; i += 30) {
      const KvTokenList part(tokens.begin() + i, tokens.begin() + i + 30);
      ASSERT_EQ(store.AppendLayer({sequence.get()}, {part}, layer), SYL_OK) << syl_last_error();
      const KvSequencePtr want = store.Make(First(tokens, i + 30));
      ASSERT_TRUE(SameBits(store.Attend(sequence, layer, 30), store.Attend(want, layer, 30))) << layer << " " << i;
      int64_t length = -1;
      ASSERT_EQ(syl_kv_length(sequence.get(), layer, &length), SYL_OK);
      ASSERT_EQ(length, i + 30);
    }
    if (layer == 0) {
      syl_kv_sequence* fork = nullptr;
      std::vector<uint8_t> file(1 << 20);
      EXPECT_REFUSED(syl_kv_fork(sequence.get(), 1, &fork), SYL_BAD_VALUE, "300 tokens in layer 0 and 0 in layer 1");
      EXPECT_REFUSED(syl_kv_truncate(sequence.get(), 1), SYL_BAD_VALUE, "in layer 1");
      EXPECT_REFUSED(syl_kv_save(sequence.get(), file.data(), 1 << 20), SYL_BAD_VALUE, "in layer 1");
    }
  }
  ASSERT_NO_FATAL_FAILURE(ExpectSame(store, sequence, store.Make(tokens)));
}

TEST_P(KvSequence, AppendWithoutEnoughPagesChangesNoTextOfTheBatch) {
  const KvStore store(*of_, {5, 32, 48});
  const KvStore fresh(*of_);
  const KvTokenList tokens = TokensFrom(1, 48), more = TokensFrom(100, 48);
  const KvSequencePtr a = store.Make(tokens), b = store.Make(tokens), c = store.New();
  ASSERT_EQ(store.Append({a.get(), b.get()}, {more, TokensFrom(200, 1)}), SYL_OK);
  const int64_t used = store.UsedPages();
  EXPECT_REFUSED(store.Append({b.get(), a.get(), c.get()}, {more, more, more}), SYL_OUT_OF_MEMORY, "free");
  EXPECT_EQ(store.UsedPages(), used);
  ASSERT_NO_FATAL_FAILURE(ExpectSame(store, a, fresh.Make(tokens + more)));
  ASSERT_NO_FATAL_FAILURE(ExpectSame(store, b, fresh.Make(tokens + TokensFrom(200, 1))));
  ASSERT_NO_FATAL_FAILURE(ExpectSame(store, c, fresh.New()));
}

TEST_P(KvSequence, MemoryAddsUp) {
  const KvStore store(*of_);
  const syl_kv_plan_info plan = Describe(of_->plan);
  for (const int64_t length : {0, 1, 40, 100}) {
    SCOPED_TRACE(length);
    KvTokenList tokens = TokensFrom(1, length);
    if (length == 100 && of_->options.max_sinks > 0) tokens[50].sink = true;
    const KvSequencePtr sequence = store.Make(tokens);
    const syl_kv_memory m = MemoryOf(sequence);
    const int64_t window = of_->options.window;
    const int64_t packed = window == 0 ? length : std::max<int64_t>(0, (length / 16 - window / 16 + 1) * 16);
    const int64_t sinks =
        std::min<int64_t>(length, plan.first_tokens) + (length == 100 && of_->options.max_sinks > 0 ? 1 : 0);
    EXPECT_EQ(m.tokens, length);
    EXPECT_EQ(m.packed_tokens, packed);
    EXPECT_EQ(m.sink_tokens, sinks);
    // The only text has all the pages.
    EXPECT_EQ(m.codes_bytes + m.params_bytes + m.slack_bytes, store.UsedPages() * 2 * plan.tile_bytes);
    const double bits = (plan.bits_keys + plan.bits_values) / 2 * 2 * store.Channels() * of_->Layers();
    EXPECT_NEAR(static_cast<double>(m.codes_bytes + m.params_bytes), bits / 8 * packed, 1e-6);
    EXPECT_EQ(m.sink_bytes, (plan.first_tokens + plan.max_sinks) * plan.token_half_bytes);
    EXPECT_GE(m.window_bytes, window == 0 ? 0 : (48 + window - 1) * plan.token_half_bytes);
    EXPECT_EQ(m.codes_bytes + m.params_bytes + m.sink_bytes + m.window_bytes + m.table_bytes + m.slack_bytes,
              m.total_bytes);
    const int64_t used = m.codes_bytes + m.params_bytes + (sinks + length - packed) * plan.token_half_bytes;
    EXPECT_DOUBLE_EQ(m.ratio_vs_f16, length == 0 ? 1 : static_cast<double>(length * plan.token_half_bytes) / used);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, KvSequence, testing::Range(0, kKvCases));

TEST(KvPages, AreSharedByForksAndComeBack) {
  const auto of = NewKvCase(0);
  const KvStore store(*of, {8, 32, 48});
  EXPECT_EQ(store.UsedPages(), 0);
  KvSequencePtr a = store.Make(TokensFrom(1, 64));
  EXPECT_EQ(store.UsedPages(), 2);
  KvSequencePtr b = store.Fork(a, 64);
  EXPECT_EQ(store.UsedPages(), 2);
  KvSequencePtr c = store.Fork(a, 63);  // a copy of the last tile
  EXPECT_EQ(store.UsedPages(), 3);
  a.reset();
  EXPECT_EQ(store.UsedPages(), 3);
  b.reset();
  EXPECT_EQ(store.UsedPages(), 3);  // of the second page c has one tile, and one of its own
  ASSERT_EQ(syl_kv_truncate(c.get(), 0), SYL_OK);
  EXPECT_EQ(store.UsedPages(), 0);
}

// Each step of a search goes on in a fork.
TEST(KvPages, AreFilledByChainsOfForks) {
  const auto of = NewKvCase(0);
  const KvStore store(*of, {8, 64, 48});
  KvSequencePtr text = store.New();
  for (uint32_t i = 0; i < 32; ++i) {
    text = store.Fork(text, 16 * i);
    ASSERT_EQ(store.Append({text.get()}, {TokensFrom(16 * i, 16)}), SYL_OK) << syl_last_error();
    EXPECT_EQ(store.UsedPages(), i / 4 + 1);
  }
  ASSERT_NO_FATAL_FAILURE(ExpectSame(store, text, KvStore(*of).Make(TokensFrom(0, 512))));
}

// Guesses that are taken back, at the end of a page.
TEST(KvPages, AreGoneBackTo) {
  const auto of = NewKvCase(0);
  const KvStore store(*of, {3, 32, 48});
  const KvSequencePtr text = store.Make(TokensFrom(0, 30));
  for (uint32_t i = 0; i < 50; ++i) {
    ASSERT_EQ(store.Append({text.get()}, {TokensFrom(30, 8)}), SYL_OK);
    EXPECT_EQ(store.UsedPages(), 2);
    ASSERT_EQ(syl_kv_truncate(text.get(), 30 - i % 20), SYL_OK);
    EXPECT_EQ(store.UsedPages(), 1);
    ASSERT_EQ(store.Append({text.get()}, {TokensFrom(30 - i % 20, i % 20)}), SYL_OK);
    EXPECT_EQ(store.UsedPages(), 1);
  }
}

TEST(KvPages, NoneForACopyLeavesBothTexts) {
  const auto of = NewKvCase(0);
  const KvStore store(*of, {2, 32, 48}), fresh(*of);
  const KvTokenList tokens = TokensFrom(1, 64);
  const KvSequencePtr a = store.Make(tokens);
  {
    const KvSequencePtr b = store.Fork(a, 64);
    syl_kv_sequence* c = nullptr;
    EXPECT_REFUSED(syl_kv_fork(a.get(), 63, &c), SYL_OUT_OF_MEMORY, "none is free");
    EXPECT_EQ(c, nullptr);
    EXPECT_REFUSED(syl_kv_truncate(a.get(), 20), SYL_OUT_OF_MEMORY, "none is free");
    ASSERT_NO_FATAL_FAILURE(ExpectSame(store, a, fresh.Make(tokens)));
    ASSERT_NO_FATAL_FAILURE(ExpectSame(store, b, fresh.Make(tokens)));
    EXPECT_EQ(store.UsedPages(), 2);
  }
  ASSERT_EQ(syl_kv_truncate(a.get(), 20), SYL_OK);
  EXPECT_EQ(store.UsedPages(), 1);
}

TEST(KvPages, ACopyTakesATileThatTheCutGivesBack) {
  const auto of = NewKvCase(0);
  const KvStore store(*of, {2, 32, 48}), fresh(*of);
  const KvTokenList tokens = TokensFrom(1, 64);
  const KvSequencePtr a = store.Make(First(tokens, 32)), b = store.Fork(a, 32);
  ASSERT_EQ(store.Append({a.get()}, {TokensFrom(33, 32)}), SYL_OK);
  ASSERT_EQ(syl_kv_truncate(a.get(), 20), SYL_OK) << syl_last_error();
  ASSERT_NO_FATAL_FAILURE(ExpectSame(store, a, fresh.Make(First(tokens, 20))));
  ASSERT_NO_FATAL_FAILURE(ExpectSame(store, b, fresh.Make(First(tokens, 32))));
}

TEST(KvWindow, LimitsCuts) {
  const auto of = NewKvCase(1);  // 32 tokens
  const KvStore store(*of, {64, 32, 20});
  const KvTokenList tokens = TokensFrom(1, 200);
  const KvSequencePtr text = store.Make(tokens);
  int64_t least = -1;
  ASSERT_EQ(syl_kv_truncatable(text.get(), &least), SYL_OK);
  // The ring has 4 tiles for 20 + 31 tokens, here of tokens 144..207.
  EXPECT_EQ(least, 160);
  EXPECT_REFUSED(syl_kv_truncate(text.get(), 159), SYL_BAD_VALUE,
                 "tokens is 159, must be 0 or, for the window, 160..200");
  syl_kv_sequence* fork = nullptr;
  EXPECT_REFUSED(syl_kv_fork(text.get(), 159, &fork), SYL_BAD_VALUE, "160..200");
  ASSERT_EQ(syl_kv_truncate(text.get(), 160), SYL_OK);
  ASSERT_NO_FATAL_FAILURE(ExpectSame(store, text, store.Make(First(tokens, 160))));
  ASSERT_EQ(store.Append({text.get()}, {TokensFrom(161, 5)}), SYL_OK);
  ASSERT_EQ(syl_kv_truncatable(text.get(), &least), SYL_OK);
  EXPECT_EQ(least, 160);
  ASSERT_EQ(syl_kv_truncate(text.get(), 0), SYL_OK);
  ASSERT_EQ(syl_kv_truncatable(text.get(), &least), SYL_OK);
  EXPECT_EQ(least, 0);
}

// What a fork or a saved text does not have, queries cannot read.
TEST(KvWindow, LimitsRowsOfAttention) {
  const auto of = NewKvCase(1);
  const KvStore store(*of, {64, 32, 20});
  const KvSequencePtr text = store.Load(Saved(store.Make(TokensFrom(1, 204))));
  syl_kv_sequence* sequence = text.get();
  for (const int64_t rows : {12, 13, 14}) {
    const syl_kv_batch batch = {sizeof(batch), 1, &sequence, &rows};
    int64_t bytes = 0;
    if (rows <= 13) {
      EXPECT_EQ(syl_kv_attend_workspace(&batch, 0, 1, &bytes), SYL_OK) << syl_last_error();
    } else {
      EXPECT_REFUSED(syl_kv_attend_workspace(&batch, 0, 1, &bytes), SYL_BAD_VALUE, "rows[0] is 14, must be 0..13");
    }
  }
}

TEST(KvRemove, IsAsIfTheTokensHadNeverBeen) {
  for (const int which : {2, 3}) {
    const auto of = NewKvCase(which);
    const KvStore store(*of);
    KvTokenList tokens = TokensFrom(1, 150);
    tokens[70].sink = tokens[140].sink = true;
    for (const auto& [first, count] : {std::pair<int64_t, int64_t>{16, 48}, {80, 32}, {48, 16}, {128, 0}}) {
      SCOPED_TRACE(std::to_string(which) + ", tokens from " + std::to_string(first));
      const KvSequencePtr text = store.Make(tokens);
      ASSERT_EQ(syl_kv_remove(text.get(), first, count), SYL_OK) << syl_last_error();
      const KvTokenList left = First(tokens, first) + KvTokenList(tokens.begin() + first + count, tokens.end());
      const KvSequencePtr want = store.Make(left);
      ASSERT_NO_FATAL_FAILURE(ExpectSame(store, text, want));
      ASSERT_TRUE(SameBits(store.Attend(text, 1, 1), store.Attend(want, 1, 1)));
      for (const KvSequencePtr* of_text : {&text, &want}) {
        ASSERT_EQ(store.Append({of_text->get()}, {TokensFrom(1000, 45)}), SYL_OK);
      }
      ASSERT_NO_FATAL_FAILURE(ExpectSame(store, text, want));
    }
  }
}

TEST(KvRemove, RefusesWhatItCannotRemove) {
  const auto of = NewKvCase(2);
  const KvStore store(*of);
  KvTokenList tokens = TokensFrom(1, 150);
  tokens[70].sink = true;
  const KvSequencePtr text = store.Make(tokens);
  const std::vector<uint8_t> before = Saved(text);
  EXPECT_REFUSED(syl_kv_remove(text.get(), 8, 16), SYL_BAD_VALUE, "first is 8");
  EXPECT_REFUSED(syl_kv_remove(text.get(), 16, 24), SYL_BAD_VALUE, "count 24");
  EXPECT_REFUSED(syl_kv_remove(text.get(), -16, 16), SYL_BAD_VALUE, "first is -16");
  EXPECT_REFUSED(syl_kv_remove(text.get(), 128, 32), SYL_BAD_VALUE, "count is 32, must be 0..16");
  EXPECT_REFUSED(syl_kv_remove(text.get(), 0, 16), SYL_BAD_VALUE, "token 0 is a sink");
  EXPECT_REFUSED(syl_kv_remove(text.get(), 48, 32), SYL_BAD_VALUE, "token 70 is a sink");
  EXPECT_REFUSED(syl_kv_remove(nullptr, 16, 16), SYL_NULL_ARGUMENT, "sequence");
  EXPECT_EQ(Saved(text), before);
  const auto post = NewKvCase(0);
  const KvStore other(*post);
  const KvSequencePtr rotated = other.Make(TokensFrom(1, 40));
  EXPECT_REFUSED(syl_kv_remove(rotated.get(), 16, 16), SYL_UNSUPPORTED, "PRE_ROPE");
}

TEST(KvCache, RefusesBadOptions) {
  const auto of = NewKvCase(0);
  alignas(64) static uint8_t arena[1 << 20];
  const syl_kv_cache_options good = {sizeof(good), 32, 4, 48, nullptr, 0};
  int64_t bytes = -1;
  ASSERT_EQ(syl_kv_arena_size(of->plan.get(), &good, &bytes), SYL_OK);
  EXPECT_EQ(bytes, 4 * 2 * Describe(of->plan).tile_bytes);
  const auto refused = [&](auto change, const char* text) {
    syl_kv_cache_options options = good;
    change(&options);
    syl_kv_cache* cache = nullptr;
    EXPECT_REFUSED(syl_kv_cache_new(of->plan.get(), &options, &cache), SYL_BAD_VALUE, text);
    EXPECT_EQ(cache, nullptr);
  };
  refused([](auto* o) { o->struct_size = 8; }, "struct_size is 8");
  refused([](auto* o) { o->page_tokens = 8; }, "page_tokens is 8");
  refused([](auto* o) { o->page_tokens = 40; }, "page_tokens is 40");
  refused([](auto* o) { o->page_tokens = 4112; }, "page_tokens is 4112");
  refused([](auto* o) { o->pages = 0; }, "pages is 0");
  refused([](auto* o) { o->pages = (1 << 24) + 1; }, "pages is 16777217");
  refused([](auto* o) { o->pages = 1 << 24, o->page_tokens = 4096; }, "pages is 16777216, too many");
  refused([](auto* o) { o->max_rows = 0; }, "max_rows is 0");
  refused([](auto* o) { o->max_rows = 65537; }, "max_rows is 65537");
  refused([](auto* o) { o->arena_bytes = 1; }, "arena_bytes is 1, must be 0");
  refused([&](auto* o) { o->arena = arena, o->arena_bytes = bytes - 1; }, "arena_bytes is");
  refused([&](auto* o) { o->arena = arena + 32, o->arena_bytes = bytes; }, "aligned");
  syl_kv_cache* cache = nullptr;
  EXPECT_REFUSED(syl_kv_cache_new(nullptr, &good, &cache), SYL_NULL_ARGUMENT, "plan");
  EXPECT_REFUSED(syl_kv_cache_new(of->plan.get(), nullptr, &cache), SYL_NULL_ARGUMENT, "options");
  EXPECT_REFUSED(syl_kv_cache_new(of->plan.get(), &good, nullptr), SYL_NULL_ARGUMENT, "cache");
  EXPECT_REFUSED(syl_kv_arena_size(of->plan.get(), &good, nullptr), SYL_NULL_ARGUMENT, "bytes");
}

TEST(KvCache, KeepsTokensInTheCallersArena) {
  const auto of = NewKvCase(0);
  alignas(64) static uint8_t arena[1 << 20];
  std::fill(std::begin(arena), std::end(arena), 0xcc);
  syl_kv_cache_options options = {sizeof(options), 32, 4, 48, arena, sizeof(arena)};
  int64_t bytes = -1;
  ASSERT_EQ(syl_kv_arena_size(of->plan.get(), &options, &bytes), SYL_OK);
  syl_kv_cache* cache = nullptr;
  ASSERT_EQ(syl_kv_cache_new(of->plan.get(), &options, &cache), SYL_OK) << syl_last_error();
  const KvStore store(*of);
  const std::vector<uint8_t> file = Saved(store.Make(TokensFrom(1, 128)));
  syl_kv_sequence* sequence = nullptr;
  ASSERT_EQ(syl_kv_load(cache, file.data(), static_cast<int64_t>(file.size()), &sequence), SYL_OK) << syl_last_error();
  EXPECT_EQ(std::count(arena + bytes, std::end(arena), 0xcc), std::end(arena) - (arena + bytes));
  EXPECT_LT(std::count(arena, arena + bytes, 0xcc), bytes / 16);
  EXPECT_REFUSED(syl_kv_cache_free(cache), SYL_BAD_VALUE, "cache has 1 sequences");
  syl_kv_sequence_free(sequence);
  EXPECT_EQ(syl_kv_cache_free(cache), SYL_OK);
  EXPECT_EQ(syl_kv_cache_free(nullptr), SYL_OK);
}

TEST(KvBatch, IsChecked) {
  const auto of = NewKvCase(1);
  const KvStore store(*of), other(*of);
  const KvSequencePtr a = store.New(), b = store.New(), c = other.New();
  syl_kv_sequence* sequences[] = {a.get(), b.get()};
  int64_t rows[] = {1, 48};
  syl_kv_batch batch = {sizeof(batch), 2, sequences, rows};
  int64_t total = -1, bytes = -1;
  ASSERT_EQ(sylvester::CheckBatch("f", &batch, 1, &total), SYL_OK) << syl_last_error();
  EXPECT_EQ(total, 49);
  EXPECT_REFUSED(sylvester::CheckBatch("f", nullptr, 0, &total), SYL_NULL_ARGUMENT, "f: batch is NULL");
  EXPECT_REFUSED(sylvester::CheckBatch("f", &batch, 2, &total), SYL_BAD_VALUE, "f: layer is 2, must be 0..1");
  EXPECT_REFUSED(sylvester::CheckBatch("f", &batch, -1, &total), SYL_BAD_VALUE, "f: layer is -1");
  rows[1] = 49;
  EXPECT_REFUSED(syl_kv_append_workspace(&batch, 1, &bytes), SYL_BAD_VALUE, "batch->rows[1] is 49, must be 0..48");
  rows[1] = -1;
  EXPECT_REFUSED(syl_kv_append_workspace(&batch, 1, &bytes), SYL_BAD_VALUE, "batch->rows[1] is -1");
  rows[1] = 0;
  sequences[1] = a.get();
  for (int twice = 0; twice < 2; ++twice) {
    EXPECT_REFUSED(syl_kv_append_workspace(&batch, 1, &bytes), SYL_BAD_VALUE, "batch->sequence[1] is there twice");
  }
  sequences[1] = c.get();
  EXPECT_REFUSED(syl_kv_append_workspace(&batch, 1, &bytes), SYL_BAD_VALUE, "batch->sequence[1] is of another cache");
  sequences[1] = nullptr;
  EXPECT_REFUSED(syl_kv_append_workspace(&batch, 1, &bytes), SYL_NULL_ARGUMENT, "batch->sequence[1] is NULL");
  batch.sequences = 1;
  EXPECT_EQ(syl_kv_append_workspace(&batch, 1, &bytes), SYL_OK);
  batch.sequences = 0;
  EXPECT_REFUSED(syl_kv_append_workspace(&batch, 1, &bytes), SYL_BAD_VALUE, "batch->sequences is 0");
  batch.sequences = 1;
  batch.rows = nullptr;
  EXPECT_REFUSED(syl_kv_append_workspace(&batch, 1, &bytes), SYL_NULL_ARGUMENT, "batch->rows is NULL");
  batch.rows = rows;
  batch.sequence = nullptr;
  EXPECT_REFUSED(syl_kv_append_workspace(&batch, 1, &bytes), SYL_NULL_ARGUMENT, "batch->sequence is NULL");
  batch.sequence = sequences;
  batch.struct_size = 1;
  EXPECT_REFUSED(syl_kv_append_workspace(&batch, 1, &bytes), SYL_BAD_VALUE, "batch->struct_size is 1");
}

TEST(KvBatch, FunctionsOfASequenceRefuseNull) {
  const auto of = NewKvCase(0);
  const KvStore store(*of);
  const KvSequencePtr text = store.Make(TokensFrom(1, 3));
  syl_kv_sequence* sequence = nullptr;
  int64_t n = 0;
  EXPECT_REFUSED(syl_kv_sequence_new(nullptr, &sequence), SYL_NULL_ARGUMENT, "cache");
  EXPECT_REFUSED(syl_kv_sequence_new(store.cache(), nullptr), SYL_NULL_ARGUMENT, "sequence");
  EXPECT_REFUSED(syl_kv_length(nullptr, 0, &n), SYL_NULL_ARGUMENT, "sequence");
  EXPECT_REFUSED(syl_kv_length(text.get(), 0, nullptr), SYL_NULL_ARGUMENT, "tokens");
  EXPECT_REFUSED(syl_kv_length(text.get(), 2, &n), SYL_BAD_VALUE, "layer is 2, must be 0..1");
  EXPECT_REFUSED(syl_kv_fork(nullptr, 0, &sequence), SYL_NULL_ARGUMENT, "sequence");
  EXPECT_REFUSED(syl_kv_fork(text.get(), 0, nullptr), SYL_NULL_ARGUMENT, "fork");
  EXPECT_REFUSED(syl_kv_truncate(nullptr, 0), SYL_NULL_ARGUMENT, "sequence");
  EXPECT_REFUSED(syl_kv_truncate(text.get(), 4), SYL_BAD_VALUE, "tokens is 4, must be 0..3");
  EXPECT_REFUSED(syl_kv_truncate(text.get(), -1), SYL_BAD_VALUE, "tokens is -1, must be 0..3");
  EXPECT_REFUSED(syl_kv_truncatable(text.get(), nullptr), SYL_NULL_ARGUMENT, "tokens");
  EXPECT_REFUSED(syl_kv_sequence_memory(text.get(), nullptr), SYL_NULL_ARGUMENT, "memory");
  EXPECT_REFUSED(syl_kv_cache_pages(store.cache(), nullptr, &n), SYL_NULL_ARGUMENT, "used");
  syl_kv_sequence_free(nullptr);
}

// Texts that share tiles, each on a thread of its own.
TEST(KvThreads, TextsOfOneCacheAreIndependent) {
  const auto of = NewKvCase(0);
  const KvStore store(*of, {200, 32, 48}), fresh(*of);
  const KvTokenList prompt = TokensFrom(1, 70);
  const KvSequencePtr source = store.Make(prompt);
  std::vector<KvSequencePtr> texts;
  for (int i = 0; i < 4; ++i) texts.push_back(store.Fork(source, 64));
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (uint32_t step = 0; step < 40; ++step) {
        EXPECT_EQ(store.Append({texts[i].get()}, {TokensFrom(1000 * i + 8 * step, 8)}), SYL_OK) << syl_last_error();
        const KvSequencePtr fork = store.Fork(texts[i], 57 + i);
        EXPECT_EQ(syl_kv_truncate(fork.get(), 10 + i), SYL_OK);
        if (step % 10 == 9) {
          EXPECT_EQ(syl_kv_truncate(texts[i].get(), 64), SYL_OK);
        }
      }
      EXPECT_EQ(store.Append({texts[i].get()}, {TokensFrom(1000 * i, 20)}), SYL_OK);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (uint32_t i = 0; i < 4; ++i) {
    ASSERT_NO_FATAL_FAILURE(ExpectSame(store, texts[i], fresh.Make(First(prompt, 64) + TokensFrom(1000 * i, 20))));
  }
  ASSERT_NO_FATAL_FAILURE(ExpectSame(store, source, fresh.Make(prompt)));
}

}  // namespace
