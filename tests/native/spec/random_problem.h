// Problems of verification with everything that may be in one, at random.
#ifndef SYLVESTER_TESTS_NATIVE_SPEC_RANDOM_PROBLEM_H_
#define SYLVESTER_TESTS_NATIVE_SPEC_RANDOM_PROBLEM_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "tests/native/spec/problem.h"

namespace sylvester_test {

class SpecProblems {
 public:
  explicit SpecProblems(uint64_t seed) : random_(seed) {}

  SpecProblem Next(int64_t cols, int32_t most_nodes, int32_t most_texts) {
    SpecProblem p;
    p.cols = cols;
    p.mode = Below(4);
    p.kind = Below(4);
    p.siblings = Below(2);
    p.tree = p.mode != SYL_SPEC_BLOCK && Chance(0.5);
    p.has_masks = Chance(0.2);
    p.has_log_q = Chance(0.3);
    if ((p.kind == SYL_DRAFT_LOGITS || p.kind == SYL_DRAFT_PROBABILITIES) && Chance(0.25)) p.target_ids = Some(cols);
    for (int32_t i = Chance(0.3) ? 1 + Below(3) : 0; i > 0; --i) p.ends.push_back(Token(cols));
    for (int32_t i = 1 + Below(most_texts); i > 0; --i) p.texts.push_back(Text(p, 1 + Below(most_nodes)));
    return p;
  }

 private:
  bool Chance(double probability) { return Uniform() < probability; }
  double Uniform() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  float Normal(float deviation) { return std::normal_distribution<float>(0, deviation)(random_); }
  int32_t Below(int32_t bound) { return std::uniform_int_distribution<int32_t>(0, bound - 1)(random_); }
  int32_t Token(int64_t cols) { return Below(static_cast<int32_t>(cols)); }

  // An ascending part of the vocabulary.
  std::vector<int32_t> Some(int64_t cols) {
    std::vector<int32_t> ids;
    for (int32_t id = 0; id < cols; ++id) {
      if (Chance(0.6)) ids.push_back(id);
    }
    if (ids.empty()) ids.push_back(Token(cols));
    return ids;
  }

  syl_sampler Sampler(const SpecProblem& p, bool penalises) {
    constexpr float kTemperatures[] = {0, 0.3f, 0.7f, 1, 1, 1, 1.7f};
    syl_sampler s = SpecSampler(kTemperatures[Below(7)], random_());
    if (Chance(0.2)) s.top_k = 1 + Token(p.cols);
    if (Chance(0.2)) s.top_p = 0.5f + 0.5f * static_cast<float>(Uniform());
    if (Chance(0.2)) s.min_p = 0.2f * static_cast<float>(Uniform());
    if (penalises) {
      s.repetition_penalty = 1.3f;
      s.presence_penalty = Normal(0.5f);
      s.frequency_penalty = 0.2f;
    }
    return s;
  }

  SpecText Text(const SpecProblem& p, int32_t nodes) {
    SpecText text;
    const bool penalises = Chance(0.3);
    const int32_t allowed = Token(p.cols);  // stays above -inf
    text.sampler = Sampler(p, penalises);
    text.draft_sampler = Sampler(p, penalises && p.target_ids.empty());
    text.position = static_cast<int64_t>(random_() >> (Chance(0.5) ? 56 : 2));
    for (int32_t i = Below(9); i > 0; --i) text.history.push_back(Token(p.cols));
    for (int32_t i = Chance(0.3) ? Below(4) : 0; i > 0; --i) {
      const int32_t id = Token(p.cols);
      text.bias.emplace_back(id, id != allowed && Chance(0.3) ? -kInfinity : Normal(2));
    }
    const int32_t shape = Below(3);
    for (int32_t i = 0; i < nodes; ++i) {
      SpecNode node;
      node.parent = !p.tree || shape == 0 ? i - 1 : i == 0 ? -1 : Below(shape == 1 ? std::min(i, 2) : i);
      if (i > 0) node.token = Candidate(text.nodes[static_cast<size_t>(node.parent)].logits);
      Rows(p, allowed, &node);
      node.log_q = -static_cast<float>(std::fabs(Normal(1)));
      node.accept_u = U();
      node.residual_u = U();
      text.nodes.push_back(std::move(node));
    }
    return text;
  }

  // Mostly as the target itself would draw.
  int32_t Candidate(const std::vector<float>& logits) {
    if (Chance(0.2)) return Token(static_cast<int64_t>(logits.size()));
    size_t best = 0;
    float most = -kInfinity;
    for (size_t i = 0; i < logits.size(); ++i) {
      const float value = logits[i] - std::log(-std::log(static_cast<float>(0.5 * Uniform() + 0.25)));
      if (value > most) {
        most = value;
        best = i;
      }
    }
    return static_cast<int32_t>(best);
  }

  void Rows(const SpecProblem& p, int32_t allowed, SpecNode* node) {
    const bool holes = Chance(0.15);
    const float deviation = Chance(0.1) ? 30 : 3;
    for (int64_t t = 0; t < p.cols; ++t) {
      float logit = Normal(deviation);
      if (holes && t != allowed && Chance(0.3)) logit = Chance(0.5) ? kNaN : -kInfinity;
      node->logits.push_back(logit);
      if (p.has_masks) node->allowed.push_back(t == allowed || Chance(0.6));
    }
    for (int32_t i = Chance(0.5) ? 3 : 0; i > 0; --i) node->logits[static_cast<size_t>(Token(p.cols))] += 10;
    const bool close = Chance(0.7);
    std::vector<double> q;
    for (size_t i = 0; i < (p.target_ids.empty() ? static_cast<size_t>(p.cols) : p.target_ids.size()); ++i) {
      const float logit = node->logits[p.target_ids.empty() ? i : static_cast<size_t>(p.target_ids[i])];
      node->draft.push_back(close && std::isfinite(logit) ? logit + Normal(1) : Normal(3));
      q.push_back(std::exp(static_cast<double>(node->draft.back()) / 4));
    }
    if (p.kind == SYL_DRAFT_PROBABILITIES) {
      if (q.size() > 1 && Chance(0.3)) q[static_cast<size_t>(Token(static_cast<int64_t>(q.size())))] = 0;
      double sum = 0;
      for (const double value : q) sum += value;
      for (size_t i = 0; i < q.size(); ++i) node->draft[i] = static_cast<float>(q[i] / sum);
    }
    if (p.kind == SYL_DRAFT_SPARSE) {
      std::vector<int32_t> ids = Some(std::min<int64_t>(p.cols, 64));
      double sum = 0;
      for (const int32_t id : ids) sum += q[static_cast<size_t>(id)];
      for (const int32_t id : ids) {
        node->sparse.emplace_back(id, static_cast<float>(q[static_cast<size_t>(id)] / sum));
      }
    }
  }

  double U() {
    if (Chance(0.05)) return 0;
    if (Chance(0.05)) return 1 - 0x1p-32;
    return Uniform();
  }

  std::mt19937_64 random_;
};

}  // namespace sylvester_test

#endif
