// The tile of sums that a matrix product fills, and how vectors cover it.
#if defined(SYLVESTER_NATIVE_CPU_NN_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_NN_TILE_INL_H_
#undef SYLVESTER_NATIVE_CPU_NN_TILE_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_NN_TILE_INL_H_
#endif

#include "hwy/highway.h"
#include "native/cpu/nn/matmul.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

constexpr int64_t kLanes = HWY_LANES(float) < kPanelRows ? HWY_LANES(float) : kPanelRows;
constexpr int64_t kVectors = kPanelRows / kLanes;  // in a panel
constexpr bool kManyRegisters = HWY_TARGET != HWY_SSE4 && HWY_TARGET != HWY_AVX2;

// [panel][row][16]
using Tile = float[kMaxChunkRows * kPanelRows];

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();
#endif
