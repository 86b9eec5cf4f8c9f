#include "tests/native/kron/reference.h"

namespace {

using namespace sylvester_test;

syl_kron_rank_rule Rule(int32_t by, int32_t elbow, double share, int32_t least = 1, int32_t most = 1000) {
  return {sizeof(syl_kron_rank_rule), by, elbow, least, most, share};
}

int64_t Rank(const syl_kron_rank_rule& rule, const Doubles& sigma, double energy = 0) {
  int64_t rank = -1;
  EXPECT_EQ(syl_kron_rank(&rule, sigma.data(), static_cast<int64_t>(sigma.size()), energy, &rank), SYL_OK)
      << syl_last_error();
  return rank;
}

int64_t ByEnergy(double share, const Doubles& sigma, double energy = 0) {
  return Rank(Rule(SYL_KRON_BY_ENERGY, SYL_KRON_CHORD, share), sigma, energy);
}

int64_t ByElbow(int32_t elbow, const Doubles& sigma) { return Rank(Rule(SYL_KRON_BY_ELBOW, elbow, 1), sigma); }

// Squares: 16 9 4 1 0 of 30. PEFT's _find_cutoff_index gives the same ranks.
TEST(KronRank, ByEnergy) {
  const Doubles sigma = {4, 3, 2, 1, 0};
  EXPECT_EQ(ByEnergy(0.5, sigma), 1);
  EXPECT_EQ(ByEnergy(0.54, sigma), 2);
  EXPECT_EQ(ByEnergy(0.9, sigma), 3);
  EXPECT_EQ(ByEnergy(0.99, sigma), 4);
  EXPECT_EQ(ByEnergy(1, sigma), 4);
  // Of a tail that is not among sigma.
  EXPECT_EQ(ByEnergy(0.5, sigma, 60), 4);
  EXPECT_EQ(ByEnergy(0.9, sigma, 60), 5);
  EXPECT_EQ(ByEnergy(0.9, {0, 0}), 1);
  EXPECT_EQ(ByEnergy(0.1, {2}), 1);
}

TEST(KronRank, ByElbow) {
  const Doubles cliff = {10, 9, 8, 1, 0.5, 0.25};
  EXPECT_EQ(ByElbow(SYL_KRON_CHORD, cliff), 4);  // on the line there: 4.15
  EXPECT_EQ(ByElbow(SYL_KRON_RATIO, cliff), 3);
  EXPECT_EQ(ByElbow(SYL_KRON_CURVATURE, cliff), 4);
  const Doubles line = {5, 4, 3, 2, 1};  // no elbow: the first that ties
  EXPECT_EQ(ByElbow(SYL_KRON_CHORD, line), 1);
  EXPECT_EQ(ByElbow(SYL_KRON_RATIO, line), 4);
  EXPECT_EQ(ByElbow(SYL_KRON_CURVATURE, line), 2);
  const Doubles zeros = {4, 2, 0, 0};
  EXPECT_EQ(ByElbow(SYL_KRON_RATIO, zeros), 2);
  EXPECT_EQ(ByElbow(SYL_KRON_RATIO, {4, 2, 1}), 1);  // equal ratios
  for (const int32_t elbow : {SYL_KRON_CHORD, SYL_KRON_RATIO, SYL_KRON_CURVATURE}) {
    EXPECT_EQ(ByElbow(elbow, {3}), 1);
    EXPECT_EQ(ByElbow(elbow, {0, 0, 0}), elbow == SYL_KRON_CURVATURE ? 2 : 1);
  }
}

TEST(KronRank, CombinesAndClamps) {
  const Doubles sigma = {10, 9, 8, 1, 0.5, 0.25};  // elbow of ratios: 3; half of the energy: 2; all but 0.02: 4
  EXPECT_EQ(Rank(Rule(SYL_KRON_BY_MIN, SYL_KRON_RATIO, 0.5), sigma), 2);
  EXPECT_EQ(Rank(Rule(SYL_KRON_BY_MAX, SYL_KRON_RATIO, 0.5), sigma), 3);
  EXPECT_EQ(Rank(Rule(SYL_KRON_BY_MIN, SYL_KRON_RATIO, 0.998), sigma), 3);
  EXPECT_EQ(Rank(Rule(SYL_KRON_BY_MAX, SYL_KRON_RATIO, 0.998), sigma), 4);
  EXPECT_EQ(Rank(Rule(SYL_KRON_BY_MAX, SYL_KRON_RATIO, 0.998, 5), sigma), 5);
  EXPECT_EQ(Rank(Rule(SYL_KRON_BY_MAX, SYL_KRON_RATIO, 0.998, 1, 2), sigma), 2);
  EXPECT_EQ(Rank(Rule(SYL_KRON_BY_MAX, SYL_KRON_RATIO, 0.998, 50, 60), sigma), 6);
}

TEST(KronRank, BadArgumentsAreRefused) {
  int64_t rank = 7;
  const auto run = [&](auto change, Doubles sigma = {3, 2, 1}, double energy = 0) {
    syl_kron_rank_rule rule = Rule(SYL_KRON_BY_MIN, SYL_KRON_CHORD, 0.9);
    change(rule);
    return syl_kron_rank(&rule, sigma.data(), static_cast<int64_t>(sigma.size()), energy, &rank);
  };
  const auto same = [](auto&) {};
  EXPECT_REFUSED(run([](auto& r) { r.struct_size = 1; }), SYL_BAD_VALUE, "rule->struct_size is 1");
  EXPECT_REFUSED(run([](auto& r) { r.by = 4; }), SYL_BAD_VALUE, "rule->by is 4");
  EXPECT_REFUSED(run([](auto& r) { r.elbow = -1; }), SYL_BAD_VALUE, "rule->elbow is -1");
  EXPECT_REFUSED(run([](auto& r) { r.least = 0; }), SYL_BAD_VALUE, "rule->least is 0");
  EXPECT_REFUSED(run([](auto& r) { r.least = 1001; }), SYL_BAD_VALUE, "rule->most is 1000");
  EXPECT_REFUSED(run([](auto& r) { r.share = 0; }), SYL_BAD_VALUE, "rule->share is 0");
  EXPECT_REFUSED(run([](auto& r) { r.share = kNaN; }), SYL_BAD_VALUE, "rule->share is nan");
  const syl_kron_rank_rule good = Rule(SYL_KRON_BY_MIN, SYL_KRON_CHORD, 0.9);
  const double one = 1;
  EXPECT_REFUSED(syl_kron_rank(&good, &one, 0, 0, &rank), SYL_BAD_VALUE, "count is 0");
  EXPECT_REFUSED(syl_kron_rank(&good, nullptr, 1, 0, &rank), SYL_NULL_ARGUMENT, "sigma is NULL");
  EXPECT_REFUSED(syl_kron_rank(&good, &one, 1, 0, nullptr), SYL_NULL_ARGUMENT, "rank is NULL");
  EXPECT_REFUSED(run(same, {1, 2}), SYL_BAD_VALUE, "sigma[1] is 2");
  EXPECT_REFUSED(run(same, {1, kNaN}), SYL_BAD_VALUE, "sigma[1] is nan");
  EXPECT_REFUSED(run(same, {1, -1}), SYL_BAD_VALUE, "sigma[1] is -1");
  EXPECT_REFUSED(run(same, {1}, -1), SYL_BAD_VALUE, "energy is -1");
  EXPECT_EQ(rank, 7);
}

TEST(KronRankBudget, TakesTheMostWorthyTerms) {
  // sigma^2 a parameter: 9 4 1 | 8 2 | 1.6 1.6
  const int64_t begin[] = {0, 3, 5, 8};
  const double sigma[] = {3, 2, 1, 4, 2, 4, 4, 0};
  const int64_t parameters[] = {1, 2, 10};
  const auto ranks = [&](int64_t budget) {
    std::vector<int64_t> rank(3, -1);
    EXPECT_EQ(syl_kron_rank_budget(3, begin, sigma, parameters, budget, rank.data()), SYL_OK) << syl_last_error();
    return rank;
  };
  using Ranks = std::vector<int64_t>;
  EXPECT_EQ(ranks(0), (Ranks{0, 0, 0}));
  EXPECT_EQ(ranks(1), (Ranks{1, 0, 0}));
  EXPECT_EQ(ranks(2), (Ranks{2, 0, 0}));  // the second layer's does not fit
  EXPECT_EQ(ranks(3), (Ranks{1, 1, 0}));
  EXPECT_EQ(ranks(6), (Ranks{2, 2, 0}));
  EXPECT_EQ(ranks(7), (Ranks{3, 2, 0}));
  EXPECT_EQ(ranks(16), (Ranks{2, 2, 1}));
  EXPECT_EQ(ranks(1000), (Ranks{3, 2, 2}));  // nothing is worth 0
}

TEST(KronRankBudget, BadArgumentsAreRefused) {
  int64_t begin[] = {0, 2, 4}, parameters[] = {1, 2}, rank[] = {7, 7};
  double sigma[] = {3, 2, 2, 1};
  const auto run = [&] { return syl_kron_rank_budget(2, begin, sigma, parameters, 9, rank); };
  EXPECT_REFUSED(syl_kron_rank_budget(0, begin, sigma, parameters, 9, rank), SYL_BAD_VALUE, "layers is 0");
  EXPECT_REFUSED(syl_kron_rank_budget(2, nullptr, sigma, parameters, 9, rank), SYL_NULL_ARGUMENT, "begin is NULL");
  EXPECT_REFUSED(syl_kron_rank_budget(2, begin, nullptr, parameters, 9, rank), SYL_NULL_ARGUMENT, "sigma is NULL");
  EXPECT_REFUSED(syl_kron_rank_budget(2, begin, sigma, nullptr, 9, rank), SYL_NULL_ARGUMENT, "parameters is NULL");
  EXPECT_REFUSED(syl_kron_rank_budget(2, begin, sigma, parameters, 9, nullptr), SYL_NULL_ARGUMENT, "rank is NULL");
  EXPECT_REFUSED(syl_kron_rank_budget(2, begin, sigma, parameters, -1, rank), SYL_BAD_VALUE, "budget is -1");
  parameters[1] = 0;
  EXPECT_REFUSED(run(), SYL_BAD_VALUE, "parameters[1] is 0");
  parameters[1] = 2;
  sigma[3] = 5;
  EXPECT_REFUSED(run(), SYL_BAD_VALUE, "sigma[3] is 5");
  sigma[3] = 1;
  begin[1] = 5;
  EXPECT_REFUSED(run(), SYL_BAD_SHAPE, "begin[2] is 4");
  begin[0] = 1;
  EXPECT_REFUSED(run(), SYL_BAD_SHAPE, "begin[0] is 1");
  EXPECT_EQ(rank[0], 7);
  EXPECT_EQ(rank[1], 7);
}

}  // namespace
