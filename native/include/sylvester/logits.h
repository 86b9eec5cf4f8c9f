/* Sylvester: statistics of logits rows and the one sampler that everything uses. Include <sylvester.h>. */
#ifndef SYLVESTER_LOGITS_H_
#define SYLVESTER_LOGITS_H_

#include <sylvester/common.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct syl_logits_stats {
  int32_t argmax;     /* smallest index of the largest logit; NaN never wins; -1 when every logit is NaN */
  float max;          /* that logit */
  double log_sum_exp; /* log sum_i exp(logit_i), relative error of the sum <= 1e-6 */
} syl_logits_stats;

/* One read of each row. logits: rows x cols floats, row stride. Fixed merge order: same bits for any thread count. */
SYL_API syl_status syl_logits_stats_f32(const float* logits, int64_t stride, int64_t rows, int64_t cols,
                                        syl_logits_stats* stats, syl_pool* pool);

/* Filters are applied in this order:
 *   1. logit bias         logit[id] += bias
 *   2. penalties          for each id in history, counted c times: repetition (Keskar et al. 2019): logit > 0 ?
 *                         logit / rep : logit * rep; then logit -= presence + c * frequency
 *   3. temperature        logit /= T (T = 0: the largest logit after 1 and 2 wins, the rest is skipped)
 *   4. top-k              the k largest remain (ties with the k-th: smaller ids first)
 *   5. top-p              smallest set of the most probable tokens whose probability reaches p (Holtzman et al. 2020)
 *   6. min-p              tokens with probability >= min_p * that of the most probable one
 *   7. draw               Gumbel-max: argmax_i logit_i + G_i, G_i = -log(-log u_i), u_i from Philox4x32-10 with
 *                         key = seed and counter = (position, purpose 0, i): the draw of a token depends on nothing
 *                         else, so the same seed gives the same text for any thread count and batch. */
typedef struct syl_sampler {
  uint32_t struct_size;                      /* sizeof(syl_sampler) */
  float temperature;                         /* >= 0 */
  int32_t top_k;                             /* 0: off */
  float top_p;                               /* (0, 1]; 1: off */
  float min_p;                               /* [0, 1]; 0: off */
  float repetition_penalty;                  /* > 0; 1: off */
  float presence_penalty, frequency_penalty; /* 0: off */
  uint64_t seed;
} syl_sampler;

SYL_API syl_status syl_logits_sample_workspace(const syl_sampler* sampler, int64_t cols, int64_t history_count,
                                               int64_t* bytes);

/* Draws one token from a row of cols logits (not modified). history: ids so far that the penalties count; bias_ids and
 * bias_values: bias_count pairs. token: the id; log_probability: its log-probability after the filters (may be NULL).
 * Errors: BAD_VALUE (a parameter or an id out of range; every logit NaN or -inf), WORKSPACE. */
SYL_API syl_status syl_logits_sample_f32(const syl_sampler* sampler, const float* logits, int64_t cols,
                                         const int32_t* history, int64_t history_count, const int32_t* bias_ids,
                                         const float* bias_values, int64_t bias_count, int64_t position,
                                         void* workspace, int64_t workspace_bytes, int32_t* token,
                                         float* log_probability);

#ifdef __cplusplus
}
#endif
#endif
