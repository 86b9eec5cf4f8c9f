// Which instruction set the kernels use. Highway compiles a kernel once per target (foreach_target.h); this table picks
// the compiled function. Highway's own dynamic dispatch is not used: it would make libhwy.so a run-time dependency, and
// its AVX3_DL target asks for instructions that AVX-512 VNNI processors lack.
#ifndef SYLVESTER_NATIVE_COMMON_TIER_H_
#define SYLVESTER_NATIVE_COMMON_TIER_H_

namespace sylvester {

#if defined(__aarch64__)
enum Tier { kNeon, kTierCount };
#else
enum Tier { kSse4, kAvx2, kAvx512, kAvx512Vnni, kTierCount };
#endif

// The tier in use: the forced one, else the best the processor supports.
Tier CurrentTier();

}  // namespace sylvester

// SYL_TIERS(Function): an initialiser for `Ret (*const table[kTierCount])(Args...)`, in the namespace that encloses
// HWY_NAMESPACE, inside #if HWY_ONCE. SYL_TIERS_VNNI names another function for AVX-512 with VNNI, compiled for
// Highway's AVX3 target too. Call: table[CurrentTier()](...).
#if defined(__aarch64__)
#define SYL_TIERS(F) \
  { &N_NEON::F }
#define SYL_TIERS_VNNI(F, F_VNNI) \
  { &N_NEON::F }
#elif defined(SYLVESTER_NO_AVX512)
#define SYL_TIERS(F) \
  { &N_SSE4::F, &N_AVX2::F }
#define SYL_TIERS_VNNI(F, F_VNNI) SYL_TIERS(F)
#else
#define SYL_TIERS(F) \
  { &N_SSE4::F, &N_AVX2::F, &N_AVX3::F, &N_AVX3::F }
#define SYL_TIERS_VNNI(F, F_VNNI) \
  { &N_SSE4::F, &N_AVX2::F, &N_AVX3::F, &N_AVX3::F_VNNI }
#endif

#endif
