package dev.sylvester.kernels.spec;

import dev.sylvester.kernels.ThreadPool;
import java.util.function.IntPredicate;

/**
 * Continues texts of a target model with a draft's help: rounds of drafting, reading, verifying.
 * Between rounds the target has read the text but for its last token. One text after the other may
 * be continued; means and statistics go on.
 */
public final class Speculation implements AutoCloseable {
  private Speculation() {}

  /**
   * A speculation. Target and source stay the caller's.
   *
   * @param target whose text is continued
   * @param source of candidates
   * @param options how
   * @param pool threads of verification, or null
   * @return the speculation
   */
  public static Speculation of(
      TargetModel target, DraftSource source, SpecOptions options, ThreadPool pool) {
    throw new UnsupportedOperationException();
  }

  /**
   * One round: appends tokens to the text, at least one unless the context is full. An end token is
   * the last of them.
   *
   * @param text of which the target has read all but the last token
   * @param most tokens to append, at least 1
   * @return number of appended tokens
   */
  public int round(Text text, int most) {
    throw new UnsupportedOperationException();
  }

  /**
   * Continues a text until an end token, the number of tokens, the context or the consumer ends it.
   *
   * @param text of which the target has read all but the last token
   * @param maxTokens most tokens to append
   * @param consumer takes each new token, an end token too, and says whether to go on; after a "no"
   *     that token is the text's last
   * @return number of appended tokens
   */
  public int generate(Text text, int maxTokens, IntPredicate consumer) {
    throw new UnsupportedOperationException();
  }

  /**
   * What was done so far.
   *
   * @return a copy
   */
  public SpecStats stats() {
    throw new UnsupportedOperationException();
  }

  /** Frees memory. */
  @Override
  public void close() {}
}
