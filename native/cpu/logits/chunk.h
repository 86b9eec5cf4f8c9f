// One chunk of a row: its logits as floats, and its part in the row's statistics (native/common/logits_rules.h).
#ifndef SYLVESTER_NATIVE_CPU_LOGITS_CHUNK_H_
#define SYLVESTER_NATIVE_CPU_LOGITS_CHUNK_H_

#include <cstdint>

#include "native/common/logits_job.h"

namespace sylvester {

// Without tokens that are banned or ignored.
LogitsPart PartOfChunk(const LogitsJob& job, int64_t result, int64_t chunk);

// The token of a chunk that has won the draw.
int32_t DrawFromChunk(const LogitsJob& job, int64_t result, int64_t chunk);

// z of one token.
float LogitOf(const LogitsJob& job, int64_t result, int64_t token);

}  // namespace sylvester

#endif
