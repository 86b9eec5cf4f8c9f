// A checked Kronecker adapter: its sizes in one direction and the order of its products.
#ifndef SYLVESTER_NATIVE_COMMON_KRON_PLAN_H_
#define SYLVESTER_NATIVE_COMMON_KRON_PLAN_H_

#include <sylvester/kron.h>

#include <cstdint>

namespace sylvester {

// Sizes of delta = sum U_k (x) V_k; out and in are those of the direction.
struct KronShape {
  int64_t terms, m, n, p, q;

  int64_t Out() const { return m * p; }
  int64_t In() const { return n * q; }
  KronShape Transposed() const { return {terms, n, m, q, p}; }
  // Multiply-adds of a row.
  int64_t VFirst() const { return terms * (n * q * p + m * n * p); }
  int64_t UFirst() const { return terms * (m * n * q + m * q * p); }
  bool IsUFirst() const { return UFirst() <= VFirst(); }
  // Floats of T, or S, of a row.
  int64_t Between() const { return terms * (IsUFirst() ? m * q : n * p); }
};

// Sizes and type, and that the pointers are there.
syl_status CheckKron(const char* function, const syl_kron* kron, bool needs_factors);

inline KronShape ShapeOf(const syl_kron& kron) { return {kron.terms, kron.m, kron.n, kron.p, kron.q}; }

}  // namespace sylvester

#endif
