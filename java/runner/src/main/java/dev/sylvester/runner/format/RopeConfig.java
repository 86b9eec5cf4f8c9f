package dev.sylvester.runner.format;

/**
 * Rotary positions of a model. Fields a kind does not use are zero.
 *
 * @param kind how frequencies are scaled
 * @param dims rotated dimensions of each head; even
 * @param theta the base
 * @param factor the context extension (linear, dynamic NTK, yarn, llama3). Dynamic NTK for texts of
 *     L &gt; originalContext tokens: theta times (factor L / originalContext - (factor - 1)) to the
 *     power dims / (dims - 2); shorter texts are unscaled
 * @param originalContext context length before the extension (dynamic NTK, yarn, llama3)
 * @param lowFreqFactor llama3
 * @param highFreqFactor llama3
 * @param betaFast yarn
 * @param betaSlow yarn
 * @param attentionFactor factor on cosines and sines; 1 except for yarn
 * @param factors one divisor for each inverse frequency, or empty (GGUF stores llama3 scaling so,
 *     with kind {@code NONE})
 * @param interleaved pairs are (2i, 2i + 1) rather than (i, i + dims / 2)
 */
public record RopeConfig(
    Kind kind,
    int dims,
    double theta,
    double factor,
    double originalContext,
    double lowFreqFactor,
    double highFreqFactor,
    double betaFast,
    double betaSlow,
    double attentionFactor,
    float[] factors,
    boolean interleaved) {

  /** Kinds of frequency scaling, as named by transformers. */
  public enum Kind {
    NONE,
    LINEAR,
    DYNAMIC_NTK,
    YARN,
    LLAMA3
  }

  static RopeConfig none(int dims, double theta, float[] factors, boolean interleaved) {
    return new RopeConfig(Kind.NONE, dims, theta, 0, 0, 0, 0, 0, 0, 1, factors, interleaved);
  }

  static RopeConfig linear(
      int dims, double theta, double factor, float[] factors, boolean interleaved) {
    return new RopeConfig(Kind.LINEAR, dims, theta, factor, 0, 0, 0, 0, 0, 1, factors, interleaved);
  }

  static RopeConfig dynamicNtk(int dims, double theta, double factor, double originalContext) {
    return new RopeConfig(
        Kind.DYNAMIC_NTK, dims, theta, factor, originalContext, 0, 0, 0, 0, 1, new float[0], false);
  }

  static RopeConfig yarn(
      int dims,
      double theta,
      double factor,
      double originalContext,
      double betaFast,
      double betaSlow,
      double attentionFactor,
      float[] factors,
      boolean interleaved) {
    return new RopeConfig(
        Kind.YARN,
        dims,
        theta,
        factor,
        originalContext,
        0,
        0,
        betaFast,
        betaSlow,
        attentionFactor,
        factors,
        interleaved);
  }

  static RopeConfig llama3(
      int dims,
      double theta,
      double factor,
      double originalContext,
      double lowFreqFactor,
      double highFreqFactor) {
    return new RopeConfig(
        Kind.LLAMA3,
        dims,
        theta,
        factor,
        originalContext,
        lowFreqFactor,
        highFreqFactor,
        0,
        0,
        1,
        new float[0],
        false);
  }

  /** YaRN's factor on cosines and sines, weighted by {@code scale} (Peng et al. 2023, eq. 22). */
  static double yarnMagnitude(double factor, double scale) {
    return factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1;
  }
}
