package dev.sylvester.kernels;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_rope_scaling;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Base and scaling of rotary position frequencies; formulas as in transformers' {@code
 * modeling_rope_utils}. A kind ignores the fields it does not use.
 *
 * @param kind which formula
 * @param theta base, for example 10000
 * @param factor context extension (linear, ntk, yarn, llama3)
 * @param originalContext context length before the extension (yarn, llama3)
 * @param lowFreqFactor llama3
 * @param highFreqFactor llama3
 * @param betaFast yarn
 * @param betaSlow yarn
 * @param attentionFactor yarn: factor on cos and sin; 0 means {@code 0.1 ln(factor) + 1}
 */
public record RopeScaling(
    Kind kind,
    double theta,
    double factor,
    double originalContext,
    double lowFreqFactor,
    double highFreqFactor,
    double betaFast,
    double betaSlow,
    double attentionFactor) {

  /** Which formula. */
  public enum Kind {
    /** No scaling. */
    NONE,
    /** Positions divided by the factor. */
    LINEAR,
    /** A larger base, at a fixed factor. */
    NTK,
    /** YaRN. */
    YARN,
    /** Llama 3.1 and later. */
    LLAMA3;

    int code() {
      return switch (this) {
        case NONE -> SylvesterFfi.SYL_ROPE_NONE();
        case LINEAR -> SylvesterFfi.SYL_ROPE_LINEAR();
        case NTK -> SylvesterFfi.SYL_ROPE_NTK();
        case YARN -> SylvesterFfi.SYL_ROPE_YARN();
        case LLAMA3 -> SylvesterFfi.SYL_ROPE_LLAMA3();
      };
    }
  }

  /**
   * No scaling.
   *
   * @param theta base
   * @return the scaling
   */
  public static RopeScaling none(double theta) {
    return new RopeScaling(Kind.NONE, theta, 1, 0, 0, 0, 0, 0, 0);
  }

  /**
   * Positions divided by a factor.
   *
   * @param theta base
   * @param factor context extension
   * @return the scaling
   */
  public static RopeScaling linear(double theta, double factor) {
    return new RopeScaling(Kind.LINEAR, theta, factor, 0, 0, 0, 0, 0, 0);
  }

  /**
   * NTK-aware base at a fixed factor.
   *
   * @param theta base
   * @param factor context extension
   * @return the scaling
   */
  public static RopeScaling ntk(double theta, double factor) {
    return new RopeScaling(Kind.NTK, theta, factor, 0, 0, 0, 0, 0, 0);
  }

  /**
   * YaRN.
   *
   * @param theta base
   * @param factor context extension
   * @param originalContext context length before the extension
   * @param betaFast usually 32
   * @param betaSlow usually 1
   * @param attentionFactor factor on cos and sin; 0 means {@code 0.1 ln(factor) + 1}
   * @return the scaling
   */
  public static RopeScaling yarn(
      double theta,
      double factor,
      double originalContext,
      double betaFast,
      double betaSlow,
      double attentionFactor) {
    return new RopeScaling(
        Kind.YARN, theta, factor, originalContext, 0, 0, betaFast, betaSlow, attentionFactor);
  }

  /**
   * Llama 3.1 and later.
   *
   * @param theta base
   * @param factor context extension
   * @param originalContext context length before the extension
   * @param lowFreqFactor usually 1
   * @param highFreqFactor usually 4
   * @return the scaling
   */
  public static RopeScaling llama3(
      double theta,
      double factor,
      double originalContext,
      double lowFreqFactor,
      double highFreqFactor) {
    return new RopeScaling(
        Kind.LLAMA3, theta, factor, originalContext, lowFreqFactor, highFreqFactor, 0, 0, 0);
  }

  MemorySegment toNative(Arena arena) {
    MemorySegment struct = arena.allocate(syl_rope_scaling.layout());
    syl_rope_scaling.struct_size(struct, (int) syl_rope_scaling.sizeof());
    syl_rope_scaling.kind(struct, kind.code());
    syl_rope_scaling.theta(struct, theta);
    syl_rope_scaling.factor(struct, factor);
    syl_rope_scaling.original_context(struct, originalContext);
    syl_rope_scaling.low_freq_factor(struct, lowFreqFactor);
    syl_rope_scaling.high_freq_factor(struct, highFreqFactor);
    syl_rope_scaling.beta_fast(struct, betaFast);
    syl_rope_scaling.beta_slow(struct, betaSlow);
    syl_rope_scaling.attention_factor(struct, attentionFactor);
    return struct;
  }
}
