// One chunk of a row by one block, with the bits of native/cpu/logits/chunk-inl.h. All threads call these.
#ifndef SYLVESTER_NATIVE_CUDA_LOGITS_CHUNK_H_
#define SYLVESTER_NATIVE_CUDA_LOGITS_CHUNK_H_

#include "native/cuda/hadamard/elements.h"
#include "native/cuda/logits/job.h"
#include "native/cuda/spec/block.h"
#include "native/cuda/spec/row.h"

namespace sylvester::cuda {

template <typename T>
__device__ float LogitsZ(const LogitsJob& job, int64_t at) {
  const float logit = ToFloat(static_cast<const T*>(job.logits)[at]);
  if (job.unconditional == nullptr) return logit;
  const float u = ToFloat(static_cast<const T*>(job.unconditional)[at]);
  return u + job.factor * (logit - u);
}

// Whether a token takes part with the others.
__device__ inline bool LogitsCounts(const syl_logits_options& options, int64_t id) {
  return !LogitsHas(options.banned, options.banned_count, id) && !LogitsHas(options.ignored, options.ignored_count, id);
}

// z of one token.
struct LogitsTokenZ {
  const LogitsJob& job;
  int64_t result;
  float least;  // what is below is -inf

  __device__ float operator()(int64_t token) const {
    const float z = Of(job.RowOf(result) * job.stride + token);
    return z < least ? kSpecNever : z;
  }

 private:
  __device__ float Of(int64_t at) const {
    switch (job.options.type) {
      case SYL_F16: return LogitsZ<__half>(job, at);
      case SYL_BF16: return LogitsZ<__nv_bfloat16>(job, at);
      default: return LogitsZ<float>(job, at);
    }
  }
};

// e = exp(w) in units of about the largest one's, from x = w - base.
struct LogitsExponential {
  float inv_temperature, base, top, shift, low;

  __device__ LogitsExponential(float largest, float inv_temperature_) : inv_temperature(inv_temperature_) {
    const float w = largest * inv_temperature;
    base = fabsf(w) < kLogitsLargestW ? 0 : w;
    top = w - base;
    const float round = 12582912.0f;
    const int exponent = __float_as_int(__fmaf_rn(top, 1.44269504f, round)) - __float_as_int(round);
    shift = static_cast<float>(12582912 + 127 - exponent);
    low = static_cast<float>(exponent - 127) * 0.693147182f;
  }

  // Not below a bound at which e is 0. NaN stays NaN.
  __device__ float Clamped(float z) const {
    const float x = z * inv_temperature - base;
    return low > x ? low : x;
  }
  __device__ float Of(float clamped) const {
    const float shifted = __fmaf_rn(clamped, 1.44269504f, shift), n = shifted - shift;
    float r = __fmaf_rn(-n, 0.693359375f, clamped);
    r = __fmaf_rn(-n, -2.12194440e-4f, r);
    float q = __fmaf_rn(0x1.6a23d2p-10f, r, 0x1.123a20p-7f);
    q = __fmaf_rn(q, r, 0x1.5558f2p-5f);
    q = __fmaf_rn(q, r, 0x1.555492p-3f);
    q = __fmaf_rn(q, r, 0x1.fffffcp-2f);
    const float fraction = __fmaf_rn(__fmaf_rn(q, r, 1.0f), r, 1.0f);
    return fraction * __uint_as_float(__float_as_uint(shifted) << 23);
  }
};

class LogitsChunk {
 public:
  static constexpr int64_t kPartials = kLogitsChunkBlocks * kSpecLanes;
  static constexpr size_t kSharedBytes = SpecBlock::kSharedBytes + (kLogitsChunk + 2 * kPartials) * sizeof(float);

  // Without tokens below `least`.
  __device__ LogitsChunk(const LogitsJob& job, int64_t result, int64_t chunk, float least)
      : block_(SpecBlock::Make()),
        z_(DynamicShared<float>(SpecBlock::kSharedBytes, kLogitsChunk)),
        partials_(DynamicShared<float>(SpecBlock::kSharedBytes + kLogitsChunk * sizeof(float), 2 * kPartials)),
        first_(chunk * kLogitsChunk),
        cols_(job.cols - first_ < kLogitsChunk ? job.cols - first_ : kLogitsChunk) {
    const int64_t at = job.RowOf(result) * job.stride + first_;
    __syncthreads();  // readers of the chunk before
    switch (job.options.type) {
      case SYL_F16: Load<__half>(job, at, least); break;
      case SYL_BF16: Load<__nv_bfloat16>(job, at, least); break;
      default: Load<float>(job, at, least);
    }
    __syncthreads();
  }

  __device__ int64_t first() const { return first_; }
  __device__ int64_t blocks() const { return (cols_ + kLogitsBlock - 1) / kLogitsBlock; }
  __device__ float Z(int64_t i) const {
    const float z = z_[i];
    return z;
  }

  // Index of the first of the largest z; -1 where all are NaN. Zeros of both signs are equal.
  __device__ int64_t Argmax() const {
    const uint64_t key = Largest(-1, 0);
    return key == 0 ? -1 : SpecIdOfKey(key);
  }
  // Largest z beside one.
  __device__ float SecondTo(int64_t argmax) const {
    const uint64_t key = Largest(argmax, -0.0f);
    return key == 0 ? kSpecNever : SpecValueOfKey(key);
  }
  __device__ bool HasNaN() const {
    bool has = false;
    for (int64_t i = SpecBlock::Thread(); i < cols_; i += SpecBlock::Threads()) has = has || Z(i) != Z(i);
    return __syncthreads_or(has);
  }

  // e of a column; 0 past the end.
  __device__ float Weight(const LogitsExponential& exponential, int64_t i) const {
    return exponential.Of(exponential.Clamped(i < cols_ ? Z(i) : kSpecNever));
  }

  // Of all columns but argmax, in units of its e. The result is thread 0's.
  __device__ void Sums(const LogitsExponential& exponential, int64_t argmax, double* sum, double* weighted) const {
    constexpr int64_t kTerms = kLogitsBlock / kSpecLanes;
    __syncthreads();  // earlier readers
    for (int64_t p = SpecBlock::Thread(); p < blocks() * kSpecLanes; p += SpecBlock::Threads()) {
      const int64_t at = p / kSpecLanes * kLogitsBlock + p % kSpecLanes;
      float s[2], t[2];
#pragma unroll
      for (int64_t j = 0; j < kTerms; ++j) {
        const int64_t i = at + j * kSpecLanes;
        const float x = exponential.Clamped(i < cols_ && i != argmax ? Z(i) : kSpecNever);
        const float e = exponential.Of(x), below = x - exponential.top;
        s[j % 2] = j < 2 ? e : s[j % 2] + e;
        t[j % 2] = j < 2 ? below * e : __fmaf_rn(below, e, t[j % 2]);
      }
      partials_[p] = s[0] + s[1];
      partials_[kPartials + p] = t[0] + t[1];
    }
    __syncthreads();
    if (SpecBlock::Thread() >= 2 * kSpecLanes) return;
    const int lane = SpecBlock::Thread() % kSpecLanes;
    const int64_t from = SpecBlock::Thread() / kSpecLanes * kPartials + lane;
    double total = 0;
    for (int64_t b = 0; b < blocks(); ++b) {
      const float partial = partials_[from + b * kSpecLanes];
      total += static_cast<double>(partial);
    }
    for (int step = kSpecLanes / 2; step > 0; step /= 2) total += __shfl_xor_sync(kAllLanes, total, step);
    const double other = __shfl_sync(kAllLanes, total, kSpecLanes);
    const auto of_top = static_cast<double>(exponential.Of(exponential.top));
    *sum = total / of_top;
    *weighted = other / of_top;
  }

 private:
  template <typename T>
  __device__ void Load(const LogitsJob& job, int64_t at, float least) const {
    for (int64_t i = SpecBlock::Thread(); i < cols_; i += SpecBlock::Threads()) {
      const float z = LogitsCounts(job.options, first_ + i) ? LogitsZ<T>(job, at + i) : kSpecNever;
      z_[i] = z < least ? kSpecNever : z;
    }
  }

  // Key of the largest z + zero beside one; 0 where there is none.
  __device__ uint64_t Largest(int64_t beside, float zero) const {
    uint64_t largest = 0;
    for (int64_t i = SpecBlock::Thread(); i < cols_; i += SpecBlock::Threads()) {
      const float z = Z(i);
      const uint64_t key = i == beside || z != z ? 0 : SpecKey(z + zero, i);
      largest = key > largest ? key : largest;
    }
    return block_.Max(largest);
  }

  const SpecBlock block_;
  const SharedPtr<float> z_, partials_;
  const int64_t first_, cols_;
};

}  // namespace sylvester::cuda

#endif
