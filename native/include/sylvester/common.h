/* Sylvester: status codes, element types, threads, dispatch. Part of the C ABI; include <sylvester/sylvester.h>.
 *
 * Conventions of the whole ABI
 *  - Every fallible function returns syl_status. On error nothing has been written to any output, and
 *    syl_last_error() names the argument and its value.
 *  - Sizes, counts and strides are int64_t; strides count elements, not bytes. Pointers may be unaligned unless a
 *    function says otherwise.
 *  - Nothing allocates in a call that takes a workspace; nothing prints, aborts or throws.
 *  - Functions are thread-safe unless they write to an object that another thread uses at the same time.
 */
#ifndef SYLVESTER_COMMON_H_
#define SYLVESTER_COMMON_H_

#include <stdint.h>

#if defined(_WIN32)
#define SYL_API __declspec(dllexport)
#else
#define SYL_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Major version of this ABI: a caller compiled for another value must not use the library. */
#define SYL_ABI_VERSION 1

typedef int32_t syl_status;
enum {
  SYL_OK = 0,
  SYL_NULL_ARGUMENT = 1, /* a required pointer is NULL */
  SYL_BAD_VALUE = 2,     /* a scalar argument is outside its documented range, or not finite */
  SYL_BAD_SHAPE = 3,     /* sizes or strides do not fit each other or the element type */
  SYL_OVERLAP = 4,       /* an output overlaps an input in a way the function does not allow */
  SYL_WORKSPACE = 5,     /* the workspace or an output buffer is too small */
  SYL_UNSUPPORTED = 6,   /* this build, processor or element type cannot do it */
  SYL_OUT_OF_MEMORY = 7, /* an allocation failed */
  SYL_BAD_DATA = 8,      /* data given to the function is malformed (magic, checksum, non-finite scale) */
  SYL_INTERNAL = 9       /* a bug in the library */
};

/* Element and block types. Values are the ggml_type numbers of GGUF files, so that a file's number can be passed on. */
typedef int32_t syl_dtype;
enum {
  SYL_F32 = 0,
  SYL_F16 = 1,
  SYL_Q4_0 = 2,  /* 32 weights: f16 d, 16 bytes of nibbles;        w = d (q - 8) */
  SYL_Q4_1 = 3,  /* 32 weights: f16 d, f16 m, 16 bytes of nibbles; w = d q + m */
  SYL_Q5_0 = 6,  /* 32 weights: f16 d, u32 high bits, nibbles;     w = d (q - 16) */
  SYL_Q5_1 = 7,  /* 32 weights: f16 d, f16 m, u32 high bits, nibbles; w = d q + m */
  SYL_Q8_0 = 8,  /* 32 weights: f16 d, 32 int8;                    w = d q */
  SYL_Q4_K = 12, /* 256 weights: f16 d, f16 dmin, 12 bytes of 6-bit (sc, m), nibbles; w = d sc q - dmin m */
  SYL_Q5_K = 13, /* as Q4_K with a plane of fifth bits */
  SYL_Q6_K = 14, /* 256 weights: 6-bit q, int8 sc per 16, f16 d;   w = d sc (q - 32) */
  SYL_F64 = 28,
  SYL_BF16 = 30
};

/* A fixed one-line English description of a status code; never NULL. */
SYL_API const char* syl_status_message(syl_status status);

/* Text of the calling thread's last failed call: function, argument, value. Empty after none. Valid until the
 * thread's next failing call. */
SYL_API const char* syl_last_error(void);

/* SYL_ABI_VERSION the library was built with. */
SYL_API int32_t syl_abi_version(void);

/* Library version, for example "0.1.0". */
SYL_API const char* syl_version(void);

/* ---- Dispatch ------------------------------------------------------------------------------------------------
 * Kernels exist in several tiers; the best one the processor supports is chosen once, on first use.
 * Names: "sse4", "avx2", "avx512", "avx512vnni" on x86-64; "neon" on AArch64. */

/* Name of the tier in use. */
SYL_API const char* syl_tier(void);

/* Space-separated names of all tiers this processor can run, slowest first. */
SYL_API const char* syl_tiers_supported(void);

/* Uses the named tier in the whole process from now on; NULL returns to the best one. For tests and diagnosis: calls
 * in flight on other threads may finish on the old tier.
 * Errors: SYL_BAD_VALUE unknown name, SYL_UNSUPPORTED the processor lacks it. */
SYL_API syl_status syl_tier_force(const char* name);

/* ---- Threads -------------------------------------------------------------------------------------------------
 * A pool of threads-1 workers plus the calling thread. Results never depend on the number of threads. Workers spin
 * briefly after work and then sleep: an idle pool uses no processor time. One call at a time may use a pool; a
 * second concurrent call waits. A NULL pool means the calling thread alone. */
typedef struct syl_pool syl_pool;

/* threads: 1..256. Errors: SYL_BAD_VALUE, SYL_OUT_OF_MEMORY (also when the system refuses a thread). */
SYL_API syl_status syl_pool_new(int32_t threads, syl_pool** pool);
/* Stops and joins the workers. NULL is allowed. No call may be using the pool. */
SYL_API void syl_pool_free(syl_pool* pool);
SYL_API int32_t syl_pool_threads(const syl_pool* pool);

/* ---- Element types ------------------------------------------------------------------------------------------- */

/* Weights in one block of the type (1 for plain types) and bytes of a block; 0 for an unknown type. */
SYL_API int64_t syl_dtype_block_size(syl_dtype type);
SYL_API int64_t syl_dtype_block_bytes(syl_dtype type);

/* y[i] = float(x[i]), i < n, for every type above; n must be a multiple of the block size. Exact for 16-bit
 * types, rounded once for F64; for block types each step of the formula beside the type is rounded to float once, as
 * ggml does.
 * x and y must not overlap. Errors: NULL_ARGUMENT, BAD_VALUE (type), BAD_SHAPE, OVERLAP. */
SYL_API syl_status syl_dequantize_f32(syl_dtype type, const void* x, int64_t n, float* y);

/* y[i] = x[i] rounded to nearest even; NaN stays NaN. type: SYL_F16 or SYL_BF16. Same errors. */
SYL_API syl_status syl_convert_from_f32(syl_dtype type, const float* x, int64_t n, void* y);

/* ---- Random numbers ------------------------------------------------------------------------------------------
 * Philox4x32-10 (Salmon et al., SC'11): out = philox(counter, key). A pure function, the source of all randomness. */
SYL_API syl_status syl_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#ifdef __cplusplus
}
#endif
#endif
