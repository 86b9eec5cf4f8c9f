package dev.sylvester.runner.diffusion;

/** How statistics of logits are computed. */
public enum Precision {
  /** In one native read of each row, to a relative error of 1e-6. */
  F32,
  /** In 64-bit floats, slowly: the decisions of a reference in 64-bit floats. */
  F64
}
