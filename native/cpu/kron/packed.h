// The form in which an adapter is applied.
#ifndef SYLVESTER_NATIVE_CPU_KRON_PACKED_H_
#define SYLVESTER_NATIVE_CPU_KRON_PACKED_H_

#include <algorithm>

#include "native/common/align.h"
#include "native/common/kron_plan.h"

namespace sylvester {

constexpr uint64_t kKronMagic = 0x314e4f524b4c5953;  // "SYLKRON1"

// Followed by the panels of the first and of the second product.
struct KronPacked {
  uint64_t magic;
  syl_dtype type;
  uint32_t reserved;
  KronShape shape;  // of the packed direction
  int64_t bytes;

  const uint8_t* First() const { return reinterpret_cast<const uint8_t*>(this) + sizeof(KronPacked); }
  const uint8_t* Second() const;
};
static_assert(sizeof(KronPacked) == kAlignment);

int64_t KronPackedBytes(syl_dtype type, const KronShape& shape);

// packed: KronPackedBytes(), aligned.
void PackKron(const syl_kron& kron, bool transposed, void* packed);

// Rows whose T or S is in memory at once: it should stay in the second-level cache.
inline int64_t KronChunkRows(const KronShape& shape) {
  return std::clamp<int64_t>((int64_t{1} << 16) / shape.Between(), 1, 256);
}

inline int64_t KronWorkspaceBytes(const KronShape& shape) {
  return KronChunkRows(shape) * shape.Between() * 4 + kAlignment;
}

}  // namespace sylvester

#endif
