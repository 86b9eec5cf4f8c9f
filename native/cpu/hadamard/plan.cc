#include "native/cpu/hadamard/plan.h"

#include <algorithm>
#include <memory>
#include <new>
#include <numeric>
#include <utility>

#include "native/common/hadamard_base.h"
#include "native/common/status.h"
#include "native/cpu/hadamard/run.h"

namespace {

std::vector<uint8_t> PatternsOf(const std::vector<int8_t>& matrix, int32_t base, bool transposed) {
  std::vector<uint8_t> patterns;
  patterns.reserve(matrix.size() / 4);
  for (int32_t i = 0; i < base; ++i) {
    for (int32_t j = 0; j < base; j += 4) {
      const auto sign = [&](int32_t k) {
        return static_cast<int>(matrix[static_cast<size_t>(transposed ? (j + k) * base + i : i * base + j + k)]);
      };
      const int s0 = sign(0), s2 = sign(2);
      patterns.push_back(
          static_cast<uint8_t>((s0 < 0) << 3 | (s2 * sign(3) < 0) << 2 | (s0 * s2 < 0) << 1 | (s0 * sign(1) < 0)));
    }
  }
  return patterns;
}

template <typename T>
std::vector<T> SignsOf(const sylvester::HadamardPlan& plan) {
  std::vector<T> signs;
  const auto rows = static_cast<int64_t>(plan.signs.size()) / plan.sign_words;
  signs.reserve(static_cast<size_t>(rows * plan.options.n));
  for (int64_t row = 0; row < rows; ++row) {
    const uint32_t* words = plan.signs.data() + row * plan.sign_words;
    for (int64_t i = 0; i < plan.options.n; ++i) signs.push_back(words[i / 32] >> i % 32 & 1 ? T{-0.0} : T{0});
  }
  return signs;
}

}  // namespace

syl_status syl_hadamard_new(const syl_hadamard_options* options, syl_hadamard** plan) {
  SYL_REQUIRE_PTR(plan);
  sylvester::HadamardPlan made;
  if (syl_status status = sylvester::MakeHadamardPlan(__func__, options, &made)) return status;
  try {
    auto created = std::make_unique<syl_hadamard>();
    static_cast<sylvester::HadamardPlan&>(*created) = std::move(made);
    if (!created->base.empty()) {
      for (const bool transposed : {false, true}) {
        created->patterns[transposed] = PatternsOf(created->base, created->options.base, transposed);
      }
    }
    if (created->options.x_type == SYL_F64) {
      created->double_signs = SignsOf<double>(*created);
    } else {
      created->float_signs = SignsOf<float>(*created);
    }
    created->sorted.resize(created->group_map.size());
    std::iota(created->sorted.begin(), created->sorted.end(), 0);
    std::stable_sort(created->sorted.begin(), created->sorted.end(), [&](int32_t a, int32_t b) {
      return created->group_map[static_cast<size_t>(a)] < created->group_map[static_cast<size_t>(b)];
    });
    created->path = sylvester::PathOf(*created);
    created->scratch = sylvester::ScratchOf(*created);
    *plan = created.release();
  } catch (const std::bad_alloc&) {
    return sylvester::Fail(SYL_OUT_OF_MEMORY, "%s: out of memory for the plan", __func__);
  }
  return SYL_OK;
}

void syl_hadamard_free(syl_hadamard* plan) { delete plan; }

syl_status syl_hadamard_describe(const syl_hadamard* plan, syl_hadamard_info* info) {
  SYL_REQUIRE_PTR(plan);
  return sylvester::DescribeHadamardPlan(__func__, *plan, info);
}

syl_status syl_hadamard_matrix(int32_t family, int64_t n, int32_t base, int32_t table, int64_t block, float* h) {
  SYL_REQUIRE_PTR(h);
  SYL_REQUIRE_RANGE(family, SYL_HADAMARD_SYLVESTER, SYL_HADAMARD_BLOCKS);
  SYL_REQUIRE_RANGE(n, 2, 4096);
  int64_t butterflies;
  if (syl_status status =
          sylvester::CheckHadamardFamily("syl_hadamard_matrix: ", family, n, base, table, block, &butterflies)) {
    return status;
  }
  std::vector<int8_t> m;
  try {
    m = sylvester::HadamardBase(base, table);
  } catch (const std::bad_alloc&) {
    return sylvester::Fail(SYL_OUT_OF_MEMORY, "%s: out of memory for base %d", __func__, base);
  }
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      const int64_t row = i / butterflies, column = j / butterflies, low_i = i % butterflies, low_j = j % butterflies;
      // Regular: -1 for each digit in base 4 whose two bits both differ.
      const int64_t differ = (i ^ j) & (i ^ j) >> 1 & 0x555;
      const int64_t negations = family == SYL_HADAMARD_REGULAR ? differ : low_i & low_j;
      const float sign = __builtin_popcountll(static_cast<unsigned long long>(negations)) % 2 == 1 ? -1.0f : 1.0f;
      const bool outside = family == SYL_HADAMARD_BLOCKS && row != column;
      h[i * n + j] = outside ? 0 : sign * m[row % base * base + column % base];
    }
  }
  return SYL_OK;
}
