#include "native/cpu/nn/weights.h"

#include <sylvester/nn.h>

#include <algorithm>
#include <cstring>

#include "native/common/pool.h"
#include "native/common/status.h"

namespace sylvester {
namespace {

constexpr int64_t kMaxBlock = kBlockStep * kSuperSteps;

using Codes = uint8_t[kPanelRows][kMaxBlock];  // of one block of the file for each row, one code a byte

// Low then high nibbles of 32 bytes make 64 codes.
void ReadNibbles(const uint8_t* bytes, int64_t count, uint8_t* low, uint8_t* high) {
  for (int64_t i = 0; i < count; ++i) {
    low[i] = bytes[i] & 15;
    high[i] = bytes[i] >> 4;
  }
}

uint32_t LoadU32(const uint8_t* bytes) {
  uint32_t value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

// Bits to codes: codes[i] |= (bits[i] >> shift & mask) << 4.
void AddUpperBits(const uint8_t* bits, int64_t count, int64_t shift, int mask, uint8_t* codes) {
  for (int64_t i = 0; i < count; ++i) codes[i] |= static_cast<uint8_t>((bits[i] >> shift & mask) << 4);
}

// The scales of one block for 16 rows, as the comment in weights.h lists them.
struct ScaleColumn {
  uint8_t* block;
  int64_t row;

  void PutF16(int64_t index, const uint8_t* value) const {
    std::memcpy(block + index * 2 * kPanelRows + 2 * row, value, 2);
  }
  // Bytes start behind `halves` f16 values.
  void PutByte(int64_t halves, int64_t index, uint8_t value) const {
    block[(2 * halves + index) * kPanelRows + row] = value;
  }
};

// 8 six-bit scales and 8 six-bit minima in 12 bytes: 4 of each whole, then the rest split between nibbles and top bits.
void ReadSuperScales(const uint8_t* packed, const ScaleColumn& scales) {
  for (int64_t j = 0; j < 4; ++j) {
    scales.PutByte(2, 2 * j, packed[j] & 63);
    scales.PutByte(2, 2 * j + 1, packed[j + 4] & 63);
    scales.PutByte(2, 2 * (j + 4), static_cast<uint8_t>((packed[j + 8] & 15) | (packed[j] >> 6 << 4)));
    scales.PutByte(2, 2 * (j + 4) + 1, static_cast<uint8_t>((packed[j + 8] >> 4) | (packed[j + 4] >> 6 << 4)));
  }
}

template <syl_dtype kType>
void ReadBlock(const uint8_t* block, uint8_t* codes, const ScaleColumn& scales) {
  if constexpr (kType == SYL_Q8_0) {
    scales.PutF16(0, block);
    for (int64_t i = 0; i < 32; ++i) codes[i] = block[2 + i] ^ 0x80;
  } else if constexpr (!FormatOf(kType).IsSuper()) {
    constexpr bool kHasMin = FormatOf(kType).HasMin();
    constexpr bool kHasFifthBits = FormatOf(kType).bits == 5;
    scales.PutF16(0, block);
    if (kHasMin) scales.PutF16(1, block + 2);
    const uint8_t* rest = block + (kHasMin ? 4 : 2);
    ReadNibbles(rest + (kHasFifthBits ? 4 : 0), 16, codes, codes + 16);
    if (kHasFifthBits) {
      const uint32_t fifth = LoadU32(rest);
      for (int64_t i = 0; i < 32; ++i) codes[i] |= static_cast<uint8_t>((fifth >> i & 1) << 4);
    }
  } else if constexpr (kType == SYL_Q4_K || kType == SYL_Q5_K) {
    scales.PutF16(0, block);
    scales.PutF16(1, block + 2);
    ReadSuperScales(block + 4, scales);
    const uint8_t* fifth = block + 16;
    const uint8_t* nibbles = kType == SYL_Q5_K ? fifth + 32 : fifth;
    for (int64_t c = 0; c < 4; ++c) {
      uint8_t* low = codes + 64 * c;
      ReadNibbles(nibbles + 32 * c, 32, low, low + 32);
      if constexpr (kType == SYL_Q5_K) {
        AddUpperBits(fifth, 32, 2 * c, 1, low);
        AddUpperBits(fifth, 32, 2 * c + 1, 1, low + 32);
      }
    }
  } else {
    static_assert(kType == SYL_Q6_K);
    const uint8_t* upper = block + 128;
    const uint8_t* sub_scales = block + 192;
    for (int64_t half = 0; half < 2; ++half) {
      uint8_t* out = codes + 128 * half;
      ReadNibbles(block + 64 * half, 64, out, out + 64);
      for (int64_t part = 0; part < 4; ++part) AddUpperBits(upper + 32 * half, 32, 2 * part, 3, out + 32 * part);
    }
    for (int64_t s = 0; s < 16; ++s) scales.PutByte(1, s, sub_scales[s]);
    scales.PutF16(0, block + 208);
  }
}

// One step: 32 codes from `first_code` on, of 16 rows.
template <int kBits>
void WriteCodes(const Codes& codes, int64_t first_code, uint8_t* out) {
  const auto group = [&](int64_t row, int64_t g) { return LoadU32(codes[row] + first_code + 4 * g); };
  const auto put = [&](int64_t vector, int64_t row, uint32_t k0123) {
    const uint32_t k0213 = (k0123 & 0xff0000ff) | (k0123 & 0xff00) << 8 | (k0123 & 0xff0000) >> 8;
    std::memcpy(out + vector * kGroupBytes + 4 * row, &k0213, sizeof(k0213));
  };
  for (int64_t row = 0; row < kPanelRows; ++row) {
    if constexpr (kBits == 8) {
      for (int64_t g = 0; g < kGroups; ++g) put(g, row, group(row, g));
    } else {
      constexpr uint32_t kLow = 0x0f0f0f0f, kBit = 0x01010101;
      uint32_t planes[2] = {0, 0};
      for (int64_t j = 0; j < 4; ++j) {
        const uint32_t a = group(row, j), b = group(row, j + 4);
        put(j, row, (a & kLow) | (b & kLow) << 4);
        if constexpr (kBits == 5) planes[0] |= (a >> 4 & kBit) << j | (b >> 4 & kBit) << (j + 4);
        if constexpr (kBits == 6) {
          planes[0] |= (a >> 4 & 3 * kBit) << (2 * j);
          planes[1] |= (b >> 4 & 3 * kBit) << (2 * j);
        }
      }
      for (int64_t p = 0; p < kBits - 4; ++p) put(4 + p, row, planes[p]);
    }
  }
}

// Packs one panel of `rows` <= 16 rows.
using PackPanel = void (*)(const PackedLayout& layout, int64_t k, const uint8_t* src, int64_t rows, uint8_t* panel);

template <syl_dtype kType>
void PackBlocks(const PackedLayout& layout, int64_t k, const uint8_t* src, int64_t rows, uint8_t* panel) {
  constexpr BlockFormat kFormat = FormatOf(kType);
  const int64_t block_bytes = syl_dtype_block_bytes(kType);
  const int64_t blocks = k / (kBlockStep * kFormat.Steps());
  Codes codes = {};
  // Padding rows and the padding behind the scales.
  std::memset(panel + layout.scale_offset, 0, static_cast<size_t>(layout.panel_bytes - layout.scale_offset));
  for (int64_t b = 0; b < blocks; ++b) {
    uint8_t* scales = panel + layout.scale_offset + b * kFormat.ScaleBytes();
    for (int64_t row = 0; row < rows; ++row) {
      ReadBlock<kType>(src + (row * blocks + b) * block_bytes, codes[row], {scales, row});
    }
    for (int64_t s = 0; s < kFormat.Steps(); ++s) {
      WriteCodes<kFormat.bits>(codes, s * kBlockStep, panel + (b * kFormat.Steps() + s) * kFormat.CodeBytes());
    }
  }
}

template <typename T>
void PackPlain(const PackedLayout& layout, int64_t k, const uint8_t* src, int64_t rows, uint8_t* panel) {
  if (rows < kPanelRows || k % kPlainStep != 0) std::memset(panel, 0, static_cast<size_t>(layout.panel_bytes));
  // Transposed in strips of 16 k, which keep the destination in the first-level cache.
  for (int64_t first = 0; first < k; first += 16) {
    const int64_t end = std::min(k, first + 16);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t i = first; i < end; ++i) {
        std::memcpy(panel + (i * kPanelRows + row) * sizeof(T), src + (row * k + i) * sizeof(T), sizeof(T));
      }
    }
  }
}

PackPanel PackPanelOf(syl_dtype type) {
  switch (type) {
    case SYL_F32: return PackPlain<uint32_t>;
    case SYL_F16: return PackPlain<uint16_t>;
    case SYL_BF16: return PackPlain<uint16_t>;
    case SYL_Q4_0: return PackBlocks<SYL_Q4_0>;
    case SYL_Q4_1: return PackBlocks<SYL_Q4_1>;
    case SYL_Q5_0: return PackBlocks<SYL_Q5_0>;
    case SYL_Q5_1: return PackBlocks<SYL_Q5_1>;
    case SYL_Q8_0: return PackBlocks<SYL_Q8_0>;
    case SYL_Q4_K: return PackBlocks<SYL_Q4_K>;
    case SYL_Q5_K: return PackBlocks<SYL_Q5_K>;
    default: return PackBlocks<SYL_Q6_K>;
  }
}

int64_t RoundUp(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

}  // namespace

syl_status LayOutWeights(const char* function, syl_dtype type, int64_t n, int64_t k, PackedLayout* layout) {
  const int64_t block = syl_dtype_block_size(type);
  if (block == 0) return Fail(SYL_BAD_VALUE, "%s: type is %d, not a syl_dtype", function, type);
  if (type == SYL_F64)
    return Fail(SYL_UNSUPPORTED, "%s: type is %d, weights of 64 bits have no kernel", function, type);
  for (const auto& [name, value] : {std::pair{"n", n}, std::pair{"k", k}}) {
    if (value < 1 || value > INT32_MAX) {
      return Fail(SYL_BAD_VALUE, "%s: %s is %lld, must be 1..%d", function, name, static_cast<long long>(value),
                  INT32_MAX);
    }
  }
  if (k % block != 0) {
    return Fail(SYL_BAD_SHAPE, "%s: k is %lld, not a multiple of the type's block of %lld", function,
                static_cast<long long>(k), static_cast<long long>(block));
  }
  layout->panels = (n + kPanelRows - 1) / kPanelRows;
  if (IsPlain(type)) {
    layout->step_k = kPlainStep;
    layout->steps = (k + kPlainStep - 1) / kPlainStep;
    layout->step_bytes = kPlainStep * kPanelRows * syl_dtype_block_bytes(type);
    layout->scale_offset = layout->steps * layout->step_bytes;
    layout->panel_bytes = layout->scale_offset;
  } else {
    const BlockFormat format = FormatOf(type);
    layout->step_k = kBlockStep;
    layout->steps = k / kBlockStep;
    layout->step_bytes = format.CodeBytes();
    layout->scale_offset = layout->steps * layout->step_bytes;
    layout->panel_bytes =
        layout->scale_offset + RoundUp(layout->steps / format.Steps() * format.ScaleBytes(), kPackedAlignment);
  }
  if (__builtin_mul_overflow(layout->panels, layout->panel_bytes, &layout->bytes)) {
    return Fail(SYL_BAD_SHAPE, "%s: n is %lld and k is %lld: the packed size overflows", function,
                static_cast<long long>(n), static_cast<long long>(k));
  }
  return SYL_OK;
}

}  // namespace sylvester

using namespace sylvester;

syl_status syl_nn_weights_size(syl_dtype type, int64_t n, int64_t k, int64_t* bytes) {
  SYL_REQUIRE_PTR(bytes);
  PackedLayout layout{};
  const syl_status status = LayOutWeights(__func__, type, n, k, &layout);
  if (status != SYL_OK) return status;
  *bytes = layout.bytes;
  return SYL_OK;
}

syl_status syl_nn_weights_pack(syl_dtype type, int64_t n, int64_t k, const void* src, int64_t src_bytes, void* packed,
                               int64_t packed_bytes, syl_pool* pool) {
  SYL_REQUIRE_PTR(src);
  SYL_REQUIRE_PTR(packed);
  PackedLayout layout{};
  const syl_status status = LayOutWeights(__func__, type, n, k, &layout);
  if (status != SYL_OK) return status;
  // Cannot overflow: the packed form is larger or as large, and it did not.
  const int64_t row_bytes = k / syl_dtype_block_size(type) * syl_dtype_block_bytes(type);
  SYL_REQUIRE(src_bytes == n * row_bytes, SYL_BAD_SHAPE, "src_bytes is %lld, must be %lld",
              static_cast<long long>(src_bytes), static_cast<long long>(n * row_bytes));
  SYL_REQUIRE(packed_bytes >= layout.bytes, SYL_WORKSPACE, "packed_bytes is %lld, must be at least %lld",
              static_cast<long long>(packed_bytes), static_cast<long long>(layout.bytes));
  SYL_REQUIRE(reinterpret_cast<uintptr_t>(packed) % kPackedAlignment == 0, SYL_BAD_VALUE,
              "packed is %p, must be aligned to %d bytes", packed, static_cast<int>(kPackedAlignment));
  SYL_REQUIRE(!Overlaps(src, src_bytes, packed, layout.bytes), SYL_OVERLAP, "packed (%p) overlaps src (%p)", packed,
              src);
  const PackPanel pack = PackPanelOf(type);
  ParallelFor(pool, layout.panels, [&](int64_t panel, int32_t) {
    const int64_t first = panel * kPanelRows;
    pack(layout, k, static_cast<const uint8_t*>(src) + first * row_bytes, std::min(kPanelRows, n - first),
         static_cast<uint8_t*>(packed) + panel * layout.panel_bytes);
  });
  return SYL_OK;
}
