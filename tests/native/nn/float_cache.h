// A layer's cache and queries for tests, and attention over it in float64 with plain loops.
#ifndef SYLVESTER_TESTS_NATIVE_NN_FLOAT_CACHE_H_
#define SYLVESTER_TESTS_NATIVE_NN_FLOAT_CACHE_H_

#include <sylvester/sylvester.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "tests/native/testing.h"

namespace sylvester_test {

// Every bit set: a NaN both as float and as half.
constexpr int kPoison = 0xff;

// The nearest half, ties to even, by the spacing of halves around |x|.
inline double RoundToHalf(double x) {
  if (x == 0 || !std::isfinite(x)) return x;
  const int exponent = std::max(std::ilogb(x), -14);
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(x, 10 - exponent)), exponent - 10);
  return std::fabs(rounded) > 65504 ? std::copysign(std::numeric_limits<double>::infinity(), x) : rounded;
}

inline double HalfValue(uint16_t h) {
  const int exponent = h >> 10 & 31;
  const double mantissa = h & 1023;
  const double magnitude = exponent == 31  ? (mantissa == 0 ? std::numeric_limits<double>::infinity() : kNaN)
                           : exponent == 0 ? std::ldexp(mantissa, -24)
                                           : std::ldexp(1024 + mantissa, exponent - 25);
  return (h & 0x8000) != 0 ? -magnitude : magnitude;
}

inline syl_attention Shape(int64_t q_heads, int64_t kv_heads, int64_t head_dim, int64_t capacity,
                           syl_dtype type = SYL_F16) {
  syl_attention shape = {};
  shape.struct_size = sizeof(shape);
  shape.cache_type = type;
  shape.q_heads = q_heads;
  shape.kv_heads = kv_heads;
  shape.head_dim = head_dim;
  shape.capacity = capacity;
  shape.causal = 1;
  shape.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim)));
  return shape;
}

inline std::string Describe(const syl_attention& a) {
  std::ostringstream text;
  text << (a.cache_type == SYL_F16 ? "f16" : "f32") << " heads " << a.q_heads << "/" << a.kv_heads << " dim "
       << a.head_dim << (a.causal ? " causal" : " bidirectional") << " window " << a.window << " cap " << a.soft_cap;
  return text.str();
}

// Keys and values of `rows` tokens, appended to a cache that was all NaN before.
class FloatCache {
 public:
  FloatCache(const syl_attention& shape, const Rows& k, const Rows& v, int64_t rows) : shape_(shape) {
    int64_t key_bytes = 0, value_bytes = 0;
    EXPECT_EQ(syl_nn_cache_size(&shape, &key_bytes, &value_bytes), SYL_OK) << syl_last_error();
    keys_.assign(static_cast<size_t>(key_bytes), kPoison);
    values_.assign(static_cast<size_t>(value_bytes), kPoison);
    Append(k, v, 0, rows);
  }

  void Append(const Rows& k, const Rows& v, int64_t first, int64_t rows, syl_pool* pool = nullptr) {
    EXPECT_EQ(syl_nn_cache_append_f32(&shape_, k.At(first), k.stride, v.At(first), v.stride, first, rows, keys_.data(),
                                      values_.data(), pool),
              SYL_OK)
        << syl_last_error();
  }

  // Attention of rows first .. first+rows-1 of q; the result has no gaps.
  std::vector<float> Attend(const Rows& q, int64_t first, int64_t rows, int64_t tokens, syl_pool* pool = nullptr,
                            const syl_attention* other_shape = nullptr) const {
    constexpr int64_t kGap = 5;
    constexpr float kSentinel = 12345.5f;
    const syl_attention& shape = other_shape == nullptr ? shape_ : *other_shape;
    int64_t workspace_bytes = 0;
    EXPECT_EQ(syl_nn_attention_workspace(&shape, rows, tokens, &workspace_bytes), SYL_OK) << syl_last_error();
    std::vector<uint8_t> workspace(static_cast<size_t>(workspace_bytes) + 64, kPoison);
    const int64_t stride = q.cols + kGap;
    std::vector<float> y(static_cast<size_t>(rows * stride), kSentinel);
    EXPECT_EQ(syl_nn_attention_f32(&shape, q.At(first), q.stride, first, rows, keys_.data(), values_.data(), tokens,
                                   y.data(), stride, workspace.data(), workspace_bytes, pool),
              SYL_OK)
        << syl_last_error();
    const auto end = workspace.begin() + workspace_bytes;
    EXPECT_EQ(std::count(end, workspace.end(), kPoison), 64) << "written past the workspace";
    std::vector<float> packed;
    int64_t untouched = 0;
    for (int64_t r = 0; r < rows; ++r) {
      const auto row = y.begin() + r * stride;
      packed.insert(packed.end(), row, row + q.cols);
      untouched += std::count(row + q.cols, row + stride, kSentinel);
    }
    EXPECT_EQ(untouched, rows * kGap) << "written between the rows of y";
    return packed;
  }

  std::vector<uint8_t>& keys() { return keys_; }
  std::vector<uint8_t>& values() { return values_; }

 private:
  syl_attention shape_;
  std::vector<uint8_t> keys_, values_;
};

struct Expected {
  std::vector<double> y;
  std::vector<double> bound;  // the header's bound on |error| on tiers with fused multiply-add
};

// One row and one head, from the float keys and values that were appended.
inline Expected Reference(const syl_attention& shape, const Rows& q, const Rows& k, const Rows& v, int64_t row,
                          int64_t head, int64_t tokens) {
  const int64_t dim = shape.head_dim, kv = head / (shape.q_heads / shape.kv_heads);
  const auto cached = [&](float x) { return shape.cache_type == SYL_F16 ? RoundToHalf(x) : static_cast<double>(x); };
  std::vector<double> scores(static_cast<size_t>(tokens));
  double max = -std::numeric_limits<double>::infinity(), most_products = 0;
  const auto sees = [&](int64_t j) {
    return shape.causal == 0 || (j <= row && (shape.window == 0 || row - j < shape.window));
  };
  for (int64_t j = 0; j < tokens; ++j) {
    if (!sees(j)) continue;
    double score = 0, products = 0;
    for (int64_t i = 0; i < dim; ++i) {
      const double product =
          static_cast<double>(q.At(row)[head * dim + i]) * shape.scale * cached(k.At(j)[kv * dim + i]);
      score += product;
      products += std::fabs(product);
    }
    if (shape.soft_cap > 0) score = shape.soft_cap * std::tanh(score / shape.soft_cap);
    scores[static_cast<size_t>(j)] = score;
    max = std::max(max, score);
    most_products = std::max(most_products, products);
  }
  Expected expected{std::vector<double>(static_cast<size_t>(dim)), std::vector<double>(static_cast<size_t>(dim))};
  double sum = 0, seen = 0;
  for (int64_t j = 0; j < tokens; ++j) {
    if (!sees(j)) continue;
    const double weight = std::exp(scores[static_cast<size_t>(j)] - max);
    sum += weight;
    ++seen;
    for (int64_t i = 0; i < dim; ++i) {
      const double value = cached(v.At(j)[kv * dim + i]);
      expected.y[static_cast<size_t>(i)] += weight * value;
      expected.bound[static_cast<size_t>(i)] += weight * std::fabs(value);
    }
  }
  const double relative = std::ldexp(2 * (static_cast<double>(dim) + 12) * most_products + 300 + seen / 16, -24);
  for (int64_t i = 0; i < dim; ++i) {
    expected.y[static_cast<size_t>(i)] /= sum;
    expected.bound[static_cast<size_t>(i)] *= relative / sum;
  }
  return expected;
}

}  // namespace sylvester_test

#endif
