#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 63;
constexpr syl_adamw kOptions{sizeof(syl_adamw), 1e-2f, 0.9f, 0.999f, 1e-8f, 0.1f, 0.5f, 1};

struct AdamWArrays {
  AdamWArrays(int64_t n, uint32_t seed)
      : parameters(Rows(1, n, seed, 1, 0).data), mean(parameters.size()), square(parameters.size()) {}

  void Step(const syl_adamw& options, const std::vector<float>& gradient, syl_pool* pool = nullptr) {
    ASSERT_EQ(syl_nn_adamw_f32(&options, gradient.data(), static_cast<int64_t>(gradient.size()), parameters.data(),
                               mean.data(), square.data(), pool),
              SYL_OK)
        << syl_last_error();
  }

  std::vector<float> parameters, mean, square;
};

std::vector<float> StepGradient(int64_t n, int64_t step) {
  return Rows(1, n, kSeed + 10 + static_cast<uint32_t>(step), 1, 0).data;
}

// Loshchilov & Hutter's algorithm 2 in double.
TEST(AdamW, AsTheAlgorithmInDouble) {
  constexpr int64_t kN = 53;
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    AdamWArrays state(kN, kSeed);
    std::vector<double> p(state.parameters.begin(), state.parameters.end()), m(kN), v(kN);
    for (int64_t step = 1; step <= 50; ++step) {
      const std::vector<float> gradient = StepGradient(kN, step);
      syl_adamw options = kOptions;
      options.step = step;
      options.learning_rate = 1e-2f / static_cast<float>(step);
      state.Step(options, gradient);
      const double rate = options.learning_rate, beta1 = options.beta1, beta2 = options.beta2;
      for (size_t i = 0; i < static_cast<size_t>(kN); ++i) {
        const double g = 0.5 * gradient[i];
        m[i] = beta1 * m[i] + (1 - beta1) * g;
        v[i] = beta2 * v[i] + (1 - beta2) * g * g;
        const double mean = m[i] / (1 - std::pow(beta1, step)), square = v[i] / (1 - std::pow(beta2, step));
        p[i] -= rate * (mean / (std::sqrt(square) + options.epsilon) + options.weight_decay * p[i]);
        ASSERT_NEAR(state.mean[i], m[i], 1e-6) << tier << " step " << step << " element " << i;
        ASSERT_NEAR(state.square[i], v[i], 1e-6) << tier << " step " << step << " element " << i;
        ASSERT_NEAR(state.parameters[i], p[i], 2e-6) << tier << " step " << step << " element " << i;
      }
    }
  }
}

// Without decay the first step goes by the learning rate, against the gradient's sign and whatever its size.
TEST(AdamW, TheFirstStepIsTheLearningRate) {
  syl_adamw options = kOptions;
  options.weight_decay = 0;
  AdamWArrays state(2, kSeed);
  state.parameters = {1, 1};
  state.Step(options, {1000, -0.01f});
  EXPECT_NEAR(state.parameters[0], 0.99, 1e-6);
  EXPECT_NEAR(state.parameters[1], 1.01, 1e-6);
}

// Decay does not pass through the moments.
TEST(AdamW, DecayIsDecoupled) {
  AdamWArrays state(1, kSeed);
  state.parameters = {2};
  state.Step(kOptions, {0});
  EXPECT_FLOAT_EQ(state.parameters[0], 2 * (1 - 1e-3f));
  EXPECT_EQ(state.mean[0], 0);
  EXPECT_EQ(state.square[0], 0);
}

TEST(AdamW, SameBitsOnFusedTiersAndThreads) {
  constexpr int64_t kN = 40003;
  const std::vector<float> gradient = StepGradient(kN, 1);
  AdamWArrays want(kN, kSeed);
  want.Step(kOptions, gradient);
  for (const std::string& tier : SupportedTiers()) {
    if (!IsFused(tier)) continue;
    const TierGuard guard(tier);
    for (const int32_t threads : {1, 3}) {
      AdamWArrays got(kN, kSeed);
      got.Step(kOptions, gradient, NewPool(threads).get());
      EXPECT_TRUE(SameBits(got.parameters, want.parameters)) << tier << " threads " << threads;
      EXPECT_TRUE(SameBits(got.mean, want.mean)) << tier << " threads " << threads;
      EXPECT_TRUE(SameBits(got.square, want.square)) << tier << " threads " << threads;
    }
  }
}

TEST(AdamW, BadArgumentsAreRefused) {
  std::vector<float> a(8, 7), b(8, 7), c(8, 7), d(8, 7);
  const auto with = [&](auto change) {
    syl_adamw options = kOptions;
    change(options);
    return syl_nn_adamw_f32(&options, a.data(), 8, b.data(), c.data(), d.data(), nullptr);
  };
  EXPECT_REFUSED(with([](auto& o) { o.struct_size = 3; }), SYL_BAD_VALUE, "struct_size is 3");
  EXPECT_REFUSED(with([](auto& o) { o.learning_rate = -1; }), SYL_BAD_VALUE, "learning_rate is -1");
  EXPECT_REFUSED(with([](auto& o) { o.learning_rate = kInfinity; }), SYL_BAD_VALUE, "learning_rate is inf");
  EXPECT_REFUSED(with([](auto& o) { o.beta1 = 1; }), SYL_BAD_VALUE, "beta1 is 1");
  EXPECT_REFUSED(with([](auto& o) { o.beta2 = -0.5f; }), SYL_BAD_VALUE, "beta2 is -0.5");
  EXPECT_REFUSED(with([](auto& o) { o.epsilon = 0; }), SYL_BAD_VALUE, "epsilon is 0");
  EXPECT_REFUSED(with([](auto& o) { o.weight_decay = kNaN; }), SYL_BAD_VALUE, "weight_decay is nan");
  EXPECT_REFUSED(with([](auto& o) { o.gradient_scale = kInfinity; }), SYL_BAD_VALUE, "gradient_scale is inf");
  EXPECT_REFUSED(with([](auto& o) { o.step = 0; }), SYL_BAD_VALUE, "step is 0");
  const auto run = [&](const float* gradient, int64_t n, float* parameters, float* mean, float* square) {
    return syl_nn_adamw_f32(&kOptions, gradient, n, parameters, mean, square, nullptr);
  };
  EXPECT_REFUSED(run(nullptr, 8, b.data(), c.data(), d.data()), SYL_NULL_ARGUMENT, "gradient is NULL");
  EXPECT_REFUSED(run(a.data(), 8, nullptr, c.data(), d.data()), SYL_NULL_ARGUMENT, "parameters is NULL");
  EXPECT_REFUSED(run(a.data(), 8, b.data(), nullptr, d.data()), SYL_NULL_ARGUMENT, "mean is NULL");
  EXPECT_REFUSED(run(a.data(), 8, b.data(), c.data(), nullptr), SYL_NULL_ARGUMENT, "square is NULL");
  EXPECT_REFUSED(run(a.data(), -1, b.data(), c.data(), d.data()), SYL_BAD_VALUE, "n is -1");
  EXPECT_REFUSED(run(a.data(), 8, a.data() + 7, c.data(), d.data()), SYL_OVERLAP, "parameters overlaps gradient");
  EXPECT_REFUSED(run(a.data(), 8, b.data(), c.data(), c.data()), SYL_OVERLAP, "square overlaps mean");
  EXPECT_REFUSED(syl_nn_adamw_f32(nullptr, a.data(), 8, b.data(), c.data(), d.data(), nullptr), SYL_NULL_ARGUMENT,
                 "options is NULL");
  for (const auto* array : {&a, &b, &c, &d}) {
    for (const float value : *array) EXPECT_EQ(value, 7);
  }
}

}  // namespace
