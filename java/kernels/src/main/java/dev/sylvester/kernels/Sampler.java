package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Draws tokens from logits rows. A draw depends on seed, position and logits alone. Its memory
 * belongs to an arena. Thread-safe but for {@link #logProbability()}.
 */
public final class Sampler {
  private final SamplerOptions options;
  private final MemorySegment descriptor;
  private float logProbability = Float.NaN;

  private Sampler(SamplerOptions options, MemorySegment descriptor) {
    this.options = options;
    this.descriptor = descriptor;
  }

  /**
   * A sampler.
   *
   * @param options how tokens are drawn; checked at each draw
   * @param arena owns the memory
   * @return the sampler
   */
  public static Sampler of(SamplerOptions options, Arena arena) {
    return new Sampler(options, options.toNative(SylvesterFfi.SYL_PURPOSE_TARGET(), arena));
  }

  /**
   * A sampler of candidates for {@link SpecMode#TOKEN} and {@link SpecMode#BLOCK}, whose random
   * numbers are its own: a candidate must not know what its verification will draw.
   *
   * @param options how tokens are drawn, the seed of the target's sampler included
   * @param depth number of candidates before it, and itself: 1..255
   * @param sibling number of candidates for the same place before it: 0..254
   * @param arena owns the memory
   * @return the sampler
   */
  public static Sampler forDraft(SamplerOptions options, int depth, int sibling, Arena arena) {
    Args.range("Sampler.forDraft", "depth", depth, 1, 255);
    Args.range("Sampler.forDraft", "sibling", sibling, 0, 254);
    int purpose = SylvesterFfi.SYL_PURPOSE_DRAFT() + 4 * (depth + 256 * sibling);
    return new Sampler(options, options.toNative(purpose, arena));
  }

  /**
   * How tokens are drawn.
   *
   * @return the options
   */
  public SamplerOptions options() {
    return options;
  }

  /**
   * Draws a token without history or bias.
   *
   * @param logits cols floats; not modified
   * @param cols number of tokens of the vocabulary
   * @param position of the token to draw, not negative
   * @param workspace scratch memory
   * @return the token
   */
  public int sample(MemorySegment logits, long cols, long position, Workspace workspace) {
    return sample(logits, cols, null, 0, null, null, 0, position, workspace);
  }

  /**
   * Draws a token.
   *
   * @param logits cols floats; not modified
   * @param cols number of tokens of the vocabulary
   * @param history int32 ids that the penalties count, or null when historyCount is 0
   * @param historyCount number of ids
   * @param biasIds int32 ids whose logits get a bias, or null when biasCount is 0
   * @param biasValues a float for each of them, or null when biasCount is 0
   * @param biasCount number of biases
   * @param position of the token to draw, not negative
   * @param workspace scratch memory
   * @return the token
   */
  public int sample(
      MemorySegment logits,
      long cols,
      MemorySegment history,
      long historyCount,
      MemorySegment biasIds,
      MemorySegment biasValues,
      long biasCount,
      long position,
      Workspace workspace) {
    String function = "Sampler.sample";
    Args.input(function, "logits", logits, Args.product(function, "logits", cols, Float.BYTES));
    MemorySegment historyOrNull =
        Args.counted(function, "history", history, historyCount, Integer.BYTES);
    MemorySegment idsOrNull = Args.counted(function, "biasIds", biasIds, biasCount, Integer.BYTES);
    MemorySegment valuesOrNull =
        Args.counted(function, "biasValues", biasValues, biasCount, Float.BYTES);
    workspace.begin();
    try {
      MemorySegment results = workspace.results;
      SylvesterException.check(
          SylvesterFfi.syl_logits_sample_workspace(descriptor, cols, historyCount, results));
      MemorySegment scratch = workspace.sized();
      SylvesterException.check(
          SylvesterFfi.syl_logits_sample_f32(
              descriptor,
              logits,
              cols,
              historyOrNull,
              historyCount,
              idsOrNull,
              valuesOrNull,
              biasCount,
              position,
              scratch,
              scratch.byteSize(),
              results,
              workspace.moreResults));
      logProbability = workspace.moreResults.get(JAVA_FLOAT, 0);
      return results.get(JAVA_INT, 0);
    } finally {
      workspace.end();
    }
  }

  /** The C structure; never changes. */
  MemorySegment descriptor() {
    return descriptor;
  }

  /**
   * Log-probability, after the filters, of the token drawn last.
   *
   * @return the log-probability; NaN before the first draw
   */
  public float logProbability() {
    return logProbability;
  }
}
