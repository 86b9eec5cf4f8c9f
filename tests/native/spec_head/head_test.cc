#include "tests/native/spec_head/reference.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 61;
const HeadShape kShapes[] = {{1, 1, 0},  {3, 0, 0},  {16, 2, 1}, {17, 3, 0},  {96, 0, 0},
                             {96, 3, 0}, {96, 3, 1}, {96, 0, 1}, {101, 2, 1}, {260, 1, 0}};

std::vector<float> Acceptance(const syl_spec_head& head, const Rows& hidden, syl_pool* pool = nullptr) {
  std::vector<float> acceptance(static_cast<size_t>(hidden.rows) + 1, kNaN);
  // At an odd address, and not a byte more than asked for.
  std::vector<uint8_t> memory(static_cast<size_t>(HeadWorkspace(head, hidden.rows)) + 1);
  EXPECT_EQ(syl_spec_head_f32(&head, hidden.At(0), hidden.stride, hidden.rows, acceptance.data(), memory.data() + 1,
                              static_cast<int64_t>(memory.size()) - 1, pool),
            SYL_OK)
      << syl_last_error();
  EXPECT_TRUE(std::isnan(acceptance.back()));
  acceptance.pop_back();
  return acceptance;
}

TEST(SpecHead, AsPlainLoopsInDouble) {
  for (const HeadShape& shape : kShapes) {
    const RandomHead random(shape, kSeed);
    int64_t count = -1;
    const syl_spec_head head = random.Native(1.75f, 0.6f);
    ASSERT_EQ(syl_spec_head_parameters(&head, &count), SYL_OK);
    ASSERT_EQ(count, HeadParameters(shape)) << shape;
    const Doubles parameters(random.parameters.begin(), random.parameters.end());
    const Rows hidden(70, shape.width, kSeed + 1, 1.5f);
    for (const std::string& tier : SupportedTiers()) {
      const TierGuard guard(tier);
      const std::vector<float> got = Acceptance(head, hidden);
      for (int64_t r = 0; r < hidden.rows; ++r) {
        const double logit = (ReferenceLogit(shape, parameters, hidden.At(r)) + 1.75) * static_cast<double>(0.6f);
        ASSERT_NEAR(got[static_cast<size_t>(r)], Sigmoid(logit), 1e-6) << shape << " tier " << tier << " row " << r;
      }
    }
  }
}

TEST(SpecHead, FusedTiersAgreeBitForBit) {
  for (const HeadShape& shape : kShapes) {
    const RandomHead random(shape, kSeed);
    const Rows hidden(9, shape.width, kSeed + 2);
    std::vector<float> first;
    for (const std::string& tier : SupportedTiers()) {
      if (!IsFused(tier)) continue;
      const TierGuard guard(tier);
      const std::vector<float> got = Acceptance(random.Native(), hidden);
      if (first.empty()) first = got;
      ASSERT_TRUE(SameBits(got, first)) << shape << " tier " << tier;
    }
  }
}

TEST(SpecHead, ARowDependsOnNothingElse) {
  for (const HeadShape& shape : {HeadShape{33, 2, 0}, HeadShape{1024, 2, 1}}) {
    const RandomHead random(shape, kSeed);
    Rows hidden(67, shape.width, kSeed + 3);
    hidden.At(5)[0] = kNaN;
    std::vector<float> want;
    for (int64_t r = 0; r < hidden.rows; ++r) {
      Rows row(1, shape.width, 0);
      std::copy(hidden.At(r), hidden.At(r) + shape.width, row.At(0));
      want.push_back(Acceptance(random.Native(), row)[0]);
    }
    EXPECT_TRUE(std::isnan(want[5]));
    for (const int32_t threads : {1, 2, 4}) {
      const Pool pool = NewPool(threads);
      EXPECT_TRUE(SameBits(Acceptance(random.Native(), hidden, pool.get()), want)) << shape << " threads " << threads;
    }
  }
}

TEST(SpecHead, TiedBlocksAreEqualBlocks) {
  const HeadShape tied{40, 3, 1}, untied{40, 3, 0};
  const RandomHead random(tied, kSeed);
  RandomHead copies(untied, 0);
  const size_t block = 40 * 40 + 40;
  for (size_t i = 0; i < 3 * block; ++i) copies.parameters[i] = random.parameters[i % block];
  std::copy(random.parameters.begin() + block, random.parameters.end(), copies.parameters.begin() + 3 * block);
  const Rows hidden(5, 40, kSeed + 4);
  EXPECT_TRUE(SameBits(Acceptance(random.Native(), hidden), Acceptance(copies.Native(), hidden)));
}

TEST(SpecHead, FarFromZeroProbabilitiesSaturate) {
  std::vector<float> parameters = {-300, 300, 0, 0};  // V of width 1, c
  syl_spec_head head{sizeof(head), 1, 0, 0, 0, 1, parameters.data()};
  Rows hidden(3, 1, 0);
  hidden.At(0)[0] = 1;
  hidden.At(1)[0] = -1;
  hidden.At(2)[0] = 0;
  EXPECT_EQ(Acceptance(head, hidden), (std::vector<float>{1, static_cast<float>(Sigmoid(-600)), 0.5f}));
}

TEST(SpecHead, BadArgumentsAreRefused) {
  const RandomHead random({4, 2, 0}, kSeed);
  const syl_spec_head good = random.Native();
  std::vector<float> hidden(12, 1), acceptance(3, 7);
  int64_t bytes = HeadWorkspace(good, 3), count = 7;
  std::vector<uint8_t> memory(static_cast<size_t>(bytes));
  const auto run = [&](const syl_spec_head* head, const float* x, int64_t stride, int64_t rows, float* out, void* work,
                       int64_t work_bytes) {
    return syl_spec_head_f32(head, x, stride, rows, out, work, work_bytes, nullptr);
  };
  const auto run_head = [&](auto change) {
    syl_spec_head head = good;
    change(head);
    return run(&head, hidden.data(), 4, 3, acceptance.data(), memory.data(), bytes);
  };
  EXPECT_REFUSED(run_head([](auto& h) { h.struct_size = 8; }), SYL_BAD_VALUE, "head->struct_size is 8");
  EXPECT_REFUSED(run_head([](auto& h) { h.width = 0; }), SYL_BAD_VALUE, "head->width is 0");
  EXPECT_REFUSED(run_head([](auto& h) { h.width = 65537; }), SYL_BAD_VALUE, "head->width is 65537");
  EXPECT_REFUSED(run_head([](auto& h) { h.blocks = -1; }), SYL_BAD_VALUE, "head->blocks is -1");
  EXPECT_REFUSED(run_head([](auto& h) { h.blocks = 65; }), SYL_BAD_VALUE, "head->blocks is 65");
  EXPECT_REFUSED(run_head([](auto& h) { h.tied = 2; }), SYL_BAD_VALUE, "head->tied is 2");
  EXPECT_REFUSED(run_head([](auto& h) { h.shift = kNaN; }), SYL_BAD_VALUE, "head->shift is nan");
  EXPECT_REFUSED(run_head([](auto& h) { h.scale = 0; }), SYL_BAD_VALUE, "head->scale is 0");
  EXPECT_REFUSED(run_head([](auto& h) { h.scale = kInfinity; }), SYL_BAD_VALUE, "head->scale is inf");
  EXPECT_REFUSED(run_head([](auto& h) { h.parameters = nullptr; }), SYL_NULL_ARGUMENT, "head->parameters is NULL");
  float* const x = hidden.data();
  float* const out = acceptance.data();
  uint8_t* const work = memory.data();
  EXPECT_REFUSED(run(nullptr, x, 4, 3, out, work, bytes), SYL_NULL_ARGUMENT, "head is NULL");
  EXPECT_REFUSED(run(&good, nullptr, 4, 3, out, work, bytes), SYL_NULL_ARGUMENT, "hidden is NULL");
  EXPECT_REFUSED(run(&good, x, 4, 3, nullptr, work, bytes), SYL_NULL_ARGUMENT, "acceptance is NULL");
  EXPECT_REFUSED(run(&good, x, 4, 3, out, nullptr, bytes), SYL_NULL_ARGUMENT, "workspace is NULL");
  EXPECT_REFUSED(run(&good, x, 3, 3, out, work, bytes), SYL_BAD_SHAPE, "stride is 3");
  EXPECT_REFUSED(run(&good, x, INT64_MAX / 3, 3, out, work, bytes), SYL_BAD_SHAPE, "too large for 3 rows");
  EXPECT_REFUSED(run(&good, x, 4, -1, out, work, bytes), SYL_BAD_VALUE, "rows is -1");
  EXPECT_REFUSED(run(&good, x, 4, 3, out, work, bytes - 1), SYL_WORKSPACE, "workspace_bytes is");
  EXPECT_REFUSED(run(&good, reinterpret_cast<float*>(work), 4, 3, out, work, bytes), SYL_OVERLAP, "overlaps hidden");
  EXPECT_REFUSED(run(&good, x, 4, 3, x + 2, work, bytes), SYL_OVERLAP, "acceptance overlaps hidden");
  EXPECT_REFUSED(run(&good, x, 4, 3, reinterpret_cast<float*>(work), work, bytes), SYL_OVERLAP,
                 "acceptance overlaps workspace");
  EXPECT_REFUSED(run(&good, x, 4, 3, const_cast<float*>(good.parameters), work, bytes), SYL_OVERLAP,
                 "acceptance overlaps head->parameters");
  std::vector<uint8_t> both(static_cast<size_t>(bytes));
  syl_spec_head inside = good;
  inside.parameters = reinterpret_cast<float*>(both.data());
  EXPECT_REFUSED(run(&inside, x, 4, 3, out, both.data(), bytes), SYL_OVERLAP, "workspace overlaps head->parameters");
  for (const float value : acceptance) EXPECT_EQ(value, 7);
  EXPECT_REFUSED(syl_spec_head_parameters(nullptr, &count), SYL_NULL_ARGUMENT, "head is NULL");
  EXPECT_REFUSED(syl_spec_head_parameters(&good, nullptr), SYL_NULL_ARGUMENT, "count is NULL");
  EXPECT_REFUSED(syl_spec_head_workspace(&good, 3, nullptr), SYL_NULL_ARGUMENT, "bytes is NULL");
  EXPECT_REFUSED(syl_spec_head_workspace(&good, -3, &count), SYL_BAD_VALUE, "rows is -3");
  EXPECT_EQ(count, 7);
  EXPECT_EQ(run(&good, x, 4, 0, out, work, bytes), SYL_OK);
}

}  // namespace
