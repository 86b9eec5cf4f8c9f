#include "native/cpu/spec_head/products.h"

#include "native/common/tier.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/spec_head/products.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/nn/silu-inl.h"
#include "native/cpu/nn/tree_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

// As many as the registers hold sums of.
constexpr int64_t kAffineRows = kVirtualVectors == 1 ? 4 : 1, kAffineOutputs = 4;

template <int64_t kRows, int64_t kOutputs>
HWY_INLINE void AffineTile(const Affine& a, int64_t row, int64_t output) {
  const DVirtual d;
  VVirtual sums[kRows][kOutputs][kVirtualVectors];
  for (auto& of_row : sums) {
    for (auto& of_output : of_row) {
      for (auto& sum : of_output) sum = hn::Zero(d);
    }
  }
  const float* x = a.x + row * a.x_stride;
  const float* weight = a.weight + output * a.width;
  int64_t i = 0;
  for (; i + kVirtualLanes <= a.width; i += kVirtualLanes) {
    for (int64_t v = 0; v < kVirtualVectors; ++v) {
      VVirtual w[kOutputs];
      for (int64_t o = 0; o < kOutputs; ++o) w[o] = hn::LoadU(d, weight + o * a.width + i + v * kRealLanes);
      for (int64_t r = 0; r < kRows; ++r) {
        const auto value = hn::LoadU(d, x + r * a.x_stride + i + v * kRealLanes);
        for (int64_t o = 0; o < kOutputs; ++o) sums[r][o][v] = hn::MulAdd(w[o], value, sums[r][o][v]);
      }
    }
  }
  const hn::CappedTag<float, 1> d1;
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t o = 0; o < kOutputs; ++o) {
      auto sum = hn::Set(d1, TreeSum16(sums[r][o]));
      for (int64_t j = i; j < a.width; ++j) {
        sum = hn::MulAdd(hn::LoadU(d1, weight + o * a.width + j), hn::LoadU(d1, x + r * a.x_stride + j), sum);
      }
      a.u[(row + r) * a.u_stride + output + o] = hn::GetLane(sum) + a.bias[output + o];
    }
  }
}

template <int64_t kRows>
HWY_INLINE void AffineRows(const Affine& a, int64_t row) {
  int64_t output = 0;
  for (; output + kAffineOutputs <= a.outputs; output += kAffineOutputs) {
    AffineTile<kRows, kAffineOutputs>(a, row, output);
  }
  for (; output < a.outputs; ++output) AffineTile<kRows, 1>(a, row, output);
}

void RunAffine(const Affine& a) {
  int64_t row = 0;
  for (; row + kAffineRows <= a.rows; row += kAffineRows) AffineRows<kAffineRows>(a, row);
  for (; row < a.rows; ++row) AffineRows<1>(a, row);
}

using DColumns = hn::ScalableTag<float>;
constexpr int64_t kColumns = HWY_LANES(float);
constexpr int64_t kProductRows = 4, kProductVectors = 2;

template <int64_t kRows>
HWY_INLINE void AddProductTile(const AddProduct& p, int64_t m, int64_t n) {
  const DColumns d;
  hn::Vec<DColumns> sums[kRows][kProductVectors];
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t v = 0; v < kProductVectors; ++v) {
      sums[r][v] = hn::LoadU(d, p.c + (m + r) * p.c_stride + n + v * kColumns);
    }
  }
  for (int64_t k = 0; k < p.k; ++k) {
    const float* a = p.a + m * p.a_m_stride + k * p.a_k_stride;
    const float* b = p.b + k * p.b_stride + n;
    for (int64_t v = 0; v < kProductVectors; ++v) {
      const auto value = hn::LoadU(d, b + v * kColumns);
      for (int64_t r = 0; r < kRows; ++r) {
        sums[r][v] = hn::MulAdd(hn::Set(d, a[r * p.a_m_stride]), value, sums[r][v]);
      }
    }
  }
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t v = 0; v < kProductVectors; ++v) {
      hn::StoreU(sums[r][v], d, p.c + (m + r) * p.c_stride + n + v * kColumns);
    }
  }
}

HWY_INLINE void AddProductColumn(const AddProduct& p, int64_t m, int64_t n) {
  const hn::CappedTag<float, 1> d;
  auto sum = hn::LoadU(d, p.c + m * p.c_stride + n);
  for (int64_t k = 0; k < p.k; ++k) {
    const auto a = hn::LoadU(d, p.a + m * p.a_m_stride + k * p.a_k_stride);
    sum = hn::MulAdd(a, hn::LoadU(d, p.b + k * p.b_stride + n), sum);
  }
  hn::StoreU(sum, d, p.c + m * p.c_stride + n);
}

void RunAddProduct(const AddProduct& p) {
  int64_t n = 0;
  for (; n + kProductVectors * kColumns <= p.n; n += kProductVectors * kColumns) {
    int64_t m = 0;
    for (; m + kProductRows <= p.m; m += kProductRows) AddProductTile<kProductRows>(p, m, n);
    for (; m < p.m; ++m) AddProductTile<1>(p, m, n);
  }
  for (; n < p.n; ++n) {
    for (int64_t m = 0; m < p.m; ++m) AddProductColumn(p, m, n);
  }
}

template <class D>
HWY_INLINE void AddSiluAt(D d, const float* u, const float* x, float* y) {
  hn::StoreU(hn::Add(hn::LoadU(d, x), Silu(d, hn::LoadU(d, u))), d, y);
}

void AddSiluRow(const float* u, const float* x, int64_t n, float* y) {
  int64_t i = 0;
  for (; i + kColumns <= n; i += kColumns) AddSiluAt(DColumns(), u + i, x + i, y + i);
  for (; i < n; ++i) AddSiluAt(hn::CappedTag<float, 1>(), u + i, x + i, y + i);
}

template <class D>
HWY_INLINE void SiluGradientAt(D d, const float* u, const float* dy, float* du) {
  hn::StoreU(hn::Mul(hn::LoadU(d, dy), SiluSlope(d, hn::LoadU(d, u))), d, du);
}

void SiluGradientRow(const float* u, const float* dy, int64_t n, float* du) {
  int64_t i = 0;
  for (; i + kColumns <= n; i += kColumns) SiluGradientAt(DColumns(), u + i, dy + i, du + i);
  for (; i < n; ++i) SiluGradientAt(hn::CappedTag<float, 1>(), u + i, dy + i, du + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {
using ElementWise = void (*)(const float*, const float*, int64_t, float*);
constexpr void (*kAffine[kTierCount])(const Affine&) = SYL_TIERS(RunAffine);
constexpr void (*kAddProduct[kTierCount])(const AddProduct&) = SYL_TIERS(RunAddProduct);
constexpr ElementWise kAddSilu[kTierCount] = SYL_TIERS(AddSiluRow);
constexpr ElementWise kSiluGradient[kTierCount] = SYL_TIERS(SiluGradientRow);
}  // namespace

void Run(const Affine& affine) { kAffine[CurrentTier()](affine); }
void Run(const AddProduct& product) { kAddProduct[CurrentTier()](product); }
void AddSilu(const float* u, const float* x, int64_t n, float* y) { kAddSilu[CurrentTier()](u, x, n, y); }
void SiluGradient(const float* u, const float* dy, int64_t n, float* du) { kSiluGradient[CurrentTier()](u, dy, n, du); }
}  // namespace sylvester
#endif
