/* Sylvester: adapters that are sums of Kronecker products, LoRA among them. Include <sylvester/sylvester.h>.
 *
 * An adapter changes a weight matrix W of `out` x `in` elements by
 *     delta = scale sum_k U_k (x) V_k,   U_k: m x n,  V_k: p x q,   out = m p,  in = n q
 *     delta[i1 p + i2][j1 q + j2] = scale sum_k U_k[i1][j1] V_k[i2][j2]
 * LoRA's delta = scale B A (Hu et al., arXiv 2106.09685) is the case n = p = 1, m = out, q = in: U_k is column k of B,
 * V_k row k of A. PEFT's LoKr is the case of one term.
 *
 * The delta is never formed to be applied. With x seen as X [n][q] and y as Y [m][p], one row costs
 *     V first:  T_k = X V_k^T,  Y = sum_k U_k T_k      terms (n q p + m n p) multiply-adds
 *     U first:  S_k = U_k X,    Y = sum_k S_k V_k^T    terms (m n q + m q p)
 * and the cheaper order is taken, U first when they are equal. */
#ifndef SYLVESTER_KRON_H_
#define SYLVESTER_KRON_H_

#include <sylvester/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The factors of an adapter. */
typedef struct syl_kron {
  uint32_t struct_size; /* sizeof(syl_kron) */
  syl_dtype type;       /* of u and v: SYL_F32, SYL_F16, SYL_BF16 */
  int64_t terms;        /* 1..65536 */
  int64_t m, n, p, q;   /* >= 1; m p, n q; terms times m n, p q, n p, m q: < 2^31 */
  const void* u;        /* [terms][m][n] */
  const void* v;        /* [terms][p][q] */
} syl_kron;

enum { SYL_KRON_V_FIRST = 0, SYL_KRON_U_FIRST = 1 };

/* What an adapter comes to. */
typedef struct syl_kron_info {
  uint32_t struct_size; /* sizeof(syl_kron_info) */
  int32_t order;        /* SYL_KRON_V_FIRST or SYL_KRON_U_FIRST */
  int64_t parameters;   /* terms (m n + p q) */
  int64_t flop;         /* of one row of x: 2 for a multiply-add */
  int64_t packed_bytes;
} syl_kron_info;

/* small * large = dim, as PEFT's LoKr cuts a dimension: factor where it divides dim (then small = factor, which may be
 * the larger one); otherwise the most balanced pair whose smaller part is at most factor, -1: without that bound.
 * 4096, -1: 64 x 64; 4096, 4: 4 x 1024; 127, -1: 1 x 127. dim >= 1; factor: -1 or >= 1. Errors: NULL_ARGUMENT,
 * BAD_VALUE. */
SYL_API syl_status syl_kron_factorize(int64_t dim, int64_t factor, int64_t* small, int64_t* large);

/* Reads the sizes, not the factors. Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE (sizes too large together). */
SYL_API syl_status syl_kron_describe(const syl_kron* kron, syl_kron_info* info);

/* ---- Application ------------------------------------------------------------------------------------------------ */

enum {
  SYL_KRON_ACCUMULATE = 1, /* add to y, or to W, instead of storing */
  SYL_KRON_TRANSPOSED = 2  /* pack: for x = delta^T y */
};

/* Copies the factors into the form that they are applied in, which knows its own sizes. flags: 0 or
 * SYL_KRON_TRANSPOSED, which exchanges m with n, p with q and out with in. packed: 64-byte aligned, info.packed_bytes
 * long, the same for both directions. Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE, OVERLAP, WORKSPACE (packed_bytes).
 */
SYL_API syl_status syl_kron_pack(const syl_kron* kron, uint32_t flags, void* packed, int64_t packed_bytes);

/* Rows of x in consecutive segments, each with an adapter of its own. */
typedef struct syl_kron_segments {
  uint32_t struct_size;      /* sizeof(syl_kron_segments) */
  int32_t adapters;          /* >= 0 */
  int64_t segments;          /* >= 0 */
  const void* const* packed; /* one an adapter, of equal out and in; ranks, shapes, orders and types may differ */
  const int64_t* row_begin;  /* segments + 1, ascending from 0: rows of segment s are row_begin[s] .. [s + 1] - 1 */
  const int32_t* adapter;    /* one a segment: its adapter, or -1 for none */
  const float* scale;        /* one a segment, finite */
} syl_kron_segments;

/* Workspace of the two functions below, for any number of rows. packed: of one adapter; the largest of several serves
 * them all. */
SYL_API syl_status syl_kron_workspace(const void* packed, int64_t* bytes);

/* y[r] = delta x[r] (+ y[r]) for rows r. x: rows of `in` floats, stride x_stride >= in; y: rows of `out` floats, stride
 * y_stride >= out; packed: as syl_kron_pack left it (transposed: in and out exchanged); flags: 0 or
 * SYL_KRON_ACCUMULATE; workspace: any alignment.
 *
 * Each element of T (or S) and each sum over (k, j) is one chain of fused multiply-adds in float, ascending (k
 * slowest), starting at +0; then y = scale sum, or y = fma(scale, sum, y). Tier "sse4" rounds products and sums
 * separately. A row has the same bits whatever rows come with it and for any number of threads, and on all other tiers;
 * a row of x that is not finite changes no other. |error| <= gamma(in + out + terms) |scale| sum_k (|U_k| (x) |V_k|)
 * |x| at most, usually the root of that. y may not overlap x, nor the workspace any other. Errors: NULL_ARGUMENT,
 * BAD_VALUE (also scale), BAD_SHAPE, BAD_DATA (packed is not a packed adapter), OVERLAP, WORKSPACE. */
SYL_API syl_status syl_kron_apply_f32(const void* packed, float scale, const float* x, int64_t x_stride, int64_t rows,
                                      uint32_t flags, float* y, int64_t y_stride, void* workspace,
                                      int64_t workspace_bytes, syl_pool* pool);

/* The same for rows with different adapters, with the same bits as one call a segment. Rows without an adapter stay as
 * they are with SYL_KRON_ACCUMULATE and become 0 otherwise. out and in are those of x and y where there is no adapter.
 * Errors: as above; BAD_SHAPE also for row_begin and for an adapter of another out or in; BAD_VALUE also for an adapter
 * that is not -1..adapters - 1. */
SYL_API syl_status syl_kron_apply_segments_f32(const syl_kron_segments* segments, int64_t out, int64_t in,
                                               const float* x, int64_t x_stride, uint32_t flags, float* y,
                                               int64_t y_stride, void* workspace, int64_t workspace_bytes,
                                               syl_pool* pool);

/* W = delta (+ W). W: out x in elements of a type among SYL_F32, SYL_F16, SYL_BF16, row stride w_stride >= in. The sum
 * is computed in double, W added to it, and rounded once to float and once to the type. A scale of the other sign takes
 * a delta away again, but for roundings. Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE, OVERLAP. */
SYL_API syl_status syl_kron_delta(const syl_kron* kron, double scale, uint32_t flags, syl_dtype type, void* w,
                                  int64_t w_stride, syl_pool* pool);

/* ---- Training --------------------------------------------------------------------------------------------------- */

SYL_API syl_status syl_kron_gradient_workspace(const syl_kron* kron, int64_t* bytes);

/* Gradients of y = delta x from g = dL/dy, for factors of type SYL_F32:
 *   du_k[i1][j1] += scale sum_rows sum_i2 G[i1][i2] T_k[j1][i2]        T_k = X V_k^T
 *   dv_k[i2][j2] += scale sum_rows sum_j1 Z_k[j1][i2] X[j1][j2]        Z_k = U_k^T G
 *   dx[r]        += scale sum_k Z_k V_k = delta^T g[r]
 * du, dv: as u and v; dx: rows of stride dx_stride >= in, or NULL. x, g: rows of strides x_stride >= in,
 * g_stride >= out. The same bits for any number of threads and on every tier with fused multiply-add. Outputs may not
 * overlap anything. Errors: as syl_kron_apply_f32; UNSUPPORTED for other types. */
SYL_API syl_status syl_kron_gradient_f32(const syl_kron* kron, float scale, const float* x, int64_t x_stride,
                                         const float* g, int64_t g_stride, int64_t rows, float* du, float* dv,
                                         float* dx, int64_t dx_stride, void* workspace, int64_t workspace_bytes,
                                         syl_pool* pool);

/* ---- Decomposition ---------------------------------------------------------------------------------------------- */

enum {
  SYL_KRON_AUTO = 0,      /* exact where min(m n, p q) <= 1024 */
  SYL_KRON_EXACT = 1,     /* eigenvectors of R R^T (or R^T R), then one step of Rayleigh-Ritz; min(m n, p q) <= 8192 */
  SYL_KRON_RANDOMIZED = 2 /* Halko, Martinsson, Tropp (arXiv 0909.4061): terms + 8 random signs, 4 power steps */
};

typedef struct syl_kron_decomposition {
  uint32_t struct_size; /* sizeof(syl_kron_decomposition) */
  syl_dtype type;       /* of w: SYL_F32 or SYL_F64 */
  int64_t m, n, p, q;   /* w: m p rows of n q elements; sizes as in syl_kron with one term */
  int64_t terms;        /* 1..min(m n, p q) */
  int32_t method;       /* SYL_KRON_AUTO, ... */
  uint32_t seed;        /* of SYL_KRON_RANDOMIZED */
} syl_kron_decomposition;

/* The sum of terms that is nearest to W in the Frobenius norm, W ~ sum_k sigma[k] U_k (x) V_k: the truncated SVD of
 *   R[i1 n + j1][i2 q + j2] = W[i1 p + i2][j1 q + j2]        (Van Loan & Pitsianis 1993)
 * which is read from W in blocks and never held. sigma: descending; u [terms][m][n], v [terms][p][q]: each orthonormal,
 * the largest |element| of V_k positive (of equals the first one); both may be NULL. energy: the sum of squares of W;
 * what remains after r terms is energy - sum of the first r sigma^2. With m = out, n = p = 1, q = in: the SVD of W.
 *
 * All in double, the same bits for any number of threads. Exact: |error of sigma[k]| <= 1e-10 sigma[0] where
 * sigma[k] >= 1e-6 sigma[0], 2e-8 sigma[0] elsewhere. Randomized: of a flat spectrum the sum of sigma^2 falls short by
 * some percent. Allocates. Errors: NULL_ARGUMENT, BAD_VALUE (also a w that is not finite), BAD_SHAPE, UNSUPPORTED
 * (SYL_KRON_EXACT too large), OVERLAP, OUT_OF_MEMORY. */
SYL_API syl_status syl_kron_decompose(const syl_kron_decomposition* decomposition, const void* w, int64_t w_stride,
                                      double* sigma, double* u, double* v, double* energy, syl_pool* pool);

/* How many terms to keep. */
enum { SYL_KRON_BY_ENERGY = 0, SYL_KRON_BY_ELBOW = 1, SYL_KRON_BY_MIN = 2, SYL_KRON_BY_MAX = 3 };

/* Elbows of sigma[1..count], counted from 1; of equals the first one. */
enum {
  SYL_KRON_CHORD = 0,    /* the k that lies farthest below the line from (1, sigma[1]) to (count, sigma[count]) */
  SYL_KRON_RATIO = 1,    /* the k with the largest sigma[k] / sigma[k + 1] */
  SYL_KRON_CURVATURE = 2 /* the k with the largest sigma[k - 1] - 2 sigma[k] + sigma[k + 1] */
};

typedef struct syl_kron_rank_rule {
  uint32_t struct_size; /* sizeof(syl_kron_rank_rule) */
  int32_t by;           /* SYL_KRON_BY_ENERGY, ...; MIN and MAX: of energy's and elbow's rank */
  int32_t elbow;        /* SYL_KRON_CHORD, ... */
  int32_t least, most;  /* bounds of the result: 1 <= least <= most */
  double share;         /* of the energy, in (0, 1]: the fewest terms whose sigma^2 reach it, all if none do */
} syl_kron_rank_rule;

/* sigma: count >= 1 numbers, descending, >= 0. energy: the sum of squares of W, or of sigma when it is 0. rank:
 * 1..count. Errors: NULL_ARGUMENT, BAD_VALUE. */
SYL_API syl_status syl_kron_rank(const syl_kron_rank_rule* rule, const double* sigma, int64_t count, double energy,
                                 int64_t* rank);

/* Ranks of several layers under one budget of parameters: terms are taken in descending order of
 * sigma^2 / parameters[layer], of equals those of the first layer, until the next of no layer fits. sigma of layer l:
 * sigma[begin[l]] .. sigma[begin[l + 1] - 1], descending, >= 0; terms of sigma 0 are not taken. parameters: of one
 * term,
 * >= 1. Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE (begin). */
SYL_API syl_status syl_kron_rank_budget(int64_t layers, const int64_t* begin, const double* sigma,
                                        const int64_t* parameters, int64_t budget, int64_t* rank);

#ifdef __cplusplus
}
#endif
#endif
