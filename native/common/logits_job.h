// A checked call of syl_logits_stats_of, and what follows for a row from the parts of its chunks; the same on every
// device.
#ifndef SYLVESTER_NATIVE_COMMON_LOGITS_JOB_H_
#define SYLVESTER_NATIVE_COMMON_LOGITS_JOB_H_

#include <sylvester/logits.h>

#include <cstdint>

#include "native/common/host_device.h"
#include "native/common/logits_rules.h"

namespace sylvester {

// In a row.
SYL_HOST_DEVICE constexpr int64_t LogitsChunks(int64_t cols) { return (cols + kLogitsChunk - 1) / kLogitsChunk; }

struct LogitsJob {
  LogitsJob(const syl_logits_options& options, const void* logits, const void* unconditional, int64_t stride,
            int64_t cols);

  SYL_HOST_DEVICE int64_t RowOf(int64_t result) const { return list == nullptr ? result : list[result]; }
  SYL_HOST_DEVICE uint64_t StreamOf(int64_t result) const {
    return streams == nullptr ? static_cast<uint64_t>(RowOf(result)) : streams[result];
  }
  SYL_HOST_DEVICE bool Draws() const { return options.draw_temperature > 0; }
  SYL_HOST_DEVICE bool HasTopK() const { return options.top_k > 0 && options.top_k < cols; }
  SYL_HOST_DEVICE bool HasTopP() const { return options.top_p < 1; }
  SYL_HOST_DEVICE int64_t Chunks() const { return LogitsChunks(cols); }
  SYL_HOST_DEVICE LogitsNoise NoiseOf(int64_t result, uint32_t index) const {
    return LogitsNoiseOf(options.seed, options.step, StreamOf(result), index);
  }

  syl_logits_options options;
  const void *logits, *unconditional;
  int64_t stride, cols;
  const int32_t* list = nullptr;
  const uint64_t* streams = nullptr;
  int64_t count = 0;
  float factor;  // of guidance
  float inv_temperature, inv_draw_temperature;
  float cut = -__builtin_inff();  // tokens with a smaller z do not exist
};

struct LogitsPart {
  LogitsBest best;
  LogitsSums sums;
};

SYL_HOST_DEVICE inline bool LogitsHas(const int32_t* ids, int64_t count, int64_t id) {
  for (int64_t low = 0; low < count;) {
    const int64_t middle = low + (count - low) / 2;
    if (ids[middle] == id) return true;
    if (ids[middle] < id) {
      low = middle + 1;
    } else {
      count = middle;
    }
  }
  return false;
}

// Adds tokens that their chunks have left out. z(id): of a token. A drawn token is a token yet, or ~chunk.
template <typename Z>
SYL_HOST_DEVICE syl_logits_stats LogitsFinishRow(const LogitsJob& job, int64_t result, const LogitsPart& chunks,
                                                 const Z& z_of) {
  const syl_logits_options& options = job.options;
  LogitsBest best = chunks.best;
  LogitsSums sums = chunks.sums;
  for (int64_t i = 0; i < options.banned_count; ++i) {
    const int32_t id = options.banned[i];
    if (LogitsHas(options.ignored, options.ignored_count, id)) continue;
    const float z = z_of(id);
    LogitsSums own;
    if (z == z) {
      own.w = z * job.inv_temperature;
      own.argmax = id;
    } else {
      own.sum = z;
    }
    sums.Add(own);
  }
  for (int64_t i = 0; i < options.ignored_count; ++i) {
    const int32_t id = options.ignored[i];
    const float z = z_of(id);
    if (LogitsHas(options.banned, options.banned_count, id) || z != z) continue;
    LogitsBest own;
    own.max = z;
    own.argmax = own.racer = id;
    if (job.Draws()) {
      own.race = z * job.inv_draw_temperature + job.NoiseOf(result, 0x80000000 | static_cast<uint32_t>(id)).gumbel;
    }
    best.Add(own);
  }
  double tail = sums.Without(best.argmax, best.max * job.inv_temperature);
  if (LogitsHas(options.ignored, options.ignored_count, best.argmax)) tail = __builtin_inf();
  // The largest quotient with the draw's temperature is too large.
  const bool raced = best.race - best.race == 0;
  if (job.Draws() && !raced) tail = __builtin_nan("");
  syl_logits_stats stats = LogitsFinish(best, sums, tail, job.inv_temperature);
  if (job.Draws()) stats.token = best.racer;
  return stats;
}

// The row is one that probabilities can be taken from.
SYL_HOST_DEVICE inline bool LogitsIsSound(const syl_logits_stats& stats) { return stats.tail == stats.tail; }

// Of the token that has been drawn.
template <typename Z>
SYL_HOST_DEVICE void LogitsSetToken(const LogitsJob& job, int32_t token, const Z& z_of, syl_logits_stats* stats) {
  stats->token = token;
  const bool ignored = LogitsHas(job.options.ignored, job.options.ignored_count, token);
  stats->probability = ignored ? 0 : LogitsProbability(*stats, token, z_of(token) * job.inv_temperature);
}

}  // namespace sylvester

#endif
