/* Sylvester: statistics of logits rows and the one sampler that everything uses. Include <sylvester.h>. */
#ifndef SYLVESTER_LOGITS_H_
#define SYLVESTER_LOGITS_H_

#include <sylvester/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What one read of a row of logits tells. z: the logits, p = softmax(z / T) with T = 1 unless said otherwise. */
typedef struct syl_logits_stats {
  int32_t argmax;     /* smallest index of the largest z; NaN never wins; -1 when every z is NaN */
  int32_t token;      /* the drawn token; the argmax where nothing is drawn */
  float max;          /* largest z; -inf when every z is NaN */
  float second;       /* largest z of another index (equal to max in a tie); -inf when there is none */
  double log_sum_exp; /* log sum_i exp(z_i / T) */
  double tail;        /* sum of exp((z_i - max) / T) without the argmax: p(argmax) = 1 / (1 + tail), and
                         1 - p(argmax) = tail / (1 + tail) keeps all its digits */
  double entropy;     /* -sum_i p_i log p_i, in nats */
  double margin;      /* p(argmax) (1 - exp((second - max) / T)): between the two most probable tokens */
  double probability; /* p(token) */
} syl_logits_stats;

/* One read of each row. logits: rows x cols floats, row stride; stats: rows.
 *
 * Accuracy: argmax, max and second are exact. Sums have a relative error <= 1e-6, and so have tail, 1 - p(argmax),
 * margin and p of a token; entropy too, since it is computed as a sum of positive numbers. Terms below
 * exp(max / T - 87) count as 0.
 * -inf has probability 0. Where a z is NaN, or max is infinite, tail, entropy, margin and probability are NaN;
 * log_sum_exp is NaN for a NaN, else the infinity.
 *
 * Rows are cut into chunks of 4096 columns, which are merged in ascending order: same bits for any thread count, batch
 * and split, on every tier with fused multiply-add.
 * Errors: NULL_ARGUMENT, BAD_VALUE (rows, cols), BAD_SHAPE (stride), OVERLAP. */
SYL_API syl_status syl_logits_stats_f32(const float* logits, int64_t stride, int64_t rows, int64_t cols,
                                        syl_logits_stats* stats, syl_pool* pool);

/* What is made of logits as they are read. Every operation rounds to float once:
 *   z = u + (guidance + 1) (logit - u)   with unconditional logits u (classifier-free guidance, Ho & Salimans 2022)
 *   z / T means z * (1 / T) */
typedef struct syl_logits_options {
  uint32_t struct_size;   /* sizeof(syl_logits_options) */
  syl_dtype type;         /* of the logits: F32, F16 or BF16 */
  float guidance;         /* finite; only with unconditional logits */
  float temperature;      /* > 0, of the statistics */
  float draw_temperature; /* >= 0, of the draw; 0: nothing is drawn */
  uint32_t step;          /* < 2^31, of the draw's random numbers */
  uint64_t seed;          /* likewise */
  const int32_t* banned;  /* banned_count ascending ids: never argmax, second or token, but counted in the sums */
  int64_t banned_count;
  const int32_t* ignored; /* ignored_count ascending ids: not in the sums, their p is 0; in both lists: no such token */
  int64_t ignored_count;
  int32_t top_k; /* >= 0; 0: off */
  float top_p;   /* (0, 1]; 1: off */
} syl_logits_options;

/* Statistics of the rows list[0] .. list[count - 1], in any order, out of rows x cols logits with row stride; list
 * NULL: of all, count must be rows. unconditional: logits of the same shape, or NULL. streams: count numbers that name
 * the draws' random numbers, NULL: the rows' numbers. stats: count.
 *
 * Filters, in Dream's order (arXiv 2508.15487): z / temperature, top-p, top-k, then softmax. A token stays where z is
 * not below the k-th largest z, and not below that of the last token of the smallest set of the most probable ones
 * whose probability reaches top_p. Tokens with equal z stay or go together, so that more than k can stay. Both bounds
 * are found among the tokens that are neither banned nor ignored, and hold for all; probabilities are counted in whole
 * units (2^-44 of the largest for 262,144 columns), whose sum does not depend on the order. Statistics and draw are
 * those of a row without the tokens that go; but max and second are those of all, their difference is that of the
 * model's logits. Such rows are read several times, each by one thread.
 *
 * What is wrong with a row (BAD_DATA: a NaN among its logits; the largest not finite, for instance because all are
 * banned) is found while it is read: then, unlike anywhere else, stats have been written, and the first such row is
 * named.
 *
 * Draw: token i with probability softmax(z / draw_temperature)_i, by Gumbel-max over chunks of 4096 columns. The noise
 * of a chunk, G = -log(-log u), is added to the logarithm of its sum of exp(z / draw_temperature), the largest wins;
 * within it the first token wins at which the running sum exceeds v times the whole. One Philox4x32-10 block a chunk
 * gives u (64 bits, words 1 and 0) and v (53 bits of words 3 and 2): key = seed, counter = (chunk, 2^31 + step, stream
 * low, stream high). Ignored tokens take part by themselves, with counter[0] = 2^31 + id. A token of probability 1e-12
 * is drawn that often: neither end of the noise is cut at what a float's 24 bits allow.
 * Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE, OVERLAP, BAD_DATA. */
SYL_API syl_status syl_logits_stats_of(const syl_logits_options* options, const void* logits, const void* unconditional,
                                       int64_t stride, int64_t rows, int64_t cols, const int32_t* list,
                                       const uint64_t* streams, int64_t count, syl_logits_stats* stats, syl_pool* pool);

/* Workspace of syl_logits_stats_product_f32 for m rows, with guidance or without (0), and a pool of so many threads
 * (1 without a pool). Of the options, the counts of ids matter. Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE. */
SYL_API syl_status syl_logits_stats_product_workspace(const syl_logits_options* options, syl_dtype type, int64_t n,
                                                      int64_t k, int64_t m, int32_t with_guidance, int32_t threads,
                                                      int64_t* bytes);

/* Statistics of y = W x without storing y: the bits of syl_nn_matmul_f32 (sylvester/nn.h: type, packed, n, k, x, m; no
 * bias) and then syl_logits_stats_of with all its rows. 4096 columns of up to 64 rows are computed at a time, by each
 * thread for itself. unconditional: x of the unconditional logits, with x's shape and stride, or NULL. streams: m
 * numbers, or NULL: the rows' numbers. stats: m. options->type must be F32, the filters off. workspace: any alignment,
 * nothing else in it.
 * Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE, OVERLAP, WORKSPACE; BAD_DATA as syl_logits_stats_of. */
SYL_API syl_status syl_logits_stats_product_f32(const syl_logits_options* options, syl_dtype type, const void* packed,
                                                int64_t n, int64_t k, const float* x, const float* unconditional,
                                                int64_t x_stride, int64_t m, const uint64_t* streams,
                                                syl_logits_stats* stats, void* workspace, int64_t workspace_bytes,
                                                syl_pool* pool);

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
