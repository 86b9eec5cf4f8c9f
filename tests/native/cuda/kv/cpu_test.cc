// CPU and CUDA have the same bytes in their caches and the same bits out of them.
#include <gtest/gtest.h>

#include "native/cpu/kv/cache.h"
#include "tests/native/cuda/kv/device.h"

namespace {

using namespace sylvester_test;

class CudaKvCpu : public CudaKv {};

INSTANTIATE_TEST_SUITE_P(Runs, CudaKvCpu, testing::ValuesIn(CudaRuns()), CudaRunName);

// A sequence of the CPU.
class CpuSequence {
 public:
  CpuSequence(const KvModelPlan& plan, int64_t max_rows) {
    syl_kv_cache_options options = {};
    options.struct_size = sizeof(options);
    options.page_tokens = 32;
    options.pages = 16;
    options.max_rows = max_rows;
    EXPECT_EQ(syl_kv_cache_new(plan.plan.get(), &options, &cache_), SYL_OK) << syl_last_error();
    EXPECT_EQ(syl_kv_sequence_new(cache_, &sequence_), SYL_OK) << syl_last_error();
  }
  ~CpuSequence() {
    syl_kv_sequence_free(sequence_);
    syl_kv_cache_free(cache_);
  }
  CpuSequence(const CpuSequence&) = delete;
  CpuSequence& operator=(const CpuSequence&) = delete;

  const syl_kv_sequence& get() const { return *sequence_; }

  void Append(const KvDevice& device, int64_t text, int64_t first, int64_t rows) {
    for (int32_t layer = 0; layer < 2; ++layer) {
      const KvText& of = device.text(text);
      std::vector<uint8_t> sinks(static_cast<size_t>(rows));
      for (int64_t r = 0; r < rows; ++r) sinks[r] = of.sinks[layer].count(static_cast<int32_t>(first + r)) != 0;
      const syl_kv_batch batch = {sizeof(batch), 1, &sequence_, &rows};
      int64_t bytes = 0;
      EXPECT_EQ(syl_kv_append_workspace(&batch, 1, &bytes), SYL_OK) << syl_last_error();
      std::vector<uint8_t> workspace(static_cast<size_t>(bytes));
      const Rows &k = *of.rows[layer][0], &v = *of.rows[layer][1];
      EXPECT_EQ(syl_kv_append_f32(&batch, layer, k.At(first), k.stride, v.At(first), v.stride, sinks.data(),
                                  workspace.data(), bytes, nullptr),
                SYL_OK)
          << syl_last_error();
    }
  }

 private:
  syl_kv_cache* cache_ = nullptr;
  syl_kv_sequence* sequence_ = nullptr;
};

void ExpectSameBytes(const KvDevice& device, const CpuSequence& cpu, int64_t text) {
  const syl_kv_sequence& s = cpu.get();
  const KvModel& model = device.model();
  const int64_t n = device.length(text), heads = model.heads(), d = model.d();
  for (int32_t layer = 0; layer < 2; ++layer) {
    const KvDevice::Bytes bytes = device.Read(text, layer);
    ASSERT_EQ(bytes.tiles.size(), s.tiles.size());
    for (size_t t = 0; t < bytes.tiles.size(); ++t) {
      const uint8_t* tile = s.Tile(layer, static_cast<int64_t>(t));
      ASSERT_EQ(bytes.tiles[t], std::vector<uint8_t>(tile, tile + bytes.tiles[t].size()))
          << "tile " << t << ", layer " << layer;
    }
    const sylvester::KvHalves& halves = s.halves[layer];
    const std::vector<uint16_t>* rings[] = {&halves.ring_keys, &halves.ring_values};
    const std::vector<uint16_t>* sinks[] = {&halves.sink_keys, &halves.sink_values};
    for (const int side : {0, 1}) {
      const int64_t ring_tiles = heads == 0 ? 0 : static_cast<int64_t>(bytes.ring[side].size()) / (heads * d * 16);
      for (int64_t t = model.plan().PackedTiles(n) * 16; t < n; ++t) {
        for (int64_t c = 0; c < heads * d; ++c) {
          const auto at = [&](int64_t tiles) {
            const int64_t tile = c / d * tiles + t / 16 % tiles;
            return side == 0 ? (tile * d + c % d) * 16 + t % 16 : (tile * 16 + t % 16) * d + c % d;
          };
          ASSERT_EQ(bytes.ring[side][at(ring_tiles)], (*rings[side])[at(s.ring_tiles)]) << "token " << t;
        }
      }
      for (size_t i = 0; i < halves.sink_tokens.size(); ++i) {
        for (int64_t c = 0; c < heads * d; ++c) {
          const int64_t at = (c / d * s.sink_capacity + static_cast<int64_t>(i)) * d + c % d;
          ASSERT_EQ(bytes.sinks[side][at], (*sinks[side])[at]) << "sink " << i;
        }
      }
    }
  }
}

TEST_P(CudaKvCpu, HaveTheSameBytes) {
  for (const KvCase& c : KvCases()) {
    SCOPED_TRACE(c.name);
    const KvModelPlan plan(c);
    KvDevice device(library(), plan, 1, 150, 40);
    CpuSequence cpu(plan, 40);
    for (const int64_t rows : {21, 1, 1, 40, 17, 39, 9}) {
      cpu.Append(device, 0, device.length(0), rows);
      device.Append({0}, {rows});
      ExpectSameBytes(device, cpu, 0);
    }
    for (const int32_t what : {SYL_KV_KEYS, SYL_KV_VALUES}) {
      Rows expected(device.length(0), device.model().plan().Channels(), 1, 1, 3);
      ASSERT_EQ(syl_kv_dequantize_f32(&cpu.get(), 1, what, 0, expected.rows, expected.data.data(), expected.stride),
                SYL_OK)
          << syl_last_error();
      EXPECT_TRUE(SameBits(device.Dequantize(0, 1, what, 0, expected.rows).data, expected.data));
    }
  }
}

}  // namespace
