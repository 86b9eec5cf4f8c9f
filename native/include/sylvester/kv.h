/* Sylvester: a key-value cache of 2, 3, 4 or 8 bits, and attention that reads the packed bytes. Include
 * <sylvester/sylvester.h>.
 *
 * Objects: a calibration collects means of keys and values; a plan says how every layer is quantised; a cache owns
 * pages of packed tokens; a sequence is one text in a cache. Per layer, append writes the keys and values of new
 * tokens, attend reads all of them.
 *
 * How a token is kept. Its key k and value v of one kv head are, in this order, centred (minus a calibrated mean, if
 * the plan has one), rotated by an orthogonal Hadamard matrix R, and quantised in groups of channels:
 *
 *   x^ = s (level[q] - zero_unit z)     q: code of `bits` bits; s, z: one pair for each token and group
 *
 * s is an unsigned 8-bit float of 5 exponent and 3 fraction bits: the upper half, without the sign, of an IEEE half; z
 * is an int8. Both are rounded first and the codes computed with the rounded pair, so that 16 / group bits a number
 * come on top of the codes. Two kinds of tokens are kept as halves instead: those of the recent `window`, and sinks,
 * the first tokens and those that append is told to keep.
 *
 * Bytes: 16 tokens are a tile (native/common/kv_plan.h describes its bytes), pages are whole tiles of all layers.
 * Codes, scales, zeros and halves are the same bytes on every tier, for any number of threads, and for any cut of a
 * text into appends; they are also those of CUDA.
 *
 * Which tokens are packed: with n tokens appended and a window of w > 0, the tiles before tile floor(n / 16) - w / 16 +
 * 1 are; the newest w - 16 .. w - 1 tokens are read as halves. A query sees the cache as it was when its own token was
 * the newest, so that attention does not depend on how a prompt was cut either. Without a window all tokens are packed
 * at once. */
#ifndef SYLVESTER_KV_H_
#define SYLVESTER_KV_H_

#include <sylvester/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What a model's attention is ------------------------------------------------------------------------------- */

typedef struct syl_kv_geometry {
  uint32_t struct_size;   /* sizeof(syl_kv_geometry) */
  int32_t layers;         /* 1..1024 */
  int64_t q_heads;        /* a multiple of kv_heads, at most 1024 */
  int64_t kv_heads;       /* 1..256 */
  int64_t head_dim;       /* a multiple of 16, 16..256 */
  float scale;            /* on q k, finite, usually 1/sqrt(head_dim) */
  float soft_cap;         /* 0: none; c > 0: score = c tanh(score / c) */
  const int64_t* windows; /* [layers] sliding windows, 0: none; w: token p sees keys p-w+1 .. p. NULL: none at all */
  /* Rotary positions, used by plans that keep keys as they are before them; see syl_nn_rope_f32. */
  int64_t rope_dims;      /* even, 0..head_dim */
  int32_t interleaved;    /* 0: pairs (i, i + rope_dims / 2); 1: pairs (2i, 2i + 1) */
  int32_t reserved;       /* 0 */
  const double* inv_freq; /* [rope_dims / 2]; NULL for rope_dims 0 */
  double rope_magnitude;  /* factor on cos and sin, 1 except for yarn */
} syl_kv_geometry;

/* ---- How it is quantised ----------------------------------------------------------------------------------------- */

/* Which keys append gets. */
enum {
  SYL_KV_POST_ROPE = 0, /* rotated by their positions: read by integer products */
  SYL_KV_PRE_ROPE = 1   /* as they are before that: the read applies R^T, the mean and the positions again */
};
/* R. Orders that are no power of two times 1, 12, 20, 28, 36, 40, 44, 52, 60, 108, 124, 140, 156 or 172 do not exist.
 */
enum {
  SYL_KV_ROTATE_NONE = 0,
  SYL_KV_ROTATE_HEAD = 1, /* H of order head_dim on each head */
  SYL_KV_ROTATE_GROUP = 2 /* H of order head_group head_dim on head_group neighbouring heads; keys, PRE_ROPE only */
};
enum {
  SYL_KV_UNIFORM = 0,  /* level[q] = q */
  SYL_KV_LLOYD_MAX = 1 /* the levels of least squared error for a normal distribution, symmetric about 32, the outer
                        * ones at 1 and 63, rounded to integers; bits 2, 3, 4 only. s = rms ell / 31, ell the outer
                        * level for variance 1; z says 32. clip and integer_zero do not apply */
};
/* What a group's range [lo, hi] = [min, max] becomes before s = (hi - lo) / (2^bits - 1), z = -lo / s. */
enum {
  SYL_KV_CLIP_RANGE = 0,   /* [clip lo, clip hi] (RotateKV) */
  SYL_KV_CLIP_MIDPOINT = 1 /* shrunk by clip about its middle */
};
enum { SYL_KV_CENTER_KEYS = 1, SYL_KV_CENTER_VALUES = 2 };

typedef struct syl_kv_options {
  uint32_t struct_size;  /* sizeof(syl_kv_options) */
  int32_t rope;          /* SYL_KV_POST_ROPE, SYL_KV_PRE_ROPE */
  int32_t rotate_keys;   /* SYL_KV_ROTATE_* */
  int32_t rotate_values; /* SYL_KV_ROTATE_NONE, SYL_KV_ROTATE_HEAD */
  int32_t head_group;    /* heads of ROTATE_GROUP, dividing kv_heads, at most 16; 0: the largest of 4, 3, 2, 1 that does
                          * and whose    order has a matrix. 0 without ROTATE_GROUP */
  int32_t sort;          /* 1: groups of keys are of channels with neighbouring means (of rotated keys that are not
                          * centred), over the whole layer (RotateKV); PRE_ROPE only; needs a calibration */
  int32_t center;        /* sum of SYL_KV_CENTER_*; needs a calibration */
  int32_t grid;          /* SYL_KV_UNIFORM, SYL_KV_LLOYD_MAX */
  int32_t clip_mode;     /* SYL_KV_CLIP_* */
  int32_t integer_zero;  /* 1: zero_unit is 1; 0: 2^bits / 64, for LLOYD_MAX 1 */
  int32_t balance;       /* 1: each channel of centred keys is multiplied by (E q^2 / E k^2)^(1/4) before R, and of
                          * queries divided by it: of all diagonal matrices the one that makes the error of scores
                          * least when R spreads errors evenly. Over the queries of a kv head, 1/8..8, with a geometric
                          * mean near 1; POST_ROPE only; needs a calibration with queries */
  int32_t bits_keys, bits_values;   /* 2, 3, 4, 8 */
  int32_t group_keys, group_values; /* channels, a multiple of 16, 16..65536. Groups begin anew with each head and its
                                     * last may be shorter; with sort those of keys are consecutive in sorted order,
                                     * again the last may be shorter. Plans cut longer ones to head_dim, or with sort
                                     * to kv_heads head_dim: syl_kv_plan_options has what is used */
  float clip_keys, clip_values;     /* 0 < clip <= 1, of layers with the bits above; what is cut off, 1 - clip,
                                     * halves with every bit that layer_bits gives a layer more */
  int32_t first_tokens;             /* sinks: the first tokens, 0..64 */
  int32_t max_sinks;                /* sinks besides: most that append may be told of, per layer, 0..64 */
  int32_t window;                   /* a multiple of 16, 0..256 */
  const uint8_t* layer_bits;        /* [layers][2]: bits of keys and of values, instead of the above; or NULL */
} syl_kv_options;

/* Options of a preset, layer_bits NULL. bits: 0 for the preset's own, else of keys and values. Names:
 *
 * - rotatekv: arXiv 2501.16383 as its tables were made: before RoPE, heads in groups, sorted, clip 0.8 (1 above 2
 * bits), integer zeros, up to 20 sinks, no window; 2 bits
 * - quarot: arXiv 2404.00456: after RoPE, per head, clip 0.95, integer zeros, no sinks, no window; 2 bits
 * - turbo: arXiv 2504.19874 (MSE variant): after RoPE, per head, Lloyd-Max; 2 bits
 * - q8, q4: after RoPE, not rotated, groups of 32: llama.cpp's cache types of these sizes
 * - best: the best of what was measured (docs/kv.md); 2 bits
 *
 * Errors: NULL_ARGUMENT, BAD_VALUE (name, bits; 8 bits of turbo). */
SYL_API syl_status syl_kv_preset(const char* name, int32_t bits, syl_kv_options* options);

/* ---- Calibration: sums of keys and values, in double --------------------------------------------------------------
 */

typedef struct syl_kv_calibration syl_kv_calibration;
SYL_API syl_status syl_kv_calibration_new(const syl_kv_geometry* geometry, syl_kv_calibration** calibration);
SYL_API void syl_kv_calibration_free(syl_kv_calibration* calibration);
/* Adds rows tokens of a layer: k and v as append would get them, rows x kv_heads x head_dim floats with row strides.
 * Errors: NULL_ARGUMENT, BAD_VALUE (layer, rows), BAD_SHAPE, BAD_DATA (names the first element that is not finite). */
SYL_API syl_status syl_kv_calibration_add_f32(syl_kv_calibration* calibration, int32_t layer, const float* k,
                                              int64_t k_stride, const float* v, int64_t v_stride, int64_t rows);
/* Adds rows queries of a layer, for plans that balance: rows x q_heads x head_dim floats as attend would get them.
 * Errors: as above, of q. */
SYL_API syl_status syl_kv_calibration_add_queries_f32(syl_kv_calibration* calibration, int32_t layer, const float* q,
                                                      int64_t q_stride, int64_t rows);
/* Adds what another one of the same geometry collected. */
SYL_API syl_status syl_kv_calibration_merge(syl_kv_calibration* calibration, const syl_kv_calibration* other);

/* ---- Plan: immutable, for any number of caches and threads ----------------------------------------------------------
 */

typedef struct syl_kv_plan syl_kv_plan;
/* calibration: NULL if the options need none; otherwise every layer has seen 256 tokens or more, and with balance as
 * many queries.
 * Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE (group, head_group, an order without a Hadamard matrix), UNSUPPORTED
 * (combinations excluded above), OUT_OF_MEMORY. */
SYL_API syl_status syl_kv_plan_new(const syl_kv_geometry* geometry, const syl_kv_options* options,
                                   const syl_kv_calibration* calibration, syl_kv_plan** plan);
/* NULL is allowed. Caches keep what they need of their plan. */
SYL_API void syl_kv_plan_free(syl_kv_plan* plan);
/* The file of a plan: little-endian, with magic, version, a hash of the geometry and checksums. save writes
 * syl_kv_plan_size bytes; WORKSPACE if there is less room. Errors of load: BAD_DATA, with the offset of what is wrong;
 * also when geometry is another one. */
SYL_API syl_status syl_kv_plan_size(const syl_kv_plan* plan, int64_t* bytes);
SYL_API syl_status syl_kv_plan_save(const syl_kv_plan* plan, void* file, int64_t bytes);
SYL_API syl_status syl_kv_plan_load(const void* file, int64_t bytes, const syl_kv_geometry* geometry,
                                    syl_kv_plan** plan);

typedef struct syl_kv_plan_info {
  uint32_t struct_size; /* sizeof(syl_kv_plan_info) */
  int32_t layers;
  double bits_keys; /* of a packed number, scales and zeros counted, mean over the layers */
  double bits_values;
  int64_t tile_bytes;                            /* of 16 packed tokens, all layers; divide by 16 for a token */
  int64_t token_half_bytes;                      /* of a token kept as halves, all layers */
  int32_t rope, window, first_tokens, max_sinks; /* of the options */
} syl_kv_plan_info;
SYL_API syl_status syl_kv_plan_describe(const syl_kv_plan* plan, syl_kv_plan_info* info);
/* The plan's options; layer_bits points into the plan and lives as long as it. */
SYL_API syl_status syl_kv_plan_options(const syl_kv_plan* plan, syl_kv_options* options);

/* ---- Cache and sequences --------------------------------------------------------------------------------------------
 * Sequences of one cache may be used on different threads; a sequence by one thread at a time, and it must be freed
 * before its cache. */

typedef struct syl_kv_cache_options {
  uint32_t struct_size; /* sizeof(syl_kv_cache_options) */
  int32_t page_tokens;  /* a multiple of 16, 16..4096 */
  int64_t pages;        /* 1..2^24 */
  int64_t max_rows;     /* longest append of a plan with a window, and the tokens by which a sequence can be truncated
                         * without losing its window; 1..65536 */
  void* arena;          /* 64-byte aligned memory for the pages that outlives the cache, or NULL: the library's own */
  int64_t arena_bytes;  /* at least syl_kv_arena_size; 0 without an arena */
} syl_kv_cache_options;

typedef struct syl_kv_cache syl_kv_cache;
typedef struct syl_kv_sequence syl_kv_sequence;

SYL_API syl_status syl_kv_arena_size(const syl_kv_plan* plan, const syl_kv_cache_options* options, int64_t* bytes);
SYL_API syl_status syl_kv_cache_new(const syl_kv_plan* plan, const syl_kv_cache_options* options, syl_kv_cache** cache);
/* NULL is allowed. Errors: BAD_VALUE while it has sequences; then nothing is freed. */
SYL_API syl_status syl_kv_cache_free(syl_kv_cache* cache);

SYL_API syl_status syl_kv_sequence_new(syl_kv_cache* cache, syl_kv_sequence** sequence);
/* NULL is allowed. */
SYL_API void syl_kv_sequence_free(syl_kv_sequence* sequence);
/* Tokens appended to a layer. */
SYL_API syl_status syl_kv_length(const syl_kv_sequence* sequence, int32_t layer, int64_t* tokens);

/* The next three need all layers to have the same length: BAD_VALUE otherwise. */

/* A new sequence of the first `tokens` tokens. Full tiles are shared, the rest is copied; neither sequence ever sees
 * what the other one does later. Errors: BAD_VALUE (tokens; or a window that is gone, as for truncate),
 * OUT_OF_MEMORY (also without a free page). */
SYL_API syl_status syl_kv_fork(const syl_kv_sequence* sequence, int64_t tokens, syl_kv_sequence** fork);
/* Forgets all but the first `tokens` tokens: then the sequence is, byte for byte, as if the others had never been. With
 * a window its tokens must still be there as halves: tokens >= syl_kv_truncatable, or 0. Errors: BAD_VALUE (tokens);
 * OUT_OF_MEMORY, with the sequence as it was: a fork has the tile that would be cut, and no page is free for a copy. */
SYL_API syl_status syl_kv_truncate(syl_kv_sequence* sequence, int64_t tokens);
/* The least tokens > 0 to which the sequence can be truncated; 0 without tokens. */
SYL_API syl_status syl_kv_truncatable(const syl_kv_sequence* sequence, int64_t* tokens);
/* PRE_ROPE plans: removes the tokens first .. first + count - 1; those behind them move up by count positions, which
 * changes none of their bytes. first and count are multiples of 16, first + count is at most the number of packed
 * tokens, and no token removed may be a sink. UNSUPPORTED for other plans. */
SYL_API syl_status syl_kv_remove(syl_kv_sequence* sequence, int64_t first, int64_t count);

/* Forgets all but the first `tokens` tokens of one layer, so that a tree of tokens can be tried branch by branch in a
 * layer before the next one sees it. Pages stay the sequence's until it is truncated as a whole. Errors: BAD_VALUE
 * (tokens, as for truncate but of this layer; or a fork has a tile of the forgotten tokens). */
SYL_API syl_status syl_kv_truncate_layer(syl_kv_sequence* sequence, int32_t layer, int64_t tokens);

/* Some sequences at once: rows of sequence i stand behind those of sequence i - 1. No sequence twice; all of one cache.
 */
typedef struct syl_kv_batch {
  uint32_t struct_size;             /* sizeof(syl_kv_batch) */
  int32_t sequences;                /* >= 1 */
  syl_kv_sequence* const* sequence; /* [sequences] */
  const int64_t* rows;              /* [sequences], each >= 0 */
} syl_kv_batch;

/* Workspaces of append and attend for a batch; attend's for the present lengths. */
SYL_API syl_status syl_kv_append_workspace(const syl_kv_batch* batch, int32_t threads, int64_t* bytes);
SYL_API syl_status syl_kv_attend_workspace(const syl_kv_batch* batch, int32_t layer, int32_t threads, int64_t* bytes);

/* Appends tokens to a layer of each sequence. k, v: rows x kv_heads x head_dim floats with row strides; magnitudes that
 * exceed halves saturate there. sinks: a byte for each row, not 0: keep this token as halves (while the first tokens
 * are anyway); or NULL.
 * Errors, with all sequences as they were: NULL_ARGUMENT, BAD_VALUE (layer; more rows than max_rows; more sinks than
 * max_sinks), BAD_SHAPE, BAD_DATA (k or v not finite: names row and column), OUT_OF_MEMORY (not enough free pages),
 * OVERLAP (the workspace with an input), WORKSPACE. */
SYL_API syl_status syl_kv_append_f32(const syl_kv_batch* batch, int32_t layer, const float* k, int64_t k_stride,
                                     const float* v, int64_t v_stride, const uint8_t* sinks, void* workspace,
                                     int64_t workspace_bytes, syl_pool* pool);

/* y[r][h] = softmax_j(scale q[r][h] . K[j]) V[j], causal, for the last rows[i] tokens of each sequence: row r of them
 * is token length - rows[i] + r, and q is rotated by its position. q, y: rows x q_heads x head_dim with row strides.
 * Query head h uses kv head h / (q_heads / kv_heads). rows[i] <= max_rows for plans with a window, whose halves must
 * be there for each row's token as the newest: length - rows[i] + 1 >= syl_kv_truncatable.
 *
 * PRE_ROPE: keys are decoded to float. POST_ROPE: integer products; q' = R q is rounded to integers of 8 bits (2 and 3
 * bits) or 14 bits (4 and 8), by a scale of its own for each row and head. In both, the products w = p s of softmax
 * weights and scales of values are rounded by ordered dither, in blocks of 256 tokens, to integers of 7 bits (2 and 3
 * bits) or 12. docs/kv.md derives the error bounds; everything else is float, in an order that makes a row's bits
 * depend on nothing but its q and the tokens it sees. The same on every tier with fused multiply-add.
 *
 * A sequence without tokens but with rows is refused. Errors: NULL_ARGUMENT, BAD_VALUE (layer, rows), BAD_SHAPE,
 * BAD_DATA (q not finite), OVERLAP, WORKSPACE. */
SYL_API syl_status syl_kv_attend_f32(const syl_kv_batch* batch, int32_t layer, const float* q, int64_t q_stride,
                                     float* y, int64_t y_stride, void* workspace, int64_t workspace_bytes,
                                     syl_pool* pool);

/* The same where tokens see those behind them too, as in masked diffusion models: each of the rows, which may be any
 * tokens' and any number, sees all tokens of its sequence. unpacked: [sequences], the newest tokens of each, usually
 * those of the pass, that are read as halves; those before them are read as the newest query did before these came:
 * 0..length - syl_kv_truncatable, all while that is 1, and 0 for plans without a window, whose tokens are all packed.
 * So a text of which some tokens at the end change again and again is appended up to them for good, and they are
 * appended, attended with, and truncated off in each pass. Errors: as above; UNSUPPORTED (layers with a sliding
 * window).
 */
SYL_API syl_status syl_kv_attend_bidirectional_workspace(const syl_kv_batch* batch, int32_t layer,
                                                         const int64_t* unpacked, int32_t threads, int64_t* bytes);
SYL_API syl_status syl_kv_attend_bidirectional_f32(const syl_kv_batch* batch, int32_t layer, const int64_t* unpacked,
                                                   const float* q, int64_t q_stride, float* y, int64_t y_stride,
                                                   void* workspace, int64_t workspace_bytes, syl_pool* pool);

/* The `count` tokens of largest magnitude, RotateKV's sinks: of the largest |hidden[r][c]| over all rows and columns
 * the `count` first (0..1024), ties by lower r, then c; their rows get sinks[r] = 1, all others 0. Errors:
 * NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE, OVERLAP, BAD_DATA (names the first element that is not finite). */
SYL_API syl_status syl_kv_find_sinks_f32(const float* hidden, int64_t stride, int64_t rows, int64_t cols, int64_t count,
                                         uint8_t* sinks);

/* ---- Looking inside ---------------------------------------------------------------------------------------------- */

enum { SYL_KV_KEYS = 0, SYL_KV_VALUES = 1 };

/* y[t][h] = key or value of tokens first .. first + count - 1 as the newest query reads them: decoded, rotated back,
 * with the mean; keys as they were appended, before RoPE for PRE_ROPE plans. */
SYL_API syl_status syl_kv_dequantize_f32(const syl_kv_sequence* sequence, int32_t layer, int32_t what, int64_t first,
                                         int64_t count, float* y, int64_t y_stride);
/* Codes of packed tokens, a byte each: codes[count][kv_heads][head_dim]; scales and zeros (as stored):
 * [count][groups]. Sinks have codes, scales and zeros 0. A NULL output is left out. BAD_VALUE for tokens that are not
 * packed. */
SYL_API syl_status syl_kv_codes(const syl_kv_sequence* sequence, int32_t layer, int32_t what, int64_t first,
                                int64_t count, uint8_t* codes, uint8_t* scales, int8_t* zeros);

typedef struct syl_kv_memory {
  uint32_t struct_size; /* sizeof(syl_kv_memory) */
  int32_t reserved;
  int64_t tokens;
  int64_t packed_tokens;            /* in full tiles or, without a window, all */
  int64_t sink_tokens;              /* kept as halves because they are sinks, mean over the layers, rounded up */
  int64_t codes_bytes;              /* of packed tokens, all layers */
  int64_t params_bytes;             /* their scales and zeros */
  int64_t sink_bytes, window_bytes; /* reserved for halves */
  int64_t table_bytes;              /* the table of tiles and counters */
  int64_t slack_bytes;              /* of pages beyond the tokens */
  int64_t total_bytes;              /* the sum of the above */
  double ratio_vs_f16;              /* bytes of halves for all tokens / (codes + params + halves in use) */
} syl_kv_memory;
/* All layers have the same length: BAD_VALUE otherwise. */
SYL_API syl_status syl_kv_sequence_memory(const syl_kv_sequence* sequence, syl_kv_memory* memory);
/* Pages in use, and of how many. */
SYL_API syl_status syl_kv_cache_pages(const syl_kv_cache* cache, int64_t* used, int64_t* pages);

/* ---- Saving --------------------------------------------------------------------------------------------------------
 * A saved sequence can be mapped and loaded into any cache of the same plan, on any machine: magic, version, checksum
 * of the plan, then 64-byte aligned sections with checksums of 64 KiB each. Errors of load: BAD_DATA with the offset of
 * what is wrong (of a block of 64 KiB, where it begins), OUT_OF_MEMORY; the cache is then as it was. One text has one
 * file, however it was made; of a window only the newest token's halves are saved. All layers have the same length. */
SYL_API syl_status syl_kv_save_size(const syl_kv_sequence* sequence, int64_t* bytes);
SYL_API syl_status syl_kv_save(const syl_kv_sequence* sequence, void* file, int64_t bytes);
SYL_API syl_status syl_kv_load(syl_kv_cache* cache, const void* file, int64_t bytes, syl_kv_sequence** sequence);

#ifdef __cplusplus
}
#endif
#endif
