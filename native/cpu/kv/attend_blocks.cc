#include <cstring>

#include "native/common/tier.h"
#include "native/cpu/kv/attend.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/kv/attend_blocks.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/kv/attend_blocks-inl.h"

#if HWY_ONCE
namespace sylvester {
namespace {

constexpr void (*kAttendTile[kTierCount])(const KvCall&, int64_t, Range,
                                          const KvScratch&) = SYL_TIERS_VNNI(AttendUnitTile, AttendUnitTileVnni);
constexpr void (*kAttendBlocks[kTierCount])(const KvCall&, int64_t, Range, Range, const Results&, int64_t,
                                            const KvScratch&) = SYL_TIERS_VNNI(AttendUnitBlocks, AttendUnitBlocksVnni);

}  // namespace

void KvAttendTile(const KvCall& call, int64_t unit, Range pairs, const KvScratch& scratch) {
  kAttendTile[CurrentTier()](call, unit, pairs, scratch);
}

void KvAttendBlocks(const KvCall& call, int64_t unit, Range pairs, Range blocks, const Results& results,
                    int64_t head_stride, const KvScratch& scratch) {
  kAttendBlocks[CurrentTier()](call, unit, pairs, blocks, results, head_stride, scratch);
}

}  // namespace sylvester
#endif  // HWY_ONCE
