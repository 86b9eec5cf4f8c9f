// Softmax statistics of a row, for the library's own use.
#ifndef SYLVESTER_NATIVE_CPU_LOGITS_STATS_H_
#define SYLVESTER_NATIVE_CPU_LOGITS_STATS_H_

#include <sylvester/logits.h>

namespace sylvester {

// Columns whose exponentials are added in float before they join the row's sum.
constexpr int64_t kStatsChunk = 4096;

// What a chunk adds to a row: position of the first maximum (-1 where every logit is NaN), sum of exp(logit - max).
struct ChunkStats {
  int64_t argmax;
  float max;
  float sum;
};

// No checks; cols >= 1.
syl_logits_stats StatsOfRow(const float* logits, int64_t cols);

}  // namespace sylvester

#endif
