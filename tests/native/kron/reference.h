// Kronecker adapters by plain loops in double.
#ifndef SYLVESTER_TESTS_NATIVE_KRON_REFERENCE_H_
#define SYLVESTER_TESTS_NATIVE_KRON_REFERENCE_H_

#include "native/common/half.h"
#include "tests/native/testing.h"

namespace sylvester_test {

using Doubles = std::vector<double>;
using Floats = std::vector<float>;

struct KronSizes {
  int64_t terms, m, n, p, q;

  int64_t Out() const { return m * p; }
  int64_t In() const { return n * q; }
  size_t USize() const { return static_cast<size_t>(terms * m * n); }
  size_t VSize() const { return static_cast<size_t>(terms * p * q); }
};

inline std::ostream& operator<<(std::ostream& out, const KronSizes& s) {
  return out << s.terms << " terms " << s.m << "x" << s.n << " (x) " << s.p << "x" << s.q;
}

// Both orders, widths of the last panel from 1 to 16, LoRA, one term, sizes that divide nothing.
const KronSizes kKronSizes[] = {{1, 1, 1, 1, 1},   {1, 2, 3, 4, 5},     {3, 7, 5, 3, 11},   {2, 16, 16, 16, 16},
                                {8, 24, 8, 8, 24}, {5, 13, 40, 33, 17}, {2, 100, 3, 2, 90}, {8, 96, 1, 1, 64},
                                {1, 70, 1, 1, 35}, {4, 1, 33, 65, 1},   {3, 1, 1, 20, 30},  {6, 30, 8, 8, 48}};

struct RandomKron {
  RandomKron(const KronSizes& sizes, uint32_t seed) : size(sizes), u(sizes.USize()), v(sizes.VSize()) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 1);
    for (float& value : u) value = normal(random);
    for (float& value : v) value = normal(random);
  }

  syl_kron Native() const {
    return {sizeof(syl_kron), SYL_F32, size.terms, size.m, size.n, size.p, size.q, u.data(), v.data()};
  }

  KronSizes size;
  Floats u, v;
};

// The factors rounded to a 16-bit type; `kron` gets the rounded values.
struct HalfKron {
  HalfKron(RandomKron& kron, syl_dtype type_) : type(type_), sizes(kron.size), u(kron.u.size()), v(kron.v.size()) {
    Round(kron.u, u);
    Round(kron.v, v);
  }
  syl_kron Native() const {
    return {sizeof(syl_kron), type, sizes.terms, sizes.m, sizes.n, sizes.p, sizes.q, u.data(), v.data()};
  }

  syl_dtype type;
  KronSizes sizes;
  std::vector<uint16_t> u, v;

 private:
  void Round(Floats& values, std::vector<uint16_t>& halves) const {
    for (size_t i = 0; i < values.size(); ++i) {
      halves[i] = type == SYL_F16 ? sylvester::F16FromFloat(values[i]) : sylvester::Bf16FromFloat(values[i]);
      values[i] = type == SYL_F16 ? sylvester::FloatFromF16(halves[i]) : sylvester::FloatFromBf16(halves[i]);
    }
  }
};

// The dense matrix, out x in, without a scale.
inline Doubles DenseDelta(const KronSizes& s, const Doubles& u, const Doubles& v) {
  Doubles dense(static_cast<size_t>(s.Out() * s.In()));
  size_t at = 0;
  for (int64_t i1 = 0; i1 < s.m; ++i1) {
    for (int64_t i2 = 0; i2 < s.p; ++i2) {
      for (int64_t j1 = 0; j1 < s.n; ++j1) {
        for (int64_t j2 = 0; j2 < s.q; ++j2, ++at) {
          for (int64_t k = 0; k < s.terms; ++k) {
            dense[at] +=
                u[static_cast<size_t>((k * s.m + i1) * s.n + j1)] * v[static_cast<size_t>((k * s.p + i2) * s.q + j2)];
          }
        }
      }
    }
  }
  return dense;
}

inline Doubles DenseDelta(const RandomKron& kron) {
  return DenseDelta(kron.size, {kron.u.begin(), kron.u.end()}, {kron.v.begin(), kron.v.end()});
}

struct AlignedBytes {
  explicit AlignedBytes(int64_t bytes) : memory(static_cast<size_t>(bytes) + 64) {}
  uint8_t* Data() { return memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64; }
  std::vector<uint8_t> memory;
};

struct PackedKron {
  explicit PackedKron(const syl_kron& kron, uint32_t flags = 0) : bytes(BytesOf(kron)), memory(bytes) {
    EXPECT_EQ(syl_kron_pack(&kron, flags, memory.Data(), bytes), SYL_OK) << syl_last_error();
  }
  const void* Data() { return memory.Data(); }

  static int64_t BytesOf(const syl_kron& kron) {
    syl_kron_info info{sizeof(info), 0, 0, 0, 0};
    EXPECT_EQ(syl_kron_describe(&kron, &info), SYL_OK) << syl_last_error();
    return info.packed_bytes;
  }

  int64_t bytes;
  AlignedBytes memory;
};

inline int64_t KronWorkspace(const void* packed) {
  int64_t bytes = -1;
  EXPECT_EQ(syl_kron_workspace(packed, &bytes), SYL_OK) << syl_last_error();
  return bytes;
}

// Into y, whose gaps stay NaN. The workspace is at an odd address and not a byte larger than asked for.
inline void ApplyKron(PackedKron& packed, float scale, const Rows& x, Rows& y, uint32_t flags = 0,
                      syl_pool* pool = nullptr) {
  std::vector<uint8_t> workspace(static_cast<size_t>(KronWorkspace(packed.Data())) + 1);
  EXPECT_EQ(syl_kron_apply_f32(packed.Data(), scale, x.At(0), x.stride, x.rows, flags, y.At(0), y.stride,
                               workspace.data() + 1, static_cast<int64_t>(workspace.size()) - 1, pool),
            SYL_OK)
      << syl_last_error();
}

}  // namespace sylvester_test

#endif
