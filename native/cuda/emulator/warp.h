// Barriers, and what the lanes of a warp do together. Stricter than CUDA where it leaves something undefined: a mask
// names lanes that exist and have not left the kernel, and a shuffle reads a lane of its mask.
#ifndef SYLVESTER_NATIVE_CUDA_EMULATOR_WARP_H_
#define SYLVESTER_NATIVE_CUDA_EMULATOR_WARP_H_

#include <cstring>
#include <type_traits>

#include "native/cuda/emulator/block.h"
#include "native/cuda/emulator/half.h"

namespace sylvester::emulator {

template <typename T>
constexpr bool kShuffled = std::is_arithmetic_v<T> && sizeof(T) >= 4 && sizeof(T) <= 8;
template <>
inline constexpr bool kShuffled<__half> = true;
template <>
inline constexpr bool kShuffled<__half2> = true;
template <>
inline constexpr bool kShuffled<__nv_bfloat16> = true;
template <>
inline constexpr bool kShuffled<__nv_bfloat162> = true;

template <typename T>
uint64_t ToBits(T value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(value));
  return bits;
}
template <typename T>
T FromBits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// `source` of a shuffle in segments of `width` lanes, as the PTX manual defines shfl's modes.
inline int SourceLane(Primitive primitive, int lane, unsigned operand, int width) {
  const int first = lane & ~(width - 1), last = first + width - 1;
  switch (primitive) {
    case Primitive::kShflUp:
      return operand <= static_cast<unsigned>(lane - first) ? lane - static_cast<int>(operand) : lane;
    case Primitive::kShflDown:
      return operand <= static_cast<unsigned>(last - lane) ? lane + static_cast<int>(operand) : lane;
    case Primitive::kShflXor: {
      const unsigned source = static_cast<unsigned>(lane) ^ operand;  // an earlier segment's lane may be read
      return source <= static_cast<unsigned>(last) ? static_cast<int>(source) : lane;
    }
    default: return first + static_cast<int>(operand & static_cast<unsigned>(width - 1));
  }
}

template <typename T>
T ShuffleSync(Primitive primitive, unsigned mask, T value, unsigned operand, int width, Site site) {
  static_assert(kShuffled<T>, "CUDA has no shuffle of this type");
  if (width < 1 || width > kWarpLanes || (width & (width - 1)) != 0) {
    block->Fail(cudaErrorLaunchFailure, "shuffles in segments of %d lanes at line %d", width, site.line);
  }
  const int source = SourceLane(primitive, block->lane(), operand, width);
  return FromBits<T>(block->Shuffle(primitive, mask, ToBits(value), source, site));
}

// The lanes of the mask folded into one value, which all get.
template <typename T, typename F>
T ReduceSync(Primitive primitive, unsigned mask, T value, F, Site site) {
  const auto combine = [](const uint64_t* values, uint32_t lanes, uint64_t* results) {
    T folded = FromBits<T>(values[__builtin_ctz(lanes)]);
    for (uint32_t m = lanes & (lanes - 1); m != 0; m &= m - 1) {
      folded = F::Fold(folded, FromBits<T>(values[__builtin_ctz(m)]));
    }
    for (uint32_t m = lanes; m != 0; m &= m - 1) results[__builtin_ctz(m)] = ToBits(folded);
  };
  return FromBits<T>(block->SyncLanes(primitive, mask, ToBits(value), combine, site));
}

// The lanes of the mask whose value is the lane's own.
inline void MatchLanes(const uint64_t* values, uint32_t mask, uint64_t* results) {
  for (uint32_t m = mask; m != 0; m &= m - 1) {
    const int lane = __builtin_ctz(m);
    results[lane] = 0;
    for (uint32_t others = mask; others != 0; others &= others - 1) {
      const int other = __builtin_ctz(others);
      if (values[other] == values[lane]) results[lane] |= 1u << other;
    }
  }
}

inline void BallotLanes(const uint64_t* values, uint32_t mask, uint64_t* results) {
  uint64_t ballot = 0;
  for (uint32_t m = mask; m != 0; m &= m - 1) ballot |= values[__builtin_ctz(m)] << __builtin_ctz(m);
  for (uint32_t m = mask; m != 0; m &= m - 1) results[__builtin_ctz(m)] = ballot;
}

inline unsigned VoteSync(Primitive primitive, unsigned mask, bool predicate, Site site) {
  return static_cast<unsigned>(block->SyncLanes(primitive, mask, predicate, BallotLanes, site));
}

struct FoldAdd {
  template <typename T>
  static T Fold(T a, T b) {
    return static_cast<T>(static_cast<unsigned>(a) + static_cast<unsigned>(b));
  }
};
struct FoldMin {
  template <typename T>
  static T Fold(T a, T b) {
    return b < a ? b : a;
  }
};
struct FoldMax {
  template <typename T>
  static T Fold(T a, T b) {
    return a < b ? b : a;
  }
};
struct FoldAnd {
  static unsigned Fold(unsigned a, unsigned b) { return a & b; }
};
struct FoldOr {
  static unsigned Fold(unsigned a, unsigned b) { return a | b; }
};
struct FoldXor {
  static unsigned Fold(unsigned a, unsigned b) { return a ^ b; }
};

}  // namespace sylvester::emulator

#define SYL_SITE ::sylvester::emulator::Site site = ::sylvester::emulator::Site::Here()
#define SYL_PRIMITIVE(name) ::sylvester::emulator::Primitive::name

// ---- Barriers -------------------------------------------------------------------------------------------------------

inline void __syncthreads(SYL_SITE) {
  sylvester::emulator::block->SyncThreads(SYL_PRIMITIVE(kSyncThreads), false, site);
}
inline int __syncthreads_count(int predicate, SYL_SITE) {
  return sylvester::emulator::block->SyncThreads(SYL_PRIMITIVE(kSyncThreadsCount), predicate != 0, site);
}
inline int __syncthreads_and(int predicate, SYL_SITE) {
  return sylvester::emulator::block->SyncThreads(SYL_PRIMITIVE(kSyncThreadsAnd), predicate != 0, site);
}
inline int __syncthreads_or(int predicate, SYL_SITE) {
  return sylvester::emulator::block->SyncThreads(SYL_PRIMITIVE(kSyncThreadsOr), predicate != 0, site);
}
inline void __syncwarp(unsigned mask = 0xffffffff, SYL_SITE) {
  sylvester::emulator::block->SyncLanes(SYL_PRIMITIVE(kSyncWarp), mask, 0, sylvester::emulator::BallotLanes, site);
}

// ---- Shuffles -------------------------------------------------------------------------------------------------------

template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize, SYL_SITE) {
  return sylvester::emulator::ShuffleSync(SYL_PRIMITIVE(kShfl), mask, value, static_cast<unsigned>(source), width,
                                          site);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize, SYL_SITE) {
  return sylvester::emulator::ShuffleSync(SYL_PRIMITIVE(kShflUp), mask, value, delta, width, site);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize, SYL_SITE) {
  return sylvester::emulator::ShuffleSync(SYL_PRIMITIVE(kShflDown), mask, value, delta, width, site);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = warpSize, SYL_SITE) {
  return sylvester::emulator::ShuffleSync(SYL_PRIMITIVE(kShflXor), mask, value, static_cast<unsigned>(lane_mask), width,
                                          site);
}

// ---- Votes, matches, reductions -------------------------------------------------------------------------------------

inline unsigned __ballot_sync(unsigned mask, int predicate, SYL_SITE) {
  return sylvester::emulator::VoteSync(SYL_PRIMITIVE(kBallot), mask, predicate != 0, site);
}
inline int __all_sync(unsigned mask, int predicate, SYL_SITE) {
  return sylvester::emulator::VoteSync(SYL_PRIMITIVE(kAll), mask, predicate != 0, site) == mask;
}
inline int __any_sync(unsigned mask, int predicate, SYL_SITE) {
  return sylvester::emulator::VoteSync(SYL_PRIMITIVE(kAny), mask, predicate != 0, site) != 0;
}
// The caller alone, which is always true and the least that a kernel may rely on.
inline unsigned __activemask() { return 1u << sylvester::emulator::block->lane(); }

template <typename T>
unsigned __match_any_sync(unsigned mask, T value, SYL_SITE) {
  static_assert(sylvester::emulator::kShuffled<T>);
  return static_cast<unsigned>(sylvester::emulator::block->SyncLanes(
      SYL_PRIMITIVE(kMatchAny), mask, sylvester::emulator::ToBits(value), sylvester::emulator::MatchLanes, site));
}
template <typename T>
unsigned __match_all_sync(unsigned mask, T value, int* predicate, SYL_SITE) {
  static_assert(sylvester::emulator::kShuffled<T>);
  const auto equal = static_cast<unsigned>(sylvester::emulator::block->SyncLanes(
      SYL_PRIMITIVE(kMatchAll), mask, sylvester::emulator::ToBits(value), sylvester::emulator::MatchLanes, site));
  *predicate = equal == mask;
  return equal == mask ? mask : 0;
}

#define SYL_EMULATED_REDUCE(name, T, primitive, fold)                                            \
  inline T name(unsigned mask, T value, SYL_SITE) {                                              \
    return sylvester::emulator::ReduceSync(SYL_PRIMITIVE(primitive), mask, value, fold{}, site); \
  }
SYL_EMULATED_REDUCE(__reduce_add_sync, int, kReduceAdd, sylvester::emulator::FoldAdd)
SYL_EMULATED_REDUCE(__reduce_add_sync, unsigned, kReduceAdd, sylvester::emulator::FoldAdd)
SYL_EMULATED_REDUCE(__reduce_min_sync, int, kReduceMin, sylvester::emulator::FoldMin)
SYL_EMULATED_REDUCE(__reduce_min_sync, unsigned, kReduceMin, sylvester::emulator::FoldMin)
SYL_EMULATED_REDUCE(__reduce_max_sync, int, kReduceMax, sylvester::emulator::FoldMax)
SYL_EMULATED_REDUCE(__reduce_max_sync, unsigned, kReduceMax, sylvester::emulator::FoldMax)
SYL_EMULATED_REDUCE(__reduce_and_sync, unsigned, kReduceAnd, sylvester::emulator::FoldAnd)
SYL_EMULATED_REDUCE(__reduce_or_sync, unsigned, kReduceOr, sylvester::emulator::FoldOr)
SYL_EMULATED_REDUCE(__reduce_xor_sync, unsigned, kReduceXor, sylvester::emulator::FoldXor)
#undef SYL_EMULATED_REDUCE
#undef SYL_PRIMITIVE
#undef SYL_SITE

// Ends the kernel with an error.
[[noreturn]] inline void __trap() { sylvester::emulator::block->Fail(cudaErrorLaunchFailure, "trap"); }

#endif
