package dev.sylvester.runner.diffusion;

/** How statistics of logits are computed. */
public enum Precision {
  /** In one native read of each row, to a relative error of 1e-6. */
  F32,
  /** In 64-bit floats, slowly: the decisions of a reference in 64-bit floats. */
  F64,
  /**
   * Rounded to bfloat16 wherever PyTorch rounds in the released code of LLaDA and Dream, slowly:
   * the decisions of a reference whose logits are bfloat16. Confidences are often equal then. With
   * {@link Sampling#tempered()} (Dream) the most probable token is the first of those whose
   * probabilities have become the largest one, else (LLaDA) that of the largest logit.
   */
  BF16_REF
}
