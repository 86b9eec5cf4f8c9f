// Statistics of a matrix product, tile by tile: a chunk of columns of a chunk of rows, which never leaves the caches.
#include <sylvester/logits.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "native/common/align.h"
#include "native/common/logits_check.h"
#include "native/common/pool.h"
#include "native/common/status.h"
#include "native/cpu/logits/chunk.h"
#include "native/cpu/nn/matmul.h"

namespace sylvester {
namespace {

constexpr int64_t kPanels = kLogitsChunk / kPanelRows;
// Tiles have fewer rows where a small vocabulary has too few chunks for all threads.
constexpr int64_t kTilesPerThread = 4, kFewestTileRows = 8;
// A cache line more than a chunk, so that a column's lines do not all fall into one set of a cache.
constexpr int64_t kTileStride = kLogitsChunk + 16;

// What stays of a tile's row.
struct TilePart : LogitsPart {
  float drawn = 0;  // z of the racer, where that is a token
};

// Offsets in an aligned workspace.
struct ProductLayout {
  // False where a size overflows.
  bool LayOut(const syl_logits_options& options, syl_dtype type, const PackedLayout& packed, int64_t n, int64_t m,
              bool guided, int32_t threads) {
    ids = options.banned_count + options.ignored_count;
    const int64_t steps = MatMulWorkspaceBytes(type, packed, m), products = guided ? 2 : 1;
    constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / 8;
    if (steps < 0 || steps > kMost || (ids > 0 && m > kMost / 4 / ids)) return false;
    unconditional_steps = Aligned(steps);
    tiles = products * unconditional_steps;
    tile_floats = std::min(m, kMaxChunkRows) * kTileStride;
    races = tiles + threads * products * tile_floats * 4;
    parts = races + Aligned(threads * m * 8);
    listed = parts + Aligned(m * LogitsChunks(n) * static_cast<int64_t>(sizeof(TilePart)));
    bytes = listed + Aligned(m * ids * 4) + kAlignment;  // for the caller's alignment
    return true;
  }

  int64_t ids, unconditional_steps, tiles, tile_floats, races, parts, listed, bytes;
};

struct Product {
  MatMul with, without;  // the second for guidance
  LogitsJob job;         // list and logits: nullptr
  ProductLayout layout;
  uint8_t* workspace;

  bool IsGuided() const { return without.x != nullptr; }
  float* Tile(int32_t worker) const {
    return reinterpret_cast<float*>(workspace + layout.tiles) + worker * (IsGuided() ? 2 : 1) * layout.tile_floats;
  }
  double* Races(int32_t worker) const { return reinterpret_cast<double*>(workspace + layout.races) + worker * with.m; }
  TilePart* Parts(int64_t row) const {
    return reinterpret_cast<TilePart*>(workspace + layout.parts) + row * job.Chunks();
  }
  // z of the banned tokens, then of the ignored ones.
  float* Listed(int64_t row) const { return reinterpret_cast<float*>(workspace + layout.listed) + row * layout.ids; }
};

// The tokens of a list that are in the chunk, to where their z are kept.
void KeepListed(const LogitsJob& job, const ChunkLogits& chunk, const int32_t* ids, int64_t count, float* z) {
  const int64_t end = chunk.First() + chunk.Cols(job);
  for (int64_t i = std::lower_bound(ids, ids + count, chunk.First()) - ids; i < count && ids[i] < end; ++i) {
    z[i] = LogitOf(job, chunk, ids[i]);
  }
}

void ComputeTile(const Product& product, int64_t row_chunk, int64_t index, int32_t worker) {
  const LogitsJob& job = product.job;
  float *const tile = product.Tile(worker), *const other = tile + product.layout.tile_floats;
  const int64_t first = index * kPanels, panels = std::min(kPanels, product.with.layout.panels - first);
  MultiplyPanels(PartOfMatMul(product.with, row_chunk, first, panels, tile, kTileStride), 0, 0, panels);
  if (product.IsGuided()) {
    MultiplyPanels(PartOfMatMul(product.without, row_chunk, first, panels, other, kTileStride), 0, 0, panels);
  }
  for (int64_t r = 0; r < product.with.RowsOf(row_chunk); ++r) {
    const int64_t row = row_chunk * product.with.chunk_rows + r;
    const ChunkLogits chunk = {index, tile + r * kTileStride, product.IsGuided() ? other + r * kTileStride : nullptr};
    TilePart* const part = product.Parts(row) + index;
    *part = {PartOfChunk(job, row, chunk)};
    const syl_logits_options& options = job.options;
    KeepListed(job, chunk, options.banned, options.banned_count, product.Listed(row));
    KeepListed(job, chunk, options.ignored, options.ignored_count, product.Listed(row) + options.banned_count);
    // The tile is gone when the winner is known: whatever leads so far is drawn from. A thread takes chunks in
    // ascending order, so that the first of equal winners has led.
    double* const lead = product.Races(worker) + row;
    if (!job.Draws() || !std::isfinite(part->best.race) || part->best.race <= *lead) continue;
    *lead = part->best.race;
    part->best.racer = DrawFromChunk(job, row, chunk);
    part->drawn = LogitOf(job, chunk, part->best.racer);
  }
}

// Where a token stands in a list of ids, or -1.
int64_t PlaceOf(const int32_t* ids, int64_t count, int32_t token) {
  const int32_t* const id = std::lower_bound(ids, ids + count, token);
  return id < ids + count && *id == token ? id - ids : -1;
}

// z of the tokens that a row's end asks for.
struct KeptLogit {
  const Product& product;
  int64_t row;

  float operator()(int32_t token) const {
    const syl_logits_options& options = product.job.options;
    const float* const z = product.Listed(row);
    if (const int64_t place = PlaceOf(options.banned, options.banned_count, token); place >= 0) return z[place];
    if (const int64_t place = PlaceOf(options.ignored, options.ignored_count, token); place >= 0) {
      return z[options.banned_count + place];
    }
    return product.Parts(row)[token / kLogitsChunk].drawn;
  }
};

syl_logits_stats FinishRow(const Product& product, int64_t row) {
  const LogitsJob& job = product.job;
  LogitsPart whole;
  for (int64_t index = 0; index < job.Chunks(); ++index) {
    whole.best.Add(product.Parts(row)[index].best);
    whole.sums.Add(product.Parts(row)[index].sums);
  }
  const KeptLogit z_of{product, row};
  syl_logits_stats stats = LogitsFinishRow(job, row, whole, z_of);
  if (!job.Draws()) return stats;
  if (LogitsIsSound(stats)) {
    LogitsSetToken(job, stats.token, z_of, &stats);
  } else {
    stats.token = -1;
  }
  return stats;
}

void Compute(Product* product, syl_logits_stats* stats, syl_pool* pool) {
  const int64_t rows = product->with.m, threads = Threads(pool);
  const int64_t tile_rows = threads == 1 ? kMaxChunkRows
                                         : std::clamp(rows * product->job.Chunks() / (threads * kTilesPerThread),
                                                      kFewestTileRows, kMaxChunkRows);
  PrepareMatMul(product->workspace, tile_rows, &product->with, pool);
  if (product->IsGuided()) {
    PrepareMatMul(product->workspace + product->layout.unconditional_steps, tile_rows, &product->without, pool);
  }
  std::fill_n(product->Races(0), rows * threads, -std::numeric_limits<double>::infinity());
  const int64_t row_chunks = product->with.Chunks(), chunks = product->job.Chunks();
  ParallelFor(pool, row_chunks * chunks,
              [&](int64_t task, int32_t worker) { ComputeTile(*product, task / chunks, task % chunks, worker); });
  ParallelFor(pool, rows, [&](int64_t row, int32_t) { stats[row] = FinishRow(*product, row); });
}

// What the workspace depends on.
syl_status CheckSizes(const char* function, const syl_logits_options* options, syl_dtype type, int64_t n, int64_t k,
                      int64_t m, bool guided, int32_t threads, PackedLayout* packed, ProductLayout* layout) {
  if (const syl_status bad = CheckLogitsSizes(function, options, n, m)) return bad;
  if (const syl_status bad = LayOutWeights(function, type, n, k, packed)) return bad;
  if (!layout->LayOut(*options, type, *packed, n, m, guided, threads)) {
    return Fail(SYL_BAD_SHAPE, "%s: m is %lld and k is %lld: the workspace's size overflows", function,
                static_cast<long long>(m), static_cast<long long>(k));
  }
  return SYL_OK;
}

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_logits_stats_product_workspace(const syl_logits_options* options, syl_dtype type, int64_t n, int64_t k,
                                              int64_t m, int32_t with_guidance, int32_t threads, int64_t* bytes) {
  SYL_REQUIRE_RANGE(with_guidance, 0, 1);
  SYL_REQUIRE_RANGE(threads, 1, 256);
  SYL_REQUIRE_PTR(bytes);
  PackedLayout packed{};
  ProductLayout layout{};
  if (const syl_status bad =
          CheckSizes(__func__, options, type, n, k, m, with_guidance != 0, threads, &packed, &layout)) {
    return bad;
  }
  *bytes = layout.bytes;
  return SYL_OK;
}

syl_status syl_logits_stats_product_f32(const syl_logits_options* options, syl_dtype type, const void* packed,
                                        int64_t n, int64_t k, const float* x, const float* unconditional,
                                        int64_t x_stride, int64_t m, const uint64_t* streams, syl_logits_stats* stats,
                                        void* workspace, int64_t workspace_bytes, syl_pool* pool) {
  const bool guided = unconditional != nullptr;
  PackedLayout weights{};
  ProductLayout layout{};
  if (const syl_status bad = CheckSizes(__func__, options, type, n, k, m, guided, Threads(pool), &weights, &layout)) {
    return bad;
  }
  if (const syl_status bad = CheckLogitsOptions(__func__, options, n)) return bad;
  SYL_REQUIRE(options->type == SYL_F32, SYL_BAD_VALUE, "options->type is %d, must be F32", options->type);
  SYL_REQUIRE(options->top_k == 0 && options->top_p == 1, SYL_BAD_VALUE,
              "options->top_k is %d and top_p %g, must be 0 and 1: filters need whole rows", options->top_k,
              options->top_p);
  SYL_REQUIRE_PTR(packed);
  SYL_REQUIRE_PTR(x);
  SYL_REQUIRE_PTR(stats);
  SYL_REQUIRE_PTR(workspace);
  SYL_REQUIRE(reinterpret_cast<uintptr_t>(packed) % kPackedAlignment == 0, SYL_BAD_VALUE,
              "packed is %p, must be aligned to %d bytes", packed, static_cast<int>(kPackedAlignment));
  const int64_t extent = Extent(m, k, x_stride);
  SYL_REQUIRE(x_stride >= k && extent >= 0 && extent <= INT64_MAX / 4, SYL_BAD_SHAPE,
              "x_stride is %lld, must be at least k, %lld, and fit %lld rows", static_cast<long long>(x_stride),
              static_cast<long long>(k), static_cast<long long>(m));
  SYL_REQUIRE(workspace_bytes >= layout.bytes, SYL_WORKSPACE, "workspace_bytes is %lld, must be at least %lld",
              static_cast<long long>(workspace_bytes), static_cast<long long>(layout.bytes));
  const int64_t stats_bytes = m * static_cast<int64_t>(sizeof(*stats));
  const auto is_apart = [&](const void* input, int64_t input_bytes) {
    return input == nullptr ||
           !(Overlaps(stats, stats_bytes, input, input_bytes) || Overlaps(workspace, layout.bytes, input, input_bytes));
  };
  SYL_REQUIRE(is_apart(x, extent * 4) && is_apart(unconditional, extent * 4) && is_apart(packed, weights.bytes) &&
                  is_apart(streams, m * 8) && is_apart(options, sizeof(*options)) &&
                  is_apart(options->banned, options->banned_count * 4) &&
                  is_apart(options->ignored, options->ignored_count * 4) &&
                  !Overlaps(workspace, layout.bytes, stats, stats_bytes),
              SYL_OVERLAP, "stats or workspace (%lld rows) overlaps an input or each other", static_cast<long long>(m));
  if (m == 0) return SYL_OK;

  MatMul with{};
  with.type = type;
  with.layout = weights;
  with.packed = static_cast<const uint8_t*>(packed);
  with.n = n;
  with.k = k;
  with.x = x;
  with.x_stride = x_stride;
  with.m = m;
  MatMul without = with;
  without.x = unconditional;
  Product product{with, without, LogitsJob(*options, nullptr, nullptr, n, n), layout, Aligned(workspace)};
  product.job.streams = streams;
  product.job.count = m;
  Compute(&product, stats, pool);
  for (int64_t row = 0; row < m; ++row) {
    if (const syl_status bad = CheckLogitsResult(__func__, row, row, stats[row])) return bad;
  }
  return SYL_OK;
}
