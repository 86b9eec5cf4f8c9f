#include "native/common/kron_plan.h"

#include <cmath>

#include "native/common/status.h"

namespace sylvester {

KronSteps StepsOf(const KronShape& s, bool transposed, int64_t rows, int64_t x_stride, int64_t y_stride) {
  // U_k(i, j) and V_k(i, j) lie at k term + i row + j column.
  struct Strides {
    int64_t term, row, column;
  };
  const auto strides = [&](int64_t height, int64_t width) {
    return transposed ? Strides{height * width, 1, height} : Strides{height * width, width, 1};
  };
  const Strides u = strides(s.m, s.n), v = strides(s.p, s.q);
  const int64_t between = s.Between();
  if (s.IsUFirst()) {
    // S[b][k][j2][i1] from rows (b, j2), depth j1, columns (k, i1); then rows (b, i1), depth (k, j2), columns i2.
    return {{true,
             {rows * s.q, s.q, x_stride, 1},
             s.q,
             {s.terms * s.m, s.m, u.term, u.row},
             Uniform(s.n, u.column),
             {rows * s.q, s.q, between, s.m},
             {s.terms * s.m, s.m, s.q * s.m, 1}},
            {false,
             {rows * s.m, s.m, between, 1},
             s.m,
             Uniform(s.p, v.row),
             {s.terms * s.q, s.q, v.term, v.column},
             {rows * s.m, s.m, y_stride, s.p},
             Uniform(s.p, 1)}};
  }
  // T[b][k][j1][i2] from rows (b, j1), depth j2, columns (k, i2); then rows (b, i2), depth (k, j1), columns i1.
  return {{false,
           {rows * s.n, s.n, x_stride, s.q},
           1,
           {s.terms * s.p, s.p, v.term, v.row},
           Uniform(s.q, v.column),
           {rows * s.n, s.n, between, s.p},
           {s.terms * s.p, s.p, s.n * s.p, 1}},
          {true,
           {rows * s.p, s.p, between, 1},
           s.p,
           Uniform(s.m, u.row),
           {s.terms * s.n, s.n, u.term, u.column},
           {rows * s.p, s.p, y_stride, 1},
           Uniform(s.m, s.p)}};
}

KronGradientSteps GradientStepsOf(const KronShape& s, int64_t rows, int64_t x_stride, int64_t g_stride) {
  const int64_t of_term = rows * s.n * s.p;
  return {{false,
           {rows * s.n, s.n, x_stride, s.q},
           1,
           {s.terms * s.p, s.p, s.p * s.q, s.q},
           Uniform(s.q, 1),
           {rows * s.n, s.n, s.p, rows * s.p},
           {s.terms * s.p, s.p, of_term, 1}},
          {false,
           {s.terms * s.n, s.n, of_term, rows * s.p},
           1,
           Uniform(s.m, s.p),
           {rows * s.p, s.p, g_stride, 1},
           {s.terms * s.n, s.n, s.m * s.n, 1},
           Uniform(s.m, s.n)},
          {true,
           {rows * s.p, s.p, g_stride, 1},
           s.p,
           {s.terms * s.n, s.n, s.m * s.n, 1},
           Uniform(s.m, s.n),
           {rows * s.p, s.p, s.n * s.p, 1},
           {s.terms * s.n, s.n, of_term, s.p}},
          {true,
           {s.terms * s.p, s.p, of_term, 1},
           s.p,
           Uniform(s.q, 1),
           {rows * s.n, s.n, x_stride, s.q},
           {s.terms * s.p, s.p, s.p * s.q, s.q},
           Uniform(s.q, 1)}};
}

syl_status CheckKron(const char* function, const syl_kron* kron, bool needs_factors) {
  if (kron == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: kron is NULL", function);
  if (kron->struct_size != sizeof(*kron)) {
    return Fail(SYL_BAD_VALUE, "%s: kron->struct_size is %u, must be %zu", function, kron->struct_size, sizeof(*kron));
  }
  if (kron->type != SYL_F32 && kron->type != SYL_F16 && kron->type != SYL_BF16) {
    return Fail(SYL_BAD_VALUE, "%s: kron->type is %d, must be SYL_F32, SYL_F16 or SYL_BF16", function, kron->type);
  }
  const struct {
    const char* name;
    int64_t value, high;
  } sizes[] = {{"terms", kron->terms, 65536},
               {"m", kron->m, INT32_MAX},
               {"n", kron->n, INT32_MAX},
               {"p", kron->p, INT32_MAX},
               {"q", kron->q, INT32_MAX}};
  for (const auto& size : sizes) {
    if (size.value < 1 || size.value > size.high) {
      return Fail(SYL_BAD_VALUE, "%s: kron->%s is %lld, must be 1..%lld", function, size.name,
                  static_cast<long long>(size.value), static_cast<long long>(size.high));
    }
  }
  const struct {
    const char* name;
    int64_t a, b, terms;
  } products[] = {{"m p", kron->m, kron->p, 1},
                  {"n q", kron->n, kron->q, 1},
                  {"terms m n", kron->m, kron->n, kron->terms},
                  {"terms p q", kron->p, kron->q, kron->terms},
                  {"terms n p", kron->n, kron->p, kron->terms},
                  {"terms m q", kron->m, kron->q, kron->terms}};
  for (const auto& product : products) {
    if (product.a > INT32_MAX / product.b || product.a * product.b > INT32_MAX / product.terms) {
      return Fail(SYL_BAD_SHAPE, "%s: %s of kron is %lld x %lld x %lld, must be below 2^31", function, product.name,
                  static_cast<long long>(product.terms), static_cast<long long>(product.a),
                  static_cast<long long>(product.b));
    }
  }
  if (!needs_factors) return SYL_OK;
  if (kron->u == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: kron->u is NULL", function);
  if (kron->v == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: kron->v is NULL", function);
  return SYL_OK;
}

syl_status CheckKronRows(const char* function, const float* x, int64_t x_stride, const float* y, int64_t y_stride,
                         int64_t rows, int64_t out, int64_t in, uint32_t flags, uint32_t most_flags, int64_t bytes[2]) {
  const auto number = [](int64_t value) { return static_cast<long long>(value); };
  if (x == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: x is NULL", function);
  if (y == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: y is NULL", function);
  if (rows < 0) return Fail(SYL_BAD_VALUE, "%s: rows is %lld, must not be negative", function, number(rows));
  if ((flags & ~most_flags) != 0) {
    return Fail(SYL_BAD_VALUE, "%s: flags is %u, must be 0 or SYL_KRON_ACCUMULATE%s", function, flags,
                most_flags == SYL_KRON_ACCUMULATE ? "" : ", SYL_KRON_TRANSPOSED or both");
  }
  const struct {
    const char* name;
    int64_t stride, cols;
  } sides[] = {{"x", x_stride, in}, {"y", y_stride, out}};
  for (int i = 0; i < 2; ++i) {
    if (sides[i].stride < sides[i].cols) {
      return Fail(SYL_BAD_SHAPE, "%s: %s_stride is %lld, must be at least %lld", function, sides[i].name,
                  number(sides[i].stride), number(sides[i].cols));
    }
    bytes[i] = Extent(rows, sides[i].cols, sides[i].stride);
    if (bytes[i] < 0 || bytes[i] > INT64_MAX / 4) {
      return Fail(SYL_BAD_SHAPE, "%s: %s_stride is %lld, too large for %lld rows", function, sides[i].name,
                  number(sides[i].stride), number(rows));
    }
    bytes[i] *= 4;
  }
  return SYL_OK;
}

syl_status CheckKronGradient(const char* function, const KronGradientCall& c) {
  if (const syl_status bad = CheckKron(function, c.kron, true)) return bad;
  if (c.kron->type != SYL_F32) {
    return Fail(SYL_UNSUPPORTED, "%s: kron->type is %d, gradients need SYL_F32", function, c.kron->type);
  }
  if (!std::isfinite(c.scale)) {
    return Fail(SYL_BAD_VALUE, "%s: scale is %g, must be finite", function, static_cast<double>(c.scale));
  }
  const struct {
    const char* name;
    const void* pointer;
  } pointers[] = {{"x", c.x}, {"g", c.g}, {"du", c.du}, {"dv", c.dv}};
  for (const auto& pointer : pointers) {
    if (pointer.pointer == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: %s is NULL", function, pointer.name);
  }
  if (c.rows < 0) {
    return Fail(SYL_BAD_VALUE, "%s: rows is %lld, must not be negative", function, static_cast<long long>(c.rows));
  }
  const KronShape shape = ShapeOf(*c.kron);
  const struct {
    const char* name;
    int64_t stride, cols;
  } strides[] = {{"x_stride", c.x_stride, shape.In()},
                 {"g_stride", c.g_stride, shape.Out()},
                 {"dx_stride", c.dx == nullptr ? shape.In() : c.dx_stride, shape.In()}};
  for (const auto& s : strides) {
    const int64_t extent = Extent(c.rows, s.cols, s.stride);
    if (s.stride < s.cols || extent < 0 || extent > INT64_MAX / 4) {
      return Fail(SYL_BAD_SHAPE, "%s: %s is %lld, must be at least %lld and fit %lld rows", function, s.name,
                  static_cast<long long>(s.stride), static_cast<long long>(s.cols), static_cast<long long>(c.rows));
    }
  }
  return SYL_OK;
}

syl_status CheckKronDelta(const char* function, const syl_kron* kron, double scale, uint32_t flags, syl_dtype type,
                          const void* w, int64_t w_stride, int64_t* bytes) {
  if (const syl_status bad = CheckKron(function, kron, true)) return bad;
  if (!std::isfinite(scale)) return Fail(SYL_BAD_VALUE, "%s: scale is %g, must be finite", function, scale);
  if ((flags & ~uint32_t{SYL_KRON_ACCUMULATE}) != 0) {
    return Fail(SYL_BAD_VALUE, "%s: flags is %u, must be 0 or SYL_KRON_ACCUMULATE", function, flags);
  }
  if (type != SYL_F32 && type != SYL_F16 && type != SYL_BF16) {
    return Fail(SYL_BAD_VALUE, "%s: type is %d, must be SYL_F32, SYL_F16 or SYL_BF16", function, type);
  }
  if (w == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: w is NULL", function);
  const KronShape s = ShapeOf(*kron);
  const int64_t extent = Extent(s.Out(), s.In(), w_stride);
  if (w_stride < s.In() || extent < 0 || extent > INT64_MAX / 4) {
    return Fail(SYL_BAD_SHAPE, "%s: w_stride is %lld, must be at least %lld and fit %lld rows", function,
                static_cast<long long>(w_stride), static_cast<long long>(s.In()), static_cast<long long>(s.Out()));
  }
  *bytes = extent * syl_dtype_block_bytes(type);
  return SYL_OK;
}

syl_status CheckKronWorkspace(const char* function, const void* workspace, int64_t bytes, int64_t needed) {
  if (needed > 0 && workspace == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: workspace is NULL", function);
  if (bytes >= needed) return SYL_OK;
  return Fail(SYL_WORKSPACE, "%s: workspace_bytes is %lld, must be at least %lld", function,
              static_cast<long long>(bytes), static_cast<long long>(needed));
}

syl_status CheckKronSegments(const char* function, int32_t adapters, int64_t segments, const void* of_adapters,
                             const char* name, const int64_t* row_begin, const int32_t* adapter, const float* scale,
                             int64_t out, int64_t in) {
  const auto number = [](int64_t value) { return static_cast<long long>(value); };
  const struct {
    const char* name;
    int64_t value, low;
  } sizes[] = {
      {"segments->adapters", adapters, 0}, {"segments->segments", segments, 0}, {"out", out, 1}, {"in", in, 1}};
  for (const auto& size : sizes) {
    if (size.value < size.low || size.value > INT32_MAX) {
      return Fail(SYL_BAD_VALUE, "%s: %s is %lld, must be %lld..%d", function, size.name, number(size.value),
                  number(size.low), INT32_MAX);
    }
  }
  const struct {
    const char* name;
    const void* pointer;
    bool needed;
  } arrays[] = {{name, of_adapters, adapters > 0},
                {"row_begin", row_begin, true},
                {"adapter", adapter, segments > 0},
                {"scale", scale, segments > 0}};
  for (const auto& array : arrays) {
    if (array.needed && array.pointer == nullptr) {
      return Fail(SYL_NULL_ARGUMENT, "%s: segments->%s is NULL", function, array.name);
    }
  }
  if (row_begin[0] != 0) {
    return Fail(SYL_BAD_SHAPE, "%s: segments->row_begin[0] is %lld, must be 0", function, number(row_begin[0]));
  }
  for (int64_t s = 0; s < segments; ++s) {
    if (row_begin[s + 1] < row_begin[s]) {
      return Fail(SYL_BAD_SHAPE, "%s: segments->row_begin[%lld] is %lld, must not be below the one before", function,
                  number(s + 1), number(row_begin[s + 1]));
    }
    if (adapter[s] < -1 || adapter[s] >= adapters) {
      return Fail(SYL_BAD_VALUE, "%s: segments->adapter[%lld] is %d, must be -1..%d", function, number(s), adapter[s],
                  adapters - 1);
    }
    if (!std::isfinite(scale[s])) {
      return Fail(SYL_BAD_VALUE, "%s: segments->scale[%lld] is %g, must be finite", function, number(s),
                  static_cast<double>(scale[s]));
    }
  }
  return SYL_OK;
}

}  // namespace sylvester

using namespace sylvester;

syl_status syl_kron_factorize(int64_t dim, int64_t factor, int64_t* small, int64_t* large) {
  SYL_REQUIRE_RANGE(dim, 1, INT32_MAX);
  SYL_REQUIRE(factor == -1 || factor >= 1, SYL_BAD_VALUE, "factor is %lld, must be -1 or at least 1",
              static_cast<long long>(factor));
  SYL_REQUIRE_PTR(small);
  SYL_REQUIRE_PTR(large);
  int64_t best = 1;
  if (factor > 0 && dim % factor == 0) {
    best = factor;
  } else {
    for (int64_t divisor = 2; divisor * divisor <= dim && (factor == -1 || divisor <= factor); ++divisor) {
      if (dim % divisor == 0) best = divisor;
    }
  }
  *small = best;
  *large = dim / best;
  return SYL_OK;
}
