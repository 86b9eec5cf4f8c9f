#include "native/common/hadamard_base.h"

#include <gtest/gtest.h>
#include <sylvester/hadamard.h>

#include <cstdint>
#include <vector>

namespace {

using sylvester::HadamardBase;
using sylvester::HasHadamardBase;

constexpr int32_t kOrders[] = {12, 20, 28, 36, 40, 44, 52, 60, 108, 124, 140, 156, 172};

bool IsHadamard(const std::vector<int8_t>& h, int32_t n) {
  if (h.size() != static_cast<size_t>(n) * n) return false;
  for (const int8_t entry : h) {
    if (entry != 1 && entry != -1) return false;
  }
  for (int32_t i = 0; i < n; ++i) {
    for (int32_t j = i; j < n; ++j) {
      int32_t dot = 0;
      for (int32_t k = 0; k < n; ++k) dot += h[i * n + k] * h[j * n + k];
      if (dot != (i == j ? n : 0)) return false;
    }
  }
  return true;
}

bool IsSymmetric(const std::vector<int8_t>& h, int32_t n) {
  for (int32_t i = 0; i < n; ++i) {
    for (int32_t j = 0; j < i; ++j) {
      if (h[i * n + j] != h[j * n + i]) return false;
    }
  }
  return true;
}

// Rows of order 12 as masks: bit j of row i is set where entry (i, j) is -1.
std::vector<uint32_t> Masks(const std::vector<int8_t>& h) {
  std::vector<uint32_t> masks(12);
  for (uint32_t i = 0; i < 12; ++i) {
    for (uint32_t j = 0; j < 12; ++j) masks[i] |= (h[i * 12 + j] < 0 ? 1u : 0u) << j;
  }
  return masks;
}

TEST(HadamardBase, RowsAreOrthogonal) {
  for (const int32_t order : kOrders) {
    EXPECT_TRUE(IsHadamard(HadamardBase(order, SYL_HADAMARD_TABLE_DEFAULT), order)) << order;
  }
  EXPECT_TRUE(IsHadamard(HadamardBase(12, SYL_HADAMARD_TABLE_QUAROT), 12));
  EXPECT_EQ(HadamardBase(1, SYL_HADAMARD_TABLE_DEFAULT), std::vector<int8_t>{1});
}

TEST(HadamardBase, OneFlippedSignIsNoticed) {
  for (const int32_t order : {12, 28, 156}) {
    std::vector<int8_t> h = HadamardBase(order, SYL_HADAMARD_TABLE_DEFAULT);
    for (const size_t at : {size_t{0}, h.size() / 3, h.size() - 1}) {
      h[at] = static_cast<int8_t>(-h[at]);
      EXPECT_FALSE(IsHadamard(h, order)) << order << " at " << at;
      h[at] = static_cast<int8_t>(-h[at]);
    }
  }
}

TEST(HadamardBase, HasTheListedOrdersAlone) {
  for (int32_t base = -1; base <= 200; ++base) {
    bool listed = base == 1;
    for (const int32_t order : kOrders) listed = listed || order == base;
    EXPECT_EQ(HasHadamardBase(base, SYL_HADAMARD_TABLE_DEFAULT), listed) << base;
    EXPECT_EQ(HasHadamardBase(base, SYL_HADAMARD_TABLE_QUAROT), base == 12) << base;
    EXPECT_FALSE(HasHadamardBase(base, 2) || HasHadamardBase(base, -1)) << base;
  }
}

// Paley's second construction is symmetric: 12, 36, 52, 124. A transpose that forgets to transpose passes with these.
TEST(HadamardBase, SymmetryIsAsConstructed) {
  for (const int32_t order : kOrders) {
    const bool symmetric = order == 12 || order == 36 || order == 52 || order == 124;
    EXPECT_EQ(IsSymmetric(HadamardBase(order, SYL_HADAMARD_TABLE_DEFAULT), order), symmetric) << order;
  }
  EXPECT_FALSE(IsSymmetric(HadamardBase(12, SYL_HADAMARD_TABLE_QUAROT), 12));
}

// had_12_paley of fast-hadamard-transform, and get_had12 of QuaRot, SpinQuant and QuIP#, entry by entry.
TEST(HadamardBase, BothMatricesOfOrder12AreThoseInCirculation) {
  EXPECT_EQ(
      Masks(HadamardBase(12, SYL_HADAMARD_TABLE_DEFAULT)),
      (std::vector<uint32_t>{0x002, 0xaab, 0x3c8, 0x96e, 0xf20, 0x5ba, 0xc8c, 0x6e6, 0x23c, 0xb96, 0x8f0, 0xe5a}));
  EXPECT_EQ(
      Masks(HadamardBase(12, SYL_HADAMARD_TABLE_QUAROT)),
      (std::vector<uint32_t>{0xffe, 0x474, 0x8e8, 0x1d2, 0x3a4, 0x748, 0xe90, 0xd22, 0xa46, 0x48e, 0x91c, 0x23a}));
}

TEST(HadamardBase, Order40IsTwiceOrder20) {
  const std::vector<int8_t> h = HadamardBase(40, 0), half = HadamardBase(20, 0);
  for (int32_t i = 0; i < 40; ++i) {
    for (int32_t j = 0; j < 40; ++j) {
      ASSERT_EQ(h[i * 40 + j], half[i % 20 * 20 + j % 20] * (i >= 20 && j >= 20 ? -1 : 1)) << i << ", " << j;
    }
  }
}

}  // namespace
