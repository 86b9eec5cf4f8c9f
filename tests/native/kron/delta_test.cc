#include "tests/native/kron/reference.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 73;
constexpr double kScale = -0.3;

float ToFloat(syl_dtype type, const uint8_t* w, int64_t i) {
  float value;
  const int64_t bytes = type == SYL_F32 ? 4 : 2;
  EXPECT_EQ(syl_dequantize_f32(type, w + i * bytes, 1, &value), SYL_OK);
  return value;
}

// Distance between neighbours of a type near a value.
double Ulp(syl_dtype type, double value) {
  const int bits = type == SYL_F32 ? 23 : type == SYL_F16 ? 10 : 7;
  const int least = type == SYL_F16 ? -14 : -126;
  return std::ldexp(1.0, std::max(value == 0 ? least : std::ilogb(value), least) - bits);
}

TEST(KronDelta, IsTheRoundedSum) {
  for (const KronSizes& s : kKronSizes) {
    if (s.Out() * s.In() > 50000) continue;  // for time
    for (const syl_dtype factors : {SYL_F32, SYL_F16, SYL_BF16}) {
      RandomKron random(s, kSeed);
      const HalfKron half(random, factors == SYL_F32 ? SYL_F16 : factors);
      const syl_kron kron = factors == SYL_F32 ? random.Native() : half.Native();
      const Doubles dense = DenseDelta(random);
      const int64_t out = s.Out(), in = s.In(), stride = in + 3;
      for (const syl_dtype type : {SYL_F32, SYL_F16, SYL_BF16}) {
        const size_t bytes = type == SYL_F32 ? 4 : 2;
        Rows base(out, in, kSeed + 1, 2);
        std::vector<uint8_t> before(base.data.size() * bytes);
        if (type == SYL_F32) {
          std::memcpy(before.data(), base.data.data(), before.size());
        } else {
          ASSERT_EQ(syl_convert_from_f32(type, base.data.data(), static_cast<int64_t>(base.data.size()), before.data()),
                    SYL_OK);
        }
        for (const std::string& tier : SupportedTiers()) {
          const TierGuard guard(tier);
          for (const bool accumulate : {false, true}) {
            std::vector<uint8_t> w = before;
            ASSERT_EQ(
                syl_kron_delta(&kron, kScale, accumulate ? SYL_KRON_ACCUMULATE : 0, type, w.data(), stride, nullptr),
                SYL_OK)
                << syl_last_error();
            double largest = 0;  // error in units of the last place
            for (int64_t o = 0; o < out; ++o) {
              for (int64_t i = 0; i < stride; ++i) {
                const int64_t at = o * stride + i;
                const float got = ToFloat(type, w.data(), at), old = ToFloat(type, before.data(), at);
                if (i >= in) {
                  ASSERT_TRUE(std::isnan(got)) << "a gap was written";
                  continue;
                }
                const double want = kScale * dense[static_cast<size_t>(o * in + i)] + (accumulate ? old : 0);
                largest = std::max(largest, (std::fabs(got - want) - 1e-12) / Ulp(type, want));
              }
            }
            // Half a unit, and a little where it was rounded to float first.
            ASSERT_LE(largest, 0.501) << s << " types " << factors << " " << type << " tier " << tier;
          }
        }
      }
    }
  }
}

TEST(KronDelta, SameBitsForAnyThreads) {
  const RandomKron kron({4, 30, 32, 16, 24}, kSeed);
  const syl_kron native = kron.Native();
  const auto run = [&](syl_pool* pool) {
    Floats w(480 * 768, 0.5f);
    EXPECT_EQ(syl_kron_delta(&native, kScale, SYL_KRON_ACCUMULATE, SYL_F32, w.data(), 768, pool), SYL_OK);
    return w;
  };
  const Pool pool = NewPool(4);
  EXPECT_TRUE(SameBits(run(nullptr), run(pool.get())));
}

TEST(KronDelta, BadArgumentsAreRefused) {
  RandomKron random({2, 4, 3, 2, 5}, kSeed);
  const syl_kron good = random.Native();
  Floats w(120, 7);
  const auto run = [&](auto change) {
    struct {
      syl_kron kron;
      double scale;
      uint32_t flags;
      syl_dtype type;
      void* w;
      int64_t stride;
    } a{good, 1, 0, SYL_F32, w.data(), 15};
    change(a);
    return syl_kron_delta(&a.kron, a.scale, a.flags, a.type, a.w, a.stride, nullptr);
  };
  EXPECT_REFUSED(run([](auto& a) { a.kron.u = nullptr; }), SYL_NULL_ARGUMENT, "kron->u is NULL");
  EXPECT_REFUSED(run([](auto& a) { a.scale = INFINITY; }), SYL_BAD_VALUE, "scale is inf");
  EXPECT_REFUSED(run([](auto& a) { a.flags = 2; }), SYL_BAD_VALUE, "flags is 2");
  EXPECT_REFUSED(run([](auto& a) { a.type = SYL_Q8_0; }), SYL_BAD_VALUE, "type is 8");
  EXPECT_REFUSED(run([](auto& a) { a.w = nullptr; }), SYL_NULL_ARGUMENT, "w is NULL");
  EXPECT_REFUSED(run([](auto& a) { a.stride = 14; }), SYL_BAD_SHAPE, "w_stride is 14");
  EXPECT_REFUSED(run([](auto& a) { a.stride = INT64_MAX / 2; }), SYL_BAD_SHAPE, "w_stride is");
  EXPECT_REFUSED(run([&](auto& a) { a.w = random.u.data(); }), SYL_OVERLAP, "overlaps kron->u");
  EXPECT_REFUSED(run([&](auto& a) { a.w = random.v.data(); }), SYL_OVERLAP, "overlaps kron->v");
  for (const float value : w) EXPECT_EQ(value, 7);
}

}  // namespace
