// Atomics. Threads change places at barriers only, so an atomic is a plain change of memory.
#ifndef SYLVESTER_NATIVE_CUDA_EMULATOR_ATOMIC_H_
#define SYLVESTER_NATIVE_CUDA_EMULATOR_ATOMIC_H_

#include <cstring>
#include <type_traits>

#include "native/cuda/emulator/shared.h"

namespace sylvester::emulator {

template <typename T>
struct Identity {
  using Type = T;
};
template <typename T>
using Just = typename Identity<T>::Type;

template <typename T>
T* AtomicPlace(T* p) {
  return p;
}
template <typename T>
T* AtomicPlace(SharedPtr<T> p) {
  return static_cast<T*>(p.Check(Access::kAtomic));
}

template <typename T>
constexpr bool kAtomicInt = std::is_same_v<T, int> || std::is_same_v<T, unsigned>;
template <typename T>
constexpr bool kAtomicWord = kAtomicInt<T> || std::is_same_v<T, unsigned long long>;
template <typename T>
constexpr bool kAtomicFloat = std::is_same_v<T, float> || std::is_same_v<T, double>;

// The old value, with change(old) put in its place. memcpy, as the place may have been written as another type.
template <typename Pointer, typename F>
auto AtomicChange(Pointer p, F change) {
  auto* place = AtomicPlace(p);
  std::remove_reference_t<decltype(*place)> old, changed;
  std::memcpy(&old, place, sizeof(old));
  changed = change(old);
  std::memcpy(place, &changed, sizeof(changed));
  return old;
}

// Integers wrap.
template <typename T>
T AtomicSum(T a, T b) {
  if constexpr (std::is_same_v<T, int>) return static_cast<int>(static_cast<unsigned>(a) + static_cast<unsigned>(b));
  return a + b;
}
template <typename T>
T AtomicDifference(T a, T b) {
  return static_cast<T>(static_cast<unsigned>(a) - static_cast<unsigned>(b));
}

}  // namespace sylvester::emulator

// For T* and SharedPtr<T>, of the types that CUDA has them for.
#define SYL_EMULATED_ATOMIC_OF(Pointer, name, allowed, expression)                       \
  template <typename T>                                                                  \
  T name(Pointer p, sylvester::emulator::Just<T> value) {                                \
    static_assert(allowed);                                                              \
    return sylvester::emulator::AtomicChange(p, [&](T old) -> T { return expression; }); \
  }
#define SYL_EMULATED_ATOMIC(name, allowed, expression)  \
  SYL_EMULATED_ATOMIC_OF(T*, name, allowed, expression) \
  SYL_EMULATED_ATOMIC_OF(sylvester::SharedPtr<T>, name, allowed, expression)

SYL_EMULATED_ATOMIC(atomicAdd, sylvester::emulator::kAtomicWord<T> || sylvester::emulator::kAtomicFloat<T>,
                    sylvester::emulator::AtomicSum(old, value))
SYL_EMULATED_ATOMIC(atomicSub, sylvester::emulator::kAtomicInt<T>, sylvester::emulator::AtomicDifference(old, value))
SYL_EMULATED_ATOMIC(atomicMin, sylvester::emulator::kAtomicWord<T> || (std::is_same_v<T, long long>),
                    value < old ? value : old)
SYL_EMULATED_ATOMIC(atomicMax, sylvester::emulator::kAtomicWord<T> || (std::is_same_v<T, long long>),
                    old < value ? value : old)
SYL_EMULATED_ATOMIC(atomicExch, sylvester::emulator::kAtomicWord<T> || (std::is_same_v<T, float>), (void(old), value))
SYL_EMULATED_ATOMIC(atomicAnd, sylvester::emulator::kAtomicWord<T>, old& value)
SYL_EMULATED_ATOMIC(atomicOr, sylvester::emulator::kAtomicWord<T>, old | value)
SYL_EMULATED_ATOMIC(atomicXor, sylvester::emulator::kAtomicWord<T>, old ^ value)
#undef SYL_EMULATED_ATOMIC
#undef SYL_EMULATED_ATOMIC_OF

#define SYL_EMULATED_CAS(Pointer)                                                                          \
  template <typename T>                                                                                    \
  T atomicCAS(Pointer p, sylvester::emulator::Just<T> compare, sylvester::emulator::Just<T> value) {       \
    static_assert(sylvester::emulator::kAtomicWord<T> || std::is_same_v<T, unsigned short>);               \
    return sylvester::emulator::AtomicChange(p, [&](T old) -> T { return old == compare ? value : old; }); \
  }
SYL_EMULATED_CAS(T*)
SYL_EMULATED_CAS(sylvester::SharedPtr<T>)
#undef SYL_EMULATED_CAS

#endif
