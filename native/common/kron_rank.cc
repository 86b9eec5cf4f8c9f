#include <sylvester/kron.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "native/common/status.h"

namespace sylvester {
namespace {

// Descending, finite, >= 0.
syl_status CheckSigma(const char* function, const double* sigma, int64_t begin, int64_t end) {
  for (int64_t k = begin; k < end; ++k) {
    if (!std::isfinite(sigma[k]) || sigma[k] < 0 || (k > begin && sigma[k] > sigma[k - 1])) {
      return Fail(SYL_BAD_VALUE, "%s: sigma[%lld] is %g, must be finite, >= 0 and not above the one before", function,
                  static_cast<long long>(k), sigma[k]);
    }
  }
  return SYL_OK;
}

int64_t EnergyRank(const double* sigma, int64_t count, double energy, double share) {
  double sum = 0;
  for (int64_t k = 0; k < count; ++k) {
    sum += sigma[k] * sigma[k];
    if (sum >= share * energy) return k + 1;
  }
  return count;
}

// How much term k (from 0) looks like an elbow; -infinity where it cannot be one.
double ElbowScore(int32_t elbow, const double* sigma, int64_t count, int64_t k) {
  const double never = -std::numeric_limits<double>::infinity();
  switch (elbow) {
    case SYL_KRON_RATIO:
      if (k + 1 >= count || sigma[k] == 0) return never;
      return sigma[k] / sigma[k + 1];
    case SYL_KRON_CURVATURE:
      if (k == 0 || k + 1 >= count) return never;
      return sigma[k - 1] - 2 * sigma[k] + sigma[k + 1];
    default: {
      if (count == 1) return 0;
      const double at = static_cast<double>(k) / static_cast<double>(count - 1);
      return sigma[0] + at * (sigma[count - 1] - sigma[0]) - sigma[k];
    }
  }
}

int64_t ElbowRank(int32_t elbow, const double* sigma, int64_t count) {
  int64_t best = 0;
  double score = ElbowScore(elbow, sigma, count, 0);
  for (int64_t k = 1; k < count; ++k) {
    const double other = ElbowScore(elbow, sigma, count, k);
    if (other > score) best = k, score = other;
  }
  return best + 1;
}

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_kron_rank(const syl_kron_rank_rule* rule, const double* sigma, int64_t count, double energy,
                         int64_t* rank) {
  SYL_REQUIRE_STRUCT(rule);
  SYL_REQUIRE_RANGE(rule->by, SYL_KRON_BY_ENERGY, SYL_KRON_BY_MAX);
  SYL_REQUIRE_RANGE(rule->elbow, SYL_KRON_CHORD, SYL_KRON_CURVATURE);
  SYL_REQUIRE_RANGE(rule->least, 1, INT32_MAX);
  SYL_REQUIRE_RANGE(rule->most, rule->least, INT32_MAX);
  SYL_REQUIRE(rule->share > 0 && rule->share <= 1, SYL_BAD_VALUE, "rule->share is %g, must be in (0, 1]", rule->share);
  SYL_REQUIRE_PTR(sigma);
  SYL_REQUIRE_PTR(rank);
  SYL_REQUIRE_RANGE(count, 1, INT32_MAX);
  SYL_REQUIRE(std::isfinite(energy) && energy >= 0, SYL_BAD_VALUE, "energy is %g, must be finite and >= 0", energy);
  const syl_status status = CheckSigma(__func__, sigma, 0, count);
  if (status != SYL_OK) return status;
  if (energy == 0) {
    for (int64_t k = 0; k < count; ++k) energy += sigma[k] * sigma[k];
  }
  const int64_t by_energy = EnergyRank(sigma, count, energy, rule->share);
  const int64_t by_elbow = ElbowRank(rule->elbow, sigma, count);
  int64_t result = by_energy;
  if (rule->by == SYL_KRON_BY_ELBOW) result = by_elbow;
  if (rule->by == SYL_KRON_BY_MIN) result = std::min(by_energy, by_elbow);
  if (rule->by == SYL_KRON_BY_MAX) result = std::max(by_energy, by_elbow);
  *rank = std::min<int64_t>(std::clamp<int64_t>(result, rule->least, rule->most), count);
  return SYL_OK;
}

syl_status syl_kron_rank_budget(int64_t layers, const int64_t* begin, const double* sigma, const int64_t* parameters,
                                int64_t budget, int64_t* rank) {
  SYL_REQUIRE_RANGE(layers, 1, INT32_MAX);
  SYL_REQUIRE_PTR(begin);
  SYL_REQUIRE_PTR(sigma);
  SYL_REQUIRE_PTR(parameters);
  SYL_REQUIRE_PTR(rank);
  SYL_REQUIRE_RANGE(budget, 0, INT64_MAX);
  SYL_REQUIRE(begin[0] == 0, SYL_BAD_SHAPE, "begin[0] is %lld, must be 0", static_cast<long long>(begin[0]));
  for (int64_t l = 0; l < layers; ++l) {
    const auto number = static_cast<long long>(l);
    SYL_REQUIRE(begin[l + 1] >= begin[l], SYL_BAD_SHAPE, "begin[%lld] is %lld, must not be below the one before",
                number + 1, static_cast<long long>(begin[l + 1]));
    SYL_REQUIRE(parameters[l] >= 1, SYL_BAD_VALUE, "parameters[%lld] is %lld, must be at least 1", number,
                static_cast<long long>(parameters[l]));
  }
  // Not before all of begin is known to ascend: its last says how many sigma there are.
  for (int64_t l = 0; l < layers; ++l) {
    const syl_status status = CheckSigma(__func__, sigma, begin[l], begin[l + 1]);
    if (status != SYL_OK) return status;
  }
  std::fill_n(rank, layers, 0);
  for (;;) {
    int64_t best = -1;
    double worth = 0;
    for (int64_t l = 0; l < layers; ++l) {
      const int64_t next = begin[l] + rank[l];
      if (next == begin[l + 1] || parameters[l] > budget) continue;
      const double candidate = sigma[next] * sigma[next] / static_cast<double>(parameters[l]);
      if (candidate > worth) best = l, worth = candidate;
    }
    if (best < 0) return SYL_OK;
    ++rank[best];
    budget -= parameters[best];
  }
}
