#include <sylvester/kron.h>

#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <Eigen/SVD>
#include <atomic>
#include <cmath>
#include <new>

#include "native/common/kron_plan.h"
#include "native/common/philox.h"
#include "native/common/pool.h"
#include "native/common/status.h"

namespace sylvester {
namespace {

using Eigen::MatrixXd;
using RowMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr int64_t kAutoExact = 1024, kMostExact = 8192;
constexpr int64_t kOversampling = 8, kPowerSteps = 4;
// Rows or columns of R that are in memory at once.
constexpr int64_t kSlice = 64;

// R, read from W. Products are cut into slices of the result, so that threads change nothing.
class Rearranged {
 public:
  Rearranged(const syl_kron_decomposition& d, const void* w, int64_t stride, syl_pool* pool)
      : d_(d), w_(w), stride_(stride), pool_(pool) {}

  int64_t Rows() const { return d_.m * d_.n; }
  int64_t Columns() const { return d_.p * d_.q; }

  // R x
  MatrixXd Times(const MatrixXd& x) const {
    MatrixXd y(Rows(), x.cols());
    ForSlices(Rows(), [&](int64_t first, int64_t count) {
      y.middleRows(first, count).noalias() = Slice(first, count, 0, Columns()) * x;
    });
    return y;
  }

  // R^T x
  MatrixXd TransposedTimes(const MatrixXd& x) const {
    MatrixXd y(Columns(), x.cols());
    ForSlices(Columns(), [&](int64_t first, int64_t count) {
      y.middleRows(first, count).noalias() = Slice(0, Rows(), first, count).transpose() * x;
    });
    return y;
  }

  // The smaller one of R R^T and R^T R, its lower half.
  MatrixXd Gram() const {
    const bool by_rows = Rows() <= Columns();
    const int64_t size = by_rows ? Rows() : Columns(), depth = by_rows ? Columns() : Rows();
    MatrixXd gram = MatrixXd::Zero(size, size);
    for (int64_t first = 0; first < depth; first += kSlice) {
      const int64_t count = std::min(kSlice, depth - first);
      const MatrixXd part =
          by_rows ? MatrixXd(Slice(0, size, first, count)) : MatrixXd(Slice(first, count, 0, size).transpose());
      ForSlices(size, [&](int64_t row, int64_t rows) {
        gram.block(row, 0, rows, row + rows).noalias() +=
            part.middleRows(row, rows) * part.topRows(row + rows).transpose();
      });
    }
    return gram;
  }

 private:
  template <typename T>
  void Copy(int64_t row, int64_t rows, int64_t column, RowMatrix& slice) const {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t i1 = (row + r) / d_.n, j1 = (row + r) % d_.n;
      for (int64_t c = 0; c < slice.cols();) {
        const int64_t i2 = (column + c) / d_.q, j2 = (column + c) % d_.q;
        const T* from = static_cast<const T*>(w_) + (i1 * d_.p + i2) * stride_ + j1 * d_.q + j2;
        const int64_t run = std::min(d_.q - j2, static_cast<int64_t>(slice.cols()) - c);
        std::copy_n(from, run, slice.data() + r * slice.cols() + c);
        c += run;
      }
    }
  }

  RowMatrix Slice(int64_t row, int64_t rows, int64_t column, int64_t columns) const {
    RowMatrix slice(rows, columns);
    if (d_.type == SYL_F64) {
      Copy<double>(row, rows, column, slice);
    } else {
      Copy<float>(row, rows, column, slice);
    }
    return slice;
  }

  template <typename Body>
  void ForSlices(int64_t size, Body body) const {
    std::atomic<bool> failed{false};
    ParallelFor(pool_, (size + kSlice - 1) / kSlice, [&](int64_t task, int32_t) {
      try {
        body(task * kSlice, std::min(kSlice, size - task * kSlice));
      } catch (const std::bad_alloc&) {
        failed = true;  // nothing may be thrown from a thread of the pool
      }
    });
    if (failed) throw std::bad_alloc();
  }

  const syl_kron_decomposition& d_;
  const void* w_;
  int64_t stride_;
  syl_pool* pool_;
};

MatrixXd Orthonormal(const MatrixXd& columns) {
  return Eigen::HouseholderQR<MatrixXd>(columns).householderQ() * MatrixXd::Identity(columns.rows(), columns.cols());
}

// Random signs: a sign a bit of Philox, so that no libm plays a part.
MatrixXd RandomSigns(int64_t rows, int64_t columns, uint32_t seed) {
  MatrixXd signs(rows, columns);
  const uint32_t key[2] = {seed, 0};
  uint32_t words[4] = {};
  for (int64_t column = 0; column < columns; ++column) {
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t bit = row % 128;
      if (bit == 0) {
        const uint32_t counter[4] = {static_cast<uint32_t>(row / 128), static_cast<uint32_t>(column), 0, 0};
        Philox4x32(counter, key, words);
      }
      signs(row, column) = (words[bit / 32] >> bit % 32 & 1) != 0 ? -1 : 1;
    }
  }
  return signs;
}

struct Terms {
  Eigen::VectorXd sigma;
  MatrixXd u, v;  // columns
};

// The best terms whose left (right) vectors lie in the space of some orthonormal columns.
Terms InSpace(const Rearranged& r, const MatrixXd& space, bool left) {
  const MatrixXd image = left ? r.TransposedTimes(space) : r.Times(space);
  const Eigen::HouseholderQR<MatrixXd> qr(image);
  const int64_t size = std::min(image.rows(), image.cols());
  const MatrixXd triangle = qr.matrixQR().topRows(size).triangularView<Eigen::Upper>();
  const Eigen::BDCSVD<MatrixXd> svd(triangle, Eigen::ComputeThinU | Eigen::ComputeThinV);
  MatrixXd other = MatrixXd::Zero(image.rows(), size);
  other.topRows(size) = svd.matrixU();
  other.applyOnTheLeft(qr.householderQ());
  MatrixXd same = space * svd.matrixV();
  return left ? Terms{svd.singularValues(), std::move(same), std::move(other)}
              : Terms{svd.singularValues(), std::move(other), std::move(same)};
}

Terms Exact(const Rearranged& r, int64_t terms) {
  const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(r.Gram());
  return InSpace(r, eigen.eigenvectors().rightCols(terms), r.Rows() <= r.Columns());
}

Terms Randomized(const Rearranged& r, int64_t terms, uint32_t seed) {
  const int64_t width = std::min(terms + kOversampling, std::min(r.Rows(), r.Columns()));
  MatrixXd space = Orthonormal(r.Times(RandomSigns(r.Columns(), width, seed)));
  for (int64_t step = 0; step < kPowerSteps; ++step) {
    space = Orthonormal(r.Times(Orthonormal(r.TransposedTimes(space))));
  }
  return InSpace(r, space, true);
}

// One sign for both: the largest |element| of v is positive.
void StoreTerms(const Terms& terms, int64_t count, double* sigma, double* u, double* v) {
  for (int64_t k = 0; k < count; ++k) {
    const auto right = terms.v.col(k);
    Eigen::Index largest = 0;
    for (Eigen::Index i = 1; i < right.size(); ++i) {
      if (std::fabs(right[i]) > std::fabs(right[largest])) largest = i;
    }
    const double sign = right[largest] < 0 ? -1 : 1;
    sigma[k] = terms.sigma[k];
    if (u != nullptr) Eigen::VectorXd::Map(u + k * terms.u.rows(), terms.u.rows()) = sign * terms.u.col(k);
    if (v != nullptr) Eigen::VectorXd::Map(v + k * terms.v.rows(), terms.v.rows()) = sign * right;
  }
}

double At(syl_dtype type, const void* w, int64_t i) {
  return type == SYL_F64 ? static_cast<const double*>(w)[i] : static_cast<double>(static_cast<const float*>(w)[i]);
}

syl_status CheckDecomposition(const char* function, const syl_kron_decomposition& d) {
  const syl_kron sizes{sizeof(syl_kron), SYL_F32, 1, d.m, d.n, d.p, d.q, nullptr, nullptr};
  const syl_status status = CheckKron(function, &sizes, false);
  if (status != SYL_OK) return status;
  if (d.type != SYL_F32 && d.type != SYL_F64) {
    return Fail(SYL_BAD_VALUE, "%s: decomposition->type is %d, must be SYL_F32 or SYL_F64", function, d.type);
  }
  const int64_t most = std::min(d.m * d.n, d.p * d.q);
  if (d.terms < 1 || d.terms > most) {
    return Fail(SYL_BAD_VALUE, "%s: decomposition->terms is %lld, must be 1..%lld", function,
                static_cast<long long>(d.terms), static_cast<long long>(most));
  }
  if (d.method < SYL_KRON_AUTO || d.method > SYL_KRON_RANDOMIZED) {
    return Fail(SYL_BAD_VALUE, "%s: decomposition->method is %d, must be 0..2", function, d.method);
  }
  if (d.method == SYL_KRON_EXACT && most > kMostExact) {
    return Fail(SYL_UNSUPPORTED, "%s: decomposition->method is SYL_KRON_EXACT, but min(m n, p q) is %lld, above %lld",
                function, static_cast<long long>(most), static_cast<long long>(kMostExact));
  }
  return SYL_OK;
}

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_kron_decompose(const syl_kron_decomposition* decomposition, const void* w, int64_t w_stride,
                              double* sigma, double* u, double* v, double* energy, syl_pool* pool) {
  SYL_REQUIRE_STRUCT(decomposition);
  const syl_kron_decomposition& d = *decomposition;
  const syl_status status = CheckDecomposition(__func__, d);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(w);
  SYL_REQUIRE_PTR(sigma);
  SYL_REQUIRE_PTR(energy);
  const int64_t rows = d.m * d.p, columns = d.n * d.q, extent = Extent(rows, columns, w_stride);
  SYL_REQUIRE(w_stride >= columns && extent >= 0 && extent <= INT64_MAX / 8, SYL_BAD_SHAPE,
              "w_stride is %lld, must be at least %lld and fit %lld rows", static_cast<long long>(w_stride),
              static_cast<long long>(columns), static_cast<long long>(rows));
  const struct {
    const char* name;
    const void* data;
    int64_t bytes;
  } outputs[] = {{"sigma", sigma, d.terms * 8},
                 {"u", u, u == nullptr ? 0 : d.terms * d.m * d.n * 8},
                 {"v", v, v == nullptr ? 0 : d.terms * d.p * d.q * 8},
                 {"energy", energy, 8}};
  for (const auto& output : outputs) {
    SYL_REQUIRE(!Overlaps(output.data, output.bytes, w, extent * syl_dtype_block_bytes(d.type)), SYL_OVERLAP,
                "%s overlaps w", output.name);
    for (const auto* other = outputs; other != &output; ++other) {
      SYL_REQUIRE(!Overlaps(output.data, output.bytes, other->data, other->bytes), SYL_OVERLAP, "%s overlaps %s",
                  output.name, other->name);
    }
  }
  double squares = 0;
  for (int64_t row = 0; row < rows; ++row) {
    double of_row = 0;
    for (int64_t column = 0; column < columns; ++column) {
      const double value = At(d.type, w, row * w_stride + column);
      SYL_REQUIRE(std::isfinite(value), SYL_BAD_VALUE, "w[%lld][%lld] is %g, must be finite",
                  static_cast<long long>(row), static_cast<long long>(column), value);
      of_row += value * value;
    }
    squares += of_row;
  }
  SYL_REQUIRE(std::isfinite(squares), SYL_BAD_VALUE, "the sum of squares of w is %g, must be finite", squares);
  try {
    const Rearranged r(d, w, w_stride, pool);
    const bool exact =
        d.method == SYL_KRON_EXACT || (d.method == SYL_KRON_AUTO && std::min(r.Rows(), r.Columns()) <= kAutoExact);
    StoreTerms(exact ? Exact(r, d.terms) : Randomized(r, d.terms, d.seed), d.terms, sigma, u, v);
    *energy = squares;
  } catch (const std::bad_alloc&) {
    return Fail(SYL_OUT_OF_MEMORY, "syl_kron_decompose: the system has no memory for %lld terms",
                static_cast<long long>(d.terms));
  }
  return SYL_OK;
}
