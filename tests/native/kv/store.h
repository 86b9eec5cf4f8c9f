// Texts of tokens that follow from numbers, in one cache, and the same texts made anew to compare them with.
#ifndef SYLVESTER_TESTS_NATIVE_KV_STORE_H_
#define SYLVESTER_TESTS_NATIVE_KV_STORE_H_

#include "tests/native/kv/model.h"
#include "tests/native/testing.h"

namespace sylvester_test {

struct KvToken {
  uint32_t id;
  bool sink = false;
};
using KvTokenList = std::vector<KvToken>;

// Tokens first, first + 1, ...
inline KvTokenList TokensFrom(uint32_t first, int64_t count) {
  KvTokenList tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back({first + static_cast<uint32_t>(i)});
  return tokens;
}

enum KvRole : uint32_t { kQuery, kKey, kValue };

// What a token's layer has: numbers of normal size around means of their own. A product and some shifts each.
inline void FillRow(uint32_t id, int32_t layer, KvRole role, float* row, int64_t channels) {
  for (int64_t c = 0; c < channels; ++c) {
    uint64_t x = id * 0x9e3779b97f4a7c15ull ^ (static_cast<uint64_t>(layer) << 40 | uint64_t{role} << 32) ^
                 static_cast<uint64_t>(c) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 31) * 0x94d049bb133111ebull;
    const auto uniform = static_cast<float>(static_cast<int64_t>(x) >> 40) * 0x1p-23f;
    row[c] = 2 * uniform + 0.25f * static_cast<float>(c % 5);
  }
}

// Four kinds of cache, small: widths, halves and orders of keys of all sorts between them.
struct KvCase {
  KvCase(const char* case_name, int64_t heads, int64_t head_dim, syl_kv_options options,
         const std::vector<uint8_t>& layer_bits, bool calibrated = false)
      : name(case_name), model(heads, head_dim) {
    const KvCalibrationPtr calibration = NewKvCalibration(model.geometry);
    for (int32_t layer = 0; calibrated && layer < model.geometry.layers; ++layer) {
      const int64_t query_channels = model.geometry.q_heads * model.geometry.head_dim;
      std::vector<float> k(256 * model.Channels()), v(k.size()), q(256 * query_channels);
      for (int64_t r = 0; r < 256; ++r) {
        FillRow(~static_cast<uint32_t>(r), layer, kKey, &k[r * model.Channels()], model.Channels());
        FillRow(~static_cast<uint32_t>(r), layer, kValue, &v[r * model.Channels()], model.Channels());
        FillRow(~static_cast<uint32_t>(r), layer, kQuery, &q[r * query_channels], query_channels);
      }
      EXPECT_EQ(syl_kv_calibration_add_f32(calibration.get(), layer, k.data(), model.Channels(), v.data(),
                                           model.Channels(), 256),
                SYL_OK)
          << syl_last_error();
      EXPECT_EQ(syl_kv_calibration_add_queries_f32(calibration.get(), layer, q.data(), query_channels, 256), SYL_OK)
          << syl_last_error();
    }
    options.layer_bits = layer_bits.data();
    plan = NewKvPlan(model.geometry, options, calibrated ? calibration.get() : nullptr);
    this->options = OptionsOf(plan);
  }

  int64_t Layers() const { return model.geometry.layers; }

  const char* name;
  KvModel model;
  KvPlanPtr plan{nullptr, &syl_kv_plan_free};
  syl_kv_options options;
};

inline std::unique_ptr<KvCase> NewKvCase(int which) {
  syl_kv_options o = PlainOptions();
  o.group_keys = o.group_values = 32;
  switch (which) {
    case 0:
      o.rotate_keys = o.rotate_values = SYL_KV_ROTATE_HEAD;
      return std::make_unique<KvCase>("all packed", 2, 48, o, std::vector<uint8_t>{3, 2, 8, 4});
    case 1:
      o.rotate_keys = o.rotate_values = SYL_KV_ROTATE_HEAD;
      o.grid = SYL_KV_LLOYD_MAX;
      o.window = 32;
      o.first_tokens = 4;
      o.max_sinks = 3;
      o.center = SYL_KV_CENTER_KEYS;
      o.balance = 1;
      return std::make_unique<KvCase>("balanced, window", 2, 16, o, std::vector<uint8_t>{2, 3, 4, 2}, true);
    case 2:
      o.rope = SYL_KV_PRE_ROPE;
      o.rotate_keys = SYL_KV_ROTATE_GROUP;
      o.rotate_values = SYL_KV_ROTATE_HEAD;
      o.sort = 1;
      o.center = SYL_KV_CENTER_KEYS + SYL_KV_CENTER_VALUES;
      o.window = 16;
      o.first_tokens = 3;
      o.max_sinks = 2;
      return std::make_unique<KvCase>("sorted, window", 2, 32, o, std::vector<uint8_t>{2, 2, 3, 4}, true);
    default:
      o.rope = SYL_KV_PRE_ROPE;
      o.max_sinks = 20;
      return std::make_unique<KvCase>("before RoPE, all packed", 1, 48, o, std::vector<uint8_t>{4, 3, 2, 8});
  }
}
constexpr int kKvCases = 4;

struct KvStoreOptions {
  int64_t pages = 64;
  int32_t page_tokens = 32;
  int64_t max_rows = 48;
};

class KvStore {
 public:
  explicit KvStore(const KvCase& of, const KvStoreOptions& options = {})
      : geometry_(of.model.geometry), max_rows_(options.max_rows) {
    const syl_kv_cache_options cache = {
        sizeof(cache), options.page_tokens, options.pages, options.max_rows, nullptr, 0};
    EXPECT_EQ(syl_kv_cache_new(of.plan.get(), &cache, &cache_), SYL_OK) << syl_last_error();
  }
  ~KvStore() { EXPECT_EQ(syl_kv_cache_free(cache_), SYL_OK) << syl_last_error(); }
  KvStore(const KvStore&) = delete;
  KvStore& operator=(const KvStore&) = delete;

  syl_kv_cache* cache() const { return cache_; }
  const syl_kv_geometry& geometry() const { return geometry_; }
  int64_t max_rows() const { return max_rows_; }
  int64_t Channels() const { return geometry_.kv_heads * geometry_.head_dim; }

  int64_t UsedPages() const {
    int64_t used = -1, pages = -1;
    EXPECT_EQ(syl_kv_cache_pages(cache_, &used, &pages), SYL_OK);
    return used;
  }

  KvSequencePtr New() const {
    syl_kv_sequence* sequence = nullptr;
    EXPECT_EQ(syl_kv_sequence_new(cache_, &sequence), SYL_OK) << syl_last_error();
    return {sequence, &syl_kv_sequence_free};
  }

  // Appends tokens[i] to a layer of sequences[i].
  syl_status AppendLayer(const std::vector<syl_kv_sequence*>& sequences, const std::vector<KvTokenList>& tokens,
                         int32_t layer) const {
    std::vector<int64_t> rows;
    std::vector<uint8_t> sinks;
    std::vector<float> k, v;
    const int64_t channels = Channels();
    k.reserve(1), v.reserve(1);  // not NULL without rows
    for (const KvTokenList& list : tokens) {
      rows.push_back(static_cast<int64_t>(list.size()));
      for (const KvToken& token : list) {
        sinks.push_back(token.sink);
        k.resize(k.size() + channels);
        v.resize(v.size() + channels);
        FillRow(token.id, layer, kKey, &k[k.size() - channels], channels);
        FillRow(token.id, layer, kValue, &v[v.size() - channels], channels);
      }
    }
    const syl_kv_batch batch = {sizeof(batch), static_cast<int32_t>(sequences.size()), sequences.data(), rows.data()};
    int64_t bytes = 0;
    if (syl_status s = syl_kv_append_workspace(&batch, 1, &bytes)) return s;
    std::vector<uint8_t> workspace(bytes);
    return syl_kv_append_f32(&batch, layer, k.data(), channels, v.data(), channels, sinks.data(), workspace.data(),
                             bytes, nullptr);
  }

  // To all layers. Only the first can refuse.
  syl_status Append(const std::vector<syl_kv_sequence*>& sequences, const std::vector<KvTokenList>& tokens) const {
    for (int32_t layer = 0; layer < geometry_.layers; ++layer) {
      const syl_status status = AppendLayer(sequences, tokens, layer);
      if (layer == 0 && status != SYL_OK) return status;
      EXPECT_EQ(status, SYL_OK) << syl_last_error();
    }
    return SYL_OK;
  }

  // A sequence of these tokens, `step` at a time.
  KvSequencePtr Make(const KvTokenList& tokens, int64_t step = 1 << 30) const {
    KvSequencePtr sequence = New();
    const auto size = static_cast<int64_t>(tokens.size());
    step = std::min(step, max_rows_);
    for (int64_t i = 0; i < size; i += step) {
      const KvTokenList part(tokens.begin() + i, tokens.begin() + std::min(size, i + step));
      EXPECT_EQ(Append({sequence.get()}, {part}), SYL_OK) << syl_last_error();
    }
    return sequence;
  }

  KvSequencePtr Fork(const KvSequencePtr& sequence, int64_t tokens) const {
    syl_kv_sequence* fork = nullptr;
    EXPECT_EQ(syl_kv_fork(sequence.get(), tokens, &fork), SYL_OK) << syl_last_error();
    return {fork, &syl_kv_sequence_free};
  }

  KvSequencePtr Load(const std::vector<uint8_t>& file) const {
    syl_kv_sequence* sequence = nullptr;
    EXPECT_EQ(syl_kv_load(cache_, file.data(), static_cast<int64_t>(file.size()), &sequence), SYL_OK)
        << syl_last_error();
    return {sequence, &syl_kv_sequence_free};
  }

  // Attention of the newest `rows` tokens in a layer.
  std::vector<float> Attend(const KvSequencePtr& sequence, int32_t layer, int64_t rows) const {
    syl_kv_sequence* of = sequence.get();
    const syl_kv_batch batch = {sizeof(batch), 1, &of, &rows};
    const int64_t channels = geometry_.q_heads * geometry_.head_dim;
    std::vector<float> q(rows * channels), y(rows * channels, kNaN);
    for (int64_t r = 0; r < rows; ++r) FillRow(static_cast<uint32_t>(r), layer, kQuery, &q[r * channels], channels);
    int64_t bytes = 0;
    EXPECT_EQ(syl_kv_attend_workspace(&batch, layer, 1, &bytes), SYL_OK) << syl_last_error();
    std::vector<uint8_t> workspace(bytes);
    EXPECT_EQ(
        syl_kv_attend_f32(&batch, layer, q.data(), channels, y.data(), channels, workspace.data(), bytes, nullptr),
        SYL_OK)
        << syl_last_error();
    return y;
  }

  std::vector<float> Dequantized(const KvSequencePtr& sequence, int32_t layer, int32_t what) const {
    int64_t length = 0;
    EXPECT_EQ(syl_kv_length(sequence.get(), layer, &length), SYL_OK);
    std::vector<float> y(length * Channels() + 1);  // not empty
    EXPECT_EQ(syl_kv_dequantize_f32(sequence.get(), layer, what, 0, length, y.data(), Channels()), SYL_OK)
        << syl_last_error();
    return y;
  }

 private:
  const syl_kv_geometry& geometry_;
  const int64_t max_rows_;
  syl_kv_cache* cache_ = nullptr;
};

inline std::vector<uint8_t> Saved(const KvSequencePtr& sequence) {
  int64_t bytes = 0;
  EXPECT_EQ(syl_kv_save_size(sequence.get(), &bytes), SYL_OK) << syl_last_error();
  std::vector<uint8_t> file(bytes, 0xcc);
  EXPECT_EQ(syl_kv_save(sequence.get(), file.data(), bytes), SYL_OK) << syl_last_error();
  return file;
}

// Two sequences of one text, of any caches: the bytes of tiles, halves and sinks, and what is read from them.
inline void ExpectSame(const KvStore& store, const KvSequencePtr& got, const KvSequencePtr& want) {
  ASSERT_EQ(Saved(got), Saved(want));
  for (int32_t layer = 0; layer < store.geometry().layers; ++layer) {
    for (const int32_t what : {SYL_KV_KEYS, SYL_KV_VALUES}) {
      ASSERT_TRUE(SameBits(store.Dequantized(got, layer, what), store.Dequantized(want, layer, what)))
          << "layer " << layer << ", what " << what;
    }
  }
}

}  // namespace sylvester_test

#endif
