#include <fstream>

#include "tests/native/kron/reference.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 74;

struct Decomposed {
  Doubles sigma, u, v;
  double energy = 0;
};

struct KronMatrix {
  int64_t m, n, p, q;
  Doubles w;

  int64_t Most() const { return std::min(m * n, p * q); }
};

syl_kron_decomposition Describe(const KronMatrix& a, int64_t terms, int32_t method, syl_dtype type = SYL_F64) {
  return {sizeof(syl_kron_decomposition), type, a.m, a.n, a.p, a.q, terms, method, 5};
}

Decomposed Decompose(const KronMatrix& a, int64_t terms, int32_t method = SYL_KRON_AUTO, syl_pool* pool = nullptr) {
  const syl_kron_decomposition d = Describe(a, terms, method);
  Decomposed result{Doubles(static_cast<size_t>(terms)), Doubles(static_cast<size_t>(terms * a.m * a.n)),
                    Doubles(static_cast<size_t>(terms * a.p * a.q))};
  EXPECT_EQ(syl_kron_decompose(&d, a.w.data(), a.n * a.q, result.sigma.data(), result.u.data(), result.v.data(),
                               &result.energy, pool),
            SYL_OK)
      << syl_last_error();
  return result;
}

// sum_k sigma_k U_k (x) V_k
Doubles Sum(const KronMatrix& a, const Decomposed& d) {
  Doubles u = d.u;
  for (size_t i = 0; i < u.size(); ++i) u[i] *= d.sigma[i / static_cast<size_t>(a.m * a.n)];
  return DenseDelta({static_cast<int64_t>(d.sigma.size()), a.m, a.n, a.p, a.q}, u, d.v);
}

double Distance(const Doubles& a, const Doubles& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

double Norm(const Doubles& a) { return Distance(a, Doubles(a.size())); }

KronMatrix Noise(int64_t m, int64_t n, int64_t p, int64_t q) {
  std::mt19937_64 random(kSeed);
  std::normal_distribution<double> normal(0, 1);
  KronMatrix a{m, n, p, q, Doubles(static_cast<size_t>(m * n * p * q))};
  for (double& value : a.w) value = normal(random);
  return a;
}

// A sum of `terms` random terms.
KronMatrix OfTerms(const KronSizes& s) {
  const RandomKron kron(s, kSeed);
  return {s.m, s.n, s.p, s.q, DenseDelta(kron)};
}

double Weight(int64_t i, int64_t j) {
  return static_cast<double>((i * i * 131 + j * j * 37 + i * j * 71 + i * 17 + j * 29) % 2039) / 1024 - 1;
}

// tests/golden/make_kron.py: numpy.linalg.svd of the rearranged matrix.
TEST(KronDecompose, SigmaIsNumpys) {
  std::ifstream file(SYLVESTER_SOURCE_DIR "/tests/golden/kron.txt");
  int cases = 0;
  for (std::string line; std::getline(file, line); ++cases) {
    std::istringstream text(line);
    KronMatrix a{};
    size_t count = 0;
    text >> a.m >> a.n >> a.p >> a.q >> count;
    Doubles want(count);
    for (double& sigma : want) text >> sigma;
    ASSERT_FALSE(text.fail());
    for (int64_t i = 0; i < a.m * a.p; ++i) {
      for (int64_t j = 0; j < a.n * a.q; ++j) a.w.push_back(Weight(i, j));
    }
    const Decomposed got = Decompose(a, static_cast<int64_t>(count), SYL_KRON_EXACT);
    for (size_t k = 0; k < count; ++k) {
      const double bound = (want[k] >= 1e-6 * want[0] ? 1e-10 : 2e-8) * want[0];
      EXPECT_NEAR(got.sigma[k], want[k], bound) << line.substr(0, 20) << " sigma " << k;
    }
  }
  EXPECT_EQ(cases, 7);
}

// Which a literal reshape of W would not do.
TEST(KronDecompose, RecoversSumsOfTerms) {
  for (const KronSizes& s :
       {KronSizes{1, 6, 4, 5, 8}, KronSizes{3, 8, 8, 12, 12}, KronSizes{2, 30, 1, 1, 40}, KronSizes{4, 5, 7, 3, 2}}) {
    const KronMatrix a = OfTerms(s);
    for (const int32_t method : {SYL_KRON_EXACT, SYL_KRON_RANDOMIZED}) {
      const Decomposed d = Decompose(a, s.terms, method);
      EXPECT_LE(Distance(Sum(a, d), a.w), 1e-12 * Norm(a.w)) << s << " method " << method;
      // From floats, to the precision of floats.
      Floats narrow(a.w.begin(), a.w.end());
      const syl_kron_decomposition description = Describe(a, s.terms, method, SYL_F32);
      Decomposed rounded = d;
      ASSERT_EQ(syl_kron_decompose(&description, narrow.data(), a.n * a.q, rounded.sigma.data(), rounded.u.data(),
                                   rounded.v.data(), &rounded.energy, nullptr),
                SYL_OK);
      EXPECT_LE(Distance(Sum(a, rounded), a.w), 2e-6 * Norm(a.w)) << s << " method " << method;
    }
  }
}

TEST(KronDecompose, FullRankIsTheMatrix) {
  for (const KronMatrix& a :
       {Noise(6, 4, 5, 8), Noise(5, 7, 3, 2), Noise(12, 1, 1, 20), Noise(1, 9, 4, 1), OfTerms({2, 4, 5, 6, 4})}) {
    const Decomposed d = Decompose(a, a.Most());
    EXPECT_LE(Distance(Sum(a, d), a.w), 1e-12 * Norm(a.w)) << a.m << " " << a.n;
    EXPECT_NEAR(d.energy, Norm(a.w) * Norm(a.w), 1e-12 * d.energy);
  }
}

// Eckart and Young: what is missing is what the other sigma^2 come to.
TEST(KronDecompose, MissesNothingButTheSmallerSigma) {
  const KronMatrix a = Noise(12, 10, 9, 16);
  for (const int64_t terms : {1, 7, 40}) {
    const Decomposed d = Decompose(a, terms);
    double rest = d.energy;
    for (const double sigma : d.sigma) rest -= sigma * sigma;
    const double missing = Distance(Sum(a, d), a.w);
    EXPECT_NEAR(missing * missing, rest, 1e-9 * d.energy) << terms;
  }
}

TEST(KronDecompose, TermsAreOrthonormalAndOfOneSign) {
  for (const KronMatrix& a : {Noise(12, 10, 9, 16), Noise(20, 12, 4, 6), OfTerms({2, 8, 8, 8, 8})}) {
    for (const int32_t method : {SYL_KRON_EXACT, SYL_KRON_RANDOMIZED}) {
      const int64_t terms = 12;
      const Decomposed d = Decompose(a, terms, method);
      for (int64_t k = 0; k < terms; ++k) {
        EXPECT_TRUE(k == 0 || d.sigma[static_cast<size_t>(k)] <= d.sigma[static_cast<size_t>(k - 1)]);
        for (int64_t l = 0; l <= k; ++l) {
          const auto dot = [&](const Doubles& x, int64_t size) {
            double sum = 0;
            for (int64_t i = 0; i < size; ++i)
              sum += x[static_cast<size_t>(k * size + i)] * x[static_cast<size_t>(l * size + i)];
            return sum;
          };
          EXPECT_NEAR(dot(d.u, a.m * a.n), k == l ? 1 : 0, 1e-12);
          EXPECT_NEAR(dot(d.v, a.p * a.q), k == l ? 1 : 0, 1e-12);
        }
        double largest = 0;
        for (int64_t i = 0; i < a.p * a.q; ++i) {
          const double value = d.v[static_cast<size_t>(k * a.p * a.q + i)];
          if (std::fabs(value) > std::fabs(largest)) largest = value;
        }
        EXPECT_GT(largest, 0);
      }
    }
  }
}

// Of its best terms' energy, on a spectrum 1 / k and on noise.
TEST(KronDecompose, RandomizedHasNearlyAllEnergy) {
  KronMatrix power = Noise(16, 12, 12, 16);
  Decomposed all = Decompose(power, power.Most());
  for (size_t k = 0; k < all.sigma.size(); ++k) all.sigma[k] = 1 / static_cast<double>(k + 1);
  power.w = Sum(power, all);
  const auto captured = [](const KronMatrix& a) {
    double exact = 0, randomized = 0;
    for (const double sigma : Decompose(a, 16, SYL_KRON_EXACT).sigma) exact += sigma * sigma;
    for (const double sigma : Decompose(a, 16, SYL_KRON_RANDOMIZED).sigma) randomized += sigma * sigma;
    return randomized / exact;
  };
  EXPECT_GE(captured(power), 0.999);
  EXPECT_GE(captured(Noise(16, 12, 12, 16)), 0.97);
}

TEST(KronDecompose, SameBitsForAnyThreads) {
  const KronMatrix a = Noise(16, 12, 12, 16);
  for (const int32_t method : {SYL_KRON_EXACT, SYL_KRON_RANDOMIZED}) {
    const Pool pool = NewPool(3);
    const Decomposed one = Decompose(a, 20, method), three = Decompose(a, 20, method, pool.get());
    EXPECT_EQ(one.sigma, three.sigma);
    EXPECT_EQ(one.u, three.u);
    EXPECT_EQ(one.v, three.v);
  }
}

TEST(KronDecompose, ZeroIsASum) {
  const KronMatrix a{4, 3, 2, 5, Doubles(120)};
  const Decomposed d = Decompose(a, 4);
  EXPECT_EQ(d.energy, 0);
  for (const double sigma : d.sigma) EXPECT_EQ(sigma, 0);
}

TEST(KronDecompose, BadArgumentsAreRefused) {
  KronMatrix a = Noise(4, 3, 2, 5);
  Decomposed d{Doubles(4, 7), Doubles(48, 7), Doubles(40, 7), 7};
  struct Arguments {
    syl_kron_decomposition d;
    const double* w;
    int64_t stride;
    double *sigma, *u, *v, *energy;
  };
  const Arguments good{
      Describe(a, 4, SYL_KRON_AUTO), a.w.data(), 15, d.sigma.data(), d.u.data(), d.v.data(), &d.energy};
  const auto run = [&](auto change) {
    Arguments b = good;
    change(b);
    return syl_kron_decompose(&b.d, b.w, b.stride, b.sigma, b.u, b.v, b.energy, nullptr);
  };
  EXPECT_REFUSED(run([](auto& b) { b.d.struct_size = 3; }), SYL_BAD_VALUE, "decomposition->struct_size is 3");
  EXPECT_REFUSED(run([](auto& b) { b.d.type = SYL_F16; }), SYL_BAD_VALUE, "decomposition->type is 1");
  EXPECT_REFUSED(run([](auto& b) { b.d.m = 0; }), SYL_BAD_VALUE, "m is 0");
  EXPECT_REFUSED(run([](auto& b) { b.d.terms = 0; }), SYL_BAD_VALUE, "decomposition->terms is 0, must be 1..10");
  EXPECT_REFUSED(run([](auto& b) { b.d.terms = 11; }), SYL_BAD_VALUE, "decomposition->terms is 11");
  EXPECT_REFUSED(run([](auto& b) { b.d.method = 3; }), SYL_BAD_VALUE, "decomposition->method is 3");
  EXPECT_REFUSED(run([](auto& b) { b.w = nullptr; }), SYL_NULL_ARGUMENT, "w is NULL");
  EXPECT_REFUSED(run([](auto& b) { b.sigma = nullptr; }), SYL_NULL_ARGUMENT, "sigma is NULL");
  EXPECT_REFUSED(run([](auto& b) { b.energy = nullptr; }), SYL_NULL_ARGUMENT, "energy is NULL");
  EXPECT_REFUSED(run([](auto& b) { b.stride = 14; }), SYL_BAD_SHAPE, "w_stride is 14");
  EXPECT_REFUSED(run([](auto& b) { b.sigma = const_cast<double*>(b.w) + 3; }), SYL_OVERLAP, "sigma overlaps w");
  EXPECT_REFUSED(run([](auto& b) { b.v = b.u; }), SYL_OVERLAP, "v overlaps u");
  EXPECT_REFUSED(run([](auto& b) { b.energy = b.sigma; }), SYL_OVERLAP, "energy overlaps sigma");
  EXPECT_REFUSED(run([](auto& b) {
                   b.d.m = b.d.n = b.d.p = b.d.q = 128;
                   b.d.method = SYL_KRON_EXACT;
                 }),
                 SYL_UNSUPPORTED, "min(m n, p q) is 16384");
  a.w[31] = kNaN;
  EXPECT_REFUSED(run([](auto&) {}), SYL_BAD_VALUE, "w[2][1] is nan");
  a.w[31] = 1e200;
  EXPECT_REFUSED(run([](auto&) {}), SYL_BAD_VALUE, "the sum of squares of w is inf");
  for (const double sigma : d.sigma) EXPECT_EQ(sigma, 7);
  EXPECT_EQ(d.energy, 7);
  a.w[31] = 1;
  EXPECT_EQ(run([](auto& b) { b.u = b.v = nullptr; }), SYL_OK);
}

}  // namespace
