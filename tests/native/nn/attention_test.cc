#include "tests/native/nn/float_cache.h"

namespace {

using namespace sylvester_test;

struct Inputs {
  Inputs(const syl_attention& shape, int64_t tokens, uint32_t seed, float deviation = 1)
      : q(tokens, shape.q_heads * shape.head_dim, seed, deviation),
        k(tokens, shape.kv_heads * shape.head_dim, seed + 1),
        v(tokens, shape.kv_heads * shape.head_dim, seed + 2) {}
  Rows q, k, v;
};

// Rows first .. first+rows-1 of every head on every tier against the reference.
void ExpectNearReference(const syl_attention& shape, const Inputs& in, int64_t first, int64_t rows, int64_t tokens) {
  const FloatCache cache(shape, in.k, in.v, tokens);
  std::vector<std::pair<std::string, std::vector<float>>> results;
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    results.emplace_back(tier, cache.Attend(in.q, first, rows, tokens));
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t head = 0; head < shape.q_heads; ++head) {
      const Expected want = Reference(shape, in.q, in.k, in.v, first + r, head, tokens);
      for (const auto& [tier, y] : results) {
        for (int64_t i = 0; i < shape.head_dim; ++i) {
          const double got = y[static_cast<size_t>((r * shape.q_heads + head) * shape.head_dim + i)];
          const auto at = static_cast<size_t>(i);
          ASSERT_LE(std::fabs(got - want.y[at]), want.bound[at] * (tier == "sse4" ? 2 : 1))
              << tier << " " << Describe(shape) << " tokens " << tokens << " row " << first + r << " head " << head
              << " dimension " << i << ": got " << got << ", want " << want.y[at];
        }
      }
    }
  }
}

std::vector<float> Join(std::vector<float> a, const std::vector<float>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(Attention, HeadDimensionsAndGroupsMatchReference) {
  const int64_t dims[] = {8, 16, 24, 40, 64, 72, 80, 96, 128, 192, 256, 512};
  const int64_t groups[] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (const syl_dtype type : {SYL_F16, SYL_F32}) {
    for (const int64_t dim : dims) {
      for (const int64_t group : groups) {
        if (dim != 64 && group != 3 && group != 8) continue;
        const syl_attention shape = Shape(2 * group, 2, dim, 96, type);
        ExpectNearReference(shape, Inputs(shape, 83, 10), 76, 7, 83);
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Contexts around the tiles and blocks of keys, one row and several.
TEST(Attention, ContextsMatchReference) {
  for (const int64_t tokens : {1, 2, 15, 16, 17, 63, 64, 65, 255, 256, 257, 511, 513, 1023, 1025, 2049, 3000}) {
    for (const int32_t causal : {1, 0}) {
      syl_attention shape = Shape(3, 1, 32, (tokens + 15) / 16 * 16);
      shape.causal = causal;
      const Inputs in(shape, tokens, 20);
      for (const int64_t rows : {1, 5, 16}) {
        if (rows > tokens) continue;
        ExpectNearReference(shape, in, tokens - rows, rows, tokens);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(Attention, PrefillMatchesReference) {
  for (const int32_t causal : {1, 0}) {
    syl_attention shape = Shape(3, 1, 16, 608);
    shape.causal = causal;
    ExpectNearReference(shape, Inputs(shape, 600, 25), 0, 600, 600);
    if (HasFatalFailure()) return;
  }
}

TEST(Attention, WindowsMatchReference) {
  for (const int64_t window : {1, 2, 15, 16, 17, 63, 64, 65, 255, 256, 257, 300, 500, 1000, 5000}) {
    syl_attention shape = Shape(3, 1, 24, 800);
    shape.window = window;
    const Inputs in(shape, 790, 30);
    for (const int64_t first : {0, 250, 500}) {
      ExpectNearReference(shape, in, first, 40, first + 40);
      ExpectNearReference(shape, in, first + 9, 1, first + 20);
      ExpectNearReference(shape, in, first + 15, 2, first + 20);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Attention, SoftCapMatchesReference) {
  for (const float cap : {0.5f, 20.0f, 50.0f, 1e30f, 1e-30f}) {
    for (const float deviation : {1e-3f, 1.0f, 30.0f}) {
      syl_attention shape = Shape(4, 2, 64, 320);
      shape.soft_cap = cap;
      ExpectNearReference(shape, Inputs(shape, 300, 40, deviation), 290, 10, 300);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Attention, LargeScoresDoNotOverflow) {
  for (const float scale : {1e4f, -1e4f}) {
    syl_attention shape = Shape(3, 1, 16, 608, SYL_F32);
    shape.scale = scale;
    const Inputs in(shape, 600, 50, 10);
    ExpectNearReference(shape, in, 580, 20, 600);
    for (const float y : FloatCache(shape, in.k, in.v, 600).Attend(in.q, 580, 20, 600)) ASSERT_TRUE(std::isfinite(y));
  }
}

TEST(Attention, EqualScoresGiveTheMean) {
  const syl_attention shape = Shape(2, 1, 8, 1040, SYL_F32);
  Inputs in(shape, 1025, 60);
  for (int64_t r = 0; r < 1025; ++r) {
    for (int64_t i = 0; i < 16; ++i) in.q.At(r)[i] = 0;
    for (int64_t i = 0; i < 8; ++i) in.v.At(r)[i] = static_cast<float>(r);
  }
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    const std::vector<float> y = FloatCache(shape, in.k, in.v, 1025).Attend(in.q, 0, 1025, 1025);
    for (int64_t r = 0; r < 1025; ++r) {  // sums of integers below 2^24 are exact
      for (int64_t i = 0; i < 16; ++i) ASSERT_EQ(y[static_cast<size_t>(r * 16 + i)], static_cast<float>(r) / 2) << tier;
    }
  }
}

// The contract: a row's bits do not depend on the rows beside it, threads, the cache's size or later tokens.
TEST(Attention, RowsDoNotDependOnChunksThreadsCapacityOrLaterTokens) {
  struct Mode {
    int64_t q_heads, kv_heads, head_dim, window;
    syl_dtype type;
    float soft_cap;
  };
  const Mode modes[] = {{9, 3, 16, 0, SYL_F16, 0}, {4, 4, 24, 0, SYL_F32, 0},   {8, 1, 72, 0, SYL_F16, 30},
                        {6, 3, 8, 70, SYL_F16, 0}, {7, 1, 16, 300, SYL_F32, 0}, {2, 1, 40, 1, SYL_F16, 0}};
  const int64_t tokens = 700;
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    for (const Mode& mode : modes) {
      syl_attention shape = Shape(mode.q_heads, mode.kv_heads, mode.head_dim, 704, mode.type);
      shape.window = mode.window;
      shape.soft_cap = mode.soft_cap;
      SCOPED_TRACE(tier + " " + Describe(shape));
      const Inputs in(shape, tokens, 70);
      std::vector<float> one_by_one;
      FloatCache growing(shape, in.k, in.v, 0);
      for (int64_t row = 0; row < tokens; ++row) {
        growing.Append(in.k, in.v, row, 1);
        one_by_one = Join(std::move(one_by_one), growing.Attend(in.q, row, 1, row + 1));
      }
      const FloatCache whole(shape, in.k, in.v, tokens);
      syl_attention large_shape = shape;
      large_shape.capacity = 4096;
      const FloatCache large(large_shape, in.k, in.v, tokens);
      for (const int32_t threads : {1, 2, 4}) {
        const Pool pool = NewPool(threads);
        EXPECT_TRUE(SameBits(whole.Attend(in.q, 0, tokens, tokens, pool.get()), one_by_one)) << threads;
        EXPECT_TRUE(SameBits(large.Attend(in.q, 0, tokens, tokens, pool.get()), one_by_one)) << threads;
        std::mt19937 random(80);
        std::vector<float> chunked;
        for (int64_t first = 0; first < tokens;) {
          const int64_t most = random() % 2 == 0 ? 20 : 200;
          const int64_t rows = std::min<int64_t>(tokens - first, 1 + static_cast<int64_t>(random()) % most);
          const int64_t visible = first + rows + static_cast<int64_t>(random()) % (tokens - first - rows + 1);
          chunked = Join(std::move(chunked), whole.Attend(in.q, first, rows, visible, pool.get()));
          first += rows;
        }
        EXPECT_TRUE(SameBits(chunked, one_by_one)) << threads;
      }
    }
  }
}

TEST(Attention, BidirectionalRowsDoNotDependOnTheirNumberOrThreads) {
  syl_attention shape = Shape(6, 2, 32, 704);
  shape.causal = 0;
  const int64_t tokens = 700;
  const Inputs in(shape, tokens, 90);
  const FloatCache cache(shape, in.k, in.v, tokens);
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    std::vector<float> one_by_one;
    for (int64_t row = 0; row < tokens; ++row)
      one_by_one = Join(std::move(one_by_one), cache.Attend(in.q, row, 1, tokens));
    for (const int32_t threads : {1, 2, 4}) {
      const Pool pool = NewPool(threads);
      EXPECT_TRUE(SameBits(cache.Attend(in.q, 0, tokens, tokens, pool.get()), one_by_one)) << tier << threads;
    }
  }
}

TEST(Attention, TiersWithFusedMultiplyAddAgree) {
  for (const int64_t dim : {8, 64, 80, 128, 256}) {
    for (const float soft_cap : {0.0f, 10.0f}) {
      syl_attention shape = Shape(6, 2, dim, 608);
      shape.soft_cap = soft_cap;
      const Inputs in(shape, 600, 100);
      const FloatCache cache(shape, in.k, in.v, 600);
      std::vector<float> first;
      for (const std::string& tier : SupportedTiers()) {
        if (tier == "sse4") continue;
        const TierGuard guard(tier);
        const std::vector<float> y = cache.Attend(in.q, 560, 40, 600);
        if (first.empty()) first = y;
        EXPECT_TRUE(SameBits(y, first)) << tier << " " << Describe(shape);
      }
    }
  }
}

// What a row may not see does not reach it, not even as 0 * NaN or 0 * infinity.
TEST(Attention, UnseenTokensDoNotMatter) {
  const int64_t tokens = 600;
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    for (const syl_dtype type : {SYL_F16, SYL_F32}) {
      for (const int64_t window : {0, 20, 300}) {
        for (const float soft_cap : {0.0f, 5.0f}) {
          syl_attention shape = Shape(3, 1, 24, 608, type);
          shape.window = window;
          shape.soft_cap = soft_cap;
          SCOPED_TRACE(tier + " " + Describe(shape));
          const Inputs in(shape, tokens, 110);
          const std::vector<float> want = FloatCache(shape, in.k, in.v, tokens).Attend(in.q, 400, 30, 430);
          for (const float poison : {kNaN, std::numeric_limits<float>::infinity(), -65504.0f}) {
            Inputs bad = in;
            for (int64_t t = 0; t < tokens; ++t) {
              const bool seen_by_all = t < 401 && (window == 0 || t > 429 - window);
              const bool seen_by_none = t >= 430 || (window != 0 && t <= 400 - window);
              if (!seen_by_none) continue;
              ASSERT_FALSE(seen_by_all);
              std::fill_n(bad.k.At(t), 24, poison);
              std::fill_n(bad.v.At(t), 24, poison);
            }
            const FloatCache cache(shape, bad.k, bad.v, tokens);
            EXPECT_TRUE(SameBits(cache.Attend(in.q, 400, 30, 430), want)) << poison;
            EXPECT_TRUE(SameBits(cache.Attend(in.q, 400, 30, tokens), want)) << poison;
            // The last token alone is poisoned for the last row alone.
            Inputs last = in;
            std::fill_n(last.k.At(429), 24, poison);
            std::fill_n(last.v.At(429), 24, poison);
            std::vector<float> y = FloatCache(shape, last.k, last.v, tokens).Attend(in.q, 400, 30, 430);
            std::copy_n(want.end() - 72, 72, y.end() - 72);
            EXPECT_TRUE(SameBits(y, want)) << poison;
          }
        }
      }
    }
  }
}

TEST(Attention, NonFiniteQueriesStayInTheirHead) {
  const syl_attention shape = Shape(3, 1, 24, 320);
  const Inputs in(shape, 300, 120);
  const FloatCache cache(shape, in.k, in.v, 300);
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    const std::vector<float> want = cache.Attend(in.q, 280, 20, 300);
    for (const float poison : {kNaN, std::numeric_limits<float>::infinity()}) {
      Rows q = in.q;
      q.At(290)[24 + 7] = poison;  // head 1 of row 290
      std::vector<float> y = cache.Attend(q, 280, 20, 300);
      std::copy_n(want.begin() + 10 * 72 + 24, 24, y.begin() + 10 * 72 + 24);
      EXPECT_TRUE(SameBits(y, want)) << tier << " " << poison;
    }
  }
}

TEST(Attention, UnalignedBuffersGiveTheSameBits) {
  const syl_attention shape = Shape(6, 2, 40, 320);
  const Inputs in(shape, 300, 130);
  FloatCache cache(shape, in.k, in.v, 300);
  const std::vector<float> want = cache.Attend(in.q, 290, 10, 300);
  int64_t workspace_bytes = 0;
  ASSERT_EQ(syl_nn_attention_workspace(&shape, 10, 300, &workspace_bytes), SYL_OK);
  const auto shifted = [](const void* from, int64_t bytes, int64_t shift) {
    std::vector<uint8_t> copy(static_cast<size_t>(bytes + 64));
    if (from != nullptr) std::memcpy(copy.data() + shift, from, static_cast<size_t>(bytes));
    return copy;
  };
  for (const int64_t shift : {4, 20, 36}) {
    const std::vector<uint8_t> q = shifted(in.q.At(290), (9 * in.q.stride + 240) * 4, shift);
    const std::vector<uint8_t> keys = shifted(cache.keys().data(), static_cast<int64_t>(cache.keys().size()), shift);
    const std::vector<uint8_t> values =
        shifted(cache.values().data(), static_cast<int64_t>(cache.values().size()), shift);
    std::vector<uint8_t> workspace = shifted(nullptr, workspace_bytes, shift),
                         y = shifted(nullptr, 10 * 240 * 4, shift);
    ASSERT_EQ(syl_nn_attention_f32(&shape, reinterpret_cast<const float*>(q.data() + shift), in.q.stride, 290, 10,
                                   keys.data() + shift, values.data() + shift, 300,
                                   reinterpret_cast<float*>(y.data() + shift), 240, workspace.data() + shift,
                                   workspace_bytes, nullptr),
              SYL_OK)
        << syl_last_error();
    EXPECT_EQ(std::memcmp(y.data() + shift, want.data(), want.size() * sizeof(float)), 0) << shift;
  }
}

TEST(Attention, WorkspaceOfLongContextsFits64Bits) {
  const syl_attention shape = Shape(32, 8, 128, int64_t{1} << 22);
  int64_t one = 0, many = 0;
  ASSERT_EQ(syl_nn_attention_workspace(&shape, 1, int64_t{1} << 20, &one), SYL_OK);
  EXPECT_LT(one, int64_t{1} << 27);  // 1/32 of the cache it stands for
  ASSERT_EQ(syl_nn_attention_workspace(&shape, 1 << 22, 1 << 22, &many), SYL_OK);
  EXPECT_GE(many, 0);
  EXPECT_EQ(syl_nn_attention_workspace(&shape, INT64_MAX / 4, 1 << 20, &many), SYL_BAD_VALUE);
  EXPECT_NE(std::string(syl_last_error()).find("rows"), std::string::npos) << syl_last_error();
}

TEST(Attention, ErrorsNameTheArgument) {
  struct Call {
    syl_attention shape;
    const float* q;
    int64_t q_stride, first, rows;
    const void *keys, *values;
    int64_t tokens;
    float* y;
    int64_t y_stride;
    void* workspace;
    int64_t workspace_bytes;
  };
  const syl_attention shape = Shape(4, 2, 16, 608);
  Inputs in(shape, 600, 140);
  FloatCache cache(shape, in.k, in.v, 600);
  int64_t bytes = 0;
  ASSERT_EQ(syl_nn_attention_workspace(&shape, 3, 600, &bytes), SYL_OK);
  ASSERT_GT(bytes, 0);
  std::vector<uint8_t> workspace(static_cast<size_t>(bytes) + 1, kPoison);
  std::vector<float> y(3 * 64, 7);
  const Call good{shape, in.q.At(0),       64,   10, 3, cache.keys().data(), cache.values().data(), 600, y.data(),
                  64,    workspace.data(), bytes};
  const auto run = [](const Call& c) {
    return syl_nn_attention_f32(&c.shape, c.q, c.q_stride, c.first, c.rows, c.keys, c.values, c.tokens, c.y, c.y_stride,
                                c.workspace, c.workspace_bytes, nullptr);
  };
  const auto fails = [&](syl_status want, const char* argument, auto change) {
    Call call = good;
    change(&call);
    EXPECT_EQ(run(call), want) << argument;
    EXPECT_NE(std::string(syl_last_error()).find(argument), std::string::npos) << argument << ": " << syl_last_error();
  };
  EXPECT_EQ(syl_nn_attention_workspace(nullptr, 1, 1, &bytes), SYL_NULL_ARGUMENT);
  EXPECT_EQ(syl_nn_attention_workspace(&shape, 1, 1, nullptr), SYL_NULL_ARGUMENT);
  EXPECT_EQ(syl_nn_attention_workspace(&shape, -1, 1, &bytes), SYL_BAD_VALUE);
  EXPECT_EQ(syl_nn_attention_workspace(&shape, 1, 609, &bytes), SYL_BAD_VALUE);
  fails(SYL_NULL_ARGUMENT, "q is", [](Call* c) { c->q = nullptr; });
  fails(SYL_NULL_ARGUMENT, "keys", [](Call* c) { c->keys = nullptr; });
  fails(SYL_NULL_ARGUMENT, "values", [](Call* c) { c->values = nullptr; });
  fails(SYL_NULL_ARGUMENT, "y is", [](Call* c) { c->y = nullptr; });
  fails(SYL_NULL_ARGUMENT, "workspace", [](Call* c) { c->workspace = nullptr; });
  fails(SYL_BAD_VALUE, "tokens", [](Call* c) { c->tokens = -1; });
  fails(SYL_BAD_VALUE, "tokens", [](Call* c) { c->tokens = 609; });
  fails(SYL_BAD_VALUE, "first", [](Call* c) { c->first = -1; });
  fails(SYL_BAD_VALUE, "first", [](Call* c) { c->first = INT64_MAX; });
  fails(SYL_BAD_VALUE, "rows", [](Call* c) { c->rows = -1; });
  fails(SYL_BAD_VALUE, "rows", [](Call* c) { c->rows = INT64_MAX; });
  fails(SYL_BAD_SHAPE, "first + rows", [](Call* c) { c->tokens = 12; });
  fails(SYL_BAD_SHAPE, "tokens", [](Call* c) {
    c->shape.causal = 0;
    c->tokens = 0;
  });
  fails(SYL_BAD_SHAPE, "q_stride", [](Call* c) { c->q_stride = 63; });
  fails(SYL_BAD_SHAPE, "y_stride", [](Call* c) { c->y_stride = 63; });
  fails(SYL_BAD_SHAPE, "q_stride", [](Call* c) { c->q_stride = INT64_MAX / 2; });
  fails(SYL_BAD_SHAPE, "y_stride", [](Call* c) { c->y_stride = INT64_MAX / 2; });
  fails(SYL_OVERLAP, "y overlaps q", [&](Call* c) { c->y = in.q.At(0) + 10; });
  fails(SYL_OVERLAP, "y overlaps keys", [&](Call* c) { c->y = reinterpret_cast<float*>(cache.keys().data()); });
  fails(SYL_OVERLAP, "y overlaps values", [&](Call* c) { c->y = reinterpret_cast<float*>(cache.values().data()); });
  fails(SYL_OVERLAP, "workspace overlaps y", [&](Call* c) {
    c->workspace = y.data();
    c->y = y.data() + 1;
  });
  fails(SYL_OVERLAP, "workspace overlaps q", [&](Call* c) { c->workspace = in.q.At(0); });
  fails(SYL_OVERLAP, "workspace overlaps keys", [&](Call* c) { c->workspace = cache.keys().data(); });
  fails(SYL_OVERLAP, "workspace overlaps values", [&](Call* c) { c->workspace = cache.values().data(); });
  fails(SYL_WORKSPACE, "workspace_bytes", [](Call* c) { c->workspace_bytes -= 1; });
  for (const float value : y) EXPECT_EQ(value, 7);
  for (const uint8_t byte : workspace) EXPECT_EQ(byte, kPoison);
  Call none = good;
  none.rows = 0;
  EXPECT_EQ(run(none), SYL_OK);
  for (const float value : y) EXPECT_EQ(value, 7);
  EXPECT_EQ(run(good), SYL_OK) << syl_last_error();
}

}  // namespace
