/* Sylvester on CUDA: Kronecker adapters and LoRA (sylvester/kron.h) applied to rows, merged and trained. Include
 * <sylvester/cuda.h>. Nothing here waits. Factors, rows, weights, gradients and workspaces are device memory, all else
 * is host memory and read before the call returns. What overlaps is not checked. */
#ifndef SYLVESTER_CUDA_KRON_H_
#define SYLVESTER_CUDA_KRON_H_

#include <sylvester/cuda.h>
#include <sylvester/kron.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of device workspace for so many rows in either direction. The factors are not read. */
SYL_API syl_status syl_cuda_kron_workspace(const syl_kron* kron, int64_t rows, int64_t* bytes);

/* syl_kron_apply_f32 of the same factors, with its bits on tiers with fused multiply-add (but for NaN's). The factors
 * are read as they are: nothing is packed. kron->u and kron->v: device memory; flags: SYL_KRON_ACCUMULATE,
 * SYL_KRON_TRANSPOSED (then x has rows of m p floats and y of n q) or both. workspace: any alignment. Errors: those of
 * the CPU that do not depend on device memory; BAD_VALUE for device pointers that are not aligned to their elements. */
SYL_API syl_status syl_cuda_kron_apply_f32(const syl_kron* kron, float scale, const float* x, int64_t x_stride,
                                           int64_t rows, uint32_t flags, float* y, int64_t y_stride, void* workspace,
                                           int64_t workspace_bytes, syl_cuda_stream stream);

/* As syl_kron_segments. */
typedef struct syl_cuda_kron_segments {
  uint32_t struct_size;     /* sizeof(syl_cuda_kron_segments) */
  int32_t adapters;         /* >= 0 */
  int64_t segments;         /* >= 0 */
  const syl_kron* kron;     /* one an adapter, of equal m p and n q */
  const int64_t* row_begin; /* segments + 1 */
  const int32_t* adapter;   /* one a segment: its adapter, or -1 for none */
  const float* scale;       /* one a segment, finite */
} syl_cuda_kron_segments;

/* syl_kron_apply_segments_f32: the same bits as one call a segment. flags: 0 or SYL_KRON_ACCUMULATE. workspace: of the
 * largest need that any adapter has for all rows. */
SYL_API syl_status syl_cuda_kron_apply_segments_f32(const syl_cuda_kron_segments* segments, int64_t out, int64_t in,
                                                    const float* x, int64_t x_stride, uint32_t flags, float* y,
                                                    int64_t y_stride, void* workspace, int64_t workspace_bytes,
                                                    syl_cuda_stream stream);

/* syl_kron_delta of the same factors, with its bits on every tier (but for NaN's): W = delta (+ W), a scale of the
 * other sign takes the delta away again but for roundings. w: device memory. Errors: those of the CPU that do not
 * depend on device memory; BAD_VALUE for device pointers that are not aligned to their elements. */
SYL_API syl_status syl_cuda_kron_delta(const syl_kron* kron, double scale, uint32_t flags, syl_dtype type, void* w,
                                       int64_t w_stride, syl_cuda_stream stream);

/* Bytes of device workspace for the gradients of so many rows. The factors are not read. */
SYL_API syl_status syl_cuda_kron_gradient_workspace(const syl_kron* kron, int64_t rows, int64_t* bytes);

/* syl_kron_gradient_f32, with its bits on tiers with fused multiply-add (but for NaN's): du and dv are added to in
 * groups of as many rows as the CPU's, one after the other. dx: may be NULL. workspace: any alignment. Errors: as
 * syl_cuda_kron_apply_f32; UNSUPPORTED for factors that are not SYL_F32. */
SYL_API syl_status syl_cuda_kron_gradient_f32(const syl_kron* kron, float scale, const float* x, int64_t x_stride,
                                              const float* g, int64_t g_stride, int64_t rows, float* du, float* dv,
                                              float* dx, int64_t dx_stride, void* workspace, int64_t workspace_bytes,
                                              syl_cuda_stream stream);

#ifdef __cplusplus
}
#endif
#endif
