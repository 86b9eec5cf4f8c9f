/* Sylvester on CUDA: the verification of <sylvester/spec.h>. Include <sylvester/cuda.h>.
 *
 * Same tokens, labels and flags as syl_spec_verify_f32 for the same batch. What has the vocabulary's size is in device
 * memory: logits, allowed, draft->rows, and so are the results and the workspace. All other arrays are host memory,
 * which is copied before the call returns. */
#ifndef SYLVESTER_CUDA_SPEC_H_
#define SYLVESTER_CUDA_SPEC_H_

#include <sylvester/cuda.h>
#include <sylvester/spec.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of device workspace for a batch; its tokens, parents, history, bias and device memory are not read. */
SYL_API syl_status syl_cuda_spec_verify_workspace(const syl_spec_batch* batch, int64_t* bytes);

/* Enqueues the verification. Errors: those of syl_spec_verify_f32 that do not depend on device memory; BAD_VALUE for
 * device pointers that are not aligned to their elements; OUT_OF_MEMORY. Unlike there all rows are read, but rows of a
 * draft after nodes without children. */
SYL_API syl_status syl_cuda_spec_verify_f32(const syl_spec_batch* batch, const syl_spec_result* result, void* workspace,
                                            int64_t workspace_bytes, syl_cuda_stream stream);

/* Waits for the stream. workspace: of the last verification there. BAD_VALUE where that has found what only device
 * memory tells: a largest logit that is not finite, probabilities that do not sum to 1, in a row that decides. Then no
 * result has been written. */
SYL_API syl_status syl_cuda_spec_verify_wait(const void* workspace, syl_cuda_stream stream);

#ifdef __cplusplus
}
#endif
#endif
