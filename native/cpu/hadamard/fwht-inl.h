// The butterfly network of H_(2^k), compiled once per target.
//
// Stages run in the order h = 1, 2, 4, ... and every output is a + b or a - b rounded once (a fused multiply-add with
// the factor +-1 is the same), so the bits do not depend on vector width, blocking or tier. Rows come from a Source and
// go to a Sink (row_ends-inl.h): what they convert, negate and scale costs no pass of its own.
#if defined(SYLVESTER_NATIVE_CPU_HADAMARD_FWHT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SYLVESTER_NATIVE_CPU_HADAMARD_FWHT_INL_H_
#undef SYLVESTER_NATIVE_CPU_HADAMARD_FWHT_INL_H_
#else
#define SYLVESTER_NATIVE_CPU_HADAMARD_FWHT_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <typename T>
using Tag = hn::ScalableTag<T>;
template <typename T>
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(Tag<T>()));

// Vectors that stay in registers with room for temporaries, and the elements in them.
constexpr int64_t kRegisters = HWY_TARGET <= HWY_AVX3 ? 16 : 8;
template <typename T>
constexpr int64_t kRegisterRow = kRegisters* kLanes<T>;
// The longest row that needs no pass over memory: one half waits in the first-level cache for the other.
template <typename T>
constexpr int64_t kOnePass = 2 * kRegisterRow<T>;
// log2 of the largest radix of a pass over memory.
constexpr int kPassBits = HWY_TARGET <= HWY_AVX3 ? 4 : 3;

// Lane i receives lane i ^ kDistance.
template <size_t kDistance, class D>
HWY_INLINE hn::Vec<D> SwapLanes(D d, hn::Vec<D> v) {
  constexpr size_t kBytes = kDistance * sizeof(hn::TFromD<D>);
  if constexpr (kBytes == 4) {
    return hn::Shuffle2301(v);
  } else if constexpr (kBytes == 8 && kDistance == 1) {
    return hn::Shuffle01(v);
  } else if constexpr (kBytes == 8) {
    return hn::Shuffle1032(v);
  } else if constexpr (2 * kDistance == hn::MaxLanes(D())) {
    return hn::ConcatLowerUpper(d, v, v);
  } else {
    return hn::SwapAdjacentBlocks(v);
  }
}

// +1 where the lane's bit kDistance is clear, -1 where it is set.
template <size_t kDistance, class D>
HWY_INLINE hn::Vec<D> Alternating(D d) {
  const hn::RebindToSigned<D> di;
  const auto bit = hn::Set(di, static_cast<hn::TFromD<decltype(di)>>(kDistance));
  return hn::IfThenElse(hn::RebindMask(d, hn::TestBit(hn::Iota(di, 0), bit)), hn::Set(d, -1), hn::Set(d, 1));
}

template <size_t kDistance, class D>
HWY_INLINE hn::Vec<D> LaneStage(D d, hn::Vec<D> v, hn::Vec<D> alternating) {
  return hn::MulAdd(v, alternating, SwapLanes<kDistance>(d, v));
}

// The stages within one vector, for transforms of n elements, n a power of two.
template <class D>
class LaneStages {
 public:
  HWY_INLINE explicit LaneStages(D d) : by1_(Alternating<1>(d)), by2_(by1_), by4_(by1_), by8_(by1_) {
    if constexpr (kN > 2) by2_ = Alternating<2>(d);
    if constexpr (kN > 4) by4_ = Alternating<4>(d);
    if constexpr (kN > 8) by8_ = Alternating<8>(d);
  }

  HWY_INLINE hn::Vec<D> operator()(hn::Vec<D> v, int64_t n = kN) const {
    const D d;
    v = LaneStage<1>(d, v, by1_);
    if constexpr (kN > 2) {
      if (n > 2) v = LaneStage<2>(d, v, by2_);
    }
    if constexpr (kN > 4) {
      if (n > 4) v = LaneStage<4>(d, v, by4_);
    }
    if constexpr (kN > 8) {
      if (n > 8) v = LaneStage<8>(d, v, by8_);
    }
    return v;
  }

 private:
  static constexpr int64_t kN = hn::MaxLanes(D());
  hn::Vec<D> by1_, by2_, by4_, by8_;
};

// The stages across registers.
template <size_t kVectors, class V>
HWY_INLINE void VectorStages(V (&v)[kVectors]) {
#pragma GCC unroll 4
  for (size_t h = 1; h < kVectors; h *= 2) {
#pragma GCC unroll 16
    for (size_t i = 0; i < kVectors; ++i) {
      if (i & h) continue;
      const V a = v[i], b = v[i | h];
      v[i] = hn::Add(a, b);
      v[i | h] = hn::Sub(a, b);
    }
  }
}

// kVectors vectors of a row, from element `first` on, transformed in registers.
template <size_t kVectors, class D, class Source>
HWY_INLINE void LoadTransformed(D d, const LaneStages<D>& lane_stages, const Source& source, int64_t first,
                                hn::Vec<D> (&v)[kVectors]) {
#pragma GCC unroll 16
  for (size_t i = 0; i < kVectors; ++i) {
    v[i] = lane_stages(source.Load(d, first + static_cast<int64_t>(i * hn::MaxLanes(d))));
  }
  VectorStages(v);
}

// A row of kVectors vectors.
template <size_t kVectors, class D, class Source, class Sink>
HWY_INLINE void RegisterRow(D d, const LaneStages<D>& lane_stages, const Source& source, int64_t first,
                            const Sink& sink) {
  hn::Vec<D> v[kVectors];
  LoadTransformed(d, lane_stages, source, first, v);
#pragma GCC unroll 16
  for (size_t i = 0; i < kVectors; ++i) sink.Store(d, v[i], first + static_cast<int64_t>(i * hn::MaxLanes(d)));
}

// A row of 2 kRegisters vectors: the first half waits in memory, the second one in registers.
template <class D, class Source, class Sink, typename T = hn::TFromD<D>>
HWY_INLINE void OnePassRow(D d, const LaneStages<D>& lane_stages, const Source& source, int64_t first,
                           const Sink& sink) {
  constexpr int64_t kN = hn::MaxLanes(D());
  HWY_ALIGN T half[kRegisterRow<T>];
  hn::Vec<D> v[kRegisters];
  LoadTransformed(d, lane_stages, source, first, v);
#pragma GCC unroll 16
  for (int64_t i = 0; i < kRegisters; ++i) hn::Store(v[i], d, half + i * kN);
  LoadTransformed(d, lane_stages, source, first + kRegisterRow<T>, v);
#pragma GCC unroll 16
  for (int64_t i = 0; i < kRegisters; ++i) {
    const auto a = hn::Load(d, half + i * kN);
    sink.Store(d, hn::Add(a, v[i]), first + i * kN);
    sink.Store(d, hn::Sub(a, v[i]), first + i * kN + kRegisterRow<T>);
  }
}

// log2(kRadix) stages at distances stride, 2 stride, ... on the kRadix stride elements from `first` on.
template <size_t kRadix, class D, class Source, class Sink>
HWY_INLINE void RadixPass(D d, const Source& source, int64_t first, int64_t stride, const Sink& sink) {
  for (int64_t i = first; i < first + stride; i += static_cast<int64_t>(hn::MaxLanes(d))) {
    hn::Vec<D> v[kRadix];
#pragma GCC unroll 16
    for (size_t r = 0; r < kRadix; ++r) v[r] = source.Load(d, i + static_cast<int64_t>(r) * stride);
    VectorStages(v);
#pragma GCC unroll 16
    for (size_t r = 0; r < kRadix; ++r) sink.Store(d, v[r], i + static_cast<int64_t>(r) * stride);
  }
}

// A function of its own for each pair of ends, and ends by value: a vector's store could change what a reference refers
// to.
template <class D, class Source, class Sink>
HWY_NOINLINE void Pass(int bits, D d, Source source, int64_t first, int64_t stride, Sink sink) {
  switch (bits) {
    case 1: return RadixPass<2>(d, source, first, stride, sink);
    case 2: return RadixPass<4>(d, source, first, stride, sink);
    case 3: return RadixPass<8>(d, source, first, stride, sink);
    default:
      if constexpr (kPassBits == 4) return RadixPass<16>(d, source, first, stride, sink);
  }
}

// Passes for `bits` stages. Only the innermost one has the largest radix: further out the parts are whole pages apart,
// and more than 8 of their lines do not fit into one set of the first-level cache.
HWY_INLINE int PassesOf(int bits) { return bits <= kPassBits ? 1 : 1 + (bits - kPassBits + 2) / 3; }

// Stages of the outermost of the passes for `bits` stages: all have much the same radix.
HWY_INLINE int OuterBits(int bits) {
  const int passes = PassesOf(bits), most_inside = kPassBits + 3 * (passes - 2);
  return passes == 1 ? bits : HWY_MAX(bits / passes, bits - most_inside);
}

// A row of kRegisterRow elements, or of kOnePass, to where it waits for the passes. A function of its own, as Pass.
template <bool kTwice, class D, class Source, class Memory>
HWY_NOINLINE void BaseRow(D d, Source source, int64_t first, Memory memory) {
  const LaneStages<D> lane_stages(d);
  if constexpr (kTwice) {
    OnePassRow(d, lane_stages, source, first, memory);
  } else {
    RegisterRow<kRegisters>(d, lane_stages, source, first, memory);
  }
}

// The elements from `first` on, depth first: every part is done while a cache holds it. bits: stages after those of
// BaseRow, at least 1.
template <bool kTwice, class D, class Source, class Memory, class Sink>
void Part(D d, Source source, int64_t first, int bits, Memory memory, Sink sink) {
  using T = hn::TFromD<D>;
  const int outer = OuterBits(bits), inner = bits - outer;
  const int64_t length = (kTwice ? kOnePass<T> : kRegisterRow<T>) << inner;
  for (int64_t r = 0; r < int64_t{1} << outer; ++r) {
    if (inner == 0) {
      BaseRow<kTwice>(d, source, first + r * length, memory);
    } else {
      Part<kTwice>(d, source, first + r * length, inner, memory, memory);
    }
  }
  Pass(outer, d, memory, first, length, sink);
}

// One row of 2 kOnePass elements or more. memory: n elements where the row waits between its passes; it may be where
// the source reads from or the sink writes to.
template <class D, class Source, class Memory, class Sink>
void LongRow(D d, int64_t n, Source source, Memory memory, Sink sink) {
  int bits = 0;
  while (kRegisterRow<hn::TFromD<D>> << bits < n) ++bits;
  // A row of kOnePass costs more than its halves: only where it saves a pass over memory.
  if (PassesOf(bits - 1) < PassesOf(bits)) return Part<true>(d, source, 0, bits - 1, memory, sink);
  Part<false>(d, source, 0, bits, memory, sink);
}

template <size_t kVectors, class D, class Rows>
HWY_INLINE void RegisterRows(D d, int64_t count, const Rows& rows) {
  const LaneStages<D> lane_stages(d);
  for (int64_t r = 0; r < count; ++r) RegisterRow<kVectors>(d, lane_stages, rows.SourceOf(r), 0, rows.SinkOf(r));
}

// Transforms of n = 2^k >= kLanes elements. rows: SourceOf(r), SinkOf(r) and, for n > kOnePass, MemoryOf(r).
template <class D, class Rows>
HWY_INLINE void TransformRows(D d, int64_t n, int64_t count, const Rows& rows) {
  using T = hn::TFromD<D>;
  switch (n / kLanes<T>) {
    case 1: return RegisterRows<1>(d, count, rows);
    case 2: return RegisterRows<2>(d, count, rows);
    case 4: return RegisterRows<4>(d, count, rows);
    case 8: return RegisterRows<8>(d, count, rows);
    case 16:
      if constexpr (kRegisters == 16) return RegisterRows<16>(d, count, rows);
      break;
    default: break;
  }
  for (int64_t r = 0; r < count; ++r) {
    if (n == kOnePass<T>) {
      OnePassRow(d, LaneStages<D>(d), rows.SourceOf(r), 0, rows.SinkOf(r));
    } else {
      LongRow(d, n, rows.SourceOf(r), rows.MemoryOf(r), rows.SinkOf(r));
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#endif
