#include "tests/native/kron/reference.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 71;
constexpr float kScale = 0.625f;

// y = scale delta x (+ y) against the dense product. Random signs: errors grow as the root of the number of terms.
void ExpectDense(const KronSizes& s, const Doubles& dense, bool transposed, const Rows& x, const Rows& before,
                 const Rows& y, bool accumulate) {
  const int64_t out = transposed ? s.In() : s.Out(), in = transposed ? s.Out() : s.In();
  double error = 0, norm = 0;
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t o = 0; o < out; ++o) {
      double want = 0;
      for (int64_t i = 0; i < in; ++i) {
        want += dense[static_cast<size_t>(transposed ? i * s.In() + o : o * s.In() + i)] * x.At(r)[i];
      }
      want = kScale * want + (accumulate ? before.At(r)[o] : 0);
      error += (y.At(r)[o] - want) * (y.At(r)[o] - want);
      norm += want * want;
    }
    for (int64_t gap = out; gap < y.stride && r + 1 < x.rows; ++gap) ASSERT_TRUE(std::isnan(y.At(r)[gap]));
  }
  ASSERT_LE(std::sqrt(error), 1e-6 * std::sqrt(static_cast<double>(in)) * std::sqrt(norm) + 1e-12) << s;
}

TEST(KronApply, IsTheDenseProduct) {
  for (const KronSizes& s : kKronSizes) {
    const RandomKron kron(s, kSeed);
    const Doubles dense = DenseDelta(kron);
    for (const bool transposed : {false, true}) {
      PackedKron packed(kron.Native(), transposed ? SYL_KRON_TRANSPOSED : 0);
      const int64_t out = transposed ? s.In() : s.Out(), in = transposed ? s.Out() : s.In();
      for (const std::string& tier : SupportedTiers()) {
        const TierGuard guard(tier);
        for (const int64_t rows : {1, 3, 9}) {
          for (const bool accumulate : {false, true}) {
            SCOPED_TRACE(tier + (transposed ? " transposed" : "") + (accumulate ? " accumulate" : ""));
            const Rows x(rows, in, kSeed + 1), before(rows, out, kSeed + 2, 10);
            Rows y = before;
            ApplyKron(packed, kScale, x, y, accumulate ? SYL_KRON_ACCUMULATE : 0);
            ExpectDense(s, dense, transposed, x, before, y, accumulate);
          }
        }
      }
    }
  }
}

TEST(KronApply, SixteenBitFactorsAreThoseThatTheyRoundTo) {
  for (const KronSizes& s : kKronSizes) {
    for (const syl_dtype type : {SYL_F16, SYL_BF16}) {
      RandomKron kron(s, kSeed);
      const HalfKron half(kron, type);
      PackedKron wide(kron.Native()), narrow(half.Native());
      const Rows x(5, s.In(), kSeed + 3);
      for (const std::string& tier : SupportedTiers()) {
        const TierGuard guard(tier);
        Rows want(5, s.Out(), 0), got(5, s.Out(), 0);
        ApplyKron(wide, kScale, x, want);
        ApplyKron(narrow, kScale, x, got);
        ASSERT_TRUE(SameBits(got.data, want.data)) << s << " type " << type << " tier " << tier;
      }
    }
  }
}

TEST(KronApply, LoraIsTwoProducts) {
  const KronSizes s{3, 50, 1, 1, 40};
  const RandomKron kron(s, kSeed);
  PackedKron packed(kron.Native());
  const Rows x(4, 40, kSeed);
  Rows y(4, 50, 0);
  ApplyKron(packed, kScale, x, y);
  for (int64_t r = 0; r < 4; ++r) {
    for (size_t o = 0; o < 50; ++o) {
      double want = 0;
      for (size_t k = 0; k < 3; ++k) {
        double ax = 0;
        for (size_t i = 0; i < 40; ++i) ax += static_cast<double>(kron.v[k * 40 + i]) * x.At(r)[i];
        want += kron.u[k * 50 + o] * ax;
      }
      ASSERT_NEAR(y.At(r)[o], kScale * want, 2e-5);
    }
  }
}

TEST(KronApply, SameBitsOnFusedTiersForAnyThreadsAndRows) {
  // The last one has several chunks of rows and several tasks.
  for (const KronSizes& s :
       {KronSizes{5, 13, 40, 33, 17}, KronSizes{8, 200, 1, 1, 300}, KronSizes{16, 64, 48, 48, 64}}) {
    const RandomKron kron(s, kSeed);
    PackedKron packed(kron.Native());
    const int64_t rows = 70;
    Rows x(rows, s.In(), kSeed + 4);
    x.At(5)[0] = kNaN;
    Rows want(rows, s.Out(), 0);
    ApplyKron(packed, kScale, x, want);
    for (int64_t r = 0; r < rows; ++r) {
      Rows one(1, s.In(), 0), y(1, s.Out(), 0);
      std::copy(x.At(r), x.At(r) + s.In(), one.At(0));
      ApplyKron(packed, kScale, one, y);
      ASSERT_EQ(std::memcmp(y.At(0), want.At(r), static_cast<size_t>(s.Out()) * 4), 0) << s << " row " << r;
      for (int64_t o = 0; o < s.Out(); ++o) ASSERT_EQ(std::isnan(y.At(0)[o]), r == 5) << s;
    }
    for (const std::string& tier : SupportedTiers()) {
      if (!IsFused(tier)) continue;
      const TierGuard guard(tier);
      Rows y(rows, s.Out(), 0);
      ApplyKron(packed, kScale, x, y);
      ASSERT_TRUE(SameBits(y.data, want.data)) << s << " tier " << tier;
    }
    for (const int32_t threads : {2, 4}) {
      const Pool pool = NewPool(threads);
      Rows y(rows, s.Out(), 0);
      ApplyKron(packed, kScale, x, y, 0, pool.get());
      ASSERT_TRUE(SameBits(y.data, want.data)) << s << " threads " << threads;
    }
  }
}

struct Mixed {
  // Kronecker beside LoRA, several ranks, orders and types, all 96 x 64.
  Mixed() : half_source({4, 8, 8, 12, 8}, kSeed + 3), half(half_source, SYL_BF16) {
    adapters.emplace_back(RandomKron({2, 8, 8, 12, 8}, kSeed).Native());
    adapters.emplace_back(RandomKron({7, 96, 1, 1, 64}, kSeed + 1).Native());
    adapters.emplace_back(RandomKron({1, 3, 16, 32, 4}, kSeed + 2).Native());
    adapters.emplace_back(half.Native());
    for (PackedKron& adapter : adapters) packed.push_back(adapter.Data());
    for (const void* adapter : packed) workspace = std::max(workspace, KronWorkspace(adapter));
  }

  syl_kron_segments Native() const {
    return {sizeof(syl_kron_segments),
            4,
            static_cast<int64_t>(adapter.size()),
            packed.data(),
            row_begin.data(),
            adapter.data(),
            scale.data()};
  }

  RandomKron half_source;
  HalfKron half;
  std::vector<PackedKron> adapters;
  std::vector<const void*> packed;
  std::vector<int64_t> row_begin = {0, 3, 4, 4, 12, 13, 20};
  std::vector<int32_t> adapter = {1, 0, 2, 3, -1, 2};
  Floats scale = {1, -0.5f, 2, 0.25f, 9, 0};
  int64_t workspace = 0;
};

TEST(KronSegments, AreALoopOverAdapters) {
  Mixed mixed;
  const syl_kron_segments segments = mixed.Native();
  const Rows x(20, 64, kSeed + 5), before(20, 96, kSeed + 6);
  const Pool pool = NewPool(3);
  for (const uint32_t flags : {0u, static_cast<uint32_t>(SYL_KRON_ACCUMULATE)}) {
    for (const std::string& tier : SupportedTiers()) {
      const TierGuard guard(tier);
      Rows want = before, got = before;
      for (size_t s = 0; s < mixed.adapter.size(); ++s) {
        const int64_t first = mixed.row_begin[s], rows = mixed.row_begin[s + 1] - first;
        if (mixed.adapter[s] < 0) {
          for (int64_t r = first; r < first + rows && flags == 0; ++r) std::fill_n(want.At(r), 96, 0.f);
          continue;
        }
        std::vector<uint8_t> workspace(static_cast<size_t>(mixed.workspace));
        ASSERT_EQ(syl_kron_apply_f32(mixed.packed[static_cast<size_t>(mixed.adapter[s])], mixed.scale[s], x.At(first),
                                     x.stride, rows, flags, want.At(first), want.stride, workspace.data(),
                                     mixed.workspace, nullptr),
                  SYL_OK);
      }
      std::vector<uint8_t> workspace(static_cast<size_t>(mixed.workspace) + 1);
      ASSERT_EQ(syl_kron_apply_segments_f32(&segments, 96, 64, x.At(0), x.stride, flags, got.At(0), got.stride,
                                            workspace.data() + 1, mixed.workspace, pool.get()),
                SYL_OK)
          << syl_last_error();
      ASSERT_TRUE(SameBits(got.data, want.data)) << "tier " << tier << " flags " << flags;
    }
  }
}

TEST(KronSegments, BadArgumentsAreRefused) {
  Mixed mixed;
  Rows x(20, 64, 1), y(20, 96, 2);
  const Rows before = y;
  std::vector<uint8_t> workspace(static_cast<size_t>(mixed.workspace));
  const auto run = [&](auto change, int64_t out = 96, int64_t in = 64) {
    Mixed bad;
    syl_kron_segments segments = bad.Native();
    change(bad, segments);
    return syl_kron_apply_segments_f32(&segments, out, in, x.At(0), x.stride, 0, y.At(0), y.stride, workspace.data(),
                                       static_cast<int64_t>(workspace.size()), nullptr);
  };
  EXPECT_REFUSED(run([](auto&, auto& s) { s.struct_size = 4; }), SYL_BAD_VALUE, "segments->struct_size is 4");
  EXPECT_REFUSED(run([](auto&, auto& s) { s.adapters = -1; }), SYL_BAD_VALUE, "segments->adapters is -1");
  EXPECT_REFUSED(run([](auto&, auto& s) { s.segments = -1; }), SYL_BAD_VALUE, "segments->segments is -1");
  EXPECT_REFUSED(run([](auto&, auto& s) { s.packed = nullptr; }), SYL_NULL_ARGUMENT, "segments->packed is NULL");
  EXPECT_REFUSED(run([](auto&, auto& s) { s.row_begin = nullptr; }), SYL_NULL_ARGUMENT, "segments->row_begin is NULL");
  EXPECT_REFUSED(run([](auto&, auto& s) { s.adapter = nullptr; }), SYL_NULL_ARGUMENT, "segments->adapter is NULL");
  EXPECT_REFUSED(run([](auto&, auto& s) { s.scale = nullptr; }), SYL_NULL_ARGUMENT, "segments->scale is NULL");
  EXPECT_REFUSED(run([](auto& m, auto&) { m.packed[2] = nullptr; }), SYL_NULL_ARGUMENT, "segments->packed[2] is NULL");
  EXPECT_REFUSED(run([](auto& m, auto&) { m.row_begin[0] = 1; }), SYL_BAD_SHAPE, "segments->row_begin[0] is 1");
  EXPECT_REFUSED(run([](auto& m, auto&) { m.row_begin[2] = 2; }), SYL_BAD_SHAPE, "segments->row_begin[2] is 2");
  EXPECT_REFUSED(run([](auto& m, auto&) { m.adapter[1] = 4; }), SYL_BAD_VALUE, "segments->adapter[1] is 4");
  EXPECT_REFUSED(run([](auto& m, auto&) { m.adapter[0] = -2; }), SYL_BAD_VALUE, "segments->adapter[0] is -2");
  EXPECT_REFUSED(run([](auto& m, auto&) { m.scale[3] = kNaN; }), SYL_BAD_VALUE, "segments->scale[3] is nan");
  EXPECT_REFUSED(run([](auto&, auto&) {}, 95), SYL_BAD_SHAPE, "segments->packed[0] is 96 x 64, must be 95 x 64");
  EXPECT_REFUSED(run([](auto&, auto&) {}, 0), SYL_BAD_VALUE, "out is 0");
  EXPECT_REFUSED(run([&](auto& m, auto&) { workspace.resize(static_cast<size_t>(m.workspace) - 1); }), SYL_WORKSPACE,
                 "workspace_bytes is");
  EXPECT_TRUE(SameBits(y.data, before.data));
  // No adapter at all needs no workspace.
  const int64_t row_begin[] = {0, 20};
  const int32_t none[] = {-1};
  const float scale[] = {1};
  const syl_kron_segments empty{sizeof(empty), 0, 1, nullptr, row_begin, none, scale};
  EXPECT_EQ(syl_kron_apply_segments_f32(&empty, 96, 64, x.At(0), x.stride, SYL_KRON_ACCUMULATE, y.At(0), y.stride,
                                        nullptr, 0, nullptr),
            SYL_OK);
  EXPECT_TRUE(SameBits(y.data, before.data));
}

TEST(KronApply, BadArgumentsAreRefused) {
  const RandomKron kron({2, 4, 3, 2, 5}, kSeed);
  PackedKron packed(kron.Native());
  Floats x(45, 1), y(24, 7);
  const int64_t needed = KronWorkspace(packed.Data());
  std::vector<uint8_t> workspace(static_cast<size_t>(needed));
  struct Arguments {
    const void* packed;
    float scale;
    const float* x;
    int64_t x_stride, rows;
    uint32_t flags;
    float* y;
    int64_t y_stride;
    void* workspace;
    int64_t bytes;
  };
  const Arguments good{packed.Data(), 1, x.data(), 15, 3, 0, y.data(), 8, workspace.data(), needed};
  const auto run = [&](auto change) {
    Arguments a = good;
    change(a);
    return syl_kron_apply_f32(a.packed, a.scale, a.x, a.x_stride, a.rows, a.flags, a.y, a.y_stride, a.workspace,
                              a.bytes, nullptr);
  };
  AlignedBytes zeros(128);
  auto* inside = const_cast<float*>(static_cast<const float*>(packed.Data())) + 16;
  EXPECT_REFUSED(run([](auto& a) { a.packed = nullptr; }), SYL_NULL_ARGUMENT, "packed[0] is NULL");
  EXPECT_REFUSED(run([](auto& a) { a.packed = static_cast<const uint8_t*>(a.packed) + 4; }), SYL_BAD_VALUE,
                 "must be aligned to 64 bytes");
  EXPECT_REFUSED(run([&](auto& a) { a.packed = zeros.Data(); }), SYL_BAD_DATA, "was not made by syl_kron_pack");
  EXPECT_REFUSED(run([](auto& a) { a.scale = kInfinity; }), SYL_BAD_VALUE, "scale is inf");
  EXPECT_REFUSED(run([](auto& a) { a.x = nullptr; }), SYL_NULL_ARGUMENT, "x is NULL");
  EXPECT_REFUSED(run([](auto& a) { a.y = nullptr; }), SYL_NULL_ARGUMENT, "y is NULL");
  EXPECT_REFUSED(run([](auto& a) { a.x_stride = 14; }), SYL_BAD_SHAPE, "x_stride is 14, must be at least 15");
  EXPECT_REFUSED(run([](auto& a) { a.y_stride = 7; }), SYL_BAD_SHAPE, "y_stride is 7, must be at least 8");
  EXPECT_REFUSED(run([](auto& a) { a.x_stride = INT64_MAX / 3; }), SYL_BAD_SHAPE, "too large for 3 rows");
  EXPECT_REFUSED(run([](auto& a) { a.rows = -1; }), SYL_BAD_VALUE, "rows is -1");
  EXPECT_REFUSED(run([](auto& a) { a.flags = 2; }), SYL_BAD_VALUE, "flags is 2");
  EXPECT_REFUSED(run([](auto& a) { a.workspace = nullptr; }), SYL_NULL_ARGUMENT, "workspace is NULL");
  EXPECT_REFUSED(run([](auto& a) { a.bytes -= 1; }), SYL_WORKSPACE, "workspace_bytes is");
  EXPECT_REFUSED(run([&](auto& a) { a.y = x.data() + 44; }), SYL_OVERLAP, "y overlaps x");
  EXPECT_REFUSED(run([&](auto& a) { a.x = reinterpret_cast<float*>(workspace.data()); }), SYL_OVERLAP,
                 "workspace overlaps x");
  EXPECT_REFUSED(run([&](auto& a) { a.y = reinterpret_cast<float*>(workspace.data()); }), SYL_OVERLAP,
                 "workspace overlaps y");
  EXPECT_REFUSED(run([&](auto& a) { a.y = inside; }), SYL_OVERLAP, "y overlaps packed");
  EXPECT_REFUSED(run([&](auto& a) { a.workspace = inside; }), SYL_OVERLAP, "workspace overlaps packed");
  for (const float value : y) EXPECT_EQ(value, 7);
  EXPECT_EQ(run([](auto& a) { a.rows = 0; }), SYL_OK);
  int64_t bytes = 7;
  EXPECT_REFUSED(syl_kron_workspace(nullptr, &bytes), SYL_NULL_ARGUMENT, "packed[0] is NULL");
  EXPECT_REFUSED(syl_kron_workspace(packed.Data(), nullptr), SYL_NULL_ARGUMENT, "bytes is NULL");
  EXPECT_EQ(bytes, 7);
}

}  // namespace
