#include "native/cpu/kron/packed.h"

#include "native/cpu/kron/product.h"

namespace sylvester {
namespace {

struct Panels {
  Axis columns, depth;

  int64_t Bytes(syl_dtype type) const {
    return Aligned(PanelElements(columns.count, depth.count) * syl_dtype_block_bytes(type));
  }
};

// U_k(i, j) and V_k(i, j) lie at k term + i row + j column.
struct Strides {
  int64_t term, row, column;
};

// Panels of both products: of V and U, or of U and V.
void LayOut(const KronShape& s, bool transposed, Panels& first, Panels& second) {
  const auto strides = [&](int64_t rows, int64_t columns) {
    return transposed ? Strides{rows * columns, 1, rows} : Strides{rows * columns, columns, 1};
  };
  const Strides u = strides(s.m, s.n), v = strides(s.p, s.q);
  if (s.IsUFirst()) {
    first = {{s.terms * s.m, s.m, u.term, u.row}, Uniform(s.n, u.column)};
    second = {Uniform(s.p, v.row), {s.terms * s.q, s.q, v.term, v.column}};
  } else {
    first = {{s.terms * s.p, s.p, v.term, v.row}, Uniform(s.q, v.column)};
    second = {Uniform(s.m, u.row), {s.terms * s.n, s.n, u.term, u.column}};
  }
}

}  // namespace

const uint8_t* KronPacked::Second() const {
  Panels first, second;
  LayOut(shape, false, first, second);
  return First() + first.Bytes(type);
}

int64_t KronPackedBytes(syl_dtype type, const KronShape& shape) {
  const auto bytes = [type](const KronShape& s) {
    Panels first, second;
    LayOut(s, false, first, second);
    return static_cast<int64_t>(sizeof(KronPacked)) + first.Bytes(type) + second.Bytes(type);
  };
  return std::max(bytes(shape), bytes(shape.Transposed()));
}

void PackKron(const syl_kron& kron, bool transposed, void* packed) {
  const KronShape shape = transposed ? ShapeOf(kron).Transposed() : ShapeOf(kron);
  auto* header = static_cast<KronPacked*>(packed);
  *header = {kKronMagic, kron.type, 0, shape, KronPackedBytes(kron.type, shape)};
  Panels first, second;
  LayOut(shape, transposed, first, second);
  PackPanels(kron.type, shape.IsUFirst() ? kron.u : kron.v, first.columns, first.depth,
             const_cast<uint8_t*>(header->First()));
  PackPanels(kron.type, shape.IsUFirst() ? kron.v : kron.u, second.columns, second.depth,
             const_cast<uint8_t*>(header->Second()));
}

}  // namespace sylvester
