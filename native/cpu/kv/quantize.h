// How the rows of one side of a layer, keys or values, are cut into groups and quantised.
#ifndef SYLVESTER_NATIVE_CPU_KV_QUANTIZE_H_
#define SYLVESTER_NATIVE_CPU_KV_QUANTIZE_H_

#include <cstdint>
#include <vector>

#include "native/common/kv_plan.h"

namespace sylvester {

struct KvQuantizer {
  int32_t bits;
  int32_t grid_kind;  // SYL_KV_UNIFORM, SYL_KV_LLOYD_MAX
  int32_t clip_mode;
  float clip;
  KvGrid grid;
  // Where no magnitude of a row exceeds it, neither does any on the way to its halves.
  float tame;
  int64_t channels;  // of a row
  int64_t run;       // groups begin anew after so many channels, in their order
  int64_t group;     // channels of a group, but for the last of a run
  // Sorted groups: the channel at each place of the groups, which follow each other. Empty: channels are in order.
  std::vector<uint16_t> order;
};

// what: SYL_KV_KEYS, SYL_KV_VALUES.
KvQuantizer MakeKvQuantizer(const KvPlan& plan, int32_t layer, int32_t what);

}  // namespace sylvester

#endif
