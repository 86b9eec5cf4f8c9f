// Arguments of verification.
#ifndef SYLVESTER_NATIVE_CPU_SPEC_CHECK_H_
#define SYLVESTER_NATIVE_CPU_SPEC_CHECK_H_

#include <sylvester/spec.h>

namespace sylvester {

// What the workspace depends on: sizes and samplers.
syl_status CheckBatchShape(const char* function, const syl_spec_batch* batch);

// The rest, of a batch whose shape has been checked.
syl_status CheckBatch(const char* function, const syl_spec_batch& batch);

inline int64_t SpecRows(const syl_spec_batch& batch) { return batch.row_begin[batch.sequences]; }

}  // namespace sylvester

#endif
