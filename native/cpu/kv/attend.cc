#include "native/cpu/kv/attend.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>

#include "native/common/align.h"
#include "native/common/check.h"
#include "native/common/pool.h"
#include "native/cpu/kv/finite.h"
#include "native/cpu/nn/rows.h"

namespace sylvester {
namespace {

// Hands out aligned parts of a workspace; without one it only counts.
class Carver {
 public:
  explicit Carver(void* workspace) {
    if (workspace != nullptr) base_ = Aligned(workspace);
  }
  template <typename T>
  T* Take(int64_t count) {
    T* part = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + used_);
    used_ += Aligned(count * static_cast<int64_t>(sizeof(T)));
    return part;
  }
  int64_t Bytes() const { return used_ + kAlignment; }

 private:
  uint8_t* base_ = nullptr;
  int64_t used_ = 0;
};

using Counter = std::atomic<int32_t>;

// Blocks that some row sees, and results of blocks, one for each head and pair.
int64_t BlocksOf(const AttentionCall& view) {
  const Range blocks = view.VisibleBlocks({0, view.Pairs()});
  return blocks.end - blocks.begin;
}
int64_t SlotsOf(const AttentionCall& view) { return view.shape.kv_heads * view.Pairs() * BlocksOf(view); }

// A call for each sequence with rows. Strips are tiles of pairs of a unit.
struct Job {
  const syl_kv_batch& batch;
  const syl_kv_cache& cache;
  int32_t layer;
  const int64_t* unpacked;  // [sequences] of bidirectional attention; NULL: causal
  int64_t heads;            // of a unit
  int64_t units;
  int64_t calls = 0, rows = 0, strips = 0;
  int64_t slots = 0;  // results of blocks, of all heads and pairs
  bool split = false;

  Job(const syl_kv_batch& b, int32_t l, const int64_t* u)
      : batch(b),
        cache(*b.sequence[0]->cache),
        layer(l),
        unpacked(u),
        heads(UnitHeads(*cache.plan)),
        units(cache.plan->geometry.kv_heads / heads) {
    for (int32_t i = 0; i < batch.sequences; ++i) {
      if (batch.rows[i] == 0) continue;
      const AttentionCall view = View(i);
      ++calls;
      rows += batch.rows[i];
      strips += view.Tiles() * units;
      slots += SlotsOf(view);
      split |= BlocksOf(view) > 1;
    }
    if (strips >= kEnoughTiles) split = false;
  }

  AttentionCall View(int32_t i) const {
    const syl_kv_geometry& g = cache.plan->geometry;
    AttentionCall view = {};
    view.shape = {sizeof(view.shape),  SYL_F16, g.q_heads, g.kv_heads, g.head_dim, 0, cache.plan->layers[layer].window,
                  unpacked == nullptr, g.scale, g.soft_cap};
    view.rows = batch.rows[i];
    view.tokens = batch.sequence[i]->lengths[layer];
    view.first = view.tokens - view.rows;
    return view;
  }
  // Without a window all tokens are packed.
  int64_t PackedTiles(int32_t i) const {
    return unpacked == nullptr ? 0 : cache.plan->PackedTiles(batch.sequence[i]->lengths[layer] - unpacked[i]);
  }
};

struct Parts {
  KvCall* calls;
  int64_t* first_strips;  // [calls + 1]
  int64_t* first_rows;    // [calls + 1]
  int64_t* first_slots;   // [calls]
  KvQueries queries;
  Counter* runs_left;  // [strips]
  float* results;      // [slots][ResultFloats]
  KvScratch scratch;   // of thread 0; the others' follow
  int64_t scratch_floats;
  int64_t rotation_bytes;
  uint8_t* rotation;  // [threads][rotation_bytes]
};

// The workspace's parts, and how many bytes they take.
int64_t Carve(const Job& job, int32_t threads, void* workspace, Parts* parts) {
  const KvPlan& plan = *job.cache.plan;
  const syl_kv_geometry& g = plan.geometry;
  const int64_t queries = job.rows * g.q_heads;
  Carver carver(workspace);
  parts->calls = carver.Take<KvCall>(job.calls);
  parts->first_strips = carver.Take<int64_t>(job.calls + 1);
  parts->first_rows = carver.Take<int64_t>(job.calls + 1);
  parts->first_slots = carver.Take<int64_t>(job.calls);
  parts->queries.floats = carver.Take<float>(queries * g.head_dim);
  if (!plan.PreRope()) {
    const KvSide& keys = plan.layers[job.layer].keys;
    parts->queries.integers = carver.Take<int8_t>(queries * QueryDigits(keys.bits) * g.head_dim);
    parts->queries.factors = carver.Take<float>(queries);
    parts->queries.group_sums = carver.Take<float>(queries * (keys.groups / g.kv_heads));
    if (g.soft_cap > 0 && !plan.layers[job.layer].center_keys.empty()) {
      parts->queries.offsets = carver.Take<float>(queries);
    }
  }
  if (job.split) {
    parts->runs_left = carver.Take<Counter>(job.strips);
    parts->results = carver.Take<float>(job.slots * ResultFloats(g.head_dim));
  }
  const int64_t scores = job.heads * kTilePairs * kBlockTokens;
  parts->scratch_floats = scores + (plan.PreRope() ? job.heads * g.head_dim * kKvTile : 0);
  parts->scratch.scores = carver.Take<float>(threads * parts->scratch_floats);
  if (plan.PreRope() && workspace != nullptr) parts->scratch.keys = parts->scratch.scores + scores;
  parts->rotation_bytes = Aligned(
      std::max({syl_hadamard_workspace(job.cache.rotate_keys, 1), syl_hadamard_workspace(job.cache.rotate_values, 1),
                syl_hadamard_workspace(job.cache.unrotate_tiles, 1)}));
  parts->rotation = carver.Take<uint8_t>(threads * parts->rotation_bytes);
  return carver.Bytes();
}

class Attention {
 public:
  Attention(const Job& job, const float* q, int64_t q_stride, float* y, int64_t y_stride, const Parts& parts,
            syl_pool* pool)
      : job_(job), q_(q), q_stride_(q_stride), y_stride_(y_stride), parts_(parts), pool_(pool) {
    const KvPlan& plan = *job.cache.plan;
    const KvLayer& layer = plan.layers[job.layer];
    const syl_kv_geometry& g = plan.geometry;
    int64_t call = 0, row = 0, strip = 0, slot = 0;
    for (int32_t i = 0; i < job.batch.sequences; ++i) {
      if (job.batch.rows[i] == 0) continue;
      KvCall* to = new (parts.calls + call) KvCall;
      to->sequence = job.batch.sequence[i];
      to->layer = job.layer;
      to->view = job.View(i);
      to->view.y = y + row * y_stride;
      to->view.y_stride = y_stride;
      to->packed_tiles = job.PackedTiles(i);
      to->key_grid = plan.Grid(layer.keys.bits);
      to->value_grid = plan.Grid(layer.values.bits);
      const int64_t query = row * g.q_heads;
      to->queries.floats = parts.queries.floats + query * g.head_dim;
      if (!plan.PreRope()) {
        to->queries.integers = parts.queries.integers + query * QueryDigits(layer.keys.bits) * g.head_dim;
        to->queries.factors = parts.queries.factors + query;
        to->queries.group_sums = parts.queries.group_sums + query * (layer.keys.groups / g.kv_heads);
      }
      to->queries.offsets = parts.queries.offsets == nullptr ? nullptr : parts.queries.offsets + query;
      parts.first_strips[call] = strip;
      parts.first_rows[call] = row;
      parts.first_slots[call++] = slot;
      row += to->view.rows;
      strip += to->view.Tiles() * job.units;
      slot += SlotsOf(to->view);
    }
    parts.first_strips[call] = strip;
    parts.first_rows[call] = row;
  }

  void Run() {
    ParallelFor(pool_, job_.rows, [&](int64_t row, int32_t worker) { Prepare(row, worker); });
    if (job_.split) {
      RunBlocks();
    } else {
      // The longest strips of a sequence come last otherwise, and leave a thread alone with one.
      ParallelFor(pool_, job_.strips, [&](int64_t task, int32_t worker) {
        const Strip strip = StripOf(job_.strips - 1 - task);
        KvAttendTile(*strip.call, strip.unit, strip.pairs, Scratch(worker));
      });
    }
    ParallelFor(pool_, job_.rows, [&](int64_t row, int32_t worker) { Complete(row, worker); });
  }

 private:
  struct Strip {
    const KvCall* call;
    int64_t unit;
    Range pairs;
  };

  static int64_t IndexOf(const int64_t* first, int64_t count, int64_t i) {
    return std::upper_bound(first, first + count + 1, i) - first - 1;
  }

  Strip StripOf(int64_t strip) const {
    const int64_t c = IndexOf(parts_.first_strips, job_.calls, strip), i = strip - parts_.first_strips[c];
    const KvCall& call = parts_.calls[c];
    return {&call, i % job_.units, call.view.TilePairs(i / job_.units)};
  }

  KvScratch Scratch(int32_t worker) const {
    KvScratch scratch = parts_.scratch;
    scratch.scores += worker * parts_.scratch_floats;
    if (scratch.keys != nullptr) scratch.keys += worker * parts_.scratch_floats;
    scratch.workspace = parts_.rotation + worker * parts_.rotation_bytes;
    scratch.workspace_bytes = parts_.rotation_bytes;
    return scratch;
  }

  // Scores of the means that packed and kept keys are without.
  static void MakeOffsets(const KvCall& call, const float* q, float* offsets) {
    const syl_attention& shape = call.view.shape;
    for (int64_t h = 0; h < shape.q_heads; ++h) {
      const float* center = call.Layer().center_keys.data() + h / call.view.Group() * shape.head_dim;
      double sum = 0;
      for (int64_t c = 0; c < shape.head_dim; ++c) sum += double{q[h * shape.head_dim + c]} * double{center[c]};
      offsets[h] = static_cast<float>(sum * double{shape.scale});
    }
  }

  static void Unbalance(const KvCall& call, float* q) {
    const std::vector<float>& gains = call.Layer().gain_keys;
    const syl_attention& shape = call.view.shape;
    for (int64_t h = 0; !gains.empty() && h < shape.q_heads; ++h, q += shape.head_dim) {
      const float* of = gains.data() + h / call.view.Group() * shape.head_dim;
      for (int64_t c = 0; c < shape.head_dim; ++c) q[c] /= of[c];
    }
  }

  void Prepare(int64_t row, int32_t worker) const {
    const int64_t c = IndexOf(parts_.first_rows, job_.calls, row);
    const KvCall& call = parts_.calls[c];
    const syl_attention& shape = call.view.shape;
    float* floats = parts_.queries.floats + row * shape.q_heads * shape.head_dim;
    std::memcpy(floats, q_ + row * q_stride_, static_cast<size_t>(shape.q_heads * shape.head_dim) * sizeof(float));
    if (parts_.queries.offsets != nullptr) {
      MakeOffsets(call, floats, parts_.queries.offsets + row * shape.q_heads);
    }
    Unbalance(call, floats);
    if (!call.Plan().PreRope() && job_.cache.rotate_keys != nullptr) {
      const KvScratch scratch = Scratch(worker);
      syl_hadamard_run(job_.cache.rotate_keys, floats, floats, nullptr, nullptr, 0, shape.q_heads, nullptr,
                       scratch.workspace, scratch.workspace_bytes);
    }
    KvPrepareQueries(call, row - parts_.first_rows[c]);
  }

  // Rotates the sums of values back and adds their means.
  void Complete(int64_t row, int32_t worker) const {
    const KvCall& call = parts_.calls[0];
    const syl_attention& shape = call.view.shape;
    float* y = call.view.y + row * y_stride_;
    if (job_.cache.rotate_values != nullptr) {
      const KvScratch scratch = Scratch(worker);
      syl_hadamard_run_transposed(job_.cache.rotate_values, y, y, 0, shape.q_heads, nullptr, scratch.workspace,
                                  scratch.workspace_bytes);
    }
    const std::vector<float>& center = call.Layer().center_values;
    if (center.empty()) return;
    for (int64_t head = 0; head < shape.q_heads; ++head, y += shape.head_dim) {
      const float* of = center.data() + head / call.view.Group() * shape.head_dim;
      for (int64_t i = 0; i < shape.head_dim; ++i) y[i] += of[i];
    }
  }

  // Blocks of keys side by side: each strip is cut into the same number of runs of blocks.
  void RunBlocks() const {
    const int64_t result_floats = ResultFloats(job_.cache.plan->geometry.head_dim);
    int64_t most_blocks = 1;
    for (int64_t c = 0; c < job_.calls; ++c) most_blocks = std::max(most_blocks, BlocksOf(parts_.calls[c].view));
    const int64_t runs = std::clamp(kTasksPerThread * Threads(pool_) / job_.strips, int64_t{1}, most_blocks);
    for (int64_t i = 0; i < job_.strips; ++i) new (parts_.runs_left + i) Counter(static_cast<int32_t>(runs));

    ParallelFor(pool_, job_.strips * runs, [&](int64_t task, int32_t worker) {
      const int64_t strip = task / runs;
      const auto [call, unit, pairs] = StripOf(strip);
      const AttentionCall& view = call->view;
      const Range blocks = view.VisibleBlocks({0, view.Pairs()}), visible = view.VisibleBlocks(pairs);
      const int64_t count = blocks.end - blocks.begin, run = CeilDiv(count, runs);
      const int64_t first_block = blocks.begin + task % runs * run;
      // [head][pair][block], behind those of the sequences before.
      float* results = parts_.results + parts_.first_slots[call - parts_.calls] * result_floats;
      const auto result = [&](int64_t head, int64_t pair, int64_t block) {
        return results + ((head * view.Pairs() + pair) * count + block - blocks.begin) * result_floats;
      };
      const Range mine{std::max(first_block, visible.begin), std::min(first_block + run, visible.end)};
      if (!mine.IsEmpty()) {
        KvAttendBlocks(*call, unit, pairs, mine,
                       {result(unit * job_.heads, pairs.begin, mine.begin), count * result_floats},
                       view.Pairs() * count * result_floats, Scratch(worker));
      }
      // Whoever completes a strip merges its blocks.
      if (parts_.runs_left[strip].fetch_sub(1, std::memory_order_acq_rel) != 1) return;
      for (int64_t head = unit * job_.heads; head < (unit + 1) * job_.heads; ++head) {
        for (int64_t pair = pairs.begin; pair < pairs.end; ++pair) {
          const int64_t first = view.VisibleBlocks({pair, pair + 1}).begin;
          MergeBlocks(view, head, pair, {result(head, pair, first), result_floats});
        }
      }
    });
  }

  const Job& job_;
  const float* q_;
  const int64_t q_stride_, y_stride_;
  const Parts& parts_;
  syl_pool* const pool_;
};

// Everything but the pointers to rows.
syl_status CheckAttend(const char* function, const syl_kv_batch* batch, int32_t layer) {
  int64_t rows;
  CHECK_OK(CheckBatch(function, batch, layer, &rows));
  for (int32_t i = 0; i < batch->sequences; ++i) {
    // The window of older tokens may be gone: copied or loaded, it is that of the last one.
    const int64_t length = batch->sequence[i]->lengths[layer];
    const int64_t most = std::max<int64_t>(length - batch->sequence[i]->Truncatable(layer) + 1, 0);
    CHECK(batch->rows[i] <= most, SYL_BAD_VALUE,
          "batch->rows[%d] is %lld, must be 0..%lld for the sequence's %lld tokens", i,
          static_cast<long long>(batch->rows[i]), static_cast<long long>(most), static_cast<long long>(length));
  }
  return SYL_OK;
}

// The same where rows see all tokens.
syl_status CheckBidirectional(const char* function, const syl_kv_batch* batch, int32_t layer, const int64_t* unpacked) {
  int64_t rows;
  CHECK_OK(CheckBatch(function, batch, layer, &rows, /*limited=*/false));
  CHECK_PTR(unpacked);
  const int64_t window = batch->sequence[0]->Plan().layers[layer].window;
  CHECK(window <= 0, SYL_UNSUPPORTED, "layer is %d, but its sliding window of %lld needs causal attention", layer,
        static_cast<long long>(window));
  for (int32_t i = 0; i < batch->sequences; ++i) {
    const int64_t length = batch->sequence[i]->lengths[layer], most = batch->sequence[i]->MostUnpacked(layer);
    CHECK(length > 0 || batch->rows[i] == 0, SYL_BAD_VALUE,
          "batch->rows[%d] is %lld, must be 0 for a sequence without tokens", i,
          static_cast<long long>(batch->rows[i]));
    CHECK(unpacked[i] >= 0 && unpacked[i] <= most, SYL_BAD_VALUE,
          "unpacked[%d] is %lld, must be 0..%lld for the sequence's %lld tokens", i,
          static_cast<long long>(unpacked[i]), static_cast<long long>(most), static_cast<long long>(length));
  }
  return SYL_OK;
}

// What causal and bidirectional attention share, with rows checked.
syl_status Workspace(const char* function, const Job& job, int32_t threads, int64_t* bytes) {
  CHECK_RANGE(threads, 1, 256);
  CHECK_PTR(bytes);
  Parts parts = {};
  *bytes = job.rows == 0 ? 0 : Carve(job, threads, nullptr, &parts);
  return SYL_OK;
}

syl_status Attend(const char* function, const Job& job, const float* q, int64_t q_stride, float* y, int64_t y_stride,
                  void* workspace, int64_t workspace_bytes, syl_pool* pool) {
  const syl_kv_geometry& g = job.cache.plan->geometry;
  const int64_t rows = job.rows, cols = g.q_heads * g.head_dim;
  for (const Rows& m : {Rows{"q", q, q_stride}, Rows{"y", y, y_stride}}) {
    CHECK_OK(CheckRows(function, m, rows, cols));
  }
  if (rows == 0) return SYL_OK;
  Parts parts = {};
  const int64_t needed = Carve(job, Threads(pool), nullptr, &parts);
  CHECK_PTR(workspace);
  CHECK(workspace_bytes >= needed, SYL_WORKSPACE, "workspace_bytes is %lld, must be at least %lld",
        static_cast<long long>(workspace_bytes), static_cast<long long>(needed));
  const int64_t q_bytes = Extent(rows, cols, q_stride) * 4, y_bytes = Extent(rows, cols, y_stride) * 4;
  CHECK(!Overlaps(y, y_bytes, q, q_bytes), SYL_OVERLAP, "y overlaps %s", "q");
  CHECK(!Overlaps(workspace, needed, q, q_bytes), SYL_OVERLAP, "workspace overlaps %s", "q");
  CHECK(!Overlaps(workspace, needed, y, y_bytes), SYL_OVERLAP, "workspace overlaps %s", "y");
  CHECK_OK(CheckFinite(function, "q", q, q_stride, rows, cols));
  Carve(job, Threads(pool), workspace, &parts);
  Attention(job, q, q_stride, y, y_stride, parts, pool).Run();
  return SYL_OK;
}

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_kv_attend_workspace(const syl_kv_batch* batch, int32_t layer, int32_t threads, int64_t* bytes) {
  if (const syl_status status = CheckAttend(__func__, batch, layer)) return status;
  return Workspace(__func__, Job(*batch, layer, nullptr), threads, bytes);
}

syl_status syl_kv_attend_f32(const syl_kv_batch* batch, int32_t layer, const float* q, int64_t q_stride, float* y,
                             int64_t y_stride, void* workspace, int64_t workspace_bytes, syl_pool* pool) {
  if (const syl_status status = CheckAttend(__func__, batch, layer)) return status;
  return Attend(__func__, Job(*batch, layer, nullptr), q, q_stride, y, y_stride, workspace, workspace_bytes, pool);
}

syl_status syl_kv_attend_bidirectional_workspace(const syl_kv_batch* batch, int32_t layer, const int64_t* unpacked,
                                                 int32_t threads, int64_t* bytes) {
  if (const syl_status status = CheckBidirectional(__func__, batch, layer, unpacked)) return status;
  return Workspace(__func__, Job(*batch, layer, unpacked), threads, bytes);
}

syl_status syl_kv_attend_bidirectional_f32(const syl_kv_batch* batch, int32_t layer, const int64_t* unpacked,
                                           const float* q, int64_t q_stride, float* y, int64_t y_stride,
                                           void* workspace, int64_t workspace_bytes, syl_pool* pool) {
  if (const syl_status status = CheckBidirectional(__func__, batch, layer, unpacked)) return status;
  return Attend(__func__, Job(*batch, layer, unpacked), q, q_stride, y, y_stride, workspace, workspace_bytes, pool);
}
