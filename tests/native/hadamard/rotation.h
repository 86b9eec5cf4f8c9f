// A plan's options with the arrays they point to.
#ifndef SYLVESTER_TESTS_NATIVE_HADAMARD_ROTATION_H_
#define SYLVESTER_TESTS_NATIVE_HADAMARD_ROTATION_H_

#include <sylvester/hadamard.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "tests/native/testing.h"

namespace sylvester_test {

constexpr int32_t kBases[] = {12, 20, 28, 36, 40, 44, 52, 60, 108, 124, 140, 156, 172};
constexpr syl_dtype kFloats[] = {SYL_F32, SYL_F64, SYL_F16, SYL_BF16};

inline int64_t LargestPowerOfTwo(int64_t n) {
  int64_t w = 1;
  while (2 * w <= n) w *= 2;
  return w;
}

struct Rotation {
  // One transform of the Sylvester family, float in and out, rows that follow each other.
  explicit Rotation(int64_t n, syl_dtype type = SYL_F32) {
    options.struct_size = sizeof(options);
    options.n = n;
    options.base = 1;
    options.x_type = options.y_type = type;
    options.rounds = 1;
    options.count[0] = options.count[1] = options.count[2] = 1;
    Contiguous();
  }

  Rotation& Family(int32_t family, int32_t base = 1, int32_t table = 0, int64_t block = 0) {
    options.family = family;
    options.base = base;
    options.table = table;
    options.block = block;
    return *this;
  }
  Rotation& Count(int64_t outer, int64_t middle, int64_t inner) {
    options.count[0] = outer;
    options.count[1] = middle;
    options.count[2] = inner;
    return Contiguous();
  }
  Rotation& Rounds(int32_t rounds) {
    options.rounds = rounds;
    return *this;
  }
  Rotation& Scale(double scale) {
    options.scale = scale;
    return *this;
  }
  Rotation& Types(syl_dtype x, syl_dtype y) {
    options.x_type = x;
    options.y_type = y;
    return *this;
  }
  Rotation& XStride(int64_t outer, int64_t middle, int64_t inner, int64_t element) {
    Assign(options.x_stride, outer, middle, inner, element);
    return *this;
  }
  Rotation& YStride(int64_t outer, int64_t middle, int64_t inner, int64_t element) {
    Assign(options.y_stride, outer, middle, inner, element);
    return *this;
  }
  // After Rounds. Bits beyond n are set too: they mean nothing.
  Rotation& Signs(int64_t rows, uint32_t seed) {
    options.sign_rows = rows;
    signs.resize(static_cast<size_t>((options.rounds + 1) * rows * ((options.n + 31) / 32)));
    std::mt19937 random(seed);
    for (uint32_t& word : signs) word = random();
    return *this;
  }
  // Places of x in random order; `zeros` of the n are -1.
  Rotation& Gather(int64_t x_length, int64_t zeros, uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<int32_t> places(static_cast<size_t>(x_length));
    std::iota(places.begin(), places.end(), 0);
    std::shuffle(places.begin(), places.end(), random);
    places.resize(static_cast<size_t>(options.n - zeros));
    places.resize(static_cast<size_t>(options.n), -1);
    std::shuffle(places.begin(), places.end(), random);
    gather = places;
    options.x_length = x_length;
    return Contiguous();
  }
  Rotation& Quantize(int32_t quantizer, int64_t group = 0) {
    options.quantizer = quantizer;
    options.group = group;
    return Contiguous();
  }
  Rotation& GroupMap(uint32_t seed) {
    group_map.resize(static_cast<size_t>(options.n));
    for (int64_t i = 0; i < options.n; ++i) group_map[static_cast<size_t>(i)] = static_cast<int32_t>(i / options.group);
    std::mt19937 random(seed);
    std::shuffle(group_map.begin(), group_map.end(), random);
    return *this;
  }
  // Strides of rows that follow each other.
  Rotation& Contiguous() {
    const int64_t* count = options.count;
    const int64_t x = XLength(), y = YLength();
    XStride(count[1] * count[2] * x, count[2] * x, x, 1);
    YStride(count[1] * count[2] * y, count[2] * y, y, 1);
    return *this;
  }

  // What the library is given.
  syl_hadamard_options Options() const {
    syl_hadamard_options given = options;
    given.signs = signs.empty() ? nullptr : signs.data();
    given.gather = gather.empty() ? nullptr : gather.data();
    given.group_map = group_map.empty() ? nullptr : group_map.data();
    return given;
  }

  bool Quantized() const { return options.quantizer != SYL_HADAMARD_NO_QUANTIZER; }
  bool HasZeros() const { return options.quantizer == SYL_HADAMARD_U4 || options.quantizer == SYL_HADAMARD_U2; }
  int64_t Transforms() const { return options.count[0] * options.count[1] * options.count[2]; }
  int64_t Groups() const { return !Quantized() ? 0 : options.group == 0 ? 1 : options.n / options.group; }
  int64_t CodeBits() const {
    return options.quantizer == SYL_HADAMARD_I8 ? 8 : options.quantizer == SYL_HADAMARD_U4 ? 4 : 2;
  }
  int64_t XLength() const { return options.x_length == 0 ? options.n : options.x_length; }
  int64_t YLength() const { return Quantized() ? options.n * CodeBits() / 8 : options.n; }
  int64_t XBytes() const { return syl_dtype_block_bytes(options.x_type); }
  int64_t YBytes() const { return Quantized() ? 1 : syl_dtype_block_bytes(options.y_type); }
  int64_t XExtent() const { return Extent(options.x_stride, XLength()); }
  int64_t YExtent() const { return Extent(options.y_stride, YLength()); }
  int64_t XOffset(int64_t transform) const { return Offset(options.x_stride, transform); }
  int64_t YOffset(int64_t transform) const { return Offset(options.y_stride, transform); }
  // The order of H.
  int64_t Order() const {
    return options.family == SYL_HADAMARD_BLOCKS       ? options.block
           : options.family == SYL_HADAMARD_OVERLAPPED ? LargestPowerOfTwo(options.n)
                                                       : options.n;
  }
  double ScaleInUse() const { return options.scale != 0 ? options.scale : 1 / std::sqrt(static_cast<double>(Order())); }
  // k + b + 2 of the error bound.
  double ErrorSteps() const {
    const double b = options.base == 1 ? 0 : 1 + options.base / 4;
    return std::log2(static_cast<double>(Order() / options.base)) + b + 2;
  }

  std::string Name() const {
    std::ostringstream name;
    name << "family " << options.family << ", n " << options.n << ", base " << options.base << "/" << options.table
         << ", types " << options.x_type << " to " << options.y_type << ", count " << options.count[0] << " "
         << options.count[1] << " " << options.count[2] << ", rounds " << options.rounds << ", quantizer "
         << options.quantizer << "/" << options.group;
    return name.str();
  }

  syl_hadamard_options options = {};
  std::vector<uint32_t> signs;
  std::vector<int32_t> gather, group_map;

 private:
  static void Assign(int64_t* stride, int64_t outer, int64_t middle, int64_t inner, int64_t element) {
    stride[0] = outer;
    stride[1] = middle;
    stride[2] = inner;
    stride[3] = element;
  }
  int64_t Offset(const int64_t* stride, int64_t transform) const {
    const int64_t inner = transform % options.count[2], outer = transform / options.count[2];
    return outer / options.count[1] * stride[0] + outer % options.count[1] * stride[1] + inner * stride[2];
  }
  int64_t Extent(const int64_t* stride, int64_t length) const {
    int64_t extent = (length - 1) * stride[3] + 1;
    for (int i = 0; i < 3; ++i) extent += (options.count[i] - 1) * stride[i];
    return extent;
  }
};

using Plan = std::unique_ptr<syl_hadamard, decltype(&syl_hadamard_free)>;

inline Plan NewPlan(const Rotation& rotation) {
  const syl_hadamard_options options = rotation.Options();
  syl_hadamard* plan = nullptr;
  EXPECT_EQ(syl_hadamard_new(&options, &plan), SYL_OK) << syl_last_error() << ": " << rotation.Name();
  return Plan(plan, &syl_hadamard_free);
}

}  // namespace sylvester_test

#endif
