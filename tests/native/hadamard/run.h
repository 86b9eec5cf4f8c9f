// Runs of a rotation over memory, the library's and the reference's, compared byte by byte.
#ifndef SYLVESTER_TESTS_NATIVE_HADAMARD_RUN_H_
#define SYLVESTER_TESTS_NATIVE_HADAMARD_RUN_H_

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/native/hadamard/reference.h"
#include "tests/native/hadamard/rotation.h"
#include "tests/native/testing.h"

namespace sylvester_test {

enum class Values { kNormal, kOutliers, kPositive, kTiny, kIntegers };

// What a run reads and writes. Bytes between the elements belong to nobody and must stay.
struct Memory {
  std::vector<uint8_t> x, y;
  std::vector<float> scales, zeros;
};

template <typename Body>
void ForEachX(const Rotation& rotation, Body&& body) {
  for (int64_t t = 0; t < rotation.Transforms(); ++t) {
    for (int64_t e = 0; e < rotation.XLength(); ++e) {
      body(t, e, rotation.XOffset(t) + e * rotation.options.x_stride[3]);
    }
  }
}

template <typename Body>
void ForEachY(const Rotation& rotation, Body&& body) {
  for (int64_t t = 0; t < rotation.Transforms(); ++t) {
    for (int64_t e = 0; e < rotation.YLength(); ++e) {
      body(t, e, rotation.YOffset(t) + e * rotation.options.y_stride[3]);
    }
  }
}

inline float RandomValue(Values values, int64_t index, std::mt19937* random) {
  static const std::vector<float> normals = [] {
    std::mt19937 source(1);
    std::vector<float> values(1 << 16);
    for (float& value : values) value = std::normal_distribution<float>()(source);
    return values;
  }();
  const float normal = normals[(*random)() >> 16];
  switch (values) {
    case Values::kNormal: return normal;
    case Values::kOutliers: return index % 64 == 5 ? 1000 * normal : normal;
    case Values::kPositive: return std::fabs(normal);
    case Values::kTiny: return std::ldexp(normal, -130);
    default: return std::nearbyint(4 * normal);
  }
}

// Values in x and in y, all bits set (NaN) between them and elsewhere.
inline Memory Fill(const Rotation& rotation, uint32_t seed, Values values = Values::kNormal) {
  Memory memory;
  memory.x.assign(static_cast<size_t>(rotation.XExtent() * rotation.XBytes()), 0xff);
  memory.y.assign(static_cast<size_t>(rotation.YExtent() * rotation.YBytes()), 0xff);
  std::mt19937 random(seed);
  const syl_hadamard_options& o = rotation.options;
  const auto fill = [&](syl_dtype type, std::vector<uint8_t>* bytes) {
    return [&, type, bytes](int64_t, int64_t e, int64_t index) {
      // Tiny halves are subnormal too.
      const float factor = type == SYL_F16 && values == Values::kTiny ? 0x1p110f : 1;
      StoreElement(type, bytes->data(), index, RandomValue(values, e, &random) * factor);
    };
  };
  ForEachX(rotation, fill(o.x_type, &memory.x));
  if (!rotation.Quantized()) ForEachY(rotation, fill(o.y_type, &memory.y));
  const auto parameters = static_cast<size_t>(rotation.Transforms() * rotation.Groups());
  memory.scales.assign(parameters, -7);
  memory.zeros.assign(rotation.HasZeros() ? parameters : 0, -7);
  return memory;
}

// y and x are one: what a run in place starts from.
inline Memory InPlace(Memory memory) {
  memory.y = memory.x;
  return memory;
}

template <typename T>
std::vector<T> LoadX(const Rotation& rotation, const Memory& memory, int64_t transform) {
  std::vector<T> x(static_cast<size_t>(rotation.XLength()));
  for (size_t e = 0; e < x.size(); ++e) {
    const int64_t index = rotation.XOffset(transform) + static_cast<int64_t>(e) * rotation.options.x_stride[3];
    x[e] = static_cast<T>(LoadElement(rotation.options.x_type, memory.x.data(), index));
  }
  return x;
}

template <typename T>
std::vector<T> LoadY(const Rotation& rotation, const Memory& memory, int64_t transform) {
  std::vector<T> y(static_cast<size_t>(rotation.YLength()));
  for (size_t e = 0; e < y.size(); ++e) {
    const int64_t index = rotation.YOffset(transform) + static_cast<int64_t>(e) * rotation.options.y_stride[3];
    y[e] = static_cast<T>(LoadElement(rotation.options.y_type, memory.y.data(), index));
  }
  return y;
}

template <typename T>
Memory ReferenceRunAs(const Rotation& rotation, Memory memory, int64_t first, int64_t count) {
  for (int64_t t = first; t < first + count; ++t) {
    const std::vector<T> z = Transform(rotation, t, LoadX<T>(rotation, memory, t));
    if (rotation.Quantized()) {
      const int64_t group = t * rotation.Groups();
      QuantizeReference(rotation, std::vector<float>(z.begin(), z.end()), memory.y.data() + rotation.YOffset(t),
                        memory.scales.data() + group, rotation.HasZeros() ? memory.zeros.data() + group : nullptr);
      continue;
    }
    for (size_t e = 0; e < z.size(); ++e) {
      const int64_t index = rotation.YOffset(t) + static_cast<int64_t>(e) * rotation.options.y_stride[3];
      StoreElement(rotation.options.y_type, memory.y.data(), index, static_cast<double>(z[e]));
    }
  }
  return memory;
}

// The memory after a run of transforms first .. first + count - 1; all when count is -1.
inline Memory ReferenceRun(const Rotation& rotation, const Memory& memory, int64_t first = 0, int64_t count = -1) {
  if (count < 0) count = rotation.Transforms();
  return rotation.options.x_type == SYL_F64 ? ReferenceRunAs<double>(rotation, memory, first, count)
                                            : ReferenceRunAs<float>(rotation, memory, first, count);
}

template <typename T>
Memory ReferenceRunTransposedAs(const Rotation& rotation, Memory memory) {
  for (int64_t t = 0; t < rotation.Transforms(); ++t) {
    const std::vector<T> x = TransformTransposed(rotation, t, LoadY<T>(rotation, memory, t));
    for (size_t e = 0; e < x.size(); ++e) {
      const int64_t index = rotation.XOffset(t) + static_cast<int64_t>(e) * rotation.options.x_stride[3];
      StoreElement(rotation.options.x_type, memory.x.data(), index, static_cast<double>(x[e]));
    }
  }
  return memory;
}

inline Memory ReferenceRunTransposed(const Rotation& rotation, const Memory& memory) {
  return rotation.options.x_type == SYL_F64 ? ReferenceRunTransposedAs<double>(rotation, memory)
                                            : ReferenceRunTransposedAs<float>(rotation, memory);
}

struct How {
  syl_pool* pool = nullptr;
  bool in_place = false;  // memory is an InPlace
  size_t shift = 0;       // bytes by which x and y miss any alignment
  int64_t first = 0, count = -1;
};

// A library's run on copies at chosen addresses, in workspace of exactly the bytes asked for.
inline Memory Rotate(const Rotation& rotation, Memory memory, const How& how = {}, bool transposed = false) {
  const Plan plan = NewPlan(rotation);
  if (plan == nullptr) return memory;
  constexpr size_t kAlignment = 64;
  const auto aligned = [&](const std::vector<uint8_t>& bytes, std::vector<uint8_t>* storage) {
    storage->resize(bytes.size() + kAlignment + how.shift);
    const auto start = reinterpret_cast<uintptr_t>(storage->data());
    uint8_t* at = storage->data() + (kAlignment - start % kAlignment) % kAlignment + how.shift;
    if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
    return at;
  };
  std::vector<uint8_t> x_storage, y_storage;
  uint8_t* x = aligned(memory.x, &x_storage);
  uint8_t* y = how.in_place ? x : aligned(memory.y, &y_storage);
  const int64_t needed = syl_hadamard_workspace(plan.get(), how.pool == nullptr ? 1 : syl_pool_threads(how.pool));
  EXPECT_GE(needed, 0);
  std::vector<uint8_t> workspace(static_cast<size_t>(needed) + how.shift, 0xff);  // NaN
  void* const work = needed == 0 ? nullptr : workspace.data() + how.shift;
  const int64_t count = how.count < 0 ? rotation.Transforms() : how.count;
  const syl_status status =
      transposed ? syl_hadamard_run_transposed(plan.get(), y, x, how.first, count, how.pool, work, needed)
                 : syl_hadamard_run(plan.get(), x, y, rotation.Quantized() ? memory.scales.data() : nullptr,
                                    rotation.HasZeros() ? memory.zeros.data() : nullptr, how.first, count, how.pool,
                                    work, needed);
  EXPECT_EQ(status, SYL_OK) << syl_last_error() << ": " << rotation.Name();
  // In place the same bytes are the result, whichever way.
  memory.x.assign(x, x + memory.x.size());
  memory.y.assign(y, y + memory.y.size());
  return memory;
}

inline Memory RotateTransposed(const Rotation& rotation, const Memory& memory, const How& how = {}) {
  return Rotate(rotation, memory, how, true);
}

template <typename T>
bool SameBytes(const char* name, const std::vector<T>& got, const std::vector<T>& want) {
  size_t i = 0;
  while (i < got.size() && i < want.size() && std::memcmp(&got[i], &want[i], sizeof(T)) == 0) ++i;
  const bool same = i == want.size() && i == got.size();
  if (!same) ADD_FAILURE() << name << " differs at " << i << " of " << want.size();
  return same;
}

inline bool SameY(const Memory& got, const Memory& want) {
  return SameBytes("byte of y", got.y, want.y) && SameBytes("scale", got.scales, want.scales) &&
         SameBytes("zero", got.zeros, want.zeros);
}

inline bool SameX(const Memory& got, const Memory& want) { return SameBytes("byte of x", got.x, want.x); }

// The library's bits are the reference's.
inline void ExpectBits(const Rotation& rotation, uint32_t seed, const How& how = {}, Values values = Values::kNormal) {
  Memory memory = Fill(rotation, seed, values);
  if (how.in_place) memory = InPlace(memory);
  const Memory want = ReferenceRun(rotation, memory, how.first, how.count);
  EXPECT_TRUE(SameY(Rotate(rotation, memory, how), want)) << rotation.Name() << ", seed " << seed;
}

inline void ExpectTransposedBits(const Rotation& rotation, uint32_t seed, const How& how = {}) {
  Memory memory = Fill(rotation, seed);
  if (how.in_place) memory = InPlace(memory);
  const Memory want = ReferenceRunTransposed(rotation, memory);
  EXPECT_TRUE(SameX(RotateTransposed(rotation, memory, how), want))
      << "transposed " << rotation.Name() << ", seed " << seed;
}

// A test that runs on each tier this processor has.
class HadamardTiers : public testing::TestWithParam<std::string> {
 protected:
  TierGuard tier_{GetParam()};
};

inline std::string TierName(const testing::TestParamInfo<std::string>& info) { return info.param; }

}  // namespace sylvester_test

#endif
