#include <algorithm>
#include <cinttypes>

#include "native/common/hadamard_plan.h"
#include "native/common/status.h"

namespace sylvester {
namespace {

// The memory that an argument of the run takes up.
struct Range {
  const char* name;
  const void* start;
  int64_t bytes;
};

// From the first to the last element of transforms first .. last, each `length` elements `stride[3]` apart.
Range RangeOf(const char* name, const void* base, const HadamardPlan& plan, const int64_t* stride, int64_t length,
              int64_t element_bytes, int64_t first, int64_t last) {
  const int64_t* count = plan.options.count;
  int64_t low = plan.Offset(stride, first), high = plan.Offset(stride, last);
  // Strides need not descend: the extremes are at an end or where an index further out has just changed.
  for (const int64_t period : {count[2], count[1] * count[2]}) {
    if (last < period) break;
    const int64_t starts = (first / period + 1) * period;  // the next round of the inner indices
    const int64_t ended = last / period * period - 1;      // the end of the last whole one
    if (starts <= last) low = std::min(low, plan.Offset(stride, starts));
    if (ended >= first) high = std::max(high, plan.Offset(stride, ended));
  }
  return {name, static_cast<const char*>(base) + low * element_bytes,
          (high - low + (length - 1) * stride[3] + 1) * element_bytes};
}

}  // namespace

#define REQUIRE(condition, status, format, ...)                                  \
  do {                                                                           \
    if (!(condition)) return Fail(status, "%s: " format, function, __VA_ARGS__); \
  } while (0)

syl_status CheckHadamardRun(const char* function, const HadamardPlan& plan, const HadamardRun& run) {
  const syl_hadamard_options& o = plan.options;
  const bool quantized = o.quantizer != SYL_HADAMARD_NO_QUANTIZER;
  const bool has_zeros = quantized && o.quantizer != SYL_HADAMARD_I8;
  REQUIRE(run.x != nullptr, SYL_NULL_ARGUMENT, "%s is NULL", "x");
  REQUIRE(run.y != nullptr, SYL_NULL_ARGUMENT, "%s is NULL", "y");
  REQUIRE(!run.transposed || !quantized, SYL_UNSUPPORTED, "plan has quantizer %d, which has no transpose", o.quantizer);
  REQUIRE(!run.transposed || plan.x_rows_disjoint, SYL_BAD_SHAPE,
          "plan has x_stride {%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 "}: transforms of x share elements",
          o.x_stride[0], o.x_stride[1], o.x_stride[2], o.x_stride[3]);
  REQUIRE(!quantized || run.scales != nullptr, SYL_NULL_ARGUMENT, "scales is NULL, must be given for quantizer %d",
          o.quantizer);
  REQUIRE(quantized || run.scales == nullptr, SYL_BAD_VALUE, "scales is given, must be NULL for quantizer %d",
          o.quantizer);
  REQUIRE(!has_zeros || run.zeros != nullptr, SYL_NULL_ARGUMENT, "zeros is NULL, must be given for quantizer %d",
          o.quantizer);
  REQUIRE(has_zeros || run.zeros == nullptr, SYL_BAD_VALUE, "zeros is given, must be NULL for quantizer %d",
          o.quantizer);
  REQUIRE(run.first >= 0 && run.first <= plan.transforms, SYL_BAD_VALUE, "first is %" PRId64 ", must be 0..%" PRId64,
          run.first, plan.transforms);
  REQUIRE(run.count >= 0 && run.count <= plan.transforms - run.first, SYL_BAD_VALUE,
          "count is %" PRId64 ", must be 0..%" PRId64 " from transform %" PRId64, run.count,
          plan.transforms - run.first, run.first);
  if (run.count == 0) return SYL_OK;
  REQUIRE(run.needed == 0 || run.workspace != nullptr, SYL_NULL_ARGUMENT,
          "workspace is NULL, must have %" PRId64 " bytes", run.needed);
  REQUIRE(run.workspace_bytes >= run.needed, SYL_WORKSPACE, "workspace_bytes is %" PRId64 ", must be at least %" PRId64,
          run.workspace_bytes, run.needed);

  const bool in_place = run.x == run.y && plan.same_layout && o.x_length == o.n;
  if (in_place && !quantized && run.needed == 0) return SYL_OK;
  const int64_t last = run.first + run.count - 1;
  const int64_t y_length = quantized ? HadamardCodeBytes(plan) : o.n;
  const int64_t y_bytes = quantized ? 1 : syl_dtype_block_bytes(o.y_type);
  const int64_t scale_bytes = run.count * plan.groups * static_cast<int64_t>(sizeof(float));
  const auto scale_start = [&](const float* scales) {
    return scales == nullptr ? nullptr : scales + run.first * plan.groups;
  };
  const Range ranges[] = {
      RangeOf("x", run.x, plan, o.x_stride, o.x_length, syl_dtype_block_bytes(o.x_type), run.first, last),
      RangeOf("y", run.y, plan, o.y_stride, y_length, y_bytes, run.first, last),
      {"scales", scale_start(run.scales), run.scales == nullptr ? 0 : scale_bytes},
      {"zeros", scale_start(run.zeros), run.zeros == nullptr ? 0 : scale_bytes},
      {"workspace", run.workspace, run.needed}};
  for (const Range& a : ranges) {
    for (const Range& b : ranges) {
      if (&a >= &b || (in_place && &a == &ranges[0] && &b == &ranges[1])) continue;
      REQUIRE(!Overlaps(a.start, a.bytes, b.start, b.bytes), SYL_OVERLAP, "%s overlaps %s", b.name, a.name);
    }
  }
  return SYL_OK;
}

}  // namespace sylvester
