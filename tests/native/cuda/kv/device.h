// Sequences in a cache on a device, and what the model says of the same tokens.
#ifndef SYLVESTER_TESTS_NATIVE_CUDA_KV_DEVICE_H_
#define SYLVESTER_TESTS_NATIVE_CUDA_KV_DEVICE_H_

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "tests/native/cuda/hadamard/run.h"
#include "tests/native/cuda/kv/model.h"

namespace sylvester_test {

// The tokens of one sequence, and which of them are sinks.
struct KvText {
  KvText(const KvModel& model, int64_t tokens, uint32_t seed) {
    const sylvester::KvPlan& plan = model.plan();
    for (int32_t layer = 0; layer < plan.geometry.layers; ++layer) {
      for (const int side : {SYL_KV_KEYS, SYL_KV_VALUES}) {
        rows[layer][side] = std::make_unique<Rows>(tokens, plan.Channels(), seed + 2 * layer + side, 1, 0);
        for (int64_t t = 0; t < tokens; ++t) {
          halves[layer][side].push_back(model.Halves(layer, side, rows[layer][side]->At(t)));
        }
      }
      for (int32_t t = 0; t < plan.options.first_tokens; ++t) sinks[layer].insert(t);
      std::mt19937 random(seed);
      for (int32_t i = 0; i < plan.options.max_sinks; ++i) {
        sinks[layer].insert(static_cast<int32_t>(random() % static_cast<uint32_t>(tokens)));
      }
    }
  }
  std::unique_ptr<Rows> rows[2][2];  // [layer][side]
  std::vector<std::vector<uint16_t>> halves[2][2];
  std::set<int32_t> sinks[2];
};

template <typename T>
class DeviceArray {
 public:
  DeviceArray(const CudaLibrary& library, const std::vector<T>& values)
      : size_(values.size()), bytes_(library, values.data(), values.size() * sizeof(T)) {}
  T* get() const { return static_cast<T*>(bytes_.get()); }
  std::vector<T> Read() const {
    std::vector<T> values(size_);
    bytes_.Read(values.data());
    return values;
  }

 private:
  size_t size_;
  DeviceBytes bytes_;
};

class KvDevice {
 public:
  KvDevice(const CudaLibrary& library, const KvModelPlan& plan, int64_t texts, int64_t tokens, int64_t max_rows)
      : library_(library), host_(plan), model_(plan), max_rows_(max_rows), lengths_(texts, 0) {
    EXPECT_EQ(library.kv_plan_new(plan.file.data(), static_cast<int64_t>(plan.file.size()), &plan.geometry, &plan_),
              SYL_OK)
        << library.last_error();
    const sylvester::KvPlan& p = model_.plan();
    for (int64_t i = 0; i < texts; ++i) texts_.emplace_back(model_, tokens, static_cast<uint32_t>(1000 * i + 7));
    tiles_of_text_ = (tokens + 15) / 16;
    const int64_t tiles = (texts * tiles_of_text_ + kPageTiles - 1) / kPageTiles * kPageTiles;
    for (int64_t i = 0; i < tiles; ++i) free_.push_back(static_cast<int32_t>(i));
    std::shuffle(free_.begin(), free_.end(), std::mt19937(3));
    tables_.assign(static_cast<size_t>(texts), {});
    arena_ = std::make_unique<DeviceArray<uint8_t>>(library, std::vector<uint8_t>(tiles * p.tile_bytes, 0));
    ring_tiles_ = p.options.window == 0 ? 0 : (p.options.window + max_rows - 1 + 15) / 16;
    capacity_ = p.options.first_tokens + p.options.max_sinks;
    for (int32_t layer = 0; layer < 2; ++layer) {
      for (const int side : {0, 1}) {
        const auto row = static_cast<size_t>(texts * p.Channels());
        ring_[layer][side] =
            std::make_unique<DeviceArray<uint16_t>>(library, std::vector<uint16_t>(row * ring_tiles_ * 16, 0x7e01));
        sinks_[layer][side] =
            std::make_unique<DeviceArray<uint16_t>>(library, std::vector<uint16_t>(row * capacity_, 0x7e02));
      }
      std::vector<int32_t> tokens_of(static_cast<size_t>(texts * capacity_), -1);
      for (int64_t i = 0; i < texts; ++i) {
        std::copy(texts_[i].sinks[layer].begin(), texts_[i].sinks[layer].end(),
                  tokens_of.begin() + Slot(i) * capacity_);
      }
      sink_tokens_[layer] = std::make_unique<DeviceArray<int32_t>>(library, tokens_of);
    }
  }
  ~KvDevice() { library_.kv_plan_free(plan_); }
  KvDevice(const KvDevice&) = delete;
  KvDevice& operator=(const KvDevice&) = delete;

  const KvModel& model() const { return model_; }
  syl_cuda_kv_plan* plan() const { return plan_; }
  int64_t length(int64_t text) const { return lengths_[text]; }
  const KvText& text(int64_t i) const { return texts_[i]; }
  int64_t Slot(int64_t text) const { return static_cast<int64_t>(texts_.size()) - 1 - text; }

  // A call on some of the texts, in this order, with so many of their last tokens as rows.
  struct Batch {
    Batch(const KvDevice& device, const std::vector<int64_t>& texts_, const std::vector<int64_t>& rows_)
        : texts(texts_), rows(rows_) {
      std::vector<int32_t> starts(1, 0), lengths, slots, tiles;
      int64_t stride = 0;
      for (const auto& table : device.tables_) stride = std::max(stride, static_cast<int64_t>(table.size()));
      for (size_t i = 0; i < texts.size(); ++i) {
        starts.push_back(starts.back() + static_cast<int32_t>(rows[i]));
        lengths.push_back(static_cast<int32_t>(device.lengths_[texts[i]]));
        slots.push_back(static_cast<int32_t>(device.Slot(texts[i])));
        std::vector<int32_t> table = device.tables_[texts[i]];
        table.resize(static_cast<size_t>(stride) + 1, -1);
        tiles.insert(tiles.end(), table.begin(), table.end());
      }
      total = starts.back();
      starts_ = std::make_unique<DeviceArray<int32_t>>(device.library_, starts);
      lengths_ = std::make_unique<DeviceArray<int32_t>>(device.library_, lengths);
      slots_ = std::make_unique<DeviceArray<int32_t>>(device.library_, slots);
      tiles_ = std::make_unique<DeviceArray<int32_t>>(device.library_, tiles);
      call.struct_size = sizeof(call);
      call.sequences = static_cast<int32_t>(texts.size());
      call.max_rows = std::max(*std::max_element(rows.begin(), rows.end()), int64_t{1});
      call.max_tokens = *std::max_element(lengths.begin(), lengths.end());
      call.row_starts = starts_->get();
      call.lengths = lengths_->get();
      call.slots = slots_->get();
      call.tiles = tiles_->get();
      call.tiles_stride = stride + 1;
      call.arena = device.arena_->get();
      call.page_tiles = kPageTiles;
    }
    std::vector<int64_t> texts, rows;
    int64_t total = 0;
    syl_cuda_kv_batch call = {};

   private:
    std::unique_ptr<DeviceArray<int32_t>> starts_, lengths_, slots_, tiles_;
  };

  syl_cuda_kv_halves Halves(int32_t layer) const {
    syl_cuda_kv_halves halves = {};
    halves.struct_size = sizeof(halves);
    halves.ring_tiles = static_cast<int32_t>(ring_tiles_);
    halves.sink_capacity = static_cast<int32_t>(capacity_);
    halves.ring_keys = ring_[layer][0]->get();
    halves.ring_values = ring_[layer][1]->get();
    halves.sink_keys = sinks_[layer][0]->get();
    halves.sink_values = sinks_[layer][1]->get();
    halves.sink_tokens = sink_tokens_[layer]->get();
    return halves;
  }

  // Appends the next rows of some texts, to both layers.
  void Append(const std::vector<int64_t>& texts, const std::vector<int64_t>& rows) {
    std::map<int64_t, int64_t> before;
    for (size_t i = 0; i < texts.size(); ++i) {
      before[texts[i]] = lengths_[texts[i]];
      lengths_[texts[i]] += rows[i];
      const int64_t tiles = model_.plan().PackedTiles(lengths_[texts[i]]);
      while (static_cast<int64_t>(tables_[texts[i]].size()) < tiles) {
        tables_[texts[i]].push_back(free_.back());
        free_.pop_back();
      }
    }
    const Batch batch(*this, texts, rows);
    const int64_t channels = model_.plan().Channels(), stride = channels + 5;
    for (int32_t layer = 0; layer < 2; ++layer) {
      std::vector<float> kv[2];
      for (const int side : {0, 1}) {
        for (size_t i = 0; i < texts.size(); ++i) {
          for (int64_t r = 0; r < rows[i]; ++r) {
            const float* row = texts_[texts[i]].rows[layer][side]->At(before[texts[i]] + r);
            kv[side].insert(kv[side].end(), row, row + channels);
            kv[side].resize(kv[side].size() + 5, kNaN);
          }
        }
        kv[side].push_back(0);  // a call without rows
      }
      const DeviceArray<float> k(library_, kv[0]), v(library_, kv[1]);
      const syl_cuda_kv_halves halves = Halves(layer);
      EXPECT_EQ(library_.kv_append_f32(plan_, layer, &batch.call, &halves, k.get(), stride, v.get(), stride, nullptr),
                SYL_OK)
          << library_.last_error();
    }
  }

  // Attention of the last rows of some texts, to q[total rows].
  Rows Attend(const std::vector<int64_t>& texts, const std::vector<int64_t>& rows, int32_t layer, const Rows& q,
              int32_t products) const {
    return Attend(
        texts, rows, layer, q,
        [&](const auto& batch, const auto& halves, auto... rest) {
          return library_.kv_attend_f32(plan_, layer, batch, halves, rest..., nullptr);
        },
        products);
  }

  // Bidirectional attention, with so many tokens of each text unpacked.
  Rows AttendBidirectional(const std::vector<int64_t>& texts, const std::vector<int64_t>& rows,
                           const std::vector<int32_t>& unpacked, int32_t layer, const Rows& q, int32_t products) const {
    const DeviceArray<int32_t> unpacked_on(library_, unpacked);
    return Attend(
        texts, rows, layer, q,
        [&](const auto& batch, const auto& halves, auto... rest) {
          return library_.kv_attend_bidirectional_f32(plan_, layer, batch, unpacked_on.get(), halves, rest..., nullptr);
        },
        products);
  }

  Rows Dequantize(int64_t text, int32_t layer, int32_t what, int64_t first, int64_t count) const {
    const Batch batch(*this, {text}, {0});
    Rows y(count, model_.plan().Channels(), 1, 1, 3);
    const DeviceArray<float> y_on(library_, y.data);
    const syl_cuda_kv_halves halves = Halves(layer);
    EXPECT_EQ(library_.kv_dequantize_f32(plan_, layer, &batch.call, &halves, 0, what, first, count, y_on.get(),
                                         y.stride, nullptr),
              SYL_OK)
        << library_.last_error();
    y.data = y_on.Read();
    return y;
  }

  // The first tiles of a text get no tile of the arena any more.
  void Forget(int64_t text, int64_t tiles) { std::fill_n(tables_[text].begin(), tiles, -1); }

  void Truncate(int64_t text, int64_t tokens) {
    lengths_[text] = tokens;
    const auto tiles = static_cast<size_t>(model_.plan().PackedTiles(tokens));
    while (tables_[text].size() > tiles) {
      free_.push_back(tables_[text].back());
      tables_[text].pop_back();
    }
  }

  // The tile's bytes as they must be, for n tokens of the text.
  std::vector<uint8_t> ExpectedTile(int64_t text, int32_t layer, int64_t tile, int64_t n) const {
    std::vector<uint8_t> bytes(static_cast<size_t>(model_.plan().layers[layer].tile_bytes), 0);
    const KvText& of = texts_[text];
    for (int64_t i = 0; i < 16 && tile * 16 + i < n; ++i) {
      const auto t = static_cast<int32_t>(tile * 16 + i);
      for (const int side : {0, 1}) {
        model_.Pack(layer, of.halves[layer][side][t].data(), side, of.sinks[layer].count(t) == 0, i, bytes.data());
      }
    }
    return bytes;
  }

  // What is on the device, as a CPU's cache has it.
  struct Bytes {
    std::vector<std::vector<uint8_t>> tiles;  // of a layer of a text
    std::vector<uint16_t> ring[2], sinks[2];
  };
  Bytes Read(int64_t x, int32_t layer) const {
    const sylvester::KvPlan& p = model_.plan();
    const std::vector<uint8_t> arena = arena_->Read();
    Bytes bytes;
    for (const int32_t index : tables_[x]) {
      const uint8_t* at = arena.data() + TileOffset(layer, index);
      bytes.tiles.emplace_back(at, at + p.layers[layer].tile_bytes);
    }
    for (const int side : {0, 1}) {
      const std::vector<uint16_t> ring = ring_[layer][side]->Read(), sinks = sinks_[layer][side]->Read();
      const int64_t rings = p.Channels() * ring_tiles_ * 16, rows = p.Channels() * capacity_;
      bytes.ring[side].assign(ring.begin() + Slot(x) * rings, ring.begin() + (Slot(x) + 1) * rings);
      bytes.sinks[side].assign(sinks.begin() + Slot(x) * rows, sinks.begin() + (Slot(x) + 1) * rows);
    }
    return bytes;
  }

  // All tiles, rings and sinks of all texts against the model.
  void ExpectBytes() const {
    const sylvester::KvPlan& p = model_.plan();
    const std::vector<uint8_t> arena = arena_->Read();
    for (int32_t layer = 0; layer < 2; ++layer) {
      std::vector<uint16_t> ring[2], sinks[2];
      for (const int side : {0, 1}) {
        ring[side] = ring_[layer][side]->Read();
        sinks[side] = sinks_[layer][side]->Read();
      }
      for (int64_t x = 0; x < static_cast<int64_t>(texts_.size()); ++x) {
        const int64_t n = lengths_[x], packed = p.PackedTiles(n);
        for (int64_t tile = 0; tile < packed; ++tile) {
          const int64_t index = tables_[x][tile];
          const uint8_t* at = arena.data() + TileOffset(layer, index);
          const std::vector<uint8_t> expected = ExpectedTile(x, layer, tile, n);
          for (size_t b = 0; b < expected.size(); ++b) {
            ASSERT_EQ(at[b], expected[b]) << "byte " << b << " of tile " << tile << " of text " << x << ", layer "
                                          << layer << ", " << n << " tokens";
          }
        }
        for (int64_t t = packed * 16; t < n; ++t) ExpectHalves(x, layer, t, ring);
        int64_t sink = 0;
        for (const int32_t t : texts_[x].sinks[layer]) {
          for (const int side : {0, 1}) {
            for (int64_t c = 0; c < p.Channels() && t < n; ++c) {
              const int64_t row = (Slot(x) * model_.heads() + c / model_.d()) * capacity_ + sink;
              ASSERT_EQ(sinks[side][row * model_.d() + c % model_.d()], texts_[x].halves[layer][side][t][c])
                  << "sink " << sink << " of text " << x;
            }
          }
          ++sink;
        }
      }
    }
  }

 private:
  static constexpr int64_t kPageTiles = 3;

  template <typename Call>
  Rows Attend(const std::vector<int64_t>& texts, const std::vector<int64_t>& rows, int32_t layer, const Rows& q,
              const Call& call, int32_t products) const {
    const Batch batch(*this, texts, rows);
    EXPECT_EQ(q.rows, batch.total);
    Rows y(q.rows, q.cols, 1, 1, 2);
    int64_t bytes = 0;
    EXPECT_EQ(library_.kv_attend_workspace(plan_, &batch.call, &bytes), SYL_OK) << library_.last_error();
    const DeviceArray<float> q_on(library_, q.data), y_on(library_, y.data);
    const DeviceArray<uint8_t> workspace(library_, std::vector<uint8_t>(static_cast<size_t>(bytes), 0xff));
    const syl_cuda_kv_halves halves = Halves(layer);
    EXPECT_EQ(call(&batch.call, &halves, static_cast<const float*>(q_on.get()), q.stride, y_on.get(), y.stride,
                   products, static_cast<void*>(workspace.get()), bytes),
              SYL_OK)
        << library_.last_error();
    y.data = y_on.Read();
    return y;
  }

  int64_t TileOffset(int32_t layer, int64_t index) const {
    const sylvester::KvPlan& p = model_.plan();
    return index / kPageTiles * kPageTiles * p.tile_bytes + p.layers[layer].page_offset * kPageTiles +
           index % kPageTiles * p.layers[layer].tile_bytes;
  }

  void ExpectHalves(int64_t x, int32_t layer, int64_t t, const std::vector<uint16_t>* ring) const {
    const int64_t d = model_.d();
    for (int64_t c = 0; c < model_.plan().Channels(); ++c) {
      const int64_t tile = (Slot(x) * model_.heads() + c / d) * ring_tiles_ + t / 16 % ring_tiles_;
      ASSERT_EQ(ring[0][(tile * d + c % d) * 16 + t % 16], texts_[x].halves[layer][0][t][c])
          << "key of token " << t << ", text " << x << ", channel " << c;
      ASSERT_EQ(ring[1][(tile * 16 + t % 16) * d + c % d], texts_[x].halves[layer][1][t][c])
          << "value of token " << t << ", text " << x << ", channel " << c;
    }
  }

  const CudaLibrary& library_;
  const KvModelPlan& host_;
  KvModel model_;
  syl_cuda_kv_plan* plan_ = nullptr;
  int64_t max_rows_, ring_tiles_, capacity_, tiles_of_text_;
  std::vector<KvText> texts_;
  std::vector<int64_t> lengths_;
  std::vector<std::vector<int32_t>> tables_;
  std::vector<int32_t> free_;
  std::unique_ptr<DeviceArray<uint8_t>> arena_;
  std::unique_ptr<DeviceArray<uint16_t>> ring_[2][2], sinks_[2][2];
  std::unique_ptr<DeviceArray<int32_t>> sink_tokens_[2];
};

class CudaKv : public testing::TestWithParam<CudaRun> {
 protected:
  CudaKv() { sylvester::emulator::SetOptions(GetParam().options); }
  ~CudaKv() override {
    sylvester::emulator::SetOptions({});
    sylvester::emulator::ClearFault();
  }
  const CudaLibrary& library() const { return *GetParam().library; }
};

// Every number of bits, grid and way to clip; head dims of all bases, groups that do not divide.
inline std::vector<KvCase> KvCases() {
  std::vector<KvCase> cases(1);
  const auto add = [&](const std::string& name, const std::function<void(KvCase*)>& change) {
    cases.emplace_back();
    cases.back().name = name;
    change(&cases.back());
  };
  add("3 and 4 bits, balanced, no window", [](KvCase* c) {
    c->bits_keys = 3;
    c->bits_values = 4;
    c->balance = 1;
    c->window = 0;
    c->clip = 1;
  });
  add("4 and 3 bits, range", [](KvCase* c) {
    c->bits_keys = 4;
    c->bits_values = 3;
    c->clip_mode = SYL_KV_CLIP_RANGE;
    c->group_keys = c->group_values = 32;
  });
  add("layers of 2 and 3, 4 and 2 bits, clipped the less", [](KvCase* c) { c->layer_bits = {2, 3, 4, 2}; });
  add("8 bits, heads of 80, groups of 32, integer zeros, no window", [](KvCase* c) {
    c->bits_keys = c->bits_values = 8;
    c->head_dim = 80;
    c->group_keys = c->group_values = 32;
    c->integer_zero = 1;
    c->window = 0;
    c->balance = 1;
  });
  add("Lloyd-Max of 2 and 3 bits, heads of 80", [](KvCase* c) {
    c->grid = SYL_KV_LLOYD_MAX;
    c->head_dim = 80;
    c->bits_values = 3;
    c->group_keys = 80;
    c->group_values = 48;
  });
  add("Lloyd-Max of 3 and 4 bits, one head of 192, no window, no sinks", [](KvCase* c) {
    c->grid = SYL_KV_LLOYD_MAX;
    c->kv_heads = 1;
    c->q_heads = 3;
    c->head_dim = 192;
    c->bits_keys = 3;
    c->bits_values = 4;
    c->group_keys = 128;
    c->group_values = 64;
    c->window = 0;
    c->first_tokens = c->max_sinks = 0;
    c->center = 0;
  });
  add("heads of 16 as they are, 2 bits", [](KvCase* c) {
    c->head_dim = 16;
    c->kv_heads = 3;
    c->q_heads = 3;
    c->group_keys = c->group_values = 16;
    c->rotate = SYL_KV_ROTATE_NONE;
    c->center = SYL_KV_CENTER_VALUES;
    c->window = 16;
  });
  return cases;
}

}  // namespace sylvester_test

#endif
