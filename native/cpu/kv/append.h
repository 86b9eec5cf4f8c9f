// Rows of one sequence on their way into a layer: what the kernels of append get.
#ifndef SYLVESTER_NATIVE_CPU_KV_APPEND_H_
#define SYLVESTER_NATIVE_CPU_KV_APPEND_H_

#include <cstdint>

#include "native/cpu/kv/cache.h"
#include "native/cpu/kv/quantize.h"

namespace sylvester {

struct KvAppend {
  syl_kv_sequence* sequence;
  int32_t layer;
  const float* k;  // row 0 is token `begin`
  int64_t k_stride;
  const float* v;
  int64_t v_stride;
  bool tame_keys, tame_values;  // see KvQuantizer
  int64_t begin, end;           // tokens; the sequence's length is still `begin`, its sinks are listed already

  const KvPlan& Plan() const { return sequence->Plan(); }
  // Tiles that are packed now, and those that have new tokens.
  int64_t FirstTile() const { return Plan().options.window > 0 ? Plan().PackedTiles(begin) : begin / kKvTile; }
  int64_t EndTile() const { return begin == end ? FirstTile() : (end + kKvTile - 1) / kKvTile; }
};

// Memory of one worker, C channels to a row.
struct KvAppendScratch {
  float* row;              // [C]
  uint16_t* key_halves;    // [16][C]
  uint16_t* value_halves;  // [16][C]
  uint16_t* sorted;        // [C]
  uint8_t* codes;          // [C]
  uint8_t* sorted_codes;   // [C]
  void* rotation;
  int64_t rotation_bytes;

  static int64_t Bytes(const syl_kv_cache& cache);  // a multiple of 64
  KvAppendScratch(const syl_kv_cache& cache, uint8_t* memory);
};

// Everything append does to one tile.
void AppendTile(const KvAppend& append, int64_t tile, const KvAppendScratch& scratch);

// The place of a token among the sinks, or -1.
int64_t SinkOf(const KvHalves& halves, int64_t token);

}  // namespace sylvester

#endif
