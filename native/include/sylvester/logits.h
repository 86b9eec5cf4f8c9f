/* Sylvester: statistics of logits rows and the one sampler that everything uses. Include <sylvester.h>. */
#ifndef SYLVESTER_LOGITS_H_
#define SYLVESTER_LOGITS_H_

#include <sylvester/common.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct syl_logits_stats {
  int32_t argmax;     /* smallest index of the largest logit; NaN never wins; -1 when every logit is NaN */
  float max;          /* that logit; -inf when every logit is NaN */
  double log_sum_exp; /* log sum_i exp(logit_i), relative error of the sum <= 1e-6; NaN when a logit is NaN */
} syl_logits_stats;

/* One read of each row. logits: rows x cols floats, row stride; stats: rows. Rows are cut into chunks of 4096 columns,
 * which are merged in ascending order: same bits for any thread count and batch.
 * Errors: NULL_ARGUMENT, BAD_VALUE (rows, cols), BAD_SHAPE (stride), OVERLAP. */
SYL_API syl_status syl_logits_stats_f32(const float* logits, int64_t stride, int64_t rows, int64_t cols,
                                        syl_logits_stats* stats, syl_pool* pool);

/* NaN counts as -inf. Steps, in this order:
 *   1. logit bias         logit[id] += bias
 *   2. penalties          for each id in history, counted c times: repetition (Keskar et al. 2019): logit > 0 ?
 *                         logit / rep : logit * rep; then logit -= presence + c * frequency
 *   3. top-k              the k largest remain
 *   4. temperature        z = (logit - largest logit) * (1 / T); probabilities are softmax(z)
 *   5. top-p              smallest set of the most probable tokens whose probability reaches p (Holtzman et al. 2020)
 *   6. min-p              tokens with z >= log(min_p): probability >= min_p * that of the most probable one
 *   7. draw               Gumbel-max: argmax_i z_i + G_i
 * Where tokens are ordered, equal values are in the order of ids. T = 0: the largest logit after 1 and 2 wins, the
 * other steps are skipped.
 *
 * Noise: G_i = -log(E_i), E_i = -log((r_i + 1/2) 2^-32), r_i = word i % 4 of Philox4x32-10 with key = (seed low, seed
 * high) and counter = (i / 4, purpose, position low, position high). The noise of a token depends on nothing else, so
 * the same seed gives the same text for any thread count and batch. Tiers with fused multiply-add give the same bits;
 * tier "sse4" can decide otherwise where two tokens are equal to a few roundings. */
typedef struct syl_sampler {
  uint32_t struct_size;                      /* sizeof(syl_sampler) */
  float temperature;                         /* >= 0 */
  int32_t top_k;                             /* 0: off */
  float top_p;                               /* (0, 1]; 1: off */
  float min_p;                               /* [0, 1]; 0: off */
  float repetition_penalty;                  /* > 0; 1: off */
  float presence_penalty, frequency_penalty; /* 0: off */
  uint64_t seed;
  uint32_t purpose; /* which of the streams of noise; 0 unless a draft samples for speculation (sylvester/spec.h) */
} syl_sampler;

/* Bytes of workspace for histories up to history_count. */
SYL_API syl_status syl_logits_sample_workspace(const syl_sampler* sampler, int64_t cols, int64_t history_count,
                                               int64_t* bytes);

/* Draws one token from a row of cols logits (not modified). history: ids so far that the penalties count; bias_ids and
 * bias_values: bias_count pairs, -inf bans a token. position: of the token to draw, >= 0. workspace: aligned to 8
 * bytes, no input in it. token: the id; log_probability: log of its probability among the tokens that remain after step
 * 6, at T = 0 among all with T = 1 (may be NULL). Errors: NULL_ARGUMENT, BAD_VALUE (a parameter or an id out of range;
 * the largest logit not finite), WORKSPACE, OVERLAP. */
SYL_API syl_status syl_logits_sample_f32(const syl_sampler* sampler, const float* logits, int64_t cols,
                                         const int32_t* history, int64_t history_count, const int32_t* bias_ids,
                                         const float* bias_values, int64_t bias_count, int64_t position,
                                         void* workspace, int64_t workspace_bytes, int32_t* token,
                                         float* log_probability);

#ifdef __cplusplus
}
#endif
#endif
