#include "native/cpu/kv/calibration.h"

#include <memory>
#include <new>

#include "native/common/kv_plan.h"
#include "native/common/status.h"
#include "native/cpu/kv/finite.h"

namespace sylvester {
namespace {

syl_status CheckRows(const char* function, const char* name, const float* x, int64_t stride, int64_t rows,
                     int64_t cols) {
  if (x == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: %s is NULL", function, name);
  const int64_t extent = Extent(rows, cols, stride);
  if (stride < cols || extent < 0 || extent > INT64_MAX / static_cast<int64_t>(sizeof(float))) {
    return Fail(SYL_BAD_SHAPE, "%s: %s_stride is %lld for %lld rows of %lld", function, name,
                static_cast<long long>(stride), static_cast<long long>(rows), static_cast<long long>(cols));
  }
  return CheckFinite(function, name, x, stride, rows, cols);
}

void AddRows(const float* x, int64_t stride, int64_t rows, std::vector<double>* sums) {
  for (int64_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < sums->size(); ++c)
      (*sums)[c] += static_cast<double>(x[r * stride + static_cast<int64_t>(c)]);
  }
}

// Rows of `group` heads to each of the sums' heads.
void AddSquares(const float* x, int64_t stride, int64_t rows, int64_t head_dim, int64_t group,
                std::vector<double>* sums) {
  const auto heads = static_cast<int64_t>(sums->size()) / head_dim * group;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t head = 0; head < heads; ++head) {
      const float* from = x + r * stride + head * head_dim;
      double* to = sums->data() + head / group * head_dim;
      for (int64_t c = 0; c < head_dim; ++c) to[c] += double{from[c]} * double{from[c]};
    }
  }
}

void AddSums(const std::vector<double>& from, std::vector<double>* to) {
  for (size_t c = 0; c < from.size(); ++c) (*to)[c] += from[c];
}

}  // namespace
}  // namespace sylvester

syl_status syl_kv_calibration_new(const syl_kv_geometry* geometry, syl_kv_calibration** calibration) {
  SYL_REQUIRE_PTR(calibration);
  uint64_t hash;
  if (syl_status s = sylvester::CheckKvGeometry(__func__, geometry, &hash)) return s;
  try {
    auto made = std::make_unique<syl_kv_calibration>();
    made->channels = geometry->kv_heads * geometry->head_dim;
    made->head_dim = geometry->head_dim;
    made->group = geometry->q_heads / geometry->kv_heads;
    made->geometry_hash = hash;
    made->layers.resize(geometry->layers);
    for (sylvester::KvSums& layer : made->layers) {
      for (std::vector<double>* sums : {&layer.keys, &layer.values, &layer.key_squares, &layer.query_squares}) {
        sums->resize(made->channels);
      }
    }
    *calibration = made.release();
    return SYL_OK;
  } catch (const std::bad_alloc&) {
    return sylvester::Fail(SYL_OUT_OF_MEMORY, "%s: out of memory for %d layers", __func__, geometry->layers);
  }
}

void syl_kv_calibration_free(syl_kv_calibration* calibration) { delete calibration; }

syl_status syl_kv_calibration_add_f32(syl_kv_calibration* calibration, int32_t layer, const float* k, int64_t k_stride,
                                      const float* v, int64_t v_stride, int64_t rows) {
  SYL_REQUIRE_PTR(calibration);
  SYL_REQUIRE_RANGE(layer, 0, calibration->layers.size() - 1);
  SYL_REQUIRE(rows >= 0, SYL_BAD_VALUE, "rows is %lld, must be 0 or more", static_cast<long long>(rows));
  sylvester::KvSums& sums = calibration->layers[layer];
  const int64_t cols = calibration->channels;
  if (syl_status s = sylvester::CheckRows(__func__, "k", k, k_stride, rows, cols)) return s;
  if (syl_status s = sylvester::CheckRows(__func__, "v", v, v_stride, rows, cols)) return s;
  sylvester::AddRows(k, k_stride, rows, &sums.keys);
  sylvester::AddRows(v, v_stride, rows, &sums.values);
  sylvester::AddSquares(k, k_stride, rows, calibration->head_dim, 1, &sums.key_squares);
  sums.tokens += rows;
  return SYL_OK;
}

syl_status syl_kv_calibration_add_queries_f32(syl_kv_calibration* calibration, int32_t layer, const float* q,
                                              int64_t q_stride, int64_t rows) {
  SYL_REQUIRE_PTR(calibration);
  SYL_REQUIRE_RANGE(layer, 0, calibration->layers.size() - 1);
  SYL_REQUIRE(rows >= 0, SYL_BAD_VALUE, "rows is %lld, must be 0 or more", static_cast<long long>(rows));
  sylvester::KvSums& sums = calibration->layers[layer];
  const int64_t cols = calibration->channels * calibration->group;
  if (syl_status s = sylvester::CheckRows(__func__, "q", q, q_stride, rows, cols)) return s;
  sylvester::AddSquares(q, q_stride, rows, calibration->head_dim, calibration->group, &sums.query_squares);
  sums.queries += rows;
  return SYL_OK;
}

syl_status syl_kv_calibration_merge(syl_kv_calibration* calibration, const syl_kv_calibration* other) {
  SYL_REQUIRE_PTR(calibration);
  SYL_REQUIRE_PTR(other);
  SYL_REQUIRE(other->geometry_hash == calibration->geometry_hash, SYL_BAD_VALUE,
              "other is of geometry %016llx, must be of %016llx", static_cast<unsigned long long>(other->geometry_hash),
              static_cast<unsigned long long>(calibration->geometry_hash));
  for (size_t i = 0; i < calibration->layers.size(); ++i) {
    sylvester::KvSums& to = calibration->layers[i];
    const sylvester::KvSums& from = other->layers[i];
    sylvester::AddSums(from.keys, &to.keys);
    sylvester::AddSums(from.values, &to.values);
    sylvester::AddSums(from.key_squares, &to.key_squares);
    sylvester::AddSums(from.query_squares, &to.query_squares);
    to.tokens += from.tokens;
    to.queries += from.queries;
  }
  return SYL_OK;
}
