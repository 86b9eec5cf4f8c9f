// Texts that a language model of small tables writes by rounds of speculation, counted; and the law that they must
// have.
#ifndef SYLVESTER_TESTS_NATIVE_SPEC_TEXT_LAWS_H_
#define SYLVESTER_TESTS_NATIVE_SPEC_TEXT_LAWS_H_

#include <sylvester/sylvester.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include "tests/native/logits/reference_sampler.h"
#include "tests/native/spec/problem.h"
#include "tests/native/testing.h"

#if defined(__SANITIZE_ADDRESS__)
constexpr int64_t kFewerTexts = 8;  // sanitizers take as many times as long
#else
constexpr int64_t kFewerTexts = 1;
#endif

namespace sylvester_test {

// What an implementation may get wrong.
enum class Mistake {
  kNone,
  kDropsUnlikely,      // an unlikely token is withdrawn after it has been drawn
  kNoiseOfAcceptance,  // the draft draws with the numbers that judge it
  kNoiseOfResidual,    // or with those that come after a rejection
  kAcceptsAll,
  kResidualIsP,       // after a rejection the target draws as if nothing had been rejected
  kRatioOfOneHot,     // a token that was chosen without chance is judged by its q
  kPenaltiesForget,   // penalties do not count the candidates
  kWrongTemperature,  // of the draft
  kRowBefore,         // a candidate is judged by the row before its own
  kStaleQ             // a draft's row of an earlier round
};

// Rows of logits after each token and, the last one, of the empty text.
struct TableModel {
  TableModel(int32_t cols_, uint32_t seed, float deviation) : cols(cols_) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, deviation);
    rows.resize(static_cast<size_t>((cols + 1) * cols));
    for (float& logit : rows) logit = normal(random);
  }
  TableModel Opposed() const {
    TableModel other = *this;
    for (float& logit : other.rows) logit = -logit;
    return other;
  }
  const float* After(const std::vector<int32_t>& text) const {
    return rows.data() + (text.empty() ? cols : text.back()) * cols;
  }

  int32_t cols;
  std::vector<float> rows;
};

struct Speculating {
  const TableModel* target;
  const TableModel* draft;
  syl_sampler sampler = SpecSampler(), draft_sampler = SpecSampler();
  syl_spec_mode mode = SYL_SPEC_TOKEN;
  size_t length = 1;  // tokens of a text that are counted
  size_t most = 1;    // candidates of a round; siblings of a tree
  bool tree = false;  // all are children of the text
  int32_t siblings = SYL_SIBLINGS_INDEPENDENT;
  bool adaptive = false;  // a draft ends with the token that makes it unlikely to survive
  bool masked = false;    // some pairs of tokens are forbidden
  bool plain = false;     // no speculation at all
  bool coupled = false;   // the draft draws with the target's own numbers
  Mistake mistake = Mistake::kNone;
};

inline bool IsAllowed(const Speculating& s, const std::vector<int32_t>& text, int32_t token) {
  return !s.masked || text.empty() || (text.back() * 2 + token) % 5 != 0;
}

// Probability of each text of s.length tokens; the number of a text has its first token in front.
inline std::vector<double> WantedLaw(const Speculating& s) {
  const int32_t cols = s.target->cols;
  std::vector<std::vector<int32_t>> texts{{}};
  std::vector<double> law{1};
  for (size_t length = 0; length < s.length; ++length) {
    std::vector<std::vector<int32_t>> longer;
    std::vector<double> longer_law;
    for (size_t i = 0; i < texts.size(); ++i) {
      std::vector<float> logits(s.target->After(texts[i]), s.target->After(texts[i]) + cols);
      logits = ReferenceLogits(s.sampler, logits, texts[i], {});
      for (int32_t t = 0; t < cols; ++t) {
        if (!IsAllowed(s, texts[i], t)) logits[static_cast<size_t>(t)] = -kInfinity;
      }
      std::vector<double> p(static_cast<size_t>(cols), 0);
      const ReferenceTokens left = ReferenceFilters(s.sampler, logits);
      EXPECT_EQ(left.certain, left.tokens.size()) << "choose another seed";
      for (const ReferenceToken& token : left.tokens) p[static_cast<size_t>(token.id)] = std::exp(token.z);
      for (int32_t t = 0; t < cols; ++t) {
        longer.push_back(texts[i]);
        longer.back().push_back(t);
        longer_law.push_back(law[i] * p[static_cast<size_t>(t)] / left.Mass(left.tokens.size()));
      }
    }
    texts.swap(longer);
    law.swap(longer_law);
  }
  return law;
}

struct Counted {
  std::vector<int64_t> cells;
  int64_t rounds = 0, accepted = 0;
  std::vector<int32_t> accepted_of_round;  // of the first rounds
};

// One thread's part of the texts.
class TextWriter {
 public:
  TextWriter(const Speculating& s, uint64_t seed) : s_(s), cols_(static_cast<size_t>(s.target->cols)), seed_(seed) {
    int64_t bytes = 0;
    syl_logits_sample_workspace(&s_.sampler, s.target->cols, 64, &bytes);
    sampling_.resize(static_cast<size_t>(bytes) / 8 + 1);
  }

  // Those with the numbers first .. first + count - 1, s.length tokens each or some more.
  const std::vector<std::vector<int32_t>>& Texts(int64_t first, int64_t count) {
    texts_.assign(static_cast<size_t>(count), {});
    Finish(first);
    return texts_;
  }

  const Counted& counted() const { return counted_; }

  Counted Write(int64_t begin, int64_t end) {
    size_t cells = 1;
    for (size_t i = 0; i < s_.length; ++i) cells *= cols_;
    counted_.cells.assign(cells, 0);
    for (int64_t first = begin; first < end; first += kTexts) {
      for (const auto& text : Texts(first, std::min(kTexts, end - first))) {
        size_t cell = 0;
        for (size_t i = 0; i < s_.length; ++i) cell = cell * cols_ + static_cast<size_t>(text[i]);
        ++counted_.cells[cell];
      }
    }
    return counted_;
  }

 private:
  static constexpr int64_t kTexts = 256;

  bool Is(Mistake mistake) const { return s_.mistake == mistake; }

  int32_t Sample(const syl_sampler& sampler, const float* logits, const std::vector<int32_t>& text, size_t position,
                 bool masked = false) {
    masked_.clear();
    for (int32_t t = 0; masked && t < s_.target->cols; ++t) {
      if (!IsAllowed(s_, text, t)) masked_.push_back(t);
    }
    const std::vector<float> bans(masked_.size(), -kInfinity);
    int32_t token = -1;
    EXPECT_EQ(syl_logits_sample_f32(&sampler, logits, s_.target->cols, text.data(), static_cast<int64_t>(text.size()),
                                    masked_.data(), bans.data(), static_cast<int64_t>(bans.size()),
                                    static_cast<int64_t>(position), sampling_.data(),
                                    static_cast<int64_t>(sampling_.size() * 8), &token, nullptr),
              SYL_OK)
        << syl_last_error();
    return token;
  }

  void Finish(int64_t first) {
    for (bool unfinished = true; unfinished;) {
      unfinished = false;
      call_.Clear();
      for (size_t i = 0; i < texts_.size(); ++i) {
        if (texts_[i].size() >= s_.length) continue;
        const uint64_t seed = seed_ * 0x9e3779b97f4a7c15 + static_cast<uint64_t>(first) + i;
        if (s_.plain) {
          syl_sampler own = s_.sampler;
          own.seed = seed;
          texts_[i].push_back(Sample(own, s_.target->After(texts_[i]), texts_[i], texts_[i].size(), s_.masked));
        } else {
          AddRound(i, seed);
        }
        unfinished = true;
      }
      if (!s_.plain && unfinished) Verify();
    }
  }

  // Drafts for one text.
  void AddRound(size_t number, uint64_t seed) {
    const std::vector<int32_t>& text = texts_[number];
    syl_sampler sampler = s_.sampler, drawn = s_.draft_sampler, told = s_.draft_sampler;
    sampler.seed = drawn.seed = told.seed = seed;
    if (Is(Mistake::kPenaltiesForget)) sampler.presence_penalty = sampler.frequency_penalty = 0;
    if (Is(Mistake::kWrongTemperature)) drawn.temperature *= 1.5f;
    if (Is(Mistake::kRatioOfOneHot)) drawn.temperature = 0;
    call_.numbers.push_back(number);
    call_.samplers.push_back(sampler);
    call_.draft_samplers.push_back(told);
    call_.positions.push_back(static_cast<int64_t>(text.size()));
    call_.history.insert(call_.history.end(), text.begin(), text.end());
    call_.history_begin.push_back(static_cast<int64_t>(call_.history.size()));

    path_ = text;
    AddNode(text, -1, -1);
    double survives = 1;
    std::vector<bool> taken(cols_, false);
    for (size_t i = 1; i <= s_.most && survives > 0.25; ++i) {
      const size_t depth = s_.tree ? 1 : i, sibling = s_.tree ? i - 1 : 0;
      drawn.purpose = static_cast<uint32_t>(SYL_PURPOSE_DRAFT + 4 * (depth + 256 * sibling));
      if (s_.coupled) drawn.purpose = SYL_PURPOSE_TARGET;
      if (Is(Mistake::kNoiseOfAcceptance)) drawn.purpose = static_cast<uint32_t>(SYL_PURPOSE_ACCEPT + 4 * depth);
      if (Is(Mistake::kNoiseOfResidual)) drawn.purpose = SYL_PURPOSE_RESIDUAL;
      const std::vector<int32_t>& before = s_.tree ? text : path_;
      row_.assign(s_.draft->After(before), s_.draft->After(before) + cols_);
      for (size_t t = 0; s_.tree && s_.siblings == SYL_SIBLINGS_WITHOUT_REPLACEMENT && t < cols_; ++t) {
        if (taken[t]) row_[t] = -kInfinity;
      }
      const int32_t token = Sample(drawn, row_.data(), before, text.size() + depth - 1);
      taken[static_cast<size_t>(token)] = true;
      if (s_.adaptive || Is(Mistake::kDropsUnlikely)) {
        const double q = Probability(row_, token);
        if (Is(Mistake::kDropsUnlikely) && q < 0.1) break;
        if (s_.adaptive) survives *= std::sqrt(q);
      }
      path_.push_back(token);
      AddNode(s_.tree ? text : path_, token, s_.tree ? 0 : static_cast<int32_t>(i) - 1);
    }
    call_.row_begin.push_back(static_cast<int64_t>(call_.tokens.size()));
  }

  static double Probability(const std::vector<float>& logits, int32_t token) {
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    return std::exp(static_cast<double>(logits[static_cast<size_t>(token)])) / sum;
  }

  void AddNode(std::vector<int32_t> text, int32_t token, int32_t parent) {
    if (s_.tree && token >= 0) text.push_back(token);
    const std::vector<int32_t> before(text.begin(), text.end() - (token >= 0));
    const float* const target = s_.target->After(Is(Mistake::kRowBefore) ? before : text);
    const float* const draft = s_.draft->After(Is(Mistake::kStaleQ) ? std::vector<int32_t>() : text);
    const size_t row = call_.logits.size();
    call_.logits.insert(call_.logits.end(), target, target + cols_);
    call_.draft_rows.insert(call_.draft_rows.end(), draft, draft + cols_);
    if (Is(Mistake::kPenaltiesForget)) {
      const auto& known = texts_[call_.numbers.back()];
      const std::vector<float> changed = ReferenceLogits(s_.sampler, {target, target + cols_}, known, {});
      std::copy(changed.begin(), changed.end(), call_.logits.begin() + static_cast<std::ptrdiff_t>(row));
    }
    uint32_t allowed = 0;
    for (int32_t t = 0; t < s_.target->cols; ++t) allowed |= static_cast<uint32_t>(IsAllowed(s_, text, t)) << t;
    call_.allowed.push_back(allowed);
    call_.tokens.push_back(token);
    call_.parents.push_back(parent);
  }

  void Verify() {
    const auto sequences = static_cast<int64_t>(call_.numbers.size());
    const size_t rows = call_.tokens.size();
    syl_spec_draft draft = {};
    draft.struct_size = sizeof(draft);
    draft.kind = SYL_DRAFT_LOGITS;
    draft.siblings = s_.siblings;
    draft.cols = s_.target->cols;
    draft.rows = call_.draft_rows.data();
    draft.stride = draft.cols;
    draft.samplers = call_.draft_samplers.data();
    syl_spec_batch batch = {};
    batch.struct_size = sizeof(batch);
    batch.mode = s_.mode;
    batch.sequences = sequences;
    batch.row_begin = call_.row_begin.data();
    batch.cols = batch.stride = draft.cols;
    batch.logits = call_.logits.data();
    batch.tokens = call_.tokens.data();
    batch.parents = s_.tree ? call_.parents.data() : nullptr;
    batch.samplers = call_.samplers.data();
    batch.positions = call_.positions.data();
    batch.history = call_.history.data();
    batch.history_begin = call_.history_begin.data();
    batch.allowed = s_.masked ? call_.allowed.data() : nullptr;
    batch.allowed_stride = 1;
    batch.draft = &draft;
    const std::vector<double> none(2 * rows, 0);
    if (Is(Mistake::kAcceptsAll)) batch.uniforms = none.data();
    accepted_.resize(call_.numbers.size());
    next_.resize(call_.numbers.size());
    path_out_.resize(rows);
    syl_spec_result result = {};
    result.struct_size = sizeof(result);
    result.accepted = accepted_.data();
    result.next_token = next_.data();
    result.path = path_out_.data();
    int64_t bytes = 0;
    ASSERT_EQ(syl_spec_verify_workspace(&batch, nullptr, &bytes), SYL_OK) << syl_last_error();
    workspace_.resize(static_cast<size_t>(bytes) / 8 + 1);
    ASSERT_EQ(syl_spec_verify_f32(&batch, &result, workspace_.data(), bytes, nullptr), SYL_OK) << syl_last_error();
    for (size_t i = 0; i < call_.numbers.size(); ++i) Append(i);
  }

  void Append(size_t i) {
    std::vector<int32_t>& text = texts_[call_.numbers[i]];
    const auto first = static_cast<size_t>(call_.row_begin[i]), end = static_cast<size_t>(call_.row_begin[i + 1]);
    const auto accepted = static_cast<size_t>(accepted_[i]);
    for (size_t j = 0; j < accepted; ++j) {
      text.push_back(call_.tokens[first + static_cast<size_t>(path_out_[first + j])]);
    }
    if (Is(Mistake::kResidualIsP) && first + accepted + 1 < end) {
      syl_sampler other = call_.samplers[i];
      other.purpose = 1 << 20;
      next_[i] = Sample(other, s_.target->After(text), text, text.size());
    }
    text.push_back(next_[i]);
    ++counted_.rounds;
    counted_.accepted += accepted_[i];
    counted_.accepted_of_round.push_back(accepted_[i]);
  }

  // The arguments of a call.
  struct Arrays {
    std::vector<size_t> numbers;
    std::vector<int64_t> row_begin, positions, history_begin;
    std::vector<float> logits, draft_rows;
    std::vector<int32_t> tokens, parents, history;
    std::vector<uint32_t> allowed;
    std::vector<syl_sampler> samplers, draft_samplers;

    void Clear() {
      numbers.clear();
      for (auto* begins : {&row_begin, &history_begin}) begins->assign(1, 0);
      positions.clear();
      for (auto* floats : {&logits, &draft_rows}) floats->clear();
      for (auto* ids : {&tokens, &parents, &history}) ids->clear();
      allowed.clear();
      for (auto* all : {&samplers, &draft_samplers}) all->clear();
    }
  };

  const Speculating& s_;
  size_t cols_;
  uint64_t seed_;
  std::vector<std::vector<int32_t>> texts_;
  Arrays call_;
  std::vector<int32_t> accepted_, next_, path_out_, path_, masked_;
  std::vector<float> row_;
  std::vector<uint64_t> workspace_, sampling_;
  Counted counted_;
};

inline Counted WriteTexts(const Speculating& s, int64_t texts, uint64_t seed) {
  texts /= kFewerTexts;
  Counted parts[2];
  std::thread other([&] { parts[1] = TextWriter(s, seed).Write(texts / 2, texts); });
  parts[0] = TextWriter(s, seed).Write(0, texts / 2);
  other.join();
  Counted all = parts[0];
  for (size_t i = 0; i < all.cells.size(); ++i) all.cells[i] += parts[1].cells[i];
  all.rounds += parts[1].rounds;
  all.accepted += parts[1].accepted;
  all.accepted_of_round.insert(all.accepted_of_round.end(), parts[1].accepted_of_round.begin(),
                               parts[1].accepted_of_round.end());
  return all;
}

// (chi^2 - df) / sqrt(2 df), about normal under the law. Cells in which less than 5 are expected are one.
inline double ChiSquareZ(const std::vector<int64_t>& counts, const std::vector<double>& law) {
  int64_t total = 0;
  for (const int64_t count : counts) total += count;
  double chi = 0, rest_expected = 0, rest = 0;
  int64_t cells = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = law[i] * static_cast<double>(total), count = static_cast<double>(counts[i]);
    if (law[i] == 0 && counts[i] > 0) return INFINITY;  // never, not even once
    if (expected < 5) {
      rest_expected += expected;
      rest += count;
      continue;
    }
    chi += (count - expected) * (count - expected) / expected;
    ++cells;
  }
  if (rest_expected >= 5) {
    chi += (rest - rest_expected) * (rest - rest_expected) / rest_expected;
    ++cells;
  }
  const auto df = static_cast<double>(cells - 1);
  return (chi - df) / std::sqrt(2 * df);
}

// The same for two counts of as many texts.
inline double TwoSampleZ(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  double chi = 0;
  int64_t cells = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const auto sum = static_cast<double>(a[i] + b[i]), difference = static_cast<double>(a[i] - b[i]);
    if (sum < 10) continue;
    chi += difference * difference / sum;
    ++cells;
  }
  const auto df = static_cast<double>(cells);
  return (chi - df) / std::sqrt(2 * df);
}

}  // namespace sylvester_test

#endif
