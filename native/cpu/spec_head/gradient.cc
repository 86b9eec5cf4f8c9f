// Backpropagation through the acceptance head, 64 rows at a time. An element of the gradient is a chain of fused
// multiply-adds over the rows in ascending order, starting at what was there: neither threads nor, but for tied blocks,
// how rows are cut into calls change a bit.
#include <cmath>

#include "native/common/align.h"
#include "native/common/status.h"
#include "native/cpu/spec_head/head.h"
#include "native/cpu/spec_head/products.h"

namespace sylvester {
namespace {

constexpr int64_t kColumnsPerTask = 64;

// log(1 + exp(z))
double Softplus(double z) { return std::fmax(z, 0) + std::log1p(std::exp(-std::fabs(z))); }

class Gradient {
 public:
  Gradient(const syl_spec_head& head, int64_t most_rows, float accept_weight, float reject_weight, float* gradient,
           float* workspace, syl_pool* pool)
      : head_(head),
        layout_(head),
        accept_weight_(accept_weight),
        reject_weight_(reject_weight),
        gradient_(gradient),
        workspace_(workspace),
        matrix_(std::min(most_rows, kHeadRows) * layout_.width),
        pool_(pool) {}

  // Takes rows that are not ignored; runs the passes when there are enough of them.
  void Add(const float* hidden, float label) {
    std::copy(hidden, hidden + layout_.width, X(0) + rows_ * layout_.width);
    labels_[rows_++] = label;
    if (rows_ == kHeadRows) Flush();
  }

  void Flush() {
    if (rows_ == 0) return;
    for (int64_t block = 0; block < layout_.blocks; ++block) {
      RunHeadBlock(head_, block, X(block), layout_.width, rows_, U(block), X(block + 1), pool_);
    }
    BackOutput();
    for (int64_t block = layout_.blocks - 1; block >= 0; --block) BackBlock(block);
    rows_ = 0;
  }

  double loss() const { return loss_; }
  double weight() const { return weight_; }

 private:
  float* X(int64_t block) const { return workspace_ + block * matrix_; }
  float* U(int64_t block) const { return X(layout_.blocks + 1 + block); }
  float* Dx() const { return X(2 * layout_.blocks + 1); }
  float* Du() const { return X(2 * layout_.blocks + 2); }

  // dL/dz_1 = -dL/dz_0 of each row.
  void BackOutput() {
    const int64_t width = layout_.width;
    const float* output = head_.parameters + layout_.Output();
    float slopes[kHeadRows][2];
    for (int64_t r = 0; r < rows_; ++r) {
      const double logit = HeadLogit(head_, X(layout_.blocks) + r * width);
      const double accept = static_cast<double>(accept_weight_) * labels_[r];
      const double reject = static_cast<double>(reject_weight_) * (1 - static_cast<double>(labels_[r]));
      loss_ += accept * Softplus(-logit) + reject * Softplus(logit);
      weight_ += accept + reject;
      const double probability = 1 / (1 + std::exp(-logit));
      const auto slope = static_cast<float>(accept * (probability - 1) + reject * probability);
      slopes[r][0] = -slope;
      slopes[r][1] = slope;
      for (int64_t z = 0; z < 2; ++z) gradient_[layout_.OutputBias() + z] += slopes[r][z];
    }
    Run(AddProduct{slopes[0], 1, 2, X(layout_.blocks), width, gradient_ + layout_.Output(), width, 2, width, rows_});
    std::fill(Dx(), Dx() + rows_ * width, 0.0f);
    Run(AddProduct{slopes[0], 2, 1, output, width, Dx(), width, rows_, width, 2});
  }

  void BackBlock(int64_t block) {
    const int64_t width = layout_.width;
    const float* weight = head_.parameters + layout_.Weight(block);
    float* weight_gradient = gradient_ + layout_.Weight(block);
    float* bias_gradient = gradient_ + layout_.Bias(block);
    SiluGradient(U(block), Dx(), rows_ * width, Du());
    for (int64_t r = 0; r < rows_; ++r) {
      for (int64_t o = 0; o < width; ++o) bias_gradient[o] += Du()[r * width + o];
    }
    syl_pool* pool = PoolFor(layout_, rows_, pool_);
    ParallelFor(pool, (width + kOutputsPerTask - 1) / kOutputsPerTask, [&](int64_t task, int32_t) {
      const int64_t first = task * kOutputsPerTask, outputs = std::min(kOutputsPerTask, width - first);
      Run(AddProduct{Du() + first, 1, width, X(block), width, weight_gradient + first * width, width, outputs, width,
                     rows_});
    });
    if (block == 0) return;
    ParallelFor(pool, (width + kColumnsPerTask - 1) / kColumnsPerTask, [&](int64_t task, int32_t) {
      const int64_t first = task * kColumnsPerTask, columns = std::min(kColumnsPerTask, width - first);
      Run(AddProduct{Du(), width, 1, weight + first, width, Dx() + first, width, rows_, columns, width});
    });
  }

  const syl_spec_head& head_;
  const HeadLayout layout_;
  const float accept_weight_, reject_weight_;
  float* const gradient_;
  float* const workspace_;
  const int64_t matrix_;
  syl_pool* const pool_;
  float labels_[kHeadRows];
  int64_t rows_ = 0;
  double loss_ = 0, weight_ = 0;
};

bool IsWeight(float weight) { return std::isfinite(weight) && weight > 0; }

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_spec_head_gradient_f32(const syl_spec_head* head, const float* hidden, int64_t stride,
                                      const float* labels, int64_t rows, float accept_weight, float reject_weight,
                                      float* gradient, double* loss, double* weight, void* workspace,
                                      int64_t workspace_bytes, syl_pool* pool) {
  syl_status status = CheckHead(__func__, head);
  if (status == SYL_OK) status = CheckHeadRows(__func__, *head, {hidden, stride, rows, workspace, workspace_bytes});
  if (status != SYL_OK) return status;
  SYL_REQUIRE_PTR(labels);
  SYL_REQUIRE_PTR(gradient);
  SYL_REQUIRE_PTR(loss);
  SYL_REQUIRE_PTR(weight);
  SYL_REQUIRE(IsWeight(accept_weight), SYL_BAD_VALUE, "accept_weight is %g, must be finite and more than 0",
              accept_weight);
  SYL_REQUIRE(IsWeight(reject_weight), SYL_BAD_VALUE, "reject_weight is %g, must be finite and more than 0",
              reject_weight);
  const int64_t count = HeadLayout(*head).Count(), width = head->width;
  const struct {
    const char* name;
    const void* data;
    int64_t bytes;
  } others[] = {{"hidden", hidden, Extent(rows, width, stride) * 4},
                {"labels", labels, rows * 4},
                {"head->parameters", head->parameters, count * 4},
                {"workspace", workspace, workspace_bytes},
                {"loss", loss, 8},
                {"weight", weight, 8}};
  for (const auto& other : others) {
    SYL_REQUIRE(!Overlaps(gradient, count * 4, other.data, other.bytes), SYL_OVERLAP, "gradient overlaps %s",
                other.name);
  }
  SYL_REQUIRE(!Overlaps(workspace, workspace_bytes, labels, rows * 4), SYL_OVERLAP, "workspace overlaps %s", "labels");
  for (int64_t r = 0; r < rows; ++r) {
    SYL_REQUIRE(!(labels[r] < 0 || labels[r] > 1), SYL_BAD_VALUE, "labels[%lld] is %g, must be 0..1 or NaN",
                static_cast<long long>(r), labels[r]);
  }
  Gradient pass(*head, rows, accept_weight, reject_weight, gradient, reinterpret_cast<float*>(Aligned(workspace)),
                pool);
  for (int64_t r = 0; r < rows; ++r) {
    if (!std::isnan(labels[r])) pass.Add(hidden + r * stride, labels[r]);
  }
  pass.Flush();
  *loss += pass.loss();
  *weight += pass.weight();
  return SYL_OK;
}
