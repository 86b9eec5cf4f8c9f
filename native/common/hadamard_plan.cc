#include "native/common/hadamard_plan.h"

#include <algorithm>
#include <cfloat>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <new>
#include <utility>

#include "native/common/hadamard_base.h"
#include "native/common/status.h"

namespace sylvester {
namespace {

#define REQUIRE(condition, status, format, ...)                             \
  do {                                                                      \
    if (!(condition)) return Fail(status, "%s" format, where, __VA_ARGS__); \
  } while (0)

#define REQUIRE_RANGE(name, value, low, high)                                                                          \
  REQUIRE((value) >= (low) && (value) <= (high), SYL_BAD_VALUE, name " is %" PRId64 ", must be %" PRId64 "..%" PRId64, \
          int64_t{value}, int64_t{low}, int64_t{high})

constexpr int64_t kMaxLength = int64_t{1} << 24;
constexpr int64_t kMaxLength16 = int64_t{1} << 20;

bool IsPowerOfTwo(int64_t n) { return n > 0 && (n & (n - 1)) == 0; }

int32_t Log2(int64_t n) { return 63 - __builtin_clzll(static_cast<unsigned long long>(n)); }

bool IsFloat(syl_dtype type) { return type == SYL_F32 || type == SYL_F64 || type == SYL_F16 || type == SYL_BF16; }

syl_status CheckTypes(const char* where, const syl_hadamard_options& o) {
  REQUIRE_RANGE("quantizer", o.quantizer, SYL_HADAMARD_NO_QUANTIZER, SYL_HADAMARD_U2);
  REQUIRE(IsFloat(o.x_type), SYL_BAD_VALUE, "x_type is %d, must be F32, F64, F16 or BF16", o.x_type);
  if (o.quantizer != SYL_HADAMARD_NO_QUANTIZER) {
    REQUIRE(o.x_type != SYL_F64, SYL_BAD_VALUE, "x_type is F64 (%d), must not be with quantizer %d", o.x_type,
            o.quantizer);
    return SYL_OK;
  }
  REQUIRE(IsFloat(o.y_type), SYL_BAD_VALUE, "y_type is %d, must be F32, F64, F16 or BF16", o.y_type);
  REQUIRE((o.x_type == SYL_F64) == (o.y_type == SYL_F64), SYL_BAD_VALUE,
          "y_type is %d, must be F64 exactly when x_type is, which is %d", o.y_type, o.x_type);
  return SYL_OK;
}

// The bytes from the first to one past the last point of a grid of counts and strides are fewer than 2^63.
bool GridFits(const int64_t* count, const int64_t* stride, int64_t bytes) {
  int64_t extent = 1;
  for (int i = 0; i < 4; ++i) {
    int64_t step;
    if (__builtin_mul_overflow(count[i] - 1, stride[i], &step) || __builtin_add_overflow(extent, step, &extent)) {
      return false;
    }
  }
  return !__builtin_mul_overflow(extent, bytes, &extent);
}

// No two points of the grid share an element: sufficient, and necessary unless strides interleave.
bool GridIsDisjoint(const int64_t* count, const int64_t* stride) {
  int order[4] = {0, 1, 2, 3};
  std::sort(order, order + 4, [&](int a, int b) { return stride[a] < stride[b]; });
  int64_t extent = 1;
  for (const int i : order) {
    if (count[i] == 1) continue;
    if (stride[i] < extent) return false;
    extent += (count[i] - 1) * stride[i];
  }
  return true;
}

syl_status CheckStrides(const char* where, const char* name, const int64_t* count, const int64_t* stride,
                        int64_t bytes) {
  for (int i = 0; i < 4; ++i) {
    REQUIRE(stride[i] >= (i == 3), SYL_BAD_VALUE, "%s[%d] is %" PRId64 ", must be %d or more", name, i, stride[i],
            i == 3);
  }
  REQUIRE(GridFits(count, stride, bytes), SYL_BAD_SHAPE,
          "%s is {%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 "} for {%" PRId64 ", %" PRId64 ", %" PRId64
          "} transforms of %" PRId64 ": more bytes than 2^63",
          name, stride[0], stride[1], stride[2], stride[3], count[0], count[1], count[2], count[3]);
  return SYL_OK;
}

syl_status CheckGrid(const char* where, HadamardPlan* plan) {
  const syl_hadamard_options& o = plan->options;
  for (int i = 0; i < 3; ++i) {
    REQUIRE(o.count[i] >= 1, SYL_BAD_VALUE, "count[%d] is %" PRId64 ", must be 1 or more", i, o.count[i]);
  }
  REQUIRE(!__builtin_mul_overflow(o.count[0], o.count[1], &plan->transforms) &&
              !__builtin_mul_overflow(plan->transforms, o.count[2], &plan->transforms),
          SYL_BAD_SHAPE, "count is {%" PRId64 ", %" PRId64 ", %" PRId64 "}: more transforms than 2^63", o.count[0],
          o.count[1], o.count[2]);

  int64_t scales;
  REQUIRE(!__builtin_mul_overflow(plan->transforms, plan->groups * static_cast<int64_t>(sizeof(float)), &scales),
          SYL_BAD_SHAPE, "count is {%" PRId64 ", %" PRId64 ", %" PRId64 "}: more bytes of scales than 2^63", o.count[0],
          o.count[1], o.count[2]);

  const bool quantized = o.quantizer != SYL_HADAMARD_NO_QUANTIZER;
  const int64_t x_count[4] = {o.count[0], o.count[1], o.count[2], o.x_length};
  const int64_t y_count[4] = {o.count[0], o.count[1], o.count[2], quantized ? HadamardCodeBytes(*plan) : o.n};
  const int64_t y_bytes = quantized ? 1 : syl_dtype_block_bytes(o.y_type);
  REQUIRE(!quantized || o.y_stride[3] == 1, SYL_BAD_VALUE, "y_stride[3] is %" PRId64 ", must be 1 with a quantizer",
          o.y_stride[3]);
  if (syl_status s = CheckStrides(where, "x_stride", x_count, o.x_stride, syl_dtype_block_bytes(o.x_type))) return s;
  if (syl_status s = CheckStrides(where, "y_stride", y_count, o.y_stride, y_bytes)) return s;
  REQUIRE(GridIsDisjoint(y_count, o.y_stride), SYL_BAD_SHAPE,
          "y_stride is {%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 "}: transforms of y share elements",
          o.y_stride[0], o.y_stride[1], o.y_stride[2], o.y_stride[3]);
  plan->x_rows_disjoint = GridIsDisjoint(x_count, o.x_stride);
  plan->same_layout = !quantized && o.x_type == o.y_type;
  for (int i = 0; i < 4; ++i) {
    if (x_count[i] > 1 && o.x_stride[i] != o.y_stride[i]) plan->same_layout = false;
  }
  return SYL_OK;
}

syl_status CheckGroups(const char* where, HadamardPlan* plan) {
  syl_hadamard_options& o = plan->options;
  if (o.quantizer == SYL_HADAMARD_NO_QUANTIZER) {
    REQUIRE(o.group == 0, SYL_BAD_VALUE, "group is %" PRId64 ", must be 0 without a quantizer", o.group);
    REQUIRE(o.group_map == nullptr, SYL_BAD_VALUE, "group_map is given, must be NULL with quantizer %d", o.quantizer);
    o.group = o.n;
    plan->groups = 0;
    return SYL_OK;
  }
  if (o.group == 0) o.group = o.n;
  REQUIRE_RANGE("group", o.group, 1, o.n);
  REQUIRE(o.n % o.group == 0, SYL_BAD_SHAPE, "group is %" PRId64 ", must divide n, which is %" PRId64, o.group, o.n);
  plan->groups = o.n / o.group;
  const int64_t codes = HadamardCodesPerByte(o.quantizer);
  REQUIRE(o.n % codes == 0, SYL_BAD_SHAPE, "n is %" PRId64 ", must be a multiple of %" PRId64 " with quantizer %d", o.n,
          codes, o.quantizer);
  return SYL_OK;
}

syl_status CopySigns(const char* where, HadamardPlan* plan) {
  syl_hadamard_options& o = plan->options;
  plan->sign_words = (o.n + 31) / 32;
  if (o.signs == nullptr) {
    REQUIRE(o.sign_rows == 0, SYL_BAD_VALUE, "sign_rows is %" PRId64 ", must be 0 without signs", o.sign_rows);
    return SYL_OK;
  }
  REQUIRE(o.sign_rows >= 1, SYL_BAD_VALUE, "sign_rows is %" PRId64 ", must be 1 or more with signs", o.sign_rows);
  int64_t rows, bytes;
  REQUIRE(!__builtin_mul_overflow(o.sign_rows, int64_t{o.rounds + 1}, &rows) &&
              !__builtin_mul_overflow(rows, plan->sign_words * static_cast<int64_t>(sizeof(uint32_t)), &bytes),
          SYL_BAD_SHAPE, "sign_rows is %" PRId64 ": more bytes of signs than 2^63", o.sign_rows);
  plan->signs.assign(o.signs, o.signs + rows * plan->sign_words);
  if (o.n % 32 != 0) {
    const uint32_t used = (uint32_t{1} << o.n % 32) - 1;
    for (int64_t row = 1; row <= rows; ++row) plan->signs[row * plan->sign_words - 1] &= used;
  }
  return SYL_OK;
}

syl_status CopyGather(const char* where, HadamardPlan* plan) {
  const syl_hadamard_options& o = plan->options;
  if (o.gather == nullptr) return SYL_OK;
  int32_t largest = -1;
  for (int64_t i = 0; i < o.n; ++i) {
    REQUIRE(o.gather[i] >= -1 && o.gather[i] < o.x_length, SYL_BAD_VALUE,
            "gather[%" PRId64 "] is %d, must be -1 or less than x_length, which is %" PRId64, i, o.gather[i],
            o.x_length);
    largest = std::max(largest, o.gather[i]);
  }
  std::vector<bool> seen(static_cast<size_t>(largest) + 1);
  for (int64_t i = 0; i < o.n; ++i) {
    if (o.gather[i] < 0) continue;
    REQUIRE(!seen[o.gather[i]], SYL_BAD_VALUE, "gather[%" PRId64 "] is %d, an index that came before", i, o.gather[i]);
    seen[o.gather[i]] = true;
  }
  plan->gather.assign(o.gather, o.gather + o.n);
  return SYL_OK;
}

syl_status CopyGroupMap(const char* where, HadamardPlan* plan) {
  const syl_hadamard_options& o = plan->options;
  if (o.group_map == nullptr) return SYL_OK;
  std::vector<int64_t> members(plan->groups);
  for (int64_t i = 0; i < o.n; ++i) {
    REQUIRE(o.group_map[i] >= 0 && o.group_map[i] < plan->groups, SYL_BAD_VALUE,
            "group_map[%" PRId64 "] is %d, must be 0..%" PRId64, i, o.group_map[i], plan->groups - 1);
    ++members[o.group_map[i]];
  }
  for (int64_t g = 0; g < plan->groups; ++g) {
    REQUIRE(members[g] == o.group, SYL_BAD_SHAPE,
            "group_map has %" PRId64 " elements in group %" PRId64 ", must have %" PRId64, members[g], g, o.group);
  }
  plan->group_map.assign(o.group_map, o.group_map + o.n);
  return SYL_OK;
}

// Fewer and longer axes, since kernels take several transforms of the inner one at once: the same transforms at the
// same places in the same order. Rows of signs count along the inner axis and so forbid it.
void MergeAxes(syl_hadamard_options* o) {
  if (o->sign_rows > 1) return;
  for (int outer = 1; outer >= 0; --outer) {
    const int inner = o->count[outer + 1] == 1 ? 2 : outer + 1;
    const auto continues = [&](const int64_t* stride) {
      int64_t end;
      return !__builtin_mul_overflow(o->count[inner], stride[inner], &end) && end == stride[outer];
    };
    if (o->count[outer] > 1 && o->count[inner] == 1) {
      o->x_stride[inner] = o->x_stride[outer];
      o->y_stride[inner] = o->y_stride[outer];
    } else if (!(continues(o->x_stride) && continues(o->y_stride))) {
      continue;
    }
    o->count[inner] *= o->count[outer];
    o->count[outer] = 1;
  }
}

syl_status FillPlan(const char* where, HadamardPlan* plan) {
  syl_hadamard_options& o = plan->options;
  if (syl_status s = CheckTypes(where, o)) return s;
  if (syl_status s = CheckHadamardFamily(where, o.family, o.n, o.base, o.table, o.block, &plan->butterflies)) return s;
  const auto is_short = [](syl_dtype type) { return type == SYL_F16 || type == SYL_BF16; };
  const bool is_16_bit = is_short(o.x_type) || (o.quantizer == SYL_HADAMARD_NO_QUANTIZER && is_short(o.y_type));
  if (is_16_bit) REQUIRE_RANGE("n", o.n, 2, kMaxLength16);
  plan->log2_butterflies = Log2(plan->butterflies);
  o.block = plan->butterflies * o.base;
  plan->base = o.base == 1 ? std::vector<int8_t>() : HadamardBase(o.base, o.table);

  REQUIRE(std::fabs(o.scale) <= (o.x_type == SYL_F64 ? DBL_MAX : FLT_MAX), SYL_BAD_VALUE, "scale is %g, must be finite",
          o.scale);
  if (o.scale == 0) o.scale = 1 / std::sqrt(static_cast<double>(o.block));
  REQUIRE_RANGE("rounds", o.rounds, 1, 16);
  REQUIRE(o.x_length >= 0, SYL_BAD_VALUE, "x_length is %" PRId64 ", must be 0 or more", o.x_length);
  if (o.x_length == 0) o.x_length = o.n;
  REQUIRE(o.x_length == o.n || o.gather != nullptr, SYL_BAD_SHAPE,
          "x_length is %" PRId64 ", must be n (%" PRId64 ") without a gather", o.x_length, o.n);
  if (syl_status s = CheckGroups(where, plan)) return s;
  if (syl_status s = CheckGrid(where, plan)) return s;
  if (syl_status s = CopySigns(where, plan)) return s;
  if (syl_status s = CopyGather(where, plan)) return s;
  if (syl_status s = CopyGroupMap(where, plan)) return s;
  o.signs = nullptr;
  o.gather = o.group_map = nullptr;
  MergeAxes(&o);
  return SYL_OK;
}

}  // namespace

syl_status CheckHadamardFamily(const char* where, int32_t family, int64_t n, int32_t base, int32_t table, int64_t block,
                               int64_t* butterflies) {
  REQUIRE_RANGE("family", family, SYL_HADAMARD_SYLVESTER, SYL_HADAMARD_OVERLAPPED);
  REQUIRE_RANGE("n", n, 2, kMaxLength);
  REQUIRE(family == SYL_HADAMARD_SYLVESTER || base == 1, SYL_BAD_VALUE, "base is %d, must be 1 for family %d", base,
          family);
  REQUIRE(HasHadamardBase(base, SYL_HADAMARD_TABLE_DEFAULT), SYL_UNSUPPORTED,
          "base is %d, must be 1, 12, 20, 28, 36, 40, 44, 52, 60, 108, 124, 140, 156 or 172", base);
  REQUIRE(HasHadamardBase(base, table), SYL_UNSUPPORTED, "table is %d, which does not exist for base %d", table, base);
  REQUIRE(family == SYL_HADAMARD_BLOCKS || block == 0, SYL_BAD_VALUE, "block is %" PRId64 ", must be 0 for family %d",
          block, family);
  switch (family) {
    case SYL_HADAMARD_SYLVESTER:
      REQUIRE(n % base == 0 && IsPowerOfTwo(n / base), SYL_BAD_SHAPE,
              "n is %" PRId64 ", must be %d times a power of two", n, base);
      *butterflies = n / base;
      break;
    case SYL_HADAMARD_REGULAR:
      REQUIRE(IsPowerOfTwo(n) && Log2(n) % 2 == 0, SYL_BAD_SHAPE, "n is %" PRId64 ", must be a power of four", n);
      *butterflies = n;
      break;
    case SYL_HADAMARD_BLOCKS:
      REQUIRE(IsPowerOfTwo(block) && block >= 2, SYL_BAD_VALUE,
              "block is %" PRId64 ", must be a power of two, 2 or more", block);
      REQUIRE(n % block == 0, SYL_BAD_SHAPE, "n is %" PRId64 ", must be a multiple of block, which is %" PRId64, n,
              block);
      *butterflies = block;
      break;
    default: *butterflies = int64_t{1} << Log2(n);
  }
  return SYL_OK;
}

syl_status MakeHadamardPlan(const char* function, const syl_hadamard_options* options, HadamardPlan* plan) {
  if (options == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: options is NULL", function);
  char where[96];
  std::snprintf(where, sizeof(where), "%s: options->", function);
  REQUIRE(options->struct_size == sizeof(*options), SYL_BAD_VALUE, "struct_size is %u, must be %zu",
          options->struct_size, sizeof(*options));
  try {
    HadamardPlan made = {};
    made.options = *options;
    if (syl_status s = FillPlan(where, &made)) return s;
    *plan = std::move(made);
    return SYL_OK;
  } catch (const std::bad_alloc&) {
    return Fail(SYL_OUT_OF_MEMORY, "%s: out of memory for n = %" PRId64 " and %" PRId64 " rows of signs", function,
                options->n, options->sign_rows);
  }
}

syl_status DescribeHadamardPlan(const char* function, const HadamardPlan& plan, syl_hadamard_info* info) {
  if (info == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: info is NULL", function);
  if (info->struct_size != sizeof(*info)) {
    return Fail(SYL_BAD_VALUE, "%s: info->struct_size is %u, must be %zu", function, info->struct_size, sizeof(*info));
  }
  const syl_hadamard_options& o = plan.options;
  const bool quantized = o.quantizer != SYL_HADAMARD_NO_QUANTIZER;
  // Overlapped rounds leave n - block elements alone.
  const int64_t transformed = o.family == SYL_HADAMARD_OVERLAPPED ? o.block : o.n;
  const int64_t zeros = std::count(plan.gather.begin(), plan.gather.end(), -1);
  const int64_t parameters = o.quantizer == SYL_HADAMARD_I8 ? 1 : 2;
  info->log2_butterflies = plan.log2_butterflies;
  info->transforms = plan.transforms;
  info->groups = plan.groups;
  info->scale = o.scale;
  info->additions = o.rounds * transformed * (plan.log2_butterflies + o.base - 1);
  info->x_bytes = (o.n - zeros) * syl_dtype_block_bytes(o.x_type);
  info->y_bytes = quantized ? HadamardCodeBytes(plan) + plan.groups * parameters * static_cast<int64_t>(sizeof(float))
                            : o.n * syl_dtype_block_bytes(o.y_type);
  info->error_steps = plan.log2_butterflies + (o.base == 1 ? 0 : 1 + o.base / 4) + 2;
  return SYL_OK;
}

int64_t HadamardCodeBytes(const HadamardPlan& plan) {
  return plan.options.n / HadamardCodesPerByte(plan.options.quantizer);
}

}  // namespace sylvester
