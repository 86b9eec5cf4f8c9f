// Statistics of a matrix product: the bits of the product and then its statistics.
#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "tests/native/logits/logits_call.h"
#include "tests/native/nn/file_weights.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 61;

// Weights of a vocabulary, as files have them, packed.
struct Head {
  Head(syl_dtype type_, int64_t n_, int64_t k_) : type(type_), n(n_), k(k_) {
    std::mt19937 random(kSeed);
    const auto file = sylvester_tests::FileWeights::Random(type, n, k, random);
    EXPECT_EQ(syl_nn_weights_size(type, n, k, &bytes), SYL_OK);
    memory.resize(static_cast<size_t>(bytes) + 64);
    EXPECT_EQ(syl_nn_weights_pack(type, n, k, file.data(), file.size(), Packed(), bytes, nullptr), SYL_OK);
  }

  void* Packed() { return memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64; }

  syl_dtype type;
  int64_t n, k, bytes = 0;
  std::vector<uint8_t> memory;
};

struct Inputs {
  Inputs(int64_t m, int64_t k) : x(m, k, kSeed + 1), other(m, k, kSeed + 2), options(SYL_F32, nullptr, 0, m, 0) {}

  Rows x, other;
  LogitsCall options;
  bool guided = false;
  const uint64_t* streams = nullptr;
};

struct Answer {
  syl_status status;
  std::vector<syl_logits_stats> stats;

  bool operator==(const Answer& other) const {
    return status == other.status && stats.size() == other.stats.size() &&
           std::memcmp(stats.data(), other.stats.data(), stats.size() * sizeof(stats[0])) == 0;
  }
};

std::vector<syl_logits_stats> Poisoned(int64_t count) {
  std::vector<syl_logits_stats> stats(static_cast<size_t>(count));
  std::memset(stats.data(), 0x55, stats.size() * sizeof(stats[0]));
  return stats;
}

Answer Fused(Head* head, const Inputs& in, syl_pool* pool, int32_t threads) {
  int64_t bytes = -1;
  EXPECT_EQ(syl_logits_stats_product_workspace(&in.options, head->type, head->n, head->k, in.x.rows, in.guided, threads,
                                               &bytes),
            SYL_OK)
      << syl_last_error();
  std::vector<uint8_t> workspace(static_cast<size_t>(bytes) + 8, 0xff);
  Answer answer{SYL_OK, Poisoned(in.x.rows)};
  answer.status =
      syl_logits_stats_product_f32(&in.options, head->type, head->Packed(), head->n, head->k, in.x.data.data(),
                                   in.guided ? in.other.data.data() : nullptr, in.x.stride, in.x.rows, in.streams,
                                   answer.stats.data(), workspace.data() + 3, bytes, pool);
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(i < 3 ? workspace[i] : workspace[static_cast<size_t>(bytes) + i], 0xff);
  return answer;
}

Answer Unfused(Head* head, const Inputs& in) {
  int64_t bytes = -1;
  EXPECT_EQ(syl_nn_matmul_workspace(head->type, head->n, head->k, in.x.rows, &bytes), SYL_OK);
  std::vector<uint8_t> workspace(static_cast<size_t>(bytes));
  Rows y(in.x.rows, head->n, 0), u(in.x.rows, head->n, 0);
  for (const auto& [x, to] : {std::pair(&in.x, &y), std::pair(&in.other, &u)}) {
    EXPECT_EQ(syl_nn_matmul_f32(head->type, head->Packed(), head->n, head->k, x->data.data(), x->stride, x->rows,
                                nullptr, 0, to->data.data(), to->stride, workspace.data(), bytes, nullptr),
              SYL_OK);
  }
  LogitsCall call = in.options;
  call.logits = y.data.data();
  call.unconditional = in.guided ? u.data.data() : nullptr;
  call.stride = y.stride;
  call.cols = head->n;
  call.streams = in.streams;
  Answer answer{SYL_OK, Poisoned(in.x.rows)};
  answer.status = call.Run(answer.stats.data());
  return answer;
}

using Change = std::function<void(Inputs*)>;

// So many that they are among the largest and the drawn.
std::vector<int32_t> Every(int32_t step) {
  std::vector<int32_t> ids;
  for (int32_t id = 3; id < 4097; id += step) ids.push_back(id);
  return ids;
}
const std::vector<int32_t> kBanned = Every(7), kIgnored = Every(2);

const std::pair<const char*, Change> kOptions[] = {
    {"plain", [](Inputs*) {}},
    {"draws", [](Inputs* in) { in->options.draw_temperature = 1, in->options.seed = 9; }},
    {"draws at another temperature",
     [](Inputs* in) { in->options.draw_temperature = 0.6f, in->options.temperature = 1.4f, in->options.step = 3; }},
    {"guidance", [](Inputs* in) { in->guided = true, in->options.guidance = 1.5f; }},
    {"everything", [](Inputs* in) {
       in->guided = true;
       in->options.guidance = 0.5f;
       in->options.draw_temperature = 2;
       in->options.banned = kBanned.data();
       in->options.banned_count = static_cast<int64_t>(kBanned.size());
       in->options.ignored = kIgnored.data();
       in->options.ignored_count = static_cast<int64_t>(kIgnored.size());
     }}};

TEST(LogitsProduct, HasTheBitsOfProductAndStatistics) {
  for (const auto& [type, type_name] : sylvester_tests::kTypes) {
    const int64_t k = std::max<int64_t>(syl_dtype_block_size(type), 32);
    Head head(type, 8200, k);
    for (const int64_t m : {1, 7, 67}) {
      for (const auto& [name, change] : kOptions) {
        Inputs in(m, k);
        change(&in);
        const Answer want = Unfused(&head, in);
        EXPECT_EQ(want.status, SYL_OK);
        for (const int32_t threads : {1, 3}) {
          EXPECT_EQ(Fused(&head, in, NewPool(threads).get(), threads), want)
              << name << " type " << type_name << " m " << m << " threads " << threads;
        }
      }
    }
  }
}

TEST(LogitsProduct, HasThemOnEveryTierAndForSmallVocabularies) {
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    for (const int64_t n : {1, 15, 16, 17, 4096, 12289}) {
      Head head(SYL_BF16, n, 33);
      for (const auto& [name, change] : kOptions) {
        if (n < 4097 && std::string(name) == "everything") continue;  // its tokens
        Inputs in(5, 33);
        change(&in);
        EXPECT_EQ(Fused(&head, in, nullptr, 1), Unfused(&head, in)) << tier << " " << name << " n " << n;
      }
    }
  }
}

TEST(LogitsProduct, StreamsNameTheDraws) {
  Head head(SYL_F16, 9000, 16);
  Inputs in(4, 16);
  in.options.draw_temperature = 5;
  const Answer rows = Fused(&head, in, nullptr, 1);
  const std::vector<uint64_t> streams = {0, 1, uint64_t{1} << 33, 3};
  in.streams = streams.data();
  const Answer named = Fused(&head, in, nullptr, 1);
  EXPECT_EQ(named, Unfused(&head, in));
  for (size_t r = 0; r < 4; ++r) EXPECT_EQ(named.stats[r].token == rows.stats[r].token, r != 2) << r;
}

TEST(LogitsProduct, RowsWithoutProbabilitiesAreNamed) {
  Head head(SYL_F32, 5000, 16);
  for (const float draw : {0.0f, 1.0f}) {
    Inputs in(3, 16);
    in.options.draw_temperature = draw;
    in.x.At(1)[7] = kNaN;
    const Answer got = Fused(&head, in, nullptr, 1);
    EXPECT_EQ(got.status, SYL_BAD_DATA);
    EXPECT_NE(std::string(syl_last_error()).find("row 1, result 1: a logit is NaN"), std::string::npos);
    EXPECT_TRUE(std::isnan(got.stats[1].tail));
    EXPECT_FALSE(std::isnan(got.stats[2].tail));
    EXPECT_EQ(got.stats[1].token, Unfused(&head, in).stats[1].token);
  }
}

TEST(LogitsProduct, BadArgumentsAreRefused) {
  Head head(SYL_F32, 40, 16);
  Inputs in(2, 16);
  std::vector<uint8_t> workspace(1 << 21);
  std::vector<syl_logits_stats> stats = Poisoned(2);
  struct Call {
    const void* packed;
    int64_t n, k;
    const float* x;
    int64_t x_stride, m;
    syl_logits_stats* stats;
    void* workspace;
    int64_t bytes;
  };
  const auto refused = [&](const std::function<void(Call*)>& change, syl_status status, const char* text) {
    Call c{head.Packed(),
           40,
           16,
           in.x.data.data(),
           in.x.stride,
           2,
           stats.data(),
           workspace.data(),
           static_cast<int64_t>(workspace.size())};
    change(&c);
    EXPECT_REFUSED(syl_logits_stats_product_f32(&in.options, SYL_F32, c.packed, c.n, c.k, c.x, nullptr, c.x_stride, c.m,
                                                nullptr, c.stats, c.workspace, c.bytes, nullptr),
                   status, text);
    EXPECT_EQ(stats[0].argmax, 0x55555555);
  };
  refused([](Call* c) { c->packed = nullptr; }, SYL_NULL_ARGUMENT, "packed is NULL");
  refused([](Call* c) { c->packed = static_cast<const uint8_t*>(c->packed) + 4; }, SYL_BAD_VALUE, "packed is 0x");
  refused([](Call* c) { c->n = 0; }, SYL_BAD_VALUE, "cols is 0");
  refused([](Call* c) { c->k = 0; }, SYL_BAD_VALUE, "k is 0");
  refused([](Call* c) { c->x = nullptr; }, SYL_NULL_ARGUMENT, "x is NULL");
  refused([](Call* c) { c->x_stride = 15; }, SYL_BAD_SHAPE, "x_stride is 15");
  refused([](Call* c) { c->m = -1; }, SYL_BAD_VALUE, "count is -1");
  refused([](Call* c) { c->stats = nullptr; }, SYL_NULL_ARGUMENT, "stats is NULL");
  refused([](Call* c) { c->workspace = nullptr; }, SYL_NULL_ARGUMENT, "workspace is NULL");
  refused([](Call* c) { c->bytes = 100; }, SYL_WORKSPACE, "workspace_bytes is 100");
  refused([&](Call* c) { c->workspace = const_cast<float*>(c->x); }, SYL_OVERLAP, "overlaps");
  refused([&](Call* c) { c->workspace = stats.data(); }, SYL_OVERLAP, "overlaps");
  const auto with = [&](const Change& change, const char* text) {
    Inputs other = in;
    change(&other);
    std::swap(in.options, other.options);
    refused([](Call*) {}, SYL_BAD_VALUE, text);
    std::swap(in.options, other.options);
  };
  with([](Inputs* i) { i->options.type = SYL_BF16; }, "options->type is");
  with([](Inputs* i) { i->options.top_k = 3; }, "options->top_k is 3");
  with([](Inputs* i) { i->options.temperature = 0; }, "options->temperature is 0");
  int64_t bytes = 0;
  EXPECT_REFUSED(syl_logits_stats_product_workspace(&in.options, SYL_F32, 40, 16, 2, 2, 1, &bytes), SYL_BAD_VALUE,
                 "with_guidance is 2");
  EXPECT_REFUSED(syl_logits_stats_product_workspace(&in.options, SYL_F32, 40, 16, 2, 0, 0, &bytes), SYL_BAD_VALUE,
                 "threads is 0");
  EXPECT_REFUSED(syl_logits_stats_product_workspace(&in.options, SYL_F32, 40, 16, 2, 0, 1, nullptr), SYL_NULL_ARGUMENT,
                 "bytes is NULL");
}

}  // namespace
