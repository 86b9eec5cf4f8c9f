#include <sylvester/logits.h>

#include <algorithm>

#include "native/common/logits_check.h"
#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/cpu/logits/chunk.h"
#include "native/cpu/logits/cut.h"

namespace sylvester {

namespace {

constexpr int64_t kChunksAtOnce = 256;

struct TokenLogit {
  const LogitsJob& job;
  int64_t result;

  float operator()(int64_t token) const { return LogitOf(job, ChunkOf(job, result, token / kLogitsChunk), token); }
};

void FinishDraw(const LogitsJob& job, int64_t result, syl_logits_stats* stats) {
  if (!LogitsIsSound(*stats)) {
    stats->token = -1;
    return;
  }
  const int32_t token = stats->token;
  LogitsSetToken(job,
                 token < 0 ? DrawFromChunk(job, result, ChunkOf(job, result, ~static_cast<int64_t>(token))) : token,
                 TokenLogit{job, result}, stats);
}

syl_logits_stats StatsOfRow(const LogitsJob& job, int64_t result) {
  LogitsPart row;
  for (int64_t chunk = 0; chunk < job.Chunks(); ++chunk) {
    const LogitsPart part = PartOfChunk(job, result, ChunkOf(job, result, chunk));
    row.best.Add(part.best);
    row.sums.Add(part.sums);
  }
  syl_logits_stats stats = LogitsFinishRow(job, result, row, TokenLogit{job, result});
  if (job.Draws()) FinishDraw(job, result, &stats);
  return stats;
}

// Of the tokens that filters leave, with max and second of all.
syl_logits_stats StatsOfFilteredRow(const LogitsJob& job, int64_t result) {
  const syl_logits_stats all = StatsOfRow(job, result);
  if (!LogitsIsSound(all)) return all;
  LogitsJob kept = job;
  kept.cut = CutOfRow(job, result);
  syl_logits_stats stats = StatsOfRow(kept, result);
  stats.second = all.second;
  return stats;
}

void Compute(const LogitsJob& job, syl_logits_stats* stats, syl_pool* pool) {
  if (job.HasTopK() || job.HasTopP()) {
    ParallelFor(pool, job.count, [&](int64_t result, int32_t) { stats[result] = StatsOfFilteredRow(job, result); });
    return;
  }
  const int64_t row_chunks = job.Chunks(), chunks = job.count * row_chunks;
  LogitsPart row;
  for (int64_t begin = 0; begin < chunks; begin += kChunksAtOnce) {
    const int64_t count = std::min(kChunksAtOnce, chunks - begin);
    LogitsPart parts[kChunksAtOnce];
    ParallelFor(pool, count, [&](int64_t task, int32_t) {
      const int64_t result = (begin + task) / row_chunks;
      parts[task] = PartOfChunk(job, result, ChunkOf(job, result, (begin + task) % row_chunks));
    });
    for (int64_t task = 0; task < count; ++task) {
      const int64_t result = (begin + task) / row_chunks, chunk = (begin + task) % row_chunks;
      if (chunk == 0) row = LogitsPart();
      row.best.Add(parts[task].best);
      row.sums.Add(parts[task].sums);
      if (chunk == row_chunks - 1) {
        stats[result] = LogitsFinishRow(job, result, row, TokenLogit{job, result});
      }
    }
  }
  if (job.Draws()) {
    ParallelFor(pool, job.count, [&](int64_t result, int32_t) { FinishDraw(job, result, stats + result); });
  }
}

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_logits_stats_f32(const float* logits, int64_t stride, int64_t rows, int64_t cols,
                                syl_logits_stats* stats, syl_pool* pool) {
  SYL_REQUIRE_PTR(logits);
  SYL_REQUIRE_PTR(stats);
  SYL_REQUIRE_RANGE(cols, 1, INT32_MAX);
  SYL_REQUIRE_RANGE(rows, 0, INT64_MAX);
  if (const syl_status bad = CheckLogitsStride(__func__, rows, cols, stride)) return bad;
  SYL_REQUIRE(!Overlaps(logits, Extent(rows, cols, stride) * 4, stats, rows * static_cast<int64_t>(sizeof(*stats))),
              SYL_OVERLAP, "stats overlaps logits (%lld rows)", static_cast<long long>(rows));
  syl_logits_options options = {};
  options.temperature = options.top_p = 1;
  LogitsJob job(options, logits, nullptr, stride, cols);
  job.count = rows;
  Compute(job, stats, pool);
  return SYL_OK;
}

syl_status syl_logits_stats_of(const syl_logits_options* options, const void* logits, const void* unconditional,
                               int64_t stride, int64_t rows, int64_t cols, const int32_t* list, const uint64_t* streams,
                               int64_t count, syl_logits_stats* stats, syl_pool* pool) {
  if (const syl_status bad = CheckLogitsCall(__func__, options, logits, stride, rows, cols, list, count, stats)) {
    return bad;
  }
  for (int64_t i = 0; list != nullptr && i < count; ++i) {
    if (const syl_status bad = CheckLogitsRow(__func__, i, list[i], rows)) return bad;
  }
  const int64_t bytes = Extent(rows, cols, stride) * (options->type == SYL_F32 ? 4 : 2);
  const auto is_apart = [&](const void* input, int64_t input_bytes) {
    return input == nullptr || !Overlaps(stats, count * static_cast<int64_t>(sizeof(*stats)), input, input_bytes);
  };
  SYL_REQUIRE(is_apart(logits, bytes) && is_apart(unconditional, bytes) && is_apart(list, count * 4) &&
                  is_apart(streams, count * 8) && is_apart(options, sizeof(*options)) &&
                  is_apart(options->banned, options->banned_count * 4) &&
                  is_apart(options->ignored, options->ignored_count * 4),
              SYL_OVERLAP, "stats (%lld results) overlaps an input", static_cast<long long>(count));

  LogitsJob job(*options, logits, unconditional, stride, cols);
  job.list = list;
  job.streams = streams;
  job.count = count;
  Compute(job, stats, pool);
  for (int64_t i = 0; i < count; ++i) {
    if (const syl_status bad = CheckLogitsResult(__func__, job.RowOf(i), i, stats[i])) return bad;
  }
  return SYL_OK;
}
