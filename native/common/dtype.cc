#include "native/common/dtype.h"

#include <cstring>

#include "native/common/half.h"
#include "native/common/status.h"

namespace sylvester {
namespace {

constexpr int64_t kBlock = 32;
constexpr int64_t kSuperBlock = 256;

struct TypeInfo {
  int64_t block_size;
  int64_t block_bytes;
};

constexpr TypeInfo InfoOf(syl_dtype type) {
  switch (type) {
    case SYL_F32: return {1, 4};
    case SYL_F16:
    case SYL_BF16: return {1, 2};
    case SYL_F64: return {1, 8};
    case SYL_Q4_0: return {kBlock, 18};
    case SYL_Q4_1: return {kBlock, 20};
    case SYL_Q5_0: return {kBlock, 22};
    case SYL_Q5_1: return {kBlock, 24};
    case SYL_Q8_0: return {kBlock, 34};
    case SYL_Q4_K: return {kSuperBlock, 144};
    case SYL_Q5_K: return {kSuperBlock, 176};
    case SYL_Q6_K: return {kSuperBlock, 210};
    default: return {0, 0};
  }
}

uint16_t U16At(const uint8_t* p) {
  uint16_t value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

uint32_t U32At(const uint8_t* p) {
  uint32_t value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

float F16At(const uint8_t* p) { return FloatFromF16(U16At(p)); }

// Nibbles of a block of 32: element i in the low half of byte i, element i + 16 in the high half of it. high: a fifth
// bit for each element.
template <typename ToFloat>
void DequantizeNibbles(const uint8_t* nibbles, uint32_t high, float* y, ToFloat to_float) {
  for (int i = 0; i < 16; ++i) {
    y[i] = to_float((nibbles[i] & 0xf) | (high & 1u << i ? 16 : 0));
    y[i + 16] = to_float(nibbles[i] >> 4 | (high & 0x10000u << i ? 16 : 0));
  }
}

void DequantizeQ40(const uint8_t* b, float* y) {
  const float d = F16At(b);
  DequantizeNibbles(b + 2, 0, y, [d](int q) { return static_cast<float>(q - 8) * d; });
}

void DequantizeQ41(const uint8_t* b, float* y) {
  const float d = F16At(b), m = F16At(b + 2);
  DequantizeNibbles(b + 4, 0, y, [d, m](int q) { return static_cast<float>(q) * d + m; });
}

void DequantizeQ50(const uint8_t* b, float* y) {
  const float d = F16At(b);
  DequantizeNibbles(b + 6, U32At(b + 2), y, [d](int q) { return static_cast<float>(q - 16) * d; });
}

void DequantizeQ51(const uint8_t* b, float* y) {
  const float d = F16At(b), m = F16At(b + 2);
  DequantizeNibbles(b + 8, U32At(b + 4), y, [d, m](int q) { return static_cast<float>(q) * d + m; });
}

void DequantizeQ80(const uint8_t* b, float* y) {
  const float d = F16At(b);
  for (int i = 0; i < kBlock; ++i) y[i] = static_cast<float>(static_cast<int8_t>(b[2 + i])) * d;
}

// The 6-bit scale and minimum of sub-block j out of the 12 packed bytes.
void SubScale(const uint8_t* packed, int j, int* scale, int* min) {
  if (j < 4) {
    *scale = packed[j] & 63;
    *min = packed[j + 4] & 63;
  } else {
    *scale = (packed[j + 4] & 0xf) | (packed[j - 4] >> 6) << 4;
    *min = packed[j + 4] >> 4 | (packed[j] >> 6) << 4;
  }
}

// Q4_K and Q5_K: fifth is NULL or 32 bytes, bit j of byte i belonging to element i of sub-block j.
void DequantizeSubBlocks(const uint8_t* b, const uint8_t* fifth, const uint8_t* nibbles, float* y) {
  const float d = F16At(b), dmin = F16At(b + 2);
  for (int j = 0; j < 8; ++j) {
    int scale, min;
    SubScale(b + 4, j, &scale, &min);
    const float ds = d * static_cast<float>(scale), dm = dmin * static_cast<float>(min);
    for (int i = 0; i < kBlock; ++i) {
      const uint8_t pair = nibbles[j / 2 * 32 + i];
      int q = j % 2 == 0 ? pair & 0xf : pair >> 4;
      if (fifth != nullptr) q |= (fifth[i] >> j & 1) << 4;
      y[j * kBlock + i] = ds * static_cast<float>(q) - dm;
    }
  }
}

void DequantizeQ4K(const uint8_t* b, float* y) { DequantizeSubBlocks(b, nullptr, b + 16, y); }

void DequantizeQ5K(const uint8_t* b, float* y) { DequantizeSubBlocks(b, b + 16, b + 48, y); }

void DequantizeQ6K(const uint8_t* b, float* y) {
  const uint8_t* low = b;
  const uint8_t* high = b + 128;
  const auto* scales = reinterpret_cast<const int8_t*>(b + 192);
  const float d = F16At(b + 208);
  // Groups of 16 with a scale each; a byte of `low` serves two groups of a half, a byte of `high` four.
  for (int group = 0; group < 16; ++group) {
    const int half = group / 8, part = group % 8 / 2, first = group % 2 * 16;
    const uint8_t* nibbles = low + half * 64 + part % 2 * 32 + first;
    const uint8_t* upper = high + half * 32 + first;
    const float ds = d * static_cast<float>(scales[group]);
    for (int i = 0; i < 16; ++i) {
      const int nibble = nibbles[i] >> (part / 2 * 4) & 0xf;
      const int q = (nibble | (upper[i] >> (2 * part) & 3) << 4) - 32;
      y[group * 16 + i] = ds * static_cast<float>(q);
    }
  }
}

using BlockFunction = void (*)(const uint8_t* block, float* y);

BlockFunction BlockFunctionOf(syl_dtype type) {
  switch (type) {
    case SYL_Q4_0: return DequantizeQ40;
    case SYL_Q4_1: return DequantizeQ41;
    case SYL_Q5_0: return DequantizeQ50;
    case SYL_Q5_1: return DequantizeQ51;
    case SYL_Q8_0: return DequantizeQ80;
    case SYL_Q4_K: return DequantizeQ4K;
    case SYL_Q5_K: return DequantizeQ5K;
    default: return DequantizeQ6K;
  }
}

syl_status CheckConversion(const char* function, syl_dtype type, int64_t n, const void* typed, const void* floats) {
  const TypeInfo info = InfoOf(type);
  if (info.block_size == 0) return Fail(SYL_BAD_VALUE, "%s: type is %d, not a known type", function, type);
  if (n < 0 || n % info.block_size != 0 || n > INT64_MAX / 8) {
    return Fail(SYL_BAD_SHAPE, "%s: n is %lld, must be a multiple of the block size %lld", function,
                static_cast<long long>(n), static_cast<long long>(info.block_size));
  }
  if (Overlaps(typed, n / info.block_size * info.block_bytes, floats, n * 4)) {
    return Fail(SYL_OVERLAP, "%s: y overlaps x (n is %lld)", function, static_cast<long long>(n));
  }
  return SYL_OK;
}

}  // namespace

void Dequantize(syl_dtype type, const void* x, int64_t n, float* y) {
  const auto* bytes = static_cast<const uint8_t*>(x);
  if (type == SYL_F32) {
    std::memcpy(y, x, static_cast<size_t>(n) * sizeof(float));
  } else if (type == SYL_F16) {
    for (int64_t i = 0; i < n; ++i) y[i] = F16At(bytes + 2 * i);
  } else if (type == SYL_BF16) {
    for (int64_t i = 0; i < n; ++i) y[i] = FloatFromBf16(U16At(bytes + 2 * i));
  } else if (type == SYL_F64) {
    for (int64_t i = 0; i < n; ++i) {
      double value;
      std::memcpy(&value, bytes + 8 * i, sizeof(value));
      y[i] = static_cast<float>(value);
    }
  } else {
    const TypeInfo info = InfoOf(type);
    const BlockFunction dequantize = BlockFunctionOf(type);
    for (int64_t i = 0; i < n; i += info.block_size, bytes += info.block_bytes) dequantize(bytes, y + i);
  }
}

}  // namespace sylvester

using namespace sylvester;

int64_t syl_dtype_block_size(syl_dtype type) { return InfoOf(type).block_size; }

int64_t syl_dtype_block_bytes(syl_dtype type) { return InfoOf(type).block_bytes; }

syl_status syl_dequantize_f32(syl_dtype type, const void* x, int64_t n, float* y) {
  SYL_REQUIRE_PTR(x);
  SYL_REQUIRE_PTR(y);
  const syl_status status = CheckConversion(__func__, type, n, x, y);
  if (status == SYL_OK) Dequantize(type, x, n, y);
  return status;
}

syl_status syl_convert_from_f32(syl_dtype type, const float* x, int64_t n, void* y) {
  SYL_REQUIRE_PTR(x);
  SYL_REQUIRE_PTR(y);
  SYL_REQUIRE(type == SYL_F16 || type == SYL_BF16, SYL_BAD_VALUE, "type is %d, must be SYL_F16 or SYL_BF16", type);
  const syl_status status = CheckConversion(__func__, type, n, y, x);
  if (status != SYL_OK) return status;
  auto* bytes = static_cast<uint8_t*>(y);
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t h = type == SYL_F16 ? F16FromFloat(x[i]) : Bf16FromFloat(x[i]);
    std::memcpy(bytes + 2 * i, &h, sizeof(h));
  }
  return SYL_OK;
}
