// One chunk of a row: its logits as floats, and its part in the row's statistics (native/common/logits_rules.h).
#ifndef SYLVESTER_NATIVE_CPU_LOGITS_CHUNK_H_
#define SYLVESTER_NATIVE_CPU_LOGITS_CHUNK_H_

#include <sylvester/logits.h>

#include <cstdint>

#include "native/common/logits_rules.h"

namespace sylvester {

// A checked call of syl_logits_stats_of.
struct LogitsJob {
  LogitsJob(const syl_logits_options& options, const void* logits, const void* unconditional, int64_t stride,
            int64_t cols);

  int64_t RowOf(int64_t result) const { return list == nullptr ? result : list[result]; }
  uint64_t StreamOf(int64_t result) const {
    return streams == nullptr ? static_cast<uint64_t>(RowOf(result)) : streams[result];
  }
  bool Draws() const { return options.draw_temperature > 0; }
  int64_t Chunks() const { return (cols + kLogitsChunk - 1) / kLogitsChunk; }

  syl_logits_options options;
  const void *logits, *unconditional;
  int64_t stride, cols;
  const int32_t* list = nullptr;
  const uint64_t* streams = nullptr;
  int64_t count = 0;
  float factor;  // of guidance
  float inv_temperature, inv_draw_temperature;
};

struct ChunkPart {
  LogitsBest best;
  LogitsSums sums;
};

// Without tokens that are banned or ignored.
ChunkPart PartOfChunk(const LogitsJob& job, int64_t result, int64_t chunk);

// The token of a chunk that has won the draw.
int32_t DrawFromChunk(const LogitsJob& job, int64_t result, int64_t chunk);

// z of one token.
float LogitOf(const LogitsJob& job, int64_t result, int64_t token);

}  // namespace sylvester

#endif
