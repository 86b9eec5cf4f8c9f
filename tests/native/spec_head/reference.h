// An acceptance head in double, by plain loops.
#ifndef SYLVESTER_TESTS_NATIVE_SPEC_HEAD_REFERENCE_H_
#define SYLVESTER_TESTS_NATIVE_SPEC_HEAD_REFERENCE_H_

#include "tests/native/testing.h"

namespace sylvester_test {

using Doubles = std::vector<double>;

struct HeadShape {
  int32_t width, blocks, tied;
};

inline std::ostream& operator<<(std::ostream& out, const HeadShape& shape) {
  return out << "width " << shape.width << " blocks " << shape.blocks << " tied " << shape.tied;
}

// Blocks that are stored.
inline int64_t StoredBlocks(const HeadShape& shape) {
  return shape.tied != 0 ? std::min(shape.blocks, 1) : shape.blocks;
}

inline int64_t HeadParameters(const HeadShape& shape) {
  const int64_t width = shape.width;
  return StoredBlocks(shape) * (width * width + width) + 2 * width + 2;
}

struct RandomHead {
  RandomHead(HeadShape shape_, uint32_t seed) : shape(shape_) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 1 / std::sqrt(static_cast<float>(shape.width)));
    parameters.resize(static_cast<size_t>(HeadParameters(shape)));
    for (float& parameter : parameters) parameter = normal(random);
  }

  syl_spec_head Native(float shift = 0, float scale = 1) const {
    return {sizeof(syl_spec_head), shape.width, shape.blocks, shape.tied, shift, scale, parameters.data()};
  }

  HeadShape shape;
  std::vector<float> parameters;
};

inline int64_t HeadWorkspace(const syl_spec_head& head, int64_t rows) {
  int64_t bytes = -1;
  EXPECT_EQ(syl_spec_head_workspace(&head, rows, &bytes), SYL_OK) << syl_last_error();
  return bytes;
}

// z_1 - z_0.
inline double ReferenceLogit(const HeadShape& shape, const Doubles& parameters, const float* hidden) {
  const auto width = static_cast<size_t>(shape.width);
  const size_t block_size = width * width + width;
  Doubles x(hidden, hidden + width);
  for (size_t block = 0; block < static_cast<size_t>(shape.blocks); ++block) {
    const double* weight = parameters.data() + (shape.tied != 0 ? 0 : block * block_size);
    Doubles next = x;
    for (size_t o = 0; o < width; ++o) {
      double u = weight[width * width + o];
      for (size_t i = 0; i < width; ++i) u += weight[o * width + i] * x[i];
      next[o] += u / (1 + std::exp(-u));
    }
    x = next;
  }
  const double* output = parameters.data() + static_cast<size_t>(StoredBlocks(shape)) * block_size;
  double z[2];
  for (size_t k = 0; k < 2; ++k) {
    z[k] = output[2 * width + k];
    for (size_t i = 0; i < width; ++i) z[k] += output[k * width + i] * x[i];
  }
  return z[1] - z[0];
}

inline double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

struct ReferenceLoss {
  double loss = 0, weight = 0;
};

// The note's formula as it stands.
inline ReferenceLoss LossOf(const HeadShape& shape, const Doubles& parameters, const Rows& hidden,
                            const std::vector<float>& labels, double accept_weight, double reject_weight) {
  ReferenceLoss sum;
  for (int64_t r = 0; r < hidden.rows; ++r) {
    const double label = labels[static_cast<size_t>(r)];
    if (std::isnan(label)) continue;
    const double p = Sigmoid(ReferenceLogit(shape, parameters, hidden.At(r)));
    sum.loss += accept_weight * label * -std::log(p) + reject_weight * (1 - label) * -std::log(1 - p);
    sum.weight += accept_weight * label + reject_weight * (1 - label);
  }
  return sum;
}

}  // namespace sylvester_test

#endif
