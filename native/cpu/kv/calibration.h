// Sums that a plan is made from.
#ifndef SYLVESTER_NATIVE_CPU_KV_CALIBRATION_H_
#define SYLVESTER_NATIVE_CPU_KV_CALIBRATION_H_

#include <sylvester/kv.h>

#include <vector>

namespace sylvester {

struct KvSums {                      // of a layer
  int64_t tokens = 0, queries = 0;   // rows of keys and values, and of queries
  std::vector<double> keys, values;  // [kv_heads * head_dim]
  // Of squares; those of queries over the query heads of a kv head.
  std::vector<double> key_squares, query_squares;
};

}  // namespace sylvester

// The opaque type of the ABI.
struct syl_kv_calibration {
  int64_t channels;         // kv_heads * head_dim
  int64_t head_dim, group;  // query heads of a kv head
  uint64_t geometry_hash;
  std::vector<sylvester::KvSums> layers;
};

#endif
