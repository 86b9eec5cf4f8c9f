#include "native/cpu/kv/append.h"

#include <algorithm>
#include <new>

#include "native/common/align.h"
#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/cpu/kv/finite.h"
#include "native/cpu/nn/rows.h"

namespace sylvester {
namespace {

// Fewer rows are done before another thread wakes.
constexpr int64_t kRowsForThreads = 16;

// The workspace has the parts, then the memory of each worker.
struct Part {
  KvAppend append;
  int64_t end_task;  // of this and all parts before it
};

int64_t PartBytes(const syl_kv_batch& batch) { return Aligned(batch.sequences * static_cast<int64_t>(sizeof(Part))); }

int64_t WorkspaceBytes(const syl_kv_batch& batch, int32_t threads) {
  return kAlignment + PartBytes(batch) + threads * KvAppendScratch::Bytes(*batch.sequence[0]->cache);
}

// Sinks among `rows` new tokens from `first` on; mask: a byte for each of them, or NULL.
template <typename Found>
void ForEachSink(const KvPlan& plan, int64_t first, int64_t rows, const uint8_t* mask, Found&& found) {
  const int64_t masked = mask == nullptr ? std::min<int64_t>(rows, plan.options.first_tokens - first) : rows;
  for (int64_t r = 0; r < masked; ++r) {
    if (first + r < plan.options.first_tokens || mask[r] != 0) found(first + r);
  }
}

syl_status CheckSinks(const char* function, const syl_kv_sequence& sequence, int32_t layer, int64_t rows,
                      const uint8_t* mask) {
  const syl_kv_options& options = sequence.Plan().options;
  int64_t told = 0;  // besides the first tokens
  for (const int64_t sink : sequence.halves[static_cast<size_t>(layer)].sink_tokens) {
    told += sink >= options.first_tokens;
  }
  ForEachSink(sequence.Plan(), sequence.lengths[static_cast<size_t>(layer)], rows, mask,
              [&](int64_t token) { told += token >= options.first_tokens; });
  if (told > options.max_sinks) {
    return Fail(SYL_BAD_VALUE, "%s: sinks makes %lld sinks of layer %d, must be at most max_sinks %d", function,
                static_cast<long long>(told), layer, options.max_sinks);
  }
  return SYL_OK;
}

}  // namespace

int64_t KvAppendScratch::Bytes(const syl_kv_cache& cache) {
  const int64_t channels = cache.plan->Channels();
  const int64_t rotation =
      std::max(syl_hadamard_workspace(cache.rotate_keys, 1), syl_hadamard_workspace(cache.rotate_values, 1));
  const int64_t bytes_of_channel = 4 + kKvTile * 2 + kKvTile * 2 + 2 + 1 + 1;
  return Aligned(channels * bytes_of_channel) + Aligned(rotation);
}

KvAppendScratch::KvAppendScratch(const syl_kv_cache& cache, uint8_t* memory) {
  const int64_t channels = cache.plan->Channels();
  uint8_t* next = memory;
  const auto take = [&](int64_t bytes) {
    uint8_t* taken = next;
    next += bytes;
    return taken;
  };
  row = reinterpret_cast<float*>(take(channels * 4));
  key_halves = reinterpret_cast<uint16_t*>(take(kKvTile * channels * 2));
  value_halves = reinterpret_cast<uint16_t*>(take(kKvTile * channels * 2));
  sorted = reinterpret_cast<uint16_t*>(take(channels * 2));
  codes = take(channels);
  sorted_codes = take(channels);
  rotation_bytes = memory + Bytes(cache) - (memory + Aligned(next - memory));
  rotation = memory + Aligned(next - memory);
}

}  // namespace sylvester

using namespace sylvester;

syl_status syl_kv_append_workspace(const syl_kv_batch* batch, int32_t threads, int64_t* bytes) {
  int64_t rows;
  const syl_status status = CheckBatch(__func__, batch, 0, &rows);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_RANGE(threads, 1, 256);
  SYL_REQUIRE_PTR(bytes);
  *bytes = WorkspaceBytes(*batch, threads);
  return SYL_OK;
}

syl_status syl_kv_append_f32(const syl_kv_batch* batch, int32_t layer, const float* k, int64_t k_stride, const float* v,
                             int64_t v_stride, const uint8_t* sinks, void* workspace, int64_t workspace_bytes,
                             syl_pool* pool) {
  int64_t rows;
  syl_status status = CheckBatch(__func__, batch, layer, &rows);
  if (status != SYL_OK) return status;
  const syl_kv_cache& cache = *batch->sequence[0]->cache;
  const KvPlan& plan = *cache.plan;
  const int64_t cols = plan.Channels();
  const Rows inputs[] = {{"k", k, k_stride}, {"v", v, v_stride}};
  for (const Rows& input : inputs) {
    status = CheckRows(__func__, input, rows, cols);
    if (status != SYL_OK) return status;
  }
  int64_t row = 0;
  for (int32_t i = 0; i < batch->sequences; row += batch->rows[i++]) {
    status = CheckSinks(__func__, *batch->sequence[i], layer, batch->rows[i], sinks == nullptr ? nullptr : sinks + row);
    if (status != SYL_OK) return status;
  }
  if (rows == 0) return SYL_OK;
  const int64_t needed = WorkspaceBytes(*batch, Threads(pool));
  SYL_REQUIRE_PTR(workspace);
  SYL_REQUIRE(workspace_bytes >= needed, SYL_WORKSPACE, "workspace_bytes is %lld, must be at least %lld",
              static_cast<long long>(workspace_bytes), static_cast<long long>(needed));
  for (const Rows& input : inputs) {
    SYL_REQUIRE(!Overlaps(workspace, needed, input.data, Extent(rows, cols, input.stride) * 4), SYL_OVERLAP,
                "workspace overlaps %s", input.name);
  }
  SYL_REQUIRE(sinks == nullptr || !Overlaps(workspace, needed, sinks, rows), SYL_OVERLAP,
              "workspace overlaps sinks (%lld rows)", static_cast<long long>(rows));
  pool = rows < kRowsForThreads ? nullptr : pool;
  bool tame[2];
  for (int i = 0; i < 2; ++i) {
    const Rows& input = inputs[i];
    float largest;
    status = CheckFinite(__func__, input.name, input.data, input.stride, rows, cols, pool, &largest);
    if (status != SYL_OK) return status;
    tame[i] = largest <= cache.quantizers[static_cast<size_t>(layer) * 2 + i].tame;
  }
  status = ReserveTiles(__func__, *batch, layer);
  if (status != SYL_OK) return status;

  // From here on nothing fails.
  uint8_t* memory = Aligned(workspace);
  auto* parts = reinterpret_cast<Part*>(memory);
  memory += PartBytes(*batch);
  row = 0;
  int64_t tasks = 0;
  for (int32_t i = 0; i < batch->sequences; row += batch->rows[i++]) {
    syl_kv_sequence* sequence = batch->sequence[i];
    const int64_t begin = sequence->lengths[static_cast<size_t>(layer)];
    ForEachSink(plan, begin, batch->rows[i], sinks == nullptr ? nullptr : sinks + row, [&](int64_t token) {
      sequence->halves[static_cast<size_t>(layer)].sink_tokens.push_back(token);  // it has the capacity
    });
    const KvAppend append{sequence, layer, k + row * k_stride,    k_stride, v + row * v_stride, v_stride, tame[0],
                          tame[1],  begin, begin + batch->rows[i]};
    tasks += append.EndTile() - append.FirstTile();
    new (parts + i) Part{append, tasks};
  }
  const int64_t scratch_bytes = KvAppendScratch::Bytes(cache);
  ParallelFor(pool, tasks, [&](int64_t task, int32_t worker) {
    const Part& part = *std::upper_bound(parts, parts + batch->sequences, task,
                                         [](int64_t t, const Part& p) { return t < p.end_task; });
    AppendTile(part.append, part.append.EndTile() - (part.end_task - task),
               KvAppendScratch(cache, memory + worker * scratch_bytes));
  });
  for (int32_t i = 0; i < batch->sequences; ++i) batch->sequence[i]->Advance(layer, batch->rows[i]);
  return SYL_OK;
}
