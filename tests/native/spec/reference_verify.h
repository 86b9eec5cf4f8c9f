// Verification in float64 with plain loops over whole distributions, written from the text of sylvester/spec.h.
#ifndef SYLVESTER_TESTS_NATIVE_SPEC_REFERENCE_VERIFY_H_
#define SYLVESTER_TESTS_NATIVE_SPEC_REFERENCE_VERIFY_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <vector>

#include "tests/native/logits/reference_sampler.h"
#include "tests/native/spec/problem.h"

namespace sylvester_test {

using Law = std::vector<double>;

inline double Total(const Law& law) {
  double sum = 0;
  for (const double x : law) sum += x;
  return sum;
}

inline Law Normalised(Law law) {
  const double sum = Total(law);
  for (double& x : law) x /= sum;
  return law;
}

class ReferenceVerifier {
 public:
  ReferenceVerifier(const SpecProblem& problem, const SpecText& text)
      : problem_(problem), text_(text), acceptance(text.nodes.size(), kNaN), flags(text.nodes.size(), 0) {}

  void Run() {
    if (Greedy() || problem_.mode == SYL_SPEC_EXACT) {
      Match();
    } else if (problem_.mode == SYL_SPEC_TOKEN) {
      Token();
    } else {
      Block();
    }
  }

  // log q of a candidate as its draft knows it.
  double LogQ(int32_t node) {
    path.clear();
    for (int32_t i = Parent(node); i > 0; i = Parent(i)) path.insert(path.begin(), i);
    const Law q = Q();
    path.clear();
    return OneHot() ? 0 : std::log(q[static_cast<size_t>(Node(node).token)]);
  }

  // Some decision was within roundings of float: of a filter, of an acceptance, of the token that was chosen.
  bool unclear = false;
  std::vector<int32_t> path;
  int32_t next_token = -1;

 private:
  const SpecProblem& problem_;
  const SpecText& text_;

 public:
  std::vector<float> acceptance;
  std::vector<int32_t> flags;
  // Rows that verification has to read (BLOCK: may).
  std::set<int32_t> target_rows, draft_rows;

 private:
  // Errors of probabilities made of floats: relative, and of what is left of p after a subtraction.
  static constexpr double kRelative = 1e-4, kAbsolute = 1e-6;
  double absolute_ = 0;
  bool divided_ = false;  // p has been divided by what was left of it

  bool Greedy() const { return problem_.mode == SYL_SPEC_GREEDY || text_.sampler.temperature == 0; }
  bool Ends(int32_t token) const { return std::count(problem_.ends.begin(), problem_.ends.end(), token) > 0; }
  const SpecNode& Node(int32_t i) const { return text_.nodes[static_cast<size_t>(i)]; }
  int32_t Last() const { return path.empty() ? 0 : path.back(); }

  int32_t Parent(int32_t node) const { return problem_.tree ? Node(node).parent : node - 1; }

  std::vector<int32_t> Children(int32_t parent) const {
    std::vector<int32_t> children;
    for (int32_t i = 1; i < static_cast<int32_t>(text_.nodes.size()); ++i) {
      if (Parent(i) == parent) children.push_back(i);
    }
    return children;
  }

  std::vector<int32_t> History() const {
    std::vector<int32_t> history = text_.history;
    for (const int32_t node : path) history.push_back(Node(node).token);
    return history;
  }

  std::vector<std::pair<int32_t, float>> BiasAndMask(int32_t node) const {
    auto bias = text_.bias;
    const auto& allowed = Node(node).allowed;
    for (size_t t = 0; problem_.has_masks && t < allowed.size(); ++t) {
      if (!allowed[t]) bias.emplace_back(static_cast<int32_t>(t), -kInfinity);
    }
    return bias;
  }

  Law LawOf(const syl_sampler& s, const std::vector<float>& logits) {
    const ReferenceTokens left = ReferenceFilters(s, logits);
    unclear |= left.certain != left.tokens.size();
    Law law(logits.size(), 0);
    for (const ReferenceToken& token : left.tokens) law[static_cast<size_t>(token.id)] = std::exp(token.z);
    return Normalised(law);
  }

  Law P() {
    target_rows.insert(Last());
    return LawOf(text_.sampler, ReferenceLogits(text_.sampler, Node(Last()).logits, History(), BiasAndMask(Last())));
  }

  bool OneHot() const {
    return problem_.kind == SYL_DRAFT_ONE_HOT ||
           (problem_.kind == SYL_DRAFT_LOGITS && text_.draft_sampler.temperature == 0);
  }

  // Of the children of the last accepted node; empty for ONE_HOT.
  Law Q() {
    Law q;
    if (OneHot()) return q;
    if (problem_.kind == SYL_DRAFT_LOGITS) {
      const bool reduced = !problem_.target_ids.empty();
      q = LawOf(text_.draft_sampler,
                reduced ? Node(Last()).draft
                        : ReferenceLogits(text_.draft_sampler, Node(Last()).draft, History(), text_.bias));
    } else if (problem_.kind == SYL_DRAFT_PROBABILITIES) {
      q = Normalised(Law(Node(Last()).draft.begin(), Node(Last()).draft.end()));
    } else {
      q.assign(static_cast<size_t>(problem_.cols), 0);
      for (const auto& [id, value] : Node(Last()).sparse) q[static_cast<size_t>(id)] = value;
      return Normalised(q);
    }
    if (problem_.target_ids.empty()) return q;
    Law full(static_cast<size_t>(problem_.cols), 0);
    for (size_t i = 0; i < q.size(); ++i) full[static_cast<size_t>(problem_.target_ids[i])] = q[i];
    return full;
  }

  double QOf(const Law& q, int32_t node) {
    if (OneHot()) return 1;
    if (problem_.kind == SYL_DRAFT_LOGITS && problem_.has_log_q) {
      return std::min(1.0, std::exp(static_cast<double>(Node(node).log_q)));
    }
    draft_rows.insert(Last());
    return q[static_cast<size_t>(Node(node).token)];
  }

  bool Less(double below, double above) {
    const double scale = std::max(below, above);
    unclear |= scale > 0 && std::fabs(above - below) <= kRelative * scale + absolute_;
    return below < above;
  }

  void Judge(int32_t node, double p, double q) {
    acceptance[static_cast<size_t>(node)] = static_cast<float>(q > 0 ? std::min(1.0, p / q) : 0);
    if (!(q > 0)) flags[static_cast<size_t>(node)] |= SYL_SPEC_Q_IS_ZERO;
  }

  // The sampler's own draw after the last accepted node.
  int32_t Draw() {
    target_rows.insert(Last());
    syl_sampler s = text_.sampler;
    if (problem_.mode == SYL_SPEC_GREEDY) s.temperature = 0;
    const auto bias = BiasAndMask(Last());
    std::vector<int32_t> ids;
    std::vector<float> values;
    for (const auto& [id, value] : bias) {
      ids.push_back(id);
      values.push_back(value);
    }
    const std::vector<int32_t> history = History();
    const auto count = static_cast<int64_t>(history.size());
    int64_t bytes = 0;
    EXPECT_EQ(syl_logits_sample_workspace(&s, problem_.cols, count, &bytes), SYL_OK);
    std::vector<uint64_t> workspace(static_cast<size_t>(bytes) / 8 + 1);
    int32_t token = -1;
    EXPECT_EQ(syl_logits_sample_f32(&s, Node(Last()).logits.data(), problem_.cols, history.data(), count, ids.data(),
                                    values.data(), static_cast<int64_t>(bias.size()),
                                    text_.position + static_cast<int64_t>(path.size()), workspace.data(), bytes, &token,
                                    nullptr),
              SYL_OK)
        << syl_last_error();
    return token;
  }

  void Choose(const Law& left) {
    const double total = Total(left), target = Node(Last()).residual_u * total;
    // Where p and q are equal to roundings.
    unclear |= total <= 10 * absolute_ && (total > 0 || divided_);
    if (total <= 0x1p-40) {
      flags[static_cast<size_t>(Last())] |= SYL_SPEC_RESIDUAL_IS_EMPTY;
      next_token = Draw();
      return;
    }
    double sum = 0;
    for (size_t i = 0; i < left.size(); ++i) {
      if (!(left[i] > 0)) continue;
      next_token = static_cast<int32_t>(i);
      sum += left[i];
      unclear |= std::fabs(sum - target) <= absolute_;
      if (sum > target) return;
    }
  }

  void Match() {
    for (;;) {
      const int32_t token = Draw();
      const bool labels = !Greedy();
      const Law p = labels ? P() : Law(), q = labels ? Q() : Law();
      bool found = false;
      for (const int32_t child : Children(Last())) {
        const int32_t candidate = Node(child).token;
        if (labels) {
          Judge(child, p[static_cast<size_t>(candidate)], QOf(q, child));
        } else {
          Judge(child, candidate == token ? 1 : 0, 1);
        }
        if (candidate != token) continue;
        path.push_back(child);
        found = true;
        break;
      }
      if (found && !Ends(token)) continue;
      next_token = found ? -1 : token;
      return;
    }
  }

  void Token() {
    for (;;) {
      const std::vector<int32_t> children = Children(Last());
      if (children.empty()) {
        next_token = Draw();
        return;
      }
      const Law whole_p = P(), whole_q = Q();
      Law p = whole_p, q = whole_q;
      absolute_ = 0;
      divided_ = false;
      bool found = false;
      for (const int32_t child : children) {
        const auto token = static_cast<size_t>(Node(child).token);
        const bool first = child == children[0];
        Judge(child, whole_p[token], QOf(whole_q, child));
        const double q_token = OneHot() ? 1 : first ? QOf(whole_q, child) : q[token];
        if (q_token > 0 && Less(Node(child).accept_u * q_token, p[token])) {
          path.push_back(child);
          found = true;
          break;
        }
        absolute_ = std::max(absolute_, kAbsolute);
        if (OneHot()) {
          p[token] = 0;
        } else {
          draft_rows.insert(Last());
          for (size_t i = 0; i < p.size(); ++i) p[i] = std::max(p[i] - q[i], 0.0);
          if (problem_.siblings == SYL_SIBLINGS_WITHOUT_REPLACEMENT) {
            q[token] = 0;
            if (Total(q) > 0) q = Normalised(q);
          }
        }
        if (child == children.back()) break;
        const double left = Total(p);
        if (!OneHot() && left <= 0x1p-40) break;
        unclear |= left <= 10 * absolute_;
        if (!(left > 0)) continue;
        p = Normalised(p);
        absolute_ /= std::min(left, 1.0);
        divided_ = !OneHot();
      }
      if (!found) {
        Choose(p);
        return;
      }
      if (Ends(Node(Last()).token)) return;
    }
  }

  void Block() {
    const auto nodes = static_cast<int32_t>(text_.nodes.size());
    std::vector<double> weight{1};
    std::vector<Law> left;  // after each prefix but the whole block
    int32_t block = 0, accepted = 0;
    while (block + 1 < nodes && (block == 0 || !Ends(Node(block).token)) && weight.back() > 0) {
      const Law p = P(), q = Q();
      const int32_t node = block + 1;
      const auto token = static_cast<size_t>(Node(node).token);
      Law rest(p.size());
      for (size_t i = 0; i < p.size(); ++i) {
        rest[i] = std::max(weight.back() * p[i] - (OneHot() ? (i == token ? 1 : 0) : q[i]), 0.0);
      }
      left.push_back(rest);
      if (!OneHot()) draft_rows.insert(Last());
      const double q_token = QOf(q, node);
      Judge(node, p[token], q_token);
      weight.push_back(q_token > 0 ? std::min(1.0, weight.back() * p[token] / q_token) : 0);
      path.push_back(node);
      block = node;
    }
    const bool whole = block + 1 == nodes || (block > 0 && Ends(Node(block).token));
    for (int32_t i = 1; i <= block; ++i) {
      const double p = weight[static_cast<size_t>(i)], u = Node(i).accept_u;
      double below = u, above = p;
      absolute_ = 0;
      if (i < block) {
        const double z = Total(left[static_cast<size_t>(i)]), denominator = z + 1 - p;
        below = denominator > 0 ? u * denominator : 0;
        above = denominator > 0 ? z : 1;
        absolute_ = kAbsolute;
      }
      if (Less(below, above) && (i < block || whole)) accepted = i;
    }
    absolute_ = kAbsolute;
    path.resize(static_cast<size_t>(accepted));
    if (accepted < block) {
      Choose(left[static_cast<size_t>(accepted)]);
    } else if (accepted == 0 || !Ends(Node(accepted).token)) {
      next_token = Draw();
    }
  }
};

}  // namespace sylvester_test

#endif
