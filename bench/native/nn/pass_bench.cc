// nn/pass/<model>/t<threads>: a forward pass of 1, 2, 4, 8 and 16 rows through all layers and the head, without
// attention: what verifying a draft costs beside what attention makes of it. The weights come from memory. All numbers
// of rows take turns in one run; the best time of each counts: ms of one row, the share of the machine's read bandwidth
// that is, and how many times as long the others take.
#include <benchmark/benchmark.h>
#include <sylvester/sylvester.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/native/machine.h"

namespace {

using namespace sylvester_bench;

constexpr int64_t kRows[] = {1, 2, 4, 8, 16};
constexpr int64_t kMostRows = 16;
constexpr int64_t kHeadDim = 64;

struct Model {
  const char* name;
  syl_dtype type, head_type;
  int64_t layers, hidden, kv, inner, vocab;

  int64_t QueryKeyValue() const { return hidden + 2 * kv; }
  int64_t Widest() const { return std::max(vocab, 2 * inner); }
};

constexpr Model kModels[] = {
    {"smollm2", SYL_Q4_1, SYL_Q8_0, 30, 576, 192, 1536, 49152},
    {"1b_q4_0", SYL_Q4_0, SYL_Q4_0, 16, 2048, 512, 8192, 128256},
    {"gsm_mini", SYL_F16, SYL_F16, 5, 192, 128, 512, 768},
    {"1b_q8_0", SYL_Q8_0, SYL_Q8_0, 16, 2048, 512, 8192, 128256},
};

class Matrix {
 public:
  Matrix(syl_dtype type, int64_t n, int64_t k) : type_(type), n_(n), k_(k), bytes_(Bytes(type, n, k)), packed_(bytes_) {
    // The panels of one random panel: small random bytes are valid weights of every type, finite and mostly normal.
    const int64_t panel_bytes = Bytes(type, kPanelRows, k);
    std::vector<uint8_t> src(
        static_cast<size_t>(kPanelRows * k / syl_dtype_block_size(type) * syl_dtype_block_bytes(type)));
    std::minstd_rand random(1);
    for (uint8_t& b : src) b = static_cast<uint8_t>(16 + random() % 16);
    syl_nn_weights_pack(type, kPanelRows, k, src.data(), static_cast<int64_t>(src.size()), packed_.data, panel_bytes,
                        nullptr);
    for (int64_t at = panel_bytes; at < bytes_; at += panel_bytes) {
      std::memcpy(packed_.data + at, packed_.data, static_cast<size_t>(panel_bytes));
    }
  }

  int64_t bytes() const { return bytes_; }

  syl_status Multiply(const float* x, int64_t rows, uint32_t flags, float* y, Buffer& workspace,
                      int64_t workspace_bytes, syl_pool* pool) const {
    return syl_nn_matmul_f32(type_, packed_.data, n_, k_, x, k_, rows, nullptr, flags, y, n_, workspace.data,
                             workspace_bytes, pool);
  }

 private:
  static constexpr int64_t kPanelRows = 16;

  static int64_t Bytes(syl_dtype type, int64_t n, int64_t k) {
    int64_t bytes = 0;
    syl_nn_weights_size(type, n, k, &bytes);
    return bytes;
  }

  syl_dtype type_;
  int64_t n_, k_, bytes_;
  Buffer packed_;
};

struct Layer {
  explicit Layer(const Model& m)
      : query_key_value(m.type, m.QueryKeyValue(), m.hidden),
        output(m.type, m.hidden, m.hidden),
        gate_up(m.type, 2 * m.inner, m.hidden),
        down(m.type, m.hidden, m.inner) {}

  Matrix query_key_value, output, gate_up, down;
};

class Pass {
 public:
  Pass(const Model& model, syl_pool* pool)
      : model_(model),
        pool_(pool),
        head_(model.head_type, model.vocab, model.hidden),
        workspace_bytes_(WorkspaceBytes(model)),
        workspace_(workspace_bytes_) {
    for (int64_t i = 0; i < model.layers; ++i) layers_.emplace_back(model);
    std::minstd_rand random(1);
    std::normal_distribution<float> normal;
    for (float& value : hidden_) value = normal(random);
  }

  int64_t WeightBytes() const {
    int64_t bytes = head_.bytes();
    for (const Layer& layer : layers_) {
      for (const Matrix* matrix : {&layer.query_key_value, &layer.output, &layer.gate_up, &layer.down}) {
        bytes += matrix->bytes();
      }
    }
    return bytes;
  }

  bool Run(int64_t rows) {
    const auto multiply = [&](const Matrix& matrix, const std::vector<float>& x, uint32_t flags,
                              std::vector<float>& y) {
      return matrix.Multiply(x.data(), rows, flags, y.data(), workspace_, workspace_bytes_, pool_) == SYL_OK;
    };
    const auto norm = [&] {
      return syl_nn_rms_norm_f32(hidden_.data(), model_.hidden, weight_.data(), 1e-5f, rows, model_.hidden,
                                 normed_.data(), model_.hidden, pool_) == SYL_OK;
    };
    bool ok = true;
    for (const Layer& layer : layers_) {
      ok = ok && norm() && multiply(layer.query_key_value, normed_, 0, wide_);
      ok = ok && syl_nn_rope_f32(wide_.data(), model_.QueryKeyValue(), rows, (model_.hidden + model_.kv) / kHeadDim,
                                 kHeadDim, kHeadDim, 0, rope_.data(), pool_) == SYL_OK;
      // The queries stand for what attention would make of them.
      ok = ok && multiply(layer.output, wide_, SYL_MATMUL_ACCUMULATE, hidden_);
      ok = ok && norm() && multiply(layer.gate_up, normed_, 0, wide_);
      ok = ok && syl_nn_swiglu_f32(wide_.data(), 2 * model_.inner, wide_.data() + model_.inner, 2 * model_.inner, rows,
                                   model_.inner, inner_.data(), model_.inner, pool_) == SYL_OK;
      ok = ok && multiply(layer.down, inner_, SYL_MATMUL_ACCUMULATE, hidden_);
    }
    return ok && norm() && multiply(head_, normed_, 0, wide_);
  }

 private:
  static int64_t WorkspaceBytes(const Model& model) {
    int64_t bytes = 0;
    for (const auto& [type, k] : {std::pair{model.type, model.inner}, {model.head_type, model.hidden}}) {
      int64_t needed = 0;
      syl_nn_matmul_workspace(type, 16, k, kMostRows, &needed);
      bytes = std::max(bytes, needed);
    }
    return bytes;
  }

  std::vector<float> Floats(int64_t cols) const { return std::vector<float>(static_cast<size_t>(kMostRows * cols), 1); }

  const Model& model_;
  syl_pool* pool_;
  std::deque<Layer> layers_;
  Matrix head_;
  int64_t workspace_bytes_;
  Buffer workspace_;
  std::vector<float> hidden_ = Floats(model_.hidden), normed_ = hidden_, inner_ = Floats(model_.inner),
                     wide_ = Floats(model_.Widest()), weight_ = hidden_, rope_ = Floats(kHeadDim);
};

void RunPass(benchmark::State& state, const Model& model, int threads) {
  syl_pool* raw_pool = nullptr;
  syl_pool_new(threads, &raw_pool);
  const std::unique_ptr<syl_pool, decltype(&syl_pool_free)> pool(raw_pool, &syl_pool_free);
  Pass pass(model, pool.get());
  double best[std::size(kRows)];
  std::fill_n(best, std::size(kRows), 1e9);
  for (auto _ : state) {
    for (size_t i = 0; i < std::size(kRows); ++i) {
      const auto start = std::chrono::steady_clock::now();
      if (!pass.Run(kRows[i])) state.SkipWithError(syl_last_error());
      best[i] = std::min(best[i], std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
  }
  state.counters["row_ms"] = 1e3 * best[0];
  state.counters["row_of_bandwidth_%"] =
      100 * static_cast<double>(pass.WeightBytes()) / best[0] / ReadBandwidth(threads);
  for (size_t i = 1; i < std::size(kRows); ++i) state.counters["x" + std::to_string(kRows[i])] = best[i] / best[0];
}

const bool kRegistered = [] {
  for (const Model& model : kModels) {
    for (const int threads : {1, 2}) {
      benchmark::RegisterBenchmark((std::string("nn/pass/") + model.name + "/t" + std::to_string(threads)).c_str(),
                                   [&, threads](benchmark::State& state) { RunPass(state, model, threads); })
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond)
          ->MinTime(5);
    }
  }
  return true;
}();

}  // namespace
