package dev.sylvester.runner.format;

/**
 * Rotary positions of a model. Fields a kind does not use are zero.
 *
 * @param kind how frequencies are scaled
 * @param dims rotated dimensions of each head; even
 * @param theta the base
 * @param factor the context extension (linear, dynamic NTK, yarn, llama3)
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

  /** Unscaled frequencies. */
  static RopeConfig plain(int dims, double theta, boolean interleaved) {
    return new RopeConfig(
        Kind.NONE, dims, theta, 0, 0, 0, 0, 0, 0, 1, new float[0], interleaved);
  }
}
