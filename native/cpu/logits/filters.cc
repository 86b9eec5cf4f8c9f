#include "native/cpu/logits/filters.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sylvester {
namespace {

// A heap with the least probable candidate in front: one pass, and few insertions once it is full.
int64_t TopK(const float* logits, int64_t cols, int64_t k, Candidate* candidates) {
  int64_t count = 0;
  for (int64_t i = 0; i < cols; ++i) {
    if (count == k) {
      if (!(logits[i] > candidates[0].logit)) continue;  // ties stay with smaller ids
      std::pop_heap(candidates, candidates + count--, MoreProbable);
    }
    candidates[count++] = {logits[i], static_cast<int32_t>(i)};
    std::push_heap(candidates, candidates + count, MoreProbable);
  }
  return count;
}

// All tokens with logit >= threshold, in the order of ids.
int64_t AtLeast(const float* logits, int64_t cols, float threshold, Candidate* candidates) {
  int64_t count = 0;
  for (int64_t i = 0; i < cols; ++i) {
    candidates[count] = {logits[i], static_cast<int32_t>(i)};
    count += logits[i] >= threshold;
  }
  return count;
}

double MassOf(const Candidate* candidates, int64_t count, float max) {
  double mass = 0;
  for (int64_t i = 0; i < count; ++i) mass += std::exp(static_cast<double>(candidates[i].logit) - max);
  return mass;
}

double MassOfRow(const float* logits, int64_t cols, float max) {
  double mass = 0;
  for (int64_t i = 0; i < cols; ++i) mass += std::exp(static_cast<double>(logits[i]) - max);
  return mass;
}

// Sorts candidates and drops those behind the first ones that together reach the share top_p of total.
int64_t Nucleus(Candidate* candidates, int64_t count, float max, double top_p, double total) {
  std::sort(candidates, candidates + count, MoreProbable);
  double mass = 0;
  for (int64_t i = 0; i < count; ++i) {
    mass += std::exp(static_cast<double>(candidates[i].logit) - max);
    if (mass >= top_p * total) return i + 1;
  }
  return count;
}

// Top-p over a whole row: sorting all of it would cost more than the rest of the sampler, so that only tokens near the
// maximum are taken, more of them until their mass is enough.
int64_t NucleusOfRow(const float* logits, int64_t cols, float max, double top_p, Candidate* candidates) {
  const double total = MassOfRow(logits, cols, max);
  int64_t count = 0;
  for (float width = 4;; width *= 2) {
    count = AtLeast(logits, cols, max - width, candidates);
    if (MassOf(candidates, count, max) >= top_p * total || width > 1e4f) break;
  }
  return Nucleus(candidates, count, max, top_p, total);
}

}  // namespace

void ApplyPenalties(const syl_sampler& sampler, int32_t* ids, int64_t count, float* logits) {
  std::sort(ids, ids + count);
  for (int64_t i = 0; i < count;) {
    int64_t end = i;
    while (end < count && ids[end] == ids[i]) ++end;
    float& logit = logits[ids[i]];
    logit = logit > 0 ? logit / sampler.repetition_penalty : logit * sampler.repetition_penalty;
    logit -= sampler.presence_penalty + static_cast<float>(end - i) * sampler.frequency_penalty;
    i = end;
  }
}

int64_t SelectCandidates(const syl_sampler& sampler, const float* logits, int64_t cols, float max,
                         Candidate* candidates) {
  int64_t count;
  if (sampler.top_k > 0 && sampler.top_k < cols) {
    count = TopK(logits, cols, sampler.top_k, candidates);
    const double total = MassOf(candidates, count, max);
    count = Nucleus(candidates, count, max, sampler.top_p, total);
  } else if (sampler.top_p < 1) {
    count = NucleusOfRow(logits, cols, max, sampler.top_p, candidates);
  } else {
    const double threshold = max + std::log(static_cast<double>(sampler.min_p));
    // One step down, so that the exact comparison below decides.
    count = AtLeast(logits, cols,
                    std::nextafter(static_cast<float>(threshold), -std::numeric_limits<float>::infinity()), candidates);
    std::sort(candidates, candidates + count, MoreProbable);
  }
  while (count > 1 && std::exp(static_cast<double>(candidates[count - 1].logit) - max) < sampler.min_p) --count;
  return count;
}

}  // namespace sylvester
