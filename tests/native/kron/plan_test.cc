#include "tests/native/kron/reference.h"

namespace {

using namespace sylvester_test;

// Pairs that PEFT's factorization() gives.
TEST(KronFactorize, IsPeftsRule) {
  const struct {
    int64_t dim, factor, small, large;
  } goldens[] = {{127, -1, 1, 127},   {128, -1, 8, 16},     {256, -1, 16, 16},
                 {960, -1, 30, 32},   {1024, -1, 32, 32},   {2048, -1, 32, 64},
                 {3072, -1, 48, 64},  {4096, -1, 64, 64},   {5120, -1, 64, 80},
                 {8192, -1, 64, 128}, {11008, -1, 86, 128}, {14336, -1, 112, 128},
                 {128, 4, 4, 32},     {4096, 4, 4, 1024},   {4096, 4096, 4096, 1},
                 {1, -1, 1, 1},       {2, -1, 1, 2},        {12, 5, 3, 4},
                 {28, 5, 4, 7},       {30, 7, 5, 6},        {2147483647, -1, 1, 2147483647}};
  for (const auto& golden : goldens) {
    int64_t small = 0, large = 0;
    ASSERT_EQ(syl_kron_factorize(golden.dim, golden.factor, &small, &large), SYL_OK);
    EXPECT_EQ(small, golden.small) << golden.dim << " factor " << golden.factor;
    EXPECT_EQ(large, golden.large) << golden.dim << " factor " << golden.factor;
  }
  int64_t small = 7, large = 7;
  EXPECT_REFUSED(syl_kron_factorize(0, -1, &small, &large), SYL_BAD_VALUE, "dim is 0");
  EXPECT_REFUSED(syl_kron_factorize(8, 0, &small, &large), SYL_BAD_VALUE, "factor is 0");
  EXPECT_REFUSED(syl_kron_factorize(8, -2, &small, &large), SYL_BAD_VALUE, "factor is -2");
  EXPECT_REFUSED(syl_kron_factorize(8, -1, nullptr, &large), SYL_NULL_ARGUMENT, "small is NULL");
  EXPECT_REFUSED(syl_kron_factorize(8, -1, &small, nullptr), SYL_NULL_ARGUMENT, "large is NULL");
  EXPECT_EQ(small, 7);
  EXPECT_EQ(large, 7);
}

syl_kron KronOf(const KronSizes& s) {
  return {sizeof(syl_kron), SYL_F32, s.terms, s.m, s.n, s.p, s.q, nullptr, nullptr};
}

// Orders and costs of layers that are in use.
TEST(KronDescribe, TakesTheCheaperOrder) {
  const struct {
    KronSizes sizes;
    int32_t order;
    int64_t parameters, flop;
  } cases[] = {
      {{1, 64, 64, 64, 64}, SYL_KRON_U_FIRST, 8192, 1048576},
      {{8, 16, 16, 256, 256}, SYL_KRON_U_FIRST, 8 * 65792, 8 * 2228224},
      {{1, 86, 64, 128, 64}, SYL_KRON_U_FIRST, 13696, 2113536},
      {{1, 112, 64, 128, 64}, SYL_KRON_U_FIRST, 15360, 2752512},
      {{1, 32, 64, 32, 64}, SYL_KRON_U_FIRST, 4096, 393216},
      {{1, 64, 32, 32, 64}, SYL_KRON_V_FIRST, 4096, 262144},
      {{16, 4096, 1, 1, 4096}, SYL_KRON_V_FIRST, 131072, 262144},
  };
  for (const auto& c : cases) {
    const syl_kron kron = KronOf(c.sizes);
    syl_kron_info info{sizeof(info), -1, 0, 0, 0};
    ASSERT_EQ(syl_kron_describe(&kron, &info), SYL_OK) << syl_last_error();
    EXPECT_EQ(info.order, c.order) << c.sizes;
    EXPECT_EQ(info.parameters, c.parameters) << c.sizes;
    EXPECT_EQ(info.flop, c.flop) << c.sizes;
    EXPECT_GE(info.packed_bytes, 4 * info.parameters) << c.sizes;
  }
}

TEST(KronDescribe, BadArgumentsAreRefused) {
  syl_kron_info info{sizeof(info), 7, 7, 7, 7};
  const auto run = [&](auto change) {
    syl_kron kron = KronOf({2, 4, 3, 2, 5});
    change(kron);
    return syl_kron_describe(&kron, &info);
  };
  EXPECT_REFUSED(syl_kron_describe(nullptr, &info), SYL_NULL_ARGUMENT, "kron is NULL");
  EXPECT_REFUSED(run([](auto& k) { k.struct_size = 8; }), SYL_BAD_VALUE, "kron->struct_size is 8");
  EXPECT_REFUSED(run([](auto& k) { k.type = SYL_F64; }), SYL_BAD_VALUE, "kron->type is 28");
  EXPECT_REFUSED(run([](auto& k) { k.terms = 0; }), SYL_BAD_VALUE, "kron->terms is 0");
  EXPECT_REFUSED(run([](auto& k) { k.terms = 65537; }), SYL_BAD_VALUE, "kron->terms is 65537");
  EXPECT_REFUSED(run([](auto& k) { k.m = 0; }), SYL_BAD_VALUE, "kron->m is 0");
  EXPECT_REFUSED(run([](auto& k) { k.n = -1; }), SYL_BAD_VALUE, "kron->n is -1");
  EXPECT_REFUSED(run([](auto& k) { k.p = INT64_MAX; }), SYL_BAD_VALUE, "kron->p is 9223372036854775807");
  EXPECT_REFUSED(run([](auto& k) { k.q = 0; }), SYL_BAD_VALUE, "kron->q is 0");
  EXPECT_REFUSED(run([](auto& k) { k.m = k.p = 65536; }), SYL_BAD_SHAPE, "m p of kron is 1 x 65536 x 65536");
  EXPECT_REFUSED(run([](auto& k) { k.n = k.q = 65536; }), SYL_BAD_SHAPE, "n q of kron");
  EXPECT_REFUSED(run([](auto& k) { k.terms = k.m = k.n = 2048; }), SYL_BAD_SHAPE, "terms m n of kron");
  EXPECT_REFUSED(run([](auto& k) { k.terms = k.p = k.q = 2048; }), SYL_BAD_SHAPE, "terms p q of kron");
  EXPECT_REFUSED(run([](auto& k) { k.terms = k.n = k.p = 2048; }), SYL_BAD_SHAPE, "terms n p of kron");
  EXPECT_REFUSED(run([](auto& k) { k.terms = k.m = k.q = 2048; }), SYL_BAD_SHAPE, "terms m q of kron");
  EXPECT_EQ(info.order, 7);
  info.struct_size = 1;
  EXPECT_REFUSED(run([](auto&) {}), SYL_BAD_VALUE, "info->struct_size is 1");
}

TEST(KronPack, BadArgumentsAreRefused) {
  const RandomKron random({2, 4, 3, 2, 5}, 1);
  const syl_kron good = random.Native();
  const int64_t bytes = PackedKron::BytesOf(good);
  AlignedBytes memory(bytes);
  uint8_t* const packed = memory.Data();
  const auto run = [&](auto change) {
    syl_kron kron = good;
    change(kron);
    return syl_kron_pack(&kron, 0, packed, bytes);
  };
  EXPECT_REFUSED(run([](auto& k) { k.m = 0; }), SYL_BAD_VALUE, "kron->m is 0");
  EXPECT_REFUSED(run([](auto& k) { k.u = nullptr; }), SYL_NULL_ARGUMENT, "kron->u is NULL");
  EXPECT_REFUSED(run([](auto& k) { k.v = nullptr; }), SYL_NULL_ARGUMENT, "kron->v is NULL");
  EXPECT_REFUSED(run([&](auto& k) { k.u = packed; }), SYL_OVERLAP, "overlaps kron->u");
  EXPECT_REFUSED(run([&](auto& k) { k.v = packed + bytes - 4; }), SYL_OVERLAP, "overlaps kron->v");
  EXPECT_REFUSED(syl_kron_pack(&good, 1, packed, bytes), SYL_BAD_VALUE, "flags is 1");
  EXPECT_REFUSED(syl_kron_pack(&good, 0, nullptr, bytes), SYL_NULL_ARGUMENT, "packed is NULL");
  EXPECT_REFUSED(syl_kron_pack(&good, 0, packed + 32, bytes), SYL_BAD_VALUE, "must be aligned to 64 bytes");
  EXPECT_REFUSED(syl_kron_pack(&good, 0, packed, bytes - 1), SYL_WORKSPACE, "packed_bytes is");
  for (int64_t i = 0; i < bytes; ++i) ASSERT_EQ(packed[i], 0);
}

}  // namespace
