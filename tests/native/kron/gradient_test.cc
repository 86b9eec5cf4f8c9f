#include "tests/native/kron/reference.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 72;
constexpr float kScale = 0.375f;

struct KronGradient {
  explicit KronGradient(const KronSizes& s, int64_t rows) : du(s.USize()), dv(s.VSize()), dx(rows, s.In(), 0) {
    for (int64_t r = 0; r < rows; ++r) std::fill_n(dx.At(r), s.In(), 0.f);
  }
  Floats du, dv;
  Rows dx;
};

void AddGradient(const RandomKron& kron, const Rows& x, const Rows& g, KronGradient& gradient,
                 syl_pool* pool = nullptr) {
  const syl_kron native = kron.Native();
  int64_t bytes = 0;
  ASSERT_EQ(syl_kron_gradient_workspace(&native, &bytes), SYL_OK) << syl_last_error();
  std::vector<uint8_t> workspace(static_cast<size_t>(bytes) + 1);
  ASSERT_EQ(syl_kron_gradient_f32(&native, kScale, x.At(0), x.stride, g.At(0), g.stride, x.rows, gradient.du.data(),
                                  gradient.dv.data(), gradient.dx.At(0), gradient.dx.stride, workspace.data() + 1,
                                  bytes, pool),
            SYL_OK)
      << syl_last_error();
}

// sum_rows g . (scale delta x), whose gradients these are; in double.
double Loss(const KronSizes& s, const Doubles& u, const Doubles& v, const std::vector<Doubles>& x, const Rows& g) {
  const Doubles dense = DenseDelta(s, u, v);
  double loss = 0;
  for (int64_t r = 0; r < g.rows; ++r) {
    for (int64_t o = 0; o < s.Out(); ++o) {
      double y = 0;
      for (int64_t i = 0; i < s.In(); ++i) {
        y += dense[static_cast<size_t>(o * s.In() + i)] * x[static_cast<size_t>(r)][static_cast<size_t>(i)];
      }
      loss += kScale * y * g.At(r)[o];
    }
  }
  return loss;
}

// The loss is linear in each single number: central differences are exact but for roundings of 1e-10.
template <typename Evaluate>
Doubles Differences(Doubles& parameters, Evaluate evaluate) {
  constexpr double kStep = 1e-3;
  Doubles slopes;
  for (double& parameter : parameters) {
    const double value = parameter;
    parameter = value + kStep;
    const double above = evaluate();
    parameter = value - kStep;
    const double below = evaluate();
    parameter = value;
    slopes.push_back((above - below) / (2 * kStep));
  }
  return slopes;
}

void ExpectNear(const float* got, const Doubles& want, const std::string& what) {
  double largest = 0;
  for (const double value : want) largest = std::max(largest, std::fabs(value));
  for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 3e-6 * largest) << what << " " << i;
}

TEST(KronGradient, AsCentralDifferences) {
  for (const KronSizes& s : {KronSizes{1, 1, 1, 1, 1}, KronSizes{2, 3, 4, 2, 5}, KronSizes{1, 4, 2, 5, 3},
                             KronSizes{3, 7, 1, 1, 9}, KronSizes{2, 1, 1, 4, 6}}) {
    const RandomKron kron(s, kSeed);
    const int64_t rows = 5;
    const Rows x(rows, s.In(), kSeed + 1), g(rows, s.Out(), kSeed + 2);
    Doubles u(kron.u.begin(), kron.u.end()), v(kron.v.begin(), kron.v.end());
    std::vector<Doubles> inputs;
    for (int64_t r = 0; r < rows; ++r) inputs.emplace_back(x.At(r), x.At(r) + s.In());
    const auto loss = [&] { return Loss(s, u, v, inputs, g); };
    const Doubles du = Differences(u, loss), dv = Differences(v, loss);
    std::vector<Doubles> dx;
    for (Doubles& row : inputs) dx.push_back(Differences(row, loss));
    for (const std::string& tier : SupportedTiers()) {
      const TierGuard guard(tier);
      std::ostringstream name;
      name << s << " tier " << tier;
      KronGradient gradient(s, rows);
      AddGradient(kron, x, g, gradient);
      ExpectNear(gradient.du.data(), du, name.str() + " du");
      ExpectNear(gradient.dv.data(), dv, name.str() + " dv");
      for (int64_t r = 0; r < rows; ++r) {
        ExpectNear(gradient.dx.At(r), dx[static_cast<size_t>(r)], name.str() + " dx");
        if (r + 1 < rows) {
          ASSERT_TRUE(std::isnan(gradient.dx.At(r)[s.In()]));
        }
      }
    }
  }
}

// By the formulas, where differences would take too long; more rows than a chunk has.
TEST(KronGradient, AsPlainLoopsInDouble) {
  for (const KronSizes& s : {KronSizes{5, 13, 40, 33, 17}, KronSizes{4, 96, 1, 1, 64}, KronSizes{16, 32, 48, 64, 32}}) {
    const RandomKron kron(s, kSeed);
    const int64_t rows = s.terms == 16 ? 4 : 67;
    const Rows x(rows, s.In(), kSeed + 3), g(rows, s.Out(), kSeed + 4);
    KronGradient gradient(s, rows);
    AddGradient(kron, x, g, gradient);
    // D[(i1, j1)][(i2, j2)] = scale sum_rows G[i1][i2] X[j1][j2], then dU = D V and dV = D^T U.
    const int64_t mn = s.m * s.n, pq = s.p * s.q;
    Doubles d(static_cast<size_t>(mn * pq));
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t row = 0; row < mn; ++row) {
        for (int64_t column = 0; column < pq; ++column) {
          d[static_cast<size_t>(row * pq + column)] += static_cast<double>(kScale) *
                                                       g.At(r)[row / s.n * s.p + column / s.q] *
                                                       x.At(r)[row % s.n * s.q + column % s.q];
        }
      }
    }
    Doubles du(s.USize()), dv(s.VSize());
    for (int64_t k = 0; k < s.terms; ++k) {
      for (int64_t row = 0; row < mn; ++row) {
        for (int64_t column = 0; column < pq; ++column) {
          const auto u = static_cast<size_t>(k * mn + row), v = static_cast<size_t>(k * pq + column);
          du[u] += d[static_cast<size_t>(row * pq + column)] * kron.v[v];
          dv[v] += d[static_cast<size_t>(row * pq + column)] * kron.u[u];
        }
      }
    }
    ExpectNear(gradient.du.data(), du, "du");
    ExpectNear(gradient.dv.data(), dv, "dv");
  }
}

TEST(KronGradient, SameBitsOnFusedTiersForAnyThreads) {
  const KronSizes s{6, 30, 32, 32, 48};
  const RandomKron kron(s, kSeed);
  const Rows x(40, s.In(), kSeed + 5), g(40, s.Out(), kSeed + 6);
  KronGradient want(s, 40);
  AddGradient(kron, x, g, want);
  const auto expect_same = [&](const KronGradient& got, const std::string& what) {
    EXPECT_TRUE(SameBits(got.du, want.du)) << what;
    EXPECT_TRUE(SameBits(got.dv, want.dv)) << what;
    EXPECT_TRUE(SameBits(got.dx.data, want.dx.data)) << what;
  };
  for (const std::string& tier : SupportedTiers()) {
    if (!IsFused(tier)) continue;
    const TierGuard guard(tier);
    KronGradient got(s, 40);
    AddGradient(kron, x, g, got);
    expect_same(got, tier);
  }
  const Pool pool = NewPool(4);
  KronGradient got(s, 40);
  AddGradient(kron, x, g, got, pool.get());
  expect_same(got, "4 threads");
  // Added to what is there, exactly where that is 0.
  AddGradient(kron, x, g, got);
  EXPECT_FALSE(SameBits(got.du, want.du));
}

// Plain descent on 1/2 ||delta x - target||^2 finds a target of three terms.
TEST(KronGradient, DescendsToASumOfTerms) {
  const KronSizes s{3, 4, 4, 4, 4};
  const RandomKron target(s, kSeed);
  RandomKron kron(s, kSeed + 1);
  Rows x(16, 16, 0);
  for (int64_t r = 0; r < 16; ++r) {
    for (int64_t i = 0; i < 16; ++i) x.At(r)[i] = r == i ? 1.f : 0.f;
  }
  PackedKron target_packed(target.Native());
  Rows want(16, 16, 0);
  ApplyKron(target_packed, kScale, x, want);
  double loss = 0;
  for (int step = 0; step < 6000; ++step) {
    PackedKron packed(kron.Native());
    Rows g(16, 16, 0);
    ApplyKron(packed, kScale, x, g);
    loss = 0;
    for (int64_t r = 0; r < 16; ++r) {
      for (int64_t o = 0; o < 16; ++o) {
        g.At(r)[o] -= want.At(r)[o];
        loss += 0.5 * g.At(r)[o] * g.At(r)[o];
      }
    }
    if (loss < 1e-8) break;
    KronGradient gradient(s, 16);
    AddGradient(kron, x, g, gradient);
    for (size_t i = 0; i < kron.u.size(); ++i) kron.u[i] -= 0.05f * gradient.du[i];
    for (size_t i = 0; i < kron.v.size(); ++i) kron.v[i] -= 0.05f * gradient.dv[i];
  }
  EXPECT_LE(loss, 1e-8);
}

TEST(KronGradient, BadArgumentsAreRefused) {
  const KronSizes s{2, 4, 3, 2, 5};
  RandomKron random(s, kSeed);
  const syl_kron good = random.Native();
  int64_t needed = 0;
  ASSERT_EQ(syl_kron_gradient_workspace(&good, &needed), SYL_OK);
  Floats x(45, 1), g(24, 1), du(s.USize(), 7), dv(s.VSize(), 7), dx(45, 7);
  std::vector<uint8_t> workspace(static_cast<size_t>(needed));
  struct Arguments {
    syl_kron kron;
    float scale;
    const float* x;
    int64_t x_stride;
    const float* g;
    int64_t g_stride, rows;
    float *du, *dv, *dx;
    int64_t dx_stride;
    void* workspace;
    int64_t bytes;
  };
  const Arguments all{good,      1,         x.data(),  15, g.data(),         8,     3,
                      du.data(), dv.data(), dx.data(), 15, workspace.data(), needed};
  const auto run = [&](auto change) {
    Arguments a = all;
    change(a);
    return syl_kron_gradient_f32(&a.kron, a.scale, a.x, a.x_stride, a.g, a.g_stride, a.rows, a.du, a.dv, a.dx,
                                 a.dx_stride, a.workspace, a.bytes, nullptr);
  };
  EXPECT_REFUSED(run([](auto& a) { a.kron.terms = 0; }), SYL_BAD_VALUE, "kron->terms is 0");
  EXPECT_REFUSED(run([](auto& a) { a.kron.type = SYL_BF16; }), SYL_UNSUPPORTED, "kron->type is 30");
  EXPECT_REFUSED(run([](auto& a) { a.scale = kNaN; }), SYL_BAD_VALUE, "scale is nan");
  EXPECT_REFUSED(run([](auto& a) { a.x = nullptr; }), SYL_NULL_ARGUMENT, "x is NULL");
  EXPECT_REFUSED(run([](auto& a) { a.g = nullptr; }), SYL_NULL_ARGUMENT, "g is NULL");
  EXPECT_REFUSED(run([](auto& a) { a.du = nullptr; }), SYL_NULL_ARGUMENT, "du is NULL");
  EXPECT_REFUSED(run([](auto& a) { a.dv = nullptr; }), SYL_NULL_ARGUMENT, "dv is NULL");
  EXPECT_REFUSED(run([](auto& a) { a.workspace = nullptr; }), SYL_NULL_ARGUMENT, "workspace is NULL");
  EXPECT_REFUSED(run([](auto& a) { a.rows = -1; }), SYL_BAD_VALUE, "rows is -1");
  EXPECT_REFUSED(run([](auto& a) { a.x_stride = 14; }), SYL_BAD_SHAPE, "x_stride is 14");
  EXPECT_REFUSED(run([](auto& a) { a.g_stride = 7; }), SYL_BAD_SHAPE, "g_stride is 7");
  EXPECT_REFUSED(run([](auto& a) { a.dx_stride = 14; }), SYL_BAD_SHAPE, "dx_stride is 14");
  EXPECT_REFUSED(run([](auto& a) { a.bytes -= 1; }), SYL_WORKSPACE, "workspace_bytes is");
  EXPECT_REFUSED(run([](auto& a) { a.dv = a.du; }), SYL_OVERLAP, "du overlaps dv");
  EXPECT_REFUSED(run([](auto& a) { a.dx = a.dv; }), SYL_OVERLAP, "dv overlaps dx");
  EXPECT_REFUSED(run([](auto& a) { a.dx = const_cast<float*>(a.x); }), SYL_OVERLAP, "dx overlaps x");
  EXPECT_REFUSED(run([](auto& a) { a.du = const_cast<float*>(a.g); }), SYL_OVERLAP, "du overlaps g");
  EXPECT_REFUSED(run([&](auto& a) { a.du = random.u.data(); }), SYL_OVERLAP, "du overlaps kron->u");
  EXPECT_REFUSED(run([&](auto& a) { a.dv = random.v.data(); }), SYL_OVERLAP, "dv overlaps kron->v");
  EXPECT_REFUSED(run([&](auto& a) { a.x = reinterpret_cast<float*>(workspace.data()); }), SYL_OVERLAP,
                 "workspace overlaps x");
  for (const Floats* values : {&du, &dv, &dx}) {
    for (const float value : *values) ASSERT_EQ(value, 7);
  }
  EXPECT_EQ(run([](auto& a) { a.rows = 0; }), SYL_OK);
  EXPECT_EQ(run([](auto& a) { a.dx = nullptr; }), SYL_OK);
  for (const float value : dx) ASSERT_EQ(value, 7);
  EXPECT_REFUSED(syl_kron_gradient_workspace(nullptr, &needed), SYL_NULL_ARGUMENT, "kron is NULL");
  EXPECT_REFUSED(syl_kron_gradient_workspace(&good, nullptr), SYL_NULL_ARGUMENT, "bytes is NULL");
}

}  // namespace
