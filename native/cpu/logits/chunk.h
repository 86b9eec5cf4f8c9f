// One chunk of a row: its logits as floats, and its part in the row's statistics (native/common/logits_rules.h).
#ifndef SYLVESTER_NATIVE_CPU_LOGITS_CHUNK_H_
#define SYLVESTER_NATIVE_CPU_LOGITS_CHUNK_H_

#include <algorithm>
#include <cstdint>

#include "native/common/logits_job.h"

namespace sylvester {

// Where the logits of a row's chunk lie, elements of the job's type. What lies a chunk's length behind them is fetched
// meanwhile.
struct ChunkLogits {
  int64_t index;  // of the chunk in its row
  const void* logits;
  const void* unconditional;  // nullptr: no guidance

  int64_t First() const { return index * kLogitsChunk; }
  int64_t Cols(const LogitsJob& job) const { return std::min(kLogitsChunk, job.cols - First()); }
};

ChunkLogits ChunkOf(const LogitsJob& job, int64_t result, int64_t index);

// Without tokens that are banned or ignored.
LogitsPart PartOfChunk(const LogitsJob& job, int64_t result, const ChunkLogits& chunk);

// The token of a chunk that has won the draw.
int32_t DrawFromChunk(const LogitsJob& job, int64_t result, const ChunkLogits& chunk);

// z of one token of the chunk.
float LogitOf(const LogitsJob& job, const ChunkLogits& chunk, int64_t token);

}  // namespace sylvester

#endif
