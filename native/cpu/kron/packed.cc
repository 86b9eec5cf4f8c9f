#include "native/cpu/kron/packed.h"

#include "native/cpu/kron/product.h"

namespace sylvester {
namespace {

int64_t PanelBytes(syl_dtype type, const KronStep& step) {
  return Aligned(PanelElements(step.columns.count, step.depth.count) * syl_dtype_block_bytes(type));
}

// Panels do not depend on rows.
KronSteps StepsOf(const KronShape& shape, bool transposed) { return sylvester::StepsOf(shape, transposed, 1, 0, 0); }

}  // namespace

const uint8_t* KronPacked::Second() const { return First() + PanelBytes(type, StepsOf(shape, false).first); }

int64_t KronPackedBytes(syl_dtype type, const KronShape& shape) {
  const auto bytes = [type](const KronShape& s) {
    const KronSteps steps = StepsOf(s, false);
    return static_cast<int64_t>(sizeof(KronPacked)) + PanelBytes(type, steps.first) + PanelBytes(type, steps.second);
  };
  return std::max(bytes(shape), bytes(shape.Transposed()));
}

void PackKron(const syl_kron& kron, bool transposed, void* packed) {
  const KronShape shape = transposed ? ShapeOf(kron).Transposed() : ShapeOf(kron);
  auto* header = static_cast<KronPacked*>(packed);
  *header = {kKronMagic, kron.type, 0, shape, KronPackedBytes(kron.type, shape)};
  const KronSteps steps = StepsOf(shape, transposed);
  const auto pack = [&](const KronStep& step, const uint8_t* panels) {
    PackPanels(kron.type, step.of_u ? kron.u : kron.v, step.columns, step.depth, const_cast<uint8_t*>(panels));
  };
  pack(steps.first, header->First());
  pack(steps.second, header->Second());
}

}  // namespace sylvester
