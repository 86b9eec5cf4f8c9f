/* Sylvester: lossless speculative verification, and the acceptance head of SpecDec++. Include <sylvester.h>. */
#ifndef SYLVESTER_SPEC_H_
#define SYLVESTER_SPEC_H_

#include <sylvester/common.h>
#include <sylvester/logits.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Verification --------------------------------------------------------------------------------------------
 * A draft proposes candidates after a text, the target reads all of them in one pass, and verification accepts some and
 * adds one token, so that the text's law (GREEDY, EXACT: the text itself) is what the target alone would give.
 *
 * The candidates of a sequence form a tree of nodes 0..n-1. Node 0 is the text so far; node i > 0 adds tokens[i] to its
 * parent, which comes before it. Row i of logits is what the target predicts after node i. Without parents the nodes
 * are a chain. p_i is the distribution that the target's sampler makes of row i (sylvester/logits.h, steps 1 to 6; the
 * history grows by the tokens on the way from node 0 to node i), q_i the one that children of node i were drawn from.
 *
 *   GREEDY  a candidate is accepted that is the largest logit after bias and penalties; ties: the smallest id.
 *   EXACT   a candidate is accepted that the sampler draws from row i at its position: the same seed gives the same
 *           text with and without speculation, whatever the draft. A draft that samples with the same seed and purpose
 *           agrees as often as two separate draws can (coupling; Daliri, Musco, Suresh, arXiv 2408.07978).
 *   TOKEN   Leviathan et al. (arXiv 2211.17192), Chen et al. (2302.01318): a candidate y is accepted when
 *           u q(y) < p(y); after a rejection the token comes from max(p - q, 0), normalised. With siblings: one after
 *           the other, each against what the ones before have left of p (SpecInfer 2305.09781; Sequoia 2402.12374).
 *   BLOCK   Sun et al. (arXiv 2403.10444): prefixes are accepted as a whole, never fewer tokens on average than TOKEN.
 *           Chains only.
 *
 * Randomness: Philox4x32-10 as in sylvester/logits.h, key = seed of the sequence's sampler, counter = (index, purpose,
 * position low, position high), position = that of the token that is decided. Draws of the target itself, after
 * everything was accepted too, are those of syl_logits_sample_f32. A draft of TOKEN and BLOCK must sample with a
 * purpose of its own, SYL_PURPOSE_DRAFT + 4 (depth + 256 sibling), where depth is the candidate's distance from node 0:
 * a number that a round has used and not decided may not come back in the next round. */
typedef int32_t syl_spec_mode;
enum { SYL_SPEC_GREEDY = 0, SYL_SPEC_EXACT = 1, SYL_SPEC_TOKEN = 2, SYL_SPEC_BLOCK = 3 };

/* Kinds of purposes: the counter's second word, modulo 4. ACCEPT: ACCEPT + 4 depth of the candidate, index = its number
 * among its siblings, u = word 0 * 2^-32. RESIDUAL: index 0, u = (word 0 * 2^21 + word 1 / 2^11) 2^-53. */
enum { SYL_PURPOSE_TARGET = 0, SYL_PURPOSE_DRAFT = 1, SYL_PURPOSE_ACCEPT = 2, SYL_PURPOSE_RESIDUAL = 3 };

/* How candidates were drawn. */
typedef int32_t syl_draft_kind;
enum {
  SYL_DRAFT_ONE_HOT = 0,       /* chosen without chance: q is 1 */
  SYL_DRAFT_LOGITS = 1,        /* by a sampler from logits */
  SYL_DRAFT_PROBABILITIES = 2, /* from probabilities */
  SYL_DRAFT_SPARSE = 3         /* from probabilities of some tokens; those of the others are 0 */
};

/* How siblings, drawn from the same q, depend on each other. */
enum { SYL_SIBLINGS_INDEPENDENT = 0, SYL_SIBLINGS_WITHOUT_REPLACEMENT = 1 };

typedef struct syl_spec_draft {
  uint32_t struct_size; /* sizeof(syl_spec_draft) */
  syl_draft_kind kind;
  int32_t siblings;
  int32_t cols;      /* LOGITS, PROBABILITIES: the draft's vocabulary */
  const float* rows; /* LOGITS, PROBABILITIES: row i is the draft's after node i; rows of nodes without children are
                        never read. Probabilities are >= 0 and sum to 1 within 1e-3. */
  int64_t stride;
  const syl_sampler* samplers; /* LOGITS: one a sequence, what the draft drew with; history and bias as the target's */
  const float* log_q;          /* LOGITS: one a node, log q(tokens[i]) as the sampler gave it; NULL: computed */
  const int64_t* sparse_begin; /* SPARSE: rows + 1; tokens of node i's children: sparse_begin[i] .. [i + 1] - 1 */
  const int32_t* sparse_ids;   /* ascending in a row */
  const float* sparse_q;       /* >= 0, sum 1 within 1e-3 */
  const int32_t* target_ids;   /* a reduced vocabulary: the target's ids of the draft's, ascending. NULL: all. tokens
                                  are the target's; the draft's samplers have no penalties, no bias counts for it */
} syl_spec_draft;

typedef struct syl_spec_batch {
  uint32_t struct_size; /* sizeof(syl_spec_batch) */
  syl_spec_mode mode;
  int64_t sequences;
  const int64_t* row_begin; /* sequences + 1, ascending from 0: rows of sequence s are row_begin[s] .. [s + 1] - 1;
                               1..256 a sequence */
  int64_t cols;             /* the vocabulary */
  const float* logits;      /* one row a node; NaN counts as -inf; of every row that is read the largest is finite */
  int64_t stride;
  const int32_t* tokens;       /* one a node, of node 0 unused */
  const int32_t* parents;      /* one a node: its parent's number in the sequence, of node 0 unused; NULL: a chain */
  const syl_sampler* samplers; /* one a sequence */
  const int64_t* positions;    /* one a sequence: position of the token that row 0 predicts */
  const int32_t* history;      /* tokens that penalties count, of sequence s: history_begin[s] .. [s + 1] - 1 */
  const int64_t* history_begin;
  const int32_t* bias_ids; /* pairs of sequence s: bias_begin[s] .. [s + 1] - 1 */
  const float* bias_values;
  const int64_t* bias_begin; /* NULL: no bias; history_begin NULL: no history */
  const uint32_t* allowed;   /* a row a node: token t is allowed when bit t % 32 of word t / 32 is set; NULL: all are */
  int64_t allowed_stride;    /* words */
  const int32_t* end_ids;    /* tokens that end a text */
  int64_t end_count;
  const syl_spec_draft* draft; /* NULL: ONE_HOT */
  const double* uniforms; /* for tests: two a node, in [0, 1), instead of ACCEPT's and RESIDUAL's; NULL: Philox. Of a
                             node: ACCEPT's when it is judged, RESIDUAL's when the token after it is drawn so */
} syl_spec_batch;

enum {
  SYL_SPEC_Q_IS_ZERO = 1,        /* the draft cannot have drawn this token: rejected */
  SYL_SPEC_RESIDUAL_IS_EMPTY = 2 /* p equals q to roundings: the token after this node was drawn from p */
};

typedef struct syl_spec_result {
  uint32_t struct_size; /* sizeof(syl_spec_result) */
  int32_t* accepted;    /* one a sequence: number of accepted candidates; none after an end token */
  int32_t* next_token;  /* one a sequence: the token after them; -1 where an end token was accepted */
  int32_t* path;        /* one a row: accepted nodes of a sequence, from its first row on; then -1. May be NULL */
  float* acceptance;    /* one a row: min(1, p / q) of a candidate that was judged, else NaN; the label that SpecDec++
                           learns. GREEDY and temperature 0: 1 or 0. May be NULL, which saves time in GREEDY and EXACT */
  int32_t* flags;       /* one a row: sum of the above. May be NULL */
} syl_spec_result;

/* Bytes of workspace for a batch; its logits, tokens and random numbers are not read. */
SYL_API syl_status syl_spec_verify_workspace(const syl_spec_batch* batch, const syl_pool* pool, int64_t* bytes);

/* Reads a row of logits only when it has to, and writes nothing of the vocabulary's size unless bias, penalties, masks
 * or filters are on. The result of a sequence depends on nothing else: same tokens for any batch and thread count and
 * on CUDA. workspace: aligned to 8 bytes. Errors: NULL_ARGUMENT, BAD_VALUE (a parameter, token or parent out of range,
 * the largest logit not finite, probabilities that do not sum to 1, nothing allowed), BAD_SHAPE (row_begin, strides),
 * WORKSPACE, OVERLAP, UNSUPPORTED (BLOCK with parents; a reduced vocabulary with penalties). */
SYL_API syl_status syl_spec_verify_f32(const syl_spec_batch* batch, const syl_spec_result* result, void* workspace,
                                       int64_t workspace_bytes, syl_pool* pool);

/* ---- Acceptance head (SpecDec++, arXiv 2405.19715) -----------------------------------------------------------
 * Predicts from the draft's last hidden state whether the candidate that it has just read is accepted:
 *   x_0 = hidden, x_{d+1} = x_d + SiLU(W_d x_d + b_d), z = V x_blocks + c,
 *   P(accept) = sigmoid((z_1 - z_0 + shift) scale)
 * With SYL_TIED_BLOCKS all W_d and b_d are the same (as in the paper's release). Training with weight w_rej for
 * rejections learns odds divided by w_rej / w_acc: shift = log(w_rej / w_acc) undoes that. */
enum { SYL_UNTIED_BLOCKS = 0, SYL_TIED_BLOCKS = 1 };

typedef struct syl_spec_head {
  uint32_t struct_size; /* sizeof(syl_spec_head) */
  int32_t width;        /* 1..65536 */
  int32_t blocks;       /* 0..64 */
  int32_t tied;
  float shift, scale;      /* finite; scale > 0 */
  const float* parameters; /* W_0 (width x width, row = output), b_0, W_1, b_1, ..., V (2 x width; row 1: accept),
                              c (2); tied: one W and b, if there are blocks */
} syl_spec_head;

/* Number of floats of the parameters, which are not read here and below. */
SYL_API syl_status syl_spec_head_parameters(const syl_spec_head* head, int64_t* count);
/* Workspace of both functions below; the same for all rows >= 64. */
SYL_API syl_status syl_spec_head_workspace(const syl_spec_head* head, int64_t rows, int64_t* bytes);

/* hidden: rows x width. acceptance: rows. A row's result does not depend on the others, and has the same bits on every
 * tier with fused multiply-add; a row of hidden that is not finite gives NaN or a probability, and changes no other.
 * workspace: any alignment. Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE, OVERLAP, WORKSPACE. */
SYL_API syl_status syl_spec_head_f32(const syl_spec_head* head, const float* hidden, int64_t stride, int64_t rows,
                                     float* acceptance, void* workspace, int64_t workspace_bytes, syl_pool* pool);

/* Loss of the paper, with P of shift 0 and scale 1 and labels a in [0, 1] (NaN: row is ignored, and not read):
 *   L = sum w_acc a (-log P) + w_rej (1 - a) (-log(1 - P)),  N = sum w_acc a + w_rej (1 - a)
 * Adds dL/dparameters to gradient, L to *loss and N to *weight; the mean is their quotient. Weights: finite, > 0. Of
 * untied blocks the gradient has the same bits however the rows are cut into calls. Errors: as above. */
SYL_API syl_status syl_spec_head_gradient_f32(const syl_spec_head* head, const float* hidden, int64_t stride,
                                              const float* labels, int64_t rows, float accept_weight,
                                              float reject_weight, float* gradient, double* loss, double* weight,
                                              void* workspace, int64_t workspace_bytes, syl_pool* pool);

#ifdef __cplusplus
}
#endif
#endif
