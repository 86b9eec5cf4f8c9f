// Statistics of logits on a device against those of the processor, bit by bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "tests/native/cuda/hadamard/run.h"
#include "tests/native/logits/logits_call.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr uint32_t kSeed = 81;

// A call's host memory.
struct Inputs {
  Inputs(syl_dtype type, int64_t rows, int64_t cols, int64_t padding = 0)
      : type(type), rows(rows), cols(cols), stride(cols + padding), count(rows) {
    values.assign(static_cast<size_t>(rows * stride), 0);
  }

  // Whole quarters have ties; no zero has a sign.
  void Fill(std::mt19937* random, bool ties, float spread = 4) {
    std::normal_distribution<float> normal(0, spread);
    for (float& value : values) {
      value = normal(*random);
      value = (ties ? std::round(value * 4) / 4 : value) + 0.0f;
    }
  }

  std::vector<uint8_t> Bytes(const std::vector<float>& floats) const {
    std::vector<uint8_t> bytes(floats.size() * (type == SYL_F32 ? 4 : 2));
    if (floats.empty()) return bytes;
    if (type == SYL_F32) {
      std::memcpy(bytes.data(), floats.data(), bytes.size());
    } else {
      EXPECT_EQ(syl_convert_from_f32(type, floats.data(), static_cast<int64_t>(floats.size()), bytes.data()), SYL_OK);
    }
    return bytes;
  }

  syl_dtype type;
  int64_t rows, cols, stride, count;
  std::vector<float> values, unconditional;
  std::vector<int32_t> list, banned, ignored;
  std::vector<uint64_t> streams;
  std::function<void(syl_logits_options*)> set = [](syl_logits_options*) {};
};

struct Answer {
  syl_status status;
  std::string text;  // without the function's name
  std::vector<syl_logits_stats> stats;
};

template <typename T>
const T* DataOrNull(const std::vector<T>& of) {
  return of.empty() ? nullptr : of.data();
}

class CudaLogits : public CudaTest {
 protected:
  static LogitsCall CallOf(const Inputs& in) {
    LogitsCall call(in.type, nullptr, in.stride, in.rows, in.cols);
    call.banned = DataOrNull(in.banned);
    call.banned_count = static_cast<int64_t>(in.banned.size());
    call.ignored = DataOrNull(in.ignored);
    call.ignored_count = static_cast<int64_t>(in.ignored.size());
    call.count = in.count;
    in.set(&call);
    return call;
  }

  static std::string AfterName(const std::string& text) { return text.empty() ? text : text.substr(text.find(": ")); }

  static Answer OnCpu(const Inputs& in) {
    LogitsCall call = CallOf(in);
    const std::vector<uint8_t> logits = in.Bytes(in.values), unconditional = in.Bytes(in.unconditional);
    call.logits = logits.data();
    call.unconditional = DataOrNull(unconditional);
    call.list = DataOrNull(in.list);
    call.streams = DataOrNull(in.streams);
    Answer answer;
    answer.stats.resize(static_cast<size_t>(in.count));
    answer.status = call.Run(answer.stats.data());
    if (answer.status != SYL_OK) answer.text = AfterName(syl_last_error());
    return answer;
  }

  Answer OnDevice(const Inputs& in) const {
    const LogitsCall call = CallOf(in);
    const std::vector<uint8_t> host_logits = in.Bytes(in.values), host_unconditional = in.Bytes(in.unconditional);
    const auto bytes_of = [](const auto& of) { return of.size() * sizeof(of[0]); };
    Answer answer;
    answer.stats.resize(static_cast<size_t>(in.count));
    int64_t needed = -1;
    EXPECT_EQ(library().logits_stats_workspace(&call, in.cols, in.count, &needed), SYL_OK) << library().last_error();
    const std::vector<uint8_t> nan(static_cast<size_t>(needed) + 4, 0xff);
    const DeviceBytes logits(library(), host_logits.data(), host_logits.size());
    const DeviceBytes unconditional(library(), host_unconditional.data(), host_unconditional.size());
    const DeviceBytes list(library(), in.list.data(), bytes_of(in.list));
    const DeviceBytes streams(library(), in.streams.data(), bytes_of(in.streams));
    const std::vector<uint8_t> poison(bytes_of(answer.stats) + 8, 0x55);
    const DeviceBytes results(library(), poison.data(), poison.size());
    const DeviceBytes workspace(library(), nan.data(), nan.size() - 4, 4);
    const auto said = [&](syl_status status) {
      answer.status = status;
      if (status != SYL_OK) answer.text = AfterName(library().last_error());
      return status;
    };
    if (said(library().logits_stats_of(
            &call, logits.get(), unconditional.get(), in.stride, in.rows, in.cols,
            static_cast<const int32_t*>(list.get()), static_cast<const uint64_t*>(streams.get()), in.count,
            static_cast<syl_logits_stats*>(results.get()), workspace.get(), needed, nullptr)) == SYL_OK) {
      said(library().logits_stats_wait(workspace.get(), nullptr));
    }
    std::vector<uint8_t> read(poison.size());
    results.Read(read.data());
    EXPECT_EQ(std::vector<uint8_t>(read.end() - 8, read.end()), std::vector<uint8_t>(8, 0x55));
    std::memcpy(answer.stats.data(), read.data(), bytes_of(answer.stats));
    return answer;
  }

  void ExpectSame(const Inputs& in, const std::string& name) const {
    const Answer cpu = OnCpu(in), device = OnDevice(in);
    EXPECT_EQ(cpu.status, SYL_OK) << cpu.text << ": " << name;
    EXPECT_EQ(device.status, SYL_OK) << device.text << ": " << name;
    for (size_t i = 0; i < cpu.stats.size(); ++i) {
      const syl_logits_stats &a = cpu.stats[i], &b = device.stats[i];
      ASSERT_EQ(std::memcmp(&a, &b, sizeof(a)), 0)
          << name << ", result " << i << ": argmax " << a.argmax << " " << b.argmax << ", token " << a.token << " "
          << b.token << ", second " << a.second << " " << b.second << ", tail " << a.tail << " " << b.tail
          << ", entropy " << a.entropy << " " << b.entropy;
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Libraries, CudaLogits, testing::ValuesIn(CudaRuns()), CudaRunName);

TEST_P(CudaLogits, AllTypesAndSizes) {
  std::mt19937 random(kSeed);
  for (const syl_dtype type : kCudaTypes) {
    for (const int64_t cols : {1, 2, 127, 129, 4096, 4097, 126464, 151936}) {
      const int64_t rows = cols > 4097 ? 1 : 3;
      for (const float draw : {0.0f, 1.0f, 0.7f}) {
        if (cols > 4097 && (draw == 0) != (type == SYL_F32)) continue;
        Inputs in(type, rows, cols, 3);
        in.Fill(&random, cols % 2 == 0);
        const uint64_t seed = random();
        in.set = [=](syl_logits_options* options) {
          options->draw_temperature = draw;
          options->seed = seed;
          options->step = 5;
        };
        ExpectSame(in, "type " + std::to_string(type) + " cols " + std::to_string(cols) + " draw " +
                           std::to_string(draw) + " seed " + std::to_string(kSeed));
      }
    }
  }
}

TEST_P(CudaLogits, SpecialRows) {
  for (const syl_dtype type : kCudaTypes) {
    for (const int64_t cols : {5, 300, 4500}) {
      Inputs in(type, 6, cols);
      const auto row = [&](int64_t r) { return in.values.begin() + r * cols; };
      std::fill_n(row(0), cols, 2.5f);        // all equal
      std::fill_n(row(1), cols, -kInfinity);  // one-hot
      *(row(1) + cols - 2) = 3;
      std::fill_n(row(2), cols, -200.0f);  // large numbers
      *(row(2) + cols / 2) = 199;
      *(row(2) + cols / 2 + 1) = 198.5f;
      std::fill_n(row(3), cols, 30000.0f);  // large and equal
      *(row(3) + 1) = 31000.0f;
      for (int64_t i = 0; i < cols; ++i) *(row(4) + i) = i % 3 == 0 ? -kInfinity : static_cast<float>(i % 7);
      std::fill_n(row(5), cols, -1000.0f);  // ties at the ends
      *row(5) = *(row(5) + cols - 1) = -900;
      for (const float temperature : {1.0f, 0.01f, 30.0f}) {
        in.set = [=](syl_logits_options* options) {
          options->temperature = temperature;
          options->draw_temperature = 0.5f;
        };
        ExpectSame(in, "type " + std::to_string(type) + " cols " + std::to_string(cols));
      }
    }
  }
}

TEST_P(CudaLogits, RandomOptions) {
  std::mt19937 random(kSeed + 1);
  const auto below = [&](int64_t n) { return static_cast<int64_t>(random() % static_cast<uint64_t>(n)); };
  for (int round = 0; round < 120; ++round) {
    const int64_t cols = below(4) == 0 ? 4000 + below(300) : 8 + below(300);
    Inputs in(kCudaTypes[below(3)], 1 + below(3), cols, below(3));
    in.Fill(&random, below(2) == 0, below(2) == 0 ? 4.0f : 60.0f);
    if (below(2) == 0) {
      in.unconditional.swap(in.values);
      in.values = in.unconditional;
      in.Fill(&random, false);
    }
    if (below(2) == 0) {
      in.count = below(5);
      for (int64_t i = 0; i < in.count; ++i) in.list.push_back(static_cast<int32_t>(below(in.rows)));
      if (in.count == 0) in.count = 1, in.list = {0};
    }
    if (below(2) == 0) {
      for (int64_t i = 0; i < in.count; ++i) in.streams.push_back((uint64_t{1} << 33) * random() + random());
    }
    for (std::vector<int32_t>* ids : {&in.banned, &in.ignored}) {
      for (int64_t i = 0; i < cols && below(2) == 0; i += 1 + below(cols)) ids->push_back(static_cast<int32_t>(i));
    }
    const float guidance = in.unconditional.empty() ? 0.0f : 0.5f * static_cast<float>(below(5));
    const float temperature = below(2) == 0 ? 1.0f : 0.3f + 0.1f * static_cast<float>(below(20));
    const float draw = below(3) == 0 ? 0.0f : below(2) == 0 ? temperature : 0.9f;
    const uint64_t seed = random() * (uint64_t{1} << 32) + random();
    const auto step = static_cast<uint32_t>(below(1000));
    const auto top_k = static_cast<int32_t>(below(2) == 0 ? 0 : below(2) == 0 ? below(cols + 2) : below(8));
    const float top_p = below(2) == 0 ? 1.0f : static_cast<float>(1 + below(99)) / 100;
    in.set = [=](syl_logits_options* options) {
      options->top_k = top_k;
      options->top_p = top_p;
      options->guidance = guidance;
      options->temperature = temperature;
      options->draw_temperature = draw;
      options->seed = seed;
      options->step = step;
    };
    ExpectSame(in, "round " + std::to_string(round) + " seed " + std::to_string(kSeed + 1));
  }
}

struct Filters {
  int32_t top_k;
  float top_p;
};

constexpr Filters kFilters[] = {{1, 1},    {2, 1},    {40, 1},     {1000, 1},      {0, 0.95f},
                                {0, 0.5f}, {0, 0.1f}, {30, 0.85f}, {5000, 0.999f}, {1 << 30, 1}};

TEST_P(CudaLogits, FiltersOfAllTypesAndSizes) {
  std::mt19937 random(kSeed + 3);
  for (const syl_dtype type : kCudaTypes) {
    for (const int64_t cols : {1, 2, 129, 4096, 4097, 9000, 151936}) {
      for (const Filters& filters : kFilters) {
        if (cols > 9000 && (filters.top_k != 30 || type != SYL_BF16)) continue;
        // Whole quarters have ties, also at the bounds.
        Inputs in(type, 2, cols, 1);
        in.Fill(&random, filters.top_p < 1 || cols % 2 == 0, 2.5f);
        for (const float temperature : {1.0f, 0.25f}) {
          in.set = [=](syl_logits_options* options) {
            options->top_k = filters.top_k;
            options->top_p = filters.top_p;
            options->temperature = temperature;
            options->draw_temperature = temperature == 1 ? 0 : 1.5f;
          };
          ExpectSame(in, "type " + std::to_string(type) + " cols " + std::to_string(cols) + " top_k " +
                             std::to_string(filters.top_k) + " top_p " + std::to_string(filters.top_p) + " seed " +
                             std::to_string(kSeed + 3));
        }
      }
    }
  }
}

TEST_P(CudaLogits, FiltersOfSpecialRows) {
  constexpr int64_t kCols = 4500;
  Inputs in(SYL_F32, 7, kCols);
  const auto row = [&](int64_t r) { return in.values.begin() + r * kCols; };
  std::fill_n(row(0), kCols, 2.5f);        // all equal
  std::fill_n(row(1), kCols, -kInfinity);  // fewer tokens than top-k wants
  *(row(1) + 4200) = 3;
  *(row(1) + 17) = 2;
  std::fill_n(row(2), kCols, -0.0f);  // zeros of both signs are equal
  for (const int64_t i : {11, 4100}) *(row(2) + i) = 0;
  for (const int64_t i : {10, 4095, 4096, 4499}) *(row(2) + i) = 2;
  *(row(2) + 4000) = 3;
  for (int64_t i = 0; i < kCols; ++i) *(row(3) + i) = static_cast<float>(i % 2 == 0 ? -i : i) * 1e30f;
  for (int64_t i = 0; i < kCols; ++i) *(row(4) + i) = static_cast<float>(i) * -1e-3f - 100;  // below 0
  std::fill_n(row(5), kCols, -1e38f);                                                        // a banned token leads
  *(row(5) + 5) = 1;
  *(row(5) + 6) = *(row(5) + 4497) = 0.5f;
  std::fill_n(row(6), kCols, -kInfinity);  // an ignored token leads, one other is there
  *(row(6) + 7) = 1;
  *(row(6) + 4499) = -50;
  in.banned = {5, 4498};
  in.ignored = {7, 4498};
  for (const Filters& filters : kFilters) {
    for (const float draw : {0.0f, 2.0f}) {
      in.set = [=](syl_logits_options* options) {
        options->top_k = filters.top_k;
        options->top_p = filters.top_p;
        options->draw_temperature = draw;
      };
      ExpectSame(in, "top_k " + std::to_string(filters.top_k) + " top_p " + std::to_string(filters.top_p));
    }
  }
}

TEST_P(CudaLogits, UnsoundRowsAreNamed) {
  std::mt19937 random(kSeed + 2);
  const auto refused = [&](const Inputs& in, const std::string& text) {
    const Answer cpu = OnCpu(in), device = OnDevice(in);
    EXPECT_EQ(cpu.status, SYL_BAD_DATA) << text;
    EXPECT_EQ(device.status, SYL_BAD_DATA) << text;
    EXPECT_EQ(device.text, cpu.text);
    EXPECT_NE(device.text.find(text), std::string::npos) << device.text;
    for (size_t i = 0; i < cpu.stats.size(); ++i) {
      const syl_logits_stats &a = cpu.stats[i], &b = device.stats[i];
      EXPECT_EQ(a.argmax, b.argmax);
      EXPECT_EQ(a.token, b.token);
      EXPECT_EQ(std::isnan(a.tail), std::isnan(b.tail));
      EXPECT_EQ(std::isnan(a.log_sum_exp), std::isnan(b.log_sum_exp));
      if (!std::isnan(a.log_sum_exp)) {
        EXPECT_EQ(a.log_sum_exp, b.log_sum_exp);
      }
    }
  };
  for (const syl_dtype type : kCudaTypes) {
    for (const float draw : {0.0f, 1.0f}) {
      Inputs in(type, 3, 5000);
      in.Fill(&random, false);
      in.list = {2, 1, 0, 1};
      in.count = 4;
      in.set = [=](syl_logits_options* options) {
        options->draw_temperature = draw;
        if (type == SYL_F16) options->top_k = 3, options->top_p = 0.9f;
      };
      const std::vector<float> sound = in.values;
      in.values[5000 + 4500] = kNaN;
      refused(in, "row 1, result 1: a logit is NaN");
      in.values = sound;
      in.values[4200] = kInfinity;
      refused(in, "row 0, result 2: largest logit or quotient not finite (largest inf)");
      in.values = sound;
      std::fill_n(in.values.begin() + 10000, 5000, -kInfinity);
      refused(in, "row 2, result 0: largest logit or quotient not finite (largest -inf)");
      in.values = sound;
      in.set = [](syl_logits_options* options) { options->draw_temperature = 1e-38f, options->top_k = 3; };
      refused(in, "row 2, result 0: largest logit or quotient not finite");
    }
  }
}

TEST_P(CudaLogits, BadArgumentsAreRefused) {
  Inputs in(SYL_F16, 2, 40);
  const LogitsCall good = CallOf(in);
  const std::vector<uint8_t> bytes(1 << 18);
  const DeviceBytes memory(library(), bytes.data(), bytes.size());
  char* const at = static_cast<char*>(memory.get());
  const auto call = [&](const LogitsCall& c, int64_t shift = 0, int64_t workspace_bytes = 1 << 17) {
    return library().logits_stats_of(&c, at + shift, nullptr, c.stride, c.rows, c.cols, c.list, nullptr, c.count,
                                     reinterpret_cast<syl_logits_stats*>(at + 1024), at + 4096, workspace_bytes,
                                     nullptr);
  };
  const auto refused = [&](syl_status got, syl_status status, const std::string& text) {
    EXPECT_EQ(got, status) << text;
    EXPECT_NE(std::string(library().last_error()).find(text), std::string::npos) << library().last_error();
  };
  EXPECT_EQ(call(good), SYL_OK) << library().last_error();
  LogitsCall bad = good;
  bad.struct_size = 4;
  refused(call(bad), SYL_BAD_VALUE, "syl_cuda_logits_stats_of: options->struct_size is 4");
  bad = good, bad.type = SYL_F64;
  refused(call(bad), SYL_BAD_VALUE, "must be F32, F16 or BF16");
  bad = good, bad.temperature = 0;
  refused(call(bad), SYL_BAD_VALUE, "options->temperature is 0");
  bad = good, bad.top_k = -3;
  refused(call(bad), SYL_BAD_VALUE, "options->top_k is -3");
  bad = good, bad.top_p = 0;
  refused(call(bad), SYL_BAD_VALUE, "options->top_p is 0");
  bad = good, bad.cols = 0;
  refused(call(bad), SYL_BAD_VALUE, "cols is 0");
  bad = good, bad.stride = 39;
  refused(call(bad), SYL_BAD_SHAPE, "stride is 39");
  bad = good, bad.count = 1;
  refused(call(bad), SYL_BAD_VALUE, "count is 1, must be rows, 2, without a list");
  const int32_t ids[] = {7, 7};
  bad = good, bad.banned = ids, bad.banned_count = 2;
  refused(call(bad), SYL_BAD_VALUE, "options->banned[1] is 7");
  refused(call(good, 1), SYL_BAD_VALUE, "logits is");
  int64_t needed = 0;
  EXPECT_EQ(library().logits_stats_workspace(&good, 40, 2, &needed), SYL_OK);
  refused(call(good, 0, needed - 1), SYL_WORKSPACE, "must be at least " + std::to_string(needed));
  bad = good, bad.ignored_count = 41;
  refused(library().logits_stats_workspace(&bad, 40, 2, &needed), SYL_BAD_VALUE, "options->ignored_count is 41");

  // What only the device sees. Nothing is read for such a number.
  for (const int32_t row : {-1, 2, INT32_MAX, INT32_MIN}) {
    in.list = {0, row};
    in.banned = {3};
    const Answer device = OnDevice(in);
    EXPECT_EQ(device.status, SYL_BAD_VALUE);
    EXPECT_NE(device.text.find("list[1] is " + std::to_string(row) + ", must be 0..1"), std::string::npos)
        << device.text;
    EXPECT_EQ(device.stats[0].argmax, 0);
    EXPECT_EQ(device.stats[1].argmax, -1);
    EXPECT_TRUE(std::isnan(device.stats[1].probability));
  }
}

}  // namespace
