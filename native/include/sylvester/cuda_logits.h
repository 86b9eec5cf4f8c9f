/* Sylvester on CUDA: statistics of rows of logits (sylvester/logits.h) and the choice of the positions that are decided
 * (sylvester/dlm.h). Include <sylvester/cuda.h>. Nothing here waits but the functions that say so, and nothing goes
 * through host memory: a step's statistics and its selection are two calls on one stream. */
#ifndef SYLVESTER_CUDA_LOGITS_H_
#define SYLVESTER_CUDA_LOGITS_H_

#include <sylvester/cuda.h>
#include <sylvester/dlm.h>
#include <sylvester/logits.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of device workspace. options->banned and ignored are not read, their counts are. */
SYL_API syl_status syl_cuda_logits_stats_workspace(const syl_logits_options* options, int64_t cols, int64_t count,
                                                   int64_t* bytes);

/* syl_logits_stats_of with its bits (but for NaN's, and the sign of a second that is 0). Device memory: logits,
 * unconditional, list, streams, stats, workspace. options and its arrays are host memory, copied before the call
 * returns. What overlaps is not checked. Errors: those that do not depend on device memory; BAD_VALUE for device
 * pointers that are not aligned to their elements; WORKSPACE. */
SYL_API syl_status syl_cuda_logits_stats_of(const syl_logits_options* options, const void* logits,
                                            const void* unconditional, int64_t stride, int64_t rows, int64_t cols,
                                            const int32_t* list, const uint64_t* streams, int64_t count,
                                            syl_logits_stats* stats, void* workspace, int64_t workspace_bytes,
                                            syl_cuda_stream stream);

/* Waits for the stream. workspace: of the last statistics there. What only device memory tells, of the first result
 * that it is true of: BAD_VALUE for a number in the list that is no row (nothing is read for it, its statistics are
 * those of a row of NaN), BAD_DATA as on the CPU. */
SYL_API syl_status syl_cuda_logits_stats_wait(const void* workspace, syl_cuda_stream stream);

/* syl_dlm_select with the same positions in the same order. Device memory: stats, masked, selected, selected_count;
 * beyond selected_count, selected keeps what it had. Where the score of candidate i is NaN, the first such i is told:
 * selected_count gets -1 - i. Time grows with the number that is selected. */
SYL_API syl_status syl_cuda_dlm_select(const syl_dlm_rule* rule, const syl_logits_stats* stats, const uint8_t* masked,
                                       int64_t count, int32_t* selected, int64_t* selected_count,
                                       syl_cuda_stream stream);

/* Waits for the stream and copies a selection's number to host memory. BAD_DATA as on the CPU. */
SYL_API syl_status syl_cuda_dlm_select_wait(const int64_t* selected_count, int64_t* count, syl_cuda_stream stream);

#ifdef __cplusplus
}
#endif
#endif
