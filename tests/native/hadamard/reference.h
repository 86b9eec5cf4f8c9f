// What a run must give: the order of operations of hadamard.h in plain loops. With T = float or double the bits are the
// library's; with T = long double it is the exact result for bounds.
#ifndef SYLVESTER_TESTS_NATIVE_HADAMARD_REFERENCE_H_
#define SYLVESTER_TESTS_NATIVE_HADAMARD_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "native/common/half.h"
#include "tests/native/hadamard/rotation.h"

namespace sylvester_test {

// ---- Elements in memory ------------------------------------------------------------------------------------------

inline double LoadElement(syl_dtype type, const uint8_t* base, int64_t index) {
  const uint8_t* at = base + index * syl_dtype_block_bytes(type);
  float f;
  double d;
  uint16_t h;
  switch (type) {
    case SYL_F32: return std::memcpy(&f, at, sizeof(f)), f;
    case SYL_F64: return std::memcpy(&d, at, sizeof(d)), d;
    default: std::memcpy(&h, at, sizeof(h));
  }
  return type == SYL_F16 ? sylvester::FloatFromF16(h) : sylvester::FloatFromBf16(h);
}

// value is a float unless the type is SYL_F64.
inline void StoreElement(syl_dtype type, uint8_t* base, int64_t index, double value) {
  uint8_t* at = base + index * syl_dtype_block_bytes(type);
  const auto f = static_cast<float>(value);
  const uint16_t h = type == SYL_F16 ? sylvester::F16FromFloat(f) : sylvester::Bf16FromFloat(f);
  switch (type) {
    case SYL_F32: std::memcpy(at, &f, sizeof(f)); break;
    case SYL_F64: std::memcpy(at, &value, sizeof(value)); break;
    default: std::memcpy(at, &h, sizeof(h));
  }
}

// ---- H -----------------------------------------------------------------------------------------------------------

// Entries of the base matrix. tests/native/common proves that it is orthogonal and which one it is.
inline const std::vector<float>& BaseMatrix(int32_t base, int32_t table) {
  static std::map<std::pair<int32_t, int32_t>, std::vector<float>> matrices;
  std::vector<float>& h = matrices[{base, table}];
  if (h.empty()) {
    h.assign(static_cast<size_t>(base) * base, 1);
    if (base > 1) {
      EXPECT_EQ(syl_hadamard_matrix(SYL_HADAMARD_SYLVESTER, base, base, table, 0, h.data()), SYL_OK)
          << syl_last_error();
    }
  }
  return h;
}

// Entry (i, j) of what a round multiplies with, by the definition of the family: scale H, ones for elements that an
// overlapped round keeps.
inline double ScaledEntry(const Rotation& rotation, int32_t round, int64_t i, int64_t j) {
  const syl_hadamard_options& o = rotation.options;
  const double scale = rotation.ScaleInUse();
  const auto sylvester = [scale](int64_t row, int64_t column) {
    return __builtin_popcountll(static_cast<uint64_t>(row & column)) % 2 == 1 ? -scale : scale;
  };
  switch (o.family) {
    case SYL_HADAMARD_SYLVESTER: {
      const int64_t m = o.n / o.base;
      return BaseMatrix(o.base, o.table)[static_cast<size_t>(i / m * o.base + j / m)] * sylvester(i % m, j % m);
    }
    case SYL_HADAMARD_REGULAR: {
      constexpr double kDigit[4][4] = {{1, 1, 1, -1}, {1, 1, -1, 1}, {1, -1, 1, 1}, {-1, 1, 1, 1}};
      double entry = scale;
      for (int64_t power = 1; power < o.n; power *= 4) entry *= kDigit[i / power % 4][j / power % 4];
      return entry;
    }
    case SYL_HADAMARD_BLOCKS: return i / o.block == j / o.block ? sylvester(i % o.block, j % o.block) : 0;
    default: {
      const int64_t w = rotation.Order(), first = round % 2 == 1 ? 0 : o.n - w;
      const auto is_kept = [&](int64_t k) { return k < first || k >= first + w; };
      if (is_kept(i) || is_kept(j)) return i == j ? 1 : 0;
      return sylvester(i - first, j - first);
    }
  }
}

template <typename T>
void Butterflies(T* z, int64_t n) {
  for (int64_t h = 1; h < n; h *= 2) {
    for (int64_t i = 0; i < n; ++i) {
      if ((i & h) != 0) continue;
      const T a = z[i], b = z[i + h];
      z[i] = a + b;
      z[i + h] = a - b;
    }
  }
}

template <typename T>
void RegularButterflies(T* z, int64_t n) {
  for (int64_t h = 1; h < n; h *= 4) {
    for (int64_t i = 0; i < n; ++i) {
      if (i / h % 4 != 0) continue;
      const T a = z[i] + z[i + h], b = z[i] - z[i + h], c = z[i + 2 * h] + z[i + 3 * h],
              d = z[i + 2 * h] - z[i + 3 * h];
      z[i] = a + d;
      z[i + h] = a - d;
      z[i + 2 * h] = c + b;
      z[i + 3 * h] = c - b;
    }
  }
}

// The m elements a base apart from each other in z[base][m].
template <typename T>
void BasePart(int32_t base, int32_t table, bool transposed, T* z, int64_t m) {
  const std::vector<float>& h = BaseMatrix(base, table);
  std::vector<T> column(static_cast<size_t>(base));
  for (int64_t l = 0; l < m; ++l) {
    for (int32_t j = 0; j < base; ++j) column[static_cast<size_t>(j)] = z[j * m + l];
    for (int32_t i = 0; i < base; ++i) {
      const auto sign = [&](int32_t j) { return h[static_cast<size_t>(transposed ? j * base + i : i * base + j)]; };
      T sum = 0;
      for (int32_t j = 0; j < base; j += 4) {
        const T* c = &column[static_cast<size_t>(j)];
        const T a = sign(j) == sign(j + 1) ? c[0] + c[1] : c[0] - c[1];
        const T b = sign(j + 2) == sign(j + 3) ? c[2] + c[3] : c[2] - c[3];
        const T quad = sign(j) == sign(j + 2) ? a + b : a - b;
        sum = sign(j) > 0 ? sum + quad : sum - quad;
      }
      z[i * m + l] = sum;
    }
  }
}

// z = scale H z.
template <typename T>
void ApplyScaledH(const Rotation& rotation, int32_t round, bool transposed, T* z) {
  const syl_hadamard_options& o = rotation.options;
  const T scale = static_cast<T>(rotation.ScaleInUse());
  int64_t first = 0, length = o.n;
  if (o.family == SYL_HADAMARD_REGULAR) {
    RegularButterflies(z, o.n);
  } else if (o.family == SYL_HADAMARD_OVERLAPPED) {
    length = rotation.Order();
    first = round % 2 == 1 ? 0 : o.n - length;
    Butterflies(z + first, length);
  } else {
    const int64_t m = rotation.Order() / o.base;
    for (int64_t i = 0; i < o.n; i += m) Butterflies(z + i, m);
    if (o.base > 1) BasePart(o.base, o.table, transposed, z, m);
  }
  for (int64_t i = first; i < first + length; ++i) z[i] *= scale;
}

template <typename T>
void ApplySigns(const Rotation& rotation, int32_t round, int64_t transform, T* z) {
  const syl_hadamard_options& o = rotation.options;
  if (rotation.signs.empty()) return;
  const int64_t row = transform % o.count[2] % o.sign_rows, words = (o.n + 31) / 32;
  const uint32_t* signs = rotation.signs.data() + (round * o.sign_rows + row) * words;
  for (int64_t i = 0; i < o.n; ++i) {
    if (signs[i / 32] >> i % 32 & 1) z[i] = -z[i];
  }
}

// z of x[x_length].
template <typename T>
std::vector<T> Transform(const Rotation& rotation, int64_t transform, const std::vector<T>& x) {
  std::vector<T> z(x);
  if (!rotation.gather.empty()) {
    z.assign(rotation.gather.size(), 0);
    for (size_t i = 0; i < z.size(); ++i) {
      if (rotation.gather[i] >= 0) z[i] = x[static_cast<size_t>(rotation.gather[i])];
    }
  }
  ApplySigns(rotation, 0, transform, z.data());
  for (int32_t round = 1; round <= rotation.options.rounds; ++round) {
    ApplyScaledH(rotation, round, false, z.data());
    ApplySigns(rotation, round, transform, z.data());
  }
  return z;
}

// x[x_length] of y[n].
template <typename T>
std::vector<T> TransformTransposed(const Rotation& rotation, int64_t transform, const std::vector<T>& y) {
  std::vector<T> z(y);
  for (int32_t round = rotation.options.rounds; round >= 1; --round) {
    ApplySigns(rotation, round, transform, z.data());
    ApplyScaledH(rotation, round, true, z.data());
  }
  ApplySigns(rotation, 0, transform, z.data());
  if (rotation.gather.empty()) return z;
  std::vector<T> x(static_cast<size_t>(rotation.XLength()), 0);
  for (size_t i = 0; i < z.size(); ++i) {
    if (rotation.gather[i] >= 0) x[static_cast<size_t>(rotation.gather[i])] = z[i];
  }
  return x;
}

// ---- Codes -------------------------------------------------------------------------------------------------------

// scales, zeros: of the transform's groups; codes: its bytes.
inline void QuantizeReference(const Rotation& rotation, const std::vector<float>& z, uint8_t* codes, float* scales,
                              float* zeros) {
  struct Group {
    float low = kInfinity, high = -kInfinity, largest = 0;
    bool finite = true;
  };
  const bool has_zeros = rotation.HasZeros();
  const float levels = rotation.CodeBits() == 8 ? 127.0f : rotation.CodeBits() == 4 ? 15.0f : 3.0f;
  const size_t length = z.size() / static_cast<size_t>(rotation.Groups());
  const auto group_of = [&](size_t i) {
    return rotation.group_map.empty() ? i / length : static_cast<size_t>(rotation.group_map[i]);
  };
  std::vector<Group> groups(static_cast<size_t>(rotation.Groups()));
  for (size_t i = 0; i < z.size(); ++i) {
    Group& group = groups[group_of(i)];
    group.finite = group.finite && std::isfinite(z[i]);
    group.low = std::min(group.low, z[i]);
    group.high = std::max(group.high, z[i]);
    group.largest = std::max(group.largest, std::fabs(z[i]));
  }
  for (size_t g = 0; g < groups.size(); ++g) {
    const float zero = groups[g].low + 0.0f, range = has_zeros ? groups[g].high - zero : groups[g].largest;
    groups[g].finite = groups[g].finite && std::isfinite(range);
    scales[g] = groups[g].finite ? range / levels : kNaN;
    if (has_zeros) zeros[g] = groups[g].finite ? zero : kNaN;
  }
  std::memset(codes, 0, static_cast<size_t>(rotation.YLength()));
  for (size_t i = 0; i < z.size(); ++i) {
    const size_t g = group_of(i);
    if (!groups[g].finite || scales[g] == 0) continue;
    const float rounded = std::nearbyint((has_zeros ? z[i] - zeros[g] : z[i]) / scales[g]);
    const auto code = static_cast<int32_t>(std::min(std::max(rounded, has_zeros ? 0 : -127.0f), levels));
    const size_t bit = i * static_cast<size_t>(rotation.CodeBits());
    codes[bit / 8] |= static_cast<uint8_t>((code & 0xff) << bit % 8);
  }
}

}  // namespace sylvester_test

#endif
