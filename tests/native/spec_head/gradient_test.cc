#include "tests/native/spec_head/reference.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 62;
constexpr float kAcceptWeight = 1.5f, kRejectWeight = 6;

std::vector<float> RandomLabels(int64_t rows, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<float> labels(static_cast<size_t>(rows));
  for (float& label : labels) label = uniform(random);
  labels[0] = 0;
  if (rows > 2) labels[1] = 1;
  if (rows > 2) labels[2] = kNaN;
  return labels;
}

struct HeadGradient {
  std::vector<float> gradient;
  double loss = 0, weight = 0;

  void Add(const RandomHead& random, const float* hidden, int64_t stride, const float* labels, int64_t rows,
           syl_pool* pool = nullptr) {
    const syl_spec_head head = random.Native(3, 0.5f);  // which play no part
    gradient.resize(random.parameters.size());
    std::vector<uint8_t> memory(static_cast<size_t>(HeadWorkspace(head, rows)) + 1);
    ASSERT_EQ(
        syl_spec_head_gradient_f32(&head, hidden, stride, labels, rows, kAcceptWeight, kRejectWeight, gradient.data(),
                                   &loss, &weight, memory.data() + 1, static_cast<int64_t>(memory.size()) - 1, pool),
        SYL_OK)
        << syl_last_error();
  }
};

HeadGradient GradientOf(const RandomHead& random, const Rows& hidden, const std::vector<float>& labels,
                        syl_pool* pool = nullptr) {
  HeadGradient result;
  result.Add(random, hidden.At(0), hidden.stride, labels.data(), hidden.rows, pool);
  return result;
}

TEST(SpecHeadGradient, LossIsTheNotesFormula) {
  for (const HeadShape& shape : {HeadShape{7, 0, 0}, HeadShape{33, 3, 0}, HeadShape{33, 3, 1}}) {
    const RandomHead random(shape, kSeed);
    const Rows hidden(70, shape.width, kSeed + 1);
    const std::vector<float> labels = RandomLabels(hidden.rows, kSeed);
    const HeadGradient got = GradientOf(random, hidden, labels);
    const ReferenceLoss want = LossOf(shape, {random.parameters.begin(), random.parameters.end()}, hidden, labels,
                                      kAcceptWeight, kRejectWeight);
    EXPECT_NEAR(got.loss / want.loss, 1, 1e-6) << shape;
    EXPECT_NEAR(got.weight / want.weight, 1, 1e-12) << shape;
  }
}

// Central differences in double; step 1e-5 leaves an error near 1e-10.
TEST(SpecHeadGradient, AsCentralDifferences) {
  for (const HeadShape& shape : {HeadShape{1, 1, 0}, HeadShape{5, 0, 0}, HeadShape{5, 3, 0}, HeadShape{5, 3, 1},
                                 HeadShape{19, 2, 0}, HeadShape{37, 1, 1}}) {
    const RandomHead random(shape, kSeed);
    const Rows hidden(67, shape.width, kSeed + 2);
    const std::vector<float> labels = RandomLabels(hidden.rows, kSeed + 1);
    Doubles parameters(random.parameters.begin(), random.parameters.end());
    Doubles want;
    double largest = 0;
    for (double& parameter : parameters) {
      constexpr double kStep = 1e-5;
      const double value = parameter;
      const auto loss_at = [&](double at) {
        parameter = at;
        return LossOf(shape, parameters, hidden, labels, kAcceptWeight, kRejectWeight).loss;
      };
      want.push_back((loss_at(value + kStep) - loss_at(value - kStep)) / (2 * kStep));
      parameter = value;
      largest = std::max(largest, std::fabs(want.back()));
    }
    for (const std::string& tier : SupportedTiers()) {
      const TierGuard guard(tier);
      const HeadGradient got = GradientOf(random, hidden, labels);
      for (size_t i = 0; i < want.size(); ++i) {
        ASSERT_NEAR(got.gradient[i], want[i], 1e-4 * largest * 0.1) << shape << " tier " << tier << " parameter " << i;
      }
    }
  }
}

TEST(SpecHeadGradient, SameBitsOnFusedTiersForAnyThreadsAndCuts) {
  for (const HeadShape& shape : {HeadShape{19, 2, 0}, HeadShape{160, 2, 1}}) {
    const RandomHead random(shape, kSeed);
    const Rows hidden(150, shape.width, kSeed + 3);
    const std::vector<float> labels = RandomLabels(hidden.rows, kSeed + 2);
    const HeadGradient want = GradientOf(random, hidden, labels);
    for (const std::string& tier : SupportedTiers()) {
      if (!IsFused(tier)) continue;
      const TierGuard guard(tier);
      EXPECT_TRUE(SameBits(GradientOf(random, hidden, labels).gradient, want.gradient)) << shape << " tier " << tier;
    }
    for (const int32_t threads : {2, 4}) {
      const Pool pool = NewPool(threads);
      const HeadGradient got = GradientOf(random, hidden, labels, pool.get());
      EXPECT_TRUE(SameBits(got.gradient, want.gradient)) << shape << " threads " << threads;
      EXPECT_EQ(got.loss, want.loss);
    }
    if (shape.tied != 0) continue;  // whose blocks add to the same sums chunk by chunk
    HeadGradient in_parts;
    for (int64_t first = 0, rows = 1; first < hidden.rows; first += rows, rows = std::min(rows * 3, 150 - first)) {
      in_parts.Add(random, hidden.At(first), hidden.stride, labels.data() + first, rows);
    }
    EXPECT_TRUE(SameBits(in_parts.gradient, want.gradient)) << shape;
    EXPECT_NEAR(in_parts.loss, want.loss, 1e-9 * want.loss);
  }
}

TEST(SpecHeadGradient, OfTiedBlocksIsTheSumOfEqualBlocks) {
  constexpr size_t kWidth = 24, kBlock = kWidth * kWidth + kWidth;
  const RandomHead tied({kWidth, 3, 1}, kSeed);
  RandomHead untied({kWidth, 3, 0}, 0);
  for (size_t i = 0; i < 3 * kBlock; ++i) untied.parameters[i] = tied.parameters[i % kBlock];
  std::copy(tied.parameters.begin() + kBlock, tied.parameters.end(), untied.parameters.begin() + 3 * kBlock);
  const Rows hidden(40, kWidth, kSeed + 4);
  const std::vector<float> labels = RandomLabels(40, kSeed + 3);
  const HeadGradient sum = GradientOf(tied, hidden, labels), parts = GradientOf(untied, hidden, labels);
  EXPECT_EQ(sum.loss, parts.loss);
  for (size_t i = 0; i < kBlock; ++i) {
    const float want = parts.gradient[i] + parts.gradient[kBlock + i] + parts.gradient[2 * kBlock + i];
    ASSERT_NEAR(sum.gradient[i], want, 1e-4 * (1 + std::fabs(want))) << i;
  }
  for (size_t i = kBlock; i < sum.gradient.size(); ++i) ASSERT_EQ(sum.gradient[i], parts.gradient[2 * kBlock + i]);
}

// Whatever ignored rows hold.
TEST(SpecHeadGradient, IgnoredRowsAddNothing) {
  const RandomHead random({20, 2, 0}, kSeed);
  Rows hidden(66, 20, kSeed + 5);
  std::vector<float> labels(66, kNaN);
  std::fill(hidden.data.begin(), hidden.data.end(), kNaN);
  const HeadGradient none = GradientOf(random, hidden, labels);
  EXPECT_EQ(none.loss, 0);
  EXPECT_EQ(none.weight, 0);
  for (const float value : none.gradient) ASSERT_EQ(ToBits(value), 0u);

  const Rows one(1, 20, kSeed + 6);
  std::copy(one.At(0), one.At(0) + 20, hidden.At(64));
  labels[64] = 0.25f;
  EXPECT_TRUE(SameBits(GradientOf(random, hidden, labels).gradient, GradientOf(random, one, {0.25f}).gradient));
}

// Logits at which a probability is 0 or 1 in double.
TEST(SpecHeadGradient, LossStaysFiniteFarFromZero) {
  RandomHead random({1, 0, 0}, 0);
  random.parameters = {-1000, 1000, 0, 0};
  Rows hidden(2, 1, 0);
  hidden.At(0)[0] = 1;
  hidden.At(1)[0] = -1;
  const HeadGradient got = GradientOf(random, hidden, {0, 1});
  EXPECT_EQ(got.loss, 2000 * (kRejectWeight + kAcceptWeight));
  EXPECT_EQ(got.gradient, (std::vector<float>{-7.5f, 7.5f, -4.5f, 4.5f}));
}

TEST(SpecHeadGradient, BadArgumentsAreRefused) {
  const RandomHead random({4, 1, 0}, kSeed);
  const syl_spec_head head = random.Native();
  std::vector<float> hidden(12, 1), labels(3, 0.5f), gradient(random.parameters.size(), 7);
  double loss = 7, weight = 7;
  const int64_t bytes = HeadWorkspace(head, 3);
  std::vector<uint8_t> memory(static_cast<size_t>(bytes));
  struct Arguments {
    const syl_spec_head* head;
    const float *hidden, *labels;
    float accept_weight, reject_weight;
    float* gradient;
    double *loss, *weight;
    void* workspace;
    int64_t bytes;
  };
  const Arguments good{&head, hidden.data(), labels.data(), 1,    6, gradient.data(),
                       &loss, &weight,       memory.data(), bytes};
  const auto run = [&](auto change) {
    Arguments a = good;
    change(a);
    return syl_spec_head_gradient_f32(a.head, a.hidden, 4, a.labels, 3, a.accept_weight, a.reject_weight, a.gradient,
                                      a.loss, a.weight, a.workspace, a.bytes, nullptr);
  };
  EXPECT_REFUSED(run([](auto& a) { a.head = nullptr; }), SYL_NULL_ARGUMENT, "head is NULL");
  EXPECT_REFUSED(run([](auto& a) { a.hidden = nullptr; }), SYL_NULL_ARGUMENT, "hidden is NULL");
  EXPECT_REFUSED(run([](auto& a) { a.labels = nullptr; }), SYL_NULL_ARGUMENT, "labels is NULL");
  EXPECT_REFUSED(run([](auto& a) { a.gradient = nullptr; }), SYL_NULL_ARGUMENT, "gradient is NULL");
  EXPECT_REFUSED(run([](auto& a) { a.loss = nullptr; }), SYL_NULL_ARGUMENT, "loss is NULL");
  EXPECT_REFUSED(run([](auto& a) { a.weight = nullptr; }), SYL_NULL_ARGUMENT, "weight is NULL");
  EXPECT_REFUSED(run([](auto& a) { a.accept_weight = 0; }), SYL_BAD_VALUE, "accept_weight is 0");
  EXPECT_REFUSED(run([](auto& a) { a.reject_weight = kNaN; }), SYL_BAD_VALUE, "reject_weight is nan");
  EXPECT_REFUSED(run([](auto& a) { a.bytes -= 1; }), SYL_WORKSPACE, "workspace_bytes is");
  EXPECT_REFUSED(run([&](auto& a) { a.gradient = hidden.data(); }), SYL_OVERLAP, "gradient overlaps hidden");
  EXPECT_REFUSED(run([&](auto& a) { a.gradient = labels.data(); }), SYL_OVERLAP, "gradient overlaps");
  EXPECT_REFUSED(run([&](auto& a) { a.gradient = const_cast<float*>(head.parameters); }), SYL_OVERLAP,
                 "gradient overlaps head->parameters");
  EXPECT_REFUSED(run([&](auto& a) { a.gradient = reinterpret_cast<float*>(memory.data()); }), SYL_OVERLAP,
                 "gradient overlaps workspace");
  EXPECT_REFUSED(run([&](auto& a) { a.loss = reinterpret_cast<double*>(gradient.data()); }), SYL_OVERLAP,
                 "gradient overlaps loss");
  EXPECT_REFUSED(run([&](auto& a) { a.weight = reinterpret_cast<double*>(gradient.data()); }), SYL_OVERLAP,
                 "gradient overlaps weight");
  EXPECT_REFUSED(run([&](auto& a) { a.labels = reinterpret_cast<float*>(memory.data()); }), SYL_OVERLAP,
                 "workspace overlaps labels");
  for (const float bad : {-0.01f, 1.01f, kInfinity}) {
    labels[2] = bad;
    EXPECT_REFUSED(run([](auto&) {}), SYL_BAD_VALUE, "labels[2] is");
  }
  for (const float value : gradient) EXPECT_EQ(value, 7);
  EXPECT_EQ(loss, 7);
  EXPECT_EQ(weight, 7);
}

}  // namespace
