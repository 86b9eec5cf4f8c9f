// The exact law of what verification emits. As a function of its uniform numbers the result is piecewise constant: the
// thresholds are found by bisection of the verifier itself, their intervals are summed over all drafts, and the law of
// the text, continued by the target where it is shorter, must be the target's.
#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "tests/native/spec/problem.h"
#include "tests/native/spec/reference_verify.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

using Text = std::vector<int32_t>;

struct Decision {
  std::vector<int32_t> path;
  int32_t next_token;
  bool from_target;
};

// Of the problem's only text, with its uniform numbers replaced: two a node.
using Verifier = std::function<Decision(const std::vector<double>&)>;

struct Emitted {
  Text tokens;
  double probability;
};

std::vector<double> Softmax(const std::vector<float>& logits) {
  double max = -INFINITY;
  for (const float logit : logits) max = std::max<double>(max, logit);
  std::vector<double> p;
  for (const float logit : logits) p.push_back(std::exp(logit - max));
  return Normalised(p);
}

// What one draft makes of one text.
class EmittedLaw {
 public:
  EmittedLaw(const SpecProblem& problem, Verifier verify)
      : problem_(problem), nodes_(problem.texts[0].nodes), verify_(std::move(verify)), u_(2 * nodes_.size(), kLast) {}

  std::vector<Emitted> Sum() {
    if (problem_.mode == SYL_SPEC_BLOCK) {
      Prefixes();
    } else {
      Descend(0, {}, 1);
    }
    return emitted_;
  }

 private:
  static constexpr double kLast = 1 - 0x1p-53;

  // The least uniform number for which `holds` does not; it does below.
  template <typename Holds>
  double Threshold(size_t index, Holds holds) {
    const double before = u_[index];
    const auto at = [&](double u) {
      u_[index] = u;
      const bool result = holds(verify_(u_));
      u_[index] = before;
      return result;
    };
    if (at(kLast)) return 1;
    if (!at(0)) return 0;
    double low = 0, high = kLast;
    for (int step = 0; step < 44; ++step) (at((low + high) / 2) ? low : high) = (low + high) / 2;
    return (low + high) / 2;
  }

  int32_t Parent(size_t node) const { return problem_.tree ? nodes_[node].parent : static_cast<int32_t>(node) - 1; }

  void Descend(size_t node, const Text& tokens, double probability) {
    bool leaf = true;
    for (size_t child = node + 1; child < nodes_.size(); ++child) {
      if (Parent(child) != static_cast<int32_t>(node)) continue;
      leaf = false;
      const double accepts = Threshold(2 * child, [&](const Decision& d) {
        return std::count(d.path.begin(), d.path.end(), static_cast<int32_t>(child)) > 0;
      });
      if (accepts > 0) {
        u_[2 * child] = 0;
        Text longer = tokens;
        longer.push_back(nodes_[child].token);
        Descend(child, longer, probability * accepts);
        u_[2 * child] = kLast;
      }
      probability *= 1 - accepts;
      if (accepts == 1) return;
    }
    Draw(node, tokens, probability, leaf);
  }

  void Prefixes() {
    Text tokens;
    for (size_t i = 1; i < nodes_.size(); ++i) tokens.push_back(nodes_[i].token);
    double probability = 1;
    for (size_t i = nodes_.size() - 1; i > 0; --i, tokens.pop_back()) {
      const double accepts = Threshold(2 * i, [&](const Decision& d) { return d.path.size() >= i; });
      if (accepts > 0) {
        u_[2 * i] = 0;
        Draw(i, tokens, probability * accepts, i + 1 == nodes_.size());
        u_[2 * i] = kLast;
      }
      probability *= 1 - accepts;
      if (accepts == 1) return;
    }
    Draw(0, {}, probability, nodes_.size() == 1);
  }

  // The token after a node.
  void Draw(size_t node, Text tokens, double probability, bool leaf) {
    const size_t cols = static_cast<size_t>(problem_.cols);
    std::vector<double> law(cols);
    if (leaf || verify_(u_).from_target) {
      law = Softmax(nodes_[node].logits);
    } else {
      double before = 0;
      for (size_t v = 0; v < cols; ++v) {
        const double up_to = v + 1 == cols ? 1 : Threshold(2 * node + 1, [&](const Decision& d) {
          return d.next_token <= static_cast<int32_t>(v);
        });
        law[v] = up_to - before;
        before = up_to;
      }
    }
    tokens.push_back(0);
    for (size_t v = 0; v < cols; ++v) {
      tokens.back() = static_cast<int32_t>(v);
      emitted_.push_back({tokens, probability * law[v]});
    }
  }

  const SpecProblem& problem_;
  const std::vector<SpecNode>& nodes_;
  Verifier verify_;
  std::vector<double> u_;
  std::vector<Emitted> emitted_;
};

Verifier Reference(SpecProblem* problem) {
  return [problem](const std::vector<double>& u) {
    SpecText& text = problem->texts[0];
    for (size_t i = 0; i < text.nodes.size(); ++i) {
      text.nodes[i].accept_u = u[2 * i];
      text.nodes[i].residual_u = u[2 * i + 1];
    }
    ReferenceVerifier reference(*problem, text);
    reference.Run();
    const bool empty = std::count(reference.flags.begin(), reference.flags.end(), SYL_SPEC_RESIDUAL_IS_EMPTY) > 0;
    return Decision{reference.path, reference.next_token, empty};
  };
}

Verifier Kernel(const SpecProblem* problem) {
  const auto call = std::make_shared<SpecCall>(*problem);
  call->Prepare();
  return [call](const std::vector<double>& u) {
    call->uniforms = u;
    call->batch.uniforms = call->uniforms.data();
    EXPECT_EQ(call->Run(), SYL_OK) << syl_last_error();
    const SpecOutcome& o = call->outcome;
    bool empty = false;
    for (const int32_t flags : o.flags) empty |= (flags & SYL_SPEC_RESIDUAL_IS_EMPTY) != 0;
    return Decision{{o.path.begin(), o.path.begin() + o.accepted[0]}, o.next_token[0], empty};
  };
}

// Rows that depend on all tokens before.
class Models {
 public:
  enum Kind { kGeneral, kExact };

  Models(int32_t cols, Kind kind, uint32_t seed) : cols_(cols), kind_(kind), seed_(seed) {}

  std::vector<float> Target(const Text& prefix) const {
    std::mt19937 random(Hash(prefix, 0));
    std::vector<float> logits(static_cast<size_t>(cols_));
    std::normal_distribution<float> normal(0, 1.5f);
    for (float& logit : logits) logit = kind_ == kGeneral ? normal(random) : 0;
    // 1, 2 or 4 equal tokens: probabilities without roundings.
    const size_t kept = size_t{1} << random() % 3;
    for (size_t banned = kind_ == kExact ? logits.size() - kept : 0; banned > 0;) {
      float& logit = logits[random() % logits.size()];
      banned -= logit == 0;
      logit = -kInfinity;
    }
    return logits;
  }

  // Probabilities; exact: powers of two, of 4 tokens.
  std::vector<float> Draft(const Text& prefix) const {
    std::mt19937 random(Hash(prefix, 1));
    if (kind_ == kGeneral) {
      std::vector<float> logits(static_cast<size_t>(cols_));
      std::normal_distribution<float> normal(0, 1.5f);
      for (float& logit : logits) logit = normal(random);
      const std::vector<double> q = Softmax(logits);
      return {q.begin(), q.end()};
    }
    const std::vector<float> powers[] = {
        {0.5f, 0.25f, 0.125f, 0.125f}, {0.25f, 0.25f, 0.25f, 0.25f}, {0, 0.5f, 0, 0.5f}};
    std::vector<float> q = powers[random() % 3];
    std::rotate(q.begin(), q.begin() + random() % 4, q.end());
    return q;
  }

 private:
  uint32_t Hash(const Text& prefix, uint32_t which) const {
    uint32_t hash = seed_ * 2 + which;
    for (const int32_t token : prefix) hash = hash * 1000003 + static_cast<uint32_t>(token) + 17;
    return hash;
  }

  int32_t cols_;
  Kind kind_;
  uint32_t seed_;
};

struct LawCase {
  const char* name;
  syl_spec_mode mode;
  syl_draft_kind kind;
  int32_t siblings;
  std::vector<int32_t> parents;  // of nodes 1, 2, ...
  bool tree;
  int32_t cols;
};

const std::vector<int32_t> kChain1 = {0}, kChain2 = {0, 1}, kChain3 = {0, 1, 2}, kThree = {0, 0, 0},
                           kTwoLevels = {0, 0, 1, 1};

// Sums over all drafts of a case.
class SummedLaw {
 public:
  SummedLaw(const LawCase& law_case, const Models& models, bool kernel)
      : case_(law_case), models_(models), kernel_(kernel), prefixes_(case_.parents.size() + 1) {
    problem_.mode = case_.mode;
    problem_.cols = case_.cols;
    problem_.tree = case_.tree;
    problem_.kind = case_.kind;
    problem_.siblings = case_.siblings;
    problem_.texts.resize(1);
    problem_.texts[0].nodes.resize(prefixes_.size());
    std::vector<size_t> depths{0};
    for (const int32_t parent : case_.parents) depths.push_back(depths[static_cast<size_t>(parent)] + 1);
    length_ = *std::max_element(depths.begin(), depths.end()) + 1;
    size_t cells = 1;
    for (size_t i = 0; i < length_; ++i) cells *= static_cast<size_t>(case_.cols);
    law_.assign(cells, 0);
  }

  // Largest difference from the target's law.
  double Error() {
    Fill(0);
    NextNode(1, 1);
    std::vector<double> wanted(law_.size(), 0);
    law_.swap(wanted);
    Continue({}, 1);
    double error = 0;
    for (size_t i = 0; i < law_.size(); ++i) error = std::max(error, std::fabs(law_[i] - wanted[i]));
    return error;
  }

  // The draft says that it drew from something else.
  bool lies = false;

 private:
  void Fill(size_t node) {
    SpecNode& n = problem_.texts[0].nodes[node];
    Text prefix = prefixes_[node];
    n.logits = models_.Target(prefix);
    if (lies) prefix.push_back(99);
    n.draft = models_.Draft(prefix);
    n.sparse.clear();
    for (size_t i = 0; i < n.draft.size(); ++i) {
      if (n.draft[i] > 0) n.sparse.emplace_back(static_cast<int32_t>(i), n.draft[i]);
    }
    if (case_.kind == SYL_DRAFT_LOGITS) {
      for (float& q : n.draft) q = std::log(q);
    }
  }

  void NextNode(size_t node, double probability) {
    if (node == prefixes_.size()) {
      EmittedLaw law(problem_, kernel_ ? Kernel(&problem_) : Reference(&problem_));
      for (const Emitted& emitted : law.Sum()) Continue(emitted.tokens, probability * emitted.probability);
      return;
    }
    const auto parent = static_cast<size_t>(case_.parents[node - 1]);
    const std::vector<float> floats = models_.Draft(prefixes_[parent]);
    std::vector<double> q(floats.begin(), floats.end());
    if (case_.kind == SYL_DRAFT_LOGITS) {  // as the verifier sees it
      for (double& value : q) value = std::exp(static_cast<double>(std::log(static_cast<float>(value))));
    }
    if (case_.siblings == SYL_SIBLINGS_WITHOUT_REPLACEMENT) {
      for (size_t sibling = 1; sibling < node; ++sibling) {
        if (case_.parents[sibling - 1] == case_.parents[node - 1]) q[LastToken(sibling)] = 0;
      }
    }
    if (Total(q) == 0) return;  // such a draft ends before; not in these cases
    q = Normalised(q);
    if (case_.kind == SYL_DRAFT_ONE_HOT) {  // any tokens at all, twice the same too
      const size_t token = (node * 7 + prefixes_[parent].size()) % 3 % q.size();
      q.assign(q.size(), 0);
      q[token] = 1;
    }
    for (size_t v = 0; v < q.size(); ++v) {
      if (q[v] == 0) continue;
      problem_.texts[0].nodes[node].token = static_cast<int32_t>(v);
      problem_.texts[0].nodes[node].parent = static_cast<int32_t>(parent);
      prefixes_[node] = prefixes_[parent];
      prefixes_[node].push_back(static_cast<int32_t>(v));
      Fill(node);
      NextNode(node + 1, probability * q[v]);
    }
  }

  size_t LastToken(size_t node) const { return static_cast<size_t>(prefixes_[node].back()); }

  // Adds the target's continuations of a text.
  void Continue(const Text& tokens, double probability) {
    if (tokens.size() == length_) {
      size_t cell = 0;
      for (const int32_t token : tokens) cell = cell * static_cast<size_t>(case_.cols) + static_cast<size_t>(token);
      law_[cell] += probability;
      return;
    }
    const std::vector<double> p = Softmax(models_.Target(tokens));
    Text longer = tokens;
    longer.push_back(0);
    for (size_t v = 0; v < p.size(); ++v) {
      longer.back() = static_cast<int32_t>(v);
      Continue(longer, probability * p[v]);
    }
  }

  const LawCase& case_;
  const Models& models_;
  bool kernel_;
  std::vector<Text> prefixes_;  // of the nodes
  SpecProblem problem_;
  size_t length_;
  std::vector<double> law_;
};

const std::vector<LawCase>& Cases() {
  static const std::vector<LawCase> cases = {
      {"TOKEN, V=6", SYL_SPEC_TOKEN, SYL_DRAFT_PROBABILITIES, 0, kChain2, false, 6},
      {"TOKEN, K=3", SYL_SPEC_TOKEN, SYL_DRAFT_LOGITS, 0, kChain3, false, 4},
      {"TOKEN, sparse", SYL_SPEC_TOKEN, SYL_DRAFT_SPARSE, 0, kChain2, false, 4},
      {"TOKEN, one-hot", SYL_SPEC_TOKEN, SYL_DRAFT_ONE_HOT, 0, kChain3, false, 4},
      {"BLOCK, V=6", SYL_SPEC_BLOCK, SYL_DRAFT_LOGITS, 0, kChain2, false, 6},
      {"BLOCK, K=3", SYL_SPEC_BLOCK, SYL_DRAFT_PROBABILITIES, 0, kChain3, false, 4},
      {"BLOCK, one-hot", SYL_SPEC_BLOCK, SYL_DRAFT_ONE_HOT, 0, kChain3, false, 4},
      {"tree, one-hot", SYL_SPEC_TOKEN, SYL_DRAFT_ONE_HOT, 0, kTwoLevels, true, 4},
      {"tree, one-hot, three", SYL_SPEC_TOKEN, SYL_DRAFT_ONE_HOT, 0, kThree, true, 4},
      {"tree, independent", SYL_SPEC_TOKEN, SYL_DRAFT_LOGITS, SYL_SIBLINGS_INDEPENDENT, kThree, true, 4},
      {"tree, independent, two levels", SYL_SPEC_TOKEN, SYL_DRAFT_PROBABILITIES, SYL_SIBLINGS_INDEPENDENT, kTwoLevels,
       true, 3},
      {"tree, without replacement", SYL_SPEC_TOKEN, SYL_DRAFT_PROBABILITIES, SYL_SIBLINGS_WITHOUT_REPLACEMENT, kThree,
       true, 4},
      {"tree, without replacement, two levels", SYL_SPEC_TOKEN, SYL_DRAFT_LOGITS, SYL_SIBLINGS_WITHOUT_REPLACEMENT,
       kTwoLevels, true, 3}};
  return cases;
}

// Float64 loops, which the kernel follows token for token (oracle_test.cc): any p and q.
TEST(SpecLaw, OfTheReference) {
  for (const LawCase& law_case : Cases()) {
    const Models models(law_case.cols, Models::kGeneral, 1);
    const double error = SummedLaw(law_case, models, false).Error();
    std::printf("%-40s %.1e\n", law_case.name, error);
    EXPECT_LE(error, 1e-12) << law_case.name;
  }
}

// The kernel, whose probabilities are made of floats: each has a relative error of some 2^-22.
TEST(SpecLaw, OfTheKernel) {
  for (const LawCase& law_case : Cases()) {
    for (uint32_t seed = 1; seed < 4; ++seed) {
      const Models models(law_case.cols, Models::kGeneral, seed);
      const double error = SummedLaw(law_case, models, true).Error();
      if (seed == 1) std::printf("%-40s %.1e\n", law_case.name, error);
      EXPECT_LE(error, 1e-7) << law_case.name;
    }
  }
}

// The kernel, where all probabilities are powers of two and nothing is rounded.
TEST(SpecLaw, OfTheKernelWithoutRoundings) {
  for (const LawCase& law_case : Cases()) {
    if (law_case.cols != 4 || law_case.kind == SYL_DRAFT_LOGITS) continue;
    if (law_case.tree && law_case.kind != SYL_DRAFT_ONE_HOT) continue;
    for (uint32_t seed = 1; seed < 6; ++seed) {
      const Models models(law_case.cols, Models::kExact, seed);
      const double error = SummedLaw(law_case, models, true).Error();
      if (seed == 1) std::printf("%-40s %.1e\n", law_case.name, error);
      EXPECT_LE(error, 1e-12) << law_case.name;
    }
  }
}

// A q that the draft did not draw from, and a rule for siblings that it did not follow.
TEST(SpecLaw, SeesADraftThatLies) {
  for (const LawCase& law_case : Cases()) {
    if (law_case.kind == SYL_DRAFT_ONE_HOT || law_case.cols == 6) continue;
    const Models models(law_case.cols, Models::kGeneral, 1);
    SummedLaw law(law_case, models, true);
    law.lies = true;
    EXPECT_GE(law.Error(), 1e-3) << law_case.name;
  }
}

}  // namespace
