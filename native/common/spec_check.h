// Arguments of verification.
#ifndef SYLVESTER_NATIVE_COMMON_SPEC_CHECK_H_
#define SYLVESTER_NATIVE_COMMON_SPEC_CHECK_H_

#include <sylvester/spec.h>

#include "native/common/spec_failure.h"

namespace sylvester {

// What the workspace depends on: sizes and samplers.
syl_status CheckBatchShape(const char* function, const syl_spec_batch* batch);

// The rest, of a batch whose shape has been checked.
syl_status CheckBatch(const char* function, const syl_spec_batch& batch);

// Where the results go and a workspace that needs so many bytes, of a batch that has been checked.
syl_status CheckResult(const char* function, const syl_spec_batch& batch, const syl_spec_result* result,
                       const void* workspace, int64_t workspace_bytes, int64_t needed);

// SYL_OK without one.
syl_status ReportFailure(const char* function, const Failure& failure);

inline int64_t SpecRows(const syl_spec_batch& batch) { return batch.row_begin[batch.sequences]; }

}  // namespace sylvester

#endif
