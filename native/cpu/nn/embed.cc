#include <sylvester/nn.h>

#include "native/common/dtype.h"
#include "native/cpu/nn/rows.h"

using namespace sylvester;

syl_status syl_nn_embed_f32(syl_dtype type, const void* table, int64_t vocab, int64_t cols, const int32_t* ids,
                            int64_t rows, float* y, int64_t y_stride) {
  const int64_t block = syl_dtype_block_size(type);
  SYL_REQUIRE(block > 0, SYL_BAD_VALUE, "type is %d, not a known type", type);
  SYL_REQUIRE_PTR(table);
  SYL_REQUIRE_RANGE(vocab, 1, INT32_MAX);
  const syl_status status = CheckRows(__func__, {"y", y, y_stride}, rows, cols);
  if (status != SYL_OK) return status;
  SYL_REQUIRE(cols % block == 0, SYL_BAD_SHAPE, "cols is %lld, must be a multiple of the block size %lld",
              static_cast<long long>(cols), static_cast<long long>(block));
  const int64_t row_bytes = cols / block * syl_dtype_block_bytes(type);
  int64_t table_bytes;
  SYL_REQUIRE(!__builtin_mul_overflow(row_bytes, vocab, &table_bytes), SYL_BAD_SHAPE, "cols is %lld, too large",
              static_cast<long long>(cols));
  if (rows == 0) return SYL_OK;
  SYL_REQUIRE_PTR(ids);
  for (int64_t r = 0; r < rows; ++r) {
    SYL_REQUIRE(ids[r] >= 0 && ids[r] < vocab, SYL_BAD_VALUE, "ids[%lld] is %d, must be 0..%lld",
                static_cast<long long>(r), ids[r], static_cast<long long>(vocab - 1));
  }
  const int64_t y_bytes = Extent(rows, cols, y_stride) * 4;
  SYL_REQUIRE(!Overlaps(table, table_bytes, y, y_bytes), SYL_OVERLAP, "y overlaps table (vocab is %lld)",
              static_cast<long long>(vocab));
  // An id must stay what has been checked.
  SYL_REQUIRE(!Overlaps(ids, rows * 4, y, y_bytes), SYL_OVERLAP, "y overlaps ids (rows is %lld)",
              static_cast<long long>(rows));
  const auto* bytes = static_cast<const uint8_t*>(table);
  for (int64_t r = 0; r < rows; ++r) Dequantize(type, bytes + ids[r] * row_bytes, cols, y + r * y_stride);
  return SYL_OK;
}
