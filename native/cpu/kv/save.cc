// A sequence as bytes. All numbers are little-endian.
//
//   0    magic "SYLKVSEQ"
//   8    uint32 version, 1
//   12   uint32 checksum of the plan
//   16   int64 bytes of the file
//   24   int64 tokens
//   32   int64 sinks of all layers
//   40   0
//   56   uint32 CRC-32 of the checksums, with their padding
//   60   uint32 CRC-32 of bytes 0..59
//   64   sections, each padded with 0 to a multiple of 64 bytes:
//          checksums: uint32 CRC-32 of each 64 KiB of what follows
//          sink tokens: int64 number of them [layers], then int64 token [sinks], layer after layer
//          tiles [packed tiles][tile bytes of all layers]
//          window, of tiles that are not packed: for each layer keys [kv_heads][tiles][head_dim][16] and values
//            [kv_heads][tiles][16][head_dim]; what is behind the last token is 0
//          sinks: for each layer keys and values [kv_heads][sinks][head_dim]
#include <algorithm>
#include <cinttypes>
#include <cstddef>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "native/common/align.h"
#include "native/common/status.h"
#include "native/cpu/kv/cache.h"

namespace sylvester {
namespace {

constexpr char kMagic[] = "SYLKVSEQ";
constexpr uint32_t kVersion = 1;
constexpr int64_t kBlock = 65536;

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t plan;
  int64_t bytes;
  int64_t tokens;
  int64_t sinks;
  uint64_t reserved[2];
  uint32_t checksums;
  uint32_t header;
};
static_assert(sizeof(Header) == 64, "the header is a section");

// Tiles of halves.
int64_t WindowTiles(const KvPlan& plan, int64_t tokens) {
  return (tokens + kKvTile - 1) / kKvTile - plan.PackedTiles(tokens);
}

// Where the sections begin.
struct Sections {
  int64_t blocks;
  int64_t tokens, tiles, window, sinks, end;

  Sections(const KvPlan& plan, int64_t length, int64_t sink_count) {
    const int64_t layers = plan.geometry.layers, half_bytes = 4 * plan.Channels();
    const int64_t tokens_bytes = Aligned(8 * (layers + sink_count));
    const int64_t tiles_bytes = plan.PackedTiles(length) * plan.tile_bytes;
    const int64_t window_bytes = layers * WindowTiles(plan, length) * kKvTile * half_bytes;
    const int64_t sinks_bytes = Aligned(sink_count * half_bytes);
    blocks = (tokens_bytes + tiles_bytes + window_bytes + sinks_bytes + kBlock - 1) / kBlock;
    tokens = static_cast<int64_t>(sizeof(Header)) + Aligned(4 * blocks);
    tiles = tokens + tokens_bytes;
    window = tiles + tiles_bytes;
    sinks = window + window_bytes;
    end = sinks + sinks_bytes;
  }
};

int64_t SinkCount(const syl_kv_sequence& sequence) {
  int64_t count = 0;
  for (const KvHalves& of : sequence.halves) count += static_cast<int64_t>(of.sink_tokens.size());
  return count;
}

template <typename T>
T Get(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

uint32_t BlockChecksum(const Sections& sections, const uint8_t* file, int64_t block) {
  const int64_t begin = sections.tokens + block * kBlock;
  return Crc32(file + begin, std::min(kBlock, sections.end - begin));
}

uint32_t ChecksumOfChecksums(const Sections& sections, const uint8_t* file) {
  return Crc32(file + sizeof(Header), sections.tokens - static_cast<int64_t>(sizeof(Header)));
}

uint32_t HeaderChecksum(const uint8_t* file) { return Crc32(file, offsetof(Header, header)); }

// copy(in the file, in memory, bytes) for everything behind the sink tokens, in the file's order; both ways, so that
// these agree. The sequence has its length, its tiles and its sinks' tokens.
template <typename Byte, typename Sequence, typename Copy>
void Transfer(const Sections& sections, Byte* file, Sequence& sequence, Copy copy) {
  const KvPlan& plan = sequence.Plan();
  const int64_t heads = plan.geometry.kv_heads, head_dim = plan.geometry.head_dim, length = sequence.lengths[0];
  const int64_t packed = plan.PackedTiles(length), end = packed + WindowTiles(plan, length);
  for (int64_t t = 0; t < packed; ++t) {
    for (int32_t layer = 0; layer < plan.geometry.layers; ++layer) {
      copy(file + sections.tiles + t * plan.tile_bytes + plan.layers[layer].page_offset, sequence.Tile(layer, t),
           plan.layers[layer].tile_bytes);
    }
  }
  Byte* at = file + sections.window;
  const auto next = [&](auto* memory, int64_t halves) {
    copy(at, memory, 2 * halves);
    at += 2 * halves;
  };
  const int64_t tile = head_dim * kKvTile;
  for (auto& of : sequence.halves) {
    for (auto* ring : {&of.ring_keys, &of.ring_values}) {
      for (int64_t h = 0; h < heads; ++h) {
        for (int64_t t = packed; t < end; ++t) {
          next(ring->data() + (h * sequence.ring_tiles + t % sequence.ring_tiles) * tile, tile);
        }
      }
    }
  }
  at = file + sections.sinks;
  for (auto& of : sequence.halves) {
    if (of.sink_tokens.empty()) continue;
    for (auto* rows : {&of.sink_keys, &of.sink_values}) {
      for (int64_t h = 0; h < heads; ++h) {
        next(rows->data() + h * sequence.sink_capacity * head_dim,
             static_cast<int64_t>(of.sink_tokens.size()) * head_dim);
      }
    }
  }
}

// Rows of the ring that were another text's, or are of tokens that are no more.
void ClearWindow(const Sections& sections, const KvPlan& plan, int64_t length, uint8_t* file) {
  const int64_t tiles = WindowTiles(plan, length), begin = length % kKvTile, head_dim = plan.geometry.head_dim;
  const int64_t heads = plan.geometry.kv_heads, tile_bytes = 2 * kKvTile * head_dim;
  if (tiles == 0 || begin == 0) return;
  uint8_t* last = file + sections.window + (tiles - 1) * tile_bytes;
  for (int64_t layer = 0; layer < plan.geometry.layers; ++layer) {
    for (int64_t h = 0; h < heads; ++h, last += tiles * tile_bytes) {
      for (int64_t c = 0; c < head_dim; ++c) std::memset(last + 2 * (c * kKvTile + begin), 0, 2 * (kKvTile - begin));
    }
    for (int64_t h = 0; h < heads; ++h, last += tiles * tile_bytes) {
      std::memset(last + 2 * begin * head_dim, 0, 2 * (kKvTile - begin) * head_dim);
    }
  }
}

#define REQUIRE(condition, offset, format, ...)                                                                   \
  do {                                                                                                            \
    if (!(condition)) {                                                                                           \
      return Fail(SYL_BAD_DATA, "%s: file, offset %" PRId64 ": " format, function, int64_t{offset}, __VA_ARGS__); \
    }                                                                                                             \
  } while (0)

syl_status CheckHeader(const char* function, const syl_kv_cache& cache, const uint8_t* file, int64_t bytes,
                       Header* header) {
  const KvPlan& plan = *cache.plan;
  const auto header_bytes = static_cast<int64_t>(sizeof(Header));
  REQUIRE(bytes >= header_bytes, bytes, "has %" PRId64 " bytes, must have %" PRId64 " or more", bytes, header_bytes);
  const auto h = Get<Header>(file);
  REQUIRE(std::memcmp(h.magic, kMagic, sizeof(h.magic)) == 0, 0, "is no %s", kMagic);
  REQUIRE(h.version == kVersion, offsetof(Header, version), "version is %" PRIu32 ", must be %" PRIu32, h.version,
          kVersion);
  REQUIRE(h.header == HeaderChecksum(file), offsetof(Header, header),
          "checksum of the header is %08" PRIx32 ", must be %08" PRIx32, h.header, HeaderChecksum(file));
  REQUIRE(h.plan == plan.checksum, offsetof(Header, plan), "checksum of the plan is %08" PRIx32 ", must be %08" PRIx32,
          h.plan, plan.checksum);
  REQUIRE(h.bytes == bytes, offsetof(Header, bytes), "says %" PRId64 " bytes, has %" PRId64, h.bytes, bytes);
  // Before anything is computed with them, since they may be any number.
  const int64_t capacity = plan.options.first_tokens + plan.options.max_sinks;
  REQUIRE(h.tokens >= 0 && h.tokens <= bytes && plan.PackedTiles(h.tokens) <= bytes / plan.tile_bytes,
          offsetof(Header, tokens), "tokens is %" PRId64 ", too many for %" PRId64 " bytes", h.tokens, bytes);
  REQUIRE(h.sinks >= 0 && h.sinks <= plan.geometry.layers * capacity, offsetof(Header, sinks),
          "sinks is %" PRId64 ", must be 0..%" PRId64, h.sinks, plan.geometry.layers * capacity);
  const int64_t end = Sections(plan, h.tokens, h.sinks).end;
  REQUIRE(bytes == end, std::min(bytes, end), "has %" PRId64 " bytes, must have %" PRId64, bytes, end);
  *header = h;
  return SYL_OK;
}

syl_status CheckChecksums(const char* function, const Sections& sections, const Header& header, const uint8_t* file) {
  const uint32_t all = ChecksumOfChecksums(sections, file);
  REQUIRE(header.checksums == all, sizeof(Header), "the checksums have checksum %08" PRIx32 ", must have %08" PRIx32,
          all, header.checksums);
  for (int64_t i = 0; i < sections.blocks; ++i) {
    const auto want = Get<uint32_t>(file + sizeof(Header) + 4 * i);
    const uint32_t crc = BlockChecksum(sections, file, i);
    const int64_t offset = sections.tokens + i * kBlock;
    REQUIRE(crc == want, offset, "up to %" PRId64 " have checksum %08" PRIx32 ", must have %08" PRIx32,
            std::min(offset + kBlock, sections.end), crc, want);
  }
  return SYL_OK;
}

// Each layer has as many sinks as fit, in ascending order. Read once, since a mapped file may change meanwhile.
syl_status ReadSinks(const char* function, const KvPlan& plan, const Sections& sections, const Header& header,
                     const uint8_t* file, std::vector<std::vector<int64_t>>* sinks_of) {
  const int64_t layers = plan.geometry.layers, capacity = plan.options.first_tokens + plan.options.max_sinks;
  int64_t sinks = 0;
  for (int64_t i = 0; i < layers; ++i) {
    const auto count = Get<int64_t>(file + sections.tokens + 8 * i);
    REQUIRE(count >= 0 && count <= capacity && count <= header.sinks - sinks, sections.tokens + 8 * i,
            "layer %" PRId64 " has %" PRId64 " sinks, must have 0..%" PRId64, i, count,
            std::min(capacity, header.sinks - sinks));
    std::vector<int64_t>& tokens = sinks_of->emplace_back();
    int64_t before = -1;
    for (int64_t s = sinks; s < sinks + count; ++s) {
      const int64_t offset = sections.tokens + 8 * (layers + s);
      const auto token = Get<int64_t>(file + offset);
      REQUIRE(token > before && token < header.tokens, offset,
              "sink is token %" PRId64 ", must be %" PRId64 "..%" PRId64, token, before + 1, header.tokens - 1);
      tokens.push_back(token);
      before = token;
    }
    sinks += count;
  }
  REQUIRE(sinks == header.sinks, sections.tokens, "the layers have %" PRId64 " sinks, must have %" PRId64, sinks,
          header.sinks);
  return SYL_OK;
}

// Scales and halves are finite, as everything that append writes.
syl_status CheckFinite(const char* function, const KvPlan& plan, const Sections& sections, const uint8_t* file) {
  for (int64_t tile = sections.tiles; tile < sections.window; tile += plan.tile_bytes) {
    for (const KvLayer& layer : plan.layers) {
      for (const KvSide* side : {&layer.keys, &layer.values}) {
        const int64_t begin = tile + layer.page_offset + side->scales;
        for (int64_t at = begin; at < begin + side->groups * kKvTile; ++at) {
          REQUIRE(file[at] < 0xf8, at, "scale is %02x, must be less than f8", file[at]);
        }
      }
    }
  }
  for (int64_t at = sections.window; at < sections.end; at += 2) {
    const auto half = Get<uint16_t>(file + at);
    REQUIRE((half & 0x7c00) != 0x7c00, at, "half is %04x, must be finite", half);
  }
  return SYL_OK;
}

syl_status Load(const char* function, syl_kv_cache* cache, const Sections& sections, const Header& header,
                const uint8_t* file, SequencePointer* loaded) {
  const KvPlan& plan = *cache->plan;
  std::vector<std::vector<int64_t>> sinks;
  if (syl_status s = ReadSinks(function, plan, sections, header, file, &sinks)) return s;
  if (syl_status s = CheckFinite(function, plan, sections, file)) return s;
  SequencePointer sequence = NewSequence(cache);
  const int64_t packed = plan.PackedTiles(header.tokens);
  if (!GrowTiles(sequence.get(), packed)) {
    return Fail(SYL_OUT_OF_MEMORY, "%s: not enough free pages of the cache for %" PRId64 " tiles", function, packed);
  }
  std::fill(sequence->lengths.begin(), sequence->lengths.end(), header.tokens);
  for (size_t i = 0; i < sequence->halves.size(); ++i) {
    KvHalves& of = sequence->halves[i];
    of.sink_tokens.insert(of.sink_tokens.end(), sinks[i].begin(), sinks[i].end());
    if (plan.options.window > 0) of.oldest = packed * kKvTile;
  }
  Transfer(sections, file, *sequence,
           [](const uint8_t* from, void* to, int64_t bytes) { std::memcpy(to, from, bytes); });
  *loaded = std::move(sequence);
  return SYL_OK;
}

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_kv_save_size(const syl_kv_sequence* sequence, int64_t* bytes) {
  int64_t length;
  if (syl_status s = CheckEven(__func__, sequence, &length)) return s;
  SYL_REQUIRE_PTR(bytes);
  *bytes = Sections(sequence->Plan(), length, SinkCount(*sequence)).end;
  return SYL_OK;
}

syl_status syl_kv_save(const syl_kv_sequence* sequence, void* file, int64_t bytes) {
  int64_t length;
  if (syl_status s = CheckEven(__func__, sequence, &length)) return s;
  SYL_REQUIRE_PTR(file);
  const KvPlan& plan = sequence->Plan();
  const int64_t sinks = SinkCount(*sequence);
  const Sections sections(plan, length, sinks);
  SYL_REQUIRE(bytes >= sections.end, SYL_WORKSPACE, "bytes is %" PRId64 ", must be %" PRId64 " or more", bytes,
              sections.end);

  auto* to = static_cast<uint8_t*>(file);
  std::memset(to, 0, sections.end);
  uint8_t* count = to + sections.tokens;
  uint8_t* token = count + 8 * plan.geometry.layers;
  for (const KvHalves& of : sequence->halves) {
    const auto size = static_cast<int64_t>(of.sink_tokens.size());
    std::memcpy(count, &size, 8);
    std::copy_n(reinterpret_cast<const uint8_t*>(of.sink_tokens.data()), 8 * size, token);
    count += 8;
    token += 8 * size;
  }
  Transfer(sections, to, *sequence, [](uint8_t* at, const void* from, int64_t n) { std::memcpy(at, from, n); });
  ClearWindow(sections, plan, length, to);

  for (int64_t i = 0; i < sections.blocks; ++i) {
    const uint32_t crc = BlockChecksum(sections, to, i);
    std::memcpy(to + sizeof(Header) + 4 * i, &crc, 4);
  }
  Header header = {{}, kVersion, plan.checksum, sections.end, length, sinks, {}, ChecksumOfChecksums(sections, to), 0};
  std::memcpy(header.magic, kMagic, sizeof(header.magic));
  std::memcpy(to, &header, sizeof(header));
  header.header = HeaderChecksum(to);
  std::memcpy(to, &header, sizeof(header));
  return SYL_OK;
}

syl_status syl_kv_load(syl_kv_cache* cache, const void* file, int64_t bytes, syl_kv_sequence** sequence) {
  SYL_REQUIRE_PTR(cache);
  SYL_REQUIRE_PTR(file);
  SYL_REQUIRE_PTR(sequence);
  const KvPlan& plan = *cache->plan;
  const auto* from = static_cast<const uint8_t*>(file);
  Header header = {};
  if (syl_status s = CheckHeader(__func__, *cache, from, bytes, &header)) return s;
  const Sections sections(plan, header.tokens, header.sinks);
  if (syl_status s = CheckChecksums(__func__, sections, header, from)) return s;
  try {
    SequencePointer loaded;
    if (syl_status s = Load(__func__, cache, sections, header, from, &loaded)) return s;
    *sequence = loaded.release();
    return SYL_OK;
  } catch (const std::bad_alloc&) {
    return Fail(SYL_OUT_OF_MEMORY, "%s: out of memory for a sequence", __func__);
  }
}
