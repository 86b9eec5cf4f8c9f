// Texts as bytes: what is saved is loaded, into any cache; what is wrong is refused with its offset.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/native/kv/store.h"

namespace {

using namespace sylvester_test;

constexpr int64_t kHeader = 64, kBlock = 65536;

template <typename T>
T Get(const std::vector<uint8_t>& file, int64_t at) {
  T value;
  std::memcpy(&value, &file[at], sizeof(T));
  return value;
}

template <typename T>
void Put(std::vector<uint8_t>* file, int64_t at, T value) {
  std::memcpy(&(*file)[at], &value, sizeof(T));
}

// Where the checksums end, of a file as long as this one.
int64_t Body(const std::vector<uint8_t>& file) {
  const auto size = static_cast<int64_t>(file.size());
  int64_t blocks = 1;
  while (kHeader + (4 * blocks + 63) / 64 * 64 + blocks * kBlock < size) ++blocks;
  return kHeader + (4 * blocks + 63) / 64 * 64;
}

// Gives it the checksums of what it has.
void Seal(std::vector<uint8_t>* file) {
  const int64_t body = Body(*file), size = static_cast<int64_t>(file->size());
  for (int64_t at = body, i = 0; at < size; at += kBlock, ++i) {
    Put(file, kHeader + 4 * i, sylvester::Crc32(&(*file)[at], std::min(kBlock, size - at)));
  }
  Put(file, 56, sylvester::Crc32(&(*file)[kHeader], body - kHeader));
  Put(file, 60, sylvester::Crc32(file->data(), 60));
}

class KvSave : public testing::TestWithParam<int> {
 protected:
  // A text with each kind of bytes.
  KvTokenList Tokens(int64_t count) const {
    KvTokenList tokens = TokensFrom(1, count);
    if (of_->options.max_sinks > 0 && count > 50) tokens[20].sink = tokens[50].sink = true;
    return tokens;
  }

  // From a copy that ends where the bytes do, so that a sanitizer sees what is read behind them.
  syl_status Load(const std::vector<uint8_t>& bytes, KvSequencePtr* loaded = nullptr) const {
    const std::vector<uint8_t> exact(bytes);
    syl_kv_sequence* sequence = nullptr;
    const syl_status status = syl_kv_load(store_.cache(), exact.data(), static_cast<int64_t>(exact.size()), &sequence);
    EXPECT_EQ(status == SYL_OK, sequence != nullptr);
    KvSequencePtr owner(sequence, &syl_kv_sequence_free);
    if (loaded != nullptr) *loaded = std::move(owner);
    return status;
  }

  void ExpectRefused(const std::vector<uint8_t>& bytes, int64_t offset, const std::string& text) const {
    EXPECT_REFUSED(Load(bytes), SYL_BAD_DATA, "syl_kv_load: file, offset " + std::to_string(offset) + ": " + text);
    EXPECT_EQ(store_.UsedPages(), 0);
  }

  const std::unique_ptr<KvCase> of_ = NewKvCase(GetParam());
  const KvStore store_{*of_};
};

TEST_P(KvSave, IsLoadedIntoAnyCacheOfThePlan) {
  const KvStore other(*of_, {80, 16, 20});
  for (const int64_t length : {0, 1, 15, 16, 17, 31, 32, 48, 63, 100, 144}) {
    SCOPED_TRACE(length);
    const KvSequencePtr text = store_.Make(Tokens(length));
    const std::vector<uint8_t> file = Saved(text);
    EXPECT_EQ(file.size() % 64, 0);
    for (const KvStore* store : {&store_, &other}) {
      const KvSequencePtr loaded = store->Load(file);
      ASSERT_NO_FATAL_FAILURE(ExpectSame(*store, loaded, text));
      for (int32_t layer = 0; layer < of_->Layers() && length > 0; ++layer) {
        ASSERT_TRUE(SameBits(store->Attend(loaded, layer, 1), store_.Attend(text, layer, 1)));
      }
      const KvTokenList more = TokensFrom(500, 20);
      const KvSequencePtr longer = store_.Fork(text, length);
      ASSERT_EQ(store->Append({loaded.get()}, {more}), SYL_OK);
      ASSERT_EQ(store_.Append({longer.get()}, {more}), SYL_OK);
      ASSERT_NO_FATAL_FAILURE(ExpectSame(*store, loaded, longer));
      ASSERT_TRUE(SameBits(store->Attend(loaded, 1, 20), store_.Attend(longer, 1, 20)));
    }
  }
}

TEST_P(KvSave, HasTheSameBytesHoweverTheTextWasMade) {
  const KvTokenList tokens = Tokens(77);
  const std::vector<uint8_t> file = Saved(store_.Make(tokens));
  EXPECT_EQ(Saved(store_.Make(tokens, 5)), file);
  KvTokenList longer = tokens;
  for (uint32_t i = 0; i < 40; ++i) longer.push_back({1000 + i});
  const KvSequencePtr cut = store_.Make(longer);
  EXPECT_EQ(Saved(store_.Fork(cut, 77)), file);
  ASSERT_EQ(syl_kv_truncate(cut.get(), 77), SYL_OK);
  EXPECT_EQ(Saved(cut), file);
}

TEST_P(KvSave, RefusesEveryFlippedByte) {
  const KvTokenList tokens = Tokens(70);
  const std::vector<uint8_t> file = Saved(store_.Make(tokens));
  ASSERT_LT(file.size(), kBlock);
  const int64_t body = Body(file);
  std::mt19937 random(1);
  for (int64_t i = 0; i < static_cast<int64_t>(file.size()); ++i) {
    std::vector<uint8_t> bad = file;
    bad[i] ^= 1 << random() % 8;
    SCOPED_TRACE(i);
    const int64_t offset = i < 8 ? 0 : i < 12 ? 8 : i < kHeader ? 60 : i < body ? kHeader : body;
    ASSERT_NO_FATAL_FAILURE(ExpectRefused(bad, offset, ""));
  }
}

TEST_P(KvSave, NamesTheBlockOfAFlippedByte) {
  const KvStore big(*of_, {128, 128, 64});
  const std::vector<uint8_t> file = Saved(big.Make(Tokens(4000)));
  const auto size = static_cast<int64_t>(file.size());
  ASSERT_GT(size, 3 * kBlock);
  const int64_t body = Body(file);
  for (const int64_t at : {body, body + kBlock - 1, body + kBlock, body + 2 * kBlock + 77, size - 1}) {
    std::vector<uint8_t> bad = file;
    bad[at] ^= 0x10;
    ExpectRefused(bad, body + (at - body) / kBlock * kBlock, "up to ");
  }
}

TEST_P(KvSave, RefusesFilesOfAnotherLength) {
  const std::vector<uint8_t> file = Saved(store_.Make(Tokens(70)));
  std::vector<uint8_t> shorter;
  for (size_t size = 0; size < file.size(); size += size < 130 ? 1 : 61) {
    shorter.assign(file.begin(), file.begin() + size);
    ASSERT_EQ(size == 0 ? SYL_BAD_DATA : Load(shorter), SYL_BAD_DATA) << size;
    if (size < kHeader) continue;
    ASSERT_NO_FATAL_FAILURE(ExpectRefused(shorter, 16, "says " + std::to_string(file.size()) + " bytes, has"));
    // And if it says so.
    Put(&shorter, 16, static_cast<int64_t>(size));
    Put(&shorter, 60, sylvester::Crc32(shorter.data(), 60));
    ASSERT_EQ(Load(shorter), SYL_BAD_DATA) << size;
  }
  std::vector<uint8_t> longer = file;
  longer.resize(file.size() + 64);
  ExpectRefused(longer, 16, "says");
  Put(&longer, 16, static_cast<int64_t>(longer.size()));
  Seal(&longer);
  ExpectRefused(longer, static_cast<int64_t>(file.size()), "has ");
}

// With the right checksums.
TEST_P(KvSave, RefusesHostileFiles) {
  const std::vector<uint8_t> file = Saved(store_.Make(Tokens(70)));
  const int64_t body = Body(file), layers = of_->Layers();
  const auto refused = [&](int64_t offset, const std::string& text, auto change) {
    std::vector<uint8_t> bad = file;
    change(&bad);
    Seal(&bad);
    ExpectRefused(bad, offset, text);
  };
  refused(12, "checksum of the plan", [](auto* f) { Put<uint32_t>(f, 12, 7); });
  for (const int64_t tokens : {int64_t{-1}, int64_t{1} << 62, INT64_MAX, INT64_MIN, int64_t{1} << 40}) {
    refused(24, "tokens is " + std::to_string(tokens), [&](auto* f) { Put(f, 24, tokens); });
  }
  for (const int64_t sinks : {int64_t{-1}, int64_t{1} << 62, INT64_MAX}) {
    refused(32, "sinks is " + std::to_string(sinks), [&](auto* f) { Put(f, 32, sinks); });
  }
  const auto size = static_cast<int64_t>(file.size());
  for (const int64_t tokens : {60, 90, 300}) {
    std::vector<uint8_t> bad = file;
    Put(&bad, 24, tokens);
    Seal(&bad);
    EXPECT_EQ(Load(bad), SYL_BAD_DATA);
  }
  for (const int64_t count : {int64_t{-1}, int64_t{200}, INT64_MAX}) {
    refused(body, "layer 0 has " + std::to_string(count) + " sinks", [&](auto* f) { Put(f, body, count); });
  }
  if (const auto sinks = Get<int64_t>(file, 32); sinks > 0) {
    refused(body, "the layers have " + std::to_string(sinks - 1) + " sinks",
            [&](auto* f) { Put(f, body + 8 * (layers - 1), Get<int64_t>(file, body) - 1); });
    const int64_t token = body + 8 * layers;
    refused(token + 8, "sink is token 0", [&](auto* f) { Put<int64_t>(f, token + 8, 0); });
    refused(token, "sink is token -1", [&](auto* f) { Put<int64_t>(f, token, -1); });
    refused(token, "sink is token 70", [&](auto* f) { Put<int64_t>(f, token, 70); });
  }
  const sylvester::KvPlan& plan = *of_->plan->plan;
  const int64_t tiles = body + (8 * (layers + Get<int64_t>(file, 32)) + 63) / 64 * 64;
  const int64_t scale = tiles + plan.layers[1].page_offset + plan.layers[1].values.scales + 3;
  refused(scale, "scale is f8", [&](auto* f) { Put<uint8_t>(f, scale, 0xf8); });
  if (of_->options.window + of_->options.first_tokens > 0) {
    const int64_t halves = tiles + plan.PackedTiles(70) * plan.tile_bytes;
    refused(halves, "half is 7c00", [&](auto* f) { Put<uint16_t>(f, halves, 0x7c00); });
    refused(halves, "half is fe01", [&](auto* f) { Put<uint16_t>(f, halves, 0xfe01); });
  }
  // Anything in the codes can be read.
  std::vector<uint8_t> noise = file;
  std::mt19937 random(5);
  for (int64_t i = 0; i < plan.layers[0].keys.scales; ++i) noise[tiles + i] = static_cast<uint8_t>(random());
  Seal(&noise);
  KvSequencePtr loaded(nullptr, &syl_kv_sequence_free);
  ASSERT_EQ(Load(noise, &loaded), SYL_OK) << syl_last_error();
  store_.Attend(loaded, 0, 1);
  ASSERT_EQ(store_.Append({loaded.get()}, {TokensFrom(1, 40)}), SYL_OK);
  EXPECT_EQ(size, static_cast<int64_t>(noise.size()));
}

TEST_P(KvSave, NeedsPages) {
  const std::vector<uint8_t> file = Saved(store_.Make(Tokens(100)));
  const KvStore small(*of_, {3, 32, 48});
  const KvTokenList others = TokensFrom(900, 48);
  const KvSequencePtr other = small.Make(others);
  const int64_t used = small.UsedPages();
  syl_kv_sequence* sequence = nullptr;
  EXPECT_REFUSED(syl_kv_load(small.cache(), file.data(), static_cast<int64_t>(file.size()), &sequence),
                 SYL_OUT_OF_MEMORY, "pages");
  EXPECT_EQ(sequence, nullptr);
  EXPECT_EQ(small.UsedPages(), used);
  ASSERT_NO_FATAL_FAILURE(ExpectSame(small, other, store_.Make(others)));
}

TEST_P(KvSave, ChecksItsArguments) {
  const KvSequencePtr text = store_.Make(Tokens(20));
  std::vector<uint8_t> file = Saved(text);
  const auto size = static_cast<int64_t>(file.size());
  int64_t bytes = 0;
  syl_kv_sequence* sequence = nullptr;
  EXPECT_REFUSED(syl_kv_save_size(nullptr, &bytes), SYL_NULL_ARGUMENT, "sequence");
  EXPECT_REFUSED(syl_kv_save_size(text.get(), nullptr), SYL_NULL_ARGUMENT, "bytes");
  EXPECT_REFUSED(syl_kv_save(nullptr, file.data(), size), SYL_NULL_ARGUMENT, "sequence");
  EXPECT_REFUSED(syl_kv_save(text.get(), nullptr, size), SYL_NULL_ARGUMENT, "file");
  EXPECT_REFUSED(syl_kv_save(text.get(), file.data(), size - 1), SYL_WORKSPACE, "bytes is");
  EXPECT_REFUSED(syl_kv_load(nullptr, file.data(), size, &sequence), SYL_NULL_ARGUMENT, "cache");
  EXPECT_REFUSED(syl_kv_load(store_.cache(), nullptr, size, &sequence), SYL_NULL_ARGUMENT, "file");
  EXPECT_REFUSED(syl_kv_load(store_.cache(), file.data(), size, nullptr), SYL_NULL_ARGUMENT, "sequence");
  EXPECT_REFUSED(syl_kv_load(store_.cache(), file.data(), -1, &sequence), SYL_BAD_DATA, "has -1 bytes");
}

INSTANTIATE_TEST_SUITE_P(Cases, KvSave, testing::Range(0, kKvCases));

}  // namespace
