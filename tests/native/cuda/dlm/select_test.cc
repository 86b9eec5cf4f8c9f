// Selection on a device against that of the processor.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/native/cuda/hadamard/run.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 82;

class CudaDlm : public CudaTest {
 protected:
  struct Answer {
    syl_status status;
    std::string text;
    std::vector<int32_t> selected;
  };

  static Answer OnCpu(const syl_dlm_rule& rule, const std::vector<syl_logits_stats>& stats,
                      const std::vector<uint8_t>& masked) {
    Answer answer;
    answer.selected.resize(stats.size());
    int64_t n = 0;
    answer.status = syl_dlm_select(&rule, stats.data(), masked.empty() ? nullptr : masked.data(),
                                   static_cast<int64_t>(stats.size()), answer.selected.data(), &n);
    if (answer.status != SYL_OK) answer.text = std::string(syl_last_error()).substr(std::strlen("syl_"));
    answer.selected.resize(static_cast<size_t>(n));
    return answer;
  }

  Answer OnDevice(const syl_dlm_rule& rule, const std::vector<syl_logits_stats>& stats,
                  const std::vector<uint8_t>& masked) const {
    std::vector<int32_t> out(stats.size() + 1, -7);
    const std::vector<uint8_t> poison(8, 0x77);
    const DeviceBytes device_stats(library(), stats.data(), stats.size() * sizeof(stats[0]));
    const DeviceBytes device_masked(library(), masked.data(), masked.size());
    const DeviceBytes selected(library(), out.data(), out.size() * 4), selected_count(library(), poison.data(), 8);
    const auto* const counted = static_cast<const int64_t*>(selected_count.get());
    EXPECT_EQ(library().dlm_select(&rule, static_cast<const syl_logits_stats*>(device_stats.get()),
                                   static_cast<const uint8_t*>(device_masked.get()), static_cast<int64_t>(stats.size()),
                                   static_cast<int32_t*>(selected.get()), static_cast<int64_t*>(selected_count.get()),
                                   nullptr),
              SYL_OK)
        << library().last_error();
    Answer answer;
    int64_t n = 0;
    answer.status = library().dlm_select_wait(counted, &n, nullptr);
    if (answer.status != SYL_OK) answer.text = std::string(library().last_error()).substr(std::strlen("syl_cuda_"));
    selected.Read(out.data());
    for (size_t i = static_cast<size_t>(n); i < out.size(); ++i) EXPECT_EQ(out[i], -7);
    out.resize(static_cast<size_t>(n));
    answer.selected = out;
    return answer;
  }
};

INSTANTIATE_TEST_SUITE_P(Libraries, CudaDlm, testing::ValuesIn(CudaRuns()), CudaRunName);

syl_dlm_rule Rule(int32_t kind, double bound) {
  syl_dlm_rule rule = {};
  rule.struct_size = sizeof(rule);
  rule.kind = kind;
  rule.bound = bound;
  return rule;
}

TEST_P(CudaDlm, RandomCasesHaveTheProcessorsPositions) {
  std::mt19937 random(kSeed);
  const auto uniform = [&] { return std::uniform_real_distribution<double>()(random); };
  size_t most = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<syl_logits_stats> stats(round % 100 == 0 ? 120 : random() % 40);
    std::vector<uint8_t> masked(round % 5 == 0 ? 0 : stats.size());
    for (syl_logits_stats& s : stats) {
      // Few values: many ties, zeros of both signs among them.
      s.probability = round % 2 == 0 ? static_cast<double>(random() % 5) / 4 : 1 - 0.3 * uniform();
      s.margin = (random() % 2 == 0 ? -1.0 : 1.0) * static_cast<double>(random() % 7) / 7;
      s.entropy = round % 3 == 0 ? static_cast<double>(random() % 4) / 8 : 0.2 * uniform();
    }
    for (uint8_t& m : masked) m = random() % 4 != 0;
    for (int32_t kind = SYL_DLM_FIXED_K; kind <= SYL_DLM_ENTROPY_BOUND; ++kind) {
      syl_dlm_rule rule = Rule(kind, kind == SYL_DLM_FACTOR ? 0.1 + 2 * uniform() : uniform());
      rule.score = static_cast<int32_t>(random() % 3);
      rule.k = static_cast<int64_t>(random() % 40);
      rule.last_too = static_cast<int32_t>(random() % 2);
      const Answer cpu = OnCpu(rule, stats, masked), device = OnDevice(rule, stats, masked);
      ASSERT_EQ(device.status, SYL_OK) << device.text;
      ASSERT_EQ(device.selected, cpu.selected) << "kind " << kind << " round " << round << " seed " << kSeed;
      most = std::max(most, cpu.selected.size());
    }
  }
  EXPECT_GT(most, 40u);
}

TEST_P(CudaDlm, NaNIsNamed) {
  std::vector<syl_logits_stats> stats(700);
  std::vector<uint8_t> masked(700, 1);
  stats[300].probability = stats[650].probability = stats[30].probability = kNaN;
  masked[30] = 0;
  const syl_dlm_rule rule = Rule(SYL_DLM_THRESHOLD, 0.5);
  const Answer cpu = OnCpu(rule, stats, masked), device = OnDevice(rule, stats, masked);
  EXPECT_EQ(cpu.status, SYL_BAD_DATA);
  EXPECT_EQ(device.status, SYL_BAD_DATA);
  EXPECT_EQ(device.text, cpu.text);
  EXPECT_EQ(device.text, "dlm_select: the score of stats[300] is NaN");
  masked[300] = masked[650] = 0;
  EXPECT_EQ(OnDevice(rule, stats, masked).selected, OnCpu(rule, stats, masked).selected);
}

TEST_P(CudaDlm, BadArgumentsAreRefused) {
  const std::vector<uint8_t> bytes(1024);
  const DeviceBytes memory(library(), bytes.data(), bytes.size());
  char* const at = static_cast<char*>(memory.get());
  const auto call = [&](const syl_dlm_rule& rule, int64_t stats, int64_t selected, int64_t counted, int64_t count = 2) {
    return library().dlm_select(&rule, reinterpret_cast<syl_logits_stats*>(at + stats), nullptr, count,
                                reinterpret_cast<int32_t*>(at + 512 + selected),
                                reinterpret_cast<int64_t*>(at + 768 + counted), nullptr);
  };
  const auto refused = [&](syl_status got, syl_status status, const std::string& text) {
    EXPECT_EQ(got, status) << text;
    EXPECT_NE(std::string(library().last_error()).find(text), std::string::npos) << library().last_error();
  };
  EXPECT_EQ(call(Rule(SYL_DLM_THRESHOLD, 0.5), 0, 0, 0), SYL_OK) << library().last_error();
  refused(call(Rule(4, 0), 0, 0, 0), SYL_BAD_VALUE, "syl_cuda_dlm_select: rule->kind is 4");
  refused(call(Rule(SYL_DLM_FACTOR, 0), 0, 0, 0), SYL_BAD_VALUE, "rule->bound is 0");
  refused(call(Rule(SYL_DLM_FACTOR, 1), 0, 0, 0, -1), SYL_BAD_VALUE, "count is -1");
  refused(call(Rule(SYL_DLM_FACTOR, 1), 4, 0, 0), SYL_BAD_VALUE, "must be aligned to 8 bytes");
  refused(call(Rule(SYL_DLM_FACTOR, 1), 0, 2, 0), SYL_BAD_VALUE, "must be aligned to 4 bytes");
  refused(call(Rule(SYL_DLM_FACTOR, 1), 0, 0, 4), SYL_BAD_VALUE, "must be aligned to 8 bytes");
  refused(library().dlm_select_wait(nullptr, nullptr, nullptr), SYL_NULL_ARGUMENT, "selected_count is NULL");
}

}  // namespace
