#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <algorithm>
#include <memory>
#include <sstream>

#include "tests/native/nn/file_weights.h"

namespace {

using namespace sylvester_tests;

constexpr uint32_t kSeed = 20240607;
constexpr float kSentinel = -12345.5f;

class AlignedBytes {
 public:
  explicit AlignedBytes(int64_t size) : bytes_(static_cast<size_t>(size) + 64) {}
  uint8_t* get() {
    return reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(bytes_.data()) + 63) & ~uintptr_t{63});
  }

 private:
  std::vector<uint8_t> bytes_;
};

struct FreePool {
  void operator()(syl_pool* pool) const { syl_pool_free(pool); }
};
using Pool = std::unique_ptr<syl_pool, FreePool>;

Pool NewPool(int32_t threads) {
  syl_pool* pool = nullptr;
  EXPECT_EQ(syl_pool_new(threads, &pool), SYL_OK) << syl_last_error();
  return Pool(pool);
}

int64_t PackedBytes(syl_dtype type, int64_t n, int64_t k) {
  int64_t bytes = -1;
  EXPECT_EQ(syl_nn_weights_size(type, n, k, &bytes), SYL_OK) << syl_last_error();
  return bytes;
}

// Packed weights behind which nothing may be written.
class Packed {
 public:
  explicit Packed(const FileWeights& w, syl_pool* pool = nullptr)
      : type_(w.type()), n_(w.n()), k_(w.k()), size_(PackedBytes(type_, n_, k_)), bytes_(size_ + 64) {
    std::fill_n(bytes_.get(), size_ + 64, uint8_t{0xa5});
    EXPECT_EQ(syl_nn_weights_pack(type_, n_, k_, w.data(), w.size(), bytes_.get(), size_, pool), SYL_OK)
        << syl_last_error();
    for (int i = 0; i < 64; ++i) EXPECT_EQ(bytes_.get()[size_ + i], 0xa5) << "written past the packed weights";
  }

  int64_t size() const { return size_; }
  uint8_t* get() { return bytes_.get(); }

  // Rows of y, each followed by `gap` untouched floats; x rows are each followed by `gap` NaN.
  std::vector<float> Multiply(const std::vector<float>& x, int64_t m, int64_t gap = 0, syl_pool* pool = nullptr,
                              const float* bias = nullptr, uint32_t flags = 0, float before = kSentinel) {
    const int64_t x_stride = k_ + gap, y_stride = n_ + gap;
    std::vector<float> padded(static_cast<size_t>(m * x_stride), NAN);
    for (int64_t r = 0; r < m; ++r) std::copy_n(x.data() + r * k_, k_, padded.data() + r * x_stride);
    std::vector<float> y(static_cast<size_t>(m * y_stride + 16), before);
    int64_t workspace_bytes = 0;
    EXPECT_EQ(syl_nn_matmul_workspace(type_, n_, k_, m, &workspace_bytes), SYL_OK) << syl_last_error();
    std::vector<uint8_t> workspace(static_cast<size_t>(workspace_bytes) + 64, 0xff);
    EXPECT_EQ(syl_nn_matmul_f32(type_, bytes_.get(), n_, k_, padded.data(), x_stride, m, bias, flags, y.data(),
                                y_stride, workspace.data(), workspace_bytes, pool),
              SYL_OK)
        << syl_last_error();
    for (size_t i = workspace.size() - 64; i < workspace.size(); ++i) {
      EXPECT_EQ(workspace[i], 0xff) << "written past the workspace";
    }
    std::vector<float> rows;
    for (int64_t r = 0; r < m; ++r) {
      const float* row = y.data() + r * y_stride;
      rows.insert(rows.end(), row, row + n_);
      for (int64_t i = n_; i < y_stride + (r + 1 == m ? 16 : 0); ++i) {
        EXPECT_EQ(row[i], before) << "written past row " << r << " at " << i;
      }
    }
    return rows;
  }

 private:
  syl_dtype type_;
  int64_t n_, k_, size_;
  AlignedBytes bytes_;
};

std::vector<float> RandomRows(int64_t m, int64_t k, std::mt19937& random) {
  std::vector<float> x(static_cast<size_t>(m * k));
  std::normal_distribution<float> normal;
  for (float& value : x) value = normal(random);
  return x;
}

// Equal bits, or both NaN.
::testing::AssertionResult SameBits(float want, float got) {
  if (std::isnan(want) && std::isnan(got)) return ::testing::AssertionSuccess();
  if (std::memcmp(&want, &got, sizeof(float)) == 0) return ::testing::AssertionSuccess();
  std::ostringstream text;
  text << std::hexfloat << "want " << want << ", got " << got << std::defaultfloat << " (" << want << ", " << got
       << "), seed " << kSeed;
  return ::testing::AssertionFailure() << text.str();
}

std::vector<std::string> Tiers() {
  std::istringstream names(syl_tiers_supported());
  return {std::istream_iterator<std::string>(names), {}};
}

class MatMul : public ::testing::TestWithParam<std::tuple<TypeName, std::string>> {
 protected:
  void SetUp() override { ASSERT_EQ(syl_tier_force(tier().c_str()), SYL_OK) << syl_last_error(); }
  void TearDown() override { syl_tier_force(nullptr); }

  syl_dtype type() const { return std::get<0>(GetParam()).type; }
  std::string tier() const { return std::get<1>(GetParam()); }
  bool fused() const { return tier() != "sse4"; }
  // A k of about the given size that the type allows.
  int64_t K(int64_t k) const {
    const int64_t block = syl_dtype_block_size(type());
    return (k + block - 1) / block * block;
  }

  void ExpectDefinition(const FileWeights& w, const std::vector<float>& x, int64_t m) {
    const std::vector<float> y = Packed(w).Multiply(x, m, 3);
    for (int64_t r = 0; r < m; ++r) {
      for (int64_t o = 0; o < w.n(); ++o) {
        const Reference want = MultiplyRow(w, o, x.data() + r * w.k(), fused());
        ASSERT_TRUE(SameBits(want.value, y[static_cast<size_t>(r * w.n() + o)]))
            << "row " << r << " output " << o << " n " << w.n() << " k " << w.k();
      }
    }
  }

  std::mt19937 random_{kSeed};
};

INSTANTIATE_TEST_SUITE_P(Nn, MatMul, ::testing::Combine(::testing::ValuesIn(kTypes), ::testing::ValuesIn(Tiers())),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) + "_" + std::get<1>(info.param);
                         });

TEST_P(MatMul, HasTheBitsOfItsDefinition) {
  for (const auto& [n, k, m] :
       {std::tuple{1, 1, 1}, {16, 31, 2}, {17, 64, 3}, {33, 200, 5}, {48, 577, 2}, {40, 512, 66}}) {
    const FileWeights w = FileWeights::Random(type(), n, K(k), random_);
    ExpectDefinition(w, RandomRows(m, w.k(), random_), m);
  }
}

TEST_P(MatMul, IsWithinTheBoundOfTheExactProduct) {
  const FileWeights w = FileWeights::Random(type(), 19, K(1000), random_);
  std::vector<float> x = RandomRows(3, w.k(), random_);
  for (int64_t i = 0; i < w.k(); i += 50) x[static_cast<size_t>(i)] *= 30;  // outliers, as activations have
  for (int64_t i = 0; i < w.k(); ++i) x[static_cast<size_t>(2 * w.k() + i)] = i % 2 == 0 ? 1.0f : -1.0f;
  const std::vector<float> y = Packed(w).Multiply(x, 3);
  for (int64_t r = 0; r < 3; ++r) {
    for (int64_t o = 0; o < w.n(); ++o) {
      const Reference want = MultiplyRow(w, o, x.data() + r * w.k(), fused());
      const double got = y[static_cast<size_t>(r * w.n() + o)];
      EXPECT_LE(std::fabs(got - want.exact), want.bound)
          << "row " << r << " output " << o << " got " << got << " want " << want.exact << " seed " << kSeed;
    }
  }
}

TEST_P(MatMul, RowsDoNotDependOnTheirCompany) {
  const int64_t n = 200, most = 130;
  const FileWeights w = FileWeights::Random(type(), n, K(320), random_);
  Packed packed(w);
  const std::vector<float> x = RandomRows(most, w.k(), random_);
  std::vector<float> alone;
  for (int64_t r = 0; r < most; ++r) {
    const std::vector<float> row(x.begin() + r * w.k(), x.begin() + (r + 1) * w.k());
    const std::vector<float> y = packed.Multiply(row, 1);
    alone.insert(alone.end(), y.begin(), y.end());
  }
  for (const int32_t threads : {0, 1, 2, 4}) {
    const Pool pool = threads == 0 ? nullptr : NewPool(threads);
    for (const int64_t m : {1, 2, 3, 4, 5, 7, 8, 16, 33, 64, 65, 130}) {
      const int64_t first = (most - m) / 2;  // another place in the batch than alone
      const std::vector<float> rows(x.begin() + first * w.k(), x.begin() + (first + m) * w.k());
      const std::vector<float> y = packed.Multiply(rows, m, m % 3, pool.get());
      ASSERT_EQ(std::memcmp(y.data(), alone.data() + first * n, y.size() * sizeof(float)), 0)
          << "m " << m << " threads " << threads << " seed " << kSeed;
    }
  }
}

TEST_P(MatMul, AddsBiasThenOldValues) {
  const int64_t n = 37, m = 5;
  const FileWeights w = FileWeights::Random(type(), n, K(100), random_);
  Packed packed(w);
  const std::vector<float> x = RandomRows(m, w.k(), random_), bias = RandomRows(1, n, random_);
  const std::vector<float> plain = packed.Multiply(x, m);
  const std::vector<float> biased = packed.Multiply(x, m, 2, nullptr, bias.data());
  const std::vector<float> added = packed.Multiply(x, m, 2, nullptr, nullptr, SYL_MATMUL_ACCUMULATE, 0.75f);
  const std::vector<float> both = packed.Multiply(x, m, 2, nullptr, bias.data(), SYL_MATMUL_ACCUMULATE, 0.75f);
  for (size_t i = 0; i < plain.size(); ++i) {
    const float b = bias[i % n];
    ASSERT_TRUE(SameBits(plain[i] + b, biased[i]));
    ASSERT_TRUE(SameBits(0.75f + plain[i], added[i]));
    ASSERT_TRUE(SameBits(0.75f + (plain[i] + b), both[i]));
  }
}

TEST_P(MatMul, PanelsOfSeveralMatricesAreOneMatrix) {
  const int64_t k = K(96);
  const FileWeights a = FileWeights::Random(type(), 32, k, random_), b = FileWeights::Random(type(), 21, k, random_);
  const std::vector<float> x = RandomRows(2, k, random_);
  Packed packed_a(a), packed_b(b);
  AlignedBytes joined(packed_a.size() + packed_b.size());
  std::copy_n(packed_a.get(), packed_a.size(), joined.get());
  std::copy_n(packed_b.get(), packed_b.size(), joined.get() + packed_a.size());
  ASSERT_EQ(PackedBytes(type(), 53, k), packed_a.size() + packed_b.size());
  const std::vector<float> ya = packed_a.Multiply(x, 2), yb = packed_b.Multiply(x, 2);
  std::vector<float> y(2 * 53);
  int64_t bytes = 0;
  ASSERT_EQ(syl_nn_matmul_workspace(type(), 53, k, 2, &bytes), SYL_OK);
  std::vector<uint8_t> workspace(static_cast<size_t>(bytes));
  ASSERT_EQ(syl_nn_matmul_f32(type(), joined.get(), 53, k, x.data(), k, 2, nullptr, 0, y.data(), 53, workspace.data(),
                              bytes, nullptr),
            SYL_OK)
      << syl_last_error();
  for (size_t r = 0; r < 2; ++r) {
    for (size_t o = 0; o < 53; ++o) {
      ASSERT_TRUE(SameBits(o < 32 ? ya[r * 32 + o] : yb[r * 21 + o - 32], y[r * 53 + o])) << r << " " << o;
    }
  }
}

TEST_P(MatMul, PackingDoesNotDependOnThreads) {
  const FileWeights w = FileWeights::Random(type(), 90, K(64), random_);
  const Pool pool = NewPool(3);
  Packed alone(w), together(w, pool.get());
  EXPECT_EQ(std::memcmp(alone.get(), together.get(), static_cast<size_t>(alone.size())), 0);
}

TEST_P(MatMul, ExtremeWeightsAndActivations) {
  const int64_t n = 18, k = K(512);
  FileWeights w = FileWeights::Random(type(), n, k, random_);
  const int64_t block = syl_dtype_block_size(type());
  // f16: largest, smallest normal, subnormals, zeros of both signs, 1 and infinity; each output has one of its own.
  const uint16_t scales[] = {0x7bff, 0xfbff, 0x0400, 0x0001, 0x83ff, 0x0000, 0x8000, 0x3c00, 0x7c00};
  for (int64_t i = 0; i < n * k; i += block) {
    uint8_t* bytes = w.Block(i);
    const int64_t which = i / k % 9;
    if (type() == SYL_F32) {
      const float values[] = {3e38f, -3e38f, 1e-38f, 1e-45f, -1e-39f, 0.0f, -0.0f, 1.0f, INFINITY};
      std::memcpy(bytes, &values[which], 4);
    } else if (IsPlainType(type())) {
      std::memcpy(bytes, &scales[which], 2);
    } else {
      // All codes and sub-scales at one end of their range, or random.
      if (i / block % 4 < 2) std::fill_n(bytes, syl_dtype_block_bytes(type()), i / block % 4 == 0 ? 0x00 : 0xff);
      if (type() == SYL_Q8_0 && i / block % 4 == 2) std::fill_n(bytes, syl_dtype_block_bytes(type()), 0x80);
      for (int s = 0; s < w.Scales(); ++s) w.SetScale(i, s, scales[(which + 2 * s) % 9]);
    }
  }
  std::vector<float> x = RandomRows(8, k, random_);
  const auto row = [&](int64_t r) { return x.data() + r * k; };
  std::fill_n(row(0), k, 0.0f);
  std::fill_n(row(1), k, -0.0f);
  std::fill_n(row(2), k, 1.0f);
  for (int64_t i = 0; i < k; ++i) row(3)[i] = i % 2 == 0 ? 32512.0f : -32512.0f;
  for (int64_t i = 0; i < k; ++i) row(4)[i] *= 1e37f;
  for (int64_t i = 0; i < k; ++i) row(5)[i] *= i < k / 2 ? 1e-38f : 1e-36f;  // d subnormal, d just normal
  for (int64_t i = 0; i < k; i += 2) row(6)[i] = static_cast<float>(i * 37 % 32512) + 0.5f;  // ties, with d = 1
  for (int64_t i = 0; i < k; i += 32) row(6)[i + 1] = 32512.0f;
  for (int64_t i = 0; i < k; ++i) row(7)[i] = -32512.0f;
  ExpectDefinition(w, x, 8);
}

// Each x is as near to the middle between two codes as a float can be: any other quotient than x / d would show.
TEST_P(MatMul, QuantizesAtTiesAsDefined) {
  const FileWeights w = FileWeights::Random(type(), 20, K(1024), random_);
  std::vector<float> x(static_cast<size_t>(3 * w.k()));
  std::uniform_real_distribution<float> largest(0.5f, 2.0f);
  std::uniform_int_distribution<int> code(-32511, 32510);
  for (size_t i = 0; i < x.size(); i += 32) {
    x[i] = largest(random_);
    const float d = x[i] / 32512.0f;
    for (size_t j = 1; j < 32; ++j) x[i + j] = (static_cast<float>(code(random_)) + 0.5f) * d;
  }
  ExpectDefinition(w, x, 3);
}

// Products that underflow leave a zero with the sign of the last one; padding of k must not touch it.
TEST_P(MatMul, KeepsTheSignOfZero) {
  for (const int64_t k : {1, 7, 9}) {
    const FileWeights w = FileWeights::Random(type(), 40, K(k), random_);
    ExpectDefinition(w, std::vector<float>(static_cast<size_t>(w.k()), -1e-45f), 1);
  }
}

TEST_P(MatMul, NonFiniteRowsStayAlone) {
  const int64_t n = 35, m = 7;
  const FileWeights w = FileWeights::Random(type(), n, K(256), random_);
  Packed packed(w);
  const std::vector<float> x = RandomRows(m, w.k(), random_);
  const std::vector<float> clean = packed.Multiply(x, m);
  for (const float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
    std::vector<float> spoilt = x;
    spoilt[static_cast<size_t>(3 * w.k() + 45)] = bad;
    const std::vector<float> y = packed.Multiply(spoilt, m);
    for (int64_t i = 0; i < m * n; ++i) {
      const float got = y[static_cast<size_t>(i)];
      if (i / n == 3) {
        ASSERT_FALSE(std::isfinite(got)) << "output " << i % n << " of a row with " << bad;
      } else {
        ASSERT_TRUE(SameBits(clean[static_cast<size_t>(i)], got)) << "row " << i / n << " output " << i % n;
      }
    }
  }
}

// The reference reads files as the library's own conversion does.
TEST(FileWeights, AgreeWithDequantization) {
  std::mt19937 random(kSeed);
  for (const TypeName& type : kTypes) {
    const FileWeights w = FileWeights::Random(type.type, 3, 512, random);
    std::vector<float> y(3 * 512);
    ASSERT_EQ(syl_dequantize_f32(type.type, w.data(), 3 * 512, y.data()), SYL_OK) << syl_last_error();
    for (int64_t i = 0; i < 3 * 512; ++i) {
      const double want = w.Exact(i / 512, i % 512);
      // One rounding of the product (relative to it) and one of the sum.
      const double scale = IsPlainType(type.type) ? 0 : std::fabs(w.Get(i / 512, i % 512).min) + std::fabs(want);
      EXPECT_NEAR(y[static_cast<size_t>(i)], want, scale * std::ldexp(1.0, -22)) << type.name << " " << i;
    }
  }
}

// ---- Errors ----------------------------------------------------------------------------------------------------

void ExpectError(syl_status want, syl_status got, const std::string& named) {
  EXPECT_EQ(want, got) << named;
  EXPECT_NE(std::string(syl_last_error()).find(named), std::string::npos) << syl_last_error() << " | " << named;
}

TEST(MatMulErrors, WeightsSize) {
  int64_t bytes = 77;
  ExpectError(SYL_NULL_ARGUMENT, syl_nn_weights_size(SYL_F32, 1, 1, nullptr), "bytes is NULL");
  ExpectError(SYL_BAD_VALUE, syl_nn_weights_size(99, 1, 32, &bytes), "type is 99");
  ExpectError(SYL_BAD_VALUE, syl_nn_weights_size(-1, 1, 32, &bytes), "type is -1");
  ExpectError(SYL_BAD_VALUE, syl_nn_weights_size(SYL_F32, 0, 32, &bytes), "n is 0");
  ExpectError(SYL_BAD_VALUE, syl_nn_weights_size(SYL_F32, -5, 32, &bytes), "n is -5");
  ExpectError(SYL_BAD_VALUE, syl_nn_weights_size(SYL_F32, 1, -32, &bytes), "k is -32");
  ExpectError(SYL_BAD_VALUE, syl_nn_weights_size(SYL_F32, INT64_MAX, 1, &bytes), "n is 9223372036854775807");
  ExpectError(SYL_BAD_SHAPE, syl_nn_weights_size(SYL_F32, INT32_MAX, INT32_MAX, &bytes), "overflows");
  ExpectError(SYL_BAD_SHAPE, syl_nn_weights_size(SYL_Q4_0, 1, 33, &bytes), "k is 33");
  ExpectError(SYL_BAD_SHAPE, syl_nn_weights_size(SYL_Q6_K, 1, 128, &bytes), "k is 128");
  EXPECT_EQ(bytes, 77);
}

TEST(MatMulErrors, WeightsPack) {
  const int64_t n = 16, k = 32, src_bytes = 16 * 18;
  const int64_t size = PackedBytes(SYL_Q4_0, n, k);
  std::vector<uint8_t> src(src_bytes);
  AlignedBytes memory(2 * size);
  uint8_t* packed = memory.get();
  std::fill_n(packed, 2 * size, uint8_t{7});
  const auto pack = [&](syl_dtype type, int64_t rows, const void* from, int64_t from_bytes, void* to,
                        int64_t to_bytes) {
    return syl_nn_weights_pack(type, rows, k, from, from_bytes, to, to_bytes, nullptr);
  };
  ExpectError(SYL_NULL_ARGUMENT, pack(SYL_Q4_0, n, nullptr, src_bytes, packed, size), "src is NULL");
  ExpectError(SYL_NULL_ARGUMENT, pack(SYL_Q4_0, n, src.data(), src_bytes, nullptr, size), "packed is NULL");
  ExpectError(SYL_BAD_VALUE, pack(5, n, src.data(), src_bytes, packed, size), "type is 5");
  ExpectError(SYL_BAD_VALUE, pack(SYL_Q4_0, -1, src.data(), src_bytes, packed, size), "n is -1");
  ExpectError(SYL_BAD_SHAPE, pack(SYL_Q4_0, n, src.data(), src_bytes - 1, packed, size), "src_bytes is 287");
  ExpectError(SYL_BAD_SHAPE, pack(SYL_Q4_0, n, src.data(), -src_bytes, packed, size), "src_bytes is -288");
  ExpectError(SYL_WORKSPACE, pack(SYL_Q4_0, n, src.data(), src_bytes, packed, size - 1), "packed_bytes is");
  ExpectError(SYL_BAD_VALUE, pack(SYL_Q4_0, n, src.data(), src_bytes, packed + 32, size), "packed is");
  ExpectError(SYL_OVERLAP, pack(SYL_Q4_0, n, packed + size - 1, src_bytes, packed, size), "overlaps src");
  EXPECT_EQ(std::count(packed, packed + 2 * size, 7), 2 * size) << "written despite an error";
}

TEST(MatMulErrors, Workspace) {
  int64_t bytes = 77;
  ExpectError(SYL_NULL_ARGUMENT, syl_nn_matmul_workspace(SYL_F32, 1, 1, 1, nullptr), "bytes is NULL");
  ExpectError(SYL_BAD_VALUE, syl_nn_matmul_workspace(31, 1, 32, 1, &bytes), "type is 31");
  ExpectError(SYL_BAD_VALUE, syl_nn_matmul_workspace(SYL_F32, 1, 32, -1, &bytes), "m is -1");
  ExpectError(SYL_BAD_SHAPE, syl_nn_matmul_workspace(SYL_F32, 1, INT32_MAX, INT32_MAX, &bytes), "overflows");
  EXPECT_EQ(bytes, 77);
}

struct Call {
  AlignedBytes memory{4096};
  syl_dtype type = SYL_F32;
  int64_t n = 3, k = 5, m = 2, x_stride = 5, y_stride = 3, workspace_bytes = 2 * 32 + 63;
  const void* packed = memory.get();
  std::vector<float> x_data = std::vector<float>(10, 1.0f), y_data = std::vector<float>(6, kSentinel);
  std::vector<uint8_t> workspace_data = std::vector<uint8_t>(512);
  const float* x = x_data.data();
  const float* bias = nullptr;
  float* y = y_data.data();
  void* workspace = workspace_data.data();
  uint32_t flags = 0;

  syl_status Run() const {
    return syl_nn_matmul_f32(type, packed, n, k, x, x_stride, m, bias, flags, y, y_stride, workspace, workspace_bytes,
                             nullptr);
  }
};

TEST(MatMulErrors, Product) {
  ASSERT_EQ(Call().Run(), SYL_OK) << syl_last_error();
  const auto expect = [](syl_status want, const std::string& named, auto change) {
    Call call;
    change(call);
    ExpectError(want, call.Run(), named);
    for (const float y : call.y_data) EXPECT_EQ(y, kSentinel) << "written despite: " << named;
  };
  expect(SYL_NULL_ARGUMENT, "packed is NULL", [](Call& c) { c.packed = nullptr; });
  expect(SYL_NULL_ARGUMENT, "x is NULL", [](Call& c) { c.x = nullptr; });
  expect(SYL_NULL_ARGUMENT, "y is NULL", [](Call& c) { c.y = nullptr; });
  expect(SYL_NULL_ARGUMENT, "workspace is NULL", [](Call& c) { c.workspace = nullptr; });
  expect(SYL_BAD_VALUE, "type is 4", [](Call& c) { c.type = 4; });
  expect(SYL_BAD_VALUE, "n is -3", [](Call& c) { c.n = -3; });
  expect(SYL_BAD_VALUE, "k is 0", [](Call& c) { c.k = 0; });
  expect(SYL_BAD_VALUE, "m is -2", [](Call& c) { c.m = -2; });
  expect(SYL_BAD_VALUE, "flags is 2", [](Call& c) { c.flags = 2; });
  expect(SYL_BAD_VALUE, "packed is", [](Call& c) { c.packed = c.memory.get() + 4; });
  expect(SYL_BAD_SHAPE, "k is 5", [](Call& c) { c.type = SYL_Q8_0; });
  expect(SYL_BAD_SHAPE, "x_stride is 4", [](Call& c) { c.x_stride = 4; });
  expect(SYL_BAD_SHAPE, "y_stride is 2", [](Call& c) { c.y_stride = 2; });
  expect(SYL_BAD_SHAPE, "x_stride is 9223372036854775807", [](Call& c) { c.x_stride = INT64_MAX; });
  expect(SYL_BAD_SHAPE, "y_stride is 4611686018427387904", [](Call& c) { c.y_stride = int64_t{1} << 62; });
  expect(SYL_WORKSPACE, "workspace_bytes is 126", [](Call& c) { c.workspace_bytes = 126; });
  expect(SYL_WORKSPACE, "workspace_bytes is -1", [](Call& c) { c.workspace_bytes = -1; });
  expect(SYL_OVERLAP, "overlaps x", [](Call& c) { c.x = c.y - 9; });
  expect(SYL_OVERLAP, "overlaps packed",
         [](Call& c) { c.packed = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(c.y) & ~uintptr_t{63}); });
  expect(SYL_OVERLAP, "overlaps bias", [](Call& c) { c.bias = c.y + 5; });
  expect(SYL_OVERLAP, "overlaps x", [](Call& c) { c.workspace = c.x_data.data() + 9; });
  expect(SYL_OVERLAP, "or y", [](Call& c) { c.workspace = c.y_data.data() + 5; });
}

TEST(MatMulErrors, NoRowsIsNoWork) {
  Call call;
  call.m = 0;
  EXPECT_EQ(call.Run(), SYL_OK) << syl_last_error();
  for (const float y : call.y_data) EXPECT_EQ(y, kSentinel);
}

}  // namespace
