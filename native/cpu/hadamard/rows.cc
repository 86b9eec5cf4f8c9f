#include "native/cpu/hadamard/rows.h"

#include <cmath>
#include <type_traits>

#include "native/common/tier.h"
#include "native/cpu/hadamard/elements.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "native/cpu/hadamard/rows.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "native/cpu/hadamard/fwht-inl.h"
#include "native/cpu/hadamard/row_ends-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sylvester {
namespace HWY_NAMESPACE {

// HadamardRows of elements TStored, computed in T.
template <typename T, typename TStored, bool kSigned>
struct TypedRows {
  explicit TypedRows(const HadamardRows& all)
      : rows(all),
        x(static_cast<const TStored*>(all.x)),
        y(static_cast<TStored*>(all.y)),
        before(static_cast<const T*>(all.before)),
        after(static_cast<const T*>(all.after)),
        scale(static_cast<T>(all.scale)) {}

  HWY_INLINE int64_t SignsOf(int64_t r) const {
    return rows.period == 1 ? 0 : (rows.first_signs + r) % rows.period * rows.signs_step;
  }
  HWY_INLINE Source<T, TStored, kSigned> SourceOf(int64_t r) const {
    return {x + r * rows.x_step, kSigned ? before + SignsOf(r) : nullptr};
  }
  HWY_INLINE Sink<T, TStored, kSigned> SinkOf(int64_t r) const {
    return {y + r * rows.y_step, scale, kSigned ? after + SignsOf(r) : nullptr};
  }
  HWY_INLINE Memory<T> MemoryOf(int64_t r) const {
    if constexpr (std::is_same_v<T, TStored>) {
      return {y + r * rows.y_step};
    } else {
      return {rows.waiting};
    }
  }

  const HadamardRows& rows;
  const TStored* x;
  TStored* y;
  const T* before;
  const T* after;
  T scale;
};

// Rows shorter than a vector: many to a vector where they follow each other.
template <typename T, typename TStored, bool kSigned>
void ShortRows(const TypedRows<T, TStored, kSigned>& typed) {
  const HadamardRows& rows = typed.rows;
  const Tag<T> d;
  const int64_t n = rows.n, at_once = kLanes<T> / n;
  int64_t r = 0;
  if (!kSigned && rows.x_step == n && rows.y_step == n) {
    const LaneStages<Tag<T>> lane_stages(d);
    for (; r + at_once <= rows.count; r += at_once) {
      typed.SinkOf(r).Store(d, lane_stages(typed.SourceOf(r).Load(d, 0), n), 0);
    }
  }
  for (; r < rows.count; ++r) {
    const auto source = typed.SourceOf(r);
    const auto sink = typed.SinkOf(r);
    T z[kLanes<T>];
    for (int64_t i = 0; i < n; ++i) {
      const T value = Widened(source.row + i);
      z[i] = kSigned && std::signbit(source.signs[i]) ? -value : value;
    }
    ScalarStages(z, n);
    for (int64_t i = 0; i < n; ++i) {
      const T value = z[i] * sink.scale;
      Narrow(kSigned && std::signbit(sink.signs[i]) ? -value : value, sink.row + i);
    }
  }
}

template <typename TStored, bool kSigned, typename T = Computed<TStored>>
void RowsOf(const HadamardRows& rows) {
  const TypedRows<T, TStored, kSigned> typed(rows);
  if (rows.n < kLanes<T>) return ShortRows(typed);
  TransformRows(Tag<T>(), rows.n, rows.count, typed);
}

template <typename TStored>
void RowsOf(const HadamardRows& rows) {
  return rows.before == nullptr ? RowsOf<TStored, false>(rows) : RowsOf<TStored, true>(rows);
}

void AllRows(const HadamardRows& rows) {
  switch (rows.type) {
    case SYL_F32: return RowsOf<float>(rows);
    case SYL_F64: return RowsOf<double>(rows);
    case SYL_F16: return RowsOf<hwy::float16_t>(rows);
    default: return RowsOf<hwy::bfloat16_t>(rows);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sylvester
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sylvester {
namespace {
constexpr void (*kAllRows[kTierCount])(const HadamardRows&) = SYL_TIERS(AllRows);
}  // namespace

void Fwht(const HadamardRows& rows) { kAllRows[CurrentTier()](rows); }

}  // namespace sylvester
#endif
