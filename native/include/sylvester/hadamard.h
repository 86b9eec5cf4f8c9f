/* Sylvester: fast Walsh-Hadamard transforms and the rotations built on them. Include <sylvester/sylvester.h>.
 *
 * A plan describes many transforms of one length n, each
 *     z = D_0 P x;   for r = 1..rounds: z = D_r (scale H z);   y = z, or the codes of z
 *   P    gather: (P x)[i] = x[gather[i]], 0 where gather[i] is -1; the identity without one
 *   D_r  a diagonal of signs; the identity without signs
 *   H    one of the families below; its entries are +1 and -1, and 0 outside blocks
 * The transposed run applies the transpose of the whole map: x = P^T D_0 (scale H^T) D_1 ... (scale H^T) D_rounds y.
 * With the default scale and no gather the map is orthogonal, so the transposed run is its inverse.
 *
 * Arithmetic is float, double for SYL_F64. 16-bit inputs are widened first and outputs are rounded once, at the end.
 * The order of operations is fixed, so that results have the same bits on every tier, on CUDA, and for any stride,
 * alignment, batch position and number of threads; a NaN (of unspecified sign and payload) or an infinity stays in its
 * transform:
 *   1. the 2^k part: butterflies at distance 1, 2, 4, ...: (a, b) -> (a + b, a - b), each rounded once;
 *   2. the base part, m = row i of the base matrix (column i when transposed): output i starts at 0 and, for the quads
 *      q = 0, 1, ... in this order, adds or subtracts, by the sign of m[4q],
 *      (z[4q] +- z[4q+1]) +- (z[4q+2] +- z[4q+3])
 *      with the signs m[4q] m[4q+1], m[4q] m[4q+2] and m[4q+2] m[4q+3];
 *   3. one multiplication by scale (rounded to float), then the sign.
 * Error of one round for any finite input without overflow, u = 2^-24 (2^-53 for F64), to first order in u:
 *     |y[i] - exact| <= (k + b + 2) u |scale| sum|x| + v |y[i]|,
 * b = 0 for base 1 and 1 + base / 4 otherwise, v = 2^-11 (F16), 2^-8 (BF16), 0 otherwise.
 */
#ifndef SYLVESTER_HADAMARD_H_
#define SYLVESTER_HADAMARD_H_

#include <sylvester/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/* H of a plan. */
enum {
  /* H_base (x) H_2^k on z seen as [base][2^k], n = base 2^k. H_2^k[i][j] = (-1)^popcount(i & j): natural order. */
  SYL_HADAMARD_SYLVESTER = 0,
  /* n = 4^k: the k-th Kronecker power of [1 1 1 -1; 1 1 -1 1; 1 -1 1 1; -1 1 1 1], symmetric, every row sums to 2^k.
   * A digit d = 0, 1, ... of the index costs, at distance 4^d: a = z0 + z1, b = z0 - z1, c = z2 + z3, d = z2 - z3, then
   * a + d, a - d, c + b, c - b. */
  SYL_HADAMARD_REGULAR = 1,
  /* H_block on each of the n / block consecutive blocks; block is a power of two, 2 or more. */
  SYL_HADAMARD_BLOCKS = 2,
  /* Any n >= 2: with w the largest power of two <= n, odd rounds transform the first w elements and even rounds the
   * last w; the others keep their values (and get the sign of the round). */
  SYL_HADAMARD_OVERLAPPED = 3
};

/* Which matrix of an order, where more than one is in circulation. */
enum {
  SYL_HADAMARD_TABLE_DEFAULT = 0, /* the library's construction; for 12 it is Paley's */
  SYL_HADAMARD_TABLE_QUAROT = 1   /* base 12 only: the matrix that QuaRot, SpinQuant and QuIP# carry */
};

/* What becomes of z at the end. A group shares one scale and one zero. A group with a NaN, an infinity or an infinite
 * max - min gets the scale NaN, the zero NaN and codes 0; one with scale 0 gets codes 0. Rounding is to nearest even,
 * division is a division. */
enum {
  SYL_HADAMARD_NO_QUANTIZER = 0, /* y has the plan's y_type */
  SYL_HADAMARD_I8 = 1,           /* int8:   s = max|z| / 127;       q = clamp(round(z / s), -127, 127) */
  SYL_HADAMARD_U4 = 2, /* nibbles: zero = min z + 0.0, s = (max z - zero) / 15, q = clamp(round((z - zero) / s), 0, 15),
                        * the even element in the low bits */
  SYL_HADAMARD_U2 = 3  /* as U4 with 3 for 15; four codes a byte, the first in the lowest bits */
};

/* The description of a plan. syl_hadamard_new copies it and the arrays. A transform has the index
 * t = (o count[1] + m) count[2] + i; element e of it is x[o x_stride[0] + m x_stride[1] + i x_stride[2] + e
 * x_stride[3]]. */
typedef struct syl_hadamard_options {
  uint32_t struct_size; /* sizeof(syl_hadamard_options) */
  int32_t family;       /* SYL_HADAMARD_SYLVESTER, ... */
  int64_t n;            /* 2..2^24 for F32 and F64, 2..2^20 when x or y has 16 bits */
  int32_t base;         /* Sylvester: 1, 12, 20, 28, 36, 40, 44, 52, 60, 108, 124, 140, 156, 172; other families: 1 */
  int32_t table;        /* SYL_HADAMARD_TABLE_* */
  int64_t block;        /* Blocks: the power of two; other families: 0 */
  syl_dtype x_type;     /* SYL_F32, SYL_F64, SYL_F16, SYL_BF16 */
  syl_dtype y_type; /* the same; SYL_F64 if and only if x_type is; ignored with a quantizer, which excludes SYL_F64 */
  int64_t x_length; /* elements of one transform in x: 0 means n; another value needs a gather */
  int64_t count[3]; /* transforms: outer, middle, inner; each >= 1 */
  int64_t x_stride[4]; /* elements between outer, middle, inner transforms and between elements; >= 0, the last >= 1 */
  int64_t y_stride[4]; /* the same for y, whose transforms must not share elements. With a quantizer y counts bytes,
                        * the codes of a transform are contiguous and the last stride is 1 */
  double scale;        /* 0: 1 / sqrt(the order of H: n, block or w); otherwise as given, finite */
  int32_t rounds;      /* 1..16 */
  int32_t quantizer;   /* SYL_HADAMARD_NO_QUANTIZER, ... */
  int64_t group;     /* elements of a quantizer's group, divides n; 0: all n, or no quantizer. U4, U2: n fills bytes */
  int64_t sign_rows; /* >= 1 with signs, 0 without; transform t uses row (t mod count[2]) mod sign_rows */
  const uint32_t*
      signs; /* [rounds + 1][sign_rows][ceil(n / 32)], bit e % 32 of word e / 32 set: D_r[e] = -1; or NULL */
  const int32_t* gather;    /* [n], -1 or an index < x_length, no index twice; or NULL */
  const int32_t* group_map; /* [n] group of each element, n / group groups of `group` elements each; NULL: e / group */
} syl_hadamard_options;

/* What a plan comes to. */
typedef struct syl_hadamard_info {
  uint32_t struct_size;     /* sizeof(syl_hadamard_info) */
  int32_t log2_butterflies; /* k */
  int64_t transforms;       /* count[0] count[1] count[2] */
  int64_t groups;           /* scales of one transform; 0 without a quantizer */
  double scale;             /* the factor in use */
  int64_t additions;        /* of one transform, all rounds */
  int64_t x_bytes, y_bytes; /* read and written for one transform; y_bytes counts codes, scales and zeros */
  double error_steps;       /* (k + b + 2) of the error bound */
} syl_hadamard_info;

/* A plan: immutable, for any number of threads at once. */
typedef struct syl_hadamard syl_hadamard;

/* Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE (sizes that do not fit each other, transforms of y that share elements),
 * UNSUPPORTED (a base or table that does not exist), OUT_OF_MEMORY. */
SYL_API syl_status syl_hadamard_new(const syl_hadamard_options* options, syl_hadamard** plan);
/* NULL is allowed. No call may be using the plan. */
SYL_API void syl_hadamard_free(syl_hadamard* plan);
SYL_API syl_status syl_hadamard_describe(const syl_hadamard* plan, syl_hadamard_info* info);

/* Bytes of workspace that a run with this many threads needs; 0 for a NULL plan. */
SYL_API int64_t syl_hadamard_workspace(const syl_hadamard* plan, int32_t threads);

/* Transforms first .. first + count - 1. x, y, scales and zeros belong to transform 0 whatever first is.
 * scales (and zeros, U4 and U2 only): [transforms][groups] floats, aligned, with a quantizer, otherwise NULL.
 * y may be x when both have the same type and strides; any other overlap is refused (judged by the ranges of addresses
 * from the first to the last element of the transforms in the call).
 * Errors: NULL_ARGUMENT, BAD_VALUE (first, count), OVERLAP, WORKSPACE. */
SYL_API syl_status syl_hadamard_run(const syl_hadamard* plan, const void* x, void* y, float* scales, float* zeros,
                                    int64_t first, int64_t count, syl_pool* pool, void* workspace,
                                    int64_t workspace_bytes);

/* The transpose: reads y, writes x. Elements of x that no gather names are set to 0.
 * Errors: as above; UNSUPPORTED with a quantizer; BAD_SHAPE when transforms of x share elements. */
SYL_API syl_status syl_hadamard_run_transposed(const syl_hadamard* plan, const void* y, void* x, int64_t first,
                                               int64_t count, syl_pool* pool, void* workspace, int64_t workspace_bytes);

/* x[r][0..n) = scale H_n x[r][0..n) in place for rows r, `stride` elements apart: what the plan of the Sylvester
 * family, base 1, computes, without a plan. scale: finite, 0 means 1 / sqrt(n). n: a power of two, 2..2^24, for 16-bit
 * elements 2..2^13 (longer rows need the workspace of a plan). Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE (stride <
 * n). */
SYL_API syl_status syl_hadamard_f32(float* x, int64_t rows, int64_t stride, int64_t n, double scale, syl_pool* pool);
SYL_API syl_status syl_hadamard_f64(double* x, int64_t rows, int64_t stride, int64_t n, double scale, syl_pool* pool);
SYL_API syl_status syl_hadamard_f16(uint16_t* x, int64_t rows, int64_t stride, int64_t n, double scale, syl_pool* pool);
SYL_API syl_status syl_hadamard_bf16(uint16_t* x, int64_t rows, int64_t stride, int64_t n, double scale,
                                     syl_pool* pool);

/* H as floats +1, -1 (and 0 outside blocks), h[n][n]: for tests and for folding a rotation into weights. family:
 * SYLVESTER, REGULAR or BLOCKS; n 2..4096; base, table and block as in the options.
 * Errors: NULL_ARGUMENT, BAD_VALUE, BAD_SHAPE, UNSUPPORTED. */
SYL_API syl_status syl_hadamard_matrix(int32_t family, int64_t n, int32_t base, int32_t table, int64_t block, float* h);

#ifdef __cplusplus
}
#endif
#endif
