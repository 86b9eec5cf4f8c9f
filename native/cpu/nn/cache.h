// Checks and sizes of the float cache that its users share.
#ifndef SYLVESTER_NATIVE_CPU_NN_CACHE_H_
#define SYLVESTER_NATIVE_CPU_NN_CACHE_H_

#include <sylvester/nn.h>

namespace sylvester {

constexpr int64_t kTileTokens = 16;  // keys side by side
constexpr int64_t kMaxHeadDim = 512;
constexpr int64_t kMaxTokens = int64_t{1} << 40;

constexpr int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Checks every field on behalf of the named function of the ABI.
syl_status CheckAttentionShape(const char* function, const syl_attention* attention);

// Bytes of the keys of a checked shape; the values take as many.
int64_t CacheBytes(const syl_attention& attention);

}  // namespace sylvester

#endif
