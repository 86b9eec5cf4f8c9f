#include <sylvester/logits.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/cpu/logits/chunk.h"

namespace sylvester {

LogitsJob::LogitsJob(const syl_logits_options& options_, const void* logits_, const void* unconditional_,
                     int64_t stride_, int64_t cols_)
    : options(options_),
      logits(logits_),
      unconditional(unconditional_),
      stride(stride_),
      cols(cols_),
      factor(options_.guidance + 1),
      inv_temperature(std::min(1 / options_.temperature, std::numeric_limits<float>::max())),
      inv_draw_temperature(std::min(1 / options_.draw_temperature, std::numeric_limits<float>::max())) {}

namespace {

constexpr int64_t kChunksAtOnce = 256;

bool Has(const int32_t* ids, int64_t count, int32_t id) { return std::binary_search(ids, ids + count, id); }

// Tokens that their chunks have left out, and what follows from all. A drawn token is a token yet, or ~chunk.
syl_logits_stats FinishRow(const LogitsJob& job, int64_t result, const ChunkPart& chunks) {
  const syl_logits_options& options = job.options;
  LogitsBest best = chunks.best;
  LogitsSums sums = chunks.sums;
  for (int64_t i = 0; i < options.banned_count; ++i) {
    const int32_t id = options.banned[i];
    if (Has(options.ignored, options.ignored_count, id)) continue;
    const float z = LogitOf(job, result, id);
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
    const float z = LogitOf(job, result, id);
    if (Has(options.banned, options.banned_count, id) || z != z) continue;
    LogitsBest own;
    own.max = z;
    own.argmax = own.racer = id;
    if (job.Draws()) {
      own.race = z * job.inv_draw_temperature +
                 LogitsNoiseOf(options.seed, options.step, job.StreamOf(result), 0x80000000 | static_cast<uint32_t>(id))
                     .gumbel;
    }
    best.Add(own);
  }
  double tail = sums.Without(best.argmax, best.max * job.inv_temperature);
  if (Has(options.ignored, options.ignored_count, best.argmax)) tail = std::numeric_limits<double>::infinity();
  // The largest quotient with the draw's temperature is too large.
  if (job.Draws() && !std::isfinite(best.race)) tail = std::numeric_limits<double>::quiet_NaN();
  syl_logits_stats stats = LogitsFinish(best, sums, tail, job.inv_temperature);
  if (job.Draws()) stats.token = best.racer;
  return stats;
}

// The row is one that probabilities can be taken from.
bool IsSound(const syl_logits_stats& stats) { return !std::isnan(stats.tail); }

void FinishDraw(const LogitsJob& job, int64_t result, syl_logits_stats* stats) {
  if (!IsSound(*stats)) {
    stats->token = -1;
    return;
  }
  if (stats->token < 0) stats->token = DrawFromChunk(job, result, ~static_cast<int64_t>(stats->token));
  const bool ignored = Has(job.options.ignored, job.options.ignored_count, stats->token);
  stats->probability =
      ignored ? 0 : LogitsProbability(*stats, stats->token, LogitOf(job, result, stats->token) * job.inv_temperature);
}

void Compute(const LogitsJob& job, syl_logits_stats* stats, syl_pool* pool) {
  const int64_t row_chunks = job.Chunks(), chunks = job.count * row_chunks;
  ChunkPart row;
  for (int64_t begin = 0; begin < chunks; begin += kChunksAtOnce) {
    const int64_t count = std::min(kChunksAtOnce, chunks - begin);
    ChunkPart parts[kChunksAtOnce];
    ParallelFor(pool, count, [&](int64_t task, int32_t) {
      parts[task] = PartOfChunk(job, (begin + task) / row_chunks, (begin + task) % row_chunks);
    });
    for (int64_t task = 0; task < count; ++task) {
      const int64_t result = (begin + task) / row_chunks, chunk = (begin + task) % row_chunks;
      if (chunk == 0) row = ChunkPart();
      row.best.Add(parts[task].best);
      row.sums.Add(parts[task].sums);
      if (chunk == row_chunks - 1) stats[result] = FinishRow(job, result, row);
    }
  }
  if (job.Draws()) {
    ParallelFor(pool, job.count, [&](int64_t result, int32_t) { FinishDraw(job, result, stats + result); });
  }
}

// Extent in elements; -1 where stride, rows or cols do not go together.
int64_t ExtentOf(int64_t rows, int64_t cols, int64_t stride) {
  const int64_t extent = Extent(rows, cols, stride);
  return stride >= cols && extent <= INT64_MAX / 128 ? extent : -1;
}

constexpr const char* kFunction = "syl_logits_stats_of";

syl_status CheckIds(const char* name, const int32_t* ids, int64_t count, int64_t cols) {
  if (count < 0 || count > cols) {
    return Fail(SYL_BAD_VALUE, "%s: options->%s_count is %lld, must be 0..cols", kFunction, name,
                static_cast<long long>(count));
  }
  if (ids == nullptr && count > 0) return Fail(SYL_NULL_ARGUMENT, "%s: options->%s is NULL", kFunction, name);
  for (int64_t i = 0; i < count; ++i) {
    if (ids[i] < 0 || ids[i] >= cols || (i > 0 && ids[i] <= ids[i - 1])) {
      return Fail(SYL_BAD_VALUE, "%s: options->%s[%lld] is %d, must be 0..cols-1 and above the one before", kFunction,
                  name, static_cast<long long>(i), ids[i]);
    }
  }
  return SYL_OK;
}

syl_status CheckOptions(const syl_logits_options& options, int64_t cols) {
  const auto bad = [](const char* field, float value, const char* range) {
    return Fail(SYL_BAD_VALUE, "%s: options->%s is %g, must be %s", kFunction, field, value, range);
  };
  if (options.type != SYL_F32 && options.type != SYL_F16 && options.type != SYL_BF16) {
    return Fail(SYL_BAD_VALUE, "%s: options->type is %d, must be F32, F16 or BF16", kFunction, options.type);
  }
  if (!std::isfinite(options.guidance)) return bad("guidance", options.guidance, "finite");
  if (!(options.temperature > 0 && std::isfinite(options.temperature))) {
    return bad("temperature", options.temperature, "above 0");
  }
  if (!(options.draw_temperature >= 0 && std::isfinite(options.draw_temperature))) {
    return bad("draw_temperature", options.draw_temperature, "0 or more");
  }
  if (options.step > INT32_MAX) {
    return Fail(SYL_BAD_VALUE, "%s: options->step is %u, must be below 2^31", kFunction, options.step);
  }
  const syl_status status = CheckIds("banned", options.banned, options.banned_count, cols);
  return status != SYL_OK ? status : CheckIds("ignored", options.ignored, options.ignored_count, cols);
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
  const int64_t extent = ExtentOf(rows, cols, stride);
  SYL_REQUIRE(extent >= 0, SYL_BAD_SHAPE, "stride is %lld, must be at least cols %lld and fit %lld rows",
              static_cast<long long>(stride), static_cast<long long>(cols), static_cast<long long>(rows));
  SYL_REQUIRE(!Overlaps(logits, extent * 4, stats, rows * static_cast<int64_t>(sizeof(*stats))), SYL_OVERLAP,
              "stats overlaps logits (%lld rows)", static_cast<long long>(rows));
  syl_logits_options options = {};
  options.temperature = 1;
  LogitsJob job(options, logits, nullptr, stride, cols);
  job.count = rows;
  Compute(job, stats, pool);
  return SYL_OK;
}

syl_status syl_logits_stats_of(const syl_logits_options* options, const void* logits, const void* unconditional,
                               int64_t stride, int64_t rows, int64_t cols, const int32_t* list, const uint64_t* streams,
                               int64_t count, syl_logits_stats* stats, syl_pool* pool) {
  SYL_REQUIRE_STRUCT(options);
  SYL_REQUIRE_PTR(logits);
  SYL_REQUIRE_PTR(stats);
  SYL_REQUIRE_RANGE(cols, 1, INT32_MAX);
  if (const syl_status bad = CheckOptions(*options, cols)) return bad;
  SYL_REQUIRE_RANGE(rows, 0, INT32_MAX);
  const int64_t extent = ExtentOf(rows, cols, stride);
  SYL_REQUIRE(extent >= 0, SYL_BAD_SHAPE, "stride is %lld, must be at least cols %lld and fit %lld rows",
              static_cast<long long>(stride), static_cast<long long>(cols), static_cast<long long>(rows));
  SYL_REQUIRE_RANGE(count, 0, INT32_MAX);
  SYL_REQUIRE(list != nullptr || count == rows, SYL_BAD_VALUE, "count is %lld, must be rows, %lld, without a list",
              static_cast<long long>(count), static_cast<long long>(rows));
  for (int64_t i = 0; list != nullptr && i < count; ++i) {
    SYL_REQUIRE(list[i] >= 0 && list[i] < rows, SYL_BAD_VALUE, "list[%lld] is %d, must be 0..%lld",
                static_cast<long long>(i), list[i], static_cast<long long>(rows - 1));
  }
  const int64_t bytes = extent * (options->type == SYL_F32 ? 4 : 2);
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
    SYL_REQUIRE(IsSound(stats[i]), SYL_BAD_DATA, "row %lld, result %lld: %s (largest %g)",
                static_cast<long long>(job.RowOf(i)), static_cast<long long>(i),
                std::isnan(stats[i].log_sum_exp) ? "a logit is NaN" : "largest logit or quotient not finite",
                stats[i].max);
  }
  return SYL_OK;
}
