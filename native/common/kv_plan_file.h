// A plan as bytes. All numbers are little-endian; offsets of 4-byte numbers are multiples of 4.
//
//   0    magic "SYLKVPLN"
//   8    uint32 version, 2
//   12   uint32 layers
//   16   uint64 bytes of the file
//   24   uint64 hash of the geometry
//   32   19 fields of syl_kv_options from rope to window, in their order and types
//   108  uint32 CRC-32 of bytes 0..107
//   112  the layers, each
//          uint16 bits of keys, uint16 bits of values
//          sort: uint16 group of each key channel [kv_heads head_dim]
//          CENTER_KEYS: float mean of each key channel; CENTER_VALUES: of each value channel
//          balance: float gain of each key channel
//          uint32 CRC-32 of the layer so far
#ifndef SYLVESTER_NATIVE_COMMON_KV_PLAN_FILE_H_
#define SYLVESTER_NATIVE_COMMON_KV_PLAN_FILE_H_

#include "native/common/kv_plan.h"

namespace sylvester {

int64_t KvPlanFileBytes(const KvPlan& plan);

// Writes KvPlanFileBytes(plan) bytes.
void SaveKvPlan(const KvPlan& plan, uint8_t* file);

// Errors: NULL_ARGUMENT, those of geometry, BAD_DATA with the offset of what is wrong, OUT_OF_MEMORY. Of bytes that are
// wrong and have the right checksum, the worst is a plan of bad quality.
syl_status LoadKvPlan(const char* function, const void* file, int64_t bytes, const syl_kv_geometry* geometry,
                      KvPlan* plan);

// Sets plan->checksum, for a plan that is complete. May throw std::bad_alloc.
void SealKvPlan(KvPlan* plan);

}  // namespace sylvester

#endif
