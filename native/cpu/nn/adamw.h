#ifndef SYLVESTER_NATIVE_CPU_NN_ADAMW_H_
#define SYLVESTER_NATIVE_CPU_NN_ADAMW_H_

namespace sylvester {

// The options as an element's update uses them.
struct AdamWStep {
  float gradient_scale;
  float beta1, one_minus_beta1;
  float beta2, one_minus_beta2;
  float root_scale;  // 1 / sqrt(1 - beta2^step)
  float epsilon;
  float rate;   // learning_rate / (1 - beta1^step)
  float decay;  // 1 - learning_rate weight_decay
};

struct AdamWState {
  const float* gradient;
  float* parameters;
  float* mean;
  float* square;
};

}  // namespace sylvester

#endif
