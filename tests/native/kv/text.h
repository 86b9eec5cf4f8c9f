// A cache with texts of random keys and values.
#ifndef SYLVESTER_TESTS_NATIVE_KV_TEXT_H_
#define SYLVESTER_TESTS_NATIVE_KV_TEXT_H_

#include <numeric>

#include "native/cpu/kv/cache.h"
#include "tests/native/kv/model.h"
#include "tests/native/testing.h"

namespace sylvester_test {

// Keys and values whose channels have means and sizes of their own, as real ones do.
struct KvTokens {
  KvTokens(const syl_kv_geometry& geometry, int64_t tokens, uint32_t seed)
      : q(tokens, geometry.q_heads * geometry.head_dim, seed),
        k(tokens, geometry.kv_heads * geometry.head_dim, seed + 1),
        v(tokens, geometry.kv_heads * geometry.head_dim, seed + 2) {
    std::mt19937 random(seed + 3);
    std::normal_distribution<float> normal;
    for (Rows* rows : {&k, &v}) {
      for (int64_t c = 0; c < rows->cols; ++c) {
        const float mean = rows == &k ? normal(random) : 0, size = std::exp(0.5f * normal(random));
        for (int64_t t = 0; t < tokens; ++t) rows->At(t)[c] = rows->At(t)[c] * size + mean;
      }
    }
  }
  Rows q, k, v;
};

class KvText {
 public:
  KvText(const syl_kv_plan* plan, const syl_kv_geometry& geometry, int64_t tokens, int64_t max_rows = 64,
         int32_t page_tokens = 32)
      : geometry_(geometry) {
    syl_kv_cache_options options = {sizeof(options), page_tokens, 2 * (tokens / page_tokens + 1), max_rows, nullptr, 0};
    syl_kv_cache* cache = nullptr;
    EXPECT_EQ(syl_kv_cache_new(plan, &options, &cache), SYL_OK) << syl_last_error();
    cache_.reset(cache);
    sequence_ = NewSequence();
  }

  syl_kv_cache* cache() const { return cache_.get(); }
  syl_kv_sequence* sequence() const { return sequence_.get(); }

  KvSequencePtr NewSequence() {
    syl_kv_sequence* sequence = nullptr;
    EXPECT_EQ(syl_kv_sequence_new(cache_.get(), &sequence), SYL_OK) << syl_last_error();
    return KvSequencePtr(sequence, &syl_kv_sequence_free);
  }

  // Appends tokens [first, first + rows) to all layers.
  void Append(const KvTokens& tokens, int64_t first, int64_t rows, const uint8_t* sinks = nullptr,
              syl_pool* pool = nullptr) {
    syl_kv_sequence* sequence = sequence_.get();
    const syl_kv_batch batch = {sizeof(batch), 1, &sequence, &rows};
    int64_t bytes = 0;
    ASSERT_EQ(syl_kv_append_workspace(&batch, pool == nullptr ? 1 : syl_pool_threads(pool), &bytes), SYL_OK)
        << syl_last_error();
    std::vector<uint8_t> workspace(static_cast<size_t>(bytes + 1));
    for (int32_t layer = 0; layer < geometry_.layers; ++layer) {
      ASSERT_EQ(syl_kv_append_f32(&batch, layer, tokens.k.At(first), tokens.k.stride, tokens.v.At(first),
                                  tokens.v.stride, sinks, workspace.data(), bytes, pool),
                SYL_OK)
          << syl_last_error();
    }
  }

  // Attention of the newest rows, whose queries begin at row `first`.
  std::vector<float> Attend(const KvTokens& tokens, int64_t first, int64_t rows, int32_t layer = 0,
                            syl_pool* pool = nullptr) {
    syl_kv_sequence* sequence = sequence_.get();
    const syl_kv_batch batch = {sizeof(batch), 1, &sequence, &rows};
    int64_t bytes = 0;
    EXPECT_EQ(syl_kv_attend_workspace(&batch, layer, pool == nullptr ? 1 : syl_pool_threads(pool), &bytes), SYL_OK)
        << syl_last_error();
    std::vector<uint8_t> workspace(static_cast<size_t>(bytes + 1));
    const int64_t cols = geometry_.q_heads * geometry_.head_dim;
    std::vector<float> y(static_cast<size_t>(rows * cols), kNaN);
    EXPECT_EQ(syl_kv_attend_f32(&batch, layer, tokens.q.At(first), tokens.q.stride, y.data(), cols, workspace.data(),
                                bytes, pool),
              SYL_OK)
        << syl_last_error();
    return y;
  }

  // Bidirectional attention of queries `first` and on.
  std::vector<float> AttendBidirectional(const KvTokens& tokens, int64_t first, int64_t rows, int64_t unpacked,
                                         syl_pool* pool = nullptr) {
    syl_kv_sequence* sequence = sequence_.get();
    return AttendBidirectional({sequence}, tokens, first, {rows}, {unpacked}, pool);
  }

  // The same of several sequences of the cache.
  std::vector<float> AttendBidirectional(const std::vector<syl_kv_sequence*>& sequences, const KvTokens& tokens,
                                         int64_t first, const std::vector<int64_t>& rows,
                                         const std::vector<int64_t>& unpacked, syl_pool* pool = nullptr) {
    const syl_kv_batch batch = {sizeof(batch), static_cast<int32_t>(sequences.size()), sequences.data(), rows.data()};
    int64_t bytes = 0;
    EXPECT_EQ(syl_kv_attend_bidirectional_workspace(&batch, 0, unpacked.data(),
                                                    pool == nullptr ? 1 : syl_pool_threads(pool), &bytes),
              SYL_OK)
        << syl_last_error();
    std::vector<uint8_t> workspace(static_cast<size_t>(bytes + 1));
    const int64_t cols = geometry_.q_heads * geometry_.head_dim;
    std::vector<float> y(static_cast<size_t>(std::accumulate(rows.begin(), rows.end(), int64_t{0}) * cols), kNaN);
    EXPECT_EQ(syl_kv_attend_bidirectional_f32(&batch, 0, unpacked.data(), tokens.q.At(first), tokens.q.stride, y.data(),
                                              cols, workspace.data(), bytes, pool),
              SYL_OK)
        << syl_last_error();
    return y;
  }

 private:
  struct FreeCache {
    void operator()(syl_kv_cache* cache) const { EXPECT_EQ(syl_kv_cache_free(cache), SYL_OK) << syl_last_error(); }
  };

  const syl_kv_geometry& geometry_;
  std::unique_ptr<syl_kv_cache, FreeCache> cache_;
  KvSequencePtr sequence_{nullptr, &syl_kv_sequence_free};
};

}  // namespace sylvester_test

#endif
