package dev.sylvester.kernels;

import java.lang.foreign.Arena;

/** Placeholder. */
public final class Hadamard {
  Hadamard(HadamardOptions options, Arena arena) {}

  /**
   * Starts the description of a plan.
   *
   * @param n length of a transform
   * @return one transform
   */
  public static HadamardOptions of(long n) {
    return new HadamardOptions(n);
  }

  /**
   * Across heads.
   *
   * @param heads number
   * @param headDim elements
   * @return one token
   */
  public static HadamardOptions acrossHeads(long heads, long headDim) {
    return of(heads)
        .transforms(1, 1, headDim)
        .strides(Args.product("Hadamard.acrossHeads", "x", heads, headDim), 0, 1, headDim);
  }
}
