#include "native/common/hadamard_base.h"

#include <sylvester/hadamard.h>

#include <array>
#include <cstddef>

namespace sylvester {
namespace {

using Matrix = std::vector<int8_t>;

// GF(p^degree). Element a stands for the polynomial whose coefficients are a's digits in base p; x^degree = tail.
struct Field {
  int32_t p, degree;
  std::array<int32_t, 3> tail;  // lowest coefficient first

  int32_t Order() const {
    int32_t order = 1;
    for (int32_t i = 0; i < degree; ++i) order *= p;
    return order;
  }
};

using Polynomial = std::array<int32_t, 6>;  // holds a product before it is reduced

Polynomial Coefficients(const Field& field, int32_t element) {
  Polynomial digits = {};
  for (int32_t i = 0; i < field.degree; ++i, element /= field.p) digits[i] = element % field.p;
  return digits;
}

int32_t Element(const Field& field, const Polynomial& digits) {
  int32_t element = 0;
  for (int32_t i = field.degree - 1; i >= 0; --i) element = element * field.p + digits[i];
  return element;
}

int32_t Difference(const Field& field, int32_t a, int32_t b) {
  Polynomial x = Coefficients(field, a);
  const Polynomial y = Coefficients(field, b);
  for (int32_t i = 0; i < field.degree; ++i) x[i] = (x[i] - y[i] + field.p) % field.p;
  return Element(field, x);
}

int32_t Square(const Field& field, int32_t a) {
  const Polynomial x = Coefficients(field, a);
  Polynomial product = {};
  for (int32_t i = 0; i < field.degree; ++i) {
    for (int32_t j = 0; j < field.degree; ++j) product[i + j] += x[i] * x[j];
  }
  for (int32_t i = 2 * field.degree - 2; i >= field.degree; --i) {
    for (int32_t j = 0; j < field.degree; ++j) product[i - field.degree + j] += product[i] * field.tail[j];
  }
  for (int32_t i = 0; i < field.degree; ++i) product[i] %= field.p;
  return Element(field, product);
}

// Jacobsthal's matrix: q[a][b] = 1 when a - b is a square of the field, -1 when it is none, 0 for a = b.
Matrix Jacobsthal(const Field& field) {
  const int32_t order = field.Order();
  std::vector<int8_t> character(order, -1);
  for (int32_t a = 1; a < order; ++a) character[Square(field, a)] = 1;
  character[0] = 0;
  Matrix q;
  q.reserve(static_cast<size_t>(order) * order);
  for (int32_t a = 0; a < order; ++a) {
    for (int32_t b = 0; b < order; ++b) q.push_back(character[Difference(field, a, b)]);
  }
  return q;
}

// The matrix of order n = q + 1 with a border around Jacobsthal's: 0 in the corner, ones below it, `row` beside it.
Matrix Bordered(const Field& field, int8_t row) {
  const Matrix q = Jacobsthal(field);
  const int32_t n = field.Order() + 1;
  Matrix s(static_cast<size_t>(n) * n, row);
  for (int32_t i = 0; i < n; ++i) {
    s[i * n] = i == 0 ? 0 : 1;
    for (int32_t j = 1; i > 0 && j < n; ++j) s[i * n + j] = q[(i - 1) * (n - 1) + j - 1];
  }
  return s;
}

// R. E. A. C. Paley, "On orthogonal matrices", J. Math. Phys. 12 (1933). The order of the field is 3 mod 4: S is skew,
// H = I + S.
Matrix Paley1(const Field& field) {
  Matrix h = Bordered(field, -1);
  const int32_t n = field.Order() + 1;
  for (int32_t i = 0; i < n; ++i) h[i * n + i] = 1;
  return h;
}

// The same, 1 mod 4: S is symmetric and so is H = S (x) [1 1; 1 -1] + I (x) [1 -1; -1 -1].
Matrix Paley2(const Field& field) {
  const Matrix s = Bordered(field, 1);
  const int32_t n = field.Order() + 1;
  Matrix h(static_cast<size_t>(4) * n * n);
  for (int32_t i = 0; i < 2 * n; ++i) {
    for (int32_t j = 0; j < 2 * n; ++j) {
      const int8_t entry = s[i / 2 * n + j / 2];
      const int8_t off_diagonal = i % 2 * (j % 2) == 1 ? -entry : entry;
      h[i * 2 * n + j] = i / 2 != j / 2 ? off_diagonal : i % 2 + j % 2 == 0 ? 1 : -1;
    }
  }
  return h;
}

// [h h; h -h].
Matrix Doubled(const Matrix& h, int32_t n) {
  Matrix doubled(static_cast<size_t>(4) * n * n);
  for (int32_t i = 0; i < 2 * n; ++i) {
    for (int32_t j = 0; j < 2 * n; ++j) {
      const int8_t entry = h[i % n * n + j % n];
      doubled[i * 2 * n + j] = i >= n && j >= n ? -entry : entry;
    }
  }
  return doubled;
}

// J. Williamson, "Hadamard's determinant theorem and the sum of four squares", Duke Math. J. 11 (1944): four symmetric
// circulants of odd order m whose squares sum to 4 m I, as the components of a quaternion. Bit d of a mask, d <= m / 2:
// entries at the circular distance d from the diagonal are -1.
Matrix Williamson(int32_t m, const std::array<uint32_t, 4>& masks) {
  const int32_t n = 4 * m;
  // Block (i, j) is circulant i ^ j, negated where the product of the quaternion units is.
  constexpr bool kNegated[4][4] = {{0, 0, 0, 0}, {1, 0, 1, 0}, {1, 0, 0, 1}, {1, 1, 0, 0}};
  Matrix h(static_cast<size_t>(n) * n);
  for (int32_t i = 0; i < n; ++i) {
    for (int32_t j = 0; j < n; ++j) {
      const int32_t around = (i % m - j % m + m) % m;
      const int32_t distance = around <= m / 2 ? around : m - around;
      const bool negative = masks[i / m ^ j / m] >> distance & 1;
      h[i * n + j] = negative != kNegated[i / m][j / m] ? -1 : 1;
    }
  }
  return h;
}

}  // namespace

bool HasHadamardBase(int32_t base, int32_t table) {
  if (table == SYL_HADAMARD_TABLE_QUAROT) return base == 12;
  if (table != SYL_HADAMARD_TABLE_DEFAULT) return false;
  for (const int32_t order : {1, 12, 20, 28, 36, 40, 44, 52, 60, 108, 124, 140, 156, 172}) {
    if (base == order) return true;
  }
  return false;
}

std::vector<int8_t> HadamardBase(int32_t base, int32_t table) {
  const auto prime = [](int32_t p) { return Field{p, 1, {}}; };
  switch (base) {
    // Both are in use: fast-hadamard-transform has the first; QuaRot, SpinQuant and QuIP# have the second, Sloane's
    // had.12 (neilsloane.com/hadamard). 20, 40, 60, 108 and 140 are QuaRot's too, entry by entry.
    case 12: return table == SYL_HADAMARD_TABLE_QUAROT ? Paley1(prime(11)) : Paley2(prime(5));
    case 20: return Paley1(prime(19));
    case 28: return Paley1({3, 3, {1, 1, 0}});  // x^3 = x + 1
    case 36: return Paley2(prime(17));
    case 40: return Doubled(Paley1(prime(19)), 20);
    case 44: return Paley1(prime(43));
    case 52: return Paley2({5, 2, {2, 0, 0}});  // x^2 = 2
    case 60: return Paley1(prime(59));
    case 108: return Paley1(prime(107));
    case 124: return Paley2(prime(61));
    case 140: return Paley1(prime(139));
    // Quadruples by S. London (thesis, Chicago 2013) and M. Hall ("Combinatorial theory", 1983), as SageMath lists them
    // (williamson_type_quadruples_smallcases).
    case 156: return Williamson(39, {0x0cdf58, 0x0dae98, 0x0af370, 0x047d4e});
    case 172: return Williamson(43, {0x3cda1c, 0x342b28, 0x135e04, 0x2450ce});
    default: return {1};
  }
}

}  // namespace sylvester
