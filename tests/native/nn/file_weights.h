// Weights as they lie in a GGUF file, read one at a time: the reference of the matrix product's tests.
#ifndef SYLVESTER_TESTS_NATIVE_NN_FILE_WEIGHTS_H_
#define SYLVESTER_TESTS_NATIVE_NN_FILE_WEIGHTS_H_

#include <sylvester/sylvester.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace sylvester_tests {

struct TypeName {
  syl_dtype type;
  const char* name;
};
constexpr TypeName kTypes[] = {{SYL_F32, "f32"},   {SYL_F16, "f16"},   {SYL_BF16, "bf16"}, {SYL_Q8_0, "q8_0"},
                               {SYL_Q4_0, "q4_0"}, {SYL_Q4_1, "q4_1"}, {SYL_Q5_0, "q5_0"}, {SYL_Q5_1, "q5_1"},
                               {SYL_Q4_K, "q4_k"}, {SYL_Q5_K, "q5_k"}, {SYL_Q6_K, "q6_k"}};

inline bool IsPlainType(syl_dtype type) { return type == SYL_F32 || type == SYL_F16 || type == SYL_BF16; }

inline uint16_t U16(const uint8_t* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }

inline float F16(const uint8_t* p) {
  const int bits = U16(p), exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const float sign = bits >> 15 ? -1.0f : 1.0f;
  if (exponent == 31) return mantissa == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  return sign * std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25);
}

inline float PlainWeight(syl_dtype type, const uint8_t* p) {
  if (type == SYL_F16) return F16(p);
  uint32_t bits;
  if (type == SYL_BF16) {
    bits = static_cast<uint32_t>(U16(p)) << 16;
  } else {
    std::memcpy(&bits, p, 4);
  }
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

// w = scale * code + min, scale and min as products of two factors that are exact in float.
struct BlockWeight {
  int code;
  float scale;
  float min;
};

// Weight i of a block. Layouts: ggml's quantised types, as documented by the gguf package (quants.py).
inline BlockWeight ReadWeight(syl_dtype type, const uint8_t* b, int i) {
  const auto nibble = [i](const uint8_t* q) { return i < 16 ? q[i] & 15 : q[i - 16] >> 4; };
  const auto fifth = [i](const uint8_t* h) { return (h[i / 8] >> i % 8 & 1) << 4; };
  switch (type) {
    case SYL_Q8_0: return {static_cast<int8_t>(b[2 + i]), F16(b), 0};
    case SYL_Q4_0: return {nibble(b + 2) - 8, F16(b), 0};
    case SYL_Q4_1: return {nibble(b + 4), F16(b), F16(b + 2)};
    case SYL_Q5_0: return {(nibble(b + 6) | fifth(b + 2)) - 16, F16(b), 0};
    case SYL_Q5_1: return {nibble(b + 8) | fifth(b + 4), F16(b), F16(b + 2)};
    case SYL_Q4_K:
    case SYL_Q5_K: {
      const int s = i / 32;  // sub-block
      const uint8_t* p = b + 4;
      const int sc = s < 4 ? p[s] & 63 : (p[s + 4] & 15) | (p[s - 4] >> 6) << 4;
      const int m = s < 4 ? p[s + 4] & 63 : p[s + 4] >> 4 | (p[s] >> 6) << 4;
      const uint8_t* q = b + (type == SYL_Q5_K ? 48 : 16) + i / 64 * 32 + i % 32;
      int code = i % 64 < 32 ? *q & 15 : *q >> 4;
      if (type == SYL_Q5_K) code |= (b[16 + i % 32] >> s & 1) << 4;
      return {code, F16(b) * static_cast<float>(sc), -(F16(b + 2) * static_cast<float>(m))};
    }
    default: {  // SYL_Q6_K
      const int half = i / 128, j = i % 128;
      const uint8_t low = b[64 * half + j % 64];
      const int upper = b[128 + 32 * half + j % 32] >> (j / 32 * 2) & 3;
      const int code = (j < 64 ? low & 15 : low >> 4) | upper << 4;
      return {code - 32, F16(b + 208) * static_cast<float>(static_cast<int8_t>(b[192 + i / 16])), 0};
    }
  }
}

// n rows of k weights in the file's layout.
class FileWeights {
 public:
  FileWeights(syl_dtype type, int64_t n, int64_t k)
      : type_(type),
        n_(n),
        k_(k),
        block_(syl_dtype_block_size(type)),
        block_bytes_(syl_dtype_block_bytes(type)),
        bytes_(static_cast<size_t>(n * k / block_ * block_bytes_)) {}

  // Codes and sub-scales take every value; f16 scales lie around 2^-7, and weights of plain types in -1..1.
  static FileWeights Random(syl_dtype type, int64_t n, int64_t k, std::mt19937& random) {
    FileWeights weights(type, n, k);
    std::uniform_int_distribution<int> byte(0, 255);
    for (uint8_t& b : weights.bytes_) b = static_cast<uint8_t>(byte(random));
    for (int64_t i = 0; i < n * k; i += weights.block_) {
      uint8_t* block = weights.bytes_.data() + i / weights.block_ * weights.block_bytes_;
      if (type == SYL_F32) {
        const float w = std::uniform_real_distribution<float>(-1, 1)(random);
        std::memcpy(block, &w, 4);
      } else if (type == SYL_BF16) {
        block[1] = static_cast<uint8_t>((block[1] & 0x80) | 0x3e);  // exponents 2^-3 and 2^-2
      } else if (type == SYL_F16) {
        block[1] = static_cast<uint8_t>((block[1] & 0x83) | 0x34);
      } else {
        for (int s = 0; s < weights.Scales(); ++s) {
          weights.SetScale(i, s, static_cast<uint16_t>(0x2000 | (byte(random) & 1) << 15 | byte(random) << 2));
        }
      }
    }
    return weights;
  }

  // f16 values in a block (d, or d and a minimum), for block types; SetScale puts one in the block of weight i.
  int Scales() const {
    return type_ == SYL_Q8_0 || type_ == SYL_Q4_0 || type_ == SYL_Q5_0 || type_ == SYL_Q6_K ? 1 : 2;
  }
  void SetScale(int64_t i, int which, uint16_t bits) {
    uint8_t* p = Block(i) + (type_ == SYL_Q6_K ? 208 : 2 * which);
    p[0] = static_cast<uint8_t>(bits);
    p[1] = static_cast<uint8_t>(bits >> 8);
  }
  uint8_t* Block(int64_t i) { return bytes_.data() + i / block_ * block_bytes_; }

  syl_dtype type() const { return type_; }
  int64_t n() const { return n_; }
  int64_t k() const { return k_; }
  const uint8_t* data() const { return bytes_.data(); }
  int64_t size() const { return static_cast<int64_t>(bytes_.size()); }

  float Plain(int64_t row, int64_t i) const {
    return PlainWeight(type_, bytes_.data() + (row * k_ + i) * block_bytes_);
  }
  BlockWeight Get(int64_t row, int64_t i) const {
    return ReadWeight(type_, bytes_.data() + (row * k_ + i) / block_ * block_bytes_, static_cast<int>(i % block_));
  }
  double Exact(int64_t row, int64_t i) const {
    if (IsPlainType(type_)) return Plain(row, i);
    const BlockWeight w = Get(row, i);
    return static_cast<double>(w.scale) * w.code + w.min;
  }

 private:
  syl_dtype type_;
  int64_t n_, k_, block_, block_bytes_;
  std::vector<uint8_t> bytes_;
};

// Activations of one step of 32, as nn.h defines them.
struct QuantizedBlock {
  float d = 0;
  int q[32] = {};
};

inline QuantizedBlock Quantize(const float* x) {
  QuantizedBlock block;
  float max = 0;
  for (int i = 0; i < 32; ++i) {
    if (!std::isfinite(x[i])) {
      block.d = NAN;
      return block;
    }
    max = std::max(max, std::fabs(x[i]));
  }
  const float d = max / 32512.0f;
  if (d < std::numeric_limits<float>::min()) return block;
  block.d = d;
  for (int i = 0; i < 32; ++i) block.q[i] = static_cast<int>(std::nearbyint(x[i] / d));
  return block;
}

// The result of the definition, and a bound on how far a float evaluation of it may be from the exact W x.
struct Reference {
  float value = 0;
  double exact = 0;
  double bound = 0;
};

// fused: multiply-add rounds once, as on every tier but sse4.
inline Reference MultiplyRow(const FileWeights& w, int64_t row, const float* x, bool fused) {
  const auto multiply_add = [fused](float a, float b, float c) { return fused ? std::fma(a, b, c) : a * b + c; };
  Reference result;
  double magnitude = 0;  // sum of the absolute values of all terms
  for (int64_t i = 0; i < w.k(); ++i) result.exact += w.Exact(row, i) * x[i];
  const double u = std::ldexp(1.0, -24);
  if (IsPlainType(w.type())) {
    for (int64_t i = 0; i < w.k(); ++i) {
      result.value = multiply_add(w.Plain(row, i), x[i], result.value);
      magnitude += std::fabs(w.Exact(row, i) * x[i]);
    }
    // Each term passes k roundings at most, one more where the product is rounded too: gamma_{k+1} (Higham).
    const double roundings = static_cast<double>(w.k() + 1);
    result.bound = roundings * u / (1 - roundings * u) * magnitude;
    return result;
  }
  double quantization = 0;
  for (int64_t first = 0; first < w.k(); first += 32) {
    const QuantizedBlock block = Quantize(x + first);
    int products[2] = {0, 0}, sum = 0;
    for (int i = 0; i < 32; ++i) {
      products[i / 16] += w.Get(row, first + i).code * block.q[i];
      sum += block.q[i];
      // |x - d q| <= d / 2, with a margin for the rounding of the two divisions: 32512 2^-23.
      quantization += std::fabs(w.Exact(row, first + i)) * block.d * 0.504;
    }
    const BlockWeight low = w.Get(row, first), high = w.Get(row, first + 16);
    const auto value = [](int i) { return static_cast<float>(i); };
    float t;
    if (w.type() == SYL_Q6_K) {
      t = multiply_add(value(products[0]), low.scale, value(products[1]) * high.scale);
      magnitude += block.d * (std::fabs(products[0] * static_cast<double>(low.scale)) +
                              std::fabs(products[1] * static_cast<double>(high.scale)));
    } else {
      t = value(products[0] + products[1]) * low.scale;
      if (w.Scales() == 2) t = multiply_add(low.min, value(sum), t);
      magnitude += block.d * (std::fabs((products[0] + products[1]) * static_cast<double>(low.scale)) +
                              std::fabs(sum * static_cast<double>(low.min)));
    }
    result.value = multiply_add(t, block.d, result.value);
  }
  // Each term passes at most four roundings in its block (conversion, product, second product, their sum), one when
  // scaled and one for each block it is added to.
  const double roundings = static_cast<double>(w.k() / 32 + 5);
  result.bound = quantization + roundings * u / (1 - roundings * u) * magnitude;
  return result;
}

}  // namespace sylvester_tests

#endif
