#include "native/common/philox.h"

#include "native/common/status.h"

syl_status syl_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  SYL_REQUIRE_PTR(counter);
  SYL_REQUIRE_PTR(key);
  SYL_REQUIRE_PTR(out);
  sylvester::Philox4x32(counter, key, out);
  return SYL_OK;
}
