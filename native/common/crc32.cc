#include <array>
#include <cstring>

#include "native/common/kv_plan.h"

namespace sylvester {
namespace {

constexpr int kSlices = 8;
using Tables = std::array<std::array<uint32_t, 256>, kSlices>;

// tables[i][b]: the remainder of byte b followed by i zero bytes.
constexpr Tables MakeTables() {
  Tables tables = {};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t r = b;
    for (int bit = 0; bit < 8; ++bit) r = r >> 1 ^ (r & 1 ? 0xedb88320 : 0);
    tables[0][b] = r;
  }
  for (int i = 1; i < kSlices; ++i) {
    for (uint32_t b = 0; b < 256; ++b) {
      const uint32_t r = tables[i - 1][b];
      tables[i][b] = r >> 8 ^ tables[0][r & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

}  // namespace

uint32_t Crc32(const void* data, int64_t bytes, uint32_t crc) {
  const auto* p = static_cast<const uint8_t*>(data);
  crc = ~crc;
  for (; bytes >= kSlices; bytes -= kSlices, p += kSlices) {
    uint64_t eight;
    std::memcpy(&eight, p, sizeof(eight));
    eight ^= crc;
    crc = 0;
    for (int i = 0; i < kSlices; ++i) crc ^= kTables[kSlices - 1 - i][eight >> 8 * i & 0xff];
  }
  for (; bytes > 0; --bytes, ++p) crc = crc >> 8 ^ kTables[0][(crc ^ *p) & 0xff];
  return ~crc;
}

}  // namespace sylvester
