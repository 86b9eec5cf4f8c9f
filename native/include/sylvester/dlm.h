/* Sylvester: decoding of masked diffusion language models. Include <sylvester.h>. Which masked positions are decided in
 * a step, from the statistics of their rows of logits (sylvester/logits.h). */
#ifndef SYLVESTER_DLM_H_
#define SYLVESTER_DLM_H_

#include <sylvester/logits.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Rules. Candidates are ordered by their score, the highest first, equal ones by their index; c_1 >= c_2 ... are
 * confidences, the tokens' probabilities. The first is always selected, but for k = 0. */
enum {
  SYL_DLM_FIXED_K = 0,      /* the first k (LLaDA, arXiv 2502.09992; Dream, arXiv 2508.15487) */
  SYL_DLM_THRESHOLD = 1,    /* by confidence, while c_n >= bound (Fast-dLLM, arXiv 2505.22618) */
  SYL_DLM_FACTOR = 2,       /* by confidence, while (n + 1) (1 - c_n) <= bound, as c_n >= 1 - bound / (n + 1); last_too:
                               the last candidate goes along where only it fails, as in Fast-dLLM's release */
  SYL_DLM_ENTROPY_BOUND = 3 /* by negative entropy, while the sum of those before is <= bound (arXiv 2505.24857) */
};

/* Scores of FIXED_K. */
enum { SYL_DLM_CONFIDENCE = 0, SYL_DLM_MARGIN = 1, SYL_DLM_NEGATIVE_ENTROPY = 2 };

typedef struct syl_dlm_rule {
  uint32_t struct_size; /* sizeof(syl_dlm_rule) */
  int32_t kind;         /* SYL_DLM_FIXED_K .. */
  int32_t score;        /* FIXED_K */
  int32_t last_too;     /* FACTOR: 0 or 1 */
  int64_t k;            /* FIXED_K: >= 0; more than there are: all */
  double bound;         /* THRESHOLD: 0..1; FACTOR: > 0; ENTROPY_BOUND: >= 0; finite */
} syl_dlm_rule;

/* Selects among count results: those with masked[i] != 0, or all for NULL. selected: room for count; gets the indices,
 * the most certain first, and selected_count their number. Nothing is allocated.
 * Errors: NULL_ARGUMENT, BAD_VALUE, OVERLAP, BAD_DATA (the score of a candidate is NaN). */
SYL_API syl_status syl_dlm_select(const syl_dlm_rule* rule, const syl_logits_stats* stats, const uint8_t* masked,
                                  int64_t count, int32_t* selected, int64_t* selected_count);

#ifdef __cplusplus
}
#endif
#endif
