// A checked Kronecker adapter: its sizes in one direction and the order of its products.
#ifndef SYLVESTER_NATIVE_COMMON_KRON_PLAN_H_
#define SYLVESTER_NATIVE_COMMON_KRON_PLAN_H_

#include <sylvester/kron.h>

#include <algorithm>
#include <cstdint>

#include "native/common/host_device.h"

namespace sylvester {

// Sizes of delta = sum U_k (x) V_k; out and in are those of the direction.
struct KronShape {
  int64_t terms, m, n, p, q;

  SYL_HOST_DEVICE int64_t Out() const { return m * p; }
  SYL_HOST_DEVICE int64_t In() const { return n * q; }
  KronShape Transposed() const { return {terms, n, m, q, p}; }
  // Multiply-adds of a row.
  int64_t VFirst() const { return terms * (n * q * p + m * n * p); }
  int64_t UFirst() const { return terms * (m * n * q + m * q * p); }
  bool IsUFirst() const { return UFirst() <= VFirst(); }
  // Floats of T, or S, of a row.
  int64_t Between() const { return terms * (IsUFirst() ? m * q : n * p); }
};

// Where element i lies, counted in elements: i is cut into (i / group, i % group).
struct Axis {
  int64_t count, group;
  int64_t outer, inner;  // strides

  SYL_HOST_DEVICE int64_t At(int64_t i) const { return i / group * outer + i % group * inner; }
};

inline Axis Uniform(int64_t count, int64_t stride) { return {count, count, 0, stride}; }

// One of the two products of some rows:
//   c[to_rows.At(r) + to_columns.At(j)] = sum_d a[rows.At(r) + d step] factors[columns.At(j) + depth.At(d)]
struct KronStep {
  bool of_u;  // whose factors
  Axis rows;
  int64_t step;
  Axis columns, depth;
  Axis to_rows, to_columns;  // counts and groups of to_rows: those of rows
};

// The first takes rows of x to T (or S), shape.Between() floats a row; the second takes that to y.
struct KronSteps {
  KronStep first, second;
};

// shape: of the direction, transposed: whether it is the other one than that of the factors.
KronSteps StepsOf(const KronShape& shape, bool transposed, int64_t rows, int64_t x_stride, int64_t y_stride);

// The products behind the gradients of some rows, in their order. t makes T [k][j1][row][i2] of x and V, z makes
// Z [k][row][j1][i2] of g and U, each terms n p floats a row; du and dv are added to, with g and x as factors.
struct KronGradientSteps {
  KronStep t, du, z, dv;
};
KronGradientSteps GradientStepsOf(const KronShape& shape, int64_t rows, int64_t x_stride, int64_t g_stride);

// Rows whose gradients are one sum, that then is added to those of the rows before.
inline int64_t GradientRows(const KronShape& shape) {
  return std::clamp<int64_t>((int64_t{1} << 16) / (shape.terms * shape.n * shape.p), 1, 64);
}

// Sizes and type, and that the pointers are there.
syl_status CheckKron(const char* function, const syl_kron* kron, bool needs_factors);

// Rows of x and y, strides and flags; bytes: what x and y extend over.
syl_status CheckKronRows(const char* function, const float* x, int64_t x_stride, const float* y, int64_t y_stride,
                         int64_t rows, int64_t out, int64_t in, uint32_t flags, uint32_t most_flags, int64_t bytes[2]);

// The arguments of syl_kron_gradient_f32.
struct KronGradientCall {
  const syl_kron* kron;
  float scale;
  const float* x;
  int64_t x_stride;
  const float* g;
  int64_t g_stride, rows;
  float *du, *dv, *dx;
  int64_t dx_stride;
};
// All but the workspace, and what overlaps.
syl_status CheckKronGradient(const char* function, const KronGradientCall& call);

// The arguments of syl_kron_delta; bytes: what w extends over.
syl_status CheckKronDelta(const char* function, const syl_kron* kron, double scale, uint32_t flags, syl_dtype type,
                          const void* w, int64_t w_stride, int64_t* bytes);

syl_status CheckKronWorkspace(const char* function, const void* workspace, int64_t bytes, int64_t needed);

// Of a call over segments: all but the adapters themselves and rows.
syl_status CheckKronSegments(const char* function, int32_t adapters, int64_t segments, const void* of_adapters,
                             const char* name, const int64_t* row_begin, const int32_t* adapter, const float* scale,
                             int64_t out, int64_t in);

inline KronShape ShapeOf(const syl_kron& kron) { return {kron.terms, kron.m, kron.n, kron.p, kron.q}; }

}  // namespace sylvester

#endif
