// The sampler in float64 with plain loops, written from the text of sylvester/logits.h.
#ifndef SYLVESTER_TESTS_NATIVE_LOGITS_REFERENCE_SAMPLER_H_
#define SYLVESTER_TESTS_NATIVE_LOGITS_REFERENCE_SAMPLER_H_

#include <sylvester/sylvester.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace sylvester_test {

inline double ReferenceNoise(uint64_t seed, int64_t position, int64_t token) {
  const uint32_t counter[4] = {static_cast<uint32_t>(token / 4), 0, static_cast<uint32_t>(position),
                               static_cast<uint32_t>(position >> 32)};
  const uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  uint32_t words[4];
  syl_philox4x32(counter, key, words);
  return -std::log(-std::log((words[token % 4] + 0.5) * 0x1p-32));
}

struct ReferenceToken {
  int32_t id;
  double logit;
  double z;
};

// Tokens that remain after step 6. A boundary of top-p or min-p that falls within the roundings of a float
// implementation splits them: the first `certain` ones remain in any case.
struct ReferenceTokens {
  std::vector<ReferenceToken> tokens;
  size_t certain;

  double Mass(size_t count) const {
    double mass = 0;
    for (size_t i = 0; i < count; ++i) mass += std::exp(tokens[i].z);
    return mass;
  }
};

// Logits after steps 1 and 2.
inline std::vector<float> ReferenceLogits(const syl_sampler& s, std::vector<float> logits,
                                          const std::vector<int32_t>& history,
                                          const std::vector<std::pair<int32_t, float>>& bias) {
  for (const auto& [id, value] : bias) logits[static_cast<size_t>(id)] += value;
  std::map<int32_t, int> counts;
  for (const int32_t id : history) ++counts[id];
  for (const auto& [id, count] : counts) {
    float& logit = logits[static_cast<size_t>(id)];
    logit = logit > 0 ? logit / s.repetition_penalty : logit * s.repetition_penalty;
    logit -= s.presence_penalty + static_cast<float>(count) * s.frequency_penalty;
  }
  return logits;
}

// Steps 3 to 6, for a temperature above 0.
inline ReferenceTokens ReferenceFilters(const syl_sampler& s, const std::vector<float>& logits) {
  constexpr double kRounding = 2e-6;
  ReferenceTokens result{{}, 0};
  auto& tokens = result.tokens;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double logit = std::isnan(logits[i]) ? -INFINITY : logits[i];
    tokens.push_back({static_cast<int32_t>(i), logit, 0});
  }
  std::stable_sort(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) { return a.logit > b.logit; });
  if (s.top_k > 0 && static_cast<size_t>(s.top_k) < tokens.size()) tokens.resize(static_cast<size_t>(s.top_k));
  const double max = tokens[0].logit;
  for (auto& token : tokens) token.z = (token.logit - max) / s.temperature;
  result.certain = tokens.size();
  if (s.top_p < 1) {
    const double total = result.Mass(tokens.size());
    double mass = 0;
    size_t count = 0, certain = 0;
    while (count < tokens.size() && mass < (s.top_p + kRounding) * total) {
      if (mass < (s.top_p - kRounding) * total) ++certain;
      mass += std::exp(tokens[count++].z);
    }
    tokens.resize(count);
    result.certain = certain;
  }
  const double least = std::log(static_cast<double>(s.min_p));
  const auto at_least = [&](double bound) {
    return static_cast<size_t>(
        std::count_if(tokens.begin(), tokens.end(), [&](const auto& token) { return token.z >= bound; }));
  };
  const double slack = kRounding * (1 + std::fabs(least));
  if (s.min_p > 0) {
    result.certain = std::min(result.certain, at_least(least + slack));
    tokens.resize(at_least(least - slack));
  }
  result.certain = std::max<size_t>(result.certain, 1);
  return result;
}

}  // namespace sylvester_test

#endif
