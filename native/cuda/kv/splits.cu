// Attention over a split of the packed tokens, or over the halves. A block takes a quad; its warps share the tiles of
// the keys, then the channels of the values.
#include <algorithm>

#include "native/cuda/kv/attend.h"
#include "native/cuda/kv/halves.h"
#include "native/cuda/kv/product.h"

namespace sylvester::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;
constexpr int kChannelRounds = kMaxHeadDim / 16 / kWarps;  // of 16 channels a warp
constexpr int kValueProducts = kBlockTokens / kProductPlaces;

// In shared memory.
struct SplitMemory {
  SharedPtr<uint32_t> digits;   // [key_products][64] of the queries
  SharedPtr<uint32_t> weights;  // [value groups][8 products][64]: digits of weight times scale
  SharedPtr<float> scores;      // [4][256], then the weights
  SharedPtr<float> steps;       // [value groups][4][2]: step of the weights, sum of weight times zero in steps
  SharedPtr<float> softmax;     // [4][2]: maximum and sum of the block
  SharedPtr<int32_t> tiles;     // [16] of the block; -1: no query sees it
};

struct SplitLayout {
  size_t weights, scores, steps, softmax, tiles, end;
};

__host__ __device__ SplitLayout LayoutOf(const KvAttendJob& attend) {
  const auto groups = static_cast<size_t>(attend.job.side[SYL_KV_VALUES].groups_per_head);
  SplitLayout layout = {};
  layout.weights = static_cast<size_t>(attend.key_products) * kProductWords * 4;
  layout.scores = layout.weights + groups * kValueProducts * kProductWords * 4;
  layout.steps = layout.scores + kQuad * kBlockTokens * 4;
  layout.softmax = layout.steps + groups * kQuad * 2 * 4;
  layout.tiles = layout.softmax + kQuad * 2 * 4;
  layout.end = layout.tiles + kBlockTiles * 4;
  return layout;
}

__device__ SplitMemory MemoryOf(const KvAttendJob& attend) {
  const SplitLayout layout = LayoutOf(attend);
  const auto groups = static_cast<size_t>(attend.job.side[SYL_KV_VALUES].groups_per_head);
  SplitMemory memory;
  memory.digits = DynamicShared<uint32_t>(0, static_cast<size_t>(attend.key_products) * kProductWords);
  memory.weights = DynamicShared<uint32_t>(layout.weights, groups * kValueProducts * kProductWords);
  memory.scores = DynamicShared<float>(layout.scores, kQuad * kBlockTokens);
  memory.steps = DynamicShared<float>(layout.steps, groups * kQuad * 2);
  memory.softmax = DynamicShared<float>(layout.softmax, kQuad * 2);
  memory.tiles = DynamicShared<int32_t>(layout.tiles, kBlockTiles);
  return memory;
}

// A thread's place: its query and rows are those of its results of products.
struct Place {
  int thread, warp, lane, row, query;
};

// NULL for a tile that no query sees.
__device__ const uint8_t* TileOf(const KvJob& job, const SplitMemory& memory, int tile) {
  const int32_t index = memory.tiles[tile];
  if (index < 0) return nullptr;
  return job.tiles_of_layer + index / job.page_tiles * job.page_bytes + index % job.page_tiles * job.tile_bytes;
}

// Products of the keys of a tile and the integers of a query, times scales: of the lane's query, for its two tokens.
template <int kBits, bool kMma>
__device__ void KeyProducts(const KvAttendJob& attend, const KvQuad& quad, const uint8_t* tile,
                            SharedPtr<const uint32_t> digits, const Place& place, float (&products)[2]) {
  const KvSideJob& side = attend.job.side[SYL_KV_KEYS];
  const int d = attend.job.head_dim;
  const auto* codes = reinterpret_cast<const uint32_t*>(tile + side.codes + quad.head * side.head_bytes);
  const KvLevelTable<kBits> levels(side.quantizer);
  const float* sums = attend.sums + (quad.index * kQuad + place.query) * side.groups_per_head;
  products[0] = products[1] = 0;
  for (int g = 0; g < side.groups_per_head; ++g) {
    const int end = min((g + 1) * side.group, d);
    KvProduct<kMma> product;
    for (int first = g * side.group; first < end; first += kProductPlaces, digits += kProductWords) {
      const int at = first + 8 * (place.lane % 4);
      KvEight one = {}, other = {};
      if (at < end) {
        one = levels.Of(KvKeyCodes<kBits>(codes, d, place.row, at));
        other = levels.Of(KvKeyCodes<kBits>(codes, d, place.row + 8, at));
      }
      product.Add(one, other, digits, place.lane);
    }
    int numbers[2][2];
    product.Sums(numbers, place.lane);
    const int group = (quad.head * side.groups_per_head + g) * kTokens + place.row;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const float scale = KvScale(tile[side.scales + group + 8 * i]);
      const float zero = static_cast<float>(static_cast<int8_t>(tile[side.zeros + group + 8 * i]));
      products[i] += scale * (static_cast<float>(KvNumber(numbers[i])) - KvZero(side.quantizer, zero) * sums[g]);
    }
  }
}

// scores of the block's tokens; -infinity for those that a query does not see here.
template <int kBits, bool kMma>
__device__ void KeyScores(const KvAttendJob& attend, const KvQuad& quad, int first_token, const SplitMemory& memory,
                          const Place& place) {
  const KvView view = KvViewOf(attend, quad, min(place.query, quad.queries - 1));
  const float factor = attend.factors[quad.index * kQuad + place.query];
  const float offset = attend.offsets[quad.index * kQuad + place.query];
  for (int t = place.warp; t < kBlockTiles; t += kWarps) {
    float products[2] = {};
    const uint8_t* tile = TileOf(attend.job, memory, t);
    if (tile != nullptr) KeyProducts<kBits, kMma>(attend, quad, tile, memory.digits, place, products);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int at = t * kTokens + place.row + 8 * i, token = first_token + at;
      const bool seen = token >= view.begin && token < view.packed && place.query < quad.queries;
      memory.scores[place.query * kBlockTokens + at] =
          seen ? KvCapped(attend, factor * products[i] + offset) : KvMinusInfinity();
    }
  }
}

// Sinks are read as halves.
__device__ void HideSinks(const KvAttendJob& attend, const KvQuad& quad, int first_token, const SplitMemory& memory,
                          int thread) {
  for (int i = thread; i < attend.job.sink_capacity; i += kThreads) {
    const int at = KvSinkTokens(attend.job, quad)[i] - first_token;
    if (at < 0 || at >= kBlockTokens) continue;
    for (int j = 0; j < kQuad; ++j) memory.scores[j * kBlockTokens + at] = KvMinusInfinity();
  }
}

// A warp a query: weights relative to the block's maximum.
__device__ void Weights(const SplitMemory& memory, int query, int lane) {
  const SharedPtr<float> scores = memory.scores + query * kBlockTokens;
  float x[kBlockTokens / 32], most = KvMinusInfinity(), sum = 0;
#pragma unroll
  for (int i = 0; i < kBlockTokens / 32; ++i) {
    x[i] = scores[32 * i + lane];
    most = fmaxf(most, x[i]);
  }
  most = KvWarpMax(most);
#pragma unroll
  for (int i = 0; i < kBlockTokens / 32; ++i) {
    x[i] = x[i] == KvMinusInfinity() ? 0 : expf(x[i] - most);
    sum += x[i];
    scores[32 * i + lane] = x[i];
  }
  sum = KvWarpSum(sum);
  if (lane == 0) {
    memory.softmax[2 * query] = most;
    memory.softmax[2 * query + 1] = sum;
  }
}

// A warp a query and group of values: weights times scales as integers. A lane has the eight tokens of one of the
// places of a product.
__device__ void ScaleWeights(const KvAttendJob& attend, const KvQuad& quad, const SplitMemory& memory, int query,
                             int group, int lane) {
  const KvSideJob& side = attend.job.side[SYL_KV_VALUES];
  constexpr int kEach = kBlockTokens / 32;
  const int first = lane * kEach, at = (quad.head * side.groups_per_head + group) * kTokens + first % kTokens;
  const uint8_t* tile = TileOf(attend.job, memory, first / kTokens);
  float weights[kEach] = {}, most = 0;
  if (tile != nullptr) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      weights[i] = memory.scores[query * kBlockTokens + first + i] * KvScale(tile[side.scales + at + i]);
      most = fmaxf(most, weights[i]);
    }
  }
  most = KvWarpMax(most);
  const float inverse = most > 0 ? kKvDigitsMax / most : 0;
  int numbers[kEach];
  float zero = 0;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    numbers[i] = min(__float2int_rn(weights[i] * inverse), kKvDigitsMax);
    if (tile == nullptr) continue;
    const float of = KvZero(side.quantizer, static_cast<float>(static_cast<int8_t>(tile[side.zeros + at + i])));
    zero += static_cast<float>(numbers[i]) * of;
  }
  zero = KvWarpSum(zero);
  if (lane == 0) {
    memory.steps[(group * kQuad + query) * 2] = most / kKvDigitsMax;
    memory.steps[(group * kQuad + query) * 2 + 1] = zero;
  }
  const SharedPtr<uint32_t> to = memory.weights + (group * kValueProducts + lane / 4) * kProductWords;
#pragma unroll
  for (int word = 0; word < 2; ++word) {
#pragma unroll
    for (int lower = 0; lower < 2; ++lower) {
      to[32 * word + 4 * (2 * query + lower) + lane % 4] =
          KvDigitWord([&](int i) { return numbers[4 * word + i]; }, lower == 0);
    }
  }
}

// Sums of the weighted values of the block's tokens, for the lane's query and its channels first and first + 8.
template <int kBits, bool kMma>
__device__ void ValueSums(const KvAttendJob& attend, const KvQuad& quad, const SplitMemory& memory, int first,
                          const Place& place, float (&sums)[2]) {
  const KvSideJob& side = attend.job.side[SYL_KV_VALUES];
  const int d = attend.job.head_dim, group = first / side.group, channel = first + place.row;
  const KvLevelTable<kBits> levels(side.quantizer);
  KvProduct<kMma> product;
  for (int p = 0; p < kValueProducts; ++p) {
    const uint8_t* tile = TileOf(attend.job, memory, 2 * p + place.lane % 4 / 2);
    const int at = 8 * (place.lane % 2);
    KvEight one = {}, other = {};
    if (tile != nullptr) {
      const auto* codes = reinterpret_cast<const uint32_t*>(tile + side.codes + quad.head * side.head_bytes);
      one = levels.Of(KvValueCodes<kBits>(codes, d, channel, at));
      other = levels.Of(KvValueCodes<kBits>(codes, d, channel + 8, at));
    }
    product.Add(one, other, memory.weights + (group * kValueProducts + p) * kProductWords, place.lane);
  }
  int numbers[2][2];
  product.Sums(numbers, place.lane);
  const float step = memory.steps[(group * kQuad + place.query) * 2];
  const float zero = memory.steps[(group * kQuad + place.query) * 2 + 1];
#pragma unroll
  for (int i = 0; i < 2; ++i) sums[i] = step * (static_cast<float>(KvNumber(numbers[i])) - zero);
}

template <bool kMma>
__device__ void ScoresOf(const KvAttendJob& attend, const KvQuad& quad, int first_token, const SplitMemory& memory,
                         const Place& place) {
  switch (attend.job.side[SYL_KV_KEYS].quantizer.bits) {
    case 2: KeyScores<2, kMma>(attend, quad, first_token, memory, place); break;
    case 3: KeyScores<3, kMma>(attend, quad, first_token, memory, place); break;
    case 4: KeyScores<4, kMma>(attend, quad, first_token, memory, place); break;
    default: KeyScores<8, kMma>(attend, quad, first_token, memory, place);
  }
}

template <bool kMma>
__device__ void SumsOf(const KvAttendJob& attend, const KvQuad& quad, const SplitMemory& memory, int first,
                       const Place& place, float (&sums)[2]) {
  switch (attend.job.side[SYL_KV_VALUES].quantizer.bits) {
    case 2: ValueSums<2, kMma>(attend, quad, memory, first, place, sums); break;
    case 3: ValueSums<3, kMma>(attend, quad, memory, first, place, sums); break;
    case 4: ValueSums<4, kMma>(attend, quad, memory, first, place, sums); break;
    default: ValueSums<8, kMma>(attend, quad, memory, first, place, sums);
  }
}

// The partial result of a thread: of its query, all that it has of the split.
struct Running {
  float most = KvMinusInfinity(), sum = 0;
  float values[kChannelRounds][2] = {};
};

template <bool kMma>
__device__ void AttendBlock(const KvAttendJob& attend, const KvQuad& quad, int first_token, const SplitMemory& memory,
                            const Place& place, Running* running) {
  const KvJob& job = attend.job;
  if (place.thread < kBlockTiles) {
    const int tile = first_token / kTokens + place.thread;
    const bool seen = (tile + 1) * kTokens > KvViewOf(attend, quad, 0).begin &&
                      tile * kTokens < KvViewOf(attend, quad, quad.queries - 1).packed;
    memory.tiles[place.thread] = seen ? job.tiles[quad.sequence * job.tiles_stride + tile] : -1;
  }
  __syncthreads();
  ScoresOf<kMma>(attend, quad, first_token, memory, place);
  __syncthreads();
  if (job.sink_capacity > 0) {
    HideSinks(attend, quad, first_token, memory, place.thread);
    __syncthreads();
  }
  if (place.warp < kQuad) Weights(memory, place.warp, place.lane);
  __syncthreads();
  const int groups = job.side[SYL_KV_VALUES].groups_per_head;
  for (int i = place.warp; i < kQuad * groups; i += kWarps) {
    ScaleWeights(attend, quad, memory, i % kQuad, i / kQuad, place.lane);
  }
  __syncthreads();
  const float most = memory.softmax[2 * place.query], sum = memory.softmax[2 * place.query + 1];
  const float after = fmaxf(running->most, most);
  const float old_factor = running->most == KvMinusInfinity() ? 0 : expf(running->most - after);
  const float new_factor = most == KvMinusInfinity() ? 0 : expf(most - after);
  running->most = after;
  running->sum = running->sum * old_factor + sum * new_factor;
#pragma unroll
  for (int round = 0; round < kChannelRounds; ++round) {
    const int first = (round * kWarps + place.warp) * 16;
    if (first >= job.head_dim) break;
    float sums[2];
    SumsOf<kMma>(attend, quad, memory, first, place, sums);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      running->values[round][i] = running->values[round][i] * old_factor + sums[i] * new_factor;
    }
  }
  __syncthreads();  // before the next block's scores
}

template <bool kMma>
__device__ void AttendSplit(const KvAttendJob& attend, const KvQuad& quad, int split, const Place& place) {
  const int begin = KvViewOf(attend, quad, 0).begin, end = KvViewOf(attend, quad, quad.queries - 1).packed;
  const int split_begin = split * kSplitTokens, split_end = min(split_begin + kSplitTokens, end);
  if (split_begin >= end || split_begin + kSplitTokens <= begin) return;
  const SplitMemory memory = MemoryOf(attend);
  for (int i = place.thread; i < attend.key_products * kProductWords; i += kThreads) {
    memory.digits[i] = attend.digits[quad.index * attend.key_products * kProductWords + i];
  }
  Running running;
  for (int first = split_begin; first < split_end; first += kBlockTokens) {
    if (first + kBlockTokens <= begin) continue;
    AttendBlock<kMma>(attend, quad, first, memory, place, &running);
  }
  if (place.query >= quad.queries) return;
  float* partial = KvPartial(attend, quad, split, place.query);
#pragma unroll
  for (int round = 0; round < kChannelRounds; ++round) {
    const int first = (round * kWarps + place.warp) * 16;
    if (first >= attend.job.head_dim) break;
    partial[first + place.row] = running.values[round][0];
    partial[first + place.row + 8] = running.values[round][1];
  }
  if (place.warp == 0 && place.row == 0) {
    partial[attend.job.head_dim] = running.most;
    partial[attend.job.head_dim + 1] = running.sum;
  }
}

// Blocks along x: all quads of a split, then those of the next; the last are for the halves.
template <bool kMma>
__global__ void __launch_bounds__(kThreads, 2) KvSplitKernel(KvAttendJob attend) {
  const int split = static_cast<int>(blockIdx.x) / attend.quads;
  const KvQuad quad = KvQuadOf(attend, static_cast<int>(blockIdx.x) % attend.quads);
  if (quad.queries == 0) return;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32;
  if (split < attend.splits) {
    AttendSplit<kMma>(attend, quad, split, {thread, thread / 32, lane, lane / 4, lane % 4});
  } else {
    const auto queries = static_cast<size_t>(kQuad * attend.job.head_dim);
    KvAttendHalves(
        attend, quad, DynamicShared<float>(0, queries),
        DynamicShared<float>(queries * sizeof(float), static_cast<size_t>(kQuad * KvHalfTokensMost(attend))));
  }
}

}  // namespace

cudaError_t LaunchKvSplits(const KvAttendJob& attend, int32_t sequences, bool mma, cudaStream_t stream) {
  const bool halves = attend.job.window_tiles > 0 || attend.job.sink_capacity > 0;
  const dim3 grid(static_cast<unsigned>((attend.splits + (halves ? 1 : 0)) * attend.quads),
                  static_cast<unsigned>(attend.job.kv_heads), static_cast<unsigned>(sequences));
  const size_t for_halves = kQuad * static_cast<size_t>(attend.job.head_dim + KvHalfTokensMost(attend)) * sizeof(float);
  const size_t bytes = std::max(LayoutOf(attend).end, halves ? for_halves : size_t{0});
  return Launch(mma ? KvSplitKernel<true> : KvSplitKernel<false>, grid, dim3(kThreads), bytes, stream, attend);
}

}  // namespace sylvester::cuda
