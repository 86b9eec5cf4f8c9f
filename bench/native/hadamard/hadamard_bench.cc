// hadamard/<what>/<type>/n:<n>/<bytes of rows>: time of one pass over the rows in place, with
//   ns_per_row; bytes_per_second read and written;
//   memcpy, sweep: time as a multiple of memcpy of the same bytes and of multiplying them in place;
//   bound: share of the instruction bound of rows in registers (yardsticks.h).
#include <benchmark/benchmark.h>
#include <sylvester/sylvester.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/native/hadamard/yardsticks.h"

namespace {

using sylvester_bench::Buffer;

struct Place {
  const char* name;
  int64_t bytes;
};
constexpr Place kPlaces[] = {{"16KB", 16 << 10}, {"512KB", 512 << 10}, {"8MB", 8 << 20}, {"256MB", 256 << 20}};

// Values that neither grow nor vanish however often they are transformed.
void FillNormal(float* x, int64_t count) {
  std::minstd_rand random(1);
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < count; ++i) x[i] = i < 4096 ? normal(random) : x[i - 4096];
}

__attribute__((optimize("O3"))) void Sweep(float* x, int64_t count) {
  float one = 1;
  benchmark::DoNotOptimize(one);
  for (int64_t i = 0; i < count; ++i) x[i] *= one;
}

// Seconds of memcpy and of a sweep over some bytes, measured once.
struct Traffic {
  double copy, sweep;
};
const Traffic& TrafficOf(int64_t bytes) {
  static std::map<int64_t, Traffic> measured;
  Traffic& result = measured[bytes];
  if (result.copy == 0) {
    const Buffer from(bytes), to(bytes);
    FillNormal(reinterpret_cast<float*>(from.data), bytes / 4);
    std::memset(to.data, 1, static_cast<size_t>(bytes));
    const int64_t repeats = std::max<int64_t>(1, (1 << 20) / bytes);
    result.copy = sylvester_bench::SecondsOf(
        [&] {
          std::memcpy(to.data, from.data, static_cast<size_t>(bytes));
          benchmark::ClobberMemory();
        },
        repeats);
    result.sweep = sylvester_bench::SecondsOf([&] { Sweep(reinterpret_cast<float*>(from.data), bytes / 4); }, repeats);
  }
  return result;
}

// Runs body(x) over `rows` rows of n elements of element_bytes each, and reports.
template <typename Body>
void Measure(benchmark::State& state, int64_t n, int64_t rows, int64_t element_bytes, Body body) {
  const int64_t bytes = rows * n * element_bytes;
  const Traffic& traffic = TrafficOf(bytes);
  const double bound = sylvester_bench::InstructionBound(n);
  const Buffer x(rows * n * 4);
  FillNormal(reinterpret_cast<float*>(x.data), rows * n);
  if (element_bytes == 2) {
    std::vector<float> floats(reinterpret_cast<float*>(x.data), reinterpret_cast<float*>(x.data) + rows * n);
    syl_convert_from_f32(SYL_BF16, floats.data(), rows * n, x.data);
  }
  double seconds = 1e9;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    const int64_t repeats = std::max<int64_t>(1, (1 << 18) / bytes);
    for (int64_t i = 0; i < repeats; ++i) body(x.data);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    state.SetIterationTime(taken.count() / static_cast<double>(repeats));
    seconds = std::min(seconds, taken.count() / static_cast<double>(repeats));
  }
  state.counters["ns_per_row"] = seconds / static_cast<double>(rows) * 1e9;
  state.counters["GB_per_s"] = 2 * static_cast<double>(bytes) / seconds / 1e9;
  state.counters["memcpy"] = seconds / traffic.copy;
  state.counters["sweep"] = seconds / traffic.sweep;
  if (bound > 0) state.counters["bound"] = bound * static_cast<double>(rows) / seconds;
}

void Check(benchmark::State& state, syl_status status) {
  if (status != SYL_OK) state.SkipWithError(syl_last_error());
}

using Plan = std::unique_ptr<syl_hadamard, decltype(&syl_hadamard_free)>;

syl_hadamard_options RowsOptions(int64_t n, int64_t rows) {
  syl_hadamard_options o = {};
  o.struct_size = sizeof(o);
  o.n = n;
  o.base = 1;
  o.x_type = o.y_type = SYL_F32;
  o.count[0] = o.count[1] = 1;
  o.count[2] = rows;
  for (int64_t* stride : {o.x_stride, o.y_stride}) {
    stride[0] = stride[1] = rows * n;
    stride[2] = n;
    stride[3] = 1;
  }
  o.rounds = 1;
  return o;
}

// One plan, run over all its transforms from x to y.
struct PlanRun {
  PlanRun(benchmark::State& state, const syl_hadamard_options& options) {
    syl_hadamard* raw = nullptr;
    Check(state, syl_hadamard_new(&options, &raw));
    plan.reset(raw);
    workspace.resize(static_cast<size_t>(syl_hadamard_workspace(raw, 1)));
    count = options.count[0] * options.count[1] * options.count[2];
  }
  void operator()(benchmark::State& state, const void* x, void* y, float* scales = nullptr) {
    Check(state, syl_hadamard_run(plan.get(), x, y, scales, nullptr, 0, count, nullptr, workspace.data(),
                                  static_cast<int64_t>(workspace.size())));
  }
  Plan plan{nullptr, syl_hadamard_free};
  std::vector<uint8_t> workspace;
  int64_t count = 0;
};

using Fwht = void (*)(float* x, int64_t n);

template <typename Run>
void Register(const std::string& name, Run run) {
  benchmark::RegisterBenchmark(("hadamard/" + name).c_str(), run)->UseManualTime()->Unit(benchmark::kMicrosecond);
}

void RegisterRows(int64_t n, const Place& place) {
  const int64_t rows = place.bytes / 4 / n;
  const std::string suffix = "/n:" + std::to_string(n) + "/" + place.name;
  Register("rows/f32" + suffix, [=](benchmark::State& state) {
    Measure(state, n, rows, 4,
            [&](uint8_t* x) { Check(state, syl_hadamard_f32(reinterpret_cast<float*>(x), rows, n, n, 0, nullptr)); });
  });
  // The 2nd-level cache holds what rivals may need again.
  if (place.bytes > 512 << 10) return;
  const auto rival = [&](const char* name, Fwht fwht) {
    Register(std::string(name) + "/f32" + suffix, [=](benchmark::State& state) {
      Measure(state, n, rows, 4, [&](uint8_t* x) {
        auto* floats = reinterpret_cast<float*>(x);
        for (int64_t r = 0; r < rows; ++r) fwht(floats + r * n, n);
        // Rivals do not scale: without this the values would overflow.
        const float scale = 1 / std::sqrt(static_cast<float>(n));
        for (int64_t i = 0; i < rows * n; ++i) floats[i] *= scale;
      });
    });
  };
  rival("rival_textbook", sylvester_bench::TextbookFwht);
#if defined(__x86_64__)
  rival("rival_radix2_avx2", sylvester_bench::Radix2Fwht);
#endif
}

void RegisterBf16(int64_t n, const Place& place) {
  const int64_t rows = place.bytes / 2 / n;
  Register("rows/bf16/n:" + std::to_string(n) + "/" + place.name, [=](benchmark::State& state) {
    Measure(state, n, rows, 2, [&](uint8_t* x) {
      Check(state, syl_hadamard_bf16(reinterpret_cast<uint16_t*>(x), rows, n, n, 0, nullptr));
    });
  });
}

// Rotation with signs on both sides.
void RegisterSigned(int64_t n, const Place& place) {
  const int64_t rows = place.bytes / 4 / n;
  Register("signs/f32/n:" + std::to_string(n) + "/" + place.name, [=](benchmark::State& state) {
    const std::vector<uint32_t> signs(static_cast<size_t>(2 * ((n + 31) / 32)), 0x9e3779b9);
    syl_hadamard_options o = RowsOptions(n, rows);
    o.signs = signs.data();
    o.sign_rows = 1;
    PlanRun run(state, o);
    Measure(state, n, rows, 4, [&](uint8_t* x) { run(state, x, x); });
  });
}

// Rows to int8 codes: in one call, and as a rotation to memory followed by a loop that quantises.
void RegisterQuantized(int64_t n, const Place& place) {
  const int64_t rows = place.bytes / 4 / n;
  const std::string suffix = "/n:" + std::to_string(n) + "/" + place.name;
  Register("int8_fused/f32" + suffix, [=](benchmark::State& state) {
    syl_hadamard_options o = RowsOptions(n, rows);
    o.quantizer = SYL_HADAMARD_I8;
    PlanRun run(state, o);
    std::vector<int8_t> codes(static_cast<size_t>(rows * n));
    std::vector<float> scales(static_cast<size_t>(rows));
    Measure(state, n, rows, 4, [&](uint8_t* x) { run(state, x, codes.data(), scales.data()); });
  });
#if defined(__x86_64__)
  Register("int8_apart/f32" + suffix, [=](benchmark::State& state) {
    PlanRun run(state, RowsOptions(n, rows));
    std::vector<float> rotated(static_cast<size_t>(rows * n));
    std::vector<int8_t> codes(static_cast<size_t>(rows * n));
    std::vector<float> scales(static_cast<size_t>(rows));
    Measure(state, n, rows, 4, [&](uint8_t* x) {
      run(state, x, rotated.data());
      for (int64_t r = 0; r < rows; ++r) {
        scales[static_cast<size_t>(r)] =
            sylvester_bench::PlainQuantize(rotated.data() + r * n, n, codes.data() + r * n);
      }
      benchmark::ClobberMemory();
    });
  });
#endif
}

// Across heads: element e of transform i at e * head_dim + i.
void RegisterHeads(int64_t heads, int64_t head_dim, int64_t tokens) {
  const std::string name = "across_heads/f32/n:" + std::to_string(heads) + "/" + std::to_string(tokens) + "x" +
                           std::to_string(heads) + "x" + std::to_string(head_dim);
  Register(name, [=](benchmark::State& state) {
    syl_hadamard_options o = RowsOptions(heads, head_dim);
    o.count[1] = tokens;
    for (int64_t* stride : {o.x_stride, o.y_stride}) {
      stride[0] = tokens * heads * head_dim;
      stride[1] = heads * head_dim;
      stride[2] = 1;
      stride[3] = head_dim;
    }
    PlanRun run(state, o);
    Measure(state, heads, tokens * head_dim, 4, [&](uint8_t* x) { run(state, x, x); });
  });
}

void RegisterFamily(const char* family_name, int32_t family, int64_t n, int32_t base, int64_t block) {
  const int64_t rows = (512 << 10) / 4 / n;
  Register(std::string(family_name) + "/f32/n:" + std::to_string(n) + "/512KB", [=](benchmark::State& state) {
    syl_hadamard_options o = RowsOptions(n, rows);
    o.family = family;
    o.base = base;
    o.block = block;
    PlanRun run(state, o);
    Measure(state, n, rows, 4, [&](uint8_t* x) { run(state, x, x); });
  });
}

[[maybe_unused]] const bool registered = [] {
  if (const char* tier = std::getenv("SYLVESTER_TIER")) {
    if (syl_tier_force(tier) != SYL_OK) {
      std::fprintf(stderr, "SYLVESTER_TIER: %s\n", syl_last_error());
      std::exit(2);
    }
  }
  benchmark::AddCustomContext("tier", syl_tier());
  for (const Place& place : kPlaces) {
    for (const int64_t n : {64, 128, 256, 512, 1024, 4096, 16384, 65536, 1 << 20}) {
      if (n * 4 <= place.bytes) RegisterRows(n, place);
    }
  }
  for (const Place& place : {kPlaces[0], kPlaces[1]}) {
    for (const int64_t n : {64, 128, 256, 512, 1024}) {
      RegisterBf16(n, place);
      RegisterSigned(n, place);
      RegisterQuantized(n, place);
    }
  }
  RegisterHeads(32, 128, 32);
  RegisterHeads(128, 64, 16);
  RegisterFamily("base_28", SYL_HADAMARD_SYLVESTER, 28 * 128, 28, 0);
  RegisterFamily("base_172", SYL_HADAMARD_SYLVESTER, 172 * 64, 172, 0);
  RegisterFamily("regular", SYL_HADAMARD_REGULAR, 256, 1, 0);
  RegisterFamily("blocks_64", SYL_HADAMARD_BLOCKS, 192, 1, 64);
  RegisterFamily("overlapped", SYL_HADAMARD_OVERLAPPED, 96, 1, 0);
  return true;
}();

}  // namespace
