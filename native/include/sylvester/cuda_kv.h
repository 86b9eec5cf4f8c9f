/* Sylvester on CUDA: the packed key-value cache of <sylvester/kv.h>. Include <sylvester/cuda.h>.
 *
 * Here the cache is the caller's: an arena of pages, tables that name the tiles of each sequence, rings and sinks of
 * halves. The calls below only enqueue work on these; they neither wait, nor allocate, nor read device memory on the
 * host. So what is in device memory is not checked: keys, values and queries that are not finite, tables that name
 * tiles outside the arena. All arrays of the structs are device memory, structs themselves are host memory.
 *
 * Pages, tiles, scales, zeros, rings and sinks have the bytes that the CPU's cache has for the same tokens: they can be
 * copied from one to the other. A sequence is truncated by making it shorter, as far as its ring goes back, and forked
 * by copying its table and what its last tile, ring and sinks hold.
 *
 *  - arena: pages of page_tiles tiles, of all layers, so that a page has page_tiles * tile_bytes bytes
 *    (syl_kv_plan_info). Filled with 0 once, before its first use.
 *  - tile: named by page * page_tiles + slot. Of n tokens ceil(n / 16) tiles are in pages, with a window of w the first
 *    max(0, floor(n / 16) - w / 16 + 1).
 *  - ring: tile t of a sequence at t % ring_tiles, ring_tiles >= (window + most rows of a call - 1) / 16; keys
 *    [kv_heads][ring_tiles][head_dim][16 tokens], values [kv_heads][ring_tiles][16][head_dim].
 *  - sinks: [kv_heads][sink_capacity][head_dim], tokens named by sink_tokens. */
#ifndef SYLVESTER_CUDA_KV_H_
#define SYLVESTER_CUDA_KV_H_

#include <sylvester/cuda.h>
#include <sylvester/kv.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A plan on the calling thread's device. file: what syl_kv_plan_save wrote.
 * Errors: NULL_ARGUMENT, BAD_DATA as syl_kv_plan_load; UNSUPPORTED for PRE_ROPE plans; OUT_OF_MEMORY. */
typedef struct syl_cuda_kv_plan syl_cuda_kv_plan;
SYL_API syl_status syl_cuda_kv_plan_new(const void* file, int64_t bytes, const syl_kv_geometry* geometry,
                                        syl_cuda_kv_plan** plan);
/* NULL is allowed. No work of the plan may be under way. */
SYL_API void syl_cuda_kv_plan_free(syl_cuda_kv_plan* plan);

/* Some sequences at once. rows: new tokens to append, then queries to attend with; row r of sequence i is its token
 * lengths[i] - rows of i + r in both calls, so that one batch serves all layers of a step. */
typedef struct syl_cuda_kv_batch {
  uint32_t struct_size;      /* sizeof(syl_cuda_kv_batch) */
  int32_t sequences;         /* 1..65535 */
  int64_t max_rows;          /* no sequence has more rows; 1..65536 */
  int64_t max_tokens;        /* no sequence is longer; 1..2^30 */
  const int32_t* row_starts; /* [sequences + 1]: rows of k, v, q, y of sequence i are those from row_starts[i] on, up to
                              * and without row_starts[i + 1] */
  const int32_t* lengths;    /* [sequences] tokens, the rows included */
  const int32_t* slots;      /* [sequences] where its ring and sinks are; not used without halves */
  const int32_t* tiles;      /* [sequences][tiles_stride]; -1 is no tile */
  int64_t tiles_stride;
  void* arena;        /* 64-byte aligned */
  int64_t page_tiles; /* 1..256 */
} syl_cuda_kv_batch;

/* Tokens kept as halves, of a layer: 4-byte aligned arrays [slots] of what is described above. */
typedef struct syl_cuda_kv_halves {
  uint32_t struct_size;  /* sizeof(syl_cuda_kv_halves) */
  int32_t ring_tiles;    /* 0 without a window */
  int32_t sink_capacity; /* first_tokens + max_sinks of the plan */
  int32_t reserved;      /* 0 */
  uint16_t* ring_keys;   /* NULL without a window */
  uint16_t* ring_values;
  uint16_t* sink_keys; /* NULL without sinks */
  uint16_t* sink_values;
  const int32_t* sink_tokens; /* [slots][sink_capacity]: tokens that are sinks, ascending, among them those of the rows
                               * that are; the rest -1 */
} syl_cuda_kv_halves;

/* Appends the rows to a layer. k, v: device floats, rows x kv_heads x head_dim with row strides. Only the part of a
 * tile from the first new token on is written, whatever was there. Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE. */
SYL_API syl_status syl_cuda_kv_append_f32(const syl_cuda_kv_plan* plan, int32_t layer, const syl_cuda_kv_batch* batch,
                                          const syl_cuda_kv_halves* halves, const float* k, int64_t k_stride,
                                          const float* v, int64_t v_stride, syl_cuda_stream stream);

/* How attend multiplies integers: by tensor cores or without them, with the same results. */
enum { SYL_CUDA_KV_MMA = 0, SYL_CUDA_KV_DP4A = 1 };

/* Bytes of attend's device workspace, which depends on sequences, max_rows and max_tokens of the batch. */
SYL_API syl_status syl_cuda_kv_attend_workspace(const syl_cuda_kv_plan* plan, const syl_cuda_kv_batch* batch,
                                                int64_t* bytes);

/* As syl_kv_attend_f32: q, y: device floats, rows x q_heads x head_dim with row strides. A row's bits depend on nothing
 * but its q, the tokens it sees and, with q_heads / kv_heads not a multiple of 4, how the rows of the call lie.
 *
 * Error, beside that of float arithmetic: queries and, in blocks of 256 tokens, products of softmax weights and scales
 * of values are rounded to multiples of their largest one / 16256, half of which is what each may be off.
 * Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE, WORKSPACE. workspace: 16-byte aligned. */
SYL_API syl_status syl_cuda_kv_attend_f32(const syl_cuda_kv_plan* plan, int32_t layer, const syl_cuda_kv_batch* batch,
                                          const syl_cuda_kv_halves* halves, const float* q, int64_t q_stride, float* y,
                                          int64_t y_stride, int32_t products, void* workspace, int64_t workspace_bytes,
                                          syl_cuda_stream stream);

/* As syl_kv_attend_bidirectional_f32: each row, of any token, sees all tokens of its sequence. unpacked: device int32,
 * [sequences], each 0..max_rows of the batch, which is 2048 at most, and 0 for plans without a window; their halves are
 * in the ring if they were appended by one batch. Workspace and error as of syl_cuda_kv_attend_f32. Errors: as there;
 * UNSUPPORTED (layers with a sliding window). */
SYL_API syl_status syl_cuda_kv_attend_bidirectional_f32(const syl_cuda_kv_plan* plan, int32_t layer,
                                                        const syl_cuda_kv_batch* batch, const int32_t* unpacked,
                                                        const syl_cuda_kv_halves* halves, const float* q,
                                                        int64_t q_stride, float* y, int64_t y_stride, int32_t products,
                                                        void* workspace, int64_t workspace_bytes,
                                                        syl_cuda_stream stream);

/* y[t][h] = keys or values of tokens first .. first + count - 1 of the batch's sequence of this index, with the bits of
 * syl_kv_dequantize_f32. Tokens that it does not have are left out. Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE. */
SYL_API syl_status syl_cuda_kv_dequantize_f32(const syl_cuda_kv_plan* plan, int32_t layer,
                                              const syl_cuda_kv_batch* batch, const syl_cuda_kv_halves* halves,
                                              int32_t sequence, int32_t what, int64_t first, int64_t count, float* y,
                                              int64_t y_stride, syl_cuda_stream stream);

#ifdef __cplusplus
}
#endif
#endif
