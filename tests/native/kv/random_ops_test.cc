// Random operations on some texts of one small cache. What a text must be is kept as a list of tokens; a sequence made
// anew from it, in a cache of its own, has the same bytes.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/native/kv/store.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 2501;
constexpr int64_t kMostTokens = 160;
constexpr size_t kTexts = 5;

// SYLVESTER_KV_OPERATIONS: another number than that of every build.
int64_t Operations() {
  const char* value = std::getenv("SYLVESTER_KV_OPERATIONS");
  return value == nullptr ? 1500 : std::atoll(value);
}

struct Text {
  KvSequencePtr sequence{nullptr, &syl_kv_sequence_free};
  KvTokenList tokens;
  int64_t longest = 0;  // since it was made or empty: what it can be cut back by is counted from there

  int64_t Size() const { return static_cast<int64_t>(tokens.size()); }
};

class Operator {
 public:
  explicit Operator(int which)
      : of_(NewKvCase(which)),
        random_(kSeed + which),
        store_(*of_, {kPages, kPageTokens, 40}),
        other_(*of_, {64, 16, 24}),
        fresh_(*of_, {64, 64, 48}),
        texts_(kTexts) {
    for (Text& text : texts_) text.sequence = store_.New();
  }

  void Run(int64_t operations) {
    for (int64_t i = 0; i < operations; ++i) {
      SCOPED_TRACE(std::string(of_->name) + ", seed " + std::to_string(kSeed) + ", operation " + std::to_string(i));
      ASSERT_NO_FATAL_FAILURE(Step());
    }
    for (const Text& text : texts_) ASSERT_NO_FATAL_FAILURE(Check(text));
    texts_.clear();
    EXPECT_EQ(store_.UsedPages(), 0);
    EXPECT_EQ(other_.UsedPages(), 0);
    EXPECT_EQ(fresh_.UsedPages(), 0);
  }

 private:
  static constexpr int64_t kPages = 11;
  static constexpr int32_t kPageTokens = 48;

  int64_t Random(int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, std::max(least, most))(random_);
  }
  Text& AnyText() { return texts_[Random(0, kTexts - 1)]; }
  int64_t Packed(int64_t tokens) const { return of_->plan->plan->PackedTiles(tokens); }

  void Step() {
    Text& text = AnyText();
    switch (Random(0, 15)) {
      default: Append(); break;
      case 7: Attend(text); break;
      case 8:
      case 9: Fork(text, &AnyText()); break;
      case 10:
      case 11:
      case 12: Truncate(&text); break;
      case 13: Remove(&text); break;
      case 14: SaveAndLoad(&text); break;
      case 15: Random(0, 2) == 0 ? Renew(&text) : Refuse(text); break;
    }
    if (Random(0, 7) == 0) Check(text);
  }

  KvTokenList NewTokens(const Text& text, int64_t count) {
    KvTokenList tokens = TokensFrom(next_id_, count);
    next_id_ += static_cast<uint32_t>(count);
    int64_t told = 0;
    for (int64_t i = of_->options.first_tokens; i < text.Size(); ++i) told += text.tokens[i].sink;
    for (KvToken& token : tokens) {
      token.sink = told < of_->options.max_sinks && Random(0, 15) == 0;
      told += token.sink;
    }
    return tokens;
  }

  // One to three texts at once.
  void Append() {
    std::vector<Text*> texts;
    for (Text& text : texts_) {
      if (texts.size() < 3 && (texts.empty() || Random(0, 3) == 0)) texts.push_back(&text);
    }
    if (texts.size() == 1) texts[0] = &AnyText();
    std::vector<syl_kv_sequence*> sequences;
    std::vector<KvTokenList> tokens;
    int64_t tiles = 0;
    for (Text* text : texts) {
      const int64_t most = std::min(kMostTokens - text->Size(), store_.max_rows());
      const int64_t rows = Random(0, 2) == 0 ? Random(0, most) : std::min<int64_t>(Random(0, 6), most);
      sequences.push_back(text->sequence.get());
      tokens.push_back(NewTokens(*text, rows));
      tiles += Packed(text->Size() + rows) - Packed(text->Size());
    }
    const int64_t free_pages = kPages - store_.UsedPages();
    const syl_status status = store_.Append(sequences, tokens);
    if (status == SYL_OUT_OF_MEMORY) {
      // Each text may leave most of a page.
      EXPECT_GT(tiles + static_cast<int64_t>(texts.size() - 1) * (kPageTokens / 16 - 1),
                free_pages * (kPageTokens / 16));
      for (Text* text : texts) ASSERT_NO_FATAL_FAILURE(Check(*text));
      if (Random(0, 3) == 0) Renew(texts[0]);
      return;
    }
    ASSERT_EQ(status, SYL_OK) << syl_last_error();
    for (size_t i = 0; i < texts.size(); ++i) {
      texts[i]->tokens.insert(texts[i]->tokens.end(), tokens[i].begin(), tokens[i].end());
      texts[i]->longest = std::max(texts[i]->longest, texts[i]->Size());
    }
  }

  void Attend(const Text& text) {
    int64_t truncatable = -1;
    ASSERT_EQ(syl_kv_truncatable(text.sequence.get(), &truncatable), SYL_OK);
    if (text.Size() == 0) return;
    const int64_t rows = Random(1, std::min(text.Size() - truncatable + 1, store_.max_rows()));
    const int32_t layer = static_cast<int32_t>(Random(0, of_->Layers() - 1));
    const KvSequencePtr want = fresh_.Make(text.tokens);
    ASSERT_TRUE(SameBits(store_.Attend(text.sequence, layer, rows), fresh_.Attend(want, layer, rows)))
        << rows << " rows of " << text.Size();
  }

  // Some tokens that the text can be cut to.
  int64_t Cut(const Text& text) {
    int64_t least = -1;
    EXPECT_EQ(syl_kv_truncatable(text.sequence.get(), &least), SYL_OK);
    EXPECT_LE(least, std::max<int64_t>(text.longest - store_.max_rows(), text.Size() > 0 ? 1 : 0));
    const int64_t kind = Random(0, 9);
    return kind == 0  ? 0
           : kind < 6 ? Random(std::max(least, text.Size() - 8), text.Size())
                      : Random(least, text.Size());
  }

  void Fork(const Text& from, Text* to) {
    if (&from == to) return;
    const int64_t tokens = Cut(from);
    syl_kv_sequence* fork = nullptr;
    const syl_status status = syl_kv_fork(from.sequence.get(), tokens, &fork);
    if (status == SYL_OUT_OF_MEMORY) {
      EXPECT_EQ(store_.UsedPages(), kPages);
      return Check(from);
    }
    ASSERT_EQ(status, SYL_OK) << syl_last_error();
    to->sequence.reset(fork);
    to->tokens.assign(from.tokens.begin(), from.tokens.begin() + tokens);
    to->longest = tokens == 0 ? 0 : from.longest;
    if (Random(0, 1) == 0) Check(*to);
  }

  void Truncate(Text* text) {
    const int64_t tokens = Cut(*text);
    const syl_status status = syl_kv_truncate(text->sequence.get(), tokens);
    if (status == SYL_OUT_OF_MEMORY) {
      EXPECT_EQ(store_.UsedPages(), kPages);
      return Check(*text);
    }
    ASSERT_EQ(status, SYL_OK) << syl_last_error();
    text->tokens.resize(tokens);
    if (tokens == 0) text->longest = 0;
  }

  void Remove(Text* text) {
    const int64_t packed = std::min(Packed(text->Size()) * 16, text->Size()) / 16;
    const int64_t first = 16 * Random(0, packed), count = 16 * Random(0, packed - first / 16);
    bool has_sink = false;
    for (int64_t i = first; i < first + count; ++i) {
      has_sink |= text->tokens[i].sink || i < of_->options.first_tokens;
    }
    const syl_status status = syl_kv_remove(text->sequence.get(), first, count);
    if (of_->options.rope == SYL_KV_POST_ROPE) {
      EXPECT_EQ(status, SYL_UNSUPPORTED);
    } else if (has_sink) {
      EXPECT_EQ(status, SYL_BAD_VALUE);
    } else {
      ASSERT_EQ(status, SYL_OK) << syl_last_error();
      text->tokens.erase(text->tokens.begin() + first, text->tokens.begin() + first + count);
      // Nothing before the removed tokens can be gone back to.
      text->longest = std::max(text->longest - count, std::min(text->Size(), first + 16) + store_.max_rows());
    }
    Check(*text);
  }

  // By way of another cache at times.
  void SaveAndLoad(Text* text) {
    std::vector<uint8_t> file = Saved(text->sequence);
    if (Random(0, 1) == 0) {
      const KvSequencePtr elsewhere = other_.Load(file);
      ASSERT_EQ(Saved(elsewhere), file);
    }
    file[Random(0, static_cast<int64_t>(file.size()) - 1)] ^= 1 << Random(0, 7);
    syl_kv_sequence* loaded = nullptr;
    EXPECT_EQ(syl_kv_load(store_.cache(), file.data(), static_cast<int64_t>(file.size()), &loaded), SYL_BAD_DATA);
    file = Saved(text->sequence);
    const syl_status status = syl_kv_load(store_.cache(), file.data(), static_cast<int64_t>(file.size()), &loaded);
    if (status == SYL_OUT_OF_MEMORY) {
      EXPECT_GT(Packed(text->Size()), (kPages - store_.UsedPages()) * (kPageTokens / 16));
      return;
    }
    ASSERT_EQ(status, SYL_OK) << syl_last_error();
    text->sequence.reset(loaded);
    text->longest = text->Size() + store_.max_rows();  // the halves before the window are not saved
  }

  void Renew(Text* text) {
    text->sequence = store_.New();
    text->tokens.clear();
    text->longest = 0;
  }

  // What is refused changes nothing.
  void Refuse(const Text& text) {
    syl_kv_sequence* sequence = text.sequence.get();
    syl_kv_sequence* fork = nullptr;
    EXPECT_EQ(syl_kv_truncate(sequence, text.Size() + 1), SYL_BAD_VALUE);
    EXPECT_EQ(syl_kv_fork(sequence, -1, &fork), SYL_BAD_VALUE);
    int64_t least = -1;
    EXPECT_EQ(syl_kv_truncatable(sequence, &least), SYL_OK);
    if (least > 1) {
      EXPECT_EQ(syl_kv_truncate(sequence, least - 1), SYL_BAD_VALUE);
    }
    KvTokenList sinks = TokensFrom(1, of_->options.first_tokens + of_->options.max_sinks + 1);
    for (KvToken& token : sinks) token.sink = true;
    EXPECT_EQ(store_.Append({sequence}, {sinks}), SYL_BAD_VALUE);
    if (of_->options.window > 0) {
      EXPECT_EQ(store_.Append({sequence}, {TokensFrom(1, store_.max_rows() + 1)}), SYL_BAD_VALUE);
    }
    Check(text);
  }

  void Check(const Text& text) {
    const KvSequencePtr want = fresh_.Make(text.tokens, Random(8, 48));
    if (Random(0, 7) == 0) return ExpectSame(store_, text.sequence, want);
    ASSERT_EQ(Saved(text.sequence), Saved(want));
  }

  const std::unique_ptr<KvCase> of_;
  std::mt19937 random_;
  uint32_t next_id_ = 0;
  const KvStore store_, other_, fresh_;
  std::vector<Text> texts_;
};

class RandomKv : public testing::TestWithParam<int> {};

TEST_P(RandomKv, OperationsLeaveTheTextsAsTheyWouldBeAnew) { Operator(GetParam()).Run(Operations()); }

INSTANTIATE_TEST_SUITE_P(Cases, RandomKv, testing::Range(0, kKvCases));

}  // namespace
