// Sums of the acceptance head. Every element's sum has a fixed order, whatever is computed with it.
#ifndef SYLVESTER_NATIVE_CPU_SPEC_HEAD_PRODUCTS_H_
#define SYLVESTER_NATIVE_CPU_SPEC_HEAD_PRODUCTS_H_

#include <cstdint>

namespace sylvester {

// u[r][o] = bias[o] + sum_i weight[o][i] x[r][i], o < outputs; weight: rows of width floats. 16 virtual lanes,
// then their tree, then what is left of the width.
struct Affine {
  const float* weight;
  const float* bias;
  int64_t width, outputs;
  const float* x;
  int64_t x_stride, rows;
  float* u;
  int64_t u_stride;
};
void Run(const Affine& affine);

// c[m][n] += sum_k a(m, k) b[k][n], in ascending k.
struct AddProduct {
  const float* a;
  int64_t a_m_stride, a_k_stride;
  const float* b;
  int64_t b_stride;
  float* c;
  int64_t c_stride;
  int64_t m, n, k;
};
void Run(const AddProduct& product);

// y[i] = x[i] + silu(u[i])
void AddSilu(const float* u, const float* x, int64_t n, float* y);

// du[i] = dy[i] silu'(u[i])
void SiluGradient(const float* u, const float* dy, int64_t n, float* du);

}  // namespace sylvester

#endif
