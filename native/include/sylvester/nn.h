/* Sylvester: what a transformer runner needs besides the project's own kernels. Include <sylvester.h>.
 *
 * Row invariance: row r of any function here has the same bits whatever other rows are computed with it, for any
 * number of threads and any position in the batch. Speculative decoding and chunked prefill rest on it. */
#ifndef SYLVESTER_NN_H_
#define SYLVESTER_NN_H_

#include <sylvester/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Matrix product ------------------------------------------------------------------------------------------
 * y[r][o] = sum_i W[o][i] x[r][i] (+ bias[o]) (+ y[r][o]);  W: n outputs x k inputs, row-major in the file's type.
 * W is repacked once into panels of 16 output rows ("lane = output row").
 *
 * Plain types (F32, F16, BF16): each output is one chain of fused multiply-adds in ascending i, starting at +0.
 * |y - W x| <= gamma(k + 1) sum_i |W[o][i] x[i]| without underflow; gamma(j) = j u / (1 - j u), u = 2^-24.
 *
 * Block types: x is quantised to 16-bit integers in blocks of 32, dx = max|x| / 32512 and q = round-half-even(x / dx)
 * in float, both 0 where dx would be subnormal. With i = sum (code - zero) q and s = sum q, exact integers that float()
 * rounds to nearest even, each block gives
 *
 *   Q4_0 Q5_0 Q8_0   t = float(i) D                         D: the block's d
 *   Q4_1 Q5_1        t = fma(M, float(s), float(i) D)       D, M: the block's d, m
 *   Q4_K Q5_K        t = fma(M, float(s), float(i) D)       D = d sc, M = -(dmin m)
 *   Q6_K             t = fma(float(i0), D0, float(i1) D1)   of the lower and the upper 16: D0 = d sc0, D1 = d sc1
 *
 * and y = fma(t, dx, y) over the blocks in ascending order, starting at +0. Beside the rounding of these steps, y
 * differs from W x by at most sum over blocks of (dx / 2) sum |W|.
 *
 * The definition is the same on every tier with fused multiply-add, so that results there are bit-identical; tier
 * "sse4" rounds products and sums separately. Bias is added to the sum, and the result to y. */

/* Bytes of the packed form. type: any of syl_dtype; n, k: 1..2^31-1, k a multiple of the type's block size.
 * Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE (k, or a size that overflows). */
SYL_API syl_status syl_nn_weights_size(syl_dtype type, int64_t n, int64_t k, int64_t* bytes);

/* Packs W (src: n rows of the file's layout, back to back, src_bytes long) into packed (64-byte aligned,
 * packed_bytes as told by syl_nn_weights_size). When n is a multiple of 16, panels of several matrices of one type
 * and k packed back to back form one matrix with the rows of all of them. */
SYL_API syl_status syl_nn_weights_pack(syl_dtype type, int64_t n, int64_t k, const void* src, int64_t src_bytes,
                                       void* packed, int64_t packed_bytes, syl_pool* pool);

enum {
  SYL_MATMUL_ACCUMULATE = 1 /* add the product to y instead of storing it */
};

/* Workspace of syl_nn_matmul_f32 for m rows. */
SYL_API syl_status syl_nn_matmul_workspace(syl_dtype type, int64_t n, int64_t k, int64_t m, int64_t* bytes);

/* x: m >= 0 rows, stride x_stride >= k; y: m rows, stride y_stride >= n; bias: n floats or NULL; flags: 0 or
 * SYL_MATMUL_ACCUMULATE; packed: 64-byte aligned; workspace: any alignment. y must not overlap the others, nor the
 * workspace x. A row of x with an infinity or NaN gives no finite number in that row of y, and changes no other row.
 * Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE, OVERLAP, WORKSPACE. */
SYL_API syl_status syl_nn_matmul_f32(syl_dtype type, const void* packed, int64_t n, int64_t k, const float* x,
                                     int64_t x_stride, int64_t m, const float* bias, uint32_t flags, float* y,
                                     int64_t y_stride, void* workspace, int64_t workspace_bytes, syl_pool* pool);

/* ---- Rows ---------------------------------------------------------------------------------------------------- */

/* y[r] = table[ids[r]] as float. table: vocab rows of cols elements in the file's layout (not packed).
 * Errors: BAD_VALUE names the first id outside 0..vocab-1. */
SYL_API syl_status syl_nn_embed_f32(syl_dtype type, const void* table, int64_t vocab, int64_t cols, const int32_t* ids,
                                    int64_t rows, float* y, int64_t y_stride);

/* RMSNorm (Zhang & Sennrich 2019): y[r][i] = x[r][i] / sqrt(mean_i x[r][i]^2 + eps) * weight[i]. weight: cols floats.
 * y may equal x when the strides are equal; otherwise no row of y may share a byte with one of x. The mean is computed
 * in double: relative error <= 3.1 * 2^-24 as long as 1 / sqrt(..) and the products are normal floats. */
SYL_API syl_status syl_nn_rms_norm_f32(const float* x, int64_t x_stride, const float* weight, float eps, int64_t rows,
                                       int64_t cols, float* y, int64_t y_stride, syl_pool* pool);

/* y[r][i] = silu(gate[r][i]) * up[r][i], silu(z) = z / (1 + exp(-z)). y may equal gate or up when the strides are
 * equal; otherwise no row of y may share a byte with one of theirs, so that all three may be parts of the rows of one
 * buffer. Relative error <= 6 * 2^-24 for gate >= -87; silu is 0 below -88.73, where |silu| < 3e-37. */
SYL_API syl_status syl_nn_swiglu_f32(const float* gate, int64_t gate_stride, const float* up, int64_t up_stride,
                                     int64_t rows, int64_t cols, float* y, int64_t y_stride, syl_pool* pool);

/* ---- Rotary positions (Su et al. 2021) ----------------------------------------------------------------------- */

enum { SYL_ROPE_NONE = 0, SYL_ROPE_LINEAR = 1, SYL_ROPE_NTK = 2, SYL_ROPE_YARN = 3, SYL_ROPE_LLAMA3 = 4 };

/* Frequency scaling. Fields not used by a kind are ignored. Formulas and defaults: transformers'
 * modeling_rope_utils (linear, dynamic NTK at a fixed factor, yarn, llama3). */
typedef struct syl_rope_scaling {
  uint32_t struct_size;                     /* sizeof(syl_rope_scaling) */
  int32_t kind;                             /* SYL_ROPE_* */
  double theta;                             /* base, for example 10000; > 1 */
  double factor;                            /* > 0 (linear, ntk, yarn, llama3) */
  double original_context;                  /* yarn, llama3 */
  double low_freq_factor, high_freq_factor; /* llama3 */
  double beta_fast, beta_slow;              /* yarn; 32 and 1 are usual */
  double attention_factor;                  /* yarn: factor on cos and sin; 0 = 0.1 ln(factor) + 1 */
} syl_rope_scaling;

/* inv_freq[i], i < dims / 2, and the factor on cos and sin (1 except for yarn). dims: even, 2..1024. */
SYL_API syl_status syl_nn_rope_frequencies(const syl_rope_scaling* scaling, int64_t dims, double* inv_freq,
                                           double* magnitude);

/* table[r][0][i] = magnitude cos(p inv_freq[i]), table[r][1][i] = magnitude sin(p inv_freq[i]), p = positions[r],
 * computed in double and rounded once. table: rows x 2 x dims/2 floats. positions >= 0. */
SYL_API syl_status syl_nn_rope_table_f32(const double* inv_freq, double magnitude, int64_t dims,
                                         const int32_t* positions, int64_t rows, float* table);

/* Rotates the first dims of each head in place: x[r][h] is head_dim floats at x + r x_stride + h head_dim.
 * interleaved 0: pairs (i, i + dims/2), as transformers; 1: pairs (2i, 2i+1), as GGUF llama files.
 * (a, b) becomes (a cos - b sin, b cos + a sin), each within 2.01 * 2^-24 (|a cos| + |b sin|) of the exact value, the
 * second likewise. */
SYL_API syl_status syl_nn_rope_f32(float* x, int64_t x_stride, int64_t rows, int64_t heads, int64_t head_dim,
                                   int64_t dims, int32_t interleaved, const float* table, syl_pool* pool);

/* ---- Attention over a float cache ----------------------------------------------------------------------------
 * Cache of one layer, for `capacity` tokens (a multiple of 16), elements F16 or F32:
 *   keys   [kv_heads][capacity / 16][head_dim][16]   (lane = token)
 *   values [kv_heads][capacity][head_dim] */
typedef struct syl_attention {
  uint32_t struct_size; /* sizeof(syl_attention) */
  syl_dtype cache_type; /* SYL_F16 or SYL_F32 */
  int64_t q_heads;      /* a multiple of kv_heads */
  int64_t kv_heads;
  int64_t head_dim; /* a multiple of 8, 8..512 */
  int64_t capacity; /* tokens the cache can hold; a multiple of 16 */
  int64_t window;   /* 0: none; w > 0: token p sees keys p-w+1 .. p (causal only) */
  int32_t causal;   /* 1: token p sees keys 0..p; 0: every token sees all keys */
  float scale;      /* on q k, usually 1/sqrt(head_dim) */
  float soft_cap;   /* 0: none; c > 0: score = c tanh(score / c) */
} syl_attention;

/* Bytes of keys and of values. A field of the shape outside its range is refused by name, here and below: BAD_VALUE,
 * BAD_SHAPE. */
SYL_API syl_status syl_nn_cache_size(const syl_attention* attention, int64_t* key_bytes, int64_t* value_bytes);

/* Writes rows tokens at positions first .. first+rows-1 and nothing else. k, v: [rows] x kv_heads x head_dim floats
 * with row strides. Rounds to the cache's type, half to even; NaN stays NaN. Only k and v may overlap.
 * Errors: NULL_ARGUMENT, BAD_VALUE (first, rows), BAD_SHAPE, OVERLAP. */
SYL_API syl_status syl_nn_cache_append_f32(const syl_attention* attention, const float* k, int64_t k_stride,
                                           const float* v, int64_t v_stride, int64_t first, int64_t rows, void* keys,
                                           void* values, syl_pool* pool);

/* Workspace of syl_nn_attention_f32 for that many rows and tokens, wherever the rows lie; may be 0. */
SYL_API syl_status syl_nn_attention_workspace(const syl_attention* attention, int64_t rows, int64_t tokens,
                                              int64_t* bytes);

/* y[r][h] = softmax_j(scale q[r][h] . K[j]) V[j] over the keys that row r (position first + r) may see, out of `tokens`
 * cached ones; causal needs first + rows <= tokens, otherwise first does not matter and tokens >= 1. Query head h uses
 * kv head h / (q_heads / kv_heads). q: rows x q_heads x head_dim with row stride; y the same shape. y and the workspace
 * may not overlap anything else.
 *
 * Softmax by blocks of 256 keys at fixed positions of the context, merged in ascending order (Milakov & Gimelshein
 * 2018): a row's bits depend on nothing but its q and the keys and values it sees. Other tokens may hold anything, or
 * nothing yet. The same on every tier with fused multiply-add.
 *
 * |error| <= u (2 (head_dim + 12) S + 300 + n / 16) sum_j w[j] |V[j]|, where u = 2^-24, n counts the keys seen, w is
 * the exact softmax and S the largest sum_d |scale q[d] K[j][d]|; twice that on tier "sse4". A head whose scores are
 * not all finite gives unspecified values in that row and head only.
 *
 * Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE, OVERLAP, WORKSPACE. */
SYL_API syl_status syl_nn_attention_f32(const syl_attention* attention, const float* q, int64_t q_stride, int64_t first,
                                        int64_t rows, const void* keys, const void* values, int64_t tokens, float* y,
                                        int64_t y_stride, void* workspace, int64_t workspace_bytes, syl_pool* pool);

/* ---- Training ------------------------------------------------------------------------------------------------ */

typedef struct syl_adamw {
  uint32_t struct_size; /* sizeof(syl_adamw) */
  float learning_rate;  /* >= 0; a schedule changes it from step to step */
  float beta1, beta2;   /* [0, 1); 0.9 and 0.999 are usual */
  float epsilon;        /* > 0; 1e-8 is usual */
  float weight_decay;   /* >= 0; decoupled from the gradient */
  float gradient_scale; /* finite: 1 / number of samples where the gradient is their sum */
  int64_t step;         /* 1, 2, ...: number of this update */
} syl_adamw;

/* One update of AdamW (Loshchilov & Hutter, arXiv 1711.05101), t = step, for each i < n:
 *   g = gradient_scale gradient[i]
 *   mean[i] = beta1 mean[i] + (1 - beta1) g
 *   square[i] = beta2 square[i] + (1 - beta2) g^2
 *   parameters[i] = (1 - learning_rate weight_decay) parameters[i]
 *                   - learning_rate / (1 - beta1^t) mean[i] / (sqrt(square[i] / (1 - beta2^t)) + epsilon)
 * mean and square are 0 before the first. No array may overlap another. The same bits on every tier with fused
 * multiply-add. Errors: NULL_ARGUMENT, BAD_VALUE, OVERLAP. */
SYL_API syl_status syl_nn_adamw_f32(const syl_adamw* options, const float* gradient, int64_t n, float* parameters,
                                    float* mean, float* square, syl_pool* pool);

#ifdef __cplusplus
}
#endif
#endif
