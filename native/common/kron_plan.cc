#include "native/common/kron_plan.h"

#include "native/common/status.h"

namespace sylvester {

syl_status CheckKron(const char* function, const syl_kron* kron, bool needs_factors) {
  if (kron == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: kron is NULL", function);
  if (kron->struct_size != sizeof(*kron)) {
    return Fail(SYL_BAD_VALUE, "%s: kron->struct_size is %u, must be %zu", function, kron->struct_size, sizeof(*kron));
  }
  if (kron->type != SYL_F32 && kron->type != SYL_F16 && kron->type != SYL_BF16) {
    return Fail(SYL_BAD_VALUE, "%s: kron->type is %d, must be SYL_F32, SYL_F16 or SYL_BF16", function, kron->type);
  }
  const struct {
    const char* name;
    int64_t value, high;
  } sizes[] = {{"terms", kron->terms, 65536},
               {"m", kron->m, INT32_MAX},
               {"n", kron->n, INT32_MAX},
               {"p", kron->p, INT32_MAX},
               {"q", kron->q, INT32_MAX}};
  for (const auto& size : sizes) {
    if (size.value < 1 || size.value > size.high) {
      return Fail(SYL_BAD_VALUE, "%s: kron->%s is %lld, must be 1..%lld", function, size.name,
                  static_cast<long long>(size.value), static_cast<long long>(size.high));
    }
  }
  const struct {
    const char* name;
    int64_t a, b, terms;
  } products[] = {{"m p", kron->m, kron->p, 1},
                  {"n q", kron->n, kron->q, 1},
                  {"terms m n", kron->m, kron->n, kron->terms},
                  {"terms p q", kron->p, kron->q, kron->terms},
                  {"terms n p", kron->n, kron->p, kron->terms},
                  {"terms m q", kron->m, kron->q, kron->terms}};
  for (const auto& product : products) {
    if (product.a > INT32_MAX / product.b || product.a * product.b > INT32_MAX / product.terms) {
      return Fail(SYL_BAD_SHAPE, "%s: %s of kron is %lld x %lld x %lld, must be below 2^31", function, product.name,
                  static_cast<long long>(product.terms), static_cast<long long>(product.a),
                  static_cast<long long>(product.b));
    }
  }
  if (!needs_factors) return SYL_OK;
  if (kron->u == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: kron->u is NULL", function);
  if (kron->v == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: kron->v is NULL", function);
  return SYL_OK;
}

}  // namespace sylvester

using namespace sylvester;

syl_status syl_kron_factorize(int64_t dim, int64_t factor, int64_t* small, int64_t* large) {
  SYL_REQUIRE_RANGE(dim, 1, INT32_MAX);
  SYL_REQUIRE(factor == -1 || factor >= 1, SYL_BAD_VALUE, "factor is %lld, must be -1 or at least 1",
              static_cast<long long>(factor));
  SYL_REQUIRE_PTR(small);
  SYL_REQUIRE_PTR(large);
  int64_t best = 1;
  if (factor > 0 && dim % factor == 0) {
    best = factor;
  } else {
    for (int64_t divisor = 2; divisor * divisor <= dim && (factor == -1 || divisor <= factor); ++divisor) {
      if (dim % divisor == 0) best = divisor;
    }
  }
  *small = best;
  *large = dim / best;
  return SYL_OK;
}
