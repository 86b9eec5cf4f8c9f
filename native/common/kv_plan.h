// A checked plan of a packed cache, and the bytes of its pages: what CPU and CUDA share.
#ifndef SYLVESTER_NATIVE_COMMON_KV_PLAN_H_
#define SYLVESTER_NATIVE_COMMON_KV_PLAN_H_

#include <sylvester/hadamard.h>
#include <sylvester/kv.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace sylvester {

constexpr int64_t kKvTile = 16;          // tokens of a tile
constexpr int64_t kKvMaxHeadGroup = 16;  // heads that are rotated together
constexpr float kKvMaxGain = 8;          // of balance; the least is 1 / 8

// ---- Bytes of a tile ---------------------------------------------------------------------------------------------
// Words are little-endian uint32. A plane has 8 / bits codes to a byte, so that (word >> j bits) & mask has one code in
// each byte; code i of step j is at bits 8 i + bits j, i < 4, j < 8 / bits.
//
//   keys    words [kv_heads][head_dim bits / 32][16 tokens]: word w of a token has its channels
//           w (32 / bits) + 4 j + i
//   values  words [kv_heads][16 bits / 32][head_dim]: word w of a channel has its tokens w (32 / bits) + 4 j + i
//
// 3 bits are a plane of 2 bits, laid out as above, followed in each head by a plane of the upper bits:
//   keys    words [ceil(head_dim / 32)][16 tokens]: word u has the upper bits of 2-bit words 2 u (steps j = 0..3) and
//           2 u + 1 (steps 4..7), at bits 8 i + j
//   values  words [ceil(head_dim / 32)][16]: lane l of word vector u has those of channels 32 u + l (steps 0..3) and
//           32 u + 16 + l (steps 4..7)
// Bits without a channel, and codes of tokens not yet appended, are 0.
//
// Scales and zeros: bytes [groups][16 tokens] each. A tile is: key codes, value codes, key scales, key zeros, value
// scales, value zeros, padded to 64 bytes; 0 throughout is a tile of nothing.

// ---- Quantiser of a group x[0..n) ----------------------------------------------------------------------------------
// x: centred, balanced, limited to +-2^100 (so that no sum of R overflows), rotated, then rounded to halves
// (saturating) whether they are kept as such or not; keys of PRE_ROPE plans are rounded to such halves first. Channels
// of a group in ascending order (of their places in the rotated head, for sorted groups in the rotated layer). Every
// operation is rounded to float once, none is fused; round is to nearest even.
//
//   UNIFORM, m = 2^bits - 1, u = zero_unit
//     lo = min x, hi = max x
//     CLIP_RANGE: lo = clip lo, hi = clip hi
//     CLIP_MIDPOINT: mid = (lo + hi) 0.5, half = ((hi - lo) 0.5) clip; lo = mid - half, hi = mid + half
//     s = scale(max((hi - lo) / m, max(|lo|, |hi|) / (119 u)));  if s = 0: z = 0, all q = 0
//     scale: KvScaleUp for 8 bits, since a step that is 1/17 too small cuts off 15 codes; KvScaleNearest for fewer
//     inverse = 1 / s;  z = clamp(round((-lo inverse) / u), -128, 127);  q = clamp(round(x inverse + u z), 0, m)
//   LLOYD_MAX
//     s = KvScaleNearest(sqrt(sum x^2 / n) c), c = float(ell / 31) (kv.h), the sum of 16 lanes, element i in lane i mod
//     16, ascending from 0, the lanes then added as i + 8, i + 4, i + 2, i + 1;  if s = 0: z = 0, all q = 0
//     inverse = 1 / s;  z = 32;  q = the number of thresholds t, t < x inverse + 32
// Sinks: s, z and all q are 0.

struct KvSide {  // keys or values of a layer
  int32_t bits;
  int32_t groups;  // of a token, all heads
  int64_t codes;   // byte offsets in a tile
  int64_t scales;
  int64_t zeros;
  int64_t head_bytes;  // codes of one head
};

struct KvLayer {
  KvSide keys, values;
  int64_t tile_bytes;   // a multiple of 64
  int64_t page_offset;  // of its first tile in a page, per tile of the page: byte offset = page_offset * page_tiles
  int64_t window;       // sliding window of the attention; 0: none

  // PRE_ROPE: group of each key channel [kv_heads * head_dim]. POST_ROPE: empty, channel c of a head is in group
  // head * groups_per_head + c / group.
  std::vector<uint16_t> group_of;
  std::vector<float> center_keys, center_values;  // [kv_heads * head_dim], empty: none
  std::vector<float> gain_keys;                   // [kv_heads * head_dim] of balance, empty: none
};

constexpr int kKvMaxLevel = 63;

// How codes become numbers: x^ = s (level[q] - zero_unit z).
struct KvGrid {
  uint8_t levels[16];    // LLOYD_MAX only, at most kKvMaxLevel
  float thresholds[15];  // LLOYD_MAX only, [2^bits - 1]: midpoints of neighbouring levels
  float zero_unit;
  float rms_factor;  // LLOYD_MAX: c of the quantiser
};

struct KvPlan {
  // As given, with defaults filled in (head_group). Pointers are NULL or point into the vectors below.
  syl_kv_geometry geometry;
  syl_kv_options options;
  std::vector<uint8_t> layer_bits;  // [layers][2], always filled
  std::vector<double> inv_freq;
  std::vector<int64_t> windows;  // [layers], always filled
  std::vector<KvLayer> layers;
  int64_t tile_bytes;  // of all layers
  uint64_t geometry_hash;
  uint32_t checksum;  // CRC-32 of the saved plan's checksums: what a saved sequence belongs to

  int64_t Channels() const { return geometry.kv_heads * geometry.head_dim; }
  bool PreRope() const { return options.rope == SYL_KV_PRE_ROPE; }
  int64_t WindowTiles() const { return options.window / kKvTile; }
  // Channels of a group where groups begin anew with each head; groups of one head.
  int64_t GroupsPerHead(int32_t group) const { return (geometry.head_dim + group - 1) / group; }
  KvGrid Grid(int32_t bits) const;  // of this plan's kind
  // What a layer of so many bits clips keys or values (SYL_KV_KEYS, SYL_KV_VALUES) by.
  float Clip(int32_t what, int32_t bits) const;

  // Tiles that are packed, wholly or (without a window) in part, when there are n tokens.
  int64_t PackedTiles(int64_t n) const {
    if (options.window == 0) return (n + kKvTile - 1) / kKvTile;
    const int64_t tiles = n / kKvTile - (WindowTiles() - 1);
    return tiles > 0 ? tiles : 0;
  }
};

// Checks a geometry; hash: FNV-1a of its fields, what plans and calibrations of other geometries are told from it by.
syl_status CheckKvGeometry(const char* function, const syl_kv_geometry* geometry, uint64_t* hash);

// Checks geometry and options and lays out the tiles; what a calibration adds (centers, gains, group_of of sorted
// channels) is left empty. function names the caller in error texts.
syl_status MakeKvPlan(const char* function, const syl_kv_geometry* geometry, const syl_kv_options* options,
                      KvPlan* plan);

// Order of R for keys or values as a Hadamard plan's options for rows of contiguous floats, any number of them, in
// place; rotate: SYL_KV_ROTATE_HEAD or GROUP. The base is the smallest that exists for the order.
syl_status KvRotation(const char* function, const KvPlan& plan, int32_t rotate, syl_hadamard_options* options);

// The upper eight bits, without the sign, of a half: s = 2^(e - 15) (1 + f / 8), subnormal for e = 0, at most 0xf7.
float KvScaleToFloat(uint8_t scale);
// The nearest, ties to even, and the least that is not below x; x >= 0 and not NaN; both saturate at 61440.
uint8_t KvScaleNearest(float x);
uint8_t KvScaleUp(float x);

uint32_t Crc32(const void* data, int64_t bytes, uint32_t crc = 0);  // of zlib

}  // namespace sylvester

// The opaque type of the ABI.
struct syl_kv_plan {
  std::shared_ptr<const sylvester::KvPlan> plan;
};

#endif
